"""The mirror: what each source last said, page by page."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Table, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from listbridge.model import Consent, Contact, Label, Word
from listbridge.selection import Statement
from listbridge.store.tables import contact, label, move, source


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
        upsert(connection, source).values(name=name, **values).on_conflict_do_update(
            index_elements=["name"], set_=values
        )
    )


def fingerprints(connection: Connection, name: str, ids: Sequence[str]) -> dict[str, tuple[bytes, int]]:
    """Id → (fingerprint, row number) of those that the mirror has."""
    found = connection.execute(_FINGERPRINTS, {"source": name, "ids": ids})
    return {row[0]: (row[1], row[2]) for row in found}


def known(connection: Connection, name: str, ids: Sequence[str]) -> dict[str, Known]:
    """What is needed of the rows that changed."""
    found = {}
    for row in connection.execute(_KNOWN, {"source": name, "ids": ids}):
        said = unpack(row.id, row.packed).consent
        found[row.id] = Known(
            row.n, row.key, Word(row.word), row.consent_seq, bool(row.deleted), said.at, said.origin
        )
    return found


def save_rows(connection: Connection, name: str, rows: Sequence[MirrorRow]) -> None:
    """Insert or replace rows; each is undeleted by that."""
    if not rows:
        return
    statement = upsert(connection, contact)
    statement = statement.on_conflict_do_update(
        index_elements=["source", "id"],
        set_={column: statement.excluded[column] for column in _WRITTEN},
    )
    connection.execute(
        statement,
        [
            {
                "source": name,
                "id": row.id,
                "key": row.key,
                "fp": row.fp,
                "seq": row.seq,
                "word": row.contact.consent.word.value,
                "consent_seq": row.consent_seq,
                "deleted": 0,
                "problem": row.problem,
                "packed": pack(row.contact),
            }
            for row in rows
        ],
    )


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
        page = connection.execute(_LIVE, {"source": name, "last": last, "upto": upto}).all()
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
    page = connection.execute(_BY_KEY, {"source": name, "after": after, "pages": _PAGE}).all()
    grouped = _grouped(page)
    if len(page) == _PAGE and len(grouped) > 1:
        grouped.pop()  # its rows may go on beyond this page
    elif len(page) == _PAGE:
        grouped = _grouped(connection.execute(_OF_KEY, {"source": name, "keys": [page[0].key]}))
    return grouped


def people_named(
    connection: Connection, name: str, keys: Sequence[bytes]
) -> list[tuple[bytes, list[Statement]]]:
    """The people with these keys, as far as the source still has them."""
    return _grouped(connection.execute(_OF_KEY, {"source": name, "keys": keys}))


def changed_keys(connection: Connection, name: str, since: int, after: bytes) -> list[bytes]:
    """Keys of people touched by reads after ``since``, former addresses included, in order, by pages."""
    values = {"source": name, "since": since, "after": after, "pages": _PAGE}
    return [row[0] for row in connection.execute(_CHANGED, values)]


def former_keys(connection: Connection, name: str, keys: Sequence[bytes]) -> dict[bytes, list[bytes]]:
    """New key → the addresses' keys that the person had before, the latest last."""
    found: dict[bytes, list[bytes]] = {}
    for row in connection.execute(_FORMER, {"source": name, "keys": keys}):
        found.setdefault(row.new_key, []).append(row.old_key)
    return found


def known_contacts(
    connection: Connection, name: str, keys: Sequence[bytes]
) -> dict[bytes, list[Contact]]:
    """Key → the rows that the source has for it."""
    return {key: [one.contact for one in rows] for key, rows in people_named(connection, name, keys)}


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


def upsert(connection: Connection, table: Table) -> Any:
    """INSERT that may be given ON CONFLICT; both databases spell it alike."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def _grouped(rows: Iterable[Any]) -> list[tuple[bytes, list[Statement]]]:
    grouped: list[tuple[bytes, list[Statement]]] = []
    for key, contact_id, packed, seq in rows:
        statement = Statement(unpack(contact_id, packed), seq)
        if grouped and grouped[-1][0] == key:
            grouped[-1][1].append(statement)
        else:
            grouped.append((key, [statement]))
    return grouped


_PAGE = 5000
_WRITTEN = ("key", "fp", "seq", "word", "consent_seq", "deleted", "problem", "packed")
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
_LIVE = (
    select(contact.c.n, contact.c.id)
    .where(
        contact.c.source == bindparam("source"),
        contact.c.n > bindparam("last"),
        contact.c.n <= bindparam("upto"),
        contact.c.deleted == 0,
    )
    .order_by(contact.c.n)
    .limit(_PAGE)
)
_PERSON = (contact.c.key, contact.c.id, contact.c.packed, contact.c.consent_seq)
_USABLE = (contact.c.source == bindparam("source"), contact.c.deleted == 0, contact.c.problem.is_(None))
_BY_KEY = (
    select(*_PERSON)
    .where(*_USABLE, contact.c.key > bindparam("after"))
    .order_by(contact.c.key, contact.c.id)
    .limit(bindparam("pages"))
)
_FORMER = (
    select(move.c.new_key, move.c.old_key)
    .where(move.c.source == bindparam("source"), move.c.new_key.in_(bindparam("keys", expanding=True)))
    .order_by(move.c.n)
)
_OF_KEY = (
    select(*_PERSON)
    .where(*_USABLE, contact.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(contact.c.key, contact.c.id)
)
_CHANGED = (
    select(contact.c.key)
    .where(
        contact.c.source == bindparam("source"),
        contact.c.seq > bindparam("since"),
        contact.c.key > bindparam("after"),
    )
    .union(
        select(move.c.old_key).where(
            move.c.source == bindparam("source"),
            move.c.seq > bindparam("since"),
            move.c.old_key > bindparam("after"),
        )
    )
    .order_by("key")
    .limit(bindparam("pages"))
)
