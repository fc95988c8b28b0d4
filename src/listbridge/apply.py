"""Plan → destination → ledger: batches out, outcomes in, each batch closed in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from listbridge import feedback
from listbridge.changes import Change, Outcome, What, Write
from listbridge.connectors.base import Audience, Destination, Member
from listbridge.consent import Suppression
from listbridge.errors import Stop, Unknown
from listbridge.identity import key_of
from listbridge.model import MEMBER_STATUSES, Status
from listbridge.planner import Held, Rules
from listbridge.store import Store, ledger, mirror, plans, runs
from listbridge.store.ledger import Entry
from listbridge.store.plans import Planned
from listbridge.store.runs import ReportRow
from listbridge.store.targets import Target

_ATTEMPTS = 6
_MOST_AT_ONCE = 6  # batches under way; more only fill memory with answers that wait their turn
_WORDS = {What.CREATE: "created", What.UPDATE: "updated", What.REMOVE: "removed"}
_AFTER_REMOVAL = {
    "archive": Status.ARCHIVED,
    "delete": Status.ABSENT,
    "unsubscribe": Status.UNSUBSCRIBED,
}


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that carrying out one target's plan needs.

    ``look_again`` brings the ledger up to date with the destination when the outcome of a write is not
    known; ``tells``: people whom only a refusal shows to have left are news for the source;
    ``progress`` is told how many changes are done.
    """

    store: Store
    target: Target
    destination: Destination
    audience: Audience
    rules: Rules
    run_id: str
    clock: Callable[[], float]
    look_again: Callable[[], Awaitable[None]]
    redecide: Callable[[Sequence[bytes]], tuple[list[Planned], list[Planned]]]
    tells: bool = True
    progress: Callable[[int], None] = lambda _changes: None


async def apply(job: Job) -> None:
    """Carry out what the target's plan holds: writes, then tags, then removals.

    A row that the platform rejects never stops the others. Raises ``Stop`` after the batches that are
    under way have ended; what is left of the plan stays stored.
    """
    await _Writing(job).run()
    await _tag_all(job)
    await _Removing(job).run()


# --- batches -----------------------------------------------------------------------------------------


class _Batches:
    """Runs the batches of one step, as many at a time as the platform takes connections."""

    step: int

    def __init__(self, job: Job) -> None:
        self.job = job

    async def run(self) -> None:
        at_once = asyncio.Semaphore(_at_once(self.job))
        under_way: set[asyncio.Task[None]] = set()
        after = b""
        try:
            while True:
                await at_once.acquire()
                _raise_first(under_way)
                batch = self._next(after)
                if not batch:
                    break
                after = batch[-1].change.key
                task = asyncio.create_task(self.carry_out(batch))
                task.add_done_callback(lambda _task: at_once.release())
                under_way.add(task)
        finally:
            await asyncio.gather(*under_way, return_exceptions=True)
        _raise_first(under_way)

    async def carry_out(self, batch: list[Planned]) -> None:
        raise NotImplementedError

    def _next(self, after: bytes) -> list[Planned]:
        job = self.job
        size = job.destination.capabilities.batch_size
        with job.store.write() as connection:
            batch = plans.batch(connection, job.target.id, self.step, after, size)
            if batch:
                plans.send_off(connection, job.target.id, self.step, [one.change.key for one in batch])
        return batch


def _at_once(job: Job) -> int:
    return min(job.destination.capabilities.connections, _MOST_AT_ONCE)


def _raise_first(tasks: set[asyncio.Task[None]]) -> None:
    for task in [task for task in tasks if task.done()]:
        tasks.discard(task)
        task.result()


class _Writing(_Batches):
    step = plans.WRITE

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._looking = asyncio.Lock()

    async def carry_out(self, batch: list[Planned]) -> None:
        first_key = batch[0].change.key
        for _attempt in range(_ATTEMPTS):
            entries = self._entries(batch)
            rows = [as_write(one.change, entries.get(_held_under(one))) for one in batch]
            try:
                outcomes = await self.job.destination.write(self.job.audience, rows)
            except Unknown as error:
                batch = await self._look_back(batch, entries)
                why = error
            else:
                self._close(first_key, batch, entries, outcomes)
                return
            if not batch:
                self._close(first_key, [], {}, [])
                return
        raise Stop(
            "unreachable",
            f"The connection to {self.job.target.account} was cut again and again while it was written to: "
            f"{why} Nothing is lost; run again later.",
        )

    async def _look_back(self, batch: list[Planned], entries: dict[bytes, Entry]) -> list[Planned]:
        """Find out what a cut-off write has done; gives back what is still to be sent."""
        job = self.job
        with job.store.write() as connection:
            ours = [_marked_ours(one.change, entries) for one in batch if one.change.what is What.CREATE]
            ledger.save_entries(connection, job.target.id, ours)
        async with self._looking:
            await job.look_again()
        left, done = job.redecide([one.change.key for one in batch])
        made = _made_but_for_tags(batch, left)
        with job.store.write() as connection:
            _finish_making(connection, job, made, entries)
            present = ledger.entries(connection, job.target.id, [one.change.key for one in done])
            outcomes = [_as_found(one, present.get(one.change.key)) for one in done]
            _finish_writes(connection, job, done, entries | present, outcomes)
        return [one for one in left if plans.first_step(one.change) == plans.WRITE]

    def _entries(self, batch: Sequence[Planned]) -> dict[bytes, Entry]:
        keys = list({key for one in batch for key in (one.change.key, _held_under(one))})
        with self.job.store.read() as connection:
            return ledger.entries(connection, self.job.target.id, keys)

    def _close(
        self,
        first_key: bytes,
        batch: Sequence[Planned],
        entries: dict[bytes, Entry],
        outcomes: Sequence[Outcome],
    ) -> None:
        job = self.job
        with job.store.write() as connection:
            _finish_writes(connection, job, batch, entries, outcomes)
            plans.landed(connection, job.target.id, first_key)
        job.progress(len(batch))


class _Removing(_Batches):
    step = plans.REMOVE

    async def carry_out(self, batch: list[Planned]) -> None:
        job = self.job
        form = batch[0].change.form or job.rules.removal
        with job.store.read() as connection:
            entries = ledger.entries(connection, job.target.id, [one.change.key for one in batch])
        members = [_as_member(one.change, entries.get(one.change.key)) for one in batch]
        outcomes = await self._removed(members, form)
        with job.store.write() as connection:
            for one, outcome in zip(batch, outcomes, strict=True):
                entry = entries.get(one.change.key) or Entry(one.change.key, Held(one.change.email))
                _finish_removal(connection, job, one, entry, outcome)
            plans.drop(connection, job.target.id, [one.change.key for one in batch])
            plans.landed(connection, job.target.id, batch[0].change.key)
        job.progress(len(batch))

    async def _removed(self, members: Sequence[Member], form: str) -> Sequence[Outcome]:
        """Removing is harmless to repeat, so a cut-off call is simply made again."""
        for attempt in range(_ATTEMPTS):
            try:
                return await self.job.destination.remove(self.job.audience, members, form)
            except Unknown:
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("the loop above returns or raises")


async def _tag_all(job: Job) -> None:
    """Put tags on and take them off, each in batches over everybody who needs it."""
    with job.store.read() as connection:
        work = plans.tag_work(connection, job.target.id)
    at_once = asyncio.Semaphore(_at_once(job))
    under_way: set[asyncio.Task[None]] = set()
    try:
        for tag, adds in work:
            after = b""
            while True:
                await at_once.acquire()
                _raise_first(under_way)
                with job.store.read() as connection:
                    size = job.destination.capabilities.batch_size
                    people = plans.tag_batch(connection, job.target.id, tag, adds, after, size)
                if not people:
                    at_once.release()
                    break
                after = people[-1][0]
                task = asyncio.create_task(_tag_batch(job, tag, adds, people))
                task.add_done_callback(lambda _task: at_once.release())
                under_way.add(task)
    finally:
        await asyncio.gather(*under_way, return_exceptions=True)
    _raise_first(under_way)


async def _tag_batch(job: Job, tag: str, adds: bool, people: Sequence[tuple[bytes, str]]) -> None:
    addresses = [email for _, email in people]
    add, remove = (addresses, []) if adds else ([], addresses)
    outcomes = await job.destination.tag(job.audience, tag, add, remove)
    with job.store.write() as connection:
        keys = [key for key, _ in people]
        entries = ledger.entries(connection, job.target.id, keys)
        refused = {
            key: outcome
            for (key, _), outcome in zip(people, outcomes, strict=True)
            if outcome.rejected is not None
        }
        changed_at = {key: outcome.changed_at for (key, _), outcome in zip(people, outcomes, strict=True)}
        tagged = [
            replace(_with_tag(entry, tag, adds, job), changed_at=changed_at[key] or entry.changed_at)
            for key, entry in entries.items()
            if key not in refused
        ]
        ledger.save_entries(connection, job.target.id, tagged)
        finished = plans.tags_done(connection, job.target.id, tag, keys)
        _finish_tags(connection, job, finished, entries, refused)
    job.progress(len(finished))


# --- closing a batch ---------------------------------------------------------------------------------


def _finish_writes(
    connection: Connection,
    job: Job,
    batch: Sequence[Planned],
    entries: dict[bytes, Entry],
    outcomes: Sequence[Outcome],
) -> None:
    seq = mirror.state_of(connection, job.target.source).seq
    written: list[Entry] = []
    report: list[ReportRow] = []
    done: list[bytes] = []
    tags_left: list[bytes] = []
    for one, outcome in zip(batch, outcomes, strict=True):
        change = one.change
        entry = entries.get(_held_under(one)) or Entry(change.key, Held(change.email, since_seq=seq))
        if outcome.rejected is not None and outcome.status is None:
            written.append(_rejected(connection, job, one, entries.get(change.key), outcome, seq))
            report.append(_row(job, change, "rejected", outcome.rejected, outcome.detail, entry))
            done.append(change.key)
            continue
        more = bool(change.tags_added or change.tags_removed)
        written.append(_written(one, entry, outcome, seq, more=more))
        how = (outcome.rejected, outcome.detail) if outcome.rejected else (change.reason, None)
        report.append(_row(job, change, _word(change, outcome), *how, entry))
        (tags_left if more else done).append(change.key)
        if change.email_before is not None:
            ledger.drop_entries(connection, job.target.id, [entry.key])
        if change.reason == "source_optout":
            _remember_optout(connection, job, change, entry)
    ledger.save_entries(connection, job.target.id, written)
    runs.add_rows(connection, job.run_id, job.clock(), report)
    plans.drop(connection, job.target.id, done)
    plans.advance(connection, job.target.id, tags_left, plans.TAG)


def _word(change: Change, outcome: Outcome) -> str:
    """Stored but for a field that was refused counts as rejected, and nowhere else."""
    return _WORDS[change.what] if outcome.rejected is None else "rejected"


def _made_but_for_tags(batch: Sequence[Planned], left: Sequence[Planned]) -> list[Planned]:
    """Creations of a cut-off write that turn out to have happened, with the tags that are still to come."""
    creations = {one.change.key: one.change for one in batch if one.change.what is What.CREATE}
    return [
        replace(one, change=replace(one.change, what=What.CREATE, reason=creations[one.change.key].reason))
        for one in left
        if one.change.key in creations and plans.first_step(one.change) == plans.TAG
    ]


def _finish_making(
    connection: Connection, job: Job, made: Sequence[Planned], entries: dict[bytes, Entry]
) -> None:
    """Report people as created, and let their changes go on with the tags."""
    nobody = Held("")
    report = [
        _row(
            job,
            one.change,
            "created",
            one.change.reason,
            None,
            entries.get(one.change.key) or Entry(b"", nobody),
        )
        for one in made
    ]
    runs.add_rows(connection, job.run_id, job.clock(), report)
    plans.save(connection, job.target.id, made)
    plans.advance(connection, job.target.id, [one.change.key for one in made], plans.TAG)


def _written(one: Planned, entry: Entry, outcome: Outcome, seq: int, *, more: bool) -> Entry:
    """The ledger's row after a write that was taken; not settled while tags are still to come."""
    change, held = one.change, entry.held
    status = outcome.status or change.status or held.status
    updated = replace(
        held,
        email=change.email,
        status=status,
        owned=held.owned or change.what is What.CREATE or change.reason == "fresh_consent",
        taken_out=False,
        since_seq=held.since_seq if change.status is None else seq,
        sent={**held.sent, **change.fields},
        found={name: value for name, value in held.found.items() if name not in change.fields},
    )
    if change.what is What.CREATE and held.status is not None:
        updated = replace(updated, tags=frozenset(), found_tags=frozenset())
    return Entry(
        change.key,
        updated,
        None if more else one.fp,
        _verdict_after(change, outcome),
        outcome.changed_at or entry.changed_at,
        outcome.remote_id or entry.remote_id,
    )


def _verdict_after(change: Change, outcome: Outcome) -> str | None:
    if outcome.rejected:
        return "rejected_before"
    return "suppressed" if change.status is Status.UNSUBSCRIBED else None


def _rejected(
    connection: Connection, job: Job, one: Planned, entry: Entry | None, outcome: Outcome, seq: int
) -> Entry:
    """Refused: not tried again until the row changes. A refusal may reveal that the person had left."""
    change = one.change
    entry = entry or Entry(change.key, Held(change.email, since_seq=seq))
    reasons = {
        Status.UNSUBSCRIBED: "unsubscribed",
        Status.BOUNCED: "bounced",
        Status.COMPLAINED: "complained",
    }
    reason = "erased" if outcome.rejected == "erased" else reasons.get(outcome.suppress or Status.ABSENT)
    if reason is not None and not ledger.suppressions(connection, job.target.account, [change.key]):
        barred = {change.key: Suppression(reason, job.clock())}
        ledger.suppress(connection, job.target.account, barred, origin="destination")
        if job.tells and reason != "erased":
            feedback.note(connection, job.target, barred)
    held = replace(entry.held, status=outcome.suppress) if outcome.suppress else entry.held
    return replace(entry, held=held, fp=one.fp, verdict="suppressed" if reason else "rejected_before")


def _remember_optout(connection: Connection, job: Job, change: Change, entry: Entry) -> None:
    wanted = ledger.wanted_of(connection, job.target.id, [change.key]).get(change.key)
    at = wanted[1].consent_at if wanted is not None else None
    barred = {change.key: Suppression("unsubscribed", at if at is not None else job.clock())}
    ledger.suppress(connection, job.target.account, barred, origin="source")


def _finish_removal(connection: Connection, job: Job, one: Planned, entry: Entry, outcome: Outcome) -> None:
    change = one.change
    if outcome.rejected is not None:
        entry = replace(entry, fp=one.fp, verdict="rejected_before")
        row = _row(job, change, "rejected", outcome.rejected, outcome.detail, entry)
    else:
        row = _row(job, change, "removed", change.reason, None, entry)
        status = _AFTER_REMOVAL[change.form or job.rules.removal]
        undone = change.reason == "undo"
        held = replace(entry.held, status=status, taken_out=not undone, tagged=False)
        verdict = "deleted_there" if undone else None
        entry = replace(entry, held=held, fp=one.fp, verdict=verdict, changed_at=outcome.changed_at)
    ledger.save_entries(connection, job.target.id, [entry])
    runs.add_rows(connection, job.run_id, job.clock(), [row])


def _with_tag(entry: Entry, tag: str, adds: bool, job: Job) -> Entry:
    held = entry.held
    if tag == job.rules.tag:
        held = replace(held, tagged=adds, owned=held.owned or adds, taken_out=not adds)
    else:
        held = replace(held, tags=held.tags | {tag} if adds else held.tags - {tag})
    return replace(entry, held=held)


def _finish_tags(
    connection: Connection,
    job: Job,
    finished: Sequence[Planned],
    before: dict[bytes, Entry],
    refused: dict[bytes, Outcome],
) -> None:
    """Settle the changes whose last tag is done; report those that had nothing but tags."""
    report = []
    for one in finished:
        change, refusal = one.change, refused.get(one.change.key)
        entry = before.get(change.key) or Entry(change.key, Held(change.email))
        if refusal is not None:
            report.append(_row(job, change, "rejected", refusal.rejected or "", refusal.detail, entry))
        elif plans.first_step(change) == plans.TAG:
            report.append(_row(job, change, _WORDS[change.what], change.reason, None, entry))
    settled: list[tuple[bytes, bytes | None, str | None]] = [
        (one.change.key, one.fp, _verdict(before.get(one.change.key), refused=one.change.key in refused))
        for one in finished
    ]
    ledger.settle(connection, job.target.id, settled)
    runs.add_rows(connection, job.run_id, job.clock(), report)


def _verdict(entry: Entry | None, *, refused: bool) -> str | None:
    if refused:
        return "rejected_before"
    return entry.verdict if entry is not None else None


# --- shapes ------------------------------------------------------------------------------------------


def as_write(change: Change, entry: Entry | None) -> Write:
    """The row that the destination gets: the new status, or the present one repeated."""
    present = entry.held.status if entry is not None else None
    status = change.status or present
    assert status is not None, "a change of somebody unknown has a status"
    return Write(
        change.email,
        status,
        change.fields,
        exists=present is not None,
        changes_status=change.status is not None and change.status is not present,
        remote_id=entry.remote_id if entry is not None else None,
        email_before=change.email_before,
    )


def _held_under(one: Planned) -> bytes:
    """The key of the ledger's row that a change is about: the former address of one who moved."""
    before = one.change.email_before
    return one.change.key if before is None else key_of(before)


def _as_member(change: Change, entry: Entry | None) -> Member:
    if entry is None or entry.held.status is None:
        return Member(change.email, Status.SUBSCRIBED)
    return Member(entry.held.email, entry.held.status, entry.remote_id)


def _marked_ours(change: Change, entries: dict[bytes, Entry]) -> Entry:
    entry = entries.get(change.key) or Entry(change.key, Held(change.email))
    return replace(entry, fp=None, held=replace(entry.held, owned=True))


def _as_found(one: Planned, entry: Entry | None) -> Outcome:
    """How a write ended of which only its effect is known."""
    if entry is None:
        return Outcome(one.change.email)
    status = entry.held.status
    if status not in MEMBER_STATUSES and status is not one.change.status:
        words = "The person has left while the write was under way."
        return Outcome(one.change.email, rejected="suppressed", detail=words, suppress=status)
    return Outcome(one.change.email, status=status, remote_id=entry.remote_id, changed_at=entry.changed_at)


def _row(job: Job, change: Change, what: str, reason: str, detail: str | None, entry: Entry) -> ReportRow:
    held = entry.held
    before: dict[str, Any] = {"status": held.status, "owned": held.owned}
    if change.fields:
        known = {**held.found, **held.sent}
        before["fields"] = {name: known[name] for name in change.fields if name in known}
    after: dict[str, Any] = {
        name: value
        for name, value in (
            ("status", change.status),
            ("fields", change.fields),
            ("tags_added", change.tags_added),
            ("tags_removed", change.tags_removed),
            ("email_before", change.email_before),
            ("form", change.form),
        )
        if value
    }
    return ReportRow(job.target.id, change.key, change.email, what, reason, detail, before, after)
