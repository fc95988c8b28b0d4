# ruff: noqa: T201 - what it prints is its answer
"""A process of its own for the tests of locks and limits: python sharing_worker.py WHAT URL …"""

import asyncio
import sys
import time

from listbridge.store import ledger, open_store
from listbridge.store.sharing import AccountLimiter, held
from listbridge.testing.store import entry, key


def hold(url, name):
    """Hold a name until killed."""
    with held(open_store(url), name):
        print("held", flush=True)
        time.sleep(600)


def call(url, tasks, requests, seconds, connections, per_second):
    """Make requests; print when each began and ended."""
    store = open_store(url)
    limiter = AccountLimiter(store, "mc", int(connections), float(per_second) or None)

    async def one():
        for _ in range(int(requests)):
            async with limiter.slot():
                began = time.time()
                await asyncio.sleep(float(seconds))
                print(began, time.time(), flush=True)

    async def everything():
        await asyncio.gather(*(one() for _ in range(int(tasks))))

    print("ready", flush=True)
    sys.stdin.readline()
    asyncio.run(everything())


def count_up(url, times):
    """Add one to a number in the store, reading and writing in one transaction."""
    store = open_store(url)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(times)):
        with store.write() as connection:
            found = ledger.entries(connection, 1, [key(1)]).get(key(1))
            number = int(found.remote_id) + 1 if found else 1
            ledger.save_entries(connection, 1, [entry(1, remote_id=str(number))])
    print("done", flush=True)


if __name__ == "__main__":
    {"hold": hold, "call": call, "count_up": count_up}[sys.argv[1]](*sys.argv[2:])
