"""What a connector is: a source, a destination, their options and their abilities.

A connector is one module in this package, named as in ``listbridge.yaml``, that defines ``connector``,
a :class:`Connector`. Third parties register such an object under the entry-point group
``listbridge.connectors``. Nothing else has to be edited.

Terms: a *page* is what one answer of a source holds; a *cursor* is the source's own text from which a
later read can go on; a *member* is what a destination knows of one person in one audience.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field

from listbridge.changes import News, Outcome, Write
from listbridge.http import Http
from listbridge.model import Label, Status

Row = dict[str, Any]
"""A row of a source: the columns of ROWS, any others become attributes."""


class Options(BaseModel):
    """The options every connection has; a connector adds its own. Descriptions are the help texts."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    connector: str = Field(description="Name of the connector, as `listbridge connectors` lists it.")
    retry_for: str = Field(
        default="90s", description="How long a failing request is tried again before the run stops."
    )


class DestinationOptions(Options):
    """Options every e-mail platform has."""

    contact_limit: int | None = Field(
        default=None, ge=0, description="How many contacts the account's plan allows; no limit if left out."
    )


@dataclass(frozen=True, slots=True)
class Context:
    """What the engine gives a connector: its name, a folder for relative paths, and HTTP.

    ``http(base_url, headers=..., explain=..., connections=..., per_second=..., timeout_seconds=...)``
    makes the one client through which the connector talks; pacing, retrying, counting and redaction are
    in it. See :class:`listbridge.http.Http`.
    """

    name: str
    folder: Path
    http: Callable[..., Http]


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of ``check``: what the connection may do, and what is missing, in words."""

    can: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


# --- sources -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one answer; ``cursor`` covers every row up to and with this page.

    ``gone`` are ids that the source says are deleted. A cursor is stored in one transaction with the
    rows it covers; ``None`` means that nothing can be remembered yet.
    """

    rows: Sequence[Row]
    cursor: str | None = None
    gone: Sequence[str] = ()


class Source(Protocol):
    """What every source can do.

    ``tells_deletions``: an incremental read names what was deleted. Without it the engine makes a full
    comparison every ``full_every`` (``always_full`` sources: on every run).
    """

    tells_deletions: ClassVar[bool]
    always_full: ClassVar[bool]

    def __init__(self, options: Any, context: Context) -> None: ...

    async def check(self) -> Finding:
        """Try the connection. Raises ``Stop``; writes nothing."""

    def contacts(self, cursor: str | None) -> AsyncIterator[Page]:
        """Every contact (``cursor`` None) or what changed since the cursor, overlap included.

        Ending without an exception says that the read is complete. A read that cannot be completed
        raises ``Stop("source_incomplete", …)``; pages given before stay valid as news, but no absence
        may be concluded from them.
        """

    async def labels(self) -> Sequence[Label]:
        """The groups and segments that may be selected. Empty where only the rows tell."""

    async def write_back(self, news: Sequence[News]) -> Sequence[Outcome]:
        """Give unsubscribes and bounces back; one outcome for each, in order.

        An outcome ``Unsupported`` says that the source has no place for it. Repeating is harmless.
        """

    async def close(self) -> None:
        """Let go of files and connections."""


# --- destinations ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Numbers and words of a destination; docs and UI are generated from it.

    ``removals`` lists the forms of removal, the mildest first. ``page_size`` counts members a read.
    """

    batch_size: int
    page_size: int
    connections: int
    removals: tuple[str, ...]
    transactional: bool = False
    pending: bool = False
    tags: bool = False
    renames: bool = False


@dataclass(frozen=True, slots=True)
class Audience:
    """An audience found at the destination.

    ``fields`` maps what the operator wrote to the platform's own handle; ``tags`` maps a tag's name to
    the platform's id. Both hold what exists, no more. ``facts`` is the connector's own business.
    """

    id: str
    name: str
    double_opt_in: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Member:
    """One person at the destination, as read from there.

    ``fields`` holds the mapped fields by their operator's names, or is ``None`` where they were not
    asked for; ``tags`` likewise. ``changed_at`` is the platform's own time of the last change.
    """

    email: str
    status: Status
    remote_id: str | None = None
    opted_in_at: float | None = None
    changed_at: float | None = None
    fields: Mapping[str, str] | None = None
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class MemberPage:
    """Members of one answer; ``cursor`` holds once this page and all before it are in the ledger."""

    members: Sequence[Member]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What the engine knows of an audience before it asks what changed there.

    ``count_after(at)`` tells how many members the ledger holds that changed at the platform after a
    time (``None``: all that are not archived or absent); a destination may use it to prove with one
    call that nothing else changed.
    """

    cursor: str | None
    count_after: Callable[[float | None], int]


class Destination(Protocol):
    """What every destination can do."""

    capabilities: ClassVar[Capabilities]

    def __init__(self, options: Any, context: Context) -> None: ...

    async def check(self) -> Finding:
        """Try the connection. Raises ``Stop``; writes nothing."""

    async def find(self, name: str, fields: Sequence[str], tags: Sequence[str]) -> Audience | None:
        """The audience by id or exact name, with the mapped fields and tags that exist there.

        ``None`` if there is none; two of one name raise ``Stop("not_found", …)`` with both ids.
        """

    async def create(self, name: str) -> Audience:
        """Make the audience. Called only where the operator says ``create: true``."""

    async def prepare(self, audience: Audience, fields: Sequence[str], tags: Sequence[str]) -> Audience:
        """Make the fields (as the nearest type) and tags that are missing; give back what is there then.

        Called right before the first write, and only with what may be made.
        """

    def canonical(self, audience: Audience, field: str, value: str) -> str:
        """The value as the platform will hold it (cut, rewritten), so that it is not sent for ever."""

    def members(self, audience: Audience) -> AsyncIterator[MemberPage]:
        """Everybody there, archived ones included, with fields and tags. Raises if it cannot be complete."""

    def changed(self, audience: Audience, look: Look, *, thorough: bool) -> AsyncIterator[MemberPage]:
        """What changed there since ``look.cursor``: the platform's cheapest proof that nothing did.

        ``thorough`` also finds what that proof cannot see (archived and deleted people); the engine asks
        for it before it writes. The caller puts each page into the ledger before it asks for the next.
        """

    async def write(self, audience: Audience, rows: Sequence[Write]) -> Sequence[Outcome]:
        """Create and update up to ``batch_size`` people; one outcome for each, in order.

        Raises ``Unknown`` if the write may have happened: the engine then looks and decides again.
        """

    async def tag(
        self, audience: Audience, tag: str, add: Sequence[str], remove: Sequence[str]
    ) -> Sequence[Outcome]:
        """Put one tag on and take it off, up to ``batch_size`` addresses each; outcomes in that order."""

    async def remove(self, audience: Audience, rows: Sequence[Member], form: str) -> Sequence[Outcome]:
        """Take people out in one of ``capabilities.removals``. Whoever is gone already is no error."""

    async def contacts(self) -> int:
        """How many contacts the account has that count against its plan."""

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Connector:
    """The entry of one connector: what it is called, its options, its classes, its card."""

    name: str
    title: str
    options: type[Options]
    source: type[Any] | None = None
    destination: type[Any] | None = None
    verified: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
