"""A fresh store is made without Alembic, an older one is migrated: both end in the same tables."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import inspect, select, text, update

from listbridge.errors import Stop
from listbridge.store import open_store
from listbridge.store.migrations import FOLDER, upgrade
from listbridge.store.tables import SCHEMA_VERSION, metadata, version


def of_sqlite(store):
    with store.read() as connection:
        return dict(connection.execute(text("SELECT name, sql FROM sqlite_master ORDER BY name")).all())


def of_postgres(store):
    columns = (
        "SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default, "
        "character_maximum_length FROM information_schema.columns "
        "WHERE table_schema = current_schema() ORDER BY 1, 3"
    )
    indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1"
    constraints = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1, 2"
    with store.read() as connection:
        return [connection.execute(text(query)).all() for query in (columns, indexes, constraints)]


def schema(store):
    return of_sqlite(store) if store.is_sqlite else of_postgres(store)


def emptied(store):
    with store.engine.begin() as connection:
        metadata.drop_all(connection)


def test_both_ways_end_in_the_same_schema(opened):
    store = opened()
    fresh = schema(store)
    emptied(store)
    assert schema(store) != fresh
    with store.write() as connection:
        upgrade(connection)
    assert schema(store) == fresh
    with store.read() as connection:
        assert connection.execute(select(version.c.version_num)).scalar_one() == SCHEMA_VERSION


def test_tables_of_keys_are_without_rowid_on_sqlite(sqlite_url):
    store = open_store(sqlite_url)
    without = {name for name, sql in of_sqlite(store).items() if sql and "WITHOUT ROWID" in sql}
    assert without == {"wanted", "ledger", "sighting", "suppression", "plan", "plan_tag"}
    store.close()


def _upgraded_half_way(connection):
    upgrade(connection)
    raise ZeroDivisionError


def test_a_migration_that_fails_changes_nothing(opened):
    store = opened()
    emptied(store)
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        _upgraded_half_way(connection)
    assert inspect(store.engine).get_table_names() == []


def test_a_store_that_is_up_to_date_is_opened_without_alembic(sqlite_url):
    words = f"import sys; from listbridge.store import open_store; open_store({sqlite_url!r}).close(); "
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", words + "print('alembic' in sys.modules)"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "False\n"


def test_an_older_store_is_migrated_when_it_is_opened(opened):
    store = opened()
    fresh = schema(store)
    emptied(store)
    with store.engine.begin() as connection:
        version.create(connection)
        connection.execute(version.insert().values(version_num="0000"))
    # There is no migration before the first: Alembic does not know where to begin, and nothing is changed.
    with pytest.raises(Stop, match="schema 0000") as told:
        opened()
    assert told.value.kind == "store"
    with store.engine.begin() as connection:
        connection.execute(version.delete())
        version.drop(connection)
    opened()
    assert schema(store) == fresh


def test_a_newer_store_is_refused_and_not_touched(opened):
    store = opened()
    with store.write() as connection:
        connection.execute(update(version).values(version_num="9999"))
    before = schema(store)
    with pytest.raises(Stop, match="written by a newer Listbridge") as told:
        opened()
    assert told.value.kind == "store"
    assert schema(store) == before


def test_the_last_migration_is_the_version_that_is_stamped():
    names = sorted(path.name for path in (FOLDER / "versions").glob("*.py"))
    assert names[-1].startswith(f"{SCHEMA_VERSION}_")


def test_the_wheel_holds_the_migrations(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; it is not installed here")
    root = Path(__file__).parents[2]
    words = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", words, str(tmp_path)], cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    here = {
        path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.suffix in (".py", ".mako")
    }
    assert {f"listbridge/store/migrations/{name}" for name in here} <= names
    assert {"env.py", "versions/0001_initial.py"} <= here and "listbridge/py.typed" in names
