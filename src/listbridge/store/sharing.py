"""What several processes share: locks that die with their holder, and the right to call an account."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Protocol
from weakref import WeakKeyDictionary

from filelock import FileLock, Timeout
from sqlalchemy import Connection, func, select, text
from sqlalchemy.sql.elements import ColumnElement

from listbridge.errors import Stop
from listbridge.store.bulk import upsert
from listbridge.store.open import Store, told_plainly
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

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Held while a request is under way."""
        return self._slot()

    def push_back(self, seconds: float) -> None:
        """Nobody begins a request of this account for a while."""
        until = time.time() + seconds
        self._move(until, self._later(pace.c.free_at, until))

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        # First the connection, then the moment: moments that pass while one waits for a connection would
        # all be used at once when connections become free.
        async with self._here:
            n = await self._take_any()
            try:
                await self._wait_for_the_moment()
                yield
            finally:
                self._slots[n].release()
                self._taken[n] = False

    async def _take_any(self) -> int:
        while (n := self._free()) is None:  # noqa: ASYNC110 - other processes free them
            await asyncio.sleep(_LOOK_SECONDS)
        return n

    def _free(self) -> int | None:
        for n, slot in enumerate(self._slots):
            if not self._taken[n] and slot.take():
                self._taken[n] = True
                return n
        return None

    async def _wait_for_the_moment(self) -> None:
        if self._interval:
            await asyncio.sleep(max(self._reserve() - time.time(), 0.0))
        else:
            while (seconds := self._free_at() - time.time()) > 0:  # noqa: ASYNC110 - other processes move it
                await asyncio.sleep(seconds)

    def _free_at(self) -> float:
        with self._store.read() as connection:
            query = select(pace.c.free_at).where(pace.c.account == self._account)
            return connection.execute(query).scalar() or 0.0

    def _reserve(self) -> float:
        """Take the next moment that is free, and tell it."""
        now = time.time()
        return (
            self._move(now + self._interval, self._later(pace.c.free_at, now) + self._interval)
            - self._interval
        )

    def _move(self, first: float, moved: ColumnElement[float]) -> float:
        """Write when the account is free: the first time, or moved on; gives back what is written."""
        with self._store.write() as connection:
            statement = upsert(connection, pace).values(account=self._account, free_at=first)
            statement = statement.on_conflict_do_update(index_elements=["account"], set_={"free_at": moved})
            free_at: float = connection.execute(statement.returning(pace.c.free_at)).scalar_one()
        return free_at

    def _later(self, column: ColumnElement[float], at: float) -> ColumnElement[float]:
        return func.max(column, at) if self._store.is_sqlite else func.greatest(column, at)


def _lock(store: Store, name: str) -> _Lock:
    if not store.is_sqlite:
        return _ServerLock(store, name)
    if store.path is None:
        return _OwnLock(store, name)
    digest = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
    return _FileLock(store.path.with_name(f".{store.path.name}.{digest}.lock"))


class _FileLock:
    """A lock of the kernel on a file; the file itself means nothing and may stay."""

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


_own_names: WeakKeyDictionary[Store, set[str]] = WeakKeyDictionary()


class _OwnLock:
    """A store in memory belongs to one process; inside it, a name is held once."""

    def __init__(self, store: Store, name: str) -> None:
        self._names = _own_names.setdefault(store, set())
        self._name = name

    def take(self) -> bool:
        if self._name in self._names:
            return False
        self._names.add(self._name)
        return True

    def release(self) -> None:
        self._names.discard(self._name)


class _ServerSession:
    """One connection of a process that holds all its locks on a PostgreSQL server.

    To the server one session may take a lock again and again, so what is taken is remembered here too.
    """

    def __init__(self, store: Store) -> None:
        self._engine = store.engine
        self._connection: Connection | None = None
        self._names: set[str] = set()
        self._alone = Lock()

    def take(self, name: str) -> bool:
        with self._alone, self._closed_if_idle():
            if name in self._names or not self._ask("pg_try_advisory_lock", name):
                return False
            self._names.add(name)
            return True

    def release(self, name: str) -> None:
        # A connection that was lost has released everything.
        with self._alone, suppress(Stop), self._closed_if_idle():
            self._names.discard(name)
            if self._connection is not None:
                self._ask("pg_advisory_unlock", name)

    def _ask(self, function: str, name: str) -> bool:
        with told_plainly():
            if self._connection is None:
                self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            query = text(f"SELECT {function}(hashtextextended(current_schema() || ' ' || :name, 0))")
            try:
                return bool(self._connection.execute(query, {"name": name}).scalar())
            except BaseException:
                self._connection.invalidate()
                self._close()
                raise

    @contextmanager
    def _closed_if_idle(self) -> Iterator[None]:
        try:
            yield
        finally:
            if not self._names:
                self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


_sessions: WeakKeyDictionary[Store, _ServerSession] = WeakKeyDictionary()


class _ServerLock:
    """An advisory lock of PostgreSQL, which frees it when the process that holds it is gone."""

    def __init__(self, store: Store, name: str) -> None:
        self._session = _sessions.setdefault(store, _ServerSession(store))
        self._name = name

    def take(self) -> bool:
        return self._session.take(self._name)

    def release(self) -> None:
        self._session.release(self._name)
