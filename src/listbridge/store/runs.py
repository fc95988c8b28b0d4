"""Runs and their reports: what each did to whom, and why."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, func, insert, select, update

from listbridge.store import bulk
from listbridge.store.ledger import PAGE
from listbridge.store.tables import report_row, run, storable

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True)
class ReportRow:
    """What a run did to one person: ``created``, ``updated``, ``removed``, ``rejected`` or ``feedback``.

    ``before`` and ``after`` hold what undo needs: status, fields, tags, address.
    """

    target: int
    key: bytes
    email: str
    what: str
    reason: str
    detail: str | None = None
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    at: float = 0.0
    run: str = ""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One execution of one sync; ``summary`` is the line that was printed."""

    id: str
    sync: str
    started_at: float
    ended_at: float | None
    state: str
    summary: dict[str, Any] | None


def new_id(at: float) -> str:
    """An id that sorts by time: 48 bits of milliseconds, 80 of chance, in Crockford's base 32 (ULID)."""
    number = round(at * 1000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def begin(connection: Connection, run_id: str, sync: str, at: float) -> None:
    connection.execute(insert(run).values(id=run_id, sync=sync, started_at=at, state="running"))


def end(connection: Connection, run_id: str, state: str, summary: dict[str, Any], at: float) -> None:
    values = {"state": state, "summary": orjson.dumps(summary), "ended_at": at}
    connection.execute(update(run).where(run.c.id == run_id).values(**values))


def find(connection: Connection, run_id: str | None) -> RunRow | None:
    """A run by its id, or the last one."""
    query = select(run).order_by(run.c.started_at.desc(), run.c.id.desc()).limit(1)
    row = connection.execute(query if run_id is None else query.where(run.c.id == run_id)).one_or_none()
    if row is None:
        return None
    summary = orjson.loads(row.summary) if row.summary else None
    return RunRow(row.id, row.sync, row.started_at, row.ended_at, row.state, summary)


def add_rows(connection: Connection, run_id: str, at: float, rows: Sequence[ReportRow]) -> None:
    values = [
        (
            run_id,
            row.target,
            row.key,
            storable(row.email),
            row.what,
            row.reason,
            None if row.detail is None else storable(row.detail),
            at,
            orjson.dumps(row.before) if row.before else None,
            orjson.dumps(row.after) if row.after else None,
        )
        for row in rows
    ]
    bulk.add_rows(connection, report_row, _COLUMNS, values)


def counts(connection: Connection, run_id: str) -> dict[str, int]:
    query = select(report_row.c.what, func.count()).where(report_row.c.run == run_id)
    return {row[0]: row[1] for row in connection.execute(query.group_by(report_row.c.what))}


def rows_of(
    connection: Connection, run_id: str, what: Iterable[str] | None = None, *, after: int = 0
) -> tuple[list[ReportRow], int]:
    """The next rows of a report and where to go on; an empty list at the end."""
    query = select(report_row).where(report_row.c.run == run_id, report_row.c.n > after)
    if what is not None:
        query = query.where(report_row.c.what.in_(list(what)))
    found = connection.execute(query.order_by(report_row.c.n).limit(PAGE)).all()
    return [_row(row) for row in found], found[-1].n if found else after


def history(connection: Connection, targets: Sequence[int], key: bytes) -> list[ReportRow]:
    """Everything that was ever done to one person in these audiences, in order."""
    query = select(report_row).where(report_row.c.key == key, report_row.c.target.in_(targets))
    return [_row(row) for row in connection.execute(query.order_by(report_row.c.n))]


def _row(row: Any) -> ReportRow:
    return ReportRow(
        row.target,
        row.key,
        row.email,
        row.what,
        row.reason,
        row.detail,
        orjson.loads(row.before) if row.before else {},
        orjson.loads(row.after) if row.after else {},
        row.at,
        row.run,
    )


_COLUMNS = ("run", "target", "key", "email", "what", "reason", "detail", "at", "before", "after")
