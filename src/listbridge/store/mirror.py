"""The mirror: what each source last said, page by page."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, func, select, update

from listbridge.model import Consent, Contact, Label, Word
from listbridge.selection import Statement
from listbridge.store.bulk import hinted, replace_rows, rows_in, upsert
from listbridge.store.tables import contact, label, move, source, storable

__all__ = ["upsert"]


@dataclass(frozen=True, slots=True)
class SourceState:
    """Where a source's next read goes on; all empty before the first."""

    seq: int = 0
    cursor: str | None = None
    read_at: float | None = None
    complete_at: float | None = None
    complete_count: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the mirror holds of one row, as far as a new reading needs it."""

    n: int
    key: bytes
    word: Word
    consent_seq: int
    deleted: bool
    consent_at: float | None
    consent_origin: str | None


@dataclass(frozen=True, slots=True)
class MirrorRow:
    """One row to be written. ``contact`` is ``None`` when the row has a ``problem``."""

    id: str
    key: bytes
    fp: bytes
    seq: int
    consent_seq: int
    contact: Contact
    problem: str | None = None


def state_of(connection: Connection, name: str) -> SourceState:
    row = connection.execute(select(source).where(source.c.name == name)).one_or_none()
    if row is None:
        return SourceState()
    return SourceState(row.seq, row.cursor, row.read_at, row.complete_at, row.complete_count)


def save_state(connection: Connection, name: str, **values: object) -> None:
    """Change parts of a source's row; made if it is not there."""
    connection.execute(
        upsert(connection, source)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=["name"], set_=values)
    )


def fingerprints(connection: Connection, name: str, ids: Sequence[str]) -> dict[str, tuple[bytes, int]]:
    """Id → (fingerprint, row number) of those that the mirror has."""
    given = {storable(id): id for id in ids}
    found = rows_in(connection, _FINGERPRINTS, "ids", list(given), source=name)
    return {given[row[0]]: (row[1], row[2]) for row in found}


def known(connection: Connection, name: str, ids: Sequence[str]) -> dict[str, Known]:
    """What is needed of the rows that changed."""
    given = {storable(id): id for id in ids}
    found = {}
    for row in rows_in(connection, _KNOWN, "ids", list(given), source=name):
        said = unpack(row.id, row.packed).consent
        found[given[row.id]] = Known(
            row.n, row.key, Word(row.word), row.consent_seq, bool(row.deleted), said.at, said.origin
        )
    return found


def save_rows(connection: Connection, name: str, rows: Sequence[MirrorRow]) -> None:
    """Insert or replace rows; each is undeleted by that."""
    replace_rows(connection, contact, _COLUMNS, 2, [_values(name, row) for row in rows])


def save_moves(connection: Connection, name: str, seq: int, moves: Iterable[tuple[bytes, bytes]]) -> None:
    """Remember that contacts got other addresses: (old key, new key)."""
    rows = [{"source": name, "seq": seq, "old_key": old, "new_key": new} for old, new in moves]
    if rows:
        connection.execute(move.insert(), rows)


def mark_deleted(connection: Connection, name: str, seq: int, ids: Sequence[str]) -> None:
    """The source no longer has these. Their fingerprints go, so that a return is a change."""
    if ids:
        connection.execute(
            update(contact)
            .where(contact.c.source == name, contact.c.id == bindparam("gone"), contact.c.deleted == 0)
            .values(deleted=1, seq=seq, fp=b""),
            [{"gone": id} for id in ids],
        )


def live_rows(connection: Connection, name: str, upto: int) -> Iterator[tuple[int, str]]:
    """(row number, id) of every row that is not deleted and was there before row number ``upto``."""
    last = 0
    while True:
        values = {"source": name, "last": last, "upto": upto, "page": _PAGE}
        page = connection.execute(_LIVE[connection.dialect.name], values).all()
        yield from ((row[0], row[1]) for row in page)
        if len(page) < _PAGE:
            return
        last = page[-1][0]


def newest_row(connection: Connection) -> int:
    """The highest row number so far."""
    return connection.execute(select(func.max(contact.c.n))).scalar() or 0


def count(connection: Connection, name: str) -> int:
    """How many contacts the source holds."""
    query = select(func.count()).where(contact.c.source == name, contact.c.deleted == 0)
    return connection.execute(query).scalar_one()


def people(connection: Connection, name: str, after: bytes) -> list[tuple[bytes, list[Statement]]]:
    """The next people in the order of their keys, each with their rows; empty at the end."""
    page = connection.execute(_BY_KEY, {"source": name, "after": after}).all()
    grouped = _grouped(page)
    if len(page) == _PAGE and len(grouped) > 1:
        grouped.pop()  # its rows may go on beyond this page
    elif len(page) == _PAGE:
        grouped = people_named(connection, name, [page[0].key])
    return grouped


def people_named(
    connection: Connection, name: str, keys: Sequence[bytes]
) -> list[tuple[bytes, list[Statement]]]:
    """The people with these keys, as far as the source still has them."""
    return _grouped(rows_in(connection, _OF_KEY, "keys", keys, source=name))


def changed_keys(connection: Connection, name: str, since: int, after: bytes) -> list[bytes]:
    """Keys of people touched by reads after ``since``, former addresses included, in order, by pages."""
    reads = range(since + 1, state_of(connection, name).seq + 1)
    runs = [
        connection.scalars(query, {"source": name, "seq": seq, "after": after}).all()
        for seq in reads
        for query in (_TOUCHED, _LEFT)
    ]
    return [key for key, _ in islice(groupby(merge(*runs)), _PAGE)]


def former_keys(connection: Connection, name: str, keys: Sequence[bytes]) -> dict[bytes, list[bytes]]:
    """New key → the addresses' keys that the person had before, the latest last."""
    found: dict[bytes, list[bytes]] = {}
    for row in rows_in(connection, _FORMER, "keys", keys, source=name):
        found.setdefault(row.new_key, []).append(row.old_key)
    return found


def known_contacts(connection: Connection, name: str, keys: Sequence[bytes]) -> dict[bytes, list[Contact]]:
    """Key → the rows that the source has for it, or for the address that the person has now."""
    found = {key: [one.contact for one in rows] for key, rows in people_named(connection, name, keys)}
    moved: dict[bytes, list[bytes]] = {}
    for row in rows_in(connection, _LATER, "keys", [key for key in keys if key not in found], source=name):
        moved.setdefault(row.new_key, []).append(row.old_key)
    for new, rows in people_named(connection, name, list(moved)):
        for old in moved[new]:
            found[old] = [one.contact for one in rows]
    return found


def gone(connection: Connection, name: str, ids: Sequence[str]) -> set[str]:
    """Which of these contacts the source no longer has."""
    there = fingerprints(connection, name, ids)
    return {id for id in ids if id not in there or not there[id][0]}


def problems(connection: Connection, name: str) -> list[tuple[str, str]]:
    """(id, problem) of rows that cannot be used."""
    query = select(contact.c.id, contact.c.problem).where(
        contact.c.source == name, contact.c.problem.is_not(None), contact.c.deleted == 0
    )
    return [(row.id, row.problem) for row in connection.execute(query.order_by(contact.c.id))]


def save_labels(connection: Connection, name: str, labels: Iterable[Label]) -> None:
    """Remember groups and segments; names that are known stay when none are given."""
    statement = upsert(connection, label)
    for one in labels:
        row = {"source": name, "what": one.what, "id": one.id, "names": orjson.dumps(one.names)}
        keys = ["source", "what", "id"]
        if one.names:
            connection.execute(
                statement.values(row).on_conflict_do_update(index_elements=keys, set_={"names": row["names"]})
            )
        else:
            connection.execute(statement.values(row).on_conflict_do_nothing(index_elements=keys))


def labels(connection: Connection, name: str) -> list[Label]:
    rows = connection.execute(select(label).where(label.c.source == name).order_by(label.c.what, label.c.id))
    return [Label(row.what, row.id, tuple(orjson.loads(row.names))) for row in rows]


def pack(one: Contact) -> bytes:
    """A contact as the mirror stores it."""
    said = one.consent
    return orjson.dumps(
        (
            one.email,
            said.word,
            said.at,
            said.origin,
            one.guest,
            one.groups,
            one.segments,
            one.orders_count,
            one.updated_at,
            one.attributes,
        )
    )


def unpack(contact_id: str, packed: bytes) -> Contact:
    email, word, at, origin, guest, groups, segments, orders, updated_at, attributes = orjson.loads(packed)
    return Contact(
        contact_id,
        email,
        Consent(Word(word), at, origin),
        guest,
        tuple(groups),
        tuple(segments),
        orders,
        updated_at,
        attributes,
    )


def _values(name: str, row: MirrorRow) -> tuple[Any, ...]:
    problem = None if row.problem is None else storable(row.problem)
    word = row.contact.consent.word.value
    return (
        name, storable(row.id), row.key, row.fp, row.seq, word, row.consent_seq, 0, problem, pack(row.contact),
    )  # fmt: skip


def _grouped(rows: Iterable[Any]) -> list[tuple[bytes, list[Statement]]]:
    grouped: list[tuple[bytes, list[Statement]]] = []
    for key, contact_id, packed, seq in rows:
        statement = Statement(unpack(contact_id, packed), seq)
        if grouped and grouped[-1][0] == key:
            grouped[-1][1].append(statement)
        else:
            grouped.append((key, [statement]))
    return grouped


_PAGE = 2000
_COLUMNS = ("source", "id", "key", "fp", "seq", "word", "consent_seq", "deleted", "problem", "packed")
_FINGERPRINTS = select(contact.c.id, contact.c.fp, contact.c.n).where(
    contact.c.source == bindparam("source"), contact.c.id.in_(bindparam("ids", expanding=True))
)
_KNOWN = select(
    contact.c.id,
    contact.c.n,
    contact.c.key,
    contact.c.word,
    contact.c.consent_seq,
    contact.c.deleted,
    contact.c.packed,
).where(contact.c.source == bindparam("source"), contact.c.id.in_(bindparam("ids", expanding=True)))
_LIVE = hinted("""
    SELECT n, id FROM contact [NOT INDEXED]
    WHERE source = :source AND n > :last AND n <= :upto AND deleted = 0
    ORDER BY n LIMIT :page
""")
_PERSON = (contact.c.key, contact.c.id, contact.c.packed, contact.c.consent_seq)
_USABLE = (contact.c.source == bindparam("source"), contact.c.deleted == 0, contact.c.problem.is_(None))
_BY_KEY = (
    select(*_PERSON)
    .where(*_USABLE, contact.c.key > bindparam("after"))
    .order_by(contact.c.key, contact.c.id)
    .limit(_PAGE)
)
_FORMER = (
    select(move.c.new_key, move.c.old_key)
    .where(move.c.source == bindparam("source"), move.c.new_key.in_(bindparam("keys", expanding=True)))
    .order_by(move.c.n)
)
_LATER = select(move.c.new_key, move.c.old_key).where(
    move.c.source == bindparam("source"), move.c.old_key.in_(bindparam("keys", expanding=True))
)
_OF_KEY = (
    select(*_PERSON)
    .where(*_USABLE, contact.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(contact.c.key, contact.c.id)
)
# One read after the other: each is a piece of an index that is in order already, so that a page costs the
# same wherever it lies.
_TOUCHED = (
    select(contact.c.key)
    .where(
        contact.c.source == bindparam("source"),
        contact.c.seq == bindparam("seq"),
        contact.c.key > bindparam("after"),
    )
    .distinct()
    .order_by(contact.c.key)
    .limit(_PAGE)
)
_LEFT = (
    select(move.c.old_key)
    .where(
        move.c.source == bindparam("source"),
        move.c.seq == bindparam("seq"),
        move.c.old_key > bindparam("after"),
    )
    .distinct()
    .order_by(move.c.old_key)
    .limit(_PAGE)
)
