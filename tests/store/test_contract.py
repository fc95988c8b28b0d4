"""The contract of the store on each database."""

import pytest

from listbridge.store import open_store
from listbridge.testing.store import StoreContract


class TestSQLite(StoreContract):
    @pytest.fixture
    def store(self, sqlite_url):
        store = open_store(sqlite_url)
        yield store
        store.close()


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self):
        store = open_store("sqlite://")
        yield store
        store.close()


class TestPostgreSQL(StoreContract):
    @pytest.fixture
    def store(self, postgres_url):
        store = open_store(postgres_url)
        yield store
        store.close()
