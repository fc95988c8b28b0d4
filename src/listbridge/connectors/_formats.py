"""Files as batches of rows: CSV, JSON lines, Parquet and spreadsheets. Each is read once, as a stream.

A file that cannot be read to its end raises :class:`Broken`; what an operator must correct in the
configuration raises ``Misconfigured``. Needed columns are checked before the first batch is given.
"""

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import orjson

from listbridge.connectors._tables import NEEDED, PAGE_SIZE, column, header
from listbridge.connectors.base import Row
from listbridge.errors import Misconfigured

Batches = Generator[list[Row], None, None]

SAMPLE_BYTES = 65536
CHUNK_BYTES = 1 << 20
LONGEST_FIELD = 1_000_000  # characters; a quote that is never closed would swallow the rest of the file
DELIMITERS = (",", ";", "\t", "|")
LEGACY_ENCODINGS = ["cp1252", "cp1251", "cp1253", "cp1250", "latin_1"]
"""What an old export may be written in; of two that seem as likely, the first."""

WESTERN_MESS = 0.4  # charset-normalizer's "chaos": 0.5 and more for other scripts, 0.3 for a row of “5 €”
UNSTREAMABLE = (OSError, EOFError, zlib.error)
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""In the order in which they are tried: one of UTF-16 begins as one of UTF-32 does."""


class Broken(Exception):
    """The file cannot be read to its end. ``line`` is where, if that is known."""

    def __init__(self, words: str, line: int | None = None) -> None:
        super().__init__(words)
        self.words = words
        self.line = line


@dataclass(frozen=True, slots=True)
class Form:
    """What the operator says of the files; what is left out is found in each file."""

    table: str
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None


def batches(path: Path, form: Form) -> Batches:
    """The rows of one file, by the ending of its name."""
    return _reader(path)(path, form)


def _reader(path: Path) -> Callable[[Path, Form], Batches]:
    endings = [ending.lower() for ending in path.suffixes]
    packed = endings[-1:] == [".gz"]
    found = READERS.get("".join(endings[-2:-1] if packed else endings[-1:]))
    if found is None or (packed and found not in (csv_rows, json_rows)):
        raise Misconfigured(
            f"{path.name} cannot be read: its name must end in {', '.join(READERS)}, .csv.gz or .jsonl.gz."
        )
    return found


# --- text --------------------------------------------------------------------------------------------


def csv_rows(path: Path, form: Form) -> Batches:
    """Rows of a CSV file. A row with more or fewer values than the header breaks the file off."""
    csv.field_size_limit(LONGEST_FIELD)
    encoding = form.encoding or encoding_of(path)
    with _opened_text(path, encoding) as stream:
        delimiter = form.delimiter or _delimiter(stream, form.table, path)
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            names = header(_first_record(reader), form.table, path.name)
            while rows := list(islice(_records(reader, names), PAGE_SIZE)):
                yield rows
        except csv.Error as error:
            raise Broken(f"{error}; is a quote missing, or the file cut off?", reader.line_num) from None
        except UnicodeDecodeError as error:
            raise Broken(f"it is not {error.encoding} throughout", reader.line_num + 1) from None
        except UNSTREAMABLE as error:
            raise Broken(_words(error), reader.line_num + 1) from None


def _first_record(reader: Iterator[list[str]]) -> list[str]:
    for record in reader:
        if record and not _names_delimiter(record):
            return record
    raise Broken("it is empty, without even a header", 1)


def _names_delimiter(record: list[str]) -> bool:
    """Excel's own first line, ``sep=;``."""
    return record[0].startswith("sep=") and not any(record[1:])


def _records(reader: Any, names: list[str]) -> Iterator[Row]:
    width = len(names)
    for values in reader:
        if len(values) == width:
            yield dict(zip(names, values, strict=True))
        elif values:
            raise Broken(f"{len(values)} values under {width} columns", reader.line_num)


def _delimiter(stream: IO[str], table: str, path: Path) -> str:
    """The one under which the header has the needed columns, else the most columns."""
    try:
        start = stream.read(SAMPLE_BYTES)
        stream.seek(0)
    except UnicodeDecodeError as error:
        raise Broken(f"it is not {error.encoding} throughout") from None
    except UNSTREAMABLE as error:
        raise Broken(_words(error)) from None
    if start.startswith("sep=") and start[5:6] in ("\r", "\n"):
        return start[4]
    return max(DELIMITERS, key=lambda delimiter: _fit(start, delimiter, table))


def _fit(start: str, delimiter: str, table: str) -> tuple[int, int]:
    try:
        record = next(filter(None, csv.reader(io.StringIO(start, newline=""), delimiter=delimiter)), [])
    except csv.Error:
        return 0, 0
    names = {column(name, table) for name in record}
    return len(names.intersection(NEEDED[table])), len(record)


def json_rows(path: Path, form: Form) -> Batches:
    """Rows of a file with one JSON object a line."""
    names: dict[str, str] = {}
    encoding = form.encoding or encoding_of(path)
    with _opened_text(path, encoding) as stream:
        objects = _objects(stream)
        first = list(islice(objects, PAGE_SIZE))
        if first:
            found = dict.fromkeys(name for record in first for name in record)
            header(found, form.table, path.name)
        rows = first
        while rows:
            yield [_named(record, names, form.table, path) for record in rows]
            rows = list(islice(objects, PAGE_SIZE))


def _objects(stream: IO[str]) -> Iterator[dict[str, Any]]:
    number = 0
    try:
        for number, line in enumerate(stream, 1):
            if not line.isspace():
                yield _object(line, number)
    except UnicodeDecodeError as error:
        raise Broken(f"it is not {error.encoding} throughout", number + 1) from None
    except UNSTREAMABLE as error:
        raise Broken(_words(error), number + 1) from None


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        found = _unusual_object(line, number)
    if not isinstance(found, dict):
        raise Broken("a JSON object is expected in each line", number)
    if any(value.__class__ is float and abs(value) >= 2.0**63 for value in found.values()):
        return dict(_unusual_object(line, number))  # an id of many digits, which orjson rounds
    return found


def _unusual_object(line: str, number: int) -> Any:
    """What orjson refuses: halves of surrogate pairs, NaN."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise Broken("no JSON object; was the file cut off?", number) from None


def _named(record: dict[str, Any], names: dict[str, str], table: str, path: Path) -> Row:
    try:
        row = {names[name]: value for name, value in record.items()}
    except KeyError:
        names.update((name, column(name, table)) for name in record)
        row = {names[name]: value for name, value in record.items()}
    if len(row) < len(record):
        raise Misconfigured(f"{path.name} has an object with two columns of one name: {', '.join(record)}.")
    return row


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def _opened_text(path: Path, encoding: str) -> IO[str]:
    return io.TextIOWrapper(_opened(path), encoding, newline="")


def encoding_of(path: Path) -> str:
    """By the byte order mark, else UTF-8 if the whole file is, else by its statistics.

    A file that is UTF-8 in its beginning and something else later on is broken, not another encoding.
    """
    try:
        with _opened(path) as stream:
            start = stream.read(SAMPLE_BYTES)
            marked = next((name for mark, name in BOMS.items() if start.startswith(mark)), None)
            return marked or _unmarked_wide(start) or _utf8_or_legacy(start, stream)
    except UNSTREAMABLE as error:
        raise Broken(_words(error)) from None


def _unmarked_wide(start: bytes) -> str | None:
    """UTF-16 without its mark: every other byte of Western text is zero."""
    half = len(start) // 2
    if half and start[1::2].count(0) > half * 0.4:
        return "utf-16-le"
    return "utf-16-be" if half and start[::2].count(0) > half * 0.4 else None


def _utf8_or_legacy(start: bytes, stream: IO[bytes]) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    chunk, plain, line = start, True, 1
    while True:
        try:
            decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            if plain and error.object[: error.start].isascii():
                return _legacy(error.object)
            line += error.object[: error.start].count(b"\n")
            raise Broken("it begins as UTF-8 and goes on as something else", line) from None
        if not chunk:
            return "utf-8"
        plain = plain and chunk.isascii()
        line += chunk.count(b"\n")
        chunk = stream.read(CHUNK_BYTES)


def _legacy(content: bytes) -> str:
    from charset_normalizer import from_bytes

    telling = b"\n".join(line for line in content.splitlines() if not line.isascii())[:SAMPLE_BYTES]
    chaos = {
        encoding: found.chaos
        for found in from_bytes(telling, cp_isolation=LEGACY_ENCODINGS, threshold=1.0)
        for encoding in found.could_be_from_charset
    }
    if chaos.get("cp1252", 2.0) <= WESTERN_MESS:
        return "cp1252"
    return min(LEGACY_ENCODINGS, key=lambda encoding: chaos.get(encoding, 2.0))


# --- binary ------------------------------------------------------------------------------------------


def parquet_rows(path: Path, form: Form) -> Batches:
    """Rows of a Parquet file, a part of a row group at a time."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            names = header(file.schema_arrow.names, form.table, path.name)
            for batch in file.iter_batches(batch_size=PAGE_SIZE, use_threads=False):
                columns = [_in_microseconds(values).to_pylist() for values in batch.columns]
                yield [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    except (pa.ArrowException, OSError) as error:
        raise Broken(_words(error)) from None


def _in_microseconds(values: Any) -> Any:
    """Python's own times have no nanoseconds; they would be an error."""
    from pyarrow import timestamp, types

    if types.is_timestamp(values.type) and values.type.unit == "ns":
        return values.cast(timestamp("us", values.type.tz), safe=False)
    return values


def sheet_rows(path: Path, form: Form) -> Batches:
    """Rows of one sheet of a spreadsheet, the first one unless named. The one form that fills memory."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with CalamineWorkbook.from_path(path) as book:
            lines = iter(book.get_sheet_by_name(_sheet(book.sheet_names, form, path)).to_python())
    except (CalamineError, OSError, zlib.error) as error:
        raise Broken(_words(error)) from None
    filled = (line for line in lines if any(cell != "" for cell in line))
    first = next(filled, None)
    if first is None:
        raise Broken("its sheet is empty, without even a header")
    names = header(first, form.table, path.name)
    while values := list(islice(filled, PAGE_SIZE)):
        yield [dict(zip(names, line, strict=True)) for line in values]


def _sheet(names: list[str], form: Form, path: Path) -> str:
    if form.sheet is not None and form.sheet not in names:
        raise Misconfigured(f"{path.name} has no sheet {form.sheet}; it has {', '.join(names)}.")
    return form.sheet or names[0]


def _words(error: BaseException) -> str:
    told = getattr(error, "strerror", None) or str(error)
    return told.splitlines()[0][:300].rstrip(".") if told else type(error).__name__


READERS: dict[str, Callable[[Path, Form], Batches]] = {
    ".csv": csv_rows,
    ".tsv": csv_rows,
    ".txt": csv_rows,
    ".jsonl": json_rows,
    ".ndjson": json_rows,
    ".parquet": parquet_rows,
    ".xlsx": sheet_rows,
    ".xls": sheet_rows,
    ".xlsb": sheet_rows,
    ".ods": sheet_rows,
}
