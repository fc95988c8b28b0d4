"""The contract of sources, for each connector over its stand-in."""

import csv
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from listbridge.connectors import files, retailcrm, sql
from listbridge.connectors.base import Source
from listbridge.sandbox.retailcrm import Key, RetailCrm
from listbridge.testing import context
from listbridge.testing.source import SourceContract

_NAMES = ("id", "email", "first_name", "consent")


class SqlBench:
    """A table of customers in an SQLite file."""

    page_size = 1000
    takes = frozenset({"unsubscribed", "bounced"})

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._query = "SELECT id, email, first_name, consent FROM customers"
        self._db = sqlite3.connect(folder / "shop.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, email, first_name, consent, left_at, bounced_at)"
        )

    def open(self) -> Source:
        options = sql.connector.options.model_validate(
            {
                "connector": "sql",
                "url": "sqlite:///shop.db",
                "contacts": self._query,
                "unsubscribe": "UPDATE customers SET left_at = :at WHERE id = :id",
                "bounce": "UPDATE customers SET bounced_at = :at WHERE id = :id",
            }
        )
        source: Source = sql.SqlSource(options, context(self._folder))
        return source

    def add(self, email: str, first_name: str = "", *, granted: bool = True) -> str:
        word = "granted" if granted else "unknown"
        statement = "INSERT INTO customers (email, first_name, consent) VALUES (?, ?, ?)"
        return str(self._db.execute(statement, (email, first_name, word)).lastrowid)

    def rename(self, contact_id: str, first_name: str) -> None:
        self._db.execute("UPDATE customers SET first_name = ? WHERE id = ?", (first_name, contact_id))

    def delete(self, contact_id: str) -> None:
        self._db.execute("DELETE FROM customers WHERE id = ?", (contact_id,))

    def told(self, contact_id: str) -> set[str]:
        left, bounced = self._db.execute(
            "SELECT left_at, bounced_at FROM customers WHERE id = ?", (contact_id,)
        ).fetchone()
        return {word for word, at in (("unsubscribed", left), ("bounced", bounced)) if at}

    def break_off(self) -> None:
        self._query += " WHERE CASE WHEN id = 1500 THEN abs(-9223372036854775808) ELSE 1 END"

    def bad_key(self) -> None:
        pytest.skip("an SQLite file has no key")

    def while_reading(self, act: Callable[[], None]) -> None:
        act()


class FilesBench:
    """A folder with one export."""

    page_size = 1000
    takes = frozenset({"unsubscribed", "bounced"})

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: dict[str, dict[str, str]] = {}
        self._broken = False

    def open(self) -> Source:
        self._save()
        given = {"connector": "files", "path": str(self._folder), "contacts": "customers.jsonl"}
        options = files.connector.options.model_validate(given)
        assert files.connector.source is not None
        source: Source = files.connector.source(options, context(self._folder))
        return source

    def _save(self) -> None:
        text = "".join(json.dumps(row) + "\n" for row in self._rows.values())
        (self._folder / "customers.jsonl").write_text(text + ('{"id": 1, "em' if self._broken else ""))

    def add(self, email: str, first_name: str = "", *, granted: bool = True) -> str:
        contact_id = str(len(self._rows) + 1)
        word = "granted" if granted else "unknown"
        self._rows[contact_id] = dict(zip(_NAMES, (contact_id, email, first_name, word), strict=True))
        return contact_id

    def rename(self, contact_id: str, first_name: str) -> None:
        self._rows[contact_id]["first_name"] = first_name

    def delete(self, contact_id: str) -> None:
        del self._rows[contact_id]

    def told(self, contact_id: str) -> set[str]:
        found = list(self._folder.glob("*feedback*"))
        rows = [row for path in found for row in csv.DictReader(path.read_text("utf-8-sig").splitlines())]
        return {row["what"] for row in rows if row["id"] == contact_id}

    def break_off(self) -> None:
        self._broken = True

    def bad_key(self) -> None:
        pytest.skip("a folder has no key")

    def while_reading(self, act: Callable[[], None]) -> None:
        pytest.skip("a file that changes while it is read is refused: see the tests of this connector")


class RetailCrmBench:
    """An account of the sandbox."""

    page_size = 100
    takes = frozenset({"unsubscribed", "bounced"})

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.platform = RetailCrm(per_second=None, keep_bodies=False)

    def open(self) -> Source:
        given = {"connector": "retailcrm", "url": "https://acme.example", "api_key": "key"}
        options = retailcrm.connector.options.model_validate(given)
        assert retailcrm.connector.source is not None
        source: Source = retailcrm.connector.source(options, context(self._folder, self.platform.transport()))
        return source

    def add(self, email: str, first_name: str = "", *, granted: bool = True) -> str:
        topics = {"default_marketing": True} if granted else {}
        return str(self.platform.add_customer(email, firstName=first_name, topics=topics))

    def rename(self, contact_id: str, first_name: str) -> None:
        self.platform.edit_customer(int(contact_id), firstName=first_name)

    def delete(self, contact_id: str) -> None:
        self.platform.delete_customer(int(contact_id))

    def told(self, contact_id: str) -> set[str]:
        customer = self.platform.customers[int(contact_id)]
        left = customer.get("emailMarketingUnsubscribedAt") or any(
            said is False or (isinstance(said, dict) and said.get("subscribed") is False)
            for said in customer["subscriptions"].values()
        )
        bounced = any("bounce" in str(tag) for tag in customer["tags"])
        return {word for word, is_so in (("unsubscribed", left), ("bounced", bounced)) if is_so}

    def break_off(self) -> None:
        self.platform.faults.add("expired_key", path="/customers", after=1)

    def bad_key(self) -> None:
        self.platform.keys = {"another": Key()}

    def while_reading(self, act: Callable[[], None]) -> None:
        reads = iter(range(100))
        self.platform.on_request(
            lambda request: request.path.endswith("/customers") and next(reads) == 1, act
        )


class TestSql(SourceContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> SqlBench:
        return SqlBench(tmp_path)


class TestFiles(SourceContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> FilesBench:
        return FilesBench(tmp_path)


class TestRetailCrm(SourceContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> RetailCrmBench:
        return RetailCrmBench(tmp_path)
