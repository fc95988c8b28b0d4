"""Wanted, ledger and suppressions: reading them, writing them, and the diff between them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, exists, func, select, update

from listbridge.consent import Suppression
from listbridge.model import MEMBER_STATUSES, Status
from listbridge.planner import Held
from listbridge.selection import Wanted
from listbridge.store.bulk import hinted, parts, replace_rows, rows_in, update_rows, upsert
from listbridge.store.tables import ledger, sighting, storable, suppression, wanted

PAGE = 2000


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
    values = [(target, key, fp, int(taken), packed) for key, fp, taken, packed in rows]
    replace_rows(connection, wanted, ("target", "key", "fp", "taken", "packed"), 2, values)


def drop_wanted(connection: Connection, target: int, keys: Sequence[bytes] | None = None) -> None:
    """Forget these people, or everybody."""
    statement = delete(wanted).where(wanted.c.target == target)
    if keys is None:
        connection.execute(statement)
    else:
        for part in parts(keys):
            connection.execute(statement.where(wanted.c.key.in_(part)))


def wanted_of(
    connection: Connection, target: int, keys: Sequence[bytes]
) -> dict[bytes, tuple[bytes, Wanted]]:
    """Key → (fingerprint, wanted)."""
    rows = rows_in(connection, _WANTED, "keys", keys, target=target)
    return {row[0]: (row[1], Wanted.unpacked(row[2])) for row in rows}


# --- the diff ----------------------------------------------------------------------------------------


def changed_keys(connection: Connection, target: int, after: bytes) -> list[bytes]:
    """The next people, in the order of keys, whose wanted state is not the one settled last."""
    query = _CHANGED[connection.dialect.name]
    return list(connection.scalars(query, {"target": target, "after": after, "page": PAGE}))


def unknown_keys(connection: Connection, target: int, after: bytes, *, owned_only: bool) -> list[bytes]:
    """The next members of the audience's list of whom the source says nothing."""
    query = (_UNKNOWN_OWNED if owned_only else _UNKNOWN)[connection.dialect.name]
    return list(connection.scalars(query, {"target": target, "after": after, "page": PAGE}))


# --- ledger ------------------------------------------------------------------------------------------


def entries(connection: Connection, target: int, keys: Sequence[bytes]) -> dict[bytes, Entry]:
    return {row[0]: _entry(row) for row in rows_in(connection, _ENTRIES, "keys", keys, target=target)}


def save_entries(connection: Connection, target: int, rows: Iterable[Entry]) -> None:
    """Insert or replace whole rows."""
    replace_rows(connection, ledger, ("target", *_COLUMNS), 2, [_values(target, entry) for entry in rows])


def drop_entries(connection: Connection, target: int, keys: Sequence[bytes]) -> None:
    for part in parts(keys):
        connection.execute(delete(ledger).where(ledger.c.target == target, ledger.c.key.in_(part)))


def settle(
    connection: Connection, target: int, rows: Sequence[tuple[bytes, bytes | None, str | None]]
) -> None:
    """Write what was decided about people who are in the ledger: (key, fingerprint, verdict)."""
    values = [(fp, verdict, target, key) for key, fp, verdict in rows]
    update_rows(connection, ledger, ("fp", "verdict", "target", "key"), 2, values)


def decide_again(connection: Connection, targets: Sequence[int], keys: Sequence[bytes]) -> None:
    """Make the next plan look at these people, whatever their fingerprints say."""
    for part in parts(keys):
        connection.execute(
            update(ledger).where(ledger.c.target.in_(targets), ledger.c.key.in_(part)).values(fp=None)
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
    if keys:
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
    rows = rows_in(connection, _SUPPRESSED, "keys", keys, account=account)
    return {row.key: Suppression(row.reason, row.at) for row in rows}


def suppress(connection: Connection, account: str, rows: Mapping[bytes, Suppression], *, origin: str) -> None:
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
    for part in parts(keys):
        connection.execute(
            delete(suppression).where(suppression.c.account == account, suppression.c.key.in_(part))
        )


# --- rows --------------------------------------------------------------------------------------------


def _entry(row: Any) -> Entry:
    (
        key, fp, status, owned, taken_out, tagged, verdict, changed_at, opted_in_at, since_seq, email,
        remote_id, sent, found, tags, found_tags,
    ) = row  # fmt: skip
    held = Held(
        email=email,
        status=_STATUSES[status],
        owned=bool(owned),
        taken_out=bool(taken_out),
        tagged=bool(tagged),
        opted_in_at=opted_in_at,
        sent=orjson.loads(sent) if sent else {},
        found=orjson.loads(found) if found else {},
        tags=frozenset(orjson.loads(tags)) if tags else _NO_TAGS,
        found_tags=frozenset(orjson.loads(found_tags)) if found_tags else _NO_TAGS,
        since_seq=since_seq,
    )
    return Entry(key, held, fp, verdict, changed_at, remote_id)


def _values(target: int, entry: Entry) -> tuple[Any, ...]:
    held = entry.held
    return (
        target,
        entry.key,
        entry.fp,
        held.status.value if held.status else None,
        int(held.owned),
        int(held.taken_out),
        int(held.tagged),
        entry.verdict,
        entry.changed_at,
        held.opted_in_at,
        held.since_seq,
        storable(held.email),
        storable(entry.remote_id) if entry.remote_id is not None else None,
        orjson.dumps(held.sent) if held.sent else None,
        orjson.dumps(held.found) if held.found else None,
        orjson.dumps(sorted(held.tags)) if held.tags else None,
        orjson.dumps(sorted(held.found_tags)) if held.found_tags else None,
    )


_COLUMNS = (
    "key", "fp", "status", "owned", "taken_out", "tagged", "verdict", "changed_at", "opted_in_at", "since_seq",
    "email", "remote_id", "sent", "found", "tags", "found_tags",
)  # fmt: skip
_STATUSES: dict[str | None, Status | None] = {None: None, **{status.value: status for status in Status}}
_NO_TAGS: frozenset[str] = frozenset()
_MEMBERS = [status.value for status in MEMBER_STATUSES]
_WANTED = select(wanted.c.key, wanted.c.fp, wanted.c.packed).where(
    wanted.c.target == bindparam("target"), wanted.c.key.in_(bindparam("keys", expanding=True))
)
_ENTRIES = select(*(ledger.c[name] for name in _COLUMNS)).where(
    ledger.c.target == bindparam("target"), ledger.c.key.in_(bindparam("keys", expanding=True))
)
_SUPPRESSED = select(suppression).where(
    suppression.c.account == bindparam("account"), suppression.c.key.in_(bindparam("keys", expanding=True))
)
# Somebody who is not taken and not in the ledger needs no decision. The indexes named are narrow and hold all
# that is asked for, so that the wide rows are read for changed people only.
_CHANGED = hinted("""
    SELECT w.key FROM wanted AS w [INDEXED BY wanted_diff]
    LEFT JOIN ledger AS l [INDEXED BY ledger_diff] ON l.target = :target AND l.key = w.key
    WHERE w.target = :target AND w.key > :after
      AND CASE WHEN l.key IS NULL THEN w.taken = 1 ELSE l.fp IS NULL OR l.fp <> w.fp END
    ORDER BY w.key LIMIT :page
""")
_NOBODY = """
    SELECT l.key FROM ledger AS l [INDEXED BY ledger_diff]
    WHERE l.target = :target AND l.key > :after AND l.status IN ({members}) {owned}
      AND NOT EXISTS (
        SELECT 1 FROM wanted AS w [INDEXED BY wanted_diff] WHERE w.target = :target AND w.key = l.key
      )
    ORDER BY l.key LIMIT :page
"""
_MEMBERS_LISTED = ", ".join(f"'{status}'" for status in sorted(_MEMBERS))
_UNKNOWN = hinted(_NOBODY.format(members=_MEMBERS_LISTED, owned=""))
_UNKNOWN_OWNED = hinted(_NOBODY.format(members=_MEMBERS_LISTED, owned="AND l.owned = 1"))
