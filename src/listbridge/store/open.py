"""Opening a store: engine, pragmas, transactions, schema version."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from listbridge.errors import Misconfigured, Stop
from listbridge.store.tables import SCHEMA_VERSION, metadata


class Store:
    """One open store. Its two context managers are the only transactions there are."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"

    @property
    def path(self) -> Path | None:
        """The file of an SQLite store; ``None`` in memory and on a server."""
        name = self.engine.url.database
        return Path(name) if self.is_sqlite and name and name != ":memory:" else None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """All or nothing: committed at the end, rolled back by an exception."""
        with told_plainly(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.execution_options(begins="BEGIN IMMEDIATE")
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view; nothing may be written."""
        with told_plainly(), self.engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        self.engine.dispose()


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


_SENTENCES = (
    ("disk is full", "The disk is full. Make room and run again; nothing that was done is lost."),
    ("No space left", "The disk is full. Make room and run again; nothing that was done is lost."),
    ("readonly database", "The store cannot be written: its file or folder is read-only."),
    ("unable to open", "The store cannot be opened: its folder is missing or may not be written to."),
    ("not a database", "The store's file is no SQLite database. Give `store` another name."),
    ("malformed", "The store's file is damaged. Restore it from a backup, or start a new one."),
    ("database is locked", "The store is in use by another program that does not let go of it."),
    ("disk I/O error", "The disk under the store reports an error. Check it, then run again."),
    ("password authentication failed", "The store's server refuses user or password. Check `store`."),
    ("onnection refused", "The store's server does not answer. Start it, or check `store`."),
    ("could not translate host", "The store's server name is not known. Check `store`."),
    ("does not exist", "The store's database or role does not exist on the server. Create it first."),
)


def _explained(words: str) -> Stop | None:
    for part, sentence in _SENTENCES:
        if part in words:
            return Stop("store", sentence)
    return None


def _engine(url: str) -> Engine:
    try:
        parsed = _with_driver(make_url(url))
        engine = create_engine(parsed, **_options(parsed))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError):
        raise Misconfigured(
            "store must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE."
        ) from None
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)
    return engine


def _options(url: URL) -> dict[str, object]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": 60, "check_same_thread": False}}
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
        "cache_size=-32000",
        "journal_size_limit=67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begins", "BEGIN"))


def _bring_up_to_date(store: Store) -> None:
    version = _version(store)
    if version == SCHEMA_VERSION:
        return
    if version is None:
        with store.write() as connection:
            if _version_in(connection) is None:
                metadata.create_all(connection)
                connection.execute(text("CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32))"))
                connection.execute(
                    text("INSERT INTO alembic_version (version_num) VALUES (:v)"), {"v": SCHEMA_VERSION}
                )
        return
    if version > SCHEMA_VERSION:
        raise Stop(
            "store",
            f"The store was written by a newer Listbridge (schema {version}, this one knows "
            f"{SCHEMA_VERSION}). Install the newer version, or give `store` another name.",
        )
    from listbridge.store.migrations import upgrade  # noqa: PLC0415 - Alembic is slow to import

    upgrade(store.engine)


def _version(store: Store) -> str | None:
    with store.read() as connection:
        return _version_in(connection)


def _version_in(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


__all__ = ["SQLAlchemyError", "Store", "open_store", "told_plainly"]
