"""What is wrong with a configuration, in words that say where and what to do."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from listbridge.errors import Misconfigured

Place = tuple[str | int, ...]
"""The way to a value through keys and list positions."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. ``words`` is a sentence without its subject's place."""

    place: Place
    words: str
    line: int | None = None

    def __str__(self) -> str:
        where = [f"line {self.line}"] if self.line else []
        where += [dotted(self.place)] if self.place else []
        return f"{', '.join(where)}: {self.words}" if where else self.words


class Faulty(Misconfigured):
    """A file with problems, all of them at once, in the order of its lines."""

    def __init__(self, path: Path, problems: Iterable[Problem]) -> None:
        unique = dict.fromkeys(problems)
        self.problems = tuple(sorted(unique, key=lambda problem: problem.line or 0))
        number = len(self.problems)
        title = f"{path} has {number} problems" if number > 1 else f"{path} has a problem"
        super().__init__("\n".join([f"{title}:", *(f"  {problem}" for problem in self.problems)]))


class Problems:
    """Collects problems and finds the line of each in the file."""

    def __init__(self, lines: Mapping[Place, int]) -> None:
        self._lines = lines
        self.found: list[Problem] = []
        self.unresolved: set[Place] = set()
        """Where an environment variable is missing: what is said of these values beside is noise."""

    def add(self, place: Place, words: str, line: int | None = None) -> None:
        self.found.append(Problem(place, words, line or self._line_of(place)))

    def is_noise(self, place: Place) -> bool:
        """Whether the place is, or holds, a value whose environment variable is missing."""
        return any(known[: len(place)] == place for known in self.unresolved)

    def _line_of(self, place: Place) -> int | None:
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines.get(place)


def dotted(place: Place) -> str:
    """``syncs.vip.tags[1]``."""
    text = ""
    for part in place:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def listed(names: Iterable[str], last: str = "or") -> str:
    """``a, b or c``."""
    *most, final = list(names) or ["nothing"]
    return f"{', '.join(most)} {last} {final}" if most else final


def suggestion(name: str, known: Iterable[str]) -> str:
    """``did you mean x?``, or what there is if nothing is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]}?"
    return f"there is {listed(names, 'and')}." if names else "nothing belongs here."
