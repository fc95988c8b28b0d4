"""A folder of exported files as a source: CSV, JSON lines, Parquet, spreadsheets.

Compared on 2026-11-22 with files written by Python's csv and json, pyarrow 26 and openpyxl 3.1.
"""

import codecs
import csv
import io
import os
from collections.abc import AsyncIterator, Generator, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from listbridge.changes import News, Outcome
from listbridge.connectors._formats import Broken, Form, batches
from listbridge.connectors._tables import OneThread, TableOptions
from listbridge.connectors.base import Connector, Context, Finding, Page, Row
from listbridge.errors import Misconfigured, Stop
from listbridge.model import Label

FEEDBACK_COLUMNS = ("id", "email", "what", "at", "origin")
FEEDBACK_HEADER = ",".join(FEEDBACK_COLUMNS).encode() + b"\n"

Fingers = tuple[int, int, int]
"""Inode, size and time of change: what tells that a file is no longer the one that was opened."""


class FilesOptions(TableOptions):
    """Files in a folder (CSV, JSON lines, Parquet, Excel); every table is a pattern of file names."""

    contacts: str | None = Field(
        default=None,
        min_length=1,
        description="Files that hold the contacts, as a pattern; they need the columns `id` and `email`.",
        examples=["customers*.csv"],
    )
    path: str = Field(
        min_length=1,
        description="Folder of the files; relative to the configuration file.",
        examples=["./export"],
    )
    delimiter: str | None = Field(
        default=None,
        description="What separates the values in CSV files: one character, or `tab`; found if left out.",
    )
    encoding: str | None = Field(
        default=None,
        description="Encoding of text files, for example `utf-8` or `cp1252`; found if left out.",
    )
    sheet: str | None = Field(
        default=None, description="Name of the sheet in spreadsheets; the first one if left out."
    )
    feedback_file: str = Field(
        default="listbridge-feedback.csv",
        min_length=1,
        description="File in the folder to which unsubscribes and hard bounces are appended.",
    )

    @field_validator("delimiter", mode="before")
    @classmethod
    def _one_character(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        known = "tab" if value == "\t" else value.strip()
        if known != "tab" and (len(known) != 1 or known in "\"'"):
            raise ValueError("must be one character such as ; or the word tab")
        return known

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        try:
            return value if value is None else codecs.lookup(value).name
        except LookupError:
            raise ValueError("is no encoding; write for example utf-8, utf-16 or cp1252") from None


class FilesSource:
    """Reads the files that match a pattern, in the order of their names, as one table."""

    tells_deletions: ClassVar[bool] = False
    always_full: ClassVar[bool] = True

    def __init__(self, options: FilesOptions, context: Context) -> None:
        self._options, self._name = options, context.name
        self._folder = context.folder / Path(options.path).expanduser()
        self._feedback = self._folder / options.feedback_file
        self._thread = OneThread(f"files-{context.name}")

    async def check(self) -> Finding:
        """Find the files of every table and read their first rows."""
        return await self._thread.run(self._look)

    def contacts(self, cursor: str | None) -> AsyncIterator[Page]:
        return self.rows("contacts")

    def rows(self, table: str) -> AsyncIterator[Page]:
        """Every row of one table, page by page, as :meth:`Source.contacts` says."""
        return self._thread.pages(self._read(table))

    async def labels(self) -> Sequence[Label]:
        return ()

    async def write_back(self, news: Sequence[News]) -> Sequence[Outcome]:
        return await self._thread.run(self._append, news) if news else ()

    async def close(self) -> None:
        self._thread.close()

    def _look(self) -> Finding:
        self._must_exist()
        can = []
        for table in self._options.held():
            files = self._files(table)
            for path in files:
                reading = self._read_file(path, table)
                next(reading, None)
                reading.close()
            can.append(f"read {table} from {', '.join(path.name for path in files)}")
        if os.access(self._folder, os.W_OK):
            return Finding((*can, f"write unsubscribes and bounces to {self._feedback.name}"))
        return Finding(tuple(can), (f"the right to write {self._feedback.name} into {self._folder}",))

    def _must_exist(self) -> None:
        if not self._folder.is_dir():
            raise Stop("not_found", f"{self._name}: there is no folder {self._folder}. Correct path.")

    def _files(self, table: str) -> list[Path]:
        pattern = self._options.where(table, self._name)
        self._must_exist()
        exact = self._folder / pattern
        found = [exact] if exact.is_file() else self._matching(table, pattern)
        if not found:
            raise Stop(
                "not_found",
                f"{self._name}: no file in {self._folder} matches {pattern} (option {table}). Nobody is taken "
                "for deleted; put the export there, or correct the pattern.",
            )
        return found

    def _matching(self, table: str, pattern: str) -> list[Path]:
        try:
            found = [path for path in self._folder.glob(pattern) if path.is_file()]
        except (ValueError, NotImplementedError):
            raise Misconfigured(
                f"{self._name}: {pattern} (option {table}) is no pattern for file names below {self._folder}; "
                "write it as in customers*.csv."
            ) from None
        return sorted(
            path for path in found if path != self._feedback and not path.name.startswith((".", "~$"))
        )

    def _read(self, table: str) -> Generator[list[Row], None, None]:
        for path in self._files(table):
            yield from self._read_file(path, table)

    def _read_file(self, path: Path, table: str) -> Generator[list[Row], None, None]:
        """One file to its end. It must be the same file then, or what was read is of no account."""
        options = self._options
        delimiter = "\t" if options.delimiter == "tab" else options.delimiter
        try:
            before = _fingers(path)
            for rows in batches(path, Form(table, delimiter, options.encoding, options.sheet)):
                yield rows
                _must_be(path, before)
            _must_be(path, before)
        except Broken as error:
            place = path.name if error.line is None else f"{path.name}, line {error.line}"
            raise self._incomplete(place, error.words) from None
        except PermissionError:
            raise Stop("permission", f"{self._name}: {path} may not be read; change its rights.") from None
        except OSError as error:
            raise self._incomplete(path.name, error.strerror or type(error).__name__) from None

    def _incomplete(self, place: str, words: str) -> Stop:
        return Stop(
            "source_incomplete",
            f"{self._name} cannot be read to the end ({place}): {words}. Nobody is taken for deleted; "
            "export the file again.",
        )

    def _append(self, news: Sequence[News]) -> list[Outcome]:
        self._must_exist()
        try:
            _append_once(self._feedback, [_feedback_row(one) for one in news])
        except PermissionError:
            raise Stop(
                "permission", f"{self._name}: {self._feedback} may not be written; change its rights."
            ) from None
        except OSError as error:
            raise Stop(
                "unreachable", f"{self._name}: {self._feedback} cannot be written: {error.strerror}."
            ) from None
        return [Outcome(one.email) for one in news]


def _must_be(path: Path, before: Fingers) -> None:
    if _fingers(path) != before:
        raise Broken("it was changed while it was read; write it under another name and rename it")


def _fingers(path: Path) -> Fingers:
    with path.open("rb") as file:  # tells at once whether it may be read
        now = os.fstat(file.fileno())
    return now.st_ino, now.st_size, now.st_mtime_ns


# --- feedback ----------------------------------------------------------------------------------------


def _feedback_row(one: News) -> tuple[str, ...]:
    at = datetime.fromtimestamp(one.at, UTC).isoformat().replace("+00:00", "Z")
    return one.contact_id, one.email, one.what, at, one.origin


def _append_once(path: Path, rows: Iterable[tuple[str, ...]]) -> None:
    """Append what the file does not hold (by id, what and at); on the disk when this returns."""
    is_new = not path.exists()
    with path.open("a+b") as file:
        file.seek(0)
        content = file.read()
        whole = _whole_lines(content)
        missing = _lines(_not_held(whole.decode("utf-8-sig", "replace"), rows, path))
        if not whole.startswith(content):
            file.truncate(len(whole))
            content = whole
        file.write(whole[len(content) :] + (b"" if whole else FEEDBACK_HEADER) + missing)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        _keep_name(path.parent)


def _whole_lines(content: bytes) -> bytes:
    """Without a last line that a crash cut off (it was never told as written), each one ended."""
    if not content or content.endswith(b"\n"):
        return content
    last = content[content.rfind(b"\n") + 1 :]
    return content + b"\n" if last.count(b",") >= len(FEEDBACK_COLUMNS) - 1 else content[: -len(last)]


def _not_held(content: str, rows: Iterable[tuple[str, ...]], path: Path) -> list[tuple[str, ...]]:
    there = csv.reader(io.StringIO(content, newline=""))
    if content and tuple(next(there)) != FEEDBACK_COLUMNS:
        raise Misconfigured(
            f"{path} does not begin with the columns {', '.join(FEEDBACK_COLUMNS)}; name another feedback_file."
        )
    held = {(line[0], line[2], line[3]) for line in there if len(line) == len(FEEDBACK_COLUMNS)}
    new = {(row[0], row[2], row[3]): row for row in rows}
    return [row for known, row in new.items() if known not in held]


def _lines(rows: Iterable[tuple[str, ...]]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue().encode("utf-8", "replace")


def _keep_name(folder: Path) -> None:
    """A new file's name lasts once its folder is on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


connector = Connector(
    name="files",
    title="Files",
    options=FilesOptions,
    source=FilesSource,
    verified=(
        "CSV, JSON lines and Parquet: files written by Python and pyarrow, 2026-11-22",
        "Excel (.xlsx): files written by openpyxl, 2026-11-22",
    ),
    unsure=(
        "Excel (.xls, .xlsb) and OpenDocument (.ods): read by the same library, no such file was tried",
        "The encoding of a short file that is neither UTF-8 nor UTF-16 is a guess; set encoding to be sure",
    ),
)
