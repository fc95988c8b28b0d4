"""`report`: what a run did, and to whom."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from listbridge import report as reports
from listbridge.cli import status, telling
from listbridge.cli.opening import configuration, lanes
from listbridge.cli.output import Output, table
from listbridge.config import AudienceSync
from listbridge.errors import Misconfigured
from listbridge.explain import shown
from listbridge.session import Session
from listbridge.store import runs
from listbridge.store.runs import RunRow

Row = dict[str, Any]

_CHUNK = 500


def report(asked: Namespace, out: Output) -> int:
    """Show a run's line and, if asked for, the rows behind one of its counts."""
    session = Session(configuration(asked, out))
    try:
        found = _found(session, asked.run)
        line = found.summary or _unfinished(found)
        out.line(line)
        _say(found, line, out)
        if asked.rows:
            _tell_rows(_rows(session, found, asked.rows), asked.rows, out)
    finally:
        session.store.close()
    return status.DONE


def _found(session: Session, run_id: str | None) -> RunRow:
    with session.store.read() as connection:
        found = runs.find(connection, run_id)
    if found is None and run_id is None:
        raise Misconfigured("Nothing has run yet. Begin with `listbridge plan`, then `listbridge run`.")
    if found is None:
        raise Misconfigured(f"There is no run {run_id}. `listbridge report` shows the last one.")
    return found


def _unfinished(found: RunRow) -> Row:
    """The line of a run that never came to its end."""
    summary = reports.Summary(found.sync, found.state, found.id)
    return summary.line()


def _say(found: RunRow, line: Mapping[str, Any], out: Output) -> None:
    ended = f", ended {shown(found.ended_at)}" if found.ended_at else ""
    out.say(f"Run {found.id}, began {shown(found.started_at)}{ended}")
    for text in telling.run(line, f"listbridge run {found.sync}"):
        out.say(text)


# --- rows --------------------------------------------------------------------------------------------


def _rows(session: Session, found: RunRow, name: str) -> Iterator[Row]:
    if name in ("created", "updated", "removed", "rejected"):
        return _reported(session, found, name)
    if not isinstance(session.config.syncs.get(found.sync), AudienceSync):
        raise Misconfigured(f"The configuration no longer has {found.sync}, so {name} people cannot be told.")
    targets = lanes(session, found.sync)
    told = reports.left_alone if name == "unchanged" else reports.skipped
    return told(session.store, targets, found.id)


def _reported(session: Session, found: RunRow, name: str) -> Iterator[Row]:
    several = _names(session, found)
    after = 0
    while True:
        with session.store.read() as connection:
            rows, after = runs.rows_of(connection, found.id, [name], after=after)
        if not rows:
            return
        for row in rows:
            where = {"audience": several[row.target]} if len(several) > 1 and row.target in several else {}
            yield {
                "email": row.email,
                "what": row.what,
                "reason": row.reason,
                "detail": row.detail,
                "at": shown(row.at),
                **({"before": row.before, "after": row.after} if name != "rejected" else {}),
                **where,
            }


def _names(session: Session, found: RunRow) -> dict[int, str]:
    if not isinstance(session.config.syncs.get(found.sync), AudienceSync):
        return {}
    return {target.id: target.list_name for target in lanes(session, found.sync)}


def _tell_rows(rows: Iterator[Row], name: str, out: Output) -> None:
    chunk: list[tuple[str, ...]] = []
    out.say(f"{name}:")
    nobody = True
    for row in rows:
        nobody = False
        out.line(row)
        if not out.json:
            chunk.append(_shown(row))
        if len(chunk) == _CHUNK:
            _say_chunk(chunk, out)
    _say_chunk(chunk, out)
    if nobody:
        out.say("  nobody")


def _say_chunk(chunk: list[tuple[str, ...]], out: Output) -> None:
    for text in table(chunk):
        out.say(text)
    chunk.clear()


def _shown(row: Mapping[str, Any]) -> tuple[str, ...]:
    where = (str(row["audience"]),) if "audience" in row else ()
    words = telling.rejection(row["reason"]) if row["what"] == "rejected" else telling.reason(row["reason"])
    more = row.get("detail") or _became(row.get("after") or {})
    return (row["email"] or "—", *where, "" if row["what"] == "unchanged" else words, more)


def _became(after: Mapping[str, Any]) -> str:
    parts = [str(after["status"])] if after.get("status") else []
    parts += [f"{name}={value}" for name, value in after.get("fields", {}).items()]
    parts += [f"+{tag}" for tag in after.get("tags_added", ())]
    parts += [f"-{tag}" for tag in after.get("tags_removed", ())]
    return ", ".join(parts)
