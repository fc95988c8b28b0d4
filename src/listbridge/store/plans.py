"""Plans: the changes still to be made, and which of them may be on their way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson
from sqlalchemy import Connection, and_, bindparam, delete, exists, func, select, update

from listbridge.changes import Change, What
from listbridge.model import Status
from listbridge.planner import UNTAG
from listbridge.store.bulk import delete_rows, parts, replace_rows, rows_in, upsert
from listbridge.store.ledger import PAGE
from listbridge.store.tables import in_flight, plan, plan_tag, storable

WRITE, TAG, REMOVE = 0, 1, 2
"""The steps of a change, in their order: bulk write, tags, removal."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A change with the fingerprint of the wanted row that it settles."""

    change: Change
    fp: bytes | None


def save(connection: Connection, target: int, rows: Sequence[Planned]) -> None:
    """Add or replace planned changes, and the tags they need."""
    values = [_values(target, row) for row in rows]
    replace_rows(connection, plan, ("target", "key", *_REPLACED), 2, values)
    _save_tags(connection, target, (row.change for row in rows))


def first_step(change: Change) -> int:
    """Where a change begins: a person who only gets tags needs no write."""
    if change.what is What.REMOVE:
        return TAG if change.form == UNTAG else REMOVE
    if change.what is What.CREATE or change.status or change.fields or change.email_before:
        return WRITE
    return TAG


def drop(connection: Connection, target: int, keys: Sequence[bytes] | None = None) -> None:
    """Forget planned changes of these people, or all of a target."""
    if keys is not None:
        for table in (plan, plan_tag):
            delete_rows(connection, table, ("target", "key"), [(target, key) for key in keys])
        return
    for table in (plan, plan_tag, in_flight):
        connection.execute(delete(table).where(table.c.target == target))


def batch(connection: Connection, target: int, step: int, after: bytes, size: int) -> list[Planned]:
    """The next changes that wait for a step, in the order of keys."""
    rows = connection.execute(_BATCH, {"target": target, "step": step, "after": after, "size": size})
    return [_planned(row) for row in rows]


def rows(connection: Connection, target: int, after: bytes) -> list[Planned]:
    """The next planned changes, whatever their step."""
    return [_planned(row) for row in connection.execute(_ROWS, {"target": target, "after": after})]


def of_people(connection: Connection, target: int, keys: Sequence[bytes]) -> list[Planned]:
    return [_planned(row) for row in rows_in(connection, _OF_PEOPLE, "keys", keys, target=target)]


def advance(connection: Connection, target: int, keys: Sequence[bytes], step: int) -> None:
    """The changes of these people go on with another step."""
    for part in parts(keys):
        connection.execute(
            update(plan).where(plan.c.target == target, plan.c.key.in_(part)).values(step=step)
        )


def is_empty(connection: Connection, target: int) -> bool:
    return connection.execute(select(plan.c.key).where(plan.c.target == target).limit(1)).first() is None


def counts(connection: Connection, target: int) -> dict[tuple[str, str], int]:
    """(what, reason) → how many."""
    query = select(plan.c.what, plan.c.reason, func.count()).where(plan.c.target == target)
    return {(r[0], r[1]): r[2] for r in connection.execute(query.group_by(plan.c.what, plan.c.reason))}


def digest(connection: Connection, targets: Sequence[tuple[int, str]]) -> str:
    """A plan's id: the same changes in the same audiences have the same id, whoever planned them."""
    hashed = blake2b(digest_size=10)
    for target, place in sorted(targets, key=lambda one: one[1]):
        hashed.update(b"\0" + place.encode())
        after = b""
        while page := connection.execute(_ROWS, {"target": target, "after": after}).all():
            for row in page:
                hashed.update(row.key + row.what.encode() + row.reason.encode() + row.packed)
            after = page[-1].key
    return hashed.hexdigest()


# --- tags --------------------------------------------------------------------------------------------


def tag_work(connection: Connection, target: int) -> list[tuple[str, bool]]:
    """Which tags have something to do: (tag, puts on), the taking off first."""
    query = select(plan_tag.c.tag, plan_tag.c.adds).where(_TAG_READY, plan_tag.c.target == target).distinct()
    found = connection.execute(query.order_by(plan_tag.c.adds, plan_tag.c.tag))
    return [(row.tag, bool(row.adds)) for row in found]


def all_tags(connection: Connection, target: int) -> list[str]:
    """Every tag that a plan touches."""
    query = select(plan_tag.c.tag).where(plan_tag.c.target == target).distinct()
    return list(connection.scalars(query.order_by(plan_tag.c.tag)))


def tag_batch(
    connection: Connection, target: int, tag: str, adds: bool, after: bytes, size: int
) -> list[tuple[bytes, str]]:
    """The next people who get one tag or lose it: (key, address)."""
    query = (
        select(plan_tag.c.key, plan_tag.c.email)
        .where(
            _TAG_READY,
            plan_tag.c.target == target,
            plan_tag.c.tag == tag,
            plan_tag.c.adds == int(adds),
            plan_tag.c.key > after,
        )
        .order_by(plan_tag.c.key)
        .limit(size)
    )
    return [(row.key, row.email) for row in connection.execute(query)]


def tags_done(connection: Connection, target: int, tag: str, keys: Sequence[bytes]) -> list[Planned]:
    """Cross off one tag; gives back the changes that are finished by that, and drops them."""
    connection.execute(
        delete(plan_tag).where(plan_tag.c.target == target, plan_tag.c.tag == tag, plan_tag.c.key.in_(keys))
    )
    finished = [
        _planned(row)
        for row in connection.execute(
            select(plan).where(
                plan.c.target == target,
                plan.c.key.in_(keys),
                ~_HAS_TAGS,
            )
        )
    ]
    drop(connection, target, [one.change.key for one in finished])
    return finished


# --- what may be on its way --------------------------------------------------------------------------


def send_off(connection: Connection, target: int, step: int, keys: Sequence[bytes]) -> None:
    """Note, before a batch goes out, that its outcome will not be known for a while."""
    values = {"target": target, "first_key": keys[0], "last_key": keys[-1], "step": step}
    statement = upsert(connection, in_flight).values(values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["target", "first_key"], set_={"last_key": keys[-1], "step": step}
        )
    )


def landed(connection: Connection, target: int, first_key: bytes) -> None:
    """The outcome of the batch that began with this key is known."""
    connection.execute(
        delete(in_flight).where(in_flight.c.target == target, in_flight.c.first_key == first_key)
    )


def left_in_flight(connection: Connection, target: int) -> list[Planned]:
    """Changes that may have had their effect, left by a process that died."""
    query = select(plan).join(
        in_flight,
        and_(
            in_flight.c.target == plan.c.target,
            in_flight.c.step == plan.c.step,
            plan.c.key >= in_flight.c.first_key,
            plan.c.key <= in_flight.c.last_key,
        ),
    )
    return [_planned(row) for row in connection.execute(query.where(plan.c.target == target))]


# --- rows --------------------------------------------------------------------------------------------


def _save_tags(connection: Connection, target: int, changes: Iterable[Change]) -> None:
    rows = [
        (target, storable(tag), change.key, adds, storable(change.email))
        for change in changes
        for adds, tags in ((1, change.tags_added), (0, change.tags_removed))
        for tag in tags
    ]
    replace_rows(connection, plan_tag, ("target", "tag", "key", "adds", "email"), 3, rows)


def _values(target: int, one: Planned) -> tuple[Any, ...]:
    change = one.change
    return (
        target,
        change.key,
        first_step(change),
        change.what.value,
        change.reason,
        one.fp,
        storable(change.email),
        _packed(change),
    )


def _packed(change: Change) -> bytes:
    return orjson.dumps(
        (
            change.email,
            change.status,
            change.fields,
            change.tags_added,
            change.tags_removed,
            change.email_before,
            change.form,
        ),
        option=orjson.OPT_SORT_KEYS,
    )


def _planned(row: Any) -> Planned:
    email, status, fields, added, removed, before, form = orjson.loads(row.packed)
    change = Change(
        row.key,
        email,
        What(row.what),
        row.reason,
        Status(status) if status else None,
        fields,
        tuple(added),
        tuple(removed),
        before,
        form,
    )
    return Planned(change, row.fp)


_REPLACED = ("step", "what", "reason", "fp", "email", "packed")
# A key and not `*`: only so SQLite takes the index that holds it.
_HAS_TAGS = exists(plan_tag.c.key).where(plan_tag.c.target == plan.c.target, plan_tag.c.key == plan.c.key)
_TAG_READY = exists().where(
    plan.c.target == plan_tag.c.target, plan.c.key == plan_tag.c.key, plan.c.step == TAG
)
_BATCH = (
    select(plan)
    .where(
        plan.c.target == bindparam("target"),
        plan.c.step == bindparam("step"),
        plan.c.key > bindparam("after"),
    )
    .order_by(plan.c.key)
    .limit(bindparam("size"))
)
_OF_PEOPLE = (
    select(plan)
    .where(plan.c.target == bindparam("target"), plan.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(plan.c.key)
)
_ROWS = (
    select(plan)
    .where(plan.c.target == bindparam("target"), plan.c.key > bindparam("after"))
    .order_by(plan.c.key)
    .limit(PAGE)
)
