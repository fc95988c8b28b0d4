"""Opening a store: engine, pragmas, transactions, schema version."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import RLock

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event, insert, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from listbridge.errors import Misconfigured, Stop
from listbridge.store.tables import SCHEMA_VERSION, metadata, version


class Store:
    """One open store. Its two context managers are the only transactions there are."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._alone = RLock()
        self._shared: Connection | None = None

    @property
    def path(self) -> Path | None:
        """The file of an SQLite store; ``None`` in memory and on a server."""
        return None if self._is_in_memory or not self.is_sqlite else Path(self.engine.url.database or "")

    def write(self) -> AbstractContextManager[Connection]:
        """All or nothing: committed at the end, rolled back by an exception. One at a time on one store."""
        return self._joined() if self._is_in_memory else self._writing()

    def read(self) -> AbstractContextManager[Connection]:
        """A consistent view; nothing may be written."""
        return self._joined() if self._is_in_memory else self._reading()

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with told_plainly(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.execution_options(begins="BEGIN IMMEDIATE")
            with connection.begin():
                if not self.is_sqlite:
                    # As on SQLite, so that no two writers ever cross: what is read here stays true here.
                    connection.execute(_ONE_WRITER)
                yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with told_plainly(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.execution_options(begins="BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _joined(self) -> Iterator[Connection]:
        """A store in memory has one connection: whoever begins inside a transaction takes part in it."""
        with self._alone:
            if self._shared is not None:
                yield self._shared
                return
            with told_plainly(), self.engine.connect() as connection, connection.begin():
                self._shared = connection
                try:
                    yield connection
                finally:
                    self._shared = None

    @property
    def _is_in_memory(self) -> bool:
        return self.is_sqlite and self.engine.url.database in _IN_MEMORY


def open_store(url: str) -> Store:
    """Open a store, make or migrate its tables.

    Raises ``Misconfigured`` for a URL that means nothing, ``Stop("store", …)`` with a sentence for a
    store that cannot be used: read-only, full, damaged, or written by a newer version.
    """
    engine = _engine(url)
    store = Store(engine)
    try:
        with told_plainly():
            _bring_up_to_date(store)
    except BaseException:
        engine.dispose()
        raise
    return store


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turns what a database says about disk, rights and reach into a sentence; passes on the rest."""
    try:
        yield
    except DBAPIError as error:
        stop = _explained(str(error.orig))
        if stop is None:
            raise
        raise stop from error


_FULL = "The disk is full. Make room and run again; nothing that was done is lost."
_SENTENCES = (
    ("disk is full|No space left", _FULL),
    (
        "readonly database|unable to open.*readonly",
        "The store cannot be written: its file or folder is read-only.",
    ),
    ("unable to open", "The store cannot be opened: its folder is missing or may not be written to."),
    ("not a database", "The store's file is no SQLite database. Give `store` another name."),
    ("malformed", "The store's file is damaged. Restore it from a backup, or start a new one."),
    ("database is locked", "The store is in use by another program that does not let go of it."),
    ("disk I/O error", "The disk under the store reports an error. Check it, then run again."),
    (
        "password authentication failed|no password supplied|no pg_hba.conf entry",
        "The store's server refuses user or password. Check `store`.",
    ),
    (
        "resolve host|translate host|Name or service not known",
        "The store's server name is not known. Check `store`.",
    ),
    (
        "onnection refused|timeout expired|starting up|No route to host|unreachable",
        "The store's server does not answer. Start it, or check `store`.",
    ),
    (
        '(database|role) "[^"]*" does not exist',
        "The store's database or role does not exist on the server. Create it first.",
    ),
    (
        "permission denied|must be owner",
        "The store's user may not do that on the server. Give it the right to make tables in its database.",
    ),
    (
        "closed the connection|terminating connection|connection is closed|consuming input failed|connection is lost",
        "The connection to the store's server was lost. Run again; nothing that was done is lost.",
    ),
    ("too many clients|connection slots", "The store's server has no connection left. Let it take more."),
)


def _explained(words: str) -> Stop | None:
    for part, sentence in _SENTENCES:
        if re.search(part, words):
            return Stop("store", sentence)
    return None


def _engine(url: str) -> Engine:
    try:
        parsed = _with_driver(make_url(url))
        engine = create_engine(parsed, **_options(parsed))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError):
        raise Misconfigured(
            "store must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE."
        ) from None
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)
    return engine


def _options(url: URL) -> dict[str, object]:
    if url.get_backend_name() == "sqlite":
        pool = {"poolclass": StaticPool} if url.database in _IN_MEMORY else {}
        return {"connect_args": {"timeout": 60, "check_same_thread": False}, **pool}
    return {"pool_size": 2, "max_overflow": 20, "pool_pre_ping": True}


def _with_driver(url: URL) -> URL:
    backend = url.get_backend_name()
    if backend == "sqlite":
        return url
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise ArgumentError(backend)


def _set_pragmas(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # transactions are begun by us
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "temp_store=FILE",
        "cache_size=-8000",
        "journal_size_limit=67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begins", "BEGIN"))


def _bring_up_to_date(store: Store) -> None:
    with store.read() as connection:
        present = _version(connection)
    if present == SCHEMA_VERSION:
        return
    with store.write() as connection:
        present = _version(connection)  # another process may have been quicker
        if present is None:
            _make(connection)
        elif present > SCHEMA_VERSION:
            raise Stop(
                "store",
                f"The store was written by a newer Listbridge (schema {present}, this one knows "
                f"{SCHEMA_VERSION}). Install the newer version, or give `store` another name.",
            )
        elif present < SCHEMA_VERSION:
            _migrate(connection, present)


def _migrate(connection: Connection, present: str) -> None:
    from alembic.util import CommandError  # slow to import, and seldom needed

    from listbridge.store.migrations import upgrade

    try:
        upgrade(connection)
    except CommandError as error:
        raise Stop(
            "store",
            f"The store says of itself schema {present}, which no Listbridge ever had. Start a new one.",
        ) from error


def _make(connection: Connection) -> None:
    foreign = sorted(set(inspect(connection).get_table_names()) & set(metadata.tables))
    if foreign:
        raise Stop(
            "store",
            f"The store's database belongs to another program: it has a table {foreign[0]} that is not "
            "Listbridge's. Give `store` a database of its own.",
        )
    metadata.create_all(connection)
    connection.execute(insert(version).values(version_num=SCHEMA_VERSION))


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(version.name):
        return None
    return connection.execute(select(version.c.version_num)).scalar()


_IN_MEMORY = (None, "", ":memory:")
_ONE_WRITER = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('listbridge writes ' || current_schema(), 0))"
)

__all__ = ["SQLAlchemyError", "Store", "open_store", "told_plainly"]
