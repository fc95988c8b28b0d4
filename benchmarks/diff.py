"""The full comparison of what is wanted with what is there: the store's, beside the same query by hand.

By hand: two narrow tables of keys and fingerprints, one LEFT JOIN for what to create and update, one NOT EXISTS for
what to remove. It shows what a comparison can cost at best. The store's tables hold the same people in rows of their
true width. One person in a hundred differs in each of the three ways.

``python -m benchmarks.diff build|compare|build-store|compare-store PATH SIZE``: each in a process of its own.
"""

import argparse
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path

TABLES = """
CREATE TABLE wanted (target INTEGER, key BLOB, fp BLOB, PRIMARY KEY (target, key)) WITHOUT ROWID;
CREATE TABLE ledger (target INTEGER, key BLOB, fp BLOB, status TEXT, PRIMARY KEY (target, key)) WITHOUT ROWID;
"""
WRITES = """
SELECT w.key, l.status IS NULL FROM wanted w
LEFT JOIN ledger l ON l.target = w.target AND l.key = w.key
WHERE w.target = ? AND (l.key IS NULL OR l.fp <> w.fp)
"""
REMOVALS = """
SELECT l.key FROM ledger l
WHERE l.target = ? AND l.status = 'subscribed'
AND NOT EXISTS (SELECT 1 FROM wanted w WHERE w.target = l.target AND w.key = l.key)
"""
TARGET = 1
CACHE = "PRAGMA cache_size = -65536"


def _digest(number: int, kind: bytes) -> bytes:
    return blake2b(number.to_bytes(8), digest_size=16, person=kind).digest()


def _wanted(size: int) -> Iterator[tuple[int, bytes, bytes]]:
    for number in range(size):
        if number % 100 != 2:
            yield TARGET, _digest(number, b"key"), _digest(number, b"new" if number % 100 == 1 else b"old")


def _ledger(size: int) -> Iterator[tuple[int, bytes, bytes, str]]:
    for number in range(size):
        if number % 100 != 0:
            yield TARGET, _digest(number, b"key"), _digest(number, b"old"), "subscribed"


def build(path: Path, size: int) -> None:
    """The tables. Rows are sorted by key first (on disk, by SQLite), as random inserts take ten times as long."""
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {CACHE}; {TABLES}")
        for table, columns, rows in (("wanted", 3, _wanted(size)), ("ledger", 4, _ledger(size))):
            store.execute("BEGIN")
            store.execute(f"CREATE TABLE unsorted AS SELECT * FROM {table}")
            store.executemany(f"INSERT INTO unsorted VALUES ({', '.join('?' * columns)})", rows)
            store.execute(f"INSERT INTO {table} SELECT * FROM unsorted ORDER BY 1, 2")
            store.execute("DROP TABLE unsorted")
            store.execute("COMMIT")
        store.executescript("PRAGMA journal_mode = WAL; ANALYZE")


def compare(path: Path, size: int) -> None:
    """Run both queries to their ends and check what they found."""
    created = updated = removed = 0
    with closing(sqlite3.connect(path)) as store:
        store.execute(CACHE)
        for _, is_new in store.execute(WRITES, (TARGET,)):
            created += is_new
            updated += 1 - is_new
        for _ in store.execute(REMOVALS, (TARGET,)):
            removed += 1
    expected = tuple(len(range(which, size, 100)) for which in (0, 1, 2))
    if (created, updated, removed) != expected:
        sys.exit(f"The comparison found {created}, {updated}, {removed} instead of {expected}.")


# The wide columns are as long as they are for somebody with a name, two fields and two tags.
STORE_WANTED = """
INSERT INTO wanted (target, key, fp, taken, packed)
SELECT target, key, fp, 1, zeroblob(170) FROM byhand.wanted ORDER BY target, key
"""
STORE_LEDGER = """
INSERT INTO ledger (target, key, fp, status, owned, taken_out, tagged, changed_at, since_seq, email, remote_id, sent)
SELECT target, key, fp, status, 1, 0, 0, 1.0, 1, 'firstname.lastname@shop.example', hex(key), zeroblob(40)
FROM byhand.ledger ORDER BY target, key
"""


def store_path(path: Path) -> Path:
    return path.with_name("listbridge.db")


def build_store(path: Path, size: int) -> None:
    """The same people in a store, filled from the tables made by hand."""
    from listbridge.store import open_store

    open_store(f"sqlite:///{store_path(path)}").close()
    with closing(sqlite3.connect(store_path(path), isolation_level=None)) as store:
        store.execute(CACHE)
        store.execute("ATTACH ? AS byhand", (str(path),))
        for statement in (STORE_WANTED, STORE_LEDGER):
            store.execute("BEGIN")
            store.execute(statement)
            store.execute("COMMIT")


def compare_store(path: Path, size: int) -> None:
    """The store's own walk over whoever differs, to its end."""
    from listbridge.store import ledger, open_store

    store = open_store(f"sqlite:///{store_path(path)}")
    changed, unknown, after = 0, 0, b""
    with store.read() as connection:
        while keys := ledger.changed_keys(connection, TARGET, after):
            changed, after = changed + len(keys), keys[-1]
        after = b""
        while keys := ledger.unknown_keys(connection, TARGET, after, owned_only=False):
            unknown, after = unknown + len(keys), keys[-1]
    expected = (2 * len(range(0, size, 100)), len(range(2, size, 100)))
    if (changed, unknown) != expected:
        sys.exit(f"The store found {changed}, {unknown} instead of {expected}.")


ACTS = {"build": build, "compare": compare, "build-store": build_store, "compare-store": compare_store}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("act", choices=list(ACTS))
    parser.add_argument("path", type=Path)
    parser.add_argument("size", type=int)
    asked = parser.parse_args()
    ACTS[asked.act](asked.path, asked.size)


if __name__ == "__main__":
    main()
