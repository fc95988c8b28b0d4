"""Counting people: who is taken, who was touched, who is left out and why."""

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from listbridge.store.ledger import PAGE
from listbridge.store.tables import ledger, plan, report_row, wanted

_TOUCHING = ("created", "updated", "removed", "rejected")


def count(connection: Connection, target: int, run_id: str | None) -> tuple[int, int, dict[str, int]]:
    """How many are taken; how many of them a plan or a run touches; why the others are left out."""
    taken = (wanted.c.target == target, wanted.c.taken == 1)
    all_taken = connection.execute(select(func.count()).where(*taken)).scalar_one()
    touched = connection.execute(select(func.count()).where(*taken, _touched(target, run_id))).scalar_one()
    left = (
        select(ledger.c.verdict, func.count())
        .select_from(ledger.join(wanted, _SAME))
        .where(ledger.c.target == target, ledger.c.verdict.is_not(None), wanted.c.taken == 1)
        .where(~_touched(target, run_id))
        .group_by(ledger.c.verdict)
    )
    return all_taken, touched, {row[0]: row[1] for row in connection.execute(left)}


def left_out(
    connection: Connection, target: int, after: bytes, run_id: str | None = None
) -> list[tuple[bytes, str, str]]:
    """The next people who are taken and left out, and whom the run did not touch: (key, address, reason)."""
    query = (
        select(ledger.c.key, ledger.c.email, ledger.c.verdict)
        .select_from(ledger.join(wanted, _SAME))
        .where(
            ledger.c.target == target,
            ledger.c.verdict.is_not(None),
            wanted.c.taken == 1,
            ledger.c.key > after,
            ~_touched(target, run_id),
        )
        .order_by(ledger.c.key)
        .limit(PAGE)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def left_alone(connection: Connection, target: int, after: bytes, run_id: str) -> list[tuple[bytes, str]]:
    """The next people who are taken, not left out, and whom the run did not touch: (key, address)."""
    query = (
        select(wanted.c.key, ledger.c.email)
        .select_from(wanted.join(ledger, _SAME))
        .where(
            wanted.c.target == target,
            wanted.c.taken == 1,
            ledger.c.verdict.is_(None),
            wanted.c.key > after,
            ~_touched(target, run_id),
        )
        .order_by(wanted.c.key)
        .limit(PAGE)
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def _touched(target: int, run_id: str | None) -> ColumnElement[bool]:
    planned = exists().where(plan.c.target == target, plan.c.key == wanted.c.key)
    if run_id is None:
        return planned
    reported = wanted.c.key.in_(
        select(report_row.c.key).where(
            report_row.c.run == run_id, report_row.c.target == target, report_row.c.what.in_(_TOUCHING)
        )
    )
    return or_(planned, reported)


_SAME = and_(wanted.c.target == ledger.c.target, wanted.c.key == ledger.c.key)
