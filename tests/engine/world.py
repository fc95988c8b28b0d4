"""A small world for tests of whole runs: a shop, a Mailchimp sandbox, a configuration, a clock, a store."""

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx2

from listbridge import report
from listbridge.config import Config, load
from listbridge.drift import drift
from listbridge.explain import Explanation, explain
from listbridge.http import Patience
from listbridge.report import Summary
from listbridge.run import Wish, run_sync
from listbridge.sandbox.mailchimp import KEY, MailchimpSandbox, Rules
from listbridge.sandbox.retailcrm import RetailCrm
from listbridge.session import Session
from listbridge.store import Store, open_store, targets
from listbridge.undo import undo_run

SOON = Patience(
    retry_for_seconds=2.0, first_wait_seconds=0.001, longest_wait_seconds=0.005, jitter_seconds=0.001
)
START = 1_750_000_000.0
LIST = "Newsletter"

_COLUMNS = "id, email, first_name, last_name, city, consent, consent_at, guest, groups, segments, orders_count, updated_at"
_TABLE = f"CREATE TABLE customers ({_COLUMNS.replace('id,', 'id TEXT PRIMARY KEY,', 1)}, bounced)"


class Shop:
    """A shop's customers in an SQLite file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(_TABLE)

    def add(self, id: str, email: str | None = None, **columns: Any) -> str:
        """A customer who has agreed, unless ``consent`` says otherwise; gives back the address."""
        address = email if email is not None else f"{id}@shop.example"
        row = {"id": id, "email": address, "consent": "granted", **columns}
        self._db.execute(
            f"INSERT INTO customers ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
            list(row.values()),
        )
        return address

    def add_many(self, ids: Iterable[str], **columns: Any) -> None:
        self._db.execute("BEGIN")
        for id in ids:
            self.add(id, first_name=f"F{id}", **columns)
        self._db.execute("COMMIT")

    def change(self, id: str, **columns: Any) -> None:
        sets = ", ".join(f"{name} = ?" for name in columns)
        self._db.execute(f"UPDATE customers SET {sets} WHERE id = ?", [*columns.values(), id])

    def delete(self, *ids: str) -> None:
        self._db.executemany("DELETE FROM customers WHERE id = ?", [(id,) for id in ids])

    def row(self, id: str) -> dict[str, Any]:
        found = self._db.execute(f"SELECT {_COLUMNS}, bounced FROM customers WHERE id = ?", [id])
        names = [each[0] for each in found.description]
        return dict(zip(names, found.fetchone(), strict=True))

    def rows(self) -> list[dict[str, Any]]:
        return [self.row(id) for (id,) in self._db.execute("SELECT id FROM customers ORDER BY id").fetchall()]

    def sql(self, statement: str) -> None:
        self._db.execute(statement)


@dataclass(frozen=True)
class Told:
    """How a run or plan ended, with its rows of changes."""

    summary: Summary
    changes: list[dict[str, Any]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.summary, name)

    @property
    def tally(self) -> dict[str, int]:
        """The counts that are not zero."""
        return {name: number for name, number in self.summary.counts.items() if number}

    @property
    def reasons(self) -> dict[str, str]:
        """Address → reason, of everything planned."""
        return {row["email"]: row["reason"] for row in self.changes if row["email"]}


class World:
    """Everything that a run meets. ``syncs`` are written into the configuration as they stand."""

    def __init__(self, folder: Path, *, rules: Rules | None = None, **sync: Any) -> None:
        self.folder = folder
        self.now = START
        self.shop = Shop(folder / "shop.db")
        self.mailchimp = MailchimpSandbox(clock=lambda: self.now, rules=rules)
        self.list_id = self.mailchimp.add_list(LIST)
        self.crm: RetailCrm | None = None
        self.patience = SOON
        self.ways: dict[str, Callable[[], httpx2.AsyncBaseTransport]] = {"news": self.mailchimp.transport}
        self.connections: dict[str, Any] = {
            "shop": {
                "connector": "sql",
                "url": "sqlite:///shop.db",
                "contacts": f"SELECT {_COLUMNS} FROM customers",
                "unsubscribe": "UPDATE customers SET consent = 'denied', consent_at = :at WHERE id = :id",
                "bounce": "UPDATE customers SET bounced = :at WHERE id = :id",
            },
            "news": {"connector": "mailchimp", "api_key": KEY},
        }
        self.syncs: dict[str, dict[str, Any]] = {}
        self.sync("vip", **sync)

    def sync(self, name: str = "vip", **parts: Any) -> Self:
        """Add or change a sync; a part that is ``None`` is taken out."""
        given = {
            "type": "audience",
            "source": "shop",
            "destination": "news",
            "select": {"everyone": True},
            "audience": {"list": LIST},
            "fields": {"FNAME": "first_name"},
        }
        merged = {**self.syncs.get(name, given), **parts}
        self.syncs[name] = {key: value for key, value in merged.items() if value is not None}
        return self

    def with_crm(self) -> RetailCrm:
        """A RetailCRM account as the connection ``crm``."""
        self.crm = RetailCrm(clock=lambda: self.now, per_second=None)
        self.connections["crm"] = {"connector": "retailcrm", "url": "https://acme.example", "api_key": "key"}
        self.ways["crm"] = self.crm.transport
        return self.crm

    def config(self) -> Config:
        path = self.folder / "listbridge.yaml"
        said = {"version": 1, "connections": self.connections, "syncs": self.syncs}
        path.write_text(json.dumps(said), encoding="utf-8")
        return load(path, os.environ)

    def session(self, store: Store | None = None) -> Session:
        return Session(
            self.config(),
            store=store,
            transports={name: way() for name, way in self.ways.items()},
            clock=lambda: self.now,
            patience=self.patience,
        )

    def store(self) -> Store:
        return open_store(f"sqlite:///{self.folder / 'listbridge.db'}")

    # What people do

    def later(self, seconds: float = 3600.0) -> None:
        self.now += seconds

    def clock(self) -> str:
        """The present moment as a shop writes it."""
        return datetime.fromtimestamp(self.now, UTC).isoformat()

    def run(self, sync: str = "vip", *, store: Store | None = None, **wish: Any) -> Told:
        """One run, an hour after whatever was before it."""
        self.later()
        return asyncio.run(self._go(sync, Wish(**wish), store))

    def plan(self, sync: str = "vip") -> Told:
        return self.run(sync, acts=False)

    def approved(self, sync: str = "vip", **wish: Any) -> Told:
        """A run that lets through whatever plan there is."""
        planned = self.plan(sync)
        return self.run(sync, approve=planned.plan, **wish)

    def undo(self, run: str, *, approve: str | None = None, acts: bool = True) -> Told:
        self.later()

        async def go() -> Told:
            async with self.session() as session:
                summary = await undo_run(session, run, Wish(acts=acts, approve=approve))
                return Told(summary, list(_planned(session, summary.sync)))

        return asyncio.run(go())

    def explain(self, email: str, sync: str = "vip") -> Explanation:
        async def go() -> Explanation:
            async with self.session() as session:
                return explain(session, sync, email)[0]

        return asyncio.run(go())

    def drift(self, sync: str = "vip") -> list[tuple[str, str, Any, Any]]:
        async def go() -> list[tuple[str, str, Any, Any]]:
            async with self.session() as session:
                return [
                    (one["email"], one["what"], one["ours"], one["theirs"])
                    async for one in drift(session, sync)
                ]

        return sorted(asyncio.run(go()))

    async def _go(self, sync: str, wish: Wish, store: Store | None) -> Told:
        async with self.session(store) as session:
            summary = await run_sync(session, sync, wish)
            return Told(summary, list(_planned(session, sync)))

    # What is seen

    def statuses(self, list_id: str | None = None) -> dict[str, str]:
        """Address → status, of everybody on the list, archived ones too."""
        members = self.mailchimp.members(list_id or self.list_id)
        return {email: member["status"] for email, member in members.items()}

    def present(self, list_id: str | None = None) -> set[str]:
        return {
            email
            for email, status in self.statuses(list_id).items()
            if status in ("subscribed", "pending", "transactional")
        }

    def field(self, email: str, name: str = "FNAME", list_id: str | None = None) -> str:
        value = self.mailchimp.members(list_id or self.list_id)[email]["merge_fields"].get(name, "")
        return str(value)

    def tags(self, email: str, list_id: str | None = None) -> set[str]:
        return set(self.mailchimp.members(list_id or self.list_id)[email]["tags"])

    def tagged(self, tag: str) -> set[str]:
        members = self.mailchimp.members(self.list_id)
        return {email for email, member in members.items() if tag in member["tags"]}

    def member(self, email: str, status: str = "subscribed", **more: Any) -> None:
        """Somebody on the list whom no sync brought."""
        self.mailchimp.add_member(self.list_id, email, status, **more)


def _planned(session: Session, sync: str) -> Iterable[dict[str, Any]]:
    with session.store.read() as connection:
        found = [one for one in targets.of_sync(connection, sync) if "\n\n" not in one.place]
    return report.changes(session.store, found)


def as_text(summary: Summary) -> str:
    """For messages of failing tests."""
    return json.dumps(asdict(summary), default=str, indent=1)
