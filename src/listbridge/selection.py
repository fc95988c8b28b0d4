"""Whom a sync takes and what it wants of them: mirror → wanted. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b

import orjson

from listbridge.consent import strictest
from listbridge.identity import sendable
from listbridge.model import Consent, Contact, Kind, Word

Canonical = Callable[[str, str], str]
"""(destination field, value) → the value as the platform will hold it."""

_TRAVELS_FOR_GUESTS = frozenset({"first_name", "email"})


@dataclass(frozen=True, slots=True)
class Selection:
    """Which contacts are taken; a union. ``groups`` and ``segments`` are the source's ids."""

    everyone: bool = False
    kinds: frozenset[Kind] = frozenset()
    groups: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()

    @property
    def tagged_kinds(self) -> frozenset[Kind]:
        """The kinds whose tags are kept up: the selected ones, and all three with everyone."""
        return frozenset(Kind) if self.everyone else self.kinds


@dataclass(frozen=True, slots=True)
class Shape:
    """What is wanted of everybody who is taken.

    ``fields`` maps destination field to source field; ``kind_tags`` maps each kept-up kind to its tag
    (empty: kind tags are off); ``version`` changes whenever people must be decided anew.
    """

    selection: Selection
    fields: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    kind_tags: Mapping[Kind, str] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """A contact in the mirror; ``consent_seq`` is the read in which its consent was seen to change, or 0."""

    contact: Contact
    consent_seq: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a sync wants of one person in one audience.

    ``fields`` holds every mapped field, empty ones as empty text; of a guest only what may travel.
    """

    email: str
    taken: bool
    fields: Mapping[str, str]
    tags: tuple[str, ...]
    word: Word
    consent_at: float | None
    consent_seq: int

    def packed(self) -> bytes:
        """The row as it is stored."""
        return orjson.dumps(
            (self.email, self.taken, self.fields, self.tags, self.word, self.consent_at, self.consent_seq)
        )

    @staticmethod
    def unpacked(packed: bytes) -> "Wanted":
        email, taken, fields, tags, word, at, seq = orjson.loads(packed)
        return Wanted(email, taken, fields, tuple(tags), Word(word), at, seq)


def kinds_of(contacts: Sequence[Contact]) -> frozenset[Kind]:
    """What one person is to the shop; a kind holds if it holds for any of the rows."""
    kinds = set()
    if any(contact.consent.word is Word.GRANTED for contact in contacts):
        kinds.add(Kind.SUBSCRIBER)
    if any(contact.orders_count > 0 or contact.guest for contact in contacts):
        kinds.add(Kind.BUYER)
    return frozenset(kinds or {Kind.CONTACT})


def wanted_of(statements: Sequence[Statement], shape: Shape, canonical: Canonical) -> Wanted:
    """One person's rows (one address, at least one row) → what is wanted of that person."""
    if len(statements) == 1:
        leading = statements[0].contact
        consent, guest, seq = leading.consent, leading.guest, statements[0].consent_seq
        contacts: Sequence[Contact] = (leading,)
    else:
        contacts = [statement.contact for statement in statements]
        leading = min(contacts, key=_changed_last)
        consent = strictest(contact.consent for contact in contacts)
        guest = all(contact.guest for contact in contacts)
        seq = max(statement.consent_seq for statement in statements)
    kinds = kinds_of(contacts)
    taken = _takes(shape.selection, contacts, kinds)
    return Wanted(
        email=sendable(leading.email),
        taken=taken,
        fields=_fields(leading, guest, consent, shape, canonical) if taken else {},
        tags=_tags(kinds, shape, taken=taken),
        word=consent.word,
        consent_at=consent.at,
        consent_seq=seq,
    )


def fingerprint(packed: bytes, version: str) -> bytes:
    """Changes when anything wanted changes, or when the sync's rules do."""
    return blake2b(packed, digest_size=12, key=version.encode()[:64]).digest()


def value_of(contact: Contact, name: str) -> str:
    """A source field by its name, as text; a list joined with ``;``; missing is empty."""
    match name:
        case "id":
            return contact.id
        case "email":
            return contact.email
        case "consent":
            return contact.consent.word.value
        case "orders_count":
            return str(contact.orders_count)
        case "groups":
            return ";".join(contact.groups)
        case "segments":
            return ";".join(contact.segments)
        case "guest":
            return "true" if contact.guest else "false"
        case "consent_at":
            return _moment(contact.consent.at)
        case "updated_at":
            return _moment(contact.updated_at)
        case _:
            return contact.attributes.get(name, "")


def _moment(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _takes(selection: Selection, contacts: Sequence[Contact], kinds: frozenset[Kind]) -> bool:
    return (
        selection.everyone
        or not selection.kinds.isdisjoint(kinds)
        or (bool(selection.groups) and any(not selection.groups.isdisjoint(one.groups) for one in contacts))
        or (
            bool(selection.segments)
            and any(not selection.segments.isdisjoint(one.segments) for one in contacts)
        )
    )


def _fields(
    contact: Contact, guest: bool, consent: Consent, shape: Shape, canonical: Canonical
) -> dict[str, str]:
    only_guest = guest and consent.word is not Word.GRANTED
    return {
        there: canonical(there, value) if (value := value_of(contact, here)) else ""
        for there, here in shape.fields.items()
        if not only_guest or here in _TRAVELS_FOR_GUESTS
    }


def _tags(kinds: frozenset[Kind], shape: Shape, *, taken: bool) -> tuple[str, ...]:
    """Literal tags for whoever is taken, and the tags of the kept-up kinds that hold."""
    kind_tags = [tag for kind, tag in shape.kind_tags.items() if kind in kinds]
    return tuple(sorted({*kind_tags, *(shape.tags if taken else ())}))


def _changed_last(contact: Contact) -> tuple[float, bool, int, str, str]:
    """Sorts the row changed last first, then the lowest id (numbers as numbers, before other texts)."""
    numeric = contact.id.isdecimal()
    digits = contact.id.lstrip("0") if numeric else ""
    return (-(contact.updated_at or 0.0), not numeric, len(digits), digits, contact.id)
