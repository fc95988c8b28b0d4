"""What every source must do, as tests that a connector's own test class inherits.

Give the class a fixture ``bench``, a :class:`SourceBench` over a stand-in of the platform::

    class TestMyShop(SourceContract):
        @pytest.fixture
        def bench(self, tmp_path): return MyBench(tmp_path)
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import pytest

from listbridge.changes import News, Outcome
from listbridge.connectors.base import Row, Source
from listbridge.errors import Stop
from listbridge.rows import contact_from_row, is_deleted, row_id
from listbridge.testing import AWKWARD_ADDRESSES, AWKWARD_NAMES


class SourceBench(Protocol):
    """A platform to read from, and what people do there by hand.

    ``page_size`` people fill one answer. ``takes`` names the news that the platform has a place for. A hook
    that a platform has no form of (``bad_key`` for a file) calls ``pytest.skip`` with the reason.
    """

    page_size: int
    takes: frozenset[str]

    def open(self) -> Source:
        """The connector, over the stand-in."""

    def add(self, email: str, first_name: str = "", *, granted: bool = True) -> str:
        """Somebody new; gives back the platform's id."""

    def rename(self, contact_id: str, first_name: str) -> None: ...

    def delete(self, contact_id: str) -> None: ...

    def told(self, contact_id: str) -> set[str]:
        """Which news the platform holds of this person: ``unsubscribed``, ``bounced``."""

    def break_off(self) -> None:
        """From now on a read ends before everybody was given."""

    def bad_key(self) -> None:
        """From now on the platform does not accept the credentials."""

    def while_reading(self, act: Callable[[], None]) -> None:
        """Call ``act`` once, between two pages of the next read."""


class SourceContract:
    """Inherited, never run by itself."""

    # --- reading ---

    def test_a_complete_read_gives_everybody_once_with_id_and_address(self, bench: SourceBench) -> None:
        ids = {bench.add(f"p{n}@shop.example", f"F{n}"): f"p{n}@shop.example" for n in range(5)}
        assert {row_id(row): row["email"] for row in _all(bench)} == ids
        assert len(_all(bench)) == 5

    def test_an_empty_platform_is_read_completely(self, bench: SourceBench) -> None:
        assert _all(bench) == []

    def test_more_people_than_one_page_holds_are_all_given(self, bench: SourceBench) -> None:
        ids = {bench.add(f"p{n}@shop.example") for n in range(bench.page_size + 1)}
        assert {row_id(row) for row in _all(bench)} == ids

    def test_names_arrive_under_their_column_and_awkward_ones_unharmed(self, bench: SourceBench) -> None:
        given = {bench.add(f"n{n}@shop.example", name): name for n, name in enumerate(AWKWARD_NAMES)}
        contacts = [contact_from_row(row, granted_before=False) for row in _all(bench)]
        read = {one.id: one.attributes.get("first_name", "") for one in contacts}
        assert {key: value.strip() for key, value in read.items()} == {
            key: value.strip() for key, value in given.items()
        }

    def test_awkward_addresses_arrive_as_they_are_written(self, bench: SourceBench) -> None:
        given = {bench.add(email): email for email in AWKWARD_ADDRESSES}
        assert {row_id(row): row["email"] for row in _all(bench)} == given

    def test_consent_that_was_given_is_read_as_granted(self, bench: SourceBench) -> None:
        yes, no = bench.add("yes@shop.example"), bench.add("no@shop.example", granted=False)
        contacts = {row_id(row): contact_from_row(row, granted_before=False) for row in _all(bench)}
        assert contacts[yes].consent.word == "granted"
        assert contacts[no].consent.word != "granted"

    def test_a_later_read_tells_what_changed_and_who_is_new(self, bench: SourceBench) -> None:
        ids = [bench.add(f"p{n}@shop.example", "Old") for n in range(3)]
        _, cursor, _ = _read(bench, None)
        bench.rename(ids[1], "New")
        new = bench.add("new@shop.example", "New")
        rows, _, _ = _read(bench, cursor)
        assert {row_id(row) for row in rows if row.get("first_name") == "New"} == {ids[1], new}

    def test_a_deletion_is_told_or_shows_in_a_complete_read(self, bench: SourceBench) -> None:
        gone, stays = bench.add("gone@shop.example"), bench.add("stays@shop.example")
        _, cursor, _ = _read(bench, None)
        bench.delete(gone)
        assert {row_id(row) for row in _all(bench) if not is_deleted(row)} == {stays}
        if bench.open().tells_deletions:
            rows, _, told = _read(bench, cursor)
            assert gone in {*told, *(row_id(row) for row in rows if is_deleted(row))}

    def test_nobody_who_stays_is_missed_while_others_come_and_go(self, bench: SourceBench) -> None:
        ids = [bench.add(f"p{n:04}@shop.example") for n in range(bench.page_size * 2 + 1)]

        def come_and_go() -> None:
            bench.delete(ids[0])
            bench.add("late@shop.example")

        bench.while_reading(come_and_go)
        rows, _, _ = _read(bench, None)
        assert {row_id(row) for row in rows} >= set(ids[1:])

    def test_a_read_that_breaks_off_raises_and_does_not_end(self, bench: SourceBench) -> None:
        for n in range(bench.page_size * 2 + 1):
            bench.add(f"p{n}@shop.example")
        bench.break_off()
        with pytest.raises(Stop) as stopped:
            _all(bench)
        assert stopped.value.message.endswith(".")

    def test_a_bad_key_is_found_by_the_check_by_the_read_and_by_the_write(self, bench: SourceBench) -> None:
        contact_id = bench.add("anna@shop.example")
        bench.bad_key()
        news = News(contact_id, "anna@shop.example", "unsubscribed", 1_750_000_000.0, "test")
        for attempt in (
            lambda source: source.check(),
            lambda source: _collect(source, None),
            lambda source: source.write_back([news]),
        ):
            with pytest.raises(Stop) as stopped:
                _with(bench, attempt)
            assert stopped.value.kind == "credentials"

    def test_the_check_says_what_may_be_done_and_changes_nothing(self, bench: SourceBench) -> None:
        bench.add("anna@shop.example")
        before = _all(bench)
        assert _with(bench, lambda source: source.check()).can
        assert _all(bench) == before

    # --- the way back ---

    @pytest.mark.parametrize("what", ["unsubscribed", "bounced"])
    def test_news_is_written_back_where_there_is_a_place_and_refused_elsewhere(
        self, bench: SourceBench, what: str
    ) -> None:
        one, other = bench.add("anna@shop.example"), bench.add("ben@shop.example")
        news = News(one, "anna@shop.example", what, 1_750_000_000.0, "test")
        for _ in range(2):  # repeating is harmless
            (outcome,) = _with(bench, lambda source: source.write_back([news]))
            assert outcome.rejected == (None if what in bench.takes else "unsupported")
        assert bench.told(one) == ({what} & bench.takes)
        assert bench.told(other) == set()

    def test_somebody_who_is_gone_stops_no_other_news(self, bench: SourceBench) -> None:
        if "unsubscribed" not in bench.takes:
            pytest.skip("takes no unsubscribes")
        gone, stays = bench.add("gone@shop.example"), bench.add("stays@shop.example")
        bench.delete(gone)
        news = [
            News(gone, "gone@shop.example", "unsubscribed", 1_750_000_000.0, "test"),
            News(stays, "stays@shop.example", "unsubscribed", 1_750_000_000.0, "test"),
        ]
        outcomes: list[Outcome] = list(_with(bench, lambda source: source.write_back(news)))
        assert [one.email for one in outcomes] == ["gone@shop.example", "stays@shop.example"]
        assert outcomes[1].rejected is None
        assert bench.told(stays) == {"unsubscribed"}

    def test_labels_have_ids_and_say_what_they_are(self, bench: SourceBench) -> None:
        bench.add("anna@shop.example")
        labels = _with(bench, lambda source: source.labels())
        assert all(label.id and label.what in ("group", "segment") for label in labels)


async def _collect(source: Source, cursor: str | None) -> tuple[list[Row], str | None, list[str]]:
    rows: list[Row] = []
    gone: list[str] = []
    async for page in source.contacts(cursor):
        rows += page.rows
        gone += page.gone
        cursor = page.cursor or cursor
    return rows, cursor, gone


def _with(bench: SourceBench, act: Callable[[Source], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        source = bench.open()
        try:
            return await act(source)
        finally:
            await source.close()

    return asyncio.run(go())


def _read(bench: SourceBench, cursor: str | None) -> tuple[list[Row], str | None, list[str]]:
    found: tuple[list[Row], str | None, list[str]] = _with(bench, lambda source: _collect(source, cursor))
    return found


def _all(bench: SourceBench) -> list[Row]:
    return _read(bench, None)[0]
