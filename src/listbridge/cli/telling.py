"""A run or a plan in words."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from listbridge.changes import What
from listbridge.cli.output import cut, many, number, table
from listbridge.planner import REASONS
from listbridge.policy import Guard
from listbridge.report import COUNTS

Row = Mapping[str, Any]
Groups = Mapping[tuple[str, str], int]
"""(change, reason) → how many people."""

SHOWN = 10
"""So many people are listed for each reason where no limit is given."""

_ORDER = ("create", "update", "remove", "skip")

REJECTED_SHOWN = 10

_OTHER_REASONS = {
    "suppressed": "the platform holds them as gone: unsubscribed, bounced or complained",
    "invalid_address": "the platform does not take the address",
    "invalid_field": "the platform does not take the value of a field",
    "erased": "was deleted for good at the platform; only they themselves can come back",
    "unsupported": "the platform cannot do this",
    "refused": "the platform refuses",
    "feedback_failed": "the source did not take the unsubscribe or bounce; the next run tries again",
    "duplicate": "another row has the same id",
}
_STATES = {
    "done": "done",
    "waiting": "waits for approval, nothing was written",
    "stopped": "stopped",
    "running": "has not ended: it is under way, or was interrupted",
}


def reason(name: str) -> str:
    """A reason as the end of the sentence «this person …»."""
    return REASONS.get(name) or _OTHER_REASONS.get(name) or name.replace("_", " ")


def rejection(name: str) -> str:
    """Why the platform did not take somebody."""
    return _OTHER_REASONS.get(name) or REASONS.get(name) or name.replace("_", " ")


def counts(found: Mapping[str, int]) -> str:
    """``created 12 · updated 3 · …``."""
    return " · ".join(f"{name} {number(found[name])}" for name in COUNTS)


# --- a plan ------------------------------------------------------------------------------------------


def changes(planned: Iterable[Row], skipped: Iterable[Row], expected: Groups, limit: int) -> Iterator[str]:
    """Person by person below each reason, ``limit`` of each; ``expected`` says how many there are.

    Of the rows no more are taken than are shown.
    """
    skips = {group: people for group, people in expected.items() if group[0] == What.SKIP}
    others = {group: people for group, people in expected.items() if group not in skips}
    for rows, groups in ((planned, others), (skipped, skips)):
        shown = _samples(rows, groups, limit)
        for group, people in sorted(groups.items(), key=lambda one: (_ORDER.index(one[0][0]), -one[1])):
            yield from _group(group, people, shown[group])


def _samples(rows: Iterable[Row], groups: Groups, limit: int) -> dict[tuple[str, str], list[Row]]:
    """The first so many rows of each group."""
    found: dict[tuple[str, str], list[Row]] = {group: [] for group in groups}
    lacking = sum(min(people, limit) for people in groups.values())
    for row in rows if lacking else ():
        group = found.get((row["change"], row["reason"]))
        if group is not None and len(group) < limit:
            group.append(row)
            lacking -= 1
        if not lacking:
            break
    return found


def _group(group: tuple[str, str], people: int, shown: list[Row]) -> Iterator[str]:
    what, why = group
    yield f"  {what} {number(people)} · {why}: {reason(why)}"
    yield from table([_change(row) for row in shown], indent="    ")
    if people > len(shown):
        yield f"    … and {number(people - len(shown))} more"


def _change(row: Row) -> tuple[str, ...]:
    where = (str(row["audience"]),) if "audience" in row else ()
    email = f"{row['email_before']} → {row['email']}" if row.get("email_before") else row["email"]
    who = email or (f"id {row['id']}" if "id" in row else "—")
    return (who, *where, cut(row.get("detail") or _sent(row), 100))


def _sent(row: Row) -> str:
    parts = [str(row["status"])] if row["status"] else []
    parts += [f"{name}={value}" if value else f"{name} emptied" for name, value in row["fields"].items()]
    parts += [f"+{tag}" for tag in row["tags_added"]] + [f"-{tag}" for tag in row["tags_removed"]]
    parts += [str(row["removal"])] if row.get("removal") else []
    return ", ".join(parts)


def plan_summary(line: Mapping[str, Any]) -> Iterator[str]:
    """The end of a plan: counts, why people are left out, the guard."""
    yield f"  {counts(line['counts'])}"
    yield from _feedback(line, "would go back to the source")
    yield from _warnings(line)
    yield f"  {_calls(line)}; plan {line['plan']}"


def _skipped(skipped: Mapping[str, int]) -> Iterator[str]:
    for name, people in sorted(skipped.items(), key=lambda one: -one[1]):
        yield f"  {many(people, 'person', 'people')} skipped: {reason(name)}"


def guard(line: Mapping[str, Any], command: str) -> Iterator[str]:
    """What stopped the plan, and how to let it through."""
    tripped = line["guard"]
    if tripped is None:
        return
    yield f"  Needs approval ({tripped['name']}): {Guard(**tripped).sentence}"
    yield f"  If that is as it should be: {command} --approve {line['plan']}"


# --- a run -------------------------------------------------------------------------------------------


def run(line: Mapping[str, Any], command: str) -> Iterator[str]:
    """How a run ended."""
    yield f"{line['sync']}: {_STATES.get(line['state'], line['state'])}"
    if line["error"] is not None:
        yield from error(line)
    done_something = line["error"] is None or any(line["counts"].values())
    if done_something:
        yield f"  {counts(line['counts'])}"
        yield from _skipped(line["skipped"])
        yield from _rejected(line)
        yield from _feedback(line, "went back to the source")
    yield from guard(line, command)
    yield from impossible(line)
    yield from _warnings(line)
    yield f"  {_calls(line)}; run {line['run']}" if line.get("run") else f"  {_calls(line)}"


def error(line: Mapping[str, Any]) -> Iterator[str]:
    """What a person must mend."""
    for row in str(line["error"]["message"]).splitlines():
        yield f"  {row}"


def impossible(line: Mapping[str, Any]) -> Iterator[str]:
    """What an undo cannot put back."""
    found = line.get("impossible", ())
    if found:
        yield f"  {many(len(found), 'change')} cannot be taken back:"
    for one in found[:SHOWN]:
        yield f"    {one['reason']}"
    if len(found) > SHOWN:
        yield f"    … and {number(len(found) - SHOWN)} more (--json lists all)"


def _rejected(line: Mapping[str, Any]) -> Iterator[str]:
    found, total = line["rejected"], line["counts"]["rejected"]
    if not found:
        return
    yield f"  {many(total, 'person', 'people')} rejected:"
    rows = [
        (str(one["email"] or "—"), rejection(one["reason"]), one["detail"] or "")
        for one in found[:REJECTED_SHOWN]
    ]
    yield from table(rows, indent="    ")
    if total > len(rows):
        yield f"    … and {number(total - len(rows))} more (listbridge report {line['run']} --rows rejected)"


def _feedback(line: Mapping[str, Any], did: str) -> Iterator[str]:
    told = line["feedback"]
    words = [
        many(told[name], one) for name, one in (("unsubscribed", "unsubscribe"), ("bounced", "hard bounce"))
    ]
    given = [word for word, name in zip(words, ("unsubscribed", "bounced"), strict=True) if told[name]]
    if given:
        yield f"  {' and '.join(given)} {did}"


def _warnings(line: Mapping[str, Any]) -> Iterator[str]:
    for words in line["warnings"]:
        yield f"  Note: {words}"


def _calls(line: Mapping[str, Any]) -> str:
    calls = line["calls"]
    return f"{many(calls['read'], 'call')} read, {number(calls['write'])} wrote; {line['seconds']:.1f} s"
