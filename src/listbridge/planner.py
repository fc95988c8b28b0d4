"""What differs: wanted × held × suppression → change. Pure: no network, no clock, no database, no chance.

The terms, for one person in one audience:

* *wanted*: what the sync wants (:class:`listbridge.selection.Wanted`), ``None`` if the source has no
  such person any more;
* *held*: what the ledger knows of the destination, ``None`` if it never heard of the person;
* *suppression*: the person's withdrawal, known for the whole destination account.

The answer is a :class:`~listbridge.changes.Change`, or a :class:`Settled` that says why nothing is done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from listbridge.changes import Change, What
from listbridge.consent import (
    ConsentRules,
    Suppression,
    WithoutConsent,
    denial_reaches,
    is_fresh,
    may_be_mailed,
    status_when_granted_later,
    status_when_new,
)
from listbridge.model import MEMBER_STATUSES, WITHDRAWN_STATUSES, Status, Word
from listbridge.selection import Wanted


class Mode(StrEnum):
    """What an audience holds after the run: S, D ∪ S, or D − S."""

    EXACT = "exact"
    MERGE = "merge"
    SUBTRACT = "subtract"


@dataclass(frozen=True, slots=True)
class Rules:
    """A sync's rules for one audience.

    ``tag`` is the tag that makes the audience, if it is not the whole list. ``kind_tags`` are the tags of
    the selected kinds: the only ones that are ever taken off. ``pending`` says that the platform can ask
    people to confirm, ``renames`` that an entry can be given another address.
    """

    mode: Mode
    consent: ConsentRules = field(default_factory=ConsentRules)
    tag: str | None = None
    kind_tags: frozenset[str] = frozenset()
    removal: str = "archive"
    remove_departed: bool = False
    restore_deleted: bool = False
    pending: bool = True
    renames: bool = True


@dataclass(frozen=True, slots=True)
class Held:
    """What the ledger knows. ``status`` None: never there, only decided about.

    ``owned``: this sync has added the person. ``taken_out``: this sync has removed the person.
    ``sent`` are the fields we sent and their values, ``found`` those that were there before us.
    ``tags`` are ours, ``found_tags`` others'. ``since_seq``: the source's read in which the row was made.
    """

    email: str
    status: Status | None = None
    owned: bool = False
    taken_out: bool = False
    tagged: bool = False
    opted_in_at: float | None = None
    sent: Mapping[str, str] = field(default_factory=dict)
    found: Mapping[str, str] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    found_tags: frozenset[str] = frozenset()
    since_seq: int = 0

    @property
    def listed(self) -> bool:
        """Whether the person is in the list (a tag's audience may be smaller)."""
        return self.status in MEMBER_STATUSES


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is done. ``skipped`` names why a person who is taken is left out; ``None``: all is well."""

    skipped: str | None = None


ALL_WELL = Settled()

UNTAG = "untag"
"""The form of removal of a tag's audience: the person stays in the list."""

REASONS: Mapping[str, str] = {
    "new": "is selected and not in the audience yet",
    "without_consent": "is selected, has not agreed, and the operator lets such people be subscribed",
    "returns": "is selected again after this sync had taken them out",
    "restored": "was deleted at the destination; restore_deleted brings them back",
    "changed": "something that is sent has changed at the source",
    "consent_granted": "agreed at the source after having been transactional",
    "fresh_consent": "agreed anew after having left: is asked to confirm",
    "source_optout": "refused at the source",
    "address_changed": "has another address at the source",
    "kind_changed": "is no longer what the tag says",
    "in_selection": "is selected, and the mode is subtract",
    "left_selection": "is no longer selected",
    "not_in_source": "is not in the selection, and the mode is exact",
    "departed": "was added by this sync and has gone from the selection",
    "undo": "an earlier run is taken back",
    "no_consent": "has not agreed to be mailed, and new contacts without consent are skipped",
    "suppressed": "is unsubscribed there, bounced or complained: no sync brings them back",
    "deleted_there": "was deleted or archived at the destination by hand",
    "no_address": "has no e-mail address",
    "rejected_before": "was rejected by the platform, and nothing has changed since",
}
"""Every reason there is, as the end of the sentence «This person …»."""


def decide(
    wanted: Wanted | None,
    held: Held | None,
    suppression: Suppression | None,
    rules: Rules,
    *,
    key: bytes,
    moved_from: Held | None = None,
) -> Change | Settled:
    """What to do about one person.

    ``moved_from`` is the member under the person's former address, if it can be renamed to the present one.
    """
    if wanted is None:
        return _decide_unknown(held, suppression, rules, key)
    if not wanted.email:
        return Settled("no_address") if wanted.taken else ALL_WELL
    present = held if moved_from is None else moved_from
    renamed = moved_from is not None
    if present is not None and opts_out(wanted, present, rules):
        return _opt_out(wanted, present, rules, key, renamed=renamed)
    if suppression is not None or (held is not None and held.status in WITHDRAWN_STATUSES):
        return _decide_withdrawn(wanted, held, suppression, rules, key)
    if rules.mode is Mode.SUBTRACT:
        return _subtract(wanted, held, rules, key)
    if not wanted.taken:
        return _decide_departed(wanted, held, rules, key)
    if present is not None and present.listed:
        return _keep_up(wanted, present, rules, key, renamed=renamed)
    return _bring_in(wanted, held, rules, key)


def is_member(held: Held, rules: Rules) -> bool:
    """Whether a person is in the audience: in the list and, where a tag makes the audience, carrying it."""
    return held.listed and (rules.tag is None or held.tagged)


def _decide_unknown(
    held: Held | None, suppression: Suppression | None, rules: Rules, key: bytes
) -> Change | Settled:
    """Somebody at the destination of whom the source says nothing (any more)."""
    if held is None or suppression is not None or not is_member(held, rules):
        return ALL_WELL
    if rules.mode is Mode.EXACT:
        return remove(key, held, "departed" if held.owned else "not_in_source", rules)
    if rules.mode is Mode.MERGE and rules.remove_departed and held.owned:
        return remove(key, held, "departed", rules)
    return ALL_WELL


def _decide_withdrawn(
    wanted: Wanted, held: Held | None, suppression: Suppression | None, rules: Rules, key: bytes
) -> Change | Settled:
    """Suppressed people stand outside; only a newer consent lets the platform ask them to confirm."""
    if not wanted.taken:
        return ALL_WELL
    fresh = suppression is not None and is_fresh(wanted.word, wanted.consent_at, suppression)
    if not fresh or rules.mode is Mode.SUBTRACT or not rules.pending:
        return Settled("suppressed")
    if held is not None and held.status is Status.PENDING:
        return ALL_WELL
    if held is not None and not _may_be_asked(held, rules):
        return Settled("suppressed")
    there = held if held is not None and held.status is Status.UNSUBSCRIBED else None
    return Change(
        key,
        wanted.email,
        What.CREATE if there is None else What.UPDATE,
        "fresh_consent",
        status=Status.PENDING,
        fields={name: value for name, value in wanted.fields.items() if value},
        tags_added=_tags_to_add(wanted, there, rules),
    )


def _may_be_asked(held: Held, rules: Rules) -> bool:
    """A dead mailbox and a complaint are not asked, nor is who was archived by hand after having left."""
    return held.status in (None, Status.UNSUBSCRIBED) or (_is_gone(held) and _may_return(held, rules))


def _subtract(wanted: Wanted, held: Held | None, rules: Rules, key: bytes) -> Change | Settled:
    if wanted.taken and held is not None and is_member(held, rules):
        return remove(key, held, "in_selection", rules)
    return ALL_WELL


def opts_out(wanted: Wanted, held: Held, rules: Rules) -> bool:
    """Whether a refusal reaches this entry. Of strangers only members: a tag's audience is not the list."""
    return (
        wanted.word is Word.DENIED
        and rules.mode is not Mode.SUBTRACT
        and rules.consent.unsubscribe_on_optout
        and held.status is not None
        and (held.owned or is_member(held, rules))
        and denial_reaches(
            wanted.consent_at, delivered=held.owned, status=held.status, opted_in_at=held.opted_in_at
        )
    )


def _opt_out(wanted: Wanted, held: Held, rules: Rules, key: bytes, *, renamed: bool) -> Change:
    """A refusal goes before everything else; an address that changed with it changes all the same."""
    return Change(
        key,
        wanted.email if renamed else held.email,
        What.UPDATE,
        "source_optout",
        status=Status.UNSUBSCRIBED,
        tags_removed=_tags_to_remove(wanted, held, rules),
        email_before=held.email if renamed else None,
    )


def _decide_departed(wanted: Wanted, held: Held | None, rules: Rules, key: bytes) -> Change | Settled:
    """The source knows the person, the sync does not take them (any more)."""
    if held is None or not is_member(held, rules):
        return ALL_WELL
    stale = _tags_to_remove(wanted, held, rules)
    if rules.mode is Mode.EXACT:
        return remove(key, held, "left_selection", rules, stale)
    if rules.remove_departed and held.owned:
        return remove(key, held, "departed", rules, stale)
    if stale:
        return Change(key, held.email, What.UPDATE, "kind_changed", tags_removed=stale)
    return ALL_WELL


def _keep_up(wanted: Wanted, held: Held, rules: Rules, key: bytes, *, renamed: bool) -> Change | Settled:
    """Somebody in the list who stays: send what differs. A changed address is the same person: rename."""
    assert held.status is not None
    joins = not is_member(held, rules)
    if joins and wanted.word is Word.DENIED:
        return Settled("no_consent")
    status = status_when_granted_later(
        held.status, wanted.word, seen_to_change=wanted.consent_seq > held.since_seq, rules=rules.consent
    )
    fields = fields_to_send(wanted.fields, held)
    added, removed = _tags_to_add(wanted, held, rules), _tags_to_remove(wanted, held, rules)
    if not (renamed or status or fields or added or removed):
        return ALL_WELL
    return Change(
        key,
        wanted.email if renamed else held.email,
        What.UPDATE,
        _why_updated(renamed=renamed, raised=status is not None, joins=joins, sends=bool(fields or added)),
        status=status,
        fields=fields,
        tags_added=added,
        tags_removed=removed,
        email_before=held.email if renamed else None,
    )


def _why_updated(*, renamed: bool, raised: bool, joins: bool, sends: bool) -> str:
    if renamed:
        return "address_changed"
    if raised:
        return "consent_granted"
    if joins:
        return "new"
    return "changed" if sends else "kind_changed"


def _bring_in(wanted: Wanted, held: Held | None, rules: Rules, key: bytes) -> Change | Settled:
    """Somebody who is taken and is not in the list."""
    gone = held if held is not None and _is_gone(held) else None
    reason = "new"
    if gone is not None:
        if not _may_return(gone, rules):
            return Settled("deleted_there")
        reason = "returns" if gone.taken_out else "restored"
    status = status_when_new(wanted.word, rules.consent)
    if status is None:
        return Settled("no_consent")
    if rules.consent.without_consent is WithoutConsent.SUBSCRIBE and not may_be_mailed(
        wanted.word, rules.consent
    ):
        reason = "without_consent"
    fields = {name: value for name, value in wanted.fields.items() if value}
    if gone is not None:
        fields |= {name: "" for name, value in wanted.fields.items() if not value and gone.sent.get(name)}
    added = _tags_to_add(wanted, None, rules)
    return Change(key, wanted.email, What.CREATE, reason, status=status, fields=fields, tags_added=added)


def _is_gone(held: Held) -> bool:
    return held.status in (Status.ARCHIVED, Status.ABSENT)


def _may_return(held: Held, rules: Rules) -> bool:
    """Whom this sync took out of the list itself, or anybody if the operator says so.

    Taking off the audience's tag takes nobody out of the list: whoever is gone then was archived by hand.
    """
    return rules.restore_deleted or (held.taken_out and rules.removal != UNTAG)


def fields_to_send(wanted: Mapping[str, str], held: Held) -> dict[str, str]:
    """The fields that differ. An empty one is sent only to empty what we had sent."""
    changed = {}
    for name, value in wanted.items():
        known = held.sent.get(name)
        if known is None and value:
            known = held.found.get(name)
        if value != known and (value or known):
            changed[name] = value
    return changed


def _tags_to_add(wanted: Wanted, held: Held | None, rules: Rules) -> tuple[str, ...]:
    """Wanted tags that are not on; one that somebody else put on is left to them.

    Whether the audience's own tag is on is what ``tagged`` says, and nothing else.
    """
    missing = set(wanted.tags)
    if held is not None:
        missing -= held.tags | held.found_tags
    if rules.tag is not None:
        missing.discard(rules.tag)
        if held is None or not held.tagged:
            missing.add(rules.tag)
    return tuple(sorted(missing))


def _tags_to_remove(wanted: Wanted, held: Held, rules: Rules) -> tuple[str, ...]:
    """Our own tags of selected kinds that no longer hold."""
    return tuple(sorted((held.tags & rules.kind_tags) - set(wanted.tags)))


def remove(key: bytes, held: Held, reason: str, rules: Rules, stale: tuple[str, ...] = ()) -> Change:
    """Take a member out, in the form that the rules name. Whoever is untagged also loses ``stale`` tags."""
    tags = tuple(sorted({rules.tag, *stale})) if rules.removal == UNTAG and rules.tag else ()
    return Change(key, held.email, What.REMOVE, reason, tags_removed=tags, form=rules.removal)
