"""`plan`, `run` and `undo`: everything that goes through the stages of a run."""

import asyncio
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from listbridge import report
from listbridge.cli import status, telling
from listbridge.cli.opening import chosen_syncs, configuration, lanes
from listbridge.cli.output import Output, long_line
from listbridge.cli.writing import written_whole
from listbridge.errors import Misconfigured
from listbridge.report import Summary
from listbridge.run import Wish, run_sync
from listbridge.session import Session
from listbridge.store import plans
from listbridge.store.targets import Target

Row = dict[str, Any]


# --- run ---------------------------------------------------------------------------------------------


def run(asked: Namespace, out: Output) -> int:
    """Carry syncs out, one after the other; one that stops does not keep the next from running."""
    config = configuration(asked, out)
    names = chosen_syncs(config, asked.syncs, out)
    _refuse_objects(asked, names)
    return asyncio.run(_run(Session(config), names, asked, out))


async def _run(opened: Session, names: Sequence[str], asked: Namespace, out: Output) -> int:
    wish = Wish(full=asked.full, approve=asked.approve)
    statuses = []
    async with opened as session:
        for name in names:
            with out.progress(name) as told:
                summary = await run_sync(session, name, wish, told)
            statuses.append(_tell_run(summary, f"listbridge run {name}", out))
    return status.gravest(statuses)


def _tell_run(summary: Summary, command: str, out: Output) -> int:
    line = summary.line()
    out.line(line)
    for text in telling.run(line, command):
        out.say(text)
    return status.of_run(line)


def _refuse_objects(asked: Namespace, names: Sequence[str]) -> None:
    if asked.objects:
        raise Misconfigured(f"--objects is for commerce syncs; {names[0]} is an audience sync. Leave it out.")


# --- plan --------------------------------------------------------------------------------------------


def plan(asked: Namespace, out: Output) -> int:
    """Show what would change, person by person."""
    config = configuration(asked, out)
    names = chosen_syncs(config, asked.syncs, out)
    _refuse_objects(asked, names)
    with ExitStack() as files:
        file = files.enter_context(written_whole(Path(asked.out))) if asked.out else None
        lines = asyncio.run(_plan(Session(config), names, asked, out, file.write if file else None))
    if asked.detailed_exitcode:
        return status.gravest_in_detail(status.of_plan_in_detail(line) for line in lines)
    return status.gravest(status.of_plan(line) for line in lines)


async def _plan(
    opened: Session,
    names: Sequence[str],
    asked: Namespace,
    out: Output,
    write: Callable[[str], object] | None,
) -> list[Row]:
    wish = Wish(acts=False, full=asked.full)
    lines = []
    async with opened as session:
        for name in names:
            with out.progress(name) as told:
                summary = await run_sync(session, name, wish, told)
            if write is not None:
                for part in long_line(summary.line(), "changes", _changes(session, summary, asked.limit)):
                    write(part)
            lines.append(_tell_plan(session, summary, asked.limit, f"listbridge run {name}", out))
    return lines


def _tell_plan(session: Session, summary: Summary, limit: int | None, command: str, out: Output) -> Row:
    line = summary.line()
    out.long_line(line, "changes", _changes(session, summary, limit) if out.json else ())
    if not out.json:
        say_plan(session, summary, telling.SHOWN if limit is None else limit, command, out)
    return line


def say_plan(session: Session, summary: Summary, limit: int, command: str, out: Output) -> None:
    line = summary.line()
    if summary.error is not None:
        out.say(f"{summary.sync}: no plan could be made")
        ending = telling.error(line)
    else:
        out.say(f"{summary.sync}: {_headline(summary)}")
        targets = lanes(session, summary.sync)
        planned = report.planned(session.store, targets)
        skipped = report.not_planned(session.store, targets)
        for text in telling.changes(planned, skipped, _groups(session, targets, summary), limit):
            out.say(text)
        ending = telling.plan_summary(line)
    for text in (*ending, *telling.impossible(line), *telling.guard(line, command)):
        out.say(text)


def _headline(summary: Summary) -> str:
    return "what would change" if summary.has_changes else "nothing to change"


def _groups(session: Session, targets: Sequence[Target], summary: Summary) -> dict[tuple[str, str], int]:
    """(change, reason) → how many."""
    groups: Counter[tuple[str, str]] = Counter()
    with session.store.read() as connection:
        for target in targets:
            groups.update(plans.counts(connection, target.id))
    groups.update({("skip", reason): people for reason, people in summary.skipped.items()})
    return dict(groups)


def _changes(session: Session, summary: Summary, limit: int | None) -> Iterator[Row]:
    if summary.error is not None:
        return iter(())
    return islice(report.changes(session.store, lanes(session, summary.sync)), limit)


# --- undo --------------------------------------------------------------------------------------------


def undo(asked: Namespace, out: Output) -> int:
    """Show the way back of a run, or go it."""
    if asked.approve and not asked.apply:
        raise Misconfigured("--approve goes with --apply.")
    return asyncio.run(_undo(Session(configuration(asked, out)), asked, out))


async def _undo(opened: Session, asked: Namespace, out: Output) -> int:
    from listbridge.undo import undo_run

    command = f"listbridge undo {asked.run} --apply"
    async with opened as session:
        with out.progress(f"undo {asked.run}") as told:
            wish = Wish(acts=asked.apply, approve=asked.approve)
            summary = await undo_run(session, asked.run, wish, told)
        if asked.apply:
            return _tell_run(summary, command, out)
        line = _tell_plan(session, summary, asked.limit, command, out)
        if summary.has_changes and summary.guard is None:
            out.say(f"  To carry it out: {command}")
    return status.of_plan(line)
