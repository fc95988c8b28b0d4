"""A process is killed with SIGKILL again and again; the run after that ends exactly where it should.

``LISTBRIDGE_KILLS`` says how often (default 6; 200 for a night).
"""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

from engine.world import World
from listbridge.sandbox.serve import running

KILLS = int(os.environ.get("LISTBRIDGE_KILLS", "6"))
BATCH = 10

_RUNNER = """
import asyncio, dataclasses, os, sys
from pathlib import Path
from listbridge.config import load
from listbridge.connectors.mailchimp.destination import Mailchimp
from listbridge.run import Wish, run_sync
from listbridge.session import Session

Mailchimp.capabilities = dataclasses.replace(Mailchimp.capabilities, batch_size=int(sys.argv[2]), connections=4)

async def go():
    async with Session(load(Path(sys.argv[1]), os.environ)) as session:
        print("begun", flush=True)
        summary = await run_sync(session, "vip", Wish())
        print(summary.state, summary.counts, summary.error, flush=True)

asyncio.run(go())
"""


def start(folder: Path) -> "subprocess.Popen[str]":
    script = textwrap.dedent(_RUNNER)
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder / "listbridge.yaml"), str(BATCH)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def test_a_process_killed_again_and_again_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    """New people who must confirm, changed people, leavers and tags, in many small batches."""
    chance = random.Random(7)
    world = World(tmp_path, mode="exact", tags=["club"], guards={"max_removals": None})
    world.sync(consent={"double_opt_in": True})
    number = 40 * KILLS
    world.shop.add_many(f"n{n:05}" for n in range(number))
    world.shop.add_many(f"k{n:05}" for n in range(number))
    for n in range(number):
        world.member(f"k{n:05}@shop.example", merge_fields={"FNAME": "Old"})
    for n in range(number // 4):
        world.member(f"g{n:05}@shop.example")
    world.mailchimp.latency_seconds = 0.004
    killed = 0
    with running(world.mailchimp) as urls:
        world.connections["news"]["url"] = urls["mailchimp"]
        world.connections["news"]["retry_for"] = "20s"
        world.config()
        for _ in range(KILLS):
            process = start(tmp_path)
            time.sleep(chance.uniform(0.0, 0.5))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                killed += 1
            process.communicate()
        last = start(tmp_path).communicate(timeout=120)[0]
        assert last.startswith("done"), last
        before = world.mailchimp.calls.write
        assert start(tmp_path).communicate(timeout=60)[0].startswith("done")
        assert world.mailchimp.calls.write == before, "nothing is left to do"

    assert killed >= KILLS // 2
    assert_exact(world, number)
    assert_little_was_repeated(world, killed)


def assert_exact(world: World, number: int) -> None:
    """The platform and the ledger hold what they should."""
    statuses = Counter(world.statuses().values())
    assert statuses == {"pending": number, "subscribed": number, "archived": number // 4}
    members = world.mailchimp.members(world.list_id)
    for email, member in members.items():
        if member["status"] != "archived":
            assert member["merge_fields"]["FNAME"] == f"F{email.split('@')[0]}"
            assert member["tags"] == ["club"]
    assert world.drift() == []
    mailed = Counter(mail.address for mail in world.mailchimp.confirmation_mails)
    assert len(mailed) == number
    assert set(mailed.values()) == {1}, "nobody is asked twice"


def assert_little_was_repeated(world: World, killed: int) -> None:
    """Each death repeats at most the batches that were under way: four of them."""
    bulk = Counter(
        row["email_address"]
        for request in world.mailchimp.requests
        if request.method == "POST" and request.path.count("/") == 2 and request.writes
        for row in request.json()["members"]
    )
    assert sum(bulk.values()) - len(bulk) <= killed * 4 * BATCH
