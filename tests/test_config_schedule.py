"""Texts that say how long and how often."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from listbridge.schedule import Schedule, duration_text, parse_duration, parse_schedule


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("4h", 14_400), ("2d", 172_800), (" 4 h ", 14_400)]
)
def test_durations_are_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "4", "h", "0s", "-4h", "4.5h", "4w", "4hh", "four hours"])
def test_what_is_no_duration_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="must be a number with its unit"):
        parse_duration(text)


@pytest.mark.parametrize("seconds", [1, 59, 60, 90, 3600, 5400, 86_400, 90_000])
def test_a_duration_is_written_so_that_it_reads_back(seconds: int) -> None:
    assert parse_duration(duration_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("every 4h", Schedule(every_seconds=14_400)),
        ("every  4 h", Schedule(every_seconds=14_400)),
        ("0 */4 * * *", Schedule(cron="0 */4 * * *")),
        (" 0  9 * * mon-fri ", Schedule(cron="0 9 * * mon-fri")),
        ("none", None),
        ("", None),
        (None, None),
    ],
)
def test_schedules_are_read(text: str | None, expected: Schedule | None) -> None:
    assert parse_schedule(text) == expected


@pytest.mark.parametrize("text", ["often", "every", "4h", "* * * *", "* * * * * *", "@daily", "every 4 days"])
def test_what_is_no_schedule_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="must be "):
        parse_schedule(text)


@pytest.mark.parametrize(
    "text", ["60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "a b c d e", "* * * * é"]
)
def test_an_impossible_cron_text_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no valid cron text"):
        parse_schedule(text)


def test_a_day_that_never_comes_is_told() -> None:
    with pytest.raises(ValueError, match="a day that never comes"):
        parse_schedule("0 0 30 2 *")


@pytest.mark.parametrize("schedule", [Schedule(every_seconds=5400), Schedule(cron="5 4 * * 1")])
def test_a_schedule_is_written_so_that_it_reads_back(schedule: Schedule) -> None:
    assert parse_schedule(str(schedule)) == schedule


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterable[None]:
    """The machine's clock is in a zone with summer time."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _utc(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]


def test_an_interval_counts_from_the_last_run() -> None:
    assert Schedule(every_seconds=90).next_after(1000.0) == 1090.0


@pytest.mark.usefixtures("berlin")
def test_cron_is_in_local_time() -> None:
    assert Schedule(cron="0 9 * * *").next_after(_utc(2026, 7, 1, 12)) == _utc(2026, 7, 2, 7)
    assert Schedule(cron="0 9 * * *").next_after(_utc(2026, 12, 1, 12)) == _utc(2026, 12, 2, 8)


@pytest.mark.usefixtures("berlin")
def test_the_next_time_is_later_even_in_the_hour_that_comes_twice() -> None:
    schedule = Schedule(cron="*/30 * * * *")
    for minutes in range(0, 240, 7):
        at = _utc(2026, 10, 24, 23) + minutes * 60
        assert at < schedule.next_after(at) <= at + 2 * 3600
