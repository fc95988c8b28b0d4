"""What people and scripts read: the line of a run, the rows of a plan and of a report."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from listbridge.changes import What
from listbridge.http import Calls
from listbridge.policy import Guard
from listbridge.store import Store, mirror, people, plans, runs
from listbridge.store.runs import ReportRow
from listbridge.store.targets import Target

COUNTS = ("created", "updated", "removed", "unchanged", "skipped", "rejected")
_PLANNED = {What.CREATE: "created", What.UPDATE: "updated", What.REMOVE: "removed"}
REJECTED_SHOWN = 1000
"""The line of a run lists so many rejected rows; ``report --rows rejected`` has them all."""


@dataclass(slots=True)
class Summary:
    """How one run or plan of one sync ended."""

    sync: str
    state: str = "done"
    run: str | None = None
    plan: str | None = None
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    calls: Calls = field(default_factory=Calls)
    seconds: float = 0.0
    skipped: dict[str, int] = field(default_factory=dict)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    guard: Guard | None = None
    feedback: dict[str, int] = field(default_factory=lambda: {"unsubscribed": 0, "bounced": 0})
    error: dict[str, str] | None = None
    warnings: list[str] = field(default_factory=list)
    impossible: list[dict[str, str]] = field(default_factory=list)

    def line(self) -> dict[str, Any]:
        """The JSON line."""
        run = {} if self.run is None else {"run": self.run}
        guard = self.guard
        return {
            **run,
            "sync": self.sync,
            "state": self.state,
            "plan": self.plan,
            "counts": self.counts,
            "calls": {"read": self.calls.read, "write": self.calls.write},
            "seconds": round(self.seconds, 2),
            "skipped": self.skipped,
            "rejected": self.rejected,
            "guard": guard and {"name": guard.name, "would": guard.would, "allowed": guard.allowed},
            "feedback": self.feedback,
            "error": self.error,
            "warnings": self.warnings,
            **({"impossible": self.impossible} if self.impossible else {}),
        }

    @property
    def has_changes(self) -> bool:
        return any(self.counts[name] for name in ("created", "updated", "removed"))


def count(connection: Connection, targets: list[Target], summary: Summary) -> None:
    """Fill in what a plan would do, or what a run did and what is left of its plan.

    Whoever is taken counts once: as touched, else as skipped with the reason, else as unchanged.
    """
    run_id = summary.run
    if run_id is None:
        for target in targets:
            for (what, _reason), number in plans.counts(connection, target.id).items():
                summary.counts[_PLANNED[What(what)]] += number
    else:
        for what, number in runs.counts(connection, run_id).items():
            if what in summary.counts:
                summary.counts[what] += number
        names = {target.id: target.list_name for target in targets} if len(targets) > 1 else {}
        rows, _ = runs.rows_of(connection, run_id, ["rejected"])
        summary.rejected = [reject_line(row, names.get(row.target)) for row in rows[:REJECTED_SHOWN]]
    for target in targets:
        taken, touched, skipped = people.count(connection, target.id, run_id)
        for reason, number in skipped.items():
            summary.skipped[reason] = summary.skipped.get(reason, 0) + number
        summary.counts["skipped"] += sum(skipped.values())
        summary.counts["unchanged"] += taken - touched - sum(skipped.values())
    _count_problems(connection, targets, summary)


def reject_line(row: ReportRow, audience: str | None) -> dict[str, Any]:
    where = {} if audience is None else {"audience": audience}
    return {"email": row.email, "reason": row.reason, "detail": row.detail, **where}


def changes(store: Store, targets: list[Target]) -> Iterator[dict[str, Any]]:
    """Person by person: what a plan would do and why, then who is left out and why."""
    yield from planned(store, targets)
    yield from not_planned(store, targets)


def planned(store: Store, targets: list[Target]) -> Iterator[dict[str, Any]]:
    """Person by person: what a plan would do and why."""
    for target in targets:
        where = {"audience": target.list_name} if len(targets) > 1 else {}
        after = b""
        while True:
            with store.read() as connection:
                page = plans.rows(connection, target.id, after)
            if not page:
                break
            for one in page:
                change = one.change
                yield {
                    "email": change.email,
                    "change": change.what.value,
                    "reason": change.reason,
                    "fields": dict(change.fields),
                    "status": change.status.value if change.status else None,
                    "tags_added": list(change.tags_added),
                    "tags_removed": list(change.tags_removed),
                    **({"email_before": change.email_before} if change.email_before else {}),
                    **({"removal": change.form} if change.form else {}),
                    **where,
                }
            after = page[-1].change.key


def not_planned(store: Store, targets: list[Target]) -> Iterator[dict[str, Any]]:
    """Person by person: who is taken and left out by a plan, and why."""
    for row in skipped(store, targets, None):
        left: dict[str, Any] = {"fields": {}, "status": None, "tags_added": [], "tags_removed": []}
        yield {"email": row.pop("email"), "change": row.pop("what").replace("skipped", "skip"), **row, **left}


def skipped(store: Store, targets: list[Target], run_id: str | None) -> Iterator[dict[str, Any]]:
    """Who is taken and left out, and not touched by the run; then the rows that cannot be used at all."""
    for target in targets:
        where = {"audience": target.list_name} if len(targets) > 1 else {}
        for email, reason in left_out(store, target, run_id):
            yield {"email": email or None, "what": "skipped", "reason": reason, **where}
    for source in sorted({target.source for target in targets}):
        with store.read() as connection:
            problems = mirror.problems(connection, source)
        for contact_id, problem in problems:
            reason, _, detail = problem.partition(": ")
            yield {"email": None, "what": "skipped", "reason": reason, "id": contact_id, "detail": detail}


def left_alone(store: Store, targets: list[Target], run_id: str) -> Iterator[dict[str, Any]]:
    """Who is taken, and neither touched by the run nor left out."""
    for target in targets:
        where = {"audience": target.list_name} if len(targets) > 1 else {}
        after = b""
        while True:
            with store.read() as connection:
                page = people.left_alone(connection, target.id, after, run_id)
            if not page:
                break
            for _, email in page:
                yield {"email": email, "what": "unchanged", "reason": "in_step", **where}
            after = page[-1][0]


def left_out(store: Store, target: Target, run_id: str | None = None) -> Iterator[tuple[str, str]]:
    """(address, reason) of everybody who is taken and left out."""
    after = b""
    while True:
        with store.read() as connection:
            page = people.left_out(connection, target.id, after, run_id)
        if not page:
            return
        yield from ((email, reason) for _, email, reason in page)
        after = page[-1][0]


def _count_problems(connection: Connection, targets: list[Target], summary: Summary) -> None:
    """Rows that cannot be used at all are skipped, once for the sync."""
    for source in {target.source for target in targets}:
        for contact_id, problem in mirror.problems(connection, source):
            reason, _, detail = problem.partition(": ")
            summary.skipped[reason] = summary.skipped.get(reason, 0) + 1
            summary.counts["skipped"] += 1
            if len(summary.warnings) < 20:
                summary.warnings.append(f"{source}, contact {contact_id}: {detail}")
