"""The pages below docs/reference, made from the commands, the connectors and the configuration's models.

``python -m listbridge.cli.reference docs/reference`` writes them; a test fails when they are stale.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from listbridge.cli.arguments import Parser, parser
from listbridge.cli.cards import Card, cards, destination_words, source_words
from listbridge.config.models import SYNC_TYPES, Document, Section
from listbridge.connectors.base import Options
from listbridge.connectors.registry import connector_named

_MADE = "<!-- Made by `python -m listbridge.cli.reference docs/reference`; changes by hand are lost. -->"

_STATUSES = (
    ("0", "done; for `plan` also when a guard would stop the run"),
    ("1", "something that Listbridge did not expect; with `plan --detailed-exitcode`: the plan failed"),
    ("2", "the command line or the configuration is wrong"),
    ("3", "stopped by a guard; the plan waits for approval"),
    ("4", "done, and some rows were rejected"),
    ("5", "stopped by an error that a person must mend"),
    ("6", "`plan --detailed-exitcode`: there are changes"),
    ("130", "interrupted"),
)


def pages() -> dict[str, str]:
    """File name → text of every page."""
    return {
        "cli.md": _page(_cli()),
        "connectors.md": _page(_connectors(cards())),
        "configuration.md": _page(_configuration()),
    }


_NUMBER = "a number"
_ABLE = (
    "connector",
    "platform",
    "removals, the mildest first",
    "transactional",
    "double opt-in",
    "tags",
    "renames",
    "people a write",
    "people a read",
    "calls at a time",
)


def _page(lines: Iterable[str]) -> str:
    return "\n".join([_MADE, "", *lines]).rstrip("\n") + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


# --- commands ----------------------------------------------------------------------------------------


def _cli() -> Iterator[str]:
    root = parser()
    yield "# Commands"
    yield ""
    yield "These hold for every command:"
    yield ""
    yield from _table(("option", "meaning"), [_option(one) for one in root.options])
    yield ""
    yield "`-c FILE` and `--json` may stand before or after the command."
    yield "With `--json` standard output holds JSON only, one object a line; progress and notes go to standard error."
    yield "Several syncs end in the gravest of their statuses: 5, then 2, 3, 4, 0."
    yield ""
    yield from _table(("exit status", "meaning"), _STATUSES)
    for name, command in root.commands.items():
        yield from _command(f"listbridge {name}", command)


def _command(title: str, command: Parser) -> Iterator[str]:
    if command.commands:
        for name, action in command.commands.items():
            yield from _command(f"{title} {name}", action)
        return
    own = [one for one in command.options if one.dest not in ("config", "json")]
    yield from ("", f"## {title}", "", command.description or "")
    yield from ("", "```", _usage(title, command.places, own), "```")
    rows = [(f"`{one.metavar}`", one.help or "") for one in command.places] + [_option(one) for one in own]
    if rows:
        yield ""
        yield from _table(("argument", "meaning"), rows)


def _usage(title: str, places: Iterable[argparse.Action], own: Iterable[argparse.Action]) -> str:
    words = [title]
    words += [_place(one) for one in places]
    words += [f"[{one.option_strings[-1]}{f' {one.metavar}' if one.metavar else ''}]" for one in own]
    return " ".join(words)


def _place(one: argparse.Action) -> str:
    return {"*": f"[{one.metavar} …]", "?": f"[{one.metavar}]"}.get(str(one.nargs), str(one.metavar))


def _option(one: argparse.Action) -> tuple[str, str]:
    value = f" {one.metavar}" if one.metavar else ""
    return ", ".join(f"`{name}{value}`" for name in one.option_strings), one.help or ""


# --- connectors --------------------------------------------------------------------------------------


def _connectors(found: Sequence[Card]) -> Iterator[str]:
    yield "# Connectors"
    yield ""
    yield "## Sources"
    yield ""
    sources = [one for one in found if one.source is not None]
    yield from _table(
        ("connector", "platform", "news since the last run", "deletions"), map(_source, sources)
    )
    yield ""
    yield "## Destinations"
    yield ""
    yield from _table(_ABLE, [_destination(one) for one in found if one.destination is not None])
    yield ""
    yield "## How each was verified"
    for one in found:
        yield from _verified(one)


def _source(one: Card) -> tuple[str, ...]:
    assert one.source is not None
    news = "no: compared as a whole on every run" if one.source["always_full"] else "yes"
    deletions = "told by the source" if one.source["tells_deletions"] else "found by a full comparison"
    return (f"`{one.name}`", one.title, news, deletions)


def _destination(one: Card) -> tuple[str, ...]:
    able = one.destination
    assert able is not None
    flags = (able.transactional, able.pending, able.tags, able.renames)
    numbers = (able.batch_size, able.page_size, able.connections)
    words = (*("yes" if flag else "no" for flag in flags), *(f"{number:,}" for number in numbers))
    return (f"`{one.name}`", one.title, ", ".join(able.removals), *words)


def _verified(one: Card) -> Iterator[str]:
    yield from ("", f"### {one.title} (`{one.name}`)", "")
    if one.source is not None:
        yield from (f"- As a source it {words}." for words in source_words(one.source))
    if one.destination is not None:
        yield from (f"- As a destination it {words}." for words in destination_words(one.destination))
    yield from (f"- Verified: {words}." for words in one.verified)
    yield from (f"- Unsure: {words}." for words in one.unsure)


# --- configuration -----------------------------------------------------------------------------------


def _configuration() -> Iterator[str]:
    yield "# The configuration file"
    yield ""
    yield "`listbridge.yaml`, or the file given with `-c FILE`."
    yield "`${NAME}` takes an environment variable in any value, `$${` stands for a plain `${`."
    yield "A key that is not known is an error that names the nearest one."
    yield "`listbridge schema` prints the same as a JSON Schema, which editors can use."
    yield ""
    yield "## The file"
    yield ""
    yield from _model(Document)
    yield ""
    yield "## connections"
    yield ""
    yield "Each has a name of your own and these keys; below them are those of each connector."
    yield ""
    yield from _model(Options)
    for one in cards():
        yield from ("", f"### connector: {one.name}", "", f"{one.title}. {one.about}".rstrip(), "")
        yield from _model(connector_named(one.name).options, without=set(Options.model_fields))
    for name, sync in SYNC_TYPES.items():
        yield from ("", f"## syncs, type: {name}", "", f"{_first_line(sync)}", "")
        yield from _model(sync)
        yield from _sections(sync)


def _sections(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        section = _section(field.annotation)
        if section is not None:
            yield from ("", f"### {name}", "", _first_line(section), "")
            yield from _model(section)


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _model(model: type[BaseModel], without: set[str] | None = None) -> Iterator[str]:
    fields = {name: field for name, field in model.model_fields.items() if name not in (without or ())}
    rows = [
        (f"`{name}`", _values(field), _default(field), field.description or "")
        for name, field in fields.items()
    ]
    if not rows:
        yield "It has no options of its own."
        return
    yield from _table(("key", "value", "if left out", "meaning"), rows)


def _values(field: FieldInfo) -> str:
    if _section(field.annotation) is not None:
        return "see below"
    kind = _kind(field.annotation)
    return "text" if kind == _NUMBER and isinstance(field.default, str) else kind


def _kind(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in inner)
    if origin in (Union, UnionType):
        return ", ".join(_kind(one) for one in inner if one is not type(None))
    if origin is tuple:
        return f"a list: {_kind(inner[0])}"
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return "keys with values"
    if hasattr(annotation, "__metadata__"):
        return _kind(inner[0])
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{one.value}`" for one in annotation)
    return {bool: "true or false", int: _NUMBER}.get(annotation, "text")


def _default(field: FieldInfo) -> str:
    default = field.default
    if field.is_required():
        return "needed"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, str | int) and default != "":
        return f"`{default}`"
    return "—"


def _section(annotation: Any) -> type[Section] | None:
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, Section):
            return one
    return None


def main() -> None:
    """Write the pages into the folder that was named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
