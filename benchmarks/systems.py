"""The tools that are compared: how each is installed, set up and started.

All read the same SQLite file, write the same list of the same sandbox with the same two merge fields, and start
as a fresh process each time. What they remember lies in the trial's folder.
"""

import json
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Protocol

from benchmarks.platform import API_KEY, Platform
from benchmarks.processes import DATA
from benchmarks.shops import COLUMNS

HERE = Path(__file__).resolve().parent
DRT = "drt-core==1.2.1"
DLT = "dlt==1.31.0"


@dataclass(frozen=True, slots=True)
class Trial:
    """One tool's turn: an empty folder of its own, the shop, the platform."""

    folder: Path
    shop: Path
    platform: Platform


class System(Protocol):
    """One tool. ``detects`` says how it finds what changed, for the table."""

    name: str
    detects: str

    def install(self) -> None:
        """Make sure that the tool is there. Repeating is cheap."""

    def prepare(self, trial: Trial) -> None:
        """Write the tool's configuration into the trial's folder."""

    def command(self, trial: Trial) -> Sequence[str]: ...

    def environment(self, trial: Trial) -> Mapping[str, str]: ...


class Listbridge:
    """The command line, as a person or a cron job starts it."""

    name = "listbridge"
    detects = "content"

    def install(self) -> None:
        if not self._executable.exists():
            raise SystemExit("Install the checkout first: pip install -e .")

    def prepare(self, trial: Trial) -> None:
        (trial.folder / "listbridge.yaml").write_text(json.dumps(self._configuration(trial), indent=1))

    def command(self, trial: Trial) -> Sequence[str]:
        return [str(self._executable), "run", "-c", "listbridge.yaml", "--json"]

    def environment(self, trial: Trial) -> Mapping[str, str]:
        return {}

    @property
    def _executable(self) -> Path:
        return Path(sys.executable).parent / "listbridge"

    def _configuration(self, trial: Trial) -> dict[str, object]:
        """Every JSON text is YAML."""
        return {
            "version": 1,
            "connections": {
                "shop": {"connector": "sql", "url": f"sqlite:///{trial.shop}", "contacts": COLUMNS},
                "newsletter": {"connector": "mailchimp", "api_key": API_KEY, "url": trial.platform.url},
            },
            "syncs": {
                "members": {
                    "type": "audience",
                    "source": "shop",
                    "destination": "newsletter",
                    "select": {"everyone": True},
                    "audience": {"list": trial.platform.list_id},
                    "mode": "merge",
                    "fields": {"FNAME": "first_name", "LNAME": "last_name"},
                }
            },
        }


class Drt:
    """drt-core with its generic REST destination.

    ``parts`` > 1 is the one way to make it send in parallel: as many syncs, each with its share of the
    customers, in as many threads.
    """

    detects = "updated_at"

    def __init__(self, parts: int = 1) -> None:
        self.parts = parts
        self.name = "drt" if parts == 1 else f"drt in {parts} parts"

    def install(self) -> None:
        _install("drt", DRT)

    def prepare(self, trial: Trial) -> None:
        values = {"shop": trial.shop, "url": trial.platform.url, "list_id": trial.platform.list_id}
        _fill("drt_project.yml", trial.folder / "drt_project.yml", values)
        _fill("profiles.yml", trial.folder / "home" / ".drt" / "profiles.yml", values)
        for part in range(self.parts):
            share = "" if self.parts == 1 else f" WHERE id % {self.parts} = {part}"
            file = trial.folder / "syncs" / f"members{part}.yml"
            _fill("members.yml", file, {**values, "api_key": API_KEY, "part": part, "share": share})

    def command(self, trial: Trial) -> Sequence[str]:
        return [str(_bin("drt") / "drt"), "run", "--threads", str(self.parts)]

    def environment(self, trial: Trial) -> Mapping[str, str]:
        return {"HOME": str(trial.folder / "home"), "DO_NOT_TRACK": "1"}


class Dlt:
    """dlt with a destination of its own kind, see ``peers/dlt_rows.py``."""

    name = "dlt"
    detects = "updated_at"

    def install(self) -> None:
        _install("dlt", DLT)

    def prepare(self, trial: Trial) -> None:
        return None

    def command(self, trial: Trial) -> Sequence[str]:
        program = str(HERE / "peers" / "dlt_rows.py")
        platform = trial.platform
        return [
            str(_bin("dlt") / "python"),
            program,
            str(trial.shop),
            platform.url,
            platform.list_id,
            API_KEY,
        ]

    def environment(self, trial: Trial) -> Mapping[str, str]:
        return {
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "500",
            "LOAD__WORKERS": "10",
        }


PEERS: tuple[System, ...] = (Drt(), Drt(parts=10), Dlt())


def _fill(template: str, file: Path, values: Mapping[str, object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(Template((HERE / "peers" / "drt" / template).read_text()).substitute(values))


def _bin(name: str) -> Path:
    return DATA / "peers" / name / "bin"


def _install(name: str, requirement: str) -> None:
    """Into an environment of its own, so that a peer's dependencies never meet ours."""
    wanted = DATA / "peers" / name / "requirement.txt"
    if wanted.exists() and wanted.read_text() == requirement:
        return
    venv.create(wanted.parent, clear=True, with_pip=True)
    subprocess.run([_bin(name) / "pip", "install", "--quiet", requirement], check=True)
    wanted.write_text(requirement)
