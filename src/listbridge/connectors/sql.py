"""Any database that SQLAlchemy reaches as a source: one query for each table.

Compared on 2026-11-22 with SQLite 3 and PostgreSQL 15 (psycopg 3) by running them. What is said here of
other databases, their error numbers included, is not checked.
"""

import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import sqlalchemy
from pydantic import ConfigDict, Field, SecretStr, field_validator
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from listbridge.changes import News, Outcome
from listbridge.connectors._statements import first_word, parameters, reading, writing
from listbridge.connectors._tables import COLUMNS, PAGE_SIZE, OneThread, TableOptions, header
from listbridge.connectors.base import Connector, Context, Finding, Page, Row
from listbridge.errors import Misconfigured, Stop, StopKind
from listbridge.model import Label

CONNECT_SECONDS = 20

STREAMED_WORDS = frozenset({"SELECT", "WITH", "VALUES", "TABLE"})
"""What a cursor on the server can be declared for."""

# --- their words, ours -------------------------------------------------------------------------------

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
"""A URL that names no driver gets the one that is a plain package to install."""

PACKAGES = {"MySQLdb": "mysqlclient", "psycopg2": "psycopg2-binary", "cx_Oracle": "oracledb"}
"""Packages that are called otherwise than the module that is missing."""

CONNECT_TIMEOUTS = {"psycopg": "connect_timeout", "psycopg2": "connect_timeout", "pymysql": "connect_timeout"}

STATES: dict[str, StopKind] = {
    "28": "credentials",
    "42501": "permission",
    "25006": "permission",
    "08": "unreachable",
    "57P": "unreachable",
    "53": "unreachable",
    "3D": "not_found",
    "42": "configuration",
}
"""SQLSTATE, whole or its beginning; the longest that fits counts."""

NUMBERS: dict[int, StopKind] = {
    1045: "credentials",
    1698: "credentials",
    1044: "permission",
    1142: "permission",
    1143: "permission",
    1290: "permission",
    1049: "not_found",
    1054: "configuration",
    1064: "configuration",
    1146: "configuration",
    2002: "unreachable",
    2003: "unreachable",
    2005: "unreachable",
    2013: "unreachable",
}
"""Error numbers of MySQL and MariaDB; not checked against a server."""

PHRASES: dict[str, StopKind] = {
    "no such table": "configuration",
    "no such column": "configuration",
    "no such function": "configuration",
    "ambiguous column": "configuration",
    "syntax error": "configuration",
    "incomplete input": "configuration",
    "file is not a database": "configuration",
    "readonly database": "permission",
    "unable to open database": "permission",
    "password authentication failed": "credentials",
    "no password supplied": "credentials",
    "no pg_hba.conf entry": "permission",
    "does not exist": "not_found",
}
"""For SQLite, and for connections to PostgreSQL that failed: they have no SQLSTATE."""

ADVICE: dict[StopKind, str] = {
    "credentials": "Check user and password in url.",
    "permission": "Give the user of url the right to do it.",
    "not_found": "Check the name of the database and of the user in url.",
    "configuration": "Correct the statement.",
    "unreachable": "Check host and port in url and whether the database is running; run again later.",
}


class SqlOptions(TableOptions):
    """Any database that SQLAlchemy reaches; every table is a query."""

    model_config = ConfigDict(hide_input_in_errors=True)  # a faulty url is shown with its password otherwise

    contacts: str | None = Field(
        default=None,
        min_length=1,
        description="Query that gives the contacts; it needs the columns `id` and `email`.",
        examples=["SELECT id, email, first_name, accepts_marketing AS consent FROM customers"],
    )
    url: SecretStr = Field(
        description="SQLAlchemy URL, for example `sqlite:///shop.db` or `postgresql://user:password@host/shop`."
    )
    unsubscribe: str | None = Field(
        default=None,
        description="Statement that stores an unsubscribe; may use `:id`, `:email`, `:at`, `:reason`.",
    )
    bounce: str | None = Field(
        default=None,
        description="Statement that stores a hard bounce; may use `:id`, `:email`, `:at`, `:reason`.",
    )

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: SecretStr) -> SecretStr:
        try:
            make_url(value.get_secret_value())
        except (ArgumentError, ValueError):
            raise ValueError(
                "is no SQLAlchemy URL such as sqlite:///shop.db; letters like @ and / in a password are "
                "written as %40 and %2F"
            ) from None
        return value

    @field_validator(*COLUMNS)
    @classmethod
    def _reads(cls, value: str | None) -> str | None:
        return value if value is None else reading(value)

    @field_validator("unsubscribe", "bounce")
    @classmethod
    def _writes(cls, value: str | None) -> str | None:
        return value if value is None else writing(value)


class SqlSource:
    """Reads each table with one query over a connection that cannot write, wherever the driver allows.

    All talk with the database is held on one thread of its own, so that nothing else waits for it.
    """

    tells_deletions: ClassVar[bool] = False
    always_full: ClassVar[bool] = True

    def __init__(self, options: SqlOptions, context: Context) -> None:
        self._options, self._name, self._folder = options, context.name, context.folder
        self._thread = OneThread(f"sql-{context.name}")

    async def check(self) -> Finding:
        """Start every query and look at its columns; no statement that writes is run."""
        held = self._options.held()
        await self._thread.run(self._try, held)
        back = {"unsubscribes": self._options.unsubscribe, "bounces": self._options.bounce}
        return Finding(
            can=(
                *(f"read {table}" for table in held),
                *(f"write {what} back" for what, statement in back.items() if statement),
            ),
        )

    def contacts(self, cursor: str | None) -> AsyncIterator[Page]:
        return self.rows("contacts")

    def rows(self, table: str) -> AsyncIterator[Page]:
        """Every row of one table, page by page, as :meth:`Source.contacts` says."""
        return self._thread.pages(self._read(table))

    async def labels(self) -> Sequence[Label]:
        return ()

    async def write_back(self, news: Sequence[News]) -> Sequence[Outcome]:
        return await self._thread.run(self._write_all, news)

    async def close(self) -> None:
        self._thread.close()

    @cached_property
    def _url(self) -> URL:
        url = make_url(self._options.url.get_secret_value())
        url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
        if not _is_sqlite(url):
            return url
        if not url.database or url.database.startswith((":", "file:")):
            raise Misconfigured(f"The url of {self._name} names no file; write it as in sqlite:///shop.db.")
        return url.set(database=str(self._folder / url.database))

    def _engine(self, *, writes: bool) -> Engine:
        url = self._url
        try:
            engine = create_engine(
                url, poolclass=NullPool, hide_parameters=True, **self._connecting(url, writes)
            )
        except (NoSuchModuleError, ImportError, ArgumentError) as error:
            raise self._no_driver(error) from None
        if engine.dialect.is_async:
            raise Misconfigured(
                f"{self._name}: {url.drivername} is a driver for asynchronous programs; name another in url, "
                f"for example {DRIVERS.get(url.get_backend_name(), 'sqlite')}."
            )
        return engine

    def _connecting(self, url: URL, writes: bool) -> dict[str, Any]:
        """What is special about opening this database."""
        if _is_sqlite(url):
            path = Path(str(url.database))
            if not path.is_file():
                raise Stop("not_found", f"{self._name}: there is no database file {path}. Correct url.")
            return {"creator": lambda: _sqlite(path, "rw" if writes else "ro")}
        timeout = CONNECT_TIMEOUTS.get(url.drivername.partition("+")[2])
        given: dict[str, Any] = {} if timeout is None else {timeout: CONNECT_SECONDS}
        if writes and url.drivername == "postgresql+psycopg":
            given["cursor_factory"] = _literal_cursor()
        return {"connect_args": {name: value for name, value in given.items() if name not in url.query}}

    def _no_driver(self, error: Exception) -> Misconfigured:
        if isinstance(error, ModuleNotFoundError) and error.name:
            package = PACKAGES.get(error.name, error.name)
            return Misconfigured(
                f"{self._name}: the driver for {self._url.drivername} is not installed; "
                f"run `pip install {package}`."
            )
        return Misconfigured(
            f"{self._name}: {self._url.drivername} is no database that SQLAlchemy knows here; correct the "
            "beginning of url, or install the package that brings the dialect."
        )

    def _connected(self, *, writes: bool = False) -> Connection:
        engine = self._engine(writes=writes)
        try:
            connection = engine.connect()
            if not writes:
                _only_read(connection)
        except SQLAlchemyError as error:
            raise self._explained(error, "cannot be opened") from None
        return connection

    def _try(self, tables: Iterable[str]) -> None:
        self._connected().close()
        for table in tables:
            self._begin(table).close()

    def _read(self, table: str) -> Generator[list[Row], None, None]:
        reading = self._begin(table)
        try:
            while rows := reading.page():
                yield rows
        finally:
            reading.close()

    def _begin(self, table: str) -> "_Reading":
        query = self._options.where(table, self._name)
        connection = self._connected()
        where = f"the query {table} of {self._name}"
        try:
            return _Reading(connection, query, table, where, self._words)
        except SQLAlchemyError as error:
            connection.close()
            raise self._explained(error, f"refuses the query {table}") from None
        except BaseException:
            connection.close()
            raise

    def _write_all(self, news: Sequence[News]) -> list[Outcome]:
        statements = {"unsubscribed": self._options.unsubscribe, "bounced": self._options.bounce}
        if not any(statements.get(one.what) for one in news):
            return [_unsupported(one) for one in news]
        with self._connected(writes=True) as connection:
            return [self._write(connection, statements.get(one.what), one) for one in news]

    def _write(self, connection: Connection, statement: str | None, one: News) -> Outcome:
        if not statement:
            return _unsupported(one)
        given = _parameters(one, connection.dialect.name)
        named = {name: given[name] for name in parameters(statement)}
        try:
            with connection.begin():
                changed = connection.execute(sqlalchemy.text(statement), named).rowcount
        except SQLAlchemyError as error:
            if _concerns_row(error):
                return Outcome(one.email, "refused", self._words(error))
            raise self._explained(error, f"refuses to store that somebody {one.what}") from None
        if changed == 0 and re.match(r"\s*update\b", statement, re.IGNORECASE):
            words = "The statement changed no row. Its WHERE must find the contact by :id, which is a text."
            return Outcome(one.email, "refused", words)
        return Outcome(one.email)

    def _explained(self, error: SQLAlchemyError, what: str) -> Stop:
        kind = _kind(error)
        words = f"{self._name} {what}: {self._words(error)}. {ADVICE[kind]}"
        return Misconfigured(words) if kind == "configuration" else Stop(kind, words)

    def _words(self, error: BaseException) -> str:
        """The database's first line, without what must not be told."""
        told = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
        words = told.splitlines()[0]
        for secret in _secrets(self._url):
            words = words.replace(secret, "***")
        return words[:300].rstrip(".")


class _Reading:
    """One query under way, and its cursor. Used on one thread."""

    def __init__(
        self,
        connection: Connection,
        query: str,
        table: str,
        where: str,
        words: Callable[[BaseException], str],
    ) -> None:
        self._connection, self._where, self._words = connection, where, words
        self._broken: type[Exception] = connection.dialect.loaded_dbapi.Error
        connection.execution_options(
            stream_results=first_word(query) in STREAMED_WORDS,
            max_row_buffer=PAGE_SIZE,
            no_parameters=True,
        )
        self._result = connection.exec_driver_sql(query)
        self._count = 0
        try:
            self._names = header(self._columns(), table, where)
            self._fetch: Callable[[int], Sequence[Any]] = self._fetching()
        except BaseException:
            self.close()
            raise

    def _columns(self) -> list[str]:
        cursor: Any = self._result.cursor
        if cursor is None or cursor.description is None:
            raise Misconfigured(f"{self._where} gives no rows; write one that does, such as a SELECT.")
        return [column[0] for column in cursor.description]

    def _fetching(self) -> Callable[[int], Sequence[Any]]:
        """SQLite's cursor gives plain tuples faster; elsewhere rows may be waiting in the result's buffer."""
        cursor: Any = self._result.cursor
        fetch: Callable[[int], Sequence[Any]] = cursor.fetchmany
        return fetch if self._connection.dialect.name == "sqlite" else self._result.fetchmany

    def page(self) -> list[Row]:
        """The next rows, none at the end. Raises ``Stop`` if the database breaks off."""
        names = self._names
        try:
            rows = [dict(zip(names, values, strict=True)) for values in self._fetch(PAGE_SIZE)]
        except (self._broken, SQLAlchemyError) as error:
            raise Stop(
                "source_incomplete",
                f"{self._where} broke off after {self._count} rows: {self._words(error)}. "
                "Nobody is taken for deleted; mend the cause and run again.",
            ) from None
        self._count += len(rows)
        return rows

    def close(self) -> None:
        try:
            self._result.close()
            self._connection.close()
        except (SQLAlchemyError, self._broken):
            self._connection.invalidate()


# --- databases ---------------------------------------------------------------------------------------


def _parameters(one: News, dialect: str) -> dict[str, Any]:
    at = datetime.fromtimestamp(one.at, UTC).replace(microsecond=0)
    texts = dialect in ("sqlite", "postgresql")
    return {
        "id": one.contact_id,
        "email": one.email,
        "at": at.isoformat().replace("+00:00", "Z") if texts else at.replace(tzinfo=None),
        "reason": f"{one.what} at {one.origin}",
    }


def _unsupported(one: News) -> Outcome:
    option = "bounce" if one.what == "bounced" else "unsubscribe"
    return Outcome(one.email, "unsupported", f"The connection has no statement {option}.")


def _is_sqlite(url: URL) -> bool:
    return url.drivername in ("sqlite", "sqlite+pysqlite")


def _sqlite(path: Path, mode: str) -> sqlite3.Connection:
    """Opened without the right to make the file."""
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=30, check_same_thread=False
    )


def _literal_cursor() -> Any:
    """Puts values into the statement as literals, which take on whatever type their place asks for."""
    from psycopg import ClientCursor

    return ClientCursor


def _only_read(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execution_options(postgresql_readonly=True)


def _kind(error: SQLAlchemyError) -> StopKind:
    """What a person must mend, by the database's own code, else by its words."""
    orig = getattr(error, "orig", None)
    state = str(getattr(orig, "sqlstate", None) or "")
    first = (orig.args or ("",))[0] if isinstance(orig, BaseException) else ""
    if isinstance(first, int):
        return NUMBERS.get(first, "unreachable")
    if not state and re.fullmatch(r"[0-9A-Z]{5}", str(first)):
        state = str(first)
    for length in (5, 3, 2):
        if state[:length] in STATES:
            return STATES[state[:length]]
    words = str(orig or error)
    return next((kind for phrase, kind in PHRASES.items() if phrase in words), "unreachable")


def _concerns_row(error: SQLAlchemyError) -> bool:
    """Whether the database refused this one row's values, and not the statement or the connection."""
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return False
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return state.startswith(("22", "23", "P0")) or isinstance(
        error, sqlalchemy.exc.IntegrityError | sqlalchemy.exc.DataError
    )


def _secrets(url: URL) -> set[str]:
    found = {str(url.password or "")}
    for name, value in url.query.items():
        if re.search("pass|pwd|secret|token|key", name, re.IGNORECASE):
            found.update([value] if isinstance(value, str) else value)
    return {form for secret in found if secret for form in (secret, quote(secret, safe=""))}


connector = Connector(
    name="sql",
    title="SQL",
    options=SqlOptions,
    source=SqlSource,
    verified=(
        "SQLite: every path, against the SQLite library of Python, 2026-11-22",
        "PostgreSQL 15 with psycopg 3: reading, errors and write-back against a real server, 2026-11-22",
    ),
    unsure=(
        "MySQL, MariaDB, SQL Server, Oracle and all others: no server was tried, error numbers are not checked",
        "MySQL and SQL Server: reading is not forced to be read-only; give the user no right to write",
    ),
)
