"""Many rows at once, the same way on both databases, past what SQLAlchemy does for each single value."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Executable, Table, TextClause, text

_MOST_KEYS = 5000  # SQLite takes 32,766 parameters in one statement, PostgreSQL 65,535
_MARKS = {"sqlite": "?", "postgresql": "%s"}


def upsert(connection: Connection, table: Table) -> Any:
    """INSERT that may be given ON CONFLICT; both databases spell it alike. Only the one in use is imported."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as insert_sqlite

        return insert_sqlite(table)
    from sqlalchemy.dialects.postgresql import insert

    return insert(table)


def replace_rows(
    connection: Connection, table: Table, columns: Sequence[str], keys: int, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert or replace rows; the first ``keys`` columns say which row is meant, of two alike the later wins.

    The values go to the driver as they are: foreign texts must have gone through ``tables.storable``.
    """
    if rows:
        sql = _replacing(table.name, tuple(columns), keys, _MARKS[connection.dialect.name])
        connection.exec_driver_sql(sql, list(rows))


def update_rows(
    connection: Connection, table: Table, columns: Sequence[str], keys: int, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Change rows that are there; the last ``keys`` columns say which row is meant."""
    if rows:
        sql = _updating(table.name, tuple(columns), keys, _MARKS[connection.dialect.name])
        connection.exec_driver_sql(sql, list(rows))


def add_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows that are new."""
    if rows:
        marks = ", ".join([_MARKS[connection.dialect.name]] * len(columns))
        connection.exec_driver_sql(
            f'INSERT INTO "{table.name}" ({_listed(columns)}) VALUES ({marks})', list(rows)
        )


def delete_rows(
    connection: Connection, table: Table, keys: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Delete the rows that these keys name."""
    if rows:
        mark = _MARKS[connection.dialect.name]
        named = " AND ".join(f'"{name}" = {mark}' for name in keys)
        connection.exec_driver_sql(f'DELETE FROM "{table.name}" WHERE {named}', list(rows))


def rows_in(
    connection: Connection, query: Executable, name: str, values: Sequence[Any], **given: object
) -> Iterator[Any]:
    """The rows of a query with an expanding parameter, however many values that gets."""
    for part in parts(values):
        yield from connection.execute(query, {name: part, **given})


def parts(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The values in pieces that fit into one statement."""
    for start in range(0, len(values), _MOST_KEYS):
        yield values[start : start + _MOST_KEYS]


def hinted(sql: str) -> dict[str, TextClause]:
    """A query for each database; what stands in brackets is for SQLite alone, whose planner needs to be told."""
    return {
        "sqlite": text(re.sub(r"[\[\]]", "", sql)),
        "postgresql": text(re.sub(r"\[.*?\]", "", sql)),
    }


@cache
def _replacing(table: str, columns: tuple[str, ...], keys: int, mark: str) -> str:
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in columns[keys:])
    return (
        f'INSERT INTO "{table}" ({_listed(columns)}) VALUES ({", ".join([mark] * len(columns))}) '
        f"ON CONFLICT ({_listed(columns[:keys])}) DO UPDATE SET {changed}"
    )


@cache
def _updating(table: str, columns: tuple[str, ...], keys: int, mark: str) -> str:
    told = [f'"{name}" = {mark}' for name in columns]
    return f'UPDATE "{table}" SET {", ".join(told[:-keys])} WHERE {" AND ".join(told[-keys:])}'


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)
