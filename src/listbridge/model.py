"""What a source says: people, their consent and what they are to the shop. Frozen, no I/O.

Times are seconds since 1970 in UTC (``float``), everywhere inside the product; names end in ``_at``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Word(StrEnum):
    """The source's word on marketing e-mail."""

    GRANTED = "granted"
    PENDING = "pending"
    UNKNOWN = "unknown"
    DENIED = "denied"


class Kind(StrEnum):
    """What a person is to the shop. Subscriber and buyer can both hold; contact excludes both."""

    SUBSCRIBER = "subscriber"
    BUYER = "buyer"
    CONTACT = "contact"


class Status(StrEnum):
    """The destination's word on one person in one audience."""

    SUBSCRIBED = "subscribed"
    PENDING = "pending"
    TRANSACTIONAL = "transactional"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    ARCHIVED = "archived"
    ABSENT = "absent"


MEMBER_STATUSES = frozenset({Status.SUBSCRIBED, Status.PENDING, Status.TRANSACTIONAL})
"""Whoever has one of these is a member of the audience."""

WITHDRAWN_STATUSES = frozenset({Status.UNSUBSCRIBED, Status.BOUNCED, Status.COMPLAINED})
"""Whoever has one of these has left, and must never be subscribed by a sync."""


@dataclass(frozen=True, slots=True)
class Consent:
    """One statement: the word, when it was given (``None`` = the source does not tell) and where."""

    word: Word = Word.UNKNOWN
    at: float | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """One person as the source knows them.

    ``attributes`` holds every other column under its own name as text (``first_name``, ``city``, ...);
    a missing key and an empty value are the same thing, so empty values are never stored.
    ``groups`` and ``segments`` are the source's ids.
    """

    id: str
    email: str
    consent: Consent = Consent()
    guest: bool = False
    groups: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    orders_count: int = 0
    updated_at: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Label:
    """A customer group or a segment that a source can name.

    ``id`` is what ``Contact.groups``/``segments`` hold; ``names`` are the other exact spellings that an
    operator may write in the configuration (display name, number, code).
    """

    what: str  # "group" or "segment"
    id: str
    names: tuple[str, ...] = ()
