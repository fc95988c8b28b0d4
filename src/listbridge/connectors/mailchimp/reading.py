"""Who is in an audience, and what changed there: complete reads, and the proof that nothing changed.

A look asks for the last changes first and stops as soon as the ledger holds as many people changed since
the last look as the platform counts. What such a count cannot see is written down in :class:`Marks`.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any

import httpx2
import orjson

from listbridge.connectors.base import Audience, Look, MemberPage
from listbridge.connectors.mailchimp.access import PAGE, Requests, together
from listbridge.connectors.mailchimp.words import (
    WITHDRAWN_WORDS,
    changed_at,
    folded,
    latest,
    member_of,
    member_path,
    time_text,
)
from listbridge.errors import Stop

AHEAD = 4  # pages asked for at once in a full read
ROUNDS = 3  # full reads tried while people leave between two pages
OVERLAP_SECONDS = 120.5  # how far a look goes back; the half keeps clear of times, which are whole seconds
LATE_SECONDS = 600.0  # how long something unverified may wait for a thorough look


@dataclass(frozen=True, slots=True)
class Answer:
    """One page of members as they came; ``at`` is the platform's own time of the answer."""

    rows: list[dict[str, Any]]
    total: int
    at: float | None


@dataclass(slots=True)
class Tally:
    """What one reading of several pages has met so far."""

    read: set[int] = field(default_factory=set)
    highest: int = 0
    shrank: bool = False
    newest: float | None = None
    held: int = 0
    last: Answer | None = None
    proven: bool = False

    def take(self, answer: Answer) -> Answer:
        times = [at for row in answer.rows if (at := changed_at(row)) is not None]
        if self.last is None:
            self.newest = max(times, default=None)
        self.held += sum(self.newest is not None and at >= self.newest for at in times)
        self.shrank |= answer.total < self.highest
        self.highest = max(self.highest, answer.total)
        self.read.update(map(key_of, answer.rows))
        self.last = answer
        return answer

    def again(self) -> None:
        self.read.clear()
        self.highest, self.held, self.shrank = 0, 0, False

    @property
    def complete(self) -> bool:
        return len(self.read) >= self.highest

    @property
    def at(self) -> float | None:
        """The platform's time now, as far as it tells it."""
        return (self.last.at if self.last else None) or self.newest

    @property
    def total(self) -> int:
        return self.last.total if self.last else 0


@dataclass(frozen=True, slots=True)
class Marks:
    """How far an audience is known. All times are the platform's.

    ``seen``: the last change among the people, ``held`` of whom changed then or later; ``archived``: the
    last change among the archived ones.
    ``unverified``: changes since then may hide below what was read (0: since ever); found at ``noticed``.
    """

    seen: float | None = None
    held: int = 0
    archived: float | None = None
    unverified: float | None = None
    noticed: float | None = None

    def text(self) -> str:
        return orjson.dumps(self).decode()

    @classmethod
    def from_text(cls, cursor: str | None) -> "Marks":
        return cls(**orjson.loads(cursor)) if cursor else cls()

    def wrote(self, look: Look) -> bool:
        """Whether the ledger has got people since, whom only our own writes can have told it."""
        if self.seen is None:
            return look.count_after(None) > 0
        return look.count_after(self.seen - 0.5) > self.held

    def overdue(self, now: float | None) -> bool:
        return now is not None and self.noticed is not None and now - self.noticed > LATE_SECONDS

    def after(self, tally: Tally, *, wrote: bool) -> "Marks":
        """A proof by count hides what happened below while we wrote; a window read to its end does not."""
        since = before(self.seen) or 0.0
        marks = replace(self, seen=latest(self.seen, tally.newest))
        if tally.proven and wrote and self.unverified is None:
            return replace(marks, unverified=since, noticed=tally.at)
        if not tally.proven and self.unverified is not None and since <= self.unverified:
            return replace(marks, unverified=None, noticed=None)
        return marks


@dataclass(slots=True)
class Ground:
    """Whether pages, the newest changes first, have come down to what the ledger held before this look.

    Asked for each page before it is put there; ``read`` people of this look are there already. Once the
    order is not the one asked for, or people left between two pages, no page is trusted any more.
    """

    look: Look
    read: int = 0
    lowest: float = math.inf
    trusted: bool = True

    def is_known(self, rows: Sequence[Mapping[str, Any]], *, shrank: bool) -> bool:
        times = [at for row in rows if (at := changed_at(row)) is not None]
        ordered = all(above >= below for above, below in pairwise([self.lowest, *times]))
        if shrank or not ordered or not times or len(times) < len(rows):
            self.trusted = False
        elif self.lowest == math.inf and self.look.count_after(times[0]) > 0:
            self.trusted = False  # the ledger knows of later changes than the newest that is shown
        self.lowest = times[-1] if times else self.lowest
        return self.trusted and self.look.count_after(self.lowest - 0.5) > self.read


class Reader:
    """Reads the members of an audience."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def members(self, audience: Audience) -> AsyncIterator[MemberPage]:
        people, archived = Tally(), Tally()
        async for answer in self._everybody(audience, AHEAD, people):
            yield await self._page(audience, answer)
        async for answer in self._everybody(audience, AHEAD, archived, status="archived"):
            yield await self._page(audience, answer)
        yield MemberPage((), Marks(people.newest, people.held, archived.newest).text())

    async def changed(self, audience: Audience, look: Look, *, thorough: bool) -> AsyncIterator[MemberPage]:
        """The last changes first, until the ledger holds as many as the platform: one call if none came."""
        marks, tally = Marks.from_text(look.cursor), Tally()
        since = before(marks.seen)
        wrote = marks.wrote(look)
        async for page in self._newest(audience, look, since, tally):
            yield page
        marks = marks.after(tally, wrote=wrote)
        late = thorough or marks.overdue(tally.at)
        if late and marks.unverified is not None:
            async for page in self._withdrawn(audience, marks.unverified):
                yield page
            marks = replace(marks, unverified=None, noticed=None)
        if late or look.count_after(since) > tally.total:
            archived = Tally()
            async for page in self._archived(audience, before(marks.archived), archived):
                yield page
            marks = replace(marks, archived=latest(marks.archived, archived.newest))
        if marks.seen is not None:
            marks = replace(marks, held=look.count_after(marks.seen - 0.5))
        yield MemberPage((), marks.text())

    async def _newest(
        self, audience: Audience, look: Look, since: float | None, tally: Tally
    ) -> AsyncIterator[MemberPage]:
        """Everybody who changed, or fewer if the ledger proves to hold the rest: ``tally.proven`` then."""
        ground = Ground(look)
        async with aclosing(self._everybody(audience, 1, tally, since=since)) as answers:
            async for answer in answers:
                known = ground.is_known(answer.rows, shrank=tally.shrank)
                ground.read = max(ground.read, len(tally.read))
                yield await self._page(audience, answer)
                if known and not tally.complete and look.count_after(since) == answer.total:
                    tally.proven = True
                    return

    async def _archived(
        self, audience: Audience, since: float | None, tally: Tally
    ) -> AsyncIterator[MemberPage]:
        async for answer in self._everybody(audience, 1, tally, since=since, status="archived"):
            yield await self._page(audience, answer)

    async def _withdrawn(self, audience: Audience, since: float) -> AsyncIterator[MemberPage]:
        for word in WITHDRAWN_WORDS:
            async for answer in self._everybody(audience, 1, Tally(), since=since or None, status=word):
                yield await self._page(audience, answer)

    async def _everybody(
        self,
        audience: Audience,
        ahead: int,
        tally: Tally,
        *,
        since: float | None = None,
        status: str | None = None,
    ) -> AsyncGenerator[Answer, None]:
        """All pages, the last changes first; if it ends without an exception, nobody was missed.

        Who changes meanwhile moves to the front, and the others come twice at worst. Who leaves meanwhile
        moves the others up: somebody may have slipped between two pages, and all are read again.
        """
        query = members_query(audience, since, status)
        for _round in range(ROUNDS):
            tally.again()
            async with aclosing(self._pages(audience, ahead, query)) as answers:
                async for answer in answers:
                    yield tally.take(answer)
            if tally.complete:
                return
            async with aclosing(self._pages(audience, 1, query)) as answers:
                async for answer in answers:
                    if tally.shrank:
                        break
                    yield tally.take(answer)
                    if tally.complete:
                        return
                    if not answer.rows or (changed_at(answer.rows[-1]) or 0.0) <= (tally.newest or 0.0):
                        break
        raise Stop(
            "source_incomplete",
            f"{self._requests.name} gave fewer people of {audience.name} than it counts, {ROUNDS} times in a "
            "row: people are leaving at this moment, or answers were cut short. Run again later.",
        )

    async def _pages(
        self, audience: Audience, ahead: int, query: Mapping[str, Any]
    ) -> AsyncGenerator[Answer, None]:
        """Pages in their order, up to ``ahead`` of them under way at once."""
        first = await self._answer(audience, query, 0)
        yield first
        step, offset, total = len(first.rows), len(first.rows), first.total
        waiting: deque[asyncio.Task[Answer]] = deque()
        try:
            while step:
                while len(waiting) < ahead and offset < total:
                    waiting.append(asyncio.create_task(self._answer(audience, query, offset)))
                    offset += step
                if not waiting:
                    return
                answer = await waiting.popleft()
                total = max(total, answer.total)
                yield answer
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _answer(self, audience: Audience, query: Mapping[str, Any], offset: int) -> Answer:
        params = {**query, "offset": offset} if offset else query
        response = await self._requests.http.call("GET", f"/lists/{audience.id}/members", params=params)
        try:
            told = orjson.loads(response.content)
            return Answer(told["members"], int(told["total_items"]), date_of(response))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise not_members(self._requests.name) from None

    async def _page(self, audience: Audience, answer: Answer) -> MemberPage:
        rows = [row for row in answer.rows if row.get("email_address")]  # people of text messages have none
        if audience.facts.get("asked_tags"):
            cut = [row for row in rows if row.get("tags_count", 0) > len(row.get("tags") or ())]
            await together([self._read_tags(audience, row) for row in cut])
        return MemberPage([member_of(audience, row) for row in rows])

    async def _read_tags(self, audience: Audience, row: dict[str, Any]) -> None:
        """A member shows 50 tags; the others have to be asked for."""
        path = f"{member_path(audience, row['email_address'])}/tags"
        row["tags"] = await self._requests.all(path, "tags", "name")


def members_query(audience: Audience, since: float | None, status: str | None) -> dict[str, Any]:
    names = ["email_address", "contact_id", "status", "last_changed", "timestamp_opt", "unsubscribe_reason"]
    names += ["merge_fields"] if audience.facts.get("asked_fields") else []
    names += ["tags", "tags_count"] if audience.facts.get("asked_tags") else []
    query: dict[str, Any] = {"count": PAGE, "sort_field": "last_changed", "sort_dir": "DESC"}
    if since is not None:
        query["since_last_changed"] = time_text(since)
    if status is not None:
        query["status"] = status
    return {**query, "fields": ",".join([*(f"members.{name}" for name in names), "total_items"])}


def key_of(row: Mapping[str, Any]) -> int:
    return hash(row.get("contact_id") or folded(row.get("email_address") or ""))


def before(at: float | None) -> float | None:
    return None if at is None else at - OVERLAP_SECONDS


def date_of(response: httpx2.Response) -> float | None:
    try:
        return parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return None


def not_members(name: str) -> Stop:
    return Stop(
        "unreachable",
        f"{name} answered with something that is no list of members. Look whether url is the base of the "
        "Marketing API, ending in /3.0, and open it in a browser.",
    )
