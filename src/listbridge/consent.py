"""The law: which statement beats which. The only module that says who may be mailed."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from listbridge.model import Consent, Status, Word

_STRICTNESS = {Word.GRANTED: 0, Word.UNKNOWN: 1, Word.PENDING: 2, Word.DENIED: 3}


class WithoutConsent(StrEnum):
    """What becomes of new contacts who have not agreed."""

    SKIP = "skip"
    TRANSACTIONAL = "transactional"
    SUBSCRIBE = "subscribe"


@dataclass(frozen=True, slots=True)
class ConsentRules:
    """The operator's choices, double opt-in already resolved for the audience."""

    always_opt_in: bool = False
    unsubscribe_on_optout: bool = True
    without_consent: WithoutConsent = WithoutConsent.SKIP
    double_opt_in: bool = False


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that must never be subscribed by a sync: why, and since when."""

    reason: str  # "unsubscribed", "bounced", "complained" or "erased"
    at: float


def strictest(consents: Iterable[Consent]) -> Consent:
    """What counts when several rows are one person: denied before pending before unknown before granted.

    Among equal words the latest statement counts, one without a time last.
    """
    return max(consents, key=lambda said: (_STRICTNESS[said.word], said.at is not None, said.at or 0.0))


def may_be_mailed(word: Word, rules: ConsentRules) -> bool:
    """Whether a new contact with this word has agreed, as the operator reads it."""
    return word is Word.GRANTED or (word is Word.UNKNOWN and rules.always_opt_in)


def status_when_new(word: Word, rules: ConsentRules) -> Status | None:
    """The status a new contact gets; ``None`` means that it is not created."""
    if word is Word.DENIED:
        return None
    if may_be_mailed(word, rules):
        return _subscribed(rules)
    if rules.without_consent is WithoutConsent.SKIP:
        return None
    if rules.without_consent is WithoutConsent.TRANSACTIONAL:
        return Status.TRANSACTIONAL
    return _subscribed(rules)


def status_when_granted_later(
    status: Status, word: Word, *, seen_to_change: bool, rules: ConsentRules
) -> Status | None:
    """The one status a sync raises: a transactional contact whose consent was seen to become granted."""
    if status is Status.TRANSACTIONAL and word is Word.GRANTED and seen_to_change:
        return _subscribed(rules)
    return None


def denial_reaches(
    denied_at: float | None, *, delivered: bool, status: Status, opted_in_at: float | None
) -> bool:
    """Whether a refusal at the source unsubscribes this member.

    Members that the sync delivered, always; others only if the refusal is known to be later than their
    opt-in at the destination. Whoever gets no marketing mail (transactional) has nothing to leave.
    """
    if status not in (Status.SUBSCRIBED, Status.PENDING):
        return False
    if delivered:
        return True
    return denied_at is not None and opted_in_at is not None and denied_at > opted_in_at


def is_fresh(consent_word: Word, consent_at: float | None, suppression: Suppression) -> bool:
    """Whether a consent is newer than the withdrawal, so that the person may be asked to confirm.

    A dead mailbox, a complaint and an erasure are no withdrawals that a consent could follow.
    """
    return (
        suppression.reason == "unsubscribed"
        and consent_word is Word.GRANTED
        and consent_at is not None
        and consent_at > suppression.at
    )


def lifts(status: Status, opted_in_at: float | None, suppression: Suppression) -> bool:
    """Whether the platform shows that the person came back on their own after the withdrawal."""
    return (
        suppression.reason == "unsubscribed"
        and status is Status.SUBSCRIBED
        and opted_in_at is not None
        and opted_in_at > suppression.at
    )


def _subscribed(rules: ConsentRules) -> Status:
    return Status.PENDING if rules.double_opt_in else Status.SUBSCRIBED
