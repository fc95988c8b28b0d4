"""The full comparison of what is wanted with what is there, in SQL on two narrow tables.

This is the query on its own: two tables of keys and fingerprints, one LEFT JOIN for what to create and update, one
NOT EXISTS for what to remove. It shows what the store's comparison can cost at best; one target of many is
compared, one person in a hundred differs in each of the three ways.

``python -m benchmarks.diff SIZE`` builds the tables and compares in processes of their own.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("act", choices=["build", "compare"])
    parser.add_argument("path", type=Path)
    parser.add_argument("size", type=int)
    asked = parser.parse_args()
    (build if asked.act == "build" else compare)(asked.path, asked.size)


if __name__ == "__main__":
    main()
