import os
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from listbridge.store import open_store

pytest.register_assert_rewrite("listbridge.testing.store")

NO_SERVER = (
    "set LISTBRIDGE_TEST_POSTGRES to the URL of a server (scripts/postgres start) to run this on PostgreSQL"
)


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def postgres_url():
    """A database of its own, taken away at the end."""
    server = os.environ.get("LISTBRIDGE_TEST_POSTGRES")
    if not server:
        pytest.skip(NO_SERVER)
    name = f"store_{uuid4().hex[:12]}"
    url = make_url(server)
    engine = create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield url.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture
def opened(url):
    """Opens the same store as often as wanted, and closes it all at the end."""
    stores = []

    def open_it():
        stores.append(open_store(url))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()
