"""Where output goes: answers to standard output, everything else to standard error.

With ``--json`` standard output holds JSON only, one object a line. Progress is drawn on a terminal alone.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from listbridge.config import Config

Progress = Callable[[str, int], None]

_SECRET_NAME = re.compile(r"key|token|secret|password|passwd|auth|credential", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^/@\s:]*:)[^/@\s]+@")
_SHORTEST_SECRET = 6


class Output:
    """One command's ways out."""

    def __init__(self, *, json: bool) -> None:
        self.json = json
        self._secrets: set[str] = {value for name, value in os.environ.items() if _SECRET_NAME.search(name)}

    def line(self, found: Mapping[str, Any]) -> None:
        """One JSON object, if JSON was asked for."""
        if self.json:
            sys.stdout.write(orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")
            sys.stdout.flush()

    def long_line(self, head: Mapping[str, Any], name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """One JSON object whose last key holds many rows, written row by row."""
        if self.json:
            for part in long_line(head, name, rows):
                sys.stdout.write(part)
            sys.stdout.flush()

    def say(self, text: str = "") -> None:
        """Words for people, unless JSON was asked for."""
        if not self.json:
            sys.stdout.write(text + "\n")

    def note(self, text: str) -> None:
        """What belongs to no answer: to standard error in any case."""
        sys.stdout.flush()
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    @contextmanager
    def progress(self, title: str) -> Iterator[Progress]:
        """A bar on a terminal; in a pipe nothing."""
        if not sys.stderr.isatty():
            yield _silent
            return
        from listbridge.cli.progress import bar

        with bar(title) as told:
            yield told

    def keep_secret(self, config: Config) -> None:
        """Remember what of a configuration must never be shown."""
        for connection in config.connections.values():
            for _name, value in connection.options:
                reveal = getattr(value, "get_secret_value", None)
                if reveal is not None:
                    self._secrets.add(str(reveal()))

    def without_secrets(self, text: str) -> str:
        """A text from outside our own sentences, made fit to be shown."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "…")
        return _USERINFO.sub(r"\1…@", text)


def long_line(head: Mapping[str, Any], name: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The parts of one JSON line whose last key holds many rows."""
    yield orjson.dumps(head).decode()[:-1] + f',"{name}":['
    between = ""
    for row in rows:
        yield between + orjson.dumps(row).decode()
        between = ","
    yield "]}\n"


def _silent(_stage: str, _done: int) -> None:
    """No progress shown."""


# --- words -------------------------------------------------------------------------------------------


def number(value: int) -> str:
    """``12,345``."""
    return f"{value:,}"


def many(value: int, one: str, several: str | None = None) -> str:
    """``1 person``, ``12,345 people``."""
    return f"{number(value)} {one if value == 1 else several or one + 's'}"


def table(
    rows: Sequence[Sequence[str]], indent: str = "  ", right: frozenset[int] = frozenset()
) -> list[str]:
    """Lines with aligned columns; those named in ``right`` are aligned at their end."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return [
        indent
        + "  ".join(
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def cut(text: str, length: int) -> str:
    """The text, shortened with an ellipsis if it is longer."""
    return text if len(text) <= length else text[: length - 1] + "…"
