"""The connector ``files``: four forms of file, sentences for what goes wrong, writing back."""

import asyncio
import csv
import gzip
import io
import json
import os
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet
from pydantic import ValidationError

from listbridge.changes import News, Outcome
from listbridge.connectors.base import Connector, Context
from listbridge.connectors.files import FilesOptions, FilesSource, connector
from listbridge.errors import Misconfigured, Stop
from listbridge.rows import contact_from_row

AWKWARD = [
    ("1", "Twin@b.example", "a\0b"),
    ("2", "twin@b.example", "😀 Zoë"),
    ("3", "straße@b.example", "שלום"),
    ("4", "long@b.example", "x" * 10_000),
    ("5", "", 'two\nlines; "quoted", and | more\ttabs'),
    ("5", "again@b.example", "the id once more"),
]
HEADER = "id,email,note"


def no_http(*_given: Any, **_named: Any) -> Any:
    raise AssertionError("files are not reached by HTTP")


def source_of(folder: Path, contacts: str | None = "c*", **options: Any) -> FilesSource:
    given = {"connector": "files", "path": "export", "contacts": contacts, **options}
    return FilesSource(FilesOptions(**given), Context("drop", folder.parent, no_http))


def pages_of(source: FilesSource, table: str = "contacts") -> list[Any]:
    async def read() -> list[Any]:
        try:
            return [page async for page in source.rows(table)]
        finally:
            await source.close()

    return asyncio.run(read())


def rows_of(source: FilesSource, table: str = "contacts") -> list[dict[str, Any]]:
    return [row for page in pages_of(source, table) for row in page.rows]


def stop_of(source: FilesSource, table: str = "contacts") -> Stop:
    with pytest.raises(Stop) as caught:
        rows_of(source, table)
    return caught.value


def written(source: FilesSource, *news: News) -> list[Outcome]:
    async def write() -> list[Outcome]:
        try:
            return list(await source.write_back(news))
        finally:
            await source.close()

    return asyncio.run(write())


def gone(number: int = 1, what: str = "unsubscribed", at: float = 1_704_164_645.0) -> News:
    return News(str(number), f"{number}@b.example", what, at, "newsletter")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "export"
    path.mkdir()
    return path


def csv_text(rows: list[tuple[str, ...]], delimiter: str = ",") -> str:
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter).writerows([tuple(HEADER.split(",")), *rows])
    return stream.getvalue()


def as_rows(rows: list[tuple[str, ...]]) -> list[dict[str, str]]:
    return [dict(zip(HEADER.split(","), row, strict=True)) for row in rows]


# --- which files -------------------------------------------------------------------------------------


def test_the_connector_is_a_source_that_is_always_read_in_full() -> None:
    assert isinstance(connector, Connector)
    assert (connector.name, connector.source, connector.options) == ("files", FilesSource, FilesOptions)
    assert FilesSource.always_full
    assert not FilesSource.tells_deletions


def test_several_files_are_one_table_in_the_order_of_their_names(folder: Path) -> None:
    (folder / "c2.jsonl").write_text('{"id": 3, "email": "3"}\n')
    (folder / "c1.csv").write_text("id,email\n1,1\n2,2\n")
    (folder / "c3.tsv").write_text("email\tid\n4\t4\n")
    (folder / "other.csv").write_text("not,read\n")
    assert [str(row["id"]) for row in rows_of(source_of(folder))] == ["1", "2", "3", "4"]


def test_contacts_are_the_rows_of_the_pattern_contacts(folder: Path) -> None:
    (folder / "c.csv").write_text("id,email\n1,1\n")

    async def read() -> list[Any]:
        source = source_of(folder)
        found = [row async for page in source.contacts(None) for row in page.rows]
        assert await source.labels() == ()
        await source.close()
        return found

    assert asyncio.run(read()) == [{"id": "1", "email": "1"}]


def test_no_matching_file_is_told_with_pattern_and_folder(folder: Path) -> None:
    (folder / "d.csv").write_text("id,email\n1,1\n")
    error = stop_of(source_of(folder))
    assert error.kind == "not_found"
    assert f"no file in {folder} matches c* (option contacts)" in error.message


def test_a_missing_folder_is_told(folder: Path) -> None:
    folder.rmdir()
    error = stop_of(source_of(folder))
    assert (error.kind, str(folder) in error.message) == ("not_found", True)
    with pytest.raises(Stop, match="there is no folder"):
        written(source_of(folder), gone())
    assert not folder.exists()


def test_an_absolute_path_is_taken_as_it_is(folder: Path) -> None:
    (folder / "c.csv").write_text("id,email\n1,1\n")
    assert len(rows_of(source_of(folder, path=str(folder)))) == 1


def test_a_pattern_may_reach_into_folders(folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "c.csv").write_text("id,email\n1,1\n")
    assert len(rows_of(source_of(folder, "**/*.csv"))) == 1


def test_a_name_with_brackets_is_taken_for_the_file_that_has_it(folder: Path) -> None:
    (folder / "c [1].csv").write_text("id,email\n1,1\n")
    assert len(rows_of(source_of(folder, "c [1].csv"))) == 1


def test_the_feedback_file_and_lock_files_are_no_data(folder: Path) -> None:
    (folder / "c.csv").write_text("id,email\n1,1\n")
    (folder / "~$c.xlsx").write_bytes(b"lock")
    (folder / ".c.csv").write_text("x")
    written(source_of(folder), gone())
    assert rows_of(source_of(folder, "*")) == [{"id": "1", "email": "1"}]


def test_an_absolute_pattern_is_a_configuration_error(folder: Path) -> None:
    error = stop_of(source_of(folder, "/nowhere/*.csv"))
    assert isinstance(error, Misconfigured)
    assert "/nowhere/*.csv (option contacts) is no pattern" in error.message


def test_a_missing_option_is_a_configuration_error(folder: Path) -> None:
    assert stop_of(source_of(folder, None)).message == (
        "The connection drop has no contacts; add the option contacts to it."
    )


@pytest.mark.parametrize("name", ["c.pdf", "c", "c.parquet.gz", "c.xlsx.gz", "c.gz"])
def test_a_file_of_another_form_is_a_configuration_error(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"x")
    error = stop_of(source_of(folder))
    assert isinstance(error, Misconfigured)
    assert f"{name} cannot be read: its name must end in .csv, .tsv" in error.message


# --- CSV ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_awkward_csv_arrives_whole_in_any_delimiter_and_encoding(
    folder: Path, delimiter: str, encoding: str
) -> None:
    (folder / "c.csv").write_text(csv_text(AWKWARD, delimiter), encoding=encoding, newline="")
    found = rows_of(source_of(folder))
    assert found == as_rows(AWKWARD)
    assert [contact_from_row(row, granted_before=False).attributes["note"] for row in found] == [
        note for _, _, note in AWKWARD
    ]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_found(folder: Path, encoding: str) -> None:
    (folder / "c.csv").write_bytes(csv_text(AWKWARD[3:]).encode(encoding))
    assert rows_of(source_of(folder)) == as_rows(AWKWARD[3:])


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_western_legacy_encodings_are_found(folder: Path, encoding: str) -> None:
    names = ["Jürgen Groß", "Zoë Müller", "Françoise Hébert", "José Muñoz", "Åsa Öberg", "Søren Kjærgård"]
    rows = [(str(n), f"{n}@b.example", name) for n, name in enumerate(names)]
    (folder / "c.csv").write_bytes(csv_text([*rows * 30]).encode(encoding))
    assert rows_of(source_of(folder)) == as_rows(rows * 30)


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1252", "Müller"),
        ("cp1252", "Søren Kjærgård"),
        ("cp1252", "Zoë – “5 €”"),
        ("cp1251", "Иван Петров"),
        ("cp1251", "ООО Ромашка"),
    ],
)
def test_one_name_is_enough_to_tell_western_from_cyrillic(folder: Path, encoding: str, words: str) -> None:
    (folder / "c.csv").write_bytes(csv_text([("1", "x", words)]).encode(encoding))
    assert rows_of(source_of(folder))[0]["note"] == words


def test_a_legacy_encoding_is_found_where_the_first_megabytes_are_plain(folder: Path) -> None:
    plain = [(str(n), f"{n}@b.example", "x" * 90) for n in range(20_000)]
    last = [("x", "x@b.example", "Jürgen Groß aus Köln, Straße der Größe")]
    (folder / "c.csv").write_bytes(csv_text(plain + last).encode("cp1252"))
    assert rows_of(source_of(folder))[-1] == as_rows(last)[0]


def test_a_named_encoding_and_delimiter_count_more_than_what_seems_so(folder: Path) -> None:
    (folder / "c.csv").write_bytes("id:email:note;a,b\n1:x:Ж\n".encode("cp1251"))
    found = rows_of(source_of(folder, delimiter=":", encoding="CP1251"))
    assert found == [{"id": "1", "email": "x", "note;a,b": "Ж"}]
    (folder / "c.csv").write_text("id\temail\tx;y;z\n1\t2\t3\n")
    assert rows_of(source_of(folder, delimiter="\t")) == [{"id": "1", "email": "2", "x;y;z": "3"}]


def test_a_delimiter_is_found_where_another_one_stands_more_often(folder: Path) -> None:
    (folder / "c.csv").write_text("id;email;a,b,c,d,e\n1;x;1,2\n")
    assert rows_of(source_of(folder)) == [{"id": "1", "email": "x", "a,b,c,d,e": "1,2"}]


def test_excel_s_own_first_line_names_the_delimiter(folder: Path) -> None:
    (folder / "c.csv").write_text("sep=:\r\nid:email\r\n1:x\r\n")
    assert rows_of(source_of(folder)) == [{"id": "1", "email": "x"}]
    assert rows_of(source_of(folder, delimiter=":")) == [{"id": "1", "email": "x"}]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_and_empty_lines_are_read(folder: Path, end: str) -> None:
    (folder / "c.csv").write_bytes(end.join(["", "id;email", "1;x", "", "2;\u2028y"]).encode())
    assert rows_of(source_of(folder)) == [{"id": "1", "email": "x"}, {"id": "2", "email": "\u2028y"}]


def test_the_header_is_trimmed_and_known_names_are_lower_case(folder: Path) -> None:
    (folder / "c.csv").write_text('\ufeffID , E-MAIL,Email," First_Name ",Loyalty\n1,2,3,4,5\n')
    assert list(rows_of(source_of(folder))[0]) == ["id", "E-MAIL", "email", "first_name", "Loyalty"]


def test_a_header_without_rows_is_a_complete_read_of_nobody(folder: Path) -> None:
    (folder / "c.csv").write_text("id,email\n")
    assert rows_of(source_of(folder)) == []


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("id,name", "c.csv lacks the column email. It has: id, name."),
        ("Id,email,ID", "two columns with the name id"),
        ("id,email,,x", "Column 3 of c.csv has no name"),
    ],
)
def test_a_faulty_header_is_a_configuration_error(folder: Path, header: str, words: str) -> None:
    (folder / "c.csv").write_text(f"{header}\n1,2\n")
    error = stop_of(source_of(folder))
    assert isinstance(error, Misconfigured)
    assert words in error.message


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"", "line 1", "empty, without even a header"),
        (b"\n\n", "line 1", "empty, without even a header"),
        (b"id,email\n1,x\n2\n", "line 3", "1 values under 2 columns"),
        (b"id,email\n1,x\n2,y,z\n", "line 3", "3 values under 2 columns"),
        (b'id,email\n1,"two\nlines"\n2\n', "line 4", "1 values under 2 columns"),
        (b'id,email\n1,x\n2,"cut off', "line 3", "is a quote missing"),
        (b'id,email\n1,"x"y\n', "line 2", "is a quote missing"),
        (b'id,email\n1,"' + b"x" * 1_100_000 + b'"\n', "line 2", "field larger than field limit"),
        ("id,email\n1,ä\n".encode() + "2,ä\n".encode("latin-1"), "line 3", "goes on as something else"),
    ],
)
def test_a_broken_csv_is_an_incomplete_read_with_file_and_line(
    folder: Path, packed: bool, content: bytes, line: str, words: str
) -> None:
    name = "c.csv.gz" if packed else "c.csv"
    (folder / name).write_bytes(gzip.compress(content) if packed else content)
    error = stop_of(source_of(folder))
    assert error.kind == "source_incomplete"
    assert f"({name}, {line}): " in error.message
    assert words in error.message


def test_a_named_encoding_that_does_not_hold_is_an_incomplete_read(folder: Path) -> None:
    rows = [(str(n), "x", "y") for n in range(5000)]
    (folder / "c.csv").write_bytes(csv_text(rows).encode() + b"x,y,\xff\n")
    error = stop_of(source_of(folder, encoding="utf-8"))
    assert error.kind == "source_incomplete"
    assert "it is not utf-8 throughout" in error.message
    (folder / "c.csv").write_bytes(b"id,email\n\xff,y\n")
    assert stop_of(source_of(folder, encoding="ascii")).kind == "source_incomplete"


def test_pages_before_a_break_are_given(folder: Path) -> None:
    (folder / "c.csv").write_text(csv_text([(str(n), "x", "y") for n in range(1500)]) + "broken\n")

    async def read() -> tuple[int, Stop]:
        source, seen = source_of(folder), 0
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


# --- JSON lines --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["c.jsonl", "c.ndjson", "c.jsonl.gz"])
def test_awkward_json_lines_arrive_whole(folder: Path, name: str) -> None:
    content = "\n".join(json.dumps(row) for row in as_rows(AWKWARD)).encode() + b"\n\n"
    (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert rows_of(source_of(folder)) == as_rows(AWKWARD)


def test_json_values_keep_their_kind_and_nest(folder: Path) -> None:
    row = {
        "ID": 1,
        "currency": "EUR",
        "total": 19.9,
        "placed_at": "2024-01-01",
        "Lines": [{"sku": "a"}],
        "Own": None,
    }
    (folder / "o.jsonl").write_text(json.dumps(row))
    found = rows_of(source_of(folder, None, orders="o.jsonl"), "orders")[0]
    assert found == {**{name.lower(): row[name] for name in row if name != "Own"}, "Own": None}


def test_json_ids_of_many_digits_are_not_rounded(folder: Path) -> None:
    (folder / "c.jsonl").write_text('{"id": 123456789012345678901234, "email": "x"}\n')
    assert rows_of(source_of(folder))[0]["id"] == 123456789012345678901234


def test_json_with_half_a_surrogate_pair_or_nan_is_read(folder: Path) -> None:
    (folder / "c.jsonl").write_text('{"id": 1, "email": "\\ud800", "points": NaN}\n')
    contact = contact_from_row(rows_of(source_of(folder))[0], granted_before=False)
    assert (contact.email, contact.attributes) == ("�", {})


def test_json_objects_may_leave_columns_out_but_not_all_of_them(folder: Path) -> None:
    (folder / "c.jsonl").write_text('{"id": 1}\n{"id": 2, "email": "x", "Note": 1}\n')
    assert rows_of(source_of(folder)) == [{"id": 1}, {"id": 2, "email": "x", "Note": 1}]
    (folder / "c.jsonl").write_text('{"id": 1}\n{"id": 2}\n')
    assert "lacks the column email" in stop_of(source_of(folder)).message


def test_an_empty_file_of_json_lines_is_a_complete_read_of_nobody(folder: Path) -> None:
    (folder / "c.jsonl").write_text("")
    assert rows_of(source_of(folder)) == []


@pytest.mark.parametrize("line", ['{"id": 1, "ema', "[1, 2]", "17", "id,email", "[" * 100_000, "{} {}"])
def test_a_line_that_is_no_json_object_is_an_incomplete_read(folder: Path, line: str) -> None:
    (folder / "c.jsonl").write_text('{"id": 1, "email": "x"}\n\n' + line)
    error = stop_of(source_of(folder))
    assert error.kind == "source_incomplete"
    assert "(c.jsonl, line 3): " in error.message


def test_a_json_object_with_two_columns_of_one_name_is_a_configuration_error(folder: Path) -> None:
    first = "".join(f'{{"id": {n}, "email": "x"}}\n' for n in range(1000))
    (folder / "c.jsonl").write_text(first + '{"id": 1, "Email": "x", "email": "y"}\n')
    error = stop_of(source_of(folder))
    assert isinstance(error, Misconfigured)
    assert "two columns of one name: id, Email, email" in error.message


@pytest.mark.parametrize("name", ["c.csv.gz", "c.jsonl.gz"])
def test_a_packed_file_that_is_cut_off_or_none_is_an_incomplete_read(folder: Path, name: str) -> None:
    line = {"c.csv.gz": "{0},{0}\n", "c.jsonl.gz": '{{"id": {0}, "email": "{0}"}}\n'}[name]
    header = "id,email\n" if name == "c.csv.gz" else ""
    packed = gzip.compress((header + "".join(line.format(n) for n in range(20_000))).encode())
    for content in (packed[: len(packed) // 2], b"no gzip at all"):
        (folder / name).write_bytes(content)
        assert stop_of(source_of(folder)).kind == "source_incomplete"
        assert stop_of(source_of(folder, encoding="utf-8")).kind == "source_incomplete"


# --- Parquet -----------------------------------------------------------------------------------------


def test_parquet_rows_come_in_pages_with_their_types(folder: Path) -> None:
    count = 2500
    table = pa.table(
        {
            "ID": range(count),
            "email": pa.array(["ß😀\0"] * count).dictionary_encode(),
            "total_spent": pa.array([Decimal("19.90")] * count),
            "updated_at": pa.array([1_704_164_645_000_000_001] * count, pa.timestamp("ns", "UTC")),
            "consent_at": pa.array([datetime(2024, 1, 2)] * count),
            "groups": [["a;b", None]] * count,
            "birthday": [date(1990, 1, 1)] * count,
            "guest": [None] * count,
        }
    )
    parquet.write_table(table, folder / "c.parquet", row_group_size=1700)
    pages = pages_of(source_of(folder))
    assert sum(len(page.rows) for page in pages) == count
    assert max(len(page.rows) for page in pages) <= 1000
    assert [row["id"] for page in pages for row in page.rows] == list(range(count))
    contact = contact_from_row(pages[0].rows[0], granted_before=False)
    assert (contact.email, contact.groups, contact.updated_at) == ("ß😀\0", ("a;b",), 1704164645.0)
    assert contact.consent.at == 1704153600.0
    assert contact.attributes == {"total_spent": "19.90", "birthday": "1990-01-01"}


def test_a_parquet_file_that_is_cut_off_is_an_incomplete_read(folder: Path) -> None:
    path = folder / "c.parquet"
    parquet.write_table(pa.table({"id": range(5000), "email": ["x" * 50] * 5000}), path, row_group_size=1000)
    whole = path.read_bytes()
    for content in (whole[:-100], b"", whole[:4] + b"\0" * 20_000 + whole[20_004:]):
        path.write_bytes(content)
        error = stop_of(source_of(folder))
        assert (error.kind, "(c.parquet)" in error.message) == ("source_incomplete", True)


def test_a_parquet_file_without_a_needed_column_is_a_configuration_error(folder: Path) -> None:
    parquet.write_table(pa.table({"id": [1]}), folder / "c.parquet")
    assert isinstance(stop_of(source_of(folder)), Misconfigured)


# --- spreadsheets ------------------------------------------------------------------------------------


def workbook(path: Path, **sheets: list[list[Any]]) -> None:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, lines in sheets.items():
        sheet = book.create_sheet(name)
        for line in lines:
            sheet.append(line)
    book.save(path)


def test_a_spreadsheet_is_read_with_its_numbers_and_dates(folder: Path) -> None:
    lines = [
        ["ID", " Email ", "Consent", "updated_at", "phone"],
        [17, "ß😀@b.example", True, datetime(2024, 1, 2, 3, 4, 5), 4912345678],
        [None, None, None, None, None],
        ["a", "x@b.example", "granted", None, None],
    ]
    workbook(folder / "c.xlsx", People=lines, Other=[["x"]])
    contacts = [contact_from_row(row, granted_before=False) for row in rows_of(source_of(folder))]
    assert [(one.id, one.email, one.consent.word) for one in contacts] == [
        ("17", "ß😀@b.example", "granted"),
        ("a", "x@b.example", "granted"),
    ]
    assert contacts[0].updated_at == datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    assert contacts[0].attributes == {"phone": "4912345678"}


def test_a_sheet_can_be_named(folder: Path) -> None:
    workbook(folder / "c.xlsx", First=[["x"]], Second=[["id", "email"], [1, "a"]])
    assert len(rows_of(source_of(folder, sheet="Second"))) == 1
    error = stop_of(source_of(folder, sheet="Third"))
    assert isinstance(error, Misconfigured)
    assert "c.xlsx has no sheet Third; it has First, Second." in error.message


def test_a_broken_or_empty_spreadsheet_is_an_incomplete_read(folder: Path) -> None:
    workbook(folder / "c.xlsx", First=[])
    assert "its sheet is empty" in stop_of(source_of(folder)).message
    workbook(folder / "c.xlsx", First=[["id", "email"], [1, "a"]])
    whole = (folder / "c.xlsx").read_bytes()
    for content in (whole[: len(whole) // 2], b"no zip"):
        (folder / "c.xlsx").write_bytes(content)
        assert stop_of(source_of(folder)).kind == "source_incomplete"


# --- as a whole --------------------------------------------------------------------------------------


def test_a_file_that_changes_while_it_is_read_is_an_incomplete_read(folder: Path) -> None:
    path = folder / "c.csv"
    path.write_text(csv_text([(str(n), "x", "y") for n in range(2500)]))

    async def read(change: Callable[[], object]) -> Stop:
        source = source_of(folder)
        try:
            async for _page in source.contacts(None):
                change()
        except Stop as error:
            return error
        finally:
            await source.close()
        raise AssertionError("the read was taken for complete")

    def replace() -> None:
        (folder / "new").write_text(path.read_text())
        (folder / "new").replace(path)

    def grow() -> None:
        with path.open("a") as file:
            file.write("1,2,3\n")

    for change in (lambda: os.utime(path, ns=(1, 1)), grow, replace):
        error = asyncio.run(read(change))
        assert error.kind == "source_incomplete"
        assert "it was changed while it was read" in error.message
    assert "No such file" in asyncio.run(read(lambda: path.unlink(missing_ok=True))).message


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_a_matter_of_permission(folder: Path) -> None:
    (folder / "c.csv").write_text("id,email\n")
    (folder / "c.csv").chmod(0)
    assert stop_of(source_of(folder)).kind == "permission"


@pytest.mark.parametrize("name", ["c.csv", "c.jsonl", "c.parquet"])
def test_memory_does_not_grow_with_the_file(folder: Path, name: str) -> None:
    def write(count: int) -> None:
        if name == "c.csv":
            (folder / name).write_text(csv_text([(str(n), "ä@b.example", "z") for n in range(count)]))
        elif name == "c.jsonl":
            line = '{{"id": {}, "email": "ä@b.example"}}\n'
            (folder / name).write_text("".join(line.format(n) for n in range(count)))
        else:
            parquet.write_table(pa.table({"id": range(count), "email": ["x"] * count}), folder / name)

    def peak(count: int) -> int:
        write(count)

        async def read() -> int:
            source, seen = source_of(folder, name), 0
            tracemalloc.start()
            async for page in source.contacts(None):
                seen += len(page.rows)
            top = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            await source.close()
            assert seen == count
            return top

        return asyncio.run(read())

    peak(2_000)
    assert peak(40_000) < 3_000_000 + 1.2 * peak(4_000)


@pytest.mark.parametrize("given", ["", "ab", '"', "\n", "no"])
def test_a_delimiter_that_is_no_character_is_a_configuration_error(given: str) -> None:
    with pytest.raises(ValidationError, match="one character"):
        FilesOptions(connector="files", path="x", delimiter=given)


@pytest.mark.parametrize(
    ("given", "expected"), [("tab", "tab"), ("\t", "tab"), (" ; ", ";"), ("|", "|"), (None, None)]
)
def test_a_delimiter_is_a_character_or_its_name(given: str | None, expected: str | None) -> None:
    assert FilesOptions(connector="files", path="x", delimiter=given).delimiter == expected


def test_an_unknown_encoding_is_a_configuration_error() -> None:
    with pytest.raises(ValidationError, match="is no encoding"):
        FilesOptions(connector="files", path="x", encoding="utf-9")


def test_a_delimiter_that_is_no_text_is_a_configuration_error() -> None:
    with pytest.raises(ValidationError, match="valid string"):
        FilesOptions(connector="files", path="x", delimiter=5)  # type: ignore[arg-type]


# --- check -------------------------------------------------------------------------------------------


def checked(source: FilesSource) -> Any:
    async def check() -> Any:
        try:
            return await source.check()
        finally:
            await source.close()

    return asyncio.run(check())


def test_check_names_the_files_and_writes_nothing(folder: Path) -> None:
    (folder / "c1.csv").write_text("id,email\n")
    (folder / "c2.csv").write_text("id,email\n")
    found = checked(source_of(folder))
    assert found.can == (
        "read contacts from c1.csv, c2.csv",
        "write unsubscribes and bounces to listbridge-feedback.csv",
    )
    assert found.missing == ()
    assert len(list(folder.iterdir())) == 2


def test_check_finds_a_faulty_file(folder: Path) -> None:
    (folder / "c.csv").write_text("id\n")
    with pytest.raises(Misconfigured, match="lacks the column email"):
        checked(source_of(folder))
    folder.joinpath("c.csv").unlink()
    folder.rmdir()
    with pytest.raises(Stop, match="there is no folder"):
        checked(source_of(folder, None))


# --- writing back ------------------------------------------------------------------------------------


def feedback(folder: Path, name: str = "listbridge-feedback.csv") -> str:
    return (folder / name).read_bytes().decode()


def test_feedback_is_appended_once_however_often_it_is_told(folder: Path) -> None:
    expected = [Outcome("1@b.example"), Outcome("1@b.example"), Outcome("1@b.example")]
    for _ in range(2):
        assert written(source_of(folder), gone(), gone(what="bounced"), gone()) == expected
    written(source_of(folder), gone(at=1_704_164_645.5), gone(2))
    assert feedback(folder).split("\n") == [
        "id,email,what,at,origin",
        "1,1@b.example,unsubscribed,2024-01-02T03:04:05Z,newsletter",
        "1,1@b.example,bounced,2024-01-02T03:04:05Z,newsletter",
        "1,1@b.example,unsubscribed,2024-01-02T03:04:05.500000Z,newsletter",
        "2,2@b.example,unsubscribed,2024-01-02T03:04:05Z,newsletter",
        "",
    ]


def test_awkward_feedback_can_be_read_again(folder: Path) -> None:
    odd = News('a,"b"\nß', "😀@b.example", "bounced", 0.0, "שלום")
    for _ in range(2):
        written(source_of(folder, feedback_file="back.csv"), odd)
    found = list(csv.DictReader(io.StringIO(feedback(folder, "back.csv"), newline="")))
    assert found == [
        {
            "id": odd.contact_id,
            "email": odd.email,
            "what": "bounced",
            "at": "1970-01-01T00:00:00Z",
            "origin": "שלום",
        }
    ]


def test_no_news_makes_no_file(folder: Path) -> None:
    assert written(source_of(folder)) == []
    assert [path.name for path in folder.iterdir()] == []


def test_a_line_that_a_crash_cut_off_is_written_anew(folder: Path) -> None:
    written(source_of(folder), gone(1), gone(2))
    whole = feedback(folder)
    for cut in range(len("id,email,what,at,origin\n"), len(whole)):
        (folder / "listbridge-feedback.csv").write_text(whole[:cut], newline="")
        written(source_of(folder), gone(1), gone(2))
        found = list(csv.reader(io.StringIO(feedback(folder), newline="")))
        assert [line[:4] for line in found[1:]] == [
            ["1", "1@b.example", "unsubscribed", "2024-01-02T03:04:05Z"],
            ["2", "2@b.example", "unsubscribed", "2024-01-02T03:04:05Z"],
        ], cut


def test_lines_of_others_stay_as_they_are(folder: Path) -> None:
    begun = "\ufeffid,email,what,at,origin\r\n9,a@b.example,bounced,2020-01-01T00:00:00Z,me"
    (folder / "listbridge-feedback.csv").write_text(begun, newline="")
    written(source_of(folder), gone())
    assert feedback(folder) == begun + "\n1,1@b.example,unsubscribed,2024-01-02T03:04:05Z,newsletter\n"


def test_a_file_of_other_columns_is_left_alone(folder: Path) -> None:
    (folder / "listbridge-feedback.csv").write_text("id;email\n1;2")
    with pytest.raises(Misconfigured, match="name another feedback_file"):
        written(source_of(folder), gone())
    assert feedback(folder) == "id;email\n1;2"


def test_a_place_that_cannot_be_written_is_told(folder: Path) -> None:
    (folder / "sub").mkdir()
    with pytest.raises(Stop, match="cannot be written: Is a directory"):
        written(source_of(folder, feedback_file="sub"), gone())
