"""Source → mirror: read pages, write what changed, find what is gone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import NamedTuple

from sqlalchemy import Connection

from listbridge.connectors.base import Page, Row, Source
from listbridge.identity import key_of, key_without_address
from listbridge.model import Consent, Contact, Label, Word
from listbridge.rows import RowError, contact_from_row, fingerprint, is_deleted, row_id
from listbridge.store import Store, ledger, mirror
from listbridge.store.mirror import Known, MirrorRow, SourceState

Progress = Callable[[int], None]
_DUPLICATES_SHOWN = 5


@dataclass(slots=True)
class Reading:
    """What one read of a source found."""

    seq: int
    complete: bool
    rows: int = 0
    changed: int = 0
    deleted: int = 0
    duplicates: int = 0
    duplicate_ids: list[str] = field(default_factory=list)  # the first of them

    def note_duplicate(self, contact_id: str) -> None:
        self.duplicates += 1
        if len(self.duplicate_ids) < _DUPLICATES_SHOWN:
            self.duplicate_ids.append(contact_id)


async def extract(
    store: Store,
    name: str,
    source: Source,
    *,
    full: bool,
    now: float,
    progress: Progress = lambda _rows: None,
) -> Reading:
    """Read a source into the mirror, page by page, each page in one transaction with its cursor.

    ``full`` reads everything and finds deletions by comparison; otherwise the read goes on from the last
    cursor. A read that breaks off raises what the source raised: its pages stay as news, and nothing is
    taken for deleted.
    """
    with store.write() as connection:
        state = mirror.state_of(connection, name)
        full = full or source.always_full or state.complete_at is None or state.cursor is None
        mirror.save_state(connection, name, seq=state.seq + 1)
        newest = mirror.newest_row(connection)
    reading = Reading(state.seq + 1, complete=full)
    seen = bytearray(newest // 8 + 1) if full else None
    intake = _Intake(store, name, state, reading, newest, seen)
    async for page in source.contacts(None if full else state.cursor):
        intake.take(page)
        progress(reading.rows)
    with store.write() as connection:
        if seen is not None:
            intake.delete_unseen(connection)
            held = mirror.count(connection, name)
            mirror.save_state(connection, name, complete_at=now, complete_count=held, read_at=now)
        else:
            mirror.save_state(connection, name, read_at=now)
    intake.save_labels(await source.labels())
    return reading


class _Intake:
    """Takes the pages of one read."""

    def __init__(
        self,
        store: Store,
        name: str,
        state: SourceState,
        reading: Reading,
        newest: int,
        seen: bytearray | None,
    ) -> None:
        self._store, self._name, self._state, self._reading = store, name, state, reading
        self._newest, self._seen = newest, seen
        self._labels: set[tuple[str, str]] = set()

    def take(self, page: Page) -> None:
        """Compare a page by fingerprints, write what differs and the cursor in one transaction."""
        rows, gone = self._sorted_out(page)
        self._reading.rows += len(page.rows)
        with self._store.read() as connection:
            there = mirror.fingerprints(connection, self._name, list(rows))
        repeated = self._repeated(rows, there)
        self._mark_seen([n for _, n in there.values()])
        changed = [
            one
            for id, one in rows.items()
            if id not in repeated and (id not in there or there[id][0] != one.fp)
        ]
        if not (changed or gone or page.cursor):
            return
        with self._store.write() as connection:
            self._write(connection, changed)
            mirror.mark_deleted(connection, self._name, self._reading.seq, gone)
            if page.cursor is not None:
                mirror.save_state(connection, self._name, cursor=page.cursor)
        self._reading.deleted += len(gone)

    def _write(self, connection: Connection, changed: Sequence["_Given"]) -> None:
        known = mirror.known(connection, self._name, [one.id for one in changed])
        new = [
            self._mirror_row(one, known.get(one.id))
            for one in changed
            if not self._twice(one.id, known.get(one.id))
        ]
        mirror.save_rows(connection, self._name, new)
        moves = [
            (before.key, row.key)
            for row in new
            if (before := known.get(row.id)) is not None and before.key != row.key
        ]
        mirror.save_moves(connection, self._name, self._reading.seq, moves)
        ledger.carry_withdrawals(connection, moves)
        self._reading.changed += len(new)

    def delete_unseen(self, connection: Connection) -> None:
        """After a complete read: what the mirror has and the source does not."""
        assert self._seen is not None
        gone = [
            contact_id
            for n, contact_id in mirror.live_rows(connection, self._name, self._newest)
            if not self._is_seen(n)
        ]
        mirror.mark_deleted(connection, self._name, self._reading.seq, gone)
        self._reading.deleted += len(gone)

    def save_labels(self, named: Sequence[Label]) -> None:
        found = [Label(what, label_id) for what, label_id in sorted(self._labels)]
        if named or found:
            with self._store.write() as connection:
                mirror.save_labels(connection, self._name, [*named, *found])

    def _sorted_out(self, page: Page) -> tuple[dict[str, "_Given"], list[str]]:
        """Rows by id, and the ids that are deleted; of two rows with one id the first counts."""
        rows: dict[str, _Given] = {}
        gone = list(page.gone)
        for row in page.rows:
            one = _given(row)
            if one is None:
                gone.append(row_id(row))
            elif one.id not in rows:
                rows[one.id] = one
            elif rows[one.id].fp != one.fp:
                self._reading.note_duplicate(one.id)
        return rows, gone

    def _repeated(self, rows: dict[str, "_Given"], there: dict[str, tuple[bytes, int]]) -> set[str]:
        """Ids of rows that an earlier page of this read has given already; their first row counts."""
        repeated = {contact_id for contact_id, (_, n) in there.items() if self._is_seen(n)}
        for contact_id in repeated:
            if rows[contact_id].fp != there[contact_id][0]:
                self._reading.note_duplicate(contact_id)
        return repeated

    def _is_seen(self, n: int) -> bool:
        return self._seen is not None and n <= self._newest and bool(self._seen[n >> 3] >> (n & 7) & 1)

    def _twice(self, contact_id: str, before: Known | None) -> bool:
        """Whether this read has given the id before, with other content."""
        if self._seen is None or before is None or before.n <= self._newest:
            return False
        self._reading.note_duplicate(contact_id)
        return True

    def _mark_seen(self, numbers: Sequence[int]) -> None:
        if self._seen is None:
            return
        for n in numbers:
            if n <= self._newest:
                self._seen[n >> 3] |= 1 << (n & 7)

    def _mirror_row(self, one: "_Given", before: Known | None) -> MirrorRow:
        granted_before = before is not None and before.word in (Word.GRANTED, Word.DENIED)
        contact, problem = _understood(one, granted_before=granted_before)
        if problem is not None:
            nobody = key_without_address(one.id)
            return MirrorRow(one.id, nobody, one.fp, self._reading.seq, 0, contact, problem)
        contact, consent_seq = self._with_history(contact, before)
        self._labels.update(("field", name) for name in one.row)
        self._labels.update(("group", label) for label in contact.groups)
        self._labels.update(("segment", label) for label in contact.segments)
        key = key_of(contact.email) if contact.email else key_without_address(one.id)
        return MirrorRow(one.id, key, one.fp, self._reading.seq, consent_seq, contact)

    def _with_history(self, contact: Contact, before: Known | None) -> tuple[Contact, int]:
        """Consent as seen over time.

        A word that changed between two reads without a time of its own was said after the earlier read
        began: that is the latest moment of which this is certain.
        """
        if before is None:
            return contact, 0
        said = contact.consent
        if said.word is before.word:
            if said.at is None and before.consent_at is not None:
                said = Consent(said.word, before.consent_at, before.consent_origin)
                contact = replace(contact, consent=said)
            return contact, before.consent_seq
        if said.at is None and self._state.read_at is not None:
            contact = replace(contact, consent=Consent(said.word, self._state.read_at, "seen"))
        return contact, self._reading.seq


class _Given(NamedTuple):
    """One row as the source gave it. ``problem`` says why not even its id can be read."""

    id: str
    row: Row
    fp: bytes
    problem: str | None = None


def _given(row: Row) -> _Given | None:
    """``None`` for a row that says of itself that it was deleted."""
    try:
        return None if is_deleted(row) else _Given(row_id(row), row, fingerprint(row))
    except RowError as error:
        return _Given(f"? {_hash_of(repr(row))}", row, b"?", f"{error.reason}: {error.detail}")


def _understood(one: _Given, *, granted_before: bool) -> tuple[Contact, str | None]:
    if one.problem is not None:
        return Contact(one.id, ""), one.problem
    try:
        return contact_from_row(one.row, granted_before=granted_before), None
    except RowError as error:
        return Contact(one.id, ""), f"{error.reason}: {error.detail}"


def _hash_of(words: str) -> str:
    """A short name for something that has none."""
    return blake2b(words.encode("utf-8", "replace"), digest_size=6).hexdigest()
