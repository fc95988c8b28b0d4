"""The small values of the configuration that are written as text: limits, durations, schedules."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer, StringConstraints, WithJsonSchema

from listbridge.schedule import Schedule, duration_text, parse_duration, parse_schedule

_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_COUNT = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Limit:
    """How much a guard lets through: a share (0 to 1) of what is there, or a number of people."""

    share: float | None = None
    count: int | None = None

    def __str__(self) -> str:
        return f"{self.share * 100:.10g}%" if self.share is not None else str(self.count)

    def allowed(self, total: int | None) -> float | None:
        """How many people that is; ``None`` if it is a share of something that is not known."""
        if self.share is None:
            return self.count
        return None if total is None else self.share * total


def parse_limit(value: Any) -> Limit | None:
    """A limit from ``20%``, ``50`` or null (no limit)."""
    if value is None or isinstance(value, Limit):
        return value
    text = "" if isinstance(value, bool) else str(value).strip()
    if share := _SHARE.fullmatch(text):
        return Limit(share=_checked_share(float(share[1])))
    if _COUNT.fullmatch(text):
        return Limit(count=int(text))
    raise ValueError("must be a share like 20%, a whole number of people, or null for no limit")


def _checked_share(percent: float) -> float:
    if percent > 100:
        raise ValueError("must be a share from 0% to 100%")
    return percent / 100


def _parsed_duration(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return parse_duration(str(value))


def _parsed_double_opt_in(value: Any) -> bool | str:
    known: dict[str, bool | str] = {"auto": "auto", "true": True, "false": False}
    if str(value).lower() not in known:
        raise ValueError("must be auto, true or false")
    return known[str(value).lower()]


def _parsed_schedule(value: Any) -> Schedule | None:
    return value if isinstance(value, Schedule) else parse_schedule(value if value is None else str(value))


Text = Annotated[str, StringConstraints(min_length=1)]
"""Text that says something: blanks at the ends are cut, and something must be left."""

DoubleOptIn = Annotated[Literal["auto"] | bool, BeforeValidator(_parsed_double_opt_in)]

MaybeLimit = Annotated[
    Limit | None,
    BeforeValidator(parse_limit),
    PlainSerializer(lambda limit: None if limit is None else str(limit)),
    WithJsonSchema(
        {"type": ["string", "integer", "null"], "pattern": r"^\s*\d+(\.\d+)?\s*%?\s*$", "minimum": 0}
    ),
]

Seconds = Annotated[
    int,
    BeforeValidator(_parsed_duration),
    PlainSerializer(duration_text),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d+\s*[smhd]\s*$"}),
]

MaybeSchedule = Annotated[
    Schedule | None,
    BeforeValidator(_parsed_schedule),
    PlainSerializer(lambda schedule: "none" if schedule is None else str(schedule)),
    WithJsonSchema(
        {
            "type": ["string", "null"],
            "pattern": r"^\s*(none|every\s+\d+\s*[smhd]|\S+\s+\S+\s+\S+\s+\S+\s+\S+)\s*$",
        }
    ),
]
