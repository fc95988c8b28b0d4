"""The connector ``sql``: reading as a stream, sentences for what goes wrong, writing back."""

import asyncio
import os
import sqlite3
import threading
import tracemalloc
from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from pydantic import ValidationError
from sqlalchemy import URL, make_url

from listbridge.changes import News, Outcome
from listbridge.connectors._tables import OneThread
from listbridge.connectors.base import Connector, Context
from listbridge.connectors.sql import SqlOptions, SqlSource, _kind, _secrets, connector
from listbridge.errors import Misconfigured, Stop
from listbridge.rows import contact_from_row

AWKWARD = [
    (1, "Twin@b.example", "a\0b"),
    (2, "twin@b.example", "😀 Zoë"),
    (3, "straße@b.example", "שלום"),
    (4, None, "x" * 10_000),
    (5, "", "two\nlines"),
]
UNSUBSCRIBE = "UPDATE c SET consent = 'denied', at = :at, why = :reason WHERE id = :id AND email = :email"


def no_http(*_given: Any, **_named: Any) -> Any:
    raise AssertionError("a database is not reached by HTTP")


def source_of(folder: Path, url: str = "sqlite:///shop.db", **options: Any) -> SqlSource:
    return SqlSource(SqlOptions(connector="sql", url=url, **options), Context("shop", folder, no_http))


def pages_of(source: SqlSource, table: str = "contacts") -> list[Any]:
    async def read() -> list[Any]:
        try:
            return [page async for page in source.rows(table)]
        finally:
            await source.close()

    return asyncio.run(read())


def rows_of(source: SqlSource, table: str = "contacts") -> list[dict[str, Any]]:
    return [row for page in pages_of(source, table) for row in page.rows]


def written(source: SqlSource, *news: News) -> list[Outcome]:
    async def write() -> list[Outcome]:
        try:
            return list(await source.write_back(news))
        finally:
            await source.close()

    return asyncio.run(write())


def checked(source: SqlSource) -> Any:
    async def check() -> Any:
        try:
            return await source.check()
        finally:
            await source.close()

    return asyncio.run(check())


def stop_of(source: SqlSource, table: str = "contacts") -> Stop:
    with pytest.raises(Stop) as caught:
        rows_of(source, table)
    return caught.value


def gone(number: int = 1, what: str = "unsubscribed") -> News:
    return News(str(number), f"{number}@b.example", what, 1_704_164_645.25, "newsletter")


def run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    run(path, "CREATE TABLE c (id INTEGER PRIMARY KEY, email, consent, at, why)")
    with closing(sqlite3.connect(path)) as database, database:
        many = ((n, f"{n}@b.example", "granted", None, None) for n in range(1, 2502))
        database.executemany("INSERT INTO c VALUES (?, ?, ?, ?, ?)", many)
    return tmp_path


def stored(shop: Path, number: int = 1) -> tuple[Any, ...]:
    with closing(sqlite3.connect(shop / "shop.db")) as database:
        found: tuple[Any, ...] = database.execute(
            "SELECT consent, at, why FROM c WHERE id = ?", (number,)
        ).fetchone()
        return found


# --- reading -----------------------------------------------------------------------------------------


def test_the_connector_is_a_source_that_is_always_read_in_full() -> None:
    assert isinstance(connector, Connector)
    assert (connector.name, connector.source, connector.options) == ("sql", SqlSource, SqlOptions)
    assert SqlSource.always_full
    assert not SqlSource.tells_deletions


def test_every_row_comes_once_in_pages_of_a_thousand_without_cursor(shop: Path) -> None:
    pages = pages_of(source_of(shop, contacts="SELECT id, email FROM c ORDER BY id;"))
    assert [len(page.rows) for page in pages] == [1000, 1000, 501]
    assert [row["id"] for page in pages for row in page.rows] == list(range(1, 2502))
    assert {(page.cursor, page.gone) for page in pages} == {(None, ())}


def test_contacts_are_the_rows_of_the_query_contacts(shop: Path) -> None:
    async def read() -> list[Any]:
        source = source_of(shop, contacts="SELECT id, email FROM c WHERE id < 3")
        found = [row async for page in source.contacts(None) for row in page.rows]
        assert await source.labels() == ()
        await source.close()
        return found

    assert asyncio.run(read()) == [{"id": 1, "email": "1@b.example"}, {"id": 2, "email": "2@b.example"}]


def test_an_empty_result_is_a_complete_read_of_nobody(shop: Path) -> None:
    assert rows_of(source_of(shop, contacts="SELECT id, email FROM c WHERE id < 0")) == []


def test_names_of_rows_are_lower_case_and_others_stay(shop: Path) -> None:
    query = 'SELECT id AS ID, email AS "E-Mail ", email AS "Email", 1 AS Loyalty, 2 AS "First_Name" FROM c LIMIT 1'
    assert list(rows_of(source_of(shop, contacts=query))[0]) == [
        "id",
        "E-Mail",
        "email",
        "Loyalty",
        "first_name",
    ]


def test_other_tables_have_names_of_their_own(shop: Path) -> None:
    query = "SELECT 1 AS Order_ID, 2 AS PRODUCT_ID, 3 AS Quantity, 4 AS Price, 5 AS Email"
    assert rows_of(source_of(shop, order_lines=query), "order_lines") == [
        {"order_id": 1, "product_id": 2, "quantity": 3, "price": 4, "Email": 5}
    ]


def test_awkward_rows_arrive_whole(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database, database:
        database.execute("CREATE TABLE c (id, email, note)")
        database.executemany("INSERT INTO c VALUES (?, ?, ?)", [*AWKWARD, AWKWARD[0]])
    found = rows_of(source_of(tmp_path, contacts="SELECT * FROM c"))
    assert [tuple(row.values()) for row in found] == [*AWKWARD, AWKWARD[0]]
    contacts = [contact_from_row(row, granted_before=False) for row in found]
    assert [contact.attributes["note"] for contact in contacts] == [note for _, _, note in AWKWARD] + ["a\0b"]


@pytest.mark.parametrize(
    "query",
    [
        "  -- people; all of them\nSELECT id, email FROM c WHERE email <> ';' LIMIT 1 -- end; really",
        "/* a; */ WITH x AS (SELECT * FROM c) SELECT id, email FROM x LIMIT 1 ;\n ",
        "VALUES (1, 2)",
        "SELECT id, email, ':noon' AS a, '100 %' AS b, '%s' AS d FROM c WHERE email LIKE '1@%' LIMIT 1",
        "SELECT id, email, 'insert into x; delete from y' AS \"update it set\" FROM c LIMIT 1",
    ],
)
def test_a_query_may_hold_comments_quotes_colons_and_percents(shop: Path, query: str) -> None:
    if query.startswith("VALUES"):
        assert "lacks the column id and email" in stop_of(source_of(shop, contacts=query)).message
    else:
        assert [row["id"] for row in rows_of(source_of(shop, contacts=query))] == [1]


def test_reading_can_be_left_before_its_end(shop: Path) -> None:
    async def first() -> int:
        source = source_of(shop, contacts="SELECT id, email FROM c")
        pages = source.rows("contacts")
        page = await anext(pages)
        await pages.aclose()  # type: ignore[attr-defined]
        await source.close()
        return len(page.rows)

    assert asyncio.run(first()) == 1000
    run(shop / "shop.db", "DROP TABLE c")


def test_leaving_a_read_closes_it_at_once_and_on_its_own_thread() -> None:
    threads = []

    def batches() -> Generator[list[dict[str, Any]], None, None]:
        try:
            threads.append(threading.get_ident())
            yield [{"id": 1}]
            yield [{"id": 2}]
        finally:
            threads.append(threading.get_ident())

    async def leave(batch: Generator[list[dict[str, Any]], None, None]) -> None:
        thread = OneThread("t")
        pages = thread.pages(batch)
        await anext(pages)
        await pages.aclose()  # type: ignore[attr-defined]
        thread.close()

    kept = batches()
    asyncio.run(leave(kept))
    assert len(threads) == 2
    assert len(set(threads) | {threading.get_ident()}) == 2


def test_two_tables_can_be_read_at_once(shop: Path) -> None:
    async def both() -> list[int]:
        query = "SELECT id, email FROM c"
        source = source_of(shop, contacts=query, products="SELECT id, email AS title FROM c")

        async def count(table: str) -> int:
            return sum([len(page.rows) async for page in source.rows(table)])

        found = await asyncio.gather(count("contacts"), count("products"))
        await source.close()
        return list(found)

    assert asyncio.run(both()) == [2501, 2501]


def test_memory_does_not_grow_with_the_table(shop: Path) -> None:
    numbers = "WITH RECURSIVE n(id) AS (VALUES (1) UNION ALL SELECT id + 1 FROM n WHERE id < {}) "

    def peak(count: int) -> int:
        query = numbers.format(count) + "SELECT id, 'person' || id || '@b.example' AS email FROM n"

        async def read() -> int:
            source = source_of(shop, contacts=query)
            seen = 0
            tracemalloc.start()
            async for page in source.contacts(None):
                seen += len(page.rows)
            top = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            await source.close()
            assert seen == count
            return top

        return asyncio.run(read())

    peak(3_000)
    assert peak(40_000) < 1.5 * peak(4_000)


# --- what goes wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT id, id AS email, email FROM c", "two columns with the name email"),
        ("SELECT id, email, 1 AS Phone, 2 AS phone FROM c", "two columns with the name phone"),
        ("SELECT id, why FROM c", "lacks the column email. It has: id, why."),
        ("SELECT email FROM c", "lacks the column id."),
        ('SELECT id, email, 1 AS "" FROM c', "Column 3 of the query contacts of shop has no name"),
        ("SELECT id, email FROM nope", "no such table: nope"),
        ("SELECT id, emial FROM c", "no such column: emial"),
        ("SELECT id, email FRM c", "syntax error"),
        ("SELECT id, email FROM c WHERE (", "incomplete input"),
        ("SELECT nofunction(id) AS id, email FROM c", "no such function"),
    ],
)
def test_a_faulty_query_is_a_configuration_error(shop: Path, query: str, words: str) -> None:
    error = stop_of(source_of(shop, contacts=query))
    assert isinstance(error, Misconfigured)
    assert words in error.message
    assert "shop" in error.message


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM c",
        "INSERT INTO c VALUES (1)",
        "UPDATE c SET id = 1",
        "DROP TABLE c",
        "PRAGMA journal_mode = WAL",
        "SELECT id, email INTO d FROM c",
        "WITH x AS (DELETE FROM c RETURNING *) SELECT * FROM x",
        "WITH x AS (UPDATE c SET id = 2 RETURNING *) SELECT * FROM x",
        "SELECT id, email FROM c FOR UPDATE",
        "/* SELECT */ DELETE FROM c",
        "-- SELECT\nVACUUM",
    ],
)
def test_a_query_that_does_not_read_is_a_configuration_error(query: str) -> None:
    with pytest.raises(ValidationError, match="does not read"):
        SqlOptions(connector="sql", url="sqlite:///shop.db", contacts=query)


@pytest.mark.parametrize("option", ["contacts", "orders", "carts", "unsubscribe", "bounce"])
def test_a_second_statement_is_a_configuration_error(option: str) -> None:
    with pytest.raises(ValidationError, match="more than one statement"):
        SqlOptions(connector="sql", url="sqlite:///shop.db", **{option: "SELECT ';' AS a; SELECT 2"})


@pytest.mark.parametrize("option", ["contacts", "unsubscribe"])
@pytest.mark.parametrize("statement", [" ; ", "-- nothing"])
def test_an_empty_statement_is_a_configuration_error(option: str, statement: str) -> None:
    with pytest.raises(ValidationError, match="is empty"):
        SqlOptions(connector="sql", url="sqlite:///shop.db", **{option: statement})


def test_a_statement_with_an_unknown_parameter_is_a_configuration_error() -> None:
    with pytest.raises(ValidationError, match="uses :mail; there are :id, :email, :at and :reason"):
        SqlOptions(connector="sql", url="sqlite:///shop.db", unsubscribe="DELETE FROM c WHERE email = :mail")


@pytest.mark.parametrize("url", ["shop.db", "", "postgresql://u:sec/ret@host:port/x"])
def test_a_text_that_is_no_url_is_a_configuration_error_that_keeps_the_password(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SqlOptions(connector="sql", url=url)
    told = str([error["msg"] for error in caught.value.errors()])
    assert "is no SQLAlchemy URL" in told
    assert "ret@" not in str(caught.value)


def test_the_url_is_not_in_the_text_of_the_options() -> None:
    assert "secret" not in repr(SqlOptions(connector="sql", url="postgresql://u:secret@h/x"))


def test_a_missing_query_is_a_configuration_error(shop: Path) -> None:
    error = stop_of(source_of(shop))
    assert isinstance(error, Misconfigured)
    assert error.message == "The connection shop has no contacts; add the option contacts to it."


@pytest.mark.parametrize("url", ["sqlite:///nope.db", "sqlite:///folder/nope.db", "sqlite:///."])
def test_a_missing_sqlite_file_is_told_and_not_made(tmp_path: Path, url: str) -> None:
    error = stop_of(source_of(tmp_path, url, contacts="SELECT id, email FROM c"))
    assert error.kind == "not_found"
    assert str(tmp_path) in error.message
    with pytest.raises(Stop, match="there is no database file"):
        written(source_of(tmp_path, url, unsubscribe=UNSUBSCRIBE), gone())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=rwc&uri=true"])
def test_sqlite_without_a_plain_file_is_a_configuration_error(tmp_path: Path, url: str) -> None:
    error = stop_of(source_of(tmp_path, url, contacts="SELECT id, email FROM c"))
    assert isinstance(error, Misconfigured)
    assert "names no file" in error.message


def test_an_absolute_path_is_taken_as_it_is(shop: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    query = "SELECT id, email FROM c LIMIT 1"
    assert rows_of(source_of(elsewhere, f"sqlite:///{shop / 'shop.db'}", contacts=query))[0]["id"] == 1


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_bytes(b"id;email\n" * 1000)
    error = stop_of(source_of(tmp_path, contacts="SELECT id, email FROM c"))
    assert isinstance(error, Misconfigured)
    assert "file is not a database" in error.message


def test_a_read_that_breaks_in_the_middle_is_incomplete(shop: Path) -> None:
    run(shop / "shop.db", "UPDATE c SET email = CAST(x'ff' AS TEXT) WHERE id = 1700")

    async def read() -> tuple[int, Stop]:
        source = source_of(shop, contacts="SELECT id, email FROM c ORDER BY id")
        seen = 0
        try:
            async for page in source.contacts(None):
                seen += len(page.rows)
        except Stop as error:
            return seen, error
        finally:
            await source.close()
        raise AssertionError("the read was taken for complete")

    seen, error = asyncio.run(read())
    assert (seen, error.kind) == (1000, "source_incomplete")
    assert "the query contacts of shop broke off after 1000 rows: Could not decode" in error.message


def test_a_query_cannot_write_into_sqlite(shop: Path) -> None:
    source = source_of(shop, contacts="SELECT id, email FROM c")
    with source._connected() as connection, pytest.raises(sqlalchemy.exc.OperationalError, match="readonly"):
        connection.exec_driver_sql("DELETE FROM c")
    asyncio.run(source.close())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mssql+pyodbc://u:secret@h/x", "run `pip install pyodbc`"),
        ("mysql://u:secret@h/x", "run `pip install pymysql`"),
        ("postgresql+psycopg2://u:secret@h/x", "run `pip install psycopg2-binary`"),
        ("nosuch://u:secret@h/x", "no database that SQLAlchemy knows"),
    ],
)
def test_a_missing_driver_is_a_configuration_error_that_names_the_package(
    tmp_path: Path, url: str, words: str
) -> None:
    error = stop_of(source_of(tmp_path, url, contacts="SELECT id, email FROM c"))
    assert isinstance(error, Misconfigured)
    assert words in error.message
    assert "secret" not in error.message


def test_a_driver_for_asynchronous_programs_is_a_configuration_error(tmp_path: Path) -> None:
    error = stop_of(
        source_of(tmp_path, "postgresql+psycopg_async://u:secret@h/x", contacts="SELECT id, email")
    )
    assert isinstance(error, Misconfigured)
    assert "for example postgresql+psycopg." in error.message


class ForeignError(Exception):
    """As drivers of other databases raise it: their code is the first argument, or ``sqlstate``."""


def test_a_password_in_the_words_of_a_driver_is_not_told_on(tmp_path: Path) -> None:
    source = source_of(tmp_path, "postgresql://u:p%40ss@h/x")
    told = "could not parse u:p@ss@h or u:p%40ss@h.\nDETAIL: a@b.example"
    assert source._words(ForeignError(told)) == "could not parse u:***@h or u:***@h"
    asyncio.run(source.close())


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1045, "credentials"),
        (1142, "permission"),
        (1049, "not_found"),
        (1146, "configuration"),
        (2003, "unreachable"),
        (9999, "unreachable"),
        ("28000", "credentials"),
        ("42501", "permission"),
        ("42S02", "configuration"),
        ("08001", "unreachable"),
        ("57P03", "unreachable"),
        ("3D000", "not_found"),
        ("XX000", "unreachable"),
    ],
)
def test_codes_of_other_databases_say_what_to_do(code: int | str, kind: str) -> None:
    error = sqlalchemy.exc.OperationalError("SELECT 1", {}, ForeignError(code, "their words"))
    assert _kind(error) == kind


def test_an_error_without_any_code_is_a_matter_of_reaching_it() -> None:
    assert _kind(sqlalchemy.exc.TimeoutError("x")) == "unreachable"


@pytest.mark.parametrize(
    "query", ["x?password=s3%2Fcret", "x?sslpassword=s3%2Fcret", "x?api_token=s3%2Fcret"]
)
def test_secrets_in_the_query_of_a_url_are_secrets(query: str) -> None:
    assert _secrets(make_url(f"postgresql://u:p%40ss@h/{query}")) == {
        "p@ss",
        "p%40ss",
        "s3/cret",
        "s3%2Fcret",
    }


# --- check -------------------------------------------------------------------------------------------


def test_check_says_what_can_be_done_and_a_statement_left_out_is_no_fault(shop: Path) -> None:
    query = "SELECT id, email FROM c"
    found = checked(
        source_of(shop, contacts=query, products="SELECT 1 AS id, 2 AS title", unsubscribe=UNSUBSCRIBE)
    )
    assert found.can == ("read contacts", "read products", "write unsubscribes back")
    assert found.missing == ()
    assert stored(shop) == ("granted", None, None)


def test_check_finds_the_fault_in_any_query(shop: Path) -> None:
    with pytest.raises(Misconfigured, match="products"):
        checked(source_of(shop, contacts="SELECT id, email FROM c", products="SELECT id FROM c"))


def test_check_without_any_query_still_opens_the_database(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="there is no database file"):
        checked(source_of(tmp_path))


# --- writing back ------------------------------------------------------------------------------------


def test_an_unsubscribe_is_stored_with_all_its_parameters_and_may_be_repeated(shop: Path) -> None:
    for _ in range(2):
        assert written(source_of(shop, unsubscribe=UNSUBSCRIBE), gone(1), gone(2)) == [
            Outcome("1@b.example"),
            Outcome("2@b.example"),
        ]
    expected = ("denied", "2024-01-02T03:04:05Z", "unsubscribed at newsletter")
    assert (stored(shop, 1), stored(shop, 2)) == (expected, expected)
    assert stored(shop, 3) == ("granted", None, None)


def test_a_bounce_has_a_statement_of_its_own_and_a_subset_of_parameters(shop: Path) -> None:
    source = source_of(shop, bounce="UPDATE c SET why = 'bounce' WHERE id = :id;")
    assert [one.rejected for one in written(source, gone(1, "bounced"), gone(2))] == [None, "unsupported"]
    assert stored(shop, 1) == ("granted", None, "bounce")
    assert stored(shop, 2) == ("granted", None, None)


def test_without_statements_nothing_is_opened(tmp_path: Path) -> None:
    found = written(source_of(tmp_path), gone(1), gone(2, "bounced"))
    assert [one.rejected for one in found] == ["unsupported", "unsupported"]
    assert [one.detail for one in found] == [
        "The connection has no statement unsubscribe.",
        "The connection has no statement bounce.",
    ]


def test_a_row_that_the_database_refuses_does_not_stop_the_others(shop: Path) -> None:
    run(
        shop / "shop.db",
        "CREATE TRIGGER t BEFORE UPDATE ON c WHEN old.id = 2 BEGIN SELECT RAISE(ABORT, 'locked by law'); END",
    )
    found = written(source_of(shop, unsubscribe=UNSUBSCRIBE), gone(1), gone(2), gone(3))
    assert found == [
        Outcome("1@b.example"),
        Outcome("2@b.example", "refused", "locked by law"),
        Outcome("3@b.example"),
    ]
    assert [stored(shop, number)[0] for number in (1, 2, 3)] == ["denied", "granted", "denied"]


def test_a_faulty_statement_stops_and_tells_nobody_s_address(shop: Path) -> None:
    with pytest.raises(Misconfigured, match="no such table: d") as caught:
        written(source_of(shop, unsubscribe="DELETE FROM d WHERE email = :email"), gone())
    assert "b.example" not in caught.value.message


# --- PostgreSQL --------------------------------------------------------------------------------------


@pytest.fixture
def postgres() -> Iterator[URL]:
    told = os.environ.get("LISTBRIDGE_TEST_POSTGRES")
    if not told:
        pytest.skip("LISTBRIDGE_TEST_POSTGRES names no PostgreSQL server")
    url = make_url(told).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    schema = f"sql_{os.getpid()}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        connection.exec_driver_sql(
            f"CREATE TABLE {schema}.c (id bigint PRIMARY KEY, email text, points numeric(9,2), "
            "since timestamptz, naive timestamp, tags text[], facts jsonb, raw bytea, ok boolean, why text)"
        )
        connection.exec_driver_sql(
            f"INSERT INTO {schema}.c SELECT n, n || '@b.example', n + 0.5, '2024-01-02 03:04:05+00', "
            "'2024-01-02 03:04:05', ARRAY['a;b', 'ß'], '{\"a\": [1]}', '\\xff', true, NULL "
            "FROM generate_series(1, 2501) n"
        )
        yield url.update_query_dict({"options": f"-csearch_path={schema}"})
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")


def text_of(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def test_postgres_rows_come_in_pages_with_the_types_of_the_driver(tmp_path: Path, postgres: URL) -> None:
    query = "SELECT id, email, points, since AS updated_at, tags AS groups, facts, raw, ok AS consent FROM c ORDER BY id;"
    pages = pages_of(source_of(tmp_path, text_of(postgres), contacts=query))
    assert [len(page.rows) for page in pages] == [1000, 1000, 501]
    found = contact_from_row(pages[0].rows[0], granted_before=False)
    assert (found.id, found.groups, found.updated_at) == ("1", ("a;b", "ß"), 1704164645.0)
    assert found.attributes == {"points": "1.50", "facts": '{"a":[1]}', "raw": "ff"}


@pytest.mark.parametrize(
    "query",
    [
        "TABLE c",
        "SELECT id, email, '100 %' AS a, '12 :00' AS b, 1::text AS d, $a$;$a$ AS e FROM c",
        "WITH x AS (SELECT * FROM c) SELECT id, email FROM x -- done;",
    ],
)
def test_postgres_takes_every_form_of_query(tmp_path: Path, postgres: URL, query: str) -> None:
    assert len(rows_of(source_of(tmp_path, text_of(postgres), contacts=query))) == 2501


def test_postgres_reads_without_the_right_to_write(tmp_path: Path, postgres: URL) -> None:
    run_it = "CREATE FUNCTION wipe() RETURNS bigint LANGUAGE sql AS 'DELETE FROM c; SELECT 1::bigint'"
    with sqlalchemy.create_engine(postgres, poolclass=sqlalchemy.NullPool).begin() as connection:
        connection.exec_driver_sql(run_it)
    error = stop_of(source_of(tmp_path, text_of(postgres), contacts="SELECT wipe() AS id, '' AS email"))
    assert "read-only transaction" in error.message
    query = "SELECT count(*) AS id, '' AS email FROM c"
    assert rows_of(source_of(tmp_path, text_of(postgres), contacts=query))[0]["id"] == 2501


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT id, email FROM nope", 'relation "nope" does not exist'),
        ("SELECT id, emial FROM c", 'column "emial" does not exist'),
        ("SELECT id, email FRM c", "syntax error"),
        ("SELECT id, email, email FROM c", "two columns with the name email"),
    ],
)
def test_a_faulty_query_at_postgres_is_a_configuration_error(
    tmp_path: Path, postgres: URL, query: str, words: str
) -> None:
    error = stop_of(source_of(tmp_path, text_of(postgres), contacts=query))
    assert isinstance(error, Misconfigured)
    assert words in error.message


def test_a_break_at_postgres_is_an_incomplete_read(tmp_path: Path, postgres: URL) -> None:
    query = "SELECT id, email, 1 / (1700 - id) AS x FROM c ORDER BY id"
    error = stop_of(source_of(tmp_path, text_of(postgres), contacts=query))
    assert error.kind == "source_incomplete"
    assert "broke off after 1000 rows: division by zero" in error.message


def test_postgres_errors_of_the_connection_say_what_to_do(tmp_path: Path, postgres: URL) -> None:
    query = "SELECT id, email FROM c"
    wrong = {
        "credentials": postgres.set(password="wr0ng/pass word"),
        "unreachable": postgres.set(port=1),
        "not_found": postgres.set(database="no_such_database"),
    }
    for kind, url in wrong.items():
        error = stop_of(source_of(tmp_path, text_of(url), contacts=query))
        assert error.kind == kind, error.message
        assert error.message.startswith("shop cannot be opened: ")
        assert "wr0ng" not in error.message
        assert str(postgres.password) not in error.message


def test_a_missing_right_at_postgres_is_a_matter_of_permission(tmp_path: Path, postgres: URL) -> None:
    role = f"reader_{os.getpid()}"
    engine = sqlalchemy.create_engine(postgres, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'x/y@z'")
        try:
            source = source_of(
                tmp_path,
                text_of(postgres.set(username=role, password="x/y@z", query={})),
                contacts="SELECT rolname AS id, rolpassword AS email FROM pg_authid",
            )
            error = stop_of(source)
        finally:
            connection.exec_driver_sql(f"DROP ROLE {role}")
    assert error.kind == "permission"
    assert "permission denied" in error.message
    assert "x/y@z" not in error.message


def test_postgres_takes_feedback_into_columns_of_any_type(tmp_path: Path, postgres: URL) -> None:
    statement = (
        "UPDATE c SET ok = false, since = :at, naive = :at, why = :reason "
        "WHERE id = :id AND :email LIKE '%@b.example'"
    )
    source = source_of(tmp_path, text_of(postgres), unsubscribe=statement)
    odd = News("not a number", "x@b.example", "unsubscribed", 1.0, "newsletter")
    first, second, third = written(source, gone(1), odd, gone(2))
    assert (first, third) == (Outcome("1@b.example"), Outcome("2@b.example"))
    assert second.rejected == "refused"
    assert "invalid input syntax" in str(second.detail)
    with sqlalchemy.create_engine(postgres, poolclass=sqlalchemy.NullPool).connect() as connection:
        found = connection.exec_driver_sql("SELECT ok, since, naive, why FROM c WHERE id = 1").one()
    at = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert tuple(found) == (False, at, at.replace(tzinfo=None), "unsubscribed at newsletter")
