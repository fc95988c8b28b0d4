"""A plan that puts back what a run changed, as far as the platform and the law on consent let it.

What cannot be put back is told: an unsubscribe is never raised again, a person deleted for good cannot
return, a confirmation mail cannot be called back.
"""

from dataclasses import dataclass, field
from typing import Any

from listbridge import planning
from listbridge.changes import Change, What
from listbridge.errors import Misconfigured
from listbridge.model import Status
from listbridge.planner import UNTAG, Held, Rules
from listbridge.report import Summary
from listbridge.run import AudienceRun, Lane, Progress, Wish, carry_out, silent
from listbridge.session import Session
from listbridge.store import Store, ledger, plans, runs
from listbridge.store.plans import Planned
from listbridge.store.runs import ReportRow
from listbridge.store.targets import Target


async def undo_run(session: Session, run_id: str, wish: Wish, progress: Progress = silent) -> Summary:
    """Plan the way back of a run; carry it out, under the guards, if the wish acts.

    Raises ``Misconfigured`` for a run that is not known or whose sync is gone from the configuration.
    """
    with session.store.read() as connection:
        found = runs.find(connection, run_id)
    if found is None:
        raise Misconfigured(f"There is no run {run_id}. `listbridge report` names the last one.")
    if found.sync not in session.config.syncs:
        raise Misconfigured(f"The run {run_id} was of {found.sync}, which the configuration no longer has.")
    return await carry_out(_Undo(session, found.sync, wish, progress, run_id))


class _Undo(AudienceRun):
    """A run whose plan comes from an earlier run's report instead of the source."""

    def __init__(self, session: Session, name: str, wish: Wish, progress: Progress, run_id: str) -> None:
        super().__init__(session, name, wish, progress)
        self._run_id = run_id
        self._impossible: dict[int, list[tuple[str, str]]] = {}

    async def extract(self) -> None:
        """The source has no say in what was."""

    async def tell_source(self) -> None:
        """Nothing goes back to the source."""

    def plan_lane(self, lane: Lane) -> None:
        lane.members = planning.members(self.store, lane.target, lane.rules)
        undoing = plan_back(self.store, lane.target, lane.rules, self._run_id)
        self._impossible[lane.target.id] = undoing.impossible
        self.summary.impossible = [
            {"email": email, "reason": f"{email} {why}."}
            for found in self._impossible.values()
            for email, why in found
        ]


@dataclass(slots=True)
class Undoing:
    """What was planned, and what cannot be put back: (address, why)."""

    changes: int = 0
    impossible: list[tuple[str, str]] = field(default_factory=list)


def plan_back(store: Store, target: Target, lane_rules: Rules, run_id: str) -> Undoing:
    """Store the plan that takes a run back in one audience, instead of the target's own plan."""
    undoing = Undoing()
    with store.write() as connection:
        plans.drop(connection, target.id)
    last = 0
    while True:
        with store.write() as connection:
            rows, last = runs.rows_of(connection, run_id, ("created", "updated", "removed"), after=last)
            here = [row for row in rows if row.target == target.id]
            keys = [row.key for row in here]
            entries = ledger.entries(connection, target.id, keys)
            barred = ledger.suppressions(connection, target.account, keys)
            wanted = ledger.wanted_of(connection, target.id, keys)
            planned = []
            for row in here:
                entry = entries.get(row.key)
                answer = put_back(row, entry.held if entry else None, lane_rules, barred=row.key in barred)
                if isinstance(answer, Change):
                    fp = wanted[row.key][0] if row.key in wanted else None
                    planned.append(Planned(answer, fp))
                elif answer:
                    undoing.impossible.append((row.email, answer))
            plans.save(connection, target.id, planned)
            undoing.changes += len(planned)
        if not rows:
            return undoing


def put_back(row: ReportRow, held: Held | None, lane_rules: Rules, *, barred: bool) -> Change | str:
    """The change that takes one reported change back, or why there is none (empty: nothing to do)."""
    if held is None:
        return "is no longer known at the destination"
    if row.what == "created":
        return _take_out(row, held, lane_rules)
    if row.what == "removed":
        return _bring_back(row, held, lane_rules, barred=barred)
    return _restore(row, held)


def _take_out(row: ReportRow, held: Held, lane_rules: Rules) -> Change | str:
    if not held.listed:
        return ""
    form = lane_rules.removal if lane_rules.removal != UNTAG else "archive"
    return Change(row.key, held.email, What.REMOVE, "undo", form=form)


def _bring_back(row: ReportRow, held: Held, lane_rules: Rules, *, barred: bool) -> Change | str:
    if row.after.get("form") == UNTAG:
        return Change(row.key, held.email, What.UPDATE, "undo", tags_added=tuple(row.after["tags_removed"]))
    if row.after.get("form") == "delete":
        return "was deleted for good: the platform takes such an address back only from the person"
    if barred or held.status is Status.UNSUBSCRIBED:
        return "has unsubscribed or bounced: no sync brings them back"
    if held.listed:
        return ""
    before = Status(row.before["status"]) if row.before.get("status") else None
    if before is None:
        return "had no status that is known"
    fields = {**held.found, **held.sent}
    tags = (lane_rules.tag,) if lane_rules.tag else ()
    return Change(row.key, held.email, What.CREATE, "undo", status=before, fields=fields, tags_added=tags)


def _restore(row: ReportRow, held: Held) -> Change | str:
    if row.after.get("status") == Status.UNSUBSCRIBED:
        return "was unsubscribed because they refused: only they can take that back"
    if not held.listed:
        return "is no longer in the list"
    earlier: dict[str, Any] = row.before.get("fields", {})
    fields = {name: earlier.get(name, "") for name in row.after.get("fields", {})}
    now = {**held.found, **held.sent}
    fields = {name: value for name, value in fields.items() if now.get(name, "") != value}
    added = tuple(tag for tag in row.after.get("tags_removed", ()) if tag not in held.tags)
    removed = tuple(tag for tag in row.after.get("tags_added", ()) if tag in held.tags)
    if not (fields or added or removed):
        return "got another status, which stays" if row.after.get("status") else ""
    return Change(
        row.key, held.email, What.UPDATE, "undo", fields=fields, tags_added=added, tags_removed=removed
    )
