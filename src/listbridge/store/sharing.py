"""What several processes share: locks that die with their holder, and the right to call an account."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import func, select, text

from listbridge.errors import Stop
from listbridge.store.mirror import upsert
from listbridge.store.open import Store
from listbridge.store.tables import pace

_LONGEST_WAIT_SECONDS = 900.0
_LOOK_SECONDS = 0.02


class _Lock(Protocol):
    def take(self) -> bool: ...

    def release(self) -> None: ...


@contextmanager
def held(store: Store, name: str, *, wait_seconds: float = _LONGEST_WAIT_SECONDS) -> Iterator[None]:
    """Hold a name alone among all processes on this store; the kernel or the server frees it at death.

    Raises ``Stop("busy", …)`` when somebody else holds it for longer than ``wait_seconds``.
    """
    lock = _lock(store, name)
    until = time.monotonic() + wait_seconds
    while not lock.take():
        if time.monotonic() >= until:
            raise Stop("busy", f"Another process has been at {name} for long. Wait for it, or end it.")
        time.sleep(0.05)
    try:
        yield
    finally:
        lock.release()


class AccountLimiter:
    """The connections and the rate of one account, shared by all processes on one store.

    ``connections`` requests at a time; ``per_second`` requests a second (``None``: as many as answer), by
    one row that says when the account is free again. A request to wait pushes that row for everybody.
    """

    def __init__(self, store: Store, account: str, connections: int, per_second: float | None) -> None:
        self._store, self._account = store, account
        self._here = asyncio.Semaphore(connections)
        self._slots = [_lock(store, f"{account}.{n}") for n in range(connections)]
        self._taken = [False] * connections
        self._interval = 1.0 / per_second if per_second else 0.0
        self._blocked_until = 0.0

    def slot(self) -> AbstractAsyncContextManager[None]:
        return self._slot()

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        async with self._here:
            await asyncio.sleep(self._wait_seconds())
            n = await self._take_any()
            try:
                yield
            finally:
                self._slots[n].release()
                self._taken[n] = False

    def push_back(self, seconds: float) -> None:
        self._blocked_until = time.time() + seconds
        self._reserve(seconds)

    async def _take_any(self) -> int:
        while True:
            for n, slot in enumerate(self._slots):
                if not self._taken[n] and slot.take():
                    self._taken[n] = True
                    return n
            await asyncio.sleep(_LOOK_SECONDS)

    def _wait_seconds(self) -> float:
        """Zero where nothing limits the rate; otherwise reserve the next moment."""
        if self._interval:
            return max(self._reserve(self._interval) - self._interval - time.time(), 0.0)
        return max(self._blocked_until - time.time(), 0.0)

    def _reserve(self, seconds: float) -> float:
        """Push the account's row by a time; gives back when it is free after that."""
        now = time.time()
        with self._store.write() as connection:
            statement = upsert(connection, pace).values(account=self._account, free_at=now + seconds)
            later = func.max if self._store.is_sqlite else func.greatest
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["account"], set_={"free_at": later(pace.c.free_at, now) + seconds}
                )
            )
            return connection.execute(
                select(pace.c.free_at).where(pace.c.account == self._account)
            ).scalar_one()


def _lock(store: Store, name: str) -> _Lock:
    if not store.is_sqlite:
        return _AdvisoryLock(store, name)
    if store.path is None:
        return _NoLock()
    digest = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
    return _FileLock(store.path.with_name(f".{store.path.name}.{digest}.lock"))


class _FileLock:
    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path, thread_local=False)

    def take(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        except OSError as error:
            raise Stop("store", f"The folder of the store cannot be written to: {error.strerror}.") from error
        return True

    def release(self) -> None:
        self._lock.release()


class _AdvisoryLock:
    """A session lock of PostgreSQL, held by a connection of its own."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._number = int.from_bytes(
            hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True
        )
        self._open = ExitStack()

    def take(self) -> bool:
        connection = self._open.enter_context(self._store.engine.connect())
        query = text("SELECT pg_try_advisory_lock(:n)")
        if connection.execute(query, {"n": self._number}).scalar():
            connection.commit()
            self._connection = connection
            return True
        self._open.close()
        return False

    def release(self) -> None:
        self._connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": self._number})
        self._connection.commit()
        self._open.close()


class _NoLock:
    """A store in memory belongs to one process."""

    def take(self) -> bool:
        return True

    def release(self) -> None:
        return None
