"""`init`, `connectors`, `schema` and `config`: before anything runs."""

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from listbridge.cli import status
from listbridge.cli.cards import Card, card, cards
from listbridge.cli.output import Output, table
from listbridge.cli.writing import refuse_overwriting, written_whole
from listbridge.config import load, load_text
from listbridge.config.writing import export
from listbridge.errors import Misconfigured

# --- init --------------------------------------------------------------------------------------------


def init(asked: Namespace, out: Output) -> int:
    """Write a first configuration."""
    from listbridge.config.starter import starter

    path = Path(asked.config)
    refuse_overwriting(path, force=asked.force)
    source = asked.connector or _asked("Where are your customers?", "source", "--connector")
    destination = asked.to or _asked("Where do your newsletters go out?", "destination", "--to")
    text = starter(source, destination)
    with written_whole(path) as file:
        file.write(text)
    variables = sorted(set(_variables(text)))
    out.line({"file": str(path), "connector": source, "to": destination, "variables": variables})
    for words in _next_steps(path, variables):
        out.say(words)
    return status.DONE


def _asked(question: str, end: str, option: str) -> str:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Misconfigured(
            "There is no terminal to ask on. Say it: listbridge init --connector A --to B "
            f"({option} is missing; `listbridge connectors` lists them)."
        )
    from rich.console import Console
    from rich.prompt import Prompt

    known = [one.name for one in cards() if getattr(one, end) is not None]
    return Prompt.ask(question, choices=known, console=Console(stderr=True))


def _variables(text: str) -> Iterator[str]:
    for line in text.splitlines():
        before = line.partition("#")[0]
        if "${" in before:
            yield before.partition("${")[2].partition("}")[0]


def _next_steps(path: Path, variables: Sequence[str]) -> Iterator[str]:
    yield f"{path} is written. What to do next:"
    if variables:
        yield f"  set {', '.join(variables)} in the environment"
    yield f"  open {path} and name your list and whom to take"
    yield "  listbridge check    tries both connections"
    yield "  listbridge plan     shows what would change, and writes nothing"
    yield "  listbridge run      does it"


# --- connectors --------------------------------------------------------------------------------------


def connectors(asked: Namespace, out: Output) -> int:
    """A table of all connectors, or everything about some of them."""
    found = [card(name) for name in asked.names] if asked.names else cards()
    for one in found:
        out.line(one.line())
    if asked.names:
        for one in found:
            for text in _told(one):
                out.say(text)
        return status.DONE
    header = ("connector", "platform", "source", "destination")
    rows = [(one.name, one.title, _mark(one.source), _mark(one.destination)) for one in found]
    for text in table([header, *rows], indent=""):
        out.say(text)
    out.say()
    out.say("All about one of them: listbridge connectors NAME")
    return status.DONE


def _mark(end: object | None) -> str:
    return "yes" if end is not None else "—"


def _told(one: Card) -> Iterator[str]:
    yield f"{one.title} (connector: {one.name})"
    if one.about:
        yield f"  {one.about}"
    for title, words in one.sections():
        yield f"  {title}"
        yield from (f"    {word}" for word in words)


# --- schema and config -------------------------------------------------------------------------------


def schema(asked: Namespace, out: Output) -> int:
    """The JSON Schema of the file."""
    from listbridge.config.schema import json_schema

    found = json_schema()
    out.line(found)
    out.say(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    return status.DONE


def config(asked: Namespace, out: Output) -> int:
    """Export or import the file."""
    return _import(asked, out) if asked.action == "import" else _export(asked, out)


def _export(asked: Namespace, out: Output) -> int:
    text = export(load(Path(asked.config), os.environ))
    if asked.out:
        with written_whole(Path(asked.out)) as file:
            file.write(text)
        out.line({"file": asked.out})
        out.say(f"{asked.out} is written.")
        return status.DONE
    out.line(_as_object(text))
    out.say(text.rstrip("\n"))
    return status.DONE


def _import(asked: Namespace, out: Output) -> int:
    given, path = Path(asked.file), Path(asked.config)
    refuse_overwriting(path, force=asked.force)
    text = export(load(given, os.environ))
    config = load_text(text, path, os.environ)
    with written_whole(path) as file:
        file.write(text)
    names = {"connections": list(config.connections), "syncs": list(config.syncs)}
    out.line({"file": str(path), **names})
    out.say(f"{path} is written.")
    for what, found in names.items():
        out.say(f"  {what}: {', '.join(found) or 'none'}")
    return status.DONE


def _as_object(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)
