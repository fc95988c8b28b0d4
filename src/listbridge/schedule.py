"""Texts that say how long or how often: durations (``90s``, ``4h``), intervals, cron.

Cron fields are read in the local time of the machine, as cron itself does.
"""

import re
from dataclasses import dataclass
from datetime import datetime

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d+)\s*([smhd])")
_CRON_FIELD = re.compile(r"[0-9A-Za-z*,/#?-]+")


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a sync runs by itself: every so many seconds, or at the times of a cron text."""

    every_seconds: int | None = None
    cron: str | None = None

    def __str__(self) -> str:
        return self.cron if self.cron is not None else f"every {duration_text(self.every_seconds or 0)}"

    def next_after(self, at: float) -> float:
        """The first moment after ``at`` (a run began then) at which the sync is due."""
        if self.cron is None:
            return at + (self.every_seconds or 0)
        from croniter import croniter

        moments = croniter(self.cron, datetime.fromtimestamp(at))  # noqa: DTZ006 -- cron is local time
        moment: float = moments.get_next(datetime).timestamp()
        while moment <= at:  # the hour that comes twice when summer time ends
            moment = moments.get_next(datetime).timestamp()
        return moment


def parse_duration(text: str) -> int:
    """Seconds in ``90s``, ``15m``, ``4h`` or ``2d``. ``ValueError`` says what is expected."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise ValueError(
            "must be a number with its unit s, m, h or d, like 90s or 4h, and longer than nothing"
        )
    return int(match[1]) * SECONDS[match[2]]


def duration_text(seconds: int) -> str:
    """The shortest text that :func:`parse_duration` reads back."""
    unit = next(unit for unit in "dhms" if seconds % SECONDS[unit] == 0)
    return f"{seconds // SECONDS[unit]}{unit}"


def parse_schedule(text: str | None) -> Schedule | None:
    """``every 4h``, ``none`` (by hand) or a cron text of five fields. ``ValueError`` says what is wrong."""
    words = (text or "none").split()
    if words == ["none"]:
        return None
    if words[:1] == ["every"]:
        return Schedule(every_seconds=parse_duration("".join(words[1:])))
    if len(words) == 5:
        return Schedule(cron=_checked_cron(words))
    raise ValueError(
        'must be "every 4h" (s, m, h, d), five cron fields like "0 */4 * * *", or none (by hand)'
    )


def _checked_cron(fields: list[str]) -> str:
    from croniter import croniter

    text = " ".join(fields)
    odd = [field for field in fields if not _CRON_FIELD.fullmatch(field)]
    if odd or not croniter.is_valid(text):
        raise ValueError(
            "is no valid cron text: minute 0-59, hour 0-23, day 1-31, month 1-12, weekday 0-7, "
            'like "0 */4 * * *"'
        )
    if not _comes_true(text):
        raise ValueError("names a day that never comes")
    return text


def _comes_true(text: str) -> bool:
    from croniter import CroniterBadDateError, croniter

    try:
        croniter(text, 0.0).get_next(float)
    except CroniterBadDateError:
        return False
    return True
