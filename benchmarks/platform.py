"""The Mailchimp sandbox in a process of its own, behind a socket.

``python -m benchmarks.platform --latency 0.02`` serves until its standard input ends and prints its URL. It
takes ten calls at a time and answers an eleventh with 429, as the real one does.
"""

import argparse
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import md5
from typing import Any

from benchmarks.processes import ROOT, Failed

API_KEY = "0123456789abcdef0123456789abcdef-us1"
LATENCY_SECONDS = 0.02
CONNECTIONS = 10
NEW_LIST = {
    "name": "Benchmark",
    "permission_reminder": "You asked for it in the shop.",
    "email_type_option": False,
    "contact": {"company": "Shop", "address1": "1 Main St", "city": "Town", "country": "US"},
    "campaign_defaults": {
        "from_name": "Shop",
        "from_email": "shop@shop.example",
        "subject": "",
        "language": "en",
    },
}


@dataclass(frozen=True, slots=True)
class Platform:
    """A running sandbox with one empty list."""

    url: str
    list_id: str

    def calls(self) -> int:
        """How many requests the platform has counted so far, the ones made here included."""
        counted = _ask("GET", self.url.removesuffix("/3.0") + "/__sandbox__/")["calls"]
        return int(counted["read"] + counted["write"])

    def members(self) -> int:
        found = _ask("GET", f"{self.url}/lists/{self.list_id}/members?count=1&fields=total_items")
        return int(found["total_items"])

    def last_name(self, email: str) -> str:
        key = md5(email.lower().encode(), usedforsecurity=False).hexdigest()
        found = _ask("GET", f"{self.url}/lists/{self.list_id}/members/{key}?fields=merge_fields")
        return str(found["merge_fields"]["LNAME"])


def _ask(method: str, url: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


@contextmanager
def platform(latency_seconds: float = LATENCY_SECONDS) -> Iterator[Platform]:
    """A sandbox process, ended at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.platform", "--latency", str(latency_seconds)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise Failed("The sandbox did not start.")
        yield Platform(url, _ask("POST", f"{url}/lists", NEW_LIST)["id"])
    finally:
        process.stdin.close()
        process.wait(timeout=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=LATENCY_SECONDS)
    asked = parser.parse_args()
    from listbridge.sandbox.mailchimp import MailchimpSandbox
    from listbridge.sandbox.serve import running

    sandbox = MailchimpSandbox(
        key=API_KEY, latency_seconds=asked.latency, max_simultaneous=CONNECTIONS, keep_bodies=False
    )
    with running([sandbox]) as urls:
        print(urls[sandbox.name], flush=True)
        reader = threading.Thread(target=sys.stdin.read)
        reader.start()
        reader.join()


if __name__ == "__main__":
    main()
