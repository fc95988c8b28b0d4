"""A shop in a folder, a platform behind a socket, and the command as a process of its own."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from listbridge.sandbox.mailchimp import KEY, MailchimpSandbox

COMMAND = [sys.executable, "-m", "listbridge"]
LIST = "Newsletter"


@dataclass
class Answer:
    """What one command said and how it ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines; fails where a line is none."""
        found = [json.loads(line) for line in self.out.splitlines()]
        assert all(isinstance(line, dict) for line in found)
        return found

    @property
    def line(self) -> dict[str, Any]:
        (only,) = self.lines
        return only


@dataclass
class Stage:
    folder: Path
    platform: MailchimpSandbox
    url: str
    env: dict[str, str] = field(default_factory=dict)

    def call(self, *words: str, **env: str) -> Answer:
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=self.folder,
            env={**os.environ, **self.env, **env},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stdout
        return Answer(done.returncode, done.stdout, done.stderr)

    def interrupted(
        self, number: signal.Signals, after_requests: int, *words: str, background: bool = False
    ) -> Answer:
        """The command, with a signal sent to it once the platform has been asked so often."""
        ctrl_c = signal.SIG_IGN if background else signal.default_int_handler
        process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, ctrl_c),  # noqa: PLW1509
        )
        deadline = time.monotonic() + 30
        while self.platform.calls.total < after_requests and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        return Answer(process.returncode, out, err)

    # the shop

    def people(self, *rows: tuple[Any, ...]) -> None:
        """Put people into the shop: (id, email, first name, consent, orders)."""
        with closing(sqlite3.connect(self.folder / "shop.db")) as shop, shop:
            shop.execute(
                "CREATE TABLE IF NOT EXISTS customers"
                " (id TEXT PRIMARY KEY, email TEXT, first_name TEXT, consent TEXT, orders INTEGER)"
            )
            shop.executemany("INSERT OR REPLACE INTO customers VALUES (?, ?, ?, ?, ?)", rows)

    def crowd(self, people: int) -> None:
        self.people(*((n, f"p{n}@post.example", f"P{n}", "granted", 1) for n in range(people)))

    def forget(self, where: str) -> None:
        with closing(sqlite3.connect(self.folder / "shop.db")) as shop, shop:
            shop.execute(f"DELETE FROM customers WHERE {where}")

    # the configuration

    def configure(self, *, key: str = KEY, url: str | None = None, syncs: str | None = None) -> None:
        text = CONFIGURATION.format(key=key, url=url or self.url)
        (self.folder / "listbridge.yaml").write_text(text + (SYNC if syncs is None else syncs))

    def sync(self, **changed: str) -> str:
        """The usual sync with other lines."""
        lines = [line for line in SYNC.splitlines() if line.split(":")[0].strip() not in changed]
        return "\n".join(lines + [f"    {key}: {value}" for key, value in changed.items()]) + "\n"


CONFIGURATION = """\
version: 1
connections:
  shop:
    connector: sql
    url: sqlite:///shop.db
    contacts: SELECT id, email, first_name, consent, orders AS orders_count FROM customers
    unsubscribe: UPDATE customers SET consent = 'denied' WHERE id = :id
  mail:
    connector: mailchimp
    api_key: {key}
    url: {url}
    retry_for: 2s
"""

SYNC = """\
syncs:
  news:
    type: audience
    source: shop
    destination: mail
    select: {kinds: [subscriber, buyer]}
    audience: {list: Newsletter}
    fields: {FNAME: first_name}
"""
