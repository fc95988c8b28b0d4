"""What flows after planning: changes, the rows a destination is given, and how each of them ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from listbridge.model import Status


class What(StrEnum):
    """What happens to one person in one audience."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Change:
    """One planned change of one person, with its reason.

    ``status`` is the status to be written, ``None`` leaves it alone. ``fields`` holds only what is to be
    sent; an empty text empties a field. ``email_before`` is set when the entry must be renamed first.
    ``form`` is the form of a removal.
    """

    key: bytes
    email: str
    what: What
    reason: str
    status: Status | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    tags_added: tuple[str, ...] = ()
    tags_removed: tuple[str, ...] = ()
    email_before: str | None = None
    form: str | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One row of a bulk write, as a destination gets it.

    ``status`` is always filled: the new one, or for an existing member the present one repeated, and
    ``changes_status`` tells which. ``exists`` says that the ledger knows the person in this audience,
    archived ones included.
    """

    email: str
    status: Status
    fields: Mapping[str, str]
    exists: bool = False
    changes_status: bool = False
    remote_id: str | None = None
    email_before: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one row ended at the other side.

    ``rejected`` is ``None`` if it was taken, else a short name: ``invalid_address``, ``invalid_field``,
    ``suppressed``, ``erased``, ``unsupported``, ``refused``. ``detail`` has the platform's own words.
    ``suppress`` is the status that the refusal reveals (a person who left, whom only this answer told).
    """

    email: str
    rejected: str | None = None
    detail: str | None = None
    status: Status | None = None
    remote_id: str | None = None
    changed_at: float | None = None
    suppress: Status | None = None


@dataclass(frozen=True, slots=True)
class News:
    """One unsubscribe or hard bounce that goes back to a source."""

    contact_id: str
    email: str
    what: str  # "unsubscribed" or "bounced"
    at: float
    origin: str  # the destination connection that told it
