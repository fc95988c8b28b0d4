"""The big queries walk along an index: no sorting, no wide rows."""

import re

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from listbridge.store import ledger, mirror, open_store, plans

_VALUES = {
    "source": "shop",
    "target": 1,
    "after": b"",
    "last": 0,
    "upto": 9,
    "seq": 1,
    "page": 9,
    "size": 9,
    "step": 0,
}
QUERIES = {
    "changed": (ledger._CHANGED, ["wanted_diff", "ledger_diff"]),
    "unknown": (ledger._UNKNOWN, ["ledger_diff", "wanted_diff"]),
    "unknown, owned": (ledger._UNKNOWN_OWNED, ["ledger_diff", "wanted_diff"]),
    "touched": (mirror._TOUCHED, ["contact_seq"]),
    "moved away": (mirror._LEFT, ["move_seq"]),
}
IN_ORDER = {"live": mirror._LIVE, "planned": plans._ROWS, "batch": plans._BATCH}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db")
    yield store
    store.close()


def steps(store, query):
    """What SQLite says that it does, step by step."""
    if isinstance(query, dict):
        sql = query["sqlite"].text
    else:
        compiled = query.compile(dialect=sqlite.dialect(paramstyle="named"))
        sql = re.sub(r"__\[POSTCOMPILE_param_\d+\]|:param_\d+", "9", compiled.string)
    names = set(re.findall(r":(\w+)", sql))
    with store.read() as connection:
        values = {name: _VALUES.get(name.rstrip("_1"), 9) for name in names}
        return [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"), values)]


@pytest.mark.parametrize("name", QUERIES)
def test_the_diff_reads_covering_indexes_alone(store, name):
    query, indexes = QUERIES[name]
    told = [step for step in steps(store, query) if "SUBQUERY" not in step]
    assert [re.search(r"USING COVERING INDEX (\w+)", step)[1] for step in told] == indexes, told


@pytest.mark.parametrize("name", IN_ORDER)
def test_pages_are_found_without_sorting(store, name):
    told = steps(store, IN_ORDER[name])
    assert told and all(step.startswith("SEARCH") for step in told), told


def test_counting_a_source_reads_no_wide_rows(store):
    with store.read() as connection:
        seen = []
        connection.connection.driver_connection.set_trace_callback(seen.append)
        mirror.count(connection, "shop")
        connection.connection.driver_connection.set_trace_callback(None)
        (plan,) = connection.execute(text(f"EXPLAIN QUERY PLAN {seen[0]}")).all()
    assert "COVERING INDEX contact_key" in plan[3]
