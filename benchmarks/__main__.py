"""``python -m benchmarks [peers|scale|diff …]``: everything, or the parts named."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.comparison import INITIAL, UNCHANGED, Result, compare
from benchmarks.processes import DATA, ROOT, Failed, measured, python_module
from benchmarks.systems import PEERS, Listbridge, System
from benchmarks.table import as_lines, as_table

PARTS = ("peers", "scale", "diff")


def peers(asked: argparse.Namespace) -> Iterator[Result]:
    """Listbridge, drt and dlt at one size."""
    systems: list[System] = [Listbridge(), *PEERS]
    if asked.only:
        systems = [system for system in systems if system.name.split()[0] in asked.only]
    for system in systems:
        system.install()
    return compare(systems, asked.size, asked.repeats)


def scale(asked: argparse.Namespace) -> Iterator[Result]:
    """Listbridge alone, at sizes where the peers would take long."""
    system = Listbridge()
    system.install()
    for size in asked.sizes:
        yield from compare([system], size, asked.scale_repeats, (INITIAL, UNCHANGED))


def diff(asked: argparse.Namespace) -> Iterator[Result]:
    """The full comparison inside the store, beside the same query by hand."""
    for size in asked.diff_sizes:
        with TemporaryDirectory(dir=DATA, prefix="trial-") as folder:
            path = str(Path(folder, "byhand.db"))
            for act in ("build", "build-store"):
                python_module("benchmarks.diff", act, path, str(size))
            for _ in range(asked.scale_repeats):
                for name, act in (("by hand", "compare"), (Listbridge.name, "compare-store")):
                    command = [sys.executable, "-m", "benchmarks.diff", act, path, str(size)]
                    run = measured(command, ROOT, {})
                    yield Result(name, size, "full diff", 0, run.seconds, run.cpu_seconds, run.peak_mb)


def _told(results: Iterable[Result]) -> Iterator[Result]:
    for result in results:
        words = f"{result.size:,} {result.case}: {result.system} {result.calls} calls, {result.seconds:.2f} s"
        print(f"{words}, {result.peak_mb:.0f} MB", file=sys.stderr)
        yield result


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], metavar="PART", help="peers, scale, diff; default: all"
    )
    parser.add_argument("--only", action="append", metavar="TOOL", help="peers: listbridge, drt or dlt")
    parser.add_argument("--size", type=int, default=10_000, help="peers: people in the shop")
    parser.add_argument("--repeats", type=int, default=5, help="peers: turns of each tool")
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 1_000_000], help="scale: people")
    parser.add_argument(
        "--diff-sizes", type=int, nargs="*", default=[1_000_000, 10_000_000], help="diff: people"
    )
    parser.add_argument("--scale-repeats", type=int, default=3, help="scale and diff: turns")
    parser.add_argument("--json", action="store_true", help="one line for each run instead of a table")
    return parser.parse_args()


def main() -> None:
    asked = _arguments()
    DATA.mkdir(exist_ok=True)
    works = {"peers": peers, "scale": scale, "diff": diff}
    try:
        results = [result for part in asked.parts or PARTS for result in _told(works[part](asked))]
    except Failed as failure:
        sys.exit(str(failure))
    print(as_lines(results) if asked.json else as_table(results, Listbridge.name))


if __name__ == "__main__":
    main()
