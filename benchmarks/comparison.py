"""Three runs of each tool, several times over, in turns: everything new, nothing changed, some changed.

Turns are taken A B C A B C, since other work on the machine comes and goes; what counts is the median, and the
ratio to the fastest peer. Each turn begins with an empty platform and checks that what should be there is.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.platform import Platform, platform
from benchmarks.processes import DATA, Failed, Measured, measured, python_module
from benchmarks.shops import edited_last
from benchmarks.systems import System, Trial

INITIAL, UNCHANGED, CHANGED = "initial", "nothing changed", "1 % changed"
ALL_CASES = (INITIAL, UNCHANGED, CHANGED)


@dataclass(frozen=True, slots=True)
class Result:
    """One run of one tool."""

    system: str
    size: int
    case: str
    calls: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def compare(
    systems: Sequence[System], size: int, repeats: int, cases: Sequence[str] = ALL_CASES
) -> Iterator[Result]:
    """Results as they come."""
    with _folder() as folder:
        shop = folder / "shop.db"
        python_module("benchmarks.shops", "build", str(shop), str(size))
        for _ in range(repeats):
            for system in systems:
                yield from _turn(system, shop, size, cases)


def _turn(system: System, shop: Path, size: int, cases: Sequence[str]) -> Iterator[Result]:
    with _folder() as folder, platform() as there:
        own_shop = folder / "shop.db"
        shutil.copyfile(shop, own_shop)
        trial = Trial(folder, own_shop, there)
        system.prepare(trial)
        for case in cases:
            if case == CHANGED:
                python_module("benchmarks.shops", "edit", str(own_shop), str(max(1, size // 100)))
            before = there.calls()
            run = measured(system.command(trial), folder, system.environment(trial))
            yield _result(system, size, case, there.calls() - before, run)
            _check(system, case, trial, size, there)


def _result(system: System, size: int, case: str, calls: int, run: Measured) -> Result:
    return Result(system.name, size, case, calls, run.seconds, run.cpu_seconds, run.peak_mb)


def _check(system: System, case: str, trial: Trial, size: int, there: Platform) -> None:
    """A tool that is fast because it does nothing does not count."""
    if (found := there.members()) != size:
        raise Failed(f"{system.name}, {case}: the list has {found} members instead of {size}.")
    email, name = edited_last(trial.shop)
    if (arrived := there.last_name(email)) != name:
        raise Failed(f"{system.name}, {case}: {email} is called {arrived} there, not {name}.")


@contextmanager
def _folder() -> Iterator[Path]:
    """Inside the checkout's data folder: the system's own temporary folder may be memory."""
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA, prefix="trial-") as name:
        yield Path(name)
