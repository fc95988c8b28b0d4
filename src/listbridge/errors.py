"""Errors, named for what to do next.

ListbridgeError
├── Retry      nothing happened at the other side; the same request may be sent again
├── Unknown    the request may or may not have had its effect: read back before repeating a write
└── Stop       a person must mend something; the message is a sentence that says what to do
    └── Misconfigured   the configuration is at fault; found before anything is written

What concerns a single row is no exception but data: see ``changes.Outcome``.
"""

from typing import Literal

StopKind = Literal[
    "credentials",
    "permission",
    "redirected",
    "unreachable",
    "not_found",
    "plan_limit",
    "configuration",
    "source_incomplete",
    "store",
    "busy",
]


class ListbridgeError(Exception):
    """The root of everything that the product raises on purpose."""


class Retry(ListbridgeError):
    """Nothing happened; try again, after ``after_seconds`` if the other side named a time."""

    def __init__(self, message: str, after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


class Unknown(ListbridgeError):
    """The outcome of a request is not known: it was cut off after it had been sent."""


class Stop(ListbridgeError):
    """The run cannot go on until a person has mended something."""

    def __init__(self, kind: StopKind, message: str) -> None:
        super().__init__(message)
        self.kind: StopKind = kind
        self.message = message


class Misconfigured(Stop):
    """The configuration is at fault. Exit status 2 instead of 5."""

    def __init__(self, message: str) -> None:
        super().__init__("configuration", message)
