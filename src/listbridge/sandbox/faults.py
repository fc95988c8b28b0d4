"""Faults on demand: which request goes wrong, how often, and in which way.

A rule is written as ``{"when": {"method": "POST", "path": "/lists/", "every": 3, "after": 2, "times": 1},
"do": "502_html"}``. All parts of ``when`` are optional; without ``times`` a rule holds until it is cleared.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DOINGS = {
    "429": "too many requests",
    "403_empty": "403 without a body",
    "500": "an internal error, told in the platform's own form",
    "502_html": "the edge gives up with a web page",
    "503": "unavailable",
    "cut_before": "the connection is cut before anything happened",
    "cut_after": "the request has its effect, then the connection is cut",
    "cut_middle": "the request has its effect, the connection is cut in the middle of the answer",
    "slow": "the answer takes `seconds` longer; the effect comes at the end of the wait",
    "expired_key": "the key is not accepted any more",
    "html": "status 200 with a web page; no effect",
    "redirect": "302 to `location`; no effect",
    "truncated": "the request has its effect; the answer's body ends in the middle",
    "half_page": "a page holds half of what was asked for",
}
_WHEN = {"method", "path", "every", "after", "times"}
_RULE = {"when", "do", "seconds", "location", "retry_after"}


class BadFault(ValueError):
    """A rule that cannot be understood; the message says what is wrong with it."""


@dataclass(slots=True)
class Fault:
    """One rule and how often it has been met (``seen``) and has struck (``struck``).

    ``path`` is a regular expression searched in the path below the platform's base path.
    The first ``after`` requests that fit are spared; of the rest, each ``every``-th is struck.
    """

    do: str
    method: str | None = None
    path: str | None = None
    every: int = 1
    after: int = 0
    times: int | None = None
    seconds: float = 1.0
    location: str = "https://elsewhere.example/"
    retry_after: float | None = None
    seen: int = 0
    struck: int = 0

    def __post_init__(self) -> None:
        if self.do not in DOINGS:
            raise BadFault(f"There is no fault {self.do!r}. There are: {', '.join(DOINGS)}.")
        if self.every < 1 or self.after < 0:
            raise BadFault("`every` counts from 1, `after` from 0.")
        try:
            re.compile(self.path or "")
        except re.error as error:
            raise BadFault(f"`path` is no regular expression: {error}.") from None

    def strikes(self, method: str, path: str, *, free: bool = True) -> bool:
        """Count this request if it fits; say whether it goes wrong. ``free``: nothing else struck it."""
        if self.method is not None and self.method.upper() != method:
            return False
        if self.path is not None and not re.search(self.path, path):
            return False
        self.seen += 1
        late = self.seen - self.after
        if (
            not free
            or late < 1
            or late % self.every
            or (self.times is not None and self.struck >= self.times)
        ):
            return False
        self.struck += 1
        return True

    @classmethod
    def from_rule(cls, rule: Any) -> "Fault":
        """A rule as people write it. Raises ``BadFault`` where a word is unknown or of the wrong type."""
        if not isinstance(rule, Mapping) or "do" not in rule:
            raise BadFault('A fault is an object with "do" and, if wanted, "when".')
        when = rule.get("when") or {}
        unknown = {*rule} - _RULE or {*when} - _WHEN
        if unknown:
            raise BadFault(f"Unknown in a fault: {', '.join(sorted(unknown))}.")
        parts = {key: rule[key] for key in _RULE - {"when", "do"} if key in rule}
        try:
            return cls(do=str(rule["do"]), **when, **parts)
        except TypeError as error:
            raise BadFault(f"A value in this fault has the wrong type: {error}.") from None

    def rule(self) -> dict[str, Any]:
        """The rule as people write it, with its counters."""
        when = {"method": self.method, "path": self.path, "every": self.every}
        when |= {"after": self.after, "times": self.times}
        return {"when": when, "do": self.do, "seen": self.seen, "struck": self.struck}


class Faults:
    """The rules in force, in the order they were given. One request is struck by one rule, the first;
    a rule that makes it slow comes on top."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []

    def add(self, do: str, **parts: Any) -> Fault:
        """A new rule: ``faults.add("429", method="POST", path="/lists/", times=2)``."""
        fault = Fault(do, **parts)
        self._rules.append(fault)
        return fault

    def add_rule(self, rule: Any) -> Fault:
        fault = Fault.from_rule(rule)
        self._rules.append(fault)
        return fault

    def clear(self) -> None:
        self._rules.clear()

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    def striking(self, method: str, path: str) -> list[Fault]:
        """The rules that strike this request."""
        struck: list[Fault] = []
        for fault in self._rules:
            if fault.strikes(method, path, free=all(other.do == "slow" for other in struck)):
                struck.append(fault)
        return struck
