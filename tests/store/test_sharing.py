"""Several processes on one store: locks, limits, and writers that never cross."""

import asyncio
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from listbridge.errors import Stop
from listbridge.store import ledger, open_store
from listbridge.store.sharing import AccountLimiter, held
from listbridge.testing.store import key

WORKER = Path(__file__).with_name("sharing_worker.py")


@contextmanager
def worker(*arguments):
    """A process that has said its first word."""
    command = [sys.executable, str(WORKER), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def started(processes):
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()


def calls(processes):
    """Starts the processes together; (began, ended, process) of each request, in the order of beginning."""
    started(processes)
    told = [
        (n, line.split())
        for n, process in enumerate(processes)
        for line in process.communicate()[0].splitlines()
    ]
    return sorted((float(began), float(ended), n) for n, (began, ended) in told)


def most_at_once(found):
    moments = sorted([(began, 1) for began, _, _ in found] + [(ended, -1) for _, ended, _ in found])
    now = most = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most


# --- names that are held ---


def test_a_name_is_held_by_one_process_and_free_at_once_when_that_is_killed(url, opened):
    store = opened()
    with worker("hold", url, "audience mc List") as process:
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(Stop, match="Another process has been at audience mc List") as told,
            held(store, "audience mc List", wait_seconds=0.2),
        ):
            raise AssertionError("two processes hold one name")
        assert told.value.kind == "busy"
        with held(store, "another name", wait_seconds=0):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        began = time.monotonic()
        with held(store, "audience mc List", wait_seconds=5):
            assert time.monotonic() - began < 2


def test_a_name_is_held_once_inside_a_process_too(opened):
    first, second = opened(), opened()
    for store in (first, second):
        with (
            held(first, "a"),
            pytest.raises(Stop, match="Another process"),
            held(store, "a", wait_seconds=0),
        ):
            raise AssertionError("two hold one name")
        with held(store, "a", wait_seconds=0):
            pass


def test_a_name_is_free_after_an_error(opened):
    store = opened()
    with pytest.raises(ZeroDivisionError), held(store, "a"):
        raise ZeroDivisionError
    with held(store, "a", wait_seconds=0), held(store, "b", wait_seconds=0):
        pass


def test_a_store_in_memory_has_its_own_names():
    store, other = open_store("sqlite://"), open_store("sqlite://")
    with held(store, "a"):
        with pytest.raises(Stop), held(store, "a", wait_seconds=0):
            raise AssertionError("two hold one name")
        with held(other, "a", wait_seconds=0):
            pass
    store.close()
    other.close()


def test_lock_files_that_are_left_mean_nothing(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    with held(store, "a"):
        left = [path for path in tmp_path.iterdir() if path.name.startswith(".store.db.")]
        assert len(left) == 1 and left[0].suffix == ".lock"
    left[0].write_text("12345 some process of long ago")
    with held(store, "a", wait_seconds=0):
        pass
    store.close()


def test_waiting_for_a_name_ends_when_it_becomes_free(url, opened):
    store = opened()
    with worker("hold", url, "a") as process:
        assert process.stdout.readline() == "held\n"
        asyncio.run(_killed_while_waiting(store, process))


async def _killed_while_waiting(store, process):
    def wait():
        with held(store, "a", wait_seconds=20):
            return time.monotonic()

    waiting = asyncio.create_task(asyncio.to_thread(wait))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    killed = time.monotonic()
    process.kill()
    assert await waiting - killed < 3


# --- accounts ---


def test_two_processes_never_have_more_connections_than_the_account(url, opened):
    opened()
    with worker("call", url, 15, 4, 0.03, 10, 0) as one, worker("call", url, 15, 4, 0.03, 10, 0) as other:
        found = calls([one, other])
    assert len(found) == 120
    assert 5 <= most_at_once(found) <= 10


def test_a_process_that_comes_later_gets_its_share(url, opened):
    opened()
    with worker("call", url, 12, 20, 0.05, 4, 0) as busy, worker("call", url, 1, 4, 0.05, 4, 0) as late:
        found = calls([busy, late])
    last_of_late = max(ended for _, ended, n in found if n == 1)
    last_of_busy = max(ended for _, ended, n in found if n == 0)
    first = found[0][0]
    assert most_at_once(found) <= 4
    assert last_of_late - first < (last_of_busy - first) * 0.7


def test_the_rate_of_an_account_holds_for_all_processes_together(url, opened):
    opened()
    with worker("call", url, 5, 4, 0, 10, 20) as one, worker("call", url, 5, 4, 0, 10, 20) as other:
        found = calls([one, other])
    assert len(found) == 40
    began = [at for at, _, _ in found]
    # 39 intervals of 50 ms; a request may begin late on a busy machine, the first one too.
    assert began[-1] - began[0] >= 39 * 0.05 - 0.4
    assert all(later - earlier >= 19 * 0.05 - 0.4 for earlier, later in zip(began, began[20:], strict=False))


def test_moments_that_passed_while_connections_were_busy_are_not_made_up_for(opened):
    async def scene():
        there, here = (AccountLimiter(opened(), "mc", 4, 10.0) for _ in range(2))
        began = []

        async def one(limiter, seconds):
            async with limiter.slot():
                began.append(time.time())
                await asyncio.sleep(seconds)

        busy = [asyncio.create_task(one(there, 1.0 - n / 10)) for n in range(4)]
        await asyncio.sleep(0.5)  # all four connections are in use until one second has passed
        await asyncio.gather(*busy, *(one(here, 0) for _ in range(4)))
        return sorted(began)[4:]

    began = asyncio.run(scene())
    assert all(later - earlier >= 0.05 for earlier, later in pairwise(began))


@pytest.mark.parametrize("per_second", [None, 50.0])
def test_a_request_to_wait_delays_every_process_and_does_not_add_up(opened, per_second):
    async def first_slot(limiter):
        async with limiter.slot():
            return time.time()

    first, second = opened(), opened()
    there, here = (AccountLimiter(store, "mc", 2, per_second) for store in (first, second))
    other = AccountLimiter(second, "another", 2, per_second)
    asked = time.time()
    for _ in range(5):
        there.push_back(0.6)
    assert asyncio.run(first_slot(other)) - asked < 0.5
    began = asyncio.run(first_slot(here))
    assert 0.6 <= began - asked < 2
    there.push_back(0.0)
    assert asyncio.run(first_slot(there)) - time.time() < 0.5


def test_a_connection_is_given_back_after_an_error(opened):
    async def scene():
        limiter = AccountLimiter(opened(), "mc", 1, None)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with limiter.slot():
                    raise ZeroDivisionError
        async with asyncio.timeout(2), limiter.slot():
            return True

    assert asyncio.run(scene())


def test_a_connection_is_given_back_when_the_request_is_called_off(opened):
    async def scene():
        limiter = AccountLimiter(opened(), "mc", 1, None)
        async with limiter.slot():
            waiting = asyncio.create_task(limiter.slot().__aenter__())
            await asyncio.sleep(0.1)
            waiting.cancel()
        async with asyncio.timeout(2), limiter.slot():
            return True

    assert asyncio.run(scene())


# --- writers ---


def test_two_processes_that_read_and_write_lose_nothing(url, opened):
    store = opened()
    with worker("count_up", url, 100) as one, worker("count_up", url, 100) as other:
        started([one, other])
        assert [process.stdout.readline() for process in (one, other)] == ["done\n"] * 2
    with store.read() as connection:
        assert ledger.entries(connection, 1, [key(1)])[key(1)].remote_id == "200"


def test_several_processes_may_make_a_store_at_the_same_moment(url):
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), "count_up", url, "3"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    errors = [process.communicate()[1] for process in processes]
    assert errors == [""] * 4
    store = open_store(url)
    with store.read() as connection:
        assert ledger.entries(connection, 1, [key(1)])[key(1)].remote_id == "12"
    store.close()
