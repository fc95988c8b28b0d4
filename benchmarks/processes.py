"""Other processes: started, waited for, measured.

The measuring process itself must stay small: the kernel counts the memory of the process that forks into the
peak of the new one. So nothing heavy is imported here, and shops are made by ``benchmarks.shops`` outside.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / ".data"


@dataclass(frozen=True, slots=True)
class Measured:
    """Wall time from before the process started to after it ended, its processor time, its peak memory."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str


class Failed(Exception):
    """A process that should have worked did not; holds the end of what it said."""


def measured(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Measured:
    """Run to the end. ``peak_mb`` is that of the process or of its biggest waited-for child."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        said = _text(output)
        if process.returncode:
            raise Failed(
                f"{' '.join(command)} ended with {process.returncode}:\n{said[-2000:]}{_text(errors)[-2000:]}"
            )
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def python_module(*words: str) -> str:
    """Run a module of this checkout with our own Python to its end; gives what it printed."""
    return measured([sys.executable, "-m", *words], ROOT, {}).output
