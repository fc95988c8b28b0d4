"""Results as a table for people, and as JSON lines for machines."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import median

from benchmarks.comparison import Result

HEADER: tuple[str, ...] = (
    "size",
    "case",
    "tool",
    "calls",
    "wall s",
    "spread",
    "ratio",
    "cpu s",
    "peak MB",
    "runs",
)


def as_lines(results: Iterable[Result]) -> str:
    return "\n".join(json.dumps(asdict(result)) for result in results)


def as_table(results: Sequence[Result], ours: str) -> str:
    """One row for each tool, size and case. ``ratio``: wall time over that of the fastest other tool."""
    groups: dict[tuple[int, str], dict[str, list[Result]]] = {}
    for result in results:
        groups.setdefault((result.size, result.case), {}).setdefault(result.system, []).append(result)
    rows = [HEADER]
    for (size, case), systems in groups.items():
        rows += [_row(size, case, name, runs, _fastest(systems, but=ours)) for name, runs in systems.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "\n".join(_line(row, widths) for row in rows)


def _row(
    size: int, case: str, name: str, runs: Sequence[Result], peer_seconds: float | None
) -> tuple[str, ...]:
    seconds = sorted(run.seconds for run in runs)
    return (
        f"{size:,}",
        case,
        name,
        _calls(runs),
        f"{median(seconds):.2f}",
        f"{seconds[0]:.2f}-{seconds[-1]:.2f}",
        f"{median(seconds) / peer_seconds:.2f}" if peer_seconds else "",
        f"{median(run.cpu_seconds for run in runs):.2f}",
        f"{median(run.peak_mb for run in runs):.0f}",
        str(len(runs)),
    )


def _calls(runs: Sequence[Result]) -> str:
    least, most = min(run.calls for run in runs), max(run.calls for run in runs)
    return str(least) if least == most else f"{least}-{most}"


def _fastest(systems: dict[str, list[Result]], *, but: str) -> float | None:
    if but not in systems:
        return None
    times = [median(run.seconds for run in runs) for name, runs in systems.items() if name != but]
    return min(times, default=None)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    words = (
        text.ljust(width) if column in (1, 2) else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(words).rstrip()
