"""One run of one sync, top to bottom: extract → look → wanted → plan → guards → apply → report."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from listbridge import feedback, planning, report, rules, wanting
from listbridge.apply import Job, apply
from listbridge.changes import What
from listbridge.config import AudienceSync
from listbridge.connectors.base import Audience, Destination
from listbridge.errors import ListbridgeError, Stop
from listbridge.extract import Reading, extract
from listbridge.feedback import WriteBack
from listbridge.http import Calls
from listbridge.look import Seen, look, remembered
from listbridge.planner import Rules
from listbridge.policy import Figures, Guard, tripped
from listbridge.report import Summary
from listbridge.rules import Place
from listbridge.selection import Shape
from listbridge.session import Session
from listbridge.store import mirror, plans, runs, targets
from listbridge.store.runs import ReportRow
from listbridge.store.sharing import held
from listbridge.store.targets import Target

Progress = Callable[[str, int], None]
"""(stage, how many more are done)"""


def silent(_stage: str, _done: int) -> None:
    """No progress shown."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a run is asked for. ``acts`` False makes a plan only; ``approve`` lets one guarded plan through."""

    acts: bool = True
    full: bool = False
    approve: str | None = None


@dataclass(slots=True)
class Lane:
    """One audience of the sync on its way through the run."""

    place: Place
    target: Target
    shape: Shape
    rules: Rules
    audience: Audience
    missing: bool = False  # the audience is still to be made
    fresh: bool = False  # found and read in this run: nothing needs to be looked at again
    members: int = 0


async def run_sync(session: Session, name: str, wish: Wish, progress: Progress = silent) -> Summary:
    """Plan a sync, and carry the plan out if the wish says so.

    Never raises what a person must mend: that is the summary's ``error``, state ``stopped``. A run that is
    killed leaves a store from which the next one goes on.
    """
    return await carry_out(AudienceRun(session, name, wish, progress))


async def carry_out(run: "AudienceRun") -> Summary:
    """Let a run go through its stages, and write down how it ended."""
    session, summary = run.session, run.summary
    began, calls_before = time.monotonic(), run.calls()
    if run.wish.acts:
        summary.run = runs.new_id(session.clock())
        with _told(summary), session.store.write() as connection:
            runs.begin(connection, summary.run, run.name, session.clock())
    if summary.error is None:
        with _told(summary):
            await run.go()
    spent = run.calls()
    summary.calls = Calls(spent.read - calls_before.read, spent.write - calls_before.write)
    summary.seconds = time.monotonic() - began
    with _told(summary):
        run.close()
    return summary


@contextmanager
def _told(summary: Summary) -> Iterator[None]:
    """What a person must mend ends up in the summary."""
    try:
        yield
    except Stop as stop:
        summary.state, summary.error = "stopped", {"kind": stop.kind, "message": stop.message}
    except ListbridgeError as error:
        summary.state, summary.error = "stopped", {"kind": "unreachable", "message": str(error)}


class AudienceRun:
    """The stages of one run, each stored before the next begins."""

    def __init__(self, session: Session, name: str, wish: Wish, progress: Progress) -> None:
        self.session, self.name, self.wish, self.progress = session, name, wish, progress
        self.summary = Summary(name)
        self.store = session.store
        self.sync: AudienceSync = rules.audience_sync(session.config, name)
        self.lanes: list[Lane] = []

    async def go(self) -> None:
        with ExitStack() as locks:
            for place in sorted(rules.places(self.sync), key=lambda one: one.key):
                locks.enter_context(held(self.store, f"audience {self.sync.destination} {place.list}"))
            await self.extract()
            await self.open_lanes()
            await self.make_plan()
            await self.make_sure()
            self.summary.plan = self.plan_id()
            guard = await self.guard()
            if guard is not None and not self.approved():
                self.wait_for(guard)
            if not self.wish.acts:
                self._count_news()
            elif self.summary.guard is None:
                await self.tell_source()
                await self.act()
                self.accept()

    # --- extract ---

    async def extract(self) -> None:
        """Read the source, once for all syncs of one command."""
        name = self.sync.source
        if name in self.session.read_sources:
            return
        source, now = self.session.source(name), self.session.clock()
        with held(self.store, f"source {name}"):
            with self.store.read() as connection:
                state = mirror.state_of(connection, name)
            last = state.complete_at
            overdue = not source.tells_deletions and (last is None or now - last >= self.sync.full_every)
            reading = await extract(
                self.store,
                name,
                source,
                full=self.wish.full or overdue,
                now=now,
                progress=_counter(self.progress, "reading the source"),
            )
        self.session.read_sources.add(name)
        self._warn_of_duplicates(reading)

    def _warn_of_duplicates(self, reading: Reading) -> None:
        if reading.duplicates:
            shown = ", ".join(reading.duplicate_ids)
            self.summary.warnings.append(
                f"{self.sync.source} gives {reading.duplicates} ids more than once ({shown}); the first "
                "row of each counts. An id must name one person."
            )

    # --- the audiences ---

    async def open_lanes(self) -> None:
        for place in rules.places(self.sync):
            lane = await self._lane(place)
            self.lanes.append(lane)
            if self.wish.full and self.wish.acts:
                planning.try_rejected_again(self.store, lane.target)
            if not lane.missing:
                await self._look(lane, full=self.wish.full, thorough=self.sync.restore_deleted)

    async def _lane(self, place: Place) -> Lane:
        sync, store = self.sync, self.store
        with store.write() as connection:
            target = targets.open_target(connection, self.name, sync.source, sync.destination, place.key)
            labels = mirror.labels(connection, sync.source)
        rules.refuse_unknown_fields(sync, labels)
        planning.recover(store, target)
        connector = self.session.config.connections[sync.source].connector
        shape = rules.shape(sync, place, rules.selection(sync, place, labels, sync.source), connector)
        known = remembered(target)
        if self.wish.full or target.version != shape.version:
            known = None
        found = known or await self._find(place, shape)
        rules.refuse_rivals(self.session.config, self.name, place, found)
        lane_rules = self._rules(place, shape, found)
        return Lane(place, target, shape, lane_rules, found, missing=not found.id, fresh=known is None)

    async def _find(self, place: Place, shape: Shape) -> Audience:
        """The audience as it is there now; an empty id says that it is still to be made."""
        destination = self.destination
        tags = rules.tags_of(shape, place.tag)
        found = await destination.find(place.list, tuple(shape.fields), tags)
        if found is None:
            if not place.create:
                raise Stop(
                    "not_found",
                    f"{self.sync.destination} has no audience {place.list}. Write its id or exact name, or set "
                    "create: true to have it made.",
                )
            return rules.unknown_audience(place)
        self._check_parts(place, shape, found)
        return found

    def _check_parts(self, place: Place, shape: Shape, found: Audience) -> None:
        if place.create:
            return
        missing = [name for name in shape.fields if name not in found.fields]
        if missing:
            raise Stop(
                "not_found",
                f"The audience {found.name} has no field {', '.join(missing)}. Make it there, correct `fields`, "
                "or set create: true to have it made.",
            )
        if place.tag is not None and place.tag not in found.tags:
            raise Stop(
                "not_found",
                f"The audience {found.name} has no tag {place.tag}. Correct `tag`, or set create: true to have "
                "it made.",
            )

    async def _look(self, lane: Lane, *, full: bool = False, thorough: bool = False) -> Seen:
        seen = await look(
            self.store,
            lane.target,
            self.destination,
            lane.audience,
            now=self.session.clock(),
            full=full,
            thorough=thorough,
            tells=self.sync.feedback,
            progress=_counter(self.progress, "reading the audience"),
        )
        lane.target = self._reloaded(lane)
        return seen

    # --- plan ---

    async def make_plan(self) -> None:
        for lane in self.lanes:
            self.plan_lane(lane)

    def plan_lane(self, lane: Lane) -> None:
        canonical = self._canonical(lane)
        told = _counter(self.progress, "working out")
        wanting.work_out(self.store, lane.target, lane.shape, canonical, told)
        lane.target = self._reloaded(lane)
        lane.members = planning.members(self.store, lane.target, lane.rules)
        planning.plan(
            self.store,
            lane.target,
            lane.rules,
            may_remove=True,
            progress=_counter(self.progress, "planning"),
        )

    async def make_sure(self) -> None:
        """Before anything is written: look at what cheap looks cannot see, and plan again if it matters."""
        for lane in self.lanes:
            with self.store.read() as connection:
                idle = plans.is_empty(connection, lane.target.id)
            if idle or lane.fresh:
                self._remember(lane)
                continue
            found = await self._find(lane.place, lane.shape)
            if not found.id:
                raise Stop(
                    "not_found", f"{self.sync.destination} no longer has the audience {lane.place.list}."
                )
            changed_rules = self._rules(lane.place, lane.shape, found)
            seen = await self._look(lane, thorough=True)
            again = bool(seen.changed) or changed_rules != lane.rules
            lane.audience, lane.rules = found, changed_rules
            self._remember(lane)
            if again:
                self.plan_lane(lane)

    def _remember(self, lane: Lane) -> None:
        if lane.missing:
            return
        with self.store.write() as connection:
            targets.save(connection, lane.target.id, audience=orjson.dumps(asdict(lane.audience)))

    def plan_id(self) -> str:
        with self.store.read() as connection:
            return plans.digest(connection, [(lane.target.id, lane.place.key) for lane in self.lanes])

    # --- guards ---

    async def guard(self) -> Guard | None:
        settings = rules.guard_settings(self.sync)
        with self.store.read() as connection:
            state = mirror.state_of(connection, self.sync.source)
            planned = [plans.counts(connection, lane.target.id) for lane in self.lanes]
        creates = sum(n for one in planned for (what, _), n in one.items() if what == What.CREATE)
        contacts = await self._contacts(creates, planned)
        for lane, counted in zip(self.lanes, planned, strict=True):
            self._set_baseline(lane, state.complete_count)
            figures = Figures(
                members=lane.members,
                creates=_count(counted, What.CREATE),
                removals=_count(counted, What.REMOVE),
                without_consent=counted.get((What.CREATE, "without_consent"), 0),
                without_consent_allowed=lane.target.without_consent,
                source_before=lane.target.source_count,
                source_now=state.complete_count,
                contacts=None if contacts is None else contacts + creates - _count(counted, What.CREATE),
                contact_limit=self._contact_limit(),
            )
            trip = tripped(figures, settings)
            if trip is not None:
                return trip
        return None

    def _set_baseline(self, lane: Lane, contacts: int | None) -> None:
        """The first complete read that a sync sees is what its first drop is measured against."""
        if lane.target.source_count is None:
            with self.store.write() as connection:
                targets.save(connection, lane.target.id, source_count=contacts)
            lane.target = self._reloaded(lane)

    async def _contacts(self, creates: int, planned: Sequence[dict[tuple[str, str], int]]) -> int | None:
        """The account's contacts, less those that the plan takes out; asked for only where it matters."""
        if self._contact_limit() is None or not creates:
            return None
        leaves = sum(
            _count(counted, What.REMOVE)
            for lane, counted in zip(self.lanes, planned, strict=True)
            if lane.rules.removal in ("archive", "delete")
        )
        return await self.destination.contacts() - leaves

    def approved(self) -> bool:
        """Whether the operator let this very plan through; that people without consent are in it is kept."""
        if self.wish.approve is None or self.wish.approve != self.summary.plan:
            return False
        with self.store.write() as connection:
            for lane in self.lanes:
                counted = plans.counts(connection, lane.target.id)
                if counted.get((What.CREATE, "without_consent")):
                    targets.save(connection, lane.target.id, without_consent=1)
        return True

    def wait_for(self, guard: Guard) -> None:
        self.summary.state, self.summary.guard = "waiting", guard
        if self.wish.approve is not None:
            self.summary.warnings.append(
                f"The plan has changed since {self.wish.approve} was shown; look at {self.summary.plan} anew."
            )

    # --- act ---

    async def tell_source(self) -> None:
        """Feedback: what left at the destination goes back to the source."""
        if not self.sync.feedback:
            self._count_news()
            return
        source = self.session.source(self.sync.source)
        result = await feedback.write_back(self.store, self.sync.source, source, now=self.session.clock())
        self._report_write_back(result)

    def _count_news(self) -> None:
        """What the source would be told."""
        if self.sync.feedback:
            self.summary.feedback |= feedback.waiting(self.store, self.sync.source)

    def _report_write_back(self, result: WriteBack) -> None:
        for what, people in result.people.items():
            self.summary.feedback[what] = len(people)
        if result.unsupported:
            self.summary.warnings.append(
                f"{self.sync.source} has no place for {result.unsupported} of the unsubscribes and bounces; "
                "nobody of them is mailed by any sync all the same."
            )
        assert self.summary.run is not None
        rows = [
            ReportRow(self.lanes[0].target.id, key, one.email, "rejected", "feedback_failed", detail)
            for key, one, detail in result.failed
        ]
        with self.store.write() as connection:
            runs.add_rows(connection, self.summary.run, self.session.clock(), rows)

    async def act(self) -> None:
        for lane in self.lanes:
            with self.store.read() as connection:
                if plans.is_empty(connection, lane.target.id):
                    continue
            await self._prepare(lane)
            await apply(self._job(lane))

    async def _prepare(self, lane: Lane) -> None:
        """Make what is missing there: the audience, its fields, its tags."""
        destination = self.destination
        if lane.missing:
            lane.audience = await destination.create(lane.place.list)
            lane.missing = False
            lane.rules = self._rules(lane.place, lane.shape, lane.audience)
        with self.store.read() as connection:
            tags = plans.all_tags(connection, lane.target.id)
        fields = tuple(lane.shape.fields)
        missing = [name for name in fields if name not in lane.audience.fields]
        absent = [tag for tag in tags if tag not in lane.audience.tags]
        if missing or absent:
            made = await destination.prepare(lane.audience, fields, (*lane.audience.tags, *absent))
            lane.audience = replace(
                made,
                fields={**lane.audience.fields, **made.fields},
                tags={**lane.audience.tags, **made.tags},
            )
        self._remember(lane)

    def _job(self, lane: Lane) -> Job:
        assert self.summary.run is not None

        async def look_again() -> None:
            await self._look(lane, thorough=True)

        return Job(
            store=self.store,
            target=lane.target,
            destination=self.destination,
            audience=lane.audience,
            rules=lane.rules,
            run_id=self.summary.run,
            clock=self.session.clock,
            look_again=look_again,
            tells=self.sync.feedback,
            redecide=lambda keys: planning.redecide(self.store, lane.target, lane.rules, keys),
            progress=_counter(self.progress, "sending"),
        )

    def accept(self) -> None:
        """The run went well: what the source holds now is what the next drop is measured against."""
        with self.store.write() as connection:
            state = mirror.state_of(connection, self.sync.source)
            for lane in self.lanes:
                targets.save(connection, lane.target.id, source_count=state.complete_count)

    # --- close ---

    def close(self) -> None:
        """Count, and write the report's end."""
        summary = self.summary
        with self.store.write() as connection:
            report.count(connection, [lane.target for lane in self.lanes], summary)
            if summary.run is not None:
                runs.end(connection, summary.run, summary.state, summary.line(), self.session.clock())

    # --- small things ---

    def calls(self) -> Calls:
        """The requests so far at both ends."""
        return self.session.calls_of(self.sync.source, self.sync.destination)

    @property
    def destination(self) -> Destination:
        return self.session.destination(self.sync.destination)

    def _rules(self, place: Place, shape: Shape, audience: Audience) -> Rules:
        return rules.rules(self.sync, place, shape, audience, self.destination.capabilities)

    def _canonical(self, lane: Lane) -> Callable[[str, str], str]:
        destination, audience = self.destination, lane.audience
        return lambda name, value: destination.canonical(audience, name, value)

    def _contact_limit(self) -> int | None:
        options: Any = self.session.config.connections[self.sync.destination].options
        limit: int | None = getattr(options, "contact_limit", None)
        return limit

    def _reloaded(self, lane: Lane) -> Target:
        with self.store.read() as connection:
            return targets.by_id(connection, lane.target.id)


def _count(counted: dict[tuple[str, str], int], what: What) -> int:
    return sum(number for (kind, _), number in counted.items() if kind == what)


def _counter(progress: Progress, stage: str) -> Callable[[int], None]:
    return lambda done: progress(stage, done)
