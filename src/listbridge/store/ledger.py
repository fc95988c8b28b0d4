"""Wanted, ledger and suppressions: reading them, writing them, and the diff between them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, and_, bindparam, delete, exists, func, or_, select, update

from listbridge.consent import Suppression
from listbridge.model import MEMBER_STATUSES, Status
from listbridge.planner import Held
from listbridge.selection import Wanted
from listbridge.store.mirror import upsert
from listbridge.store.tables import ledger, sighting, suppression, wanted

PAGE = 5000


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger, whole."""

    key: bytes
    held: Held
    fp: bytes | None = None
    verdict: str | None = None
    changed_at: float | None = None
    remote_id: str | None = None


# --- wanted ------------------------------------------------------------------------------------------


def save_wanted(
    connection: Connection, target: int, rows: Sequence[tuple[bytes, bytes, bool, bytes]]
) -> None:
    """Write (key, fingerprint, taken, packed)."""
    if rows:
        connection.execute(
            _replace(connection, wanted, ("target", "key")),
            [
                {"target": target, "key": key, "fp": fp, "taken": int(taken), "packed": packed}
                for key, fp, taken, packed in rows
            ],
        )


def drop_wanted(connection: Connection, target: int, keys: Sequence[bytes] | None = None) -> None:
    """Forget these people, or everybody."""
    statement = delete(wanted).where(wanted.c.target == target)
    connection.execute(statement if keys is None else statement.where(wanted.c.key.in_(keys)))


def wanted_of(connection: Connection, target: int, keys: Sequence[bytes]) -> dict[bytes, tuple[bytes, Wanted]]:
    """Key → (fingerprint, wanted)."""
    rows = connection.execute(_WANTED, {"target": target, "keys": keys})
    return {row[0]: (row[1], Wanted.unpacked(row[2])) for row in rows}


# --- the diff ----------------------------------------------------------------------------------------


def changed_keys(connection: Connection, target: int, after: bytes) -> list[bytes]:
    """The next people, in the order of keys, whose wanted state is not the one settled last."""
    return list(connection.scalars(_CHANGED, {"target": target, "after": after}))


def unknown_keys(connection: Connection, target: int, after: bytes, *, owned_only: bool) -> list[bytes]:
    """The next members of the audience's list of whom the source says nothing."""
    query = _UNKNOWN_OWNED if owned_only else _UNKNOWN
    return list(connection.scalars(query, {"target": target, "after": after}))


# --- ledger ------------------------------------------------------------------------------------------


def entries(connection: Connection, target: int, keys: Sequence[bytes]) -> dict[bytes, Entry]:
    rows = connection.execute(_ENTRIES, {"target": target, "keys": keys})
    return {row.key: _entry(row) for row in rows}


def save_entries(connection: Connection, target: int, rows: Iterable[Entry]) -> None:
    """Insert or replace whole rows."""
    values = [_values(target, entry) for entry in rows]
    if values:
        connection.execute(_replace(connection, ledger, ("target", "key")), values)


def drop_entries(connection: Connection, target: int, keys: Sequence[bytes]) -> None:
    connection.execute(delete(ledger).where(ledger.c.target == target, ledger.c.key.in_(keys)))


def settle(
    connection: Connection, target: int, rows: Sequence[tuple[bytes, bytes | None, str | None]]
) -> None:
    """Write what was decided about people who are in the ledger: (key, fingerprint, verdict)."""
    if rows:
        connection.execute(
            _SETTLE, [{"of": target, "who": key, "as_fp": fp, "why": verdict} for key, fp, verdict in rows]
        )


def decide_again(connection: Connection, targets: Sequence[int], keys: Sequence[bytes]) -> None:
    """Make the next plan look at these people, whatever their fingerprints say."""
    if keys and targets:
        connection.execute(
            update(ledger).where(ledger.c.target.in_(targets), ledger.c.key.in_(keys)).values(fp=None)
        )


def count_after(connection: Connection, target: int, at: float | None) -> int:
    """How many people in the list the ledger holds that changed there after a time."""
    query = select(func.count()).where(
        ledger.c.target == target,
        ledger.c.status.is_not(None),
        ledger.c.status.not_in((Status.ARCHIVED.value, Status.ABSENT.value)),
    )
    if at is not None:
        query = query.where(ledger.c.changed_at > at)
    return connection.execute(query).scalar_one()


def count_members(connection: Connection, target: int, *, tagged: bool) -> int:
    """D: the audience's present members who are not suppressed."""
    query = select(func.count()).where(ledger.c.target == target, ledger.c.status.in_(_MEMBERS))
    if tagged:
        query = query.where(ledger.c.tagged == 1)
    return connection.execute(query).scalar_one()


def sight(connection: Connection, target: int, keys: Sequence[bytes]) -> None:
    """Note that a full read of the audience has seen these people."""
    statement = upsert(connection, sighting).on_conflict_do_nothing(index_elements=["target", "key"])
    connection.execute(statement, [{"target": target, "key": key} for key in keys])


def unsighted(connection: Connection, target: int, after: bytes = b"") -> list[bytes]:
    """The next people whom the ledger holds and the full read has not seen."""
    query = select(ledger.c.key).where(
        ledger.c.target == target,
        ledger.c.key > after,
        ledger.c.status.is_not(None),
        ledger.c.status != Status.ABSENT.value,
        ~exists().where(sighting.c.target == ledger.c.target, sighting.c.key == ledger.c.key),
    )
    return list(connection.scalars(query.order_by(ledger.c.key).limit(PAGE)))


def forget_sightings(connection: Connection, target: int) -> None:
    connection.execute(delete(sighting).where(sighting.c.target == target))


# --- suppressions ------------------------------------------------------------------------------------


def suppressions(connection: Connection, account: str, keys: Sequence[bytes]) -> dict[bytes, Suppression]:
    rows = connection.execute(_SUPPRESSED, {"account": account, "keys": keys})
    return {row.key: Suppression(row.reason, row.at) for row in rows}


def suppress(
    connection: Connection, account: str, rows: Mapping[bytes, Suppression], *, origin: str
) -> None:
    """Add withdrawals; one that is there already stays, unless the new one is later."""
    if not rows:
        return
    statement = upsert(connection, suppression)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["account", "key"],
            set_={name: statement.excluded[name] for name in ("reason", "at", "origin")},
            where=suppression.c.at < statement.excluded.at,
        ),
        [
            {"account": account, "key": key, "reason": one.reason, "at": one.at, "origin": origin}
            for key, one in rows.items()
        ],
    )


def carry_withdrawals(connection: Connection, moves: Sequence[tuple[bytes, bytes]]) -> None:
    """A withdrawal goes along with a person from a former address to a new one: (old key, new key)."""
    for account in connection.scalars(select(suppression.c.account).distinct()).all() if moves else ():
        barred = suppressions(connection, account, [old for old, _ in moves])
        carried = {new: barred[old] for old, new in moves if old in barred}
        suppress(connection, account, carried, origin="address changed")


def lift(connection: Connection, account: str, keys: Sequence[bytes]) -> None:
    """The people came back on their own."""
    connection.execute(
        delete(suppression).where(suppression.c.account == account, suppression.c.key.in_(keys))
    )


# --- rows --------------------------------------------------------------------------------------------


def _entry(row: Any) -> Entry:
    return Entry(
        row.key,
        Held(
            email=row.email,
            status=Status(row.status) if row.status else None,
            owned=bool(row.owned),
            taken_out=bool(row.taken_out),
            tagged=bool(row.tagged),
            opted_in_at=row.opted_in_at,
            sent=orjson.loads(row.sent) if row.sent else {},
            found=orjson.loads(row.found) if row.found else {},
            tags=frozenset(orjson.loads(row.tags)) if row.tags else frozenset(),
            found_tags=frozenset(orjson.loads(row.found_tags)) if row.found_tags else frozenset(),
            since_seq=row.since_seq,
        ),
        row.fp,
        row.verdict,
        row.changed_at,
        row.remote_id,
    )


def _values(target: int, entry: Entry) -> dict[str, Any]:
    held = entry.held
    return {
        "target": target,
        "key": entry.key,
        "fp": entry.fp,
        "status": held.status.value if held.status else None,
        "owned": int(held.owned),
        "taken_out": int(held.taken_out),
        "tagged": int(held.tagged),
        "verdict": entry.verdict,
        "changed_at": entry.changed_at,
        "opted_in_at": held.opted_in_at,
        "since_seq": held.since_seq,
        "email": held.email,
        "remote_id": entry.remote_id,
        "sent": orjson.dumps(held.sent) if held.sent else None,
        "found": orjson.dumps(held.found) if held.found else None,
        "tags": orjson.dumps(sorted(held.tags)) if held.tags else None,
        "found_tags": orjson.dumps(sorted(held.found_tags)) if held.found_tags else None,
    }


def _replace(connection: Connection, table: Any, keys: Sequence[str]) -> Any:
    statement = upsert(connection, table)
    return statement.on_conflict_do_update(
        index_elements=list(keys),
        set_={column.name: statement.excluded[column.name] for column in table.c if column.name not in keys},
    )


_MEMBERS = [status.value for status in MEMBER_STATUSES]
_SAME_PERSON = and_(wanted.c.target == ledger.c.target, wanted.c.key == ledger.c.key)
_WANTED = select(wanted.c.key, wanted.c.fp, wanted.c.packed).where(
    wanted.c.target == bindparam("target"), wanted.c.key.in_(bindparam("keys", expanding=True))
)
_ENTRIES = select(ledger).where(
    ledger.c.target == bindparam("target"), ledger.c.key.in_(bindparam("keys", expanding=True))
)
_SUPPRESSED = select(suppression).where(
    suppression.c.account == bindparam("account"), suppression.c.key.in_(bindparam("keys", expanding=True))
)
_SETTLE = (
    update(ledger)
    .where(ledger.c.target == bindparam("of"), ledger.c.key == bindparam("who"))
    .values(fp=bindparam("as_fp"), verdict=bindparam("why"))
)
# Somebody who is not taken and not in the ledger needs no decision. The two indexes named are narrow and
# hold all that is asked for, so that the wide rows are read for changed people only.
_CHANGED = (
    select(wanted.c.key)
    .select_from(
        wanted.outerjoin(
            ledger, and_(ledger.c.target == bindparam("target"), ledger.c.key == wanted.c.key)
        )
    )
    .with_hint(wanted, "INDEXED BY wanted_diff", "sqlite")
    .with_hint(ledger, "INDEXED BY ledger_diff", "sqlite")
    .where(
        wanted.c.target == bindparam("target"),
        wanted.c.key > bindparam("after"),
        or_(
            and_(ledger.c.key.is_(None), wanted.c.taken == 1),
            and_(ledger.c.key.is_not(None), or_(ledger.c.fp.is_(None), ledger.c.fp != wanted.c.fp)),
        ),
    )
    .order_by(wanted.c.key)
    .limit(PAGE)
)
_UNKNOWN = (
    select(ledger.c.key)
    .where(
        ledger.c.target == bindparam("target"),
        ledger.c.key > bindparam("after"),
        ledger.c.status.in_(_MEMBERS),
        ~exists().where(wanted.c.target == bindparam("target"), wanted.c.key == ledger.c.key),
    )
    .order_by(ledger.c.key)
    .limit(PAGE)
)
_UNKNOWN_OWNED = _UNKNOWN.where(ledger.c.owned == 1)
