"""Exit statuses. Scripts rely on them."""

from collections.abc import Iterable, Mapping
from typing import Any

DONE = 0
FAILED = 1  # `plan --detailed-exitcode`, and what nobody expected
MISCONFIGURED = 2
WAITING = 3
REJECTED = 4
STOPPED = 5
CHANGES = 6  # `plan --detailed-exitcode`
INTERRUPTED = 130

_GRAVEST_FIRST = (STOPPED, MISCONFIGURED, WAITING, REJECTED, DONE)


def of_error(kind: str) -> int:
    """What an error of a person's making ends in."""
    return MISCONFIGURED if kind == "configuration" else STOPPED


def of_run(line: Mapping[str, Any]) -> int:
    """What one run's line ends in."""
    if line["error"] is not None:
        return of_error(line["error"]["kind"])
    if line["guard"] is not None:
        return WAITING
    return REJECTED if line["rejected"] or line["counts"]["rejected"] else DONE


def of_plan(line: Mapping[str, Any]) -> int:
    """What one plan's line ends in: a guard that trips is only shown."""
    return DONE if line["error"] is None else of_error(line["error"]["kind"])


def of_plan_in_detail(line: Mapping[str, Any]) -> int:
    """For `plan --detailed-exitcode`: nothing to change, failed, changes."""
    if line["error"] is not None:
        return FAILED
    counts = line["counts"]
    return CHANGES if any(counts[name] for name in ("created", "updated", "removed")) else DONE


def gravest(statuses: Iterable[int]) -> int:
    """The one status of several syncs."""
    found = set(statuses)
    return next((status for status in _GRAVEST_FIRST if status in found), DONE)


def gravest_in_detail(statuses: Iterable[int]) -> int:
    """The one status of several plans: one that failed before one with changes."""
    found = set(statuses)
    return next((status for status in (FAILED, CHANGES) if status in found), DONE)
