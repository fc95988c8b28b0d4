"""`check`, `explain` and `drift`: questions that change nothing."""

import asyncio
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from listbridge.checking import Checked
from listbridge.cli import status, telling
from listbridge.cli.opening import chosen_connections, configuration, one_sync
from listbridge.cli.output import Output, table
from listbridge.errors import Misconfigured
from listbridge.explain import Explanation
from listbridge.session import Session

# --- check -------------------------------------------------------------------------------------------


def check(asked: Namespace, out: Output) -> int:
    """Try connections, one after the other."""
    config = configuration(asked, out)
    names = chosen_connections(config, asked.connections)
    if not names:
        raise Misconfigured(f"{config.path} has no connection yet. Write one below `connections`.")
    return asyncio.run(_check(Session(config), names, out))


async def _check(opened: Session, names: Sequence[str], out: Output) -> int:
    from listbridge.checking import check as try_connection

    statuses = []
    async with opened as session:
        for name in names:
            found = await try_connection(session, name)
            out.line(found.line())
            for text in _checked(found):
                out.say(text)
            statuses.append(_status(found))
    return status.gravest(statuses)


def _checked(found: Checked) -> Iterator[str]:
    words = "works" if found.error is None else "does not work"
    yield f"{found.connection} ({found.connector}): {words}{', but lacks something' if found.missing else ''}"
    if found.error is not None:
        yield f"  {found.error['message']}"
    yield from (f"  can {words}" for words in found.can)
    yield from (f"  missing: {words}" for words in found.missing)


def _status(found: Checked) -> int:
    return status.DONE if found.error is None else status.of_error(found.error["kind"])


# --- explain -----------------------------------------------------------------------------------------


def explain(asked: Namespace, out: Output) -> int:
    """Say why one person is or is not there, from what is stored."""
    from listbridge.explain import explain as explanations

    config = configuration(asked, out)
    name = one_sync(config, asked.sync)
    session = Session(config)
    try:
        found = explanations(session, name, asked.email)
    finally:
        asyncio.run(session.__aexit__())
    for one in found:
        out.line(one.line())
        for text in explained(one):
            out.say(text)
    return status.DONE


def explained(one: Explanation) -> Iterator[str]:
    is_there = "is" if one.present else "is not"
    yield f"{one.email} {is_there} in the audience {one.audience} of {one.sync}."
    yield from (f"  {sentence}" for sentence in one.because)
    yield from _section("At the source", _source_facts(one.source))
    yield from _section("At the destination", _facts(one.destination))
    yield "  What was done:" if one.history else "  Nothing was ever done to this person by this sync."
    past = [(row["at"], row["change"], telling.reason(row["reason"]), row["run"]) for row in one.history]
    yield from table(past, indent="    ")


def _section(title: str, facts: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield f"  {title}:" if facts else f"  {title}: nothing is known."
    yield from table(facts, indent="    ")


def _source_facts(source: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [fact for contact in source.get("contacts", ()) for fact in _facts(contact)]


def _facts(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    words = ((name.replace("_", " "), _word(value)) for name, value in found.items())
    return [(name, word) for name, word in words if word]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={part}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return "" if value is None else str(value)


# --- drift -------------------------------------------------------------------------------------------


def drift(asked: Namespace, out: Output) -> int:
    """Show where the destination differs from what this sync left there."""
    config = configuration(asked, out)
    name = one_sync(config, asked.sync)
    return asyncio.run(_drift(Session(config), name, out))


async def _drift(opened: Session, name: str, out: Output) -> int:
    from listbridge.drift import drift as differences

    found: list[Mapping[str, Any]] = []
    async with opened as session:
        async for line in differences(session, name):
            out.line(line)
            if not out.json:
                found.append(line)
    if not found:
        out.say(f"{name}: the destination is as this sync left it.")
        return status.DONE
    out.say(f"{name}: changed at the destination")
    header = ("person", "what", "ours", "theirs")
    rows = [(one["email"], one["what"], _side(one["ours"]), _side(one["theirs"])) for one in found]
    for text in table([header, *rows]):
        out.say(text)
    return status.DONE


def _side(value: Any) -> str:
    return "—" if value in (None, "") else str(value)
