"""Builders of people as the source and the destination know them: everything has a default."""

from typing import Any

from listbridge.changes import Change
from listbridge.consent import ConsentRules, Suppression, WithoutConsent
from listbridge.identity import key_of
from listbridge.model import Consent, Contact, Kind, Status, Word
from listbridge.planner import UNTAG, Held, Mode, Rules, Settled, decide
from listbridge.selection import Selection, Shape, Statement, Wanted, wanted_of

ANN = "ann@example.com"
KEY = key_of(ANN)

EVERYONE = Selection(everyone=True)

GRANTED, PENDING, UNKNOWN, DENIED = Word.GRANTED, Word.PENDING, Word.UNKNOWN, Word.DENIED
SUBSCRIBED, TRANSACTIONAL, UNSUBSCRIBED = Status.SUBSCRIBED, Status.TRANSACTIONAL, Status.UNSUBSCRIBED


def as_sent(_field: str, value: str) -> str:
    """A platform that keeps every value as it is."""
    return value


def contact(
    id: str = "1", email: str = ANN, word: Word = GRANTED, at: float | None = None, **more: Any
) -> Contact:
    return Contact(id, email, Consent(word, at), **more)


def wanted_from(*contacts: Contact, shape: Shape | None = None, seq: int = 0) -> Wanted:
    return wanted_of([Statement(one, seq) for one in contacts], shape or Shape(EVERYONE), as_sent)


def want(word: Word = GRANTED, at: float | None = None, *, taken: bool = True, **more: Any) -> Wanted:
    """What a sync wants of Ann."""
    given = {"email": ANN, "fields": {}, "tags": (), "consent_seq": 0, **more}
    return Wanted(taken=taken, word=word, consent_at=at, **given)


def held(status: Status | None = SUBSCRIBED, email: str = ANN, **more: Any) -> Held:
    """What the ledger holds of Ann."""
    return Held(email, status, **more)


def rules(mode: Mode | str = Mode.MERGE, tag: str | None = None, **more: Any) -> Rules:
    """A sync's rules; the words of ``ConsentRules`` may be given as they are."""
    said = {name: more.pop(name) for name in list(more) if name in ConsentRules.__dataclass_fields__}
    if "without_consent" in said:
        said["without_consent"] = WithoutConsent(said["without_consent"])
    removal = more.pop("removal", UNTAG if tag else "archive")
    return Rules(Mode(mode), ConsentRules(**said), tag=tag, removal=removal, **more)


def left(reason: str = "unsubscribed", at: float = 100.0) -> Suppression:
    return Suppression(reason, at)


def decided(
    wanted: Wanted | None,
    there: Held | None = None,
    by: Rules | None = None,
    barred: Suppression | None = None,
    **more: Any,
) -> Change | Settled:
    return decide(wanted, there, barred, by or rules(), key=KEY, **more)


def changed(*given: Any, **more: Any) -> Change:
    """The change that is decided on; there must be one."""
    answer = decided(*given, **more)
    assert isinstance(answer, Change), f"nothing is done: {answer}"
    return answer


def skipped(*given: Any, **more: Any) -> str | None:
    """Why nothing is done (``None``: all is well); a change is a failure."""
    answer = decided(*given, **more)
    assert isinstance(answer, Settled), f"something is done: {answer}"
    return answer.skipped


KIND_TAGS = {kind: f"Shop-{kind.value.capitalize()}" for kind in Kind}
