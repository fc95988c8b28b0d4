"""RetailCRM as a source, met over its sandbox."""

import asyncio
import json
import math
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest

from listbridge.changes import News, Outcome
from listbridge.connectors.base import Context, Page, Row
from listbridge.connectors.registry import connector_named
from listbridge.connectors.retailcrm import BATCH, LIMIT, RetailCrm, RetailCrmOptions, consent_of, to_row
from listbridge.errors import Stop
from listbridge.http import Calls, Http, Patience
from listbridge.model import Word
from listbridge.sandbox.base import Request
from listbridge.sandbox.retailcrm import Key
from listbridge.sandbox.retailcrm import RetailCrm as Sandbox

T = TypeVar("T")
SHARED = Path(os.environ.get("LISTBRIDGE_SHARED", Path(__file__).parents[2].parent / "shared"))
FIXTURES = SHARED / "specs" / "retailcrm" / "fixtures"


def account(**parts: Any) -> Sandbox:
    return Sandbox(per_second=None, **parts)


def options_of(**options: Any) -> RetailCrmOptions:
    return RetailCrmOptions.model_validate({"connector": "retailcrm", **options})


class Connection:
    """A connection to a sandbox, with each question asked in a loop and a client of its own."""

    def __init__(self, sandbox: Sandbox, *, patience: float = 0.2, **options: Any) -> None:
        self.sandbox = sandbox
        self.calls = Calls()
        self.paced: dict[str, Any] = {}
        self._patience = patience
        url = {"url": "https://acme.retailcrm.example", "api_key": "key"}
        self._options = options_of(**(url | options))

    def _http(self, base_url: str, *, per_second: float, **parts: Any) -> Http:
        self.paced = {"per_second": per_second, "connections": parts["connections"]}
        patience = Patience(self._patience, first_wait_seconds=0.005, jitter_seconds=0.0)
        transport = self.sandbox.transport()
        return Http(base_url, name="crm", transport=transport, patience=patience, calls=self.calls, **parts)

    def ask(self, question: Callable[[RetailCrm], Awaitable[T]]) -> T:
        async def asked() -> T:
            source = RetailCrm(self._options, Context("crm", Path(), self._http))
            try:
                return await question(source)
            finally:
                await source.close()

        return asyncio.run(asked())

    def pages(self, cursor: str | None = None, into: list[Page] | None = None) -> list[Page]:
        pages: list[Page] = [] if into is None else into

        async def read(source: RetailCrm) -> list[Page]:
            async for page in source.contacts(cursor):
                pages.append(page)
            return pages

        return self.ask(read)

    def write_back(self, *news: News) -> Sequence[Outcome]:
        return self.ask(lambda source: source.write_back(news))


class Mirror:
    """What a caller holds who takes every page, and the last cursor, as the contract says."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.rows: dict[str, Row] = {}
        self.cursor: str | None = None

    def read(self) -> "Mirror":
        for page in self.connection.pages(self.cursor):
            self.rows.update({row["id"]: row for row in page.rows})
            for gone in page.gone:
                self.rows.pop(gone, None)
            self.cursor = page.cursor or self.cursor
        return self

    def is_true(self) -> bool:
        """Whether it holds exactly what the account shows now."""
        everybody = {row["id"]: row for page in self.connection.pages() for row in page.rows}
        return self.rows == everybody


def one_row(sandbox: Sandbox, **options: Any) -> Row:
    (row,) = [row for page in Connection(sandbox, **options).pages() for row in page.rows]
    return row


def stopped(connection: Connection, question: Callable[[Connection], Any] = Connection.pages) -> Stop:
    with pytest.raises(Stop) as caught:
        question(connection)
    return caught.value


def news(number: int, what: str = "unsubscribed") -> News:
    return News(str(number), f"{number}@x.example", what, 0.0, "newsletter")


def is_get(path: str) -> Callable[[Request], bool]:
    return lambda request: request.method == "GET" and request.path == f"/api/v5/{path}"


def page_of(number: int) -> Callable[[Request], bool]:
    """A request for that page of the customers."""
    return lambda request: is_get("customers")(request) and request.query.get("page") == str(number)


# --- rows --------------------------------------------------------------------------------------------


def test_a_customer_becomes_a_row_under_our_column_names() -> None:
    """Names, address, phone, figures, segments, custom fields, times in UTC."""
    sandbox = account(zone="Europe/Moscow", clock=lambda: 1_700_000_000.0)
    sandbox.add_segment("vip", "Very important")
    sandbox.add_segment("all")
    number = sandbox.add_customer(
        "Ivan@Example.RU",
        segments=["vip", "all"],
        topics={"default_marketing": True},
        externalId="11",
        firstName="Иван",
        lastName="Иванов",
        birthday="1990-02-01",
        phones=[{"number": ""}, {"number": "8922"}],
        address={
            "id": 1,
            "index": "357700",
            "countryIso": "RU",
            "city": "Perm",
            "street": "Мира",
            "building": "5",
        },
        customFields={"ok": True, "sizes": ["S", "M"], "score": 3.8, "empty": "", "consent": "granted"},
    )
    sandbox.add_order(number, 50.0)
    assert one_row(sandbox, timezone="Europe/Moscow") == {
        "id": str(number),
        "email": "Ivan@Example.RU",
        "external_id": "11",
        "site": "shop",
        "first_name": "Иван",
        "last_name": "Иванов",
        "birthday": "1990-02-01",
        "phone": "8922",
        "postcode": "357700",
        "country": "RU",
        "city": "Perm",
        "street": "Мира, 5",
        "orders_count": 1,
        "total_spent": 50.0,
        "segments": ["all", "vip"],
        "consent": "granted",
        "created_at": "2023-11-14T22:13:20+00:00",
        "ok": "true",
        "sizes": "S;M",
        "score": 3.8,
        "custom_consent": "granted",
    }


def test_the_recorded_customer_becomes_a_row() -> None:
    """The vendor's own recording: an empty address is kept as such, the other channel says nothing."""
    file = FIXTURES / "customers" / "CustomersList.json"
    if not file.exists():
        pytest.skip(f"no recorded answers at {FIXTURES}; set LISTBRIDGE_SHARED to the folder that has them")
    (customer,) = json.loads(file.read_text())["customers"]
    row = to_row(customer, ZoneInfo("UTC"), None)
    assert (row["id"], row["email"], row["consent"]) == ("1233", "", "granted")
    assert (row["city"], row["orders_count"], row["total_spent"]) == ("Кисловодск", 1, 50)
    assert row["multiselect_dictionary"] == "test2;test3"
    assert row["segments"][0] == "bez-otmen"
    assert "1279" not in json.dumps(row), "the cached size of a segment is nobody's attribute"


def test_somebody_without_an_address_is_a_row_with_an_empty_one() -> None:
    """Left out and empty are the same; the engine tells it as skipped."""
    for email in ("", None):
        sandbox = account()
        sandbox.add_customer(email)
        assert one_row(sandbox)["email"] == ""


def test_companies_are_not_people() -> None:
    """Corporate customers are skipped, and the read is complete all the same."""
    sandbox = account()
    sandbox.add_customer("office@x.example", type="customer_corporate")
    person = sandbox.add_customer("p@x.example")
    assert one_row(sandbox)["id"] == str(person)


@pytest.mark.parametrize(
    ("topics", "left_at", "topic", "expected"),
    [
        ({}, None, None, ("unknown", None)),
        ({"default_marketing": True}, None, None, ("granted", None)),
        (
            {"default_marketing": (True, "2024-05-01 10:00:00")},
            None,
            None,
            ("granted", "2024-05-01T10:00:00+00:00"),
        ),
        (
            {"default_marketing": (False, "2024-05-01 10:00:00")},
            None,
            None,
            ("denied", "2024-05-01T10:00:00+00:00"),
        ),
        ({"default_marketing": True}, "2024-06-01 10:00:00", None, ("denied", "2024-06-01T10:00:00+00:00")),
        ({}, "2024-06-01 10:00:00", None, ("denied", "2024-06-01T10:00:00+00:00")),
        ({"default_marketing": True, "sale": False}, None, None, ("denied", None)),
        ({"default_marketing": True, "sale": False}, None, "default_marketing", ("granted", None)),
        ({"default_marketing": True}, None, "sale", ("unknown", None)),
        ({"idle": False}, None, None, ("unknown", None)),
        ({"idle": False}, None, "idle", ("denied", None)),
    ],
)
def test_the_table_of_consent(
    topics: dict[str, Any], left_at: str | None, topic: str | None, expected: tuple[str, str | None]
) -> None:
    """What topics and the unsubscribe date say, alone and together."""
    sandbox = account()
    sandbox.add_topic("sale")
    sandbox.add_topic("idle", active=False)
    left = {"emailMarketingUnsubscribedAt": left_at} if left_at else {}
    sandbox.add_customer("a@b.example", topics=topics, **left)
    row = one_row(sandbox, topic=topic)
    assert (row["consent"], row.get("consent_at")) == expected


def test_other_channels_say_nothing_about_mail() -> None:
    """A topic of the same code in a messenger."""
    sandbox = account()
    sandbox.subscribe(sandbox.add_customer("a@b.example"), False, channel="waba")
    assert one_row(sandbox)["consent"] == "unknown"
    assert consent_of({"customerSubscriptions": []}, None) == (Word.UNKNOWN, None)


def test_a_refreshed_count_of_a_segment_changes_no_row() -> None:
    """Volatile figures never enter a row."""
    sandbox = account()
    sandbox.add_segment("vip")
    sandbox.add_customer("a@b.example", segments=["vip"])
    before = one_row(sandbox)
    sandbox.recount("vip")
    assert one_row(sandbox) == before


def test_segments_can_be_named_by_code_name_or_number() -> None:
    """All pages of them."""
    sandbox = account()
    for n in range(101):
        sandbox.add_segment(f"s{n}", f"Segment {n}")
    labels = Connection(sandbox).ask(lambda source: source.labels())
    assert len(labels) == 101
    assert {(x.what, x.id, x.names) for x in labels} >= {("segment", "s0", ("Segment 0", "1"))}


# --- full reads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("people", [0, 1, 100, 101, 1234])
def test_a_full_read_takes_a_call_a_hundred_and_six_at_most(people: int) -> None:
    """ceil(N/100) pages (one for none), and for each history its start, its end, and what came since."""
    sandbox = account()
    for n in range(people):
        sandbox.add_customer(f"{n}@x.example")
    connection = Connection(sandbox)
    mirror = Mirror(connection).read()
    assert len(mirror.rows) == people
    pages = max(1, math.ceil(people / LIMIT))
    long_history = 1 if people > LIMIT else 0
    assert connection.calls.read == sandbox.calls.total == pages + 4 + long_history
    assert sandbox.calls.write == 0


def test_no_more_requests_run_at_one_time_than_the_rate_allows_for() -> None:
    """Pages are read several at a time, and the connection asks to be paced."""
    sandbox = account(latency_seconds=0.002)
    for n in range(2000):
        sandbox.add_customer(f"{n}@x.example")
    connection = Connection(sandbox)
    Mirror(connection).read()
    assert connection.paced == {"per_second": 10, "connections": 5}
    assert 2 <= sandbox.peak_simultaneous <= 5


def test_only_the_end_of_a_full_read_has_a_cursor() -> None:
    """A read that is broken off begins anew, as nothing can be remembered of half a list."""
    sandbox = account()
    for n in range(250):
        sandbox.add_customer(f"{n}@x.example")
    pages = Connection(sandbox).pages()
    assert [page.cursor for page in pages[:-1]] == [None] * (len(pages) - 1)
    assert json.loads(pages[-1].cursor or "") == {"sinceId": 250, "ordersSinceId": 0}


def test_customers_added_while_reading_are_not_lost() -> None:
    """New ones shift the pages; the history brings them."""
    sandbox = account()
    for n in range(350):
        sandbox.add_customer(f"{n}@x.example")

    def add() -> None:
        for n in range(150):
            sandbox.add_customer(f"late{n}@x.example")

    sandbox.on_request(page_of(2), add)
    mirror = Mirror(Connection(sandbox)).read()
    assert len(mirror.rows) == 500
    assert mirror.is_true()


@pytest.mark.parametrize("page", [2, 3, 4])
def test_customers_that_slip_over_a_page_edge_are_found(page: int) -> None:
    """A deletion moves older customers onto pages read before; the read notices and repairs it."""
    sandbox = account()
    numbers = [sandbox.add_customer(f"{n}@x.example") for n in range(350)]

    def delete_three() -> None:
        for number in numbers[-3:]:
            sandbox.delete_customer(number)

    sandbox.on_request(page_of(page), delete_three)
    mirror = Mirror(Connection(sandbox)).read()
    assert set(mirror.rows) == {str(n) for n in numbers[:-3]}


def test_one_gone_and_one_new_do_not_hide_who_slipped() -> None:
    """The count is the same as before, but it is not the same people."""
    sandbox = account()
    numbers = [sandbox.add_customer(f"{n}@x.example") for n in range(250)]
    sandbox.on_request(page_of(2), lambda: sandbox.delete_customer(numbers[-1]))
    sandbox.on_request(
        lambda request: is_get("customers/history")(request) and "filter[sinceId]" in request.query,
        lambda: sandbox.add_customer("new@x.example"),
    )
    mirror = Mirror(Connection(sandbox)).read()
    assert len(mirror.rows) == 250
    assert mirror.is_true()


def test_what_changed_while_reading_is_read_again() -> None:
    """An edit and an order on a page that was read already."""
    sandbox = account()
    numbers = [sandbox.add_customer(f"{n}@x.example") for n in range(350)]

    def change() -> None:
        sandbox.edit_customer(numbers[-1], firstName="Changed")
        sandbox.add_order(numbers[-2])

    sandbox.on_request(page_of(4), change)
    rows = Mirror(Connection(sandbox)).read().rows
    assert rows[str(numbers[-1])]["first_name"] == "Changed"
    assert rows[str(numbers[-2])]["orders_count"] == 1


def test_an_account_where_people_never_stop_coming_and_going_is_not_called_complete() -> None:
    """After all attempts the read stops, and says so."""
    sandbox = account()
    numbers = [sandbox.add_customer(f"{n}@x.example") for n in range(250)]
    remaining = iter(numbers)

    def churn() -> None:
        sandbox.delete_customer(next(remaining))
        sandbox.add_customer("n@x.example")

    sandbox.on_request(lambda request: "filter[sinceId]" in request.query, churn, once=False)
    pages: list[Page] = []
    error = stopped(Connection(sandbox), lambda connection: connection.pages(into=pages))
    assert error.kind == "source_incomplete"
    assert not any(page.cursor for page in pages)


def test_only_the_named_shop_is_read() -> None:
    """``site`` limits the list, the count, and what the history brings."""
    sandbox = account(sites=("a", "b"))
    inside, outside = (
        sandbox.add_customer("i@x.example", site="a"),
        sandbox.add_customer("o@x.example", site="b"),
    )
    mirror = Mirror(Connection(sandbox, site="a")).read()
    sandbox.edit_customer(inside, firstName="I")
    sandbox.edit_customer(outside, firstName="O")
    assert set(mirror.read().rows) == {str(inside)}
    assert mirror.rows[str(inside)]["first_name"] == "I"
    sandbox.edit_customer(inside, firstName="moves")
    sandbox.customers[inside]["site"] = "b"
    assert mirror.read().rows == {}


# --- incremental reads -------------------------------------------------------------------------------


def test_nothing_new_costs_one_call_a_history_and_moves_nothing() -> None:
    """No page, no row, two calls."""
    sandbox = account()
    sandbox.add_customer("a@b.example")
    connection = Connection(sandbox)
    mirror = Mirror(connection).read()
    before = connection.calls.read
    assert connection.pages(mirror.cursor) == []
    assert connection.calls.read - before == 2


def edit_and_delete(sandbox: Sandbox, number: int) -> None:
    sandbox.edit_customer(number, firstName="X")
    sandbox.delete_customer(number)


CHANGES: dict[str, Callable[[Sandbox, int], object]] = {
    "created": lambda s, n: s.add_customer("new@x.example"),
    "name": lambda s, n: s.edit_customer(n, firstName="New"),
    "address": lambda s, n: s.edit_customer(n, address={"city": "Perm"}),
    "phone": lambda s, n: s.edit_customer(n, phones=[{"number": "1"}]),
    "email": lambda s, n: s.edit_customer(n, email="other@x.example"),
    "custom field": lambda s, n: s.edit_customer(n, customFields={"size": "M"}),
    "another's key": lambda s, n: s.edit_customer(n, source="api", firstName="Api"),
    "unsubscribed": lambda s, n: s.unsubscribe(n),
    "left a topic": lambda s, n: s.subscribe(n, False),
    "joined a topic": lambda s, n: s.subscribe(n, True),
    "joined a segment": lambda s, n: s.set_segment_members("vip", [n]),
    "left a segment": lambda s, n: s.set_segment_members("old", []),
    "ordered": lambda s, n: s.add_order(n),
    "deleted": lambda s, n: s.delete_customer(n),
    "combined": lambda s, n: s.combine([n], n + 1),
    "edited, then deleted": edit_and_delete,
    "created, then combined": lambda s, n: s.combine([s.add_customer("t@x.example")], n),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_kind_of_change_reaches_the_mirror(change: str) -> None:
    """After the next read the mirror is what the account shows."""
    sandbox = account()
    sandbox.add_segment("vip")
    sandbox.add_segment("old")
    first = sandbox.add_customer("a@b.example", topics={"default_marketing": True}, segments=["old"])
    sandbox.add_customer("c@d.example", topics={"default_marketing": False})
    mirror = Mirror(Connection(sandbox)).read()
    before = dict(mirror.rows)
    CHANGES[change](sandbox, first)
    mirror.read()
    assert mirror.is_true()
    leaves_no_trace = ("joined a topic", "created, then combined")
    assert (mirror.rows == before) is (change in leaves_no_trace)


def test_deleted_and_combined_people_are_told_as_gone() -> None:
    """By id, and the survivor of a merge is read again."""
    sandbox = account()
    kept, merged, deleted = (sandbox.add_customer(f"{n}@x.example") for n in range(3))
    mirror = Mirror(Connection(sandbox)).read()
    sandbox.add_order(merged)
    sandbox.combine([merged], kept)
    sandbox.delete_customer(deleted)
    pages = Connection(sandbox).pages(mirror.cursor)
    assert {gone for page in pages for gone in page.gone} == {str(merged), str(deleted)}
    assert [row["id"] for page in pages for row in page.rows] == [str(kept)]


@pytest.mark.parametrize("leave", ["delete", "combine"])
def test_who_is_gone_is_not_asked_for(leave: str) -> None:
    """A deletion costs the two histories alone, a merge one call more for the survivor."""
    sandbox = account()
    kept, left = sandbox.add_customer("k@x.example"), sandbox.add_customer("l@x.example")
    connection = Connection(sandbox)
    mirror = Mirror(connection).read()
    sandbox.edit_customer(left, firstName="L")
    sandbox.delete_customer(left) if leave == "delete" else sandbox.combine([left], kept)
    sandbox.forget_requests()
    assert set(mirror.read().rows) == {str(kept)}
    asked = [
        value for request in sandbox.requests for name, value in request.pairs if name == "filter[ids][]"
    ]
    assert asked == ([] if leave == "delete" else [str(kept)])


def test_orders_that_cannot_be_reached_stop_the_read() -> None:
    """Only a missing permission is passed over; a failure is a failure."""
    sandbox = account()
    sandbox.add_customer("a@b.example")
    mirror = Mirror(Connection(sandbox)).read()
    sandbox.faults.add("500", path="/orders/history$")
    for cursor in (None, mirror.cursor):
        error = stopped(Connection(sandbox, patience=0.02), lambda c, since=cursor: c.pages(since))  # type: ignore[misc]
        assert error.kind == "unreachable"


def test_a_refreshed_segment_reads_each_person_once() -> None:
    """Many entries for the same people: one call a hundred entries, one a hundred people."""
    sandbox = account()
    for code in "abcd":
        sandbox.add_segment(code)
    numbers = [sandbox.add_customer(f"{n}@x.example") for n in range(150)]
    connection = Connection(sandbox)
    mirror = Mirror(connection).read()
    before = connection.calls.read
    for code in "abcd":
        sandbox.set_segment_members(code, numbers)
    mirror.read()
    assert connection.calls.read - before == 6 + 2 + 1
    assert mirror.rows[str(numbers[0])]["segments"] == ["a", "b", "c", "d"]


def test_a_long_history_is_remembered_stretch_by_stretch() -> None:
    """A cursor comes after at most a thousand people, and a read from there brings the rest."""
    sandbox = account()
    numbers = [sandbox.add_customer(f"{n}@x.example") for n in range(BATCH + 150)]
    mirror = Mirror(Connection(sandbox)).read()
    for number in numbers:
        sandbox.edit_customer(number, firstName="New")
    pages = Connection(sandbox).pages(mirror.cursor)
    cursors = [index for index, page in enumerate(pages) if page.cursor]
    assert len(cursors) == 2
    first = {row["id"] for page in pages[: cursors[0] + 1] for row in page.rows}
    rest = {row["id"] for page in Connection(sandbox).pages(pages[cursors[0]].cursor) for row in page.rows}
    assert first | rest == {str(n) for n in numbers}
    assert len(rest) == 150


def test_our_own_bounce_tags_and_new_managers_cause_no_reading() -> None:
    """Nothing of them is in a row; the cursor moves on."""
    sandbox = account()
    number = sandbox.add_customer("a@b.example")
    connection = Connection(sandbox)
    mirror = Mirror(connection).read()
    connection.write_back(news(number, "bounced"))
    sandbox.edit_customer(number, managerId=7)
    before = connection.calls.read
    pages = connection.pages(mirror.cursor)
    assert [list(page.rows) for page in pages] == [[]]
    assert connection.calls.read - before == 2
    assert connection.pages(pages[0].cursor) == []


def test_an_unsubscribe_through_our_own_key_is_not_dropped() -> None:
    """The shop's module may use the same key: what it writes is as good as anybody's."""
    sandbox = account()
    number = sandbox.add_customer("a@b.example", topics={"default_marketing": True})
    connection = Connection(sandbox)
    mirror = Mirror(connection).read()
    connection.write_back(news(number))
    assert mirror.read().rows[str(number)]["consent"] == "denied"
    assert connection.pages(mirror.cursor) == []


def test_a_key_without_orders_reads_customers_all_the_same() -> None:
    """The orders' history is left aside, in the cursor too."""
    sandbox = account()
    sandbox.keys["key"] = Key(scopes=("customer_read",))
    number = sandbox.add_customer("a@b.example")
    mirror = Mirror(Connection(sandbox)).read()
    sandbox.edit_customer(number, firstName="A")
    assert mirror.read().rows[str(number)]["first_name"] == "A"
    assert json.loads(mirror.cursor or "")["ordersSinceId"] is None


def test_orders_that_change_hands_bring_both_customers() -> None:
    """An entry `customer` names the one before and the one after."""
    sandbox = account()
    one, two = sandbox.add_customer("1@x.example"), sandbox.add_customer("2@x.example")
    sandbox.add_order(one)
    mirror = Mirror(Connection(sandbox)).read()
    moved = {"field": "customer", "oldValue": {"id": one}, "newValue": {"id": two}, "order": {"id": 1}}
    sandbox.order_history.append({**sandbox.order_history[-1], **moved, "id": 2})
    pages = Connection(sandbox).pages(mirror.cursor)
    assert {row["id"] for page in pages for row in page.rows} == {str(one), str(two)}


def test_a_failed_read_gives_no_cursor_and_the_next_one_loses_nothing() -> None:
    """The history was read, the people could not be: nothing is remembered."""
    sandbox = account()
    number = sandbox.add_customer("a@b.example")
    mirror = Mirror(Connection(sandbox)).read()
    sandbox.edit_customer(number, firstName="New")
    fault = sandbox.faults.add("500", path="/customers$")
    pages: list[Page] = []
    stopped(Connection(sandbox, patience=0.02), lambda c: c.pages(mirror.cursor, into=pages))
    assert fault.struck > 1
    assert pages == []
    sandbox.faults.clear()
    assert mirror.read().rows[str(number)]["first_name"] == "New"


def test_a_history_that_stands_still_stops_the_read() -> None:
    """An answer that repeats old entries would be read for ever."""
    sandbox = account()
    sandbox.add_customer("a@b.example")
    mirror = Mirror(Connection(sandbox)).read()
    sandbox.history[-1] |= {"id": 0}
    sandbox.history.append({**sandbox.history[-1], "id": 1})
    assert stopped(Connection(sandbox), lambda c: c.pages(mirror.cursor)).kind == "source_incomplete"


# --- pages that lie ----------------------------------------------------------------------------------


def test_a_half_page_is_asked_for_again() -> None:
    """Once short, then whole: nobody is missing."""
    sandbox = account()
    for n in range(350):
        sandbox.add_customer(f"{n}@x.example")
    fault = sandbox.faults.add("half_page", path="/customers$", after=2, times=1)
    assert len(Mirror(Connection(sandbox)).read().rows) == 350
    assert fault.struck == 1


def test_pages_that_stay_short_stop_the_read() -> None:
    """Three times less than promised is no answer."""
    sandbox = account()
    for n in range(350):
        sandbox.add_customer(f"{n}@x.example")
    fault = sandbox.faults.add("half_page", path="/customers$", after=1)
    error = stopped(Connection(sandbox))
    assert (error.kind, "less than it promised" in error.message) == ("source_incomplete", True)
    assert fault.struck >= 3


def test_people_who_are_counted_but_never_listed_stop_the_read() -> None:
    """Every page is full, but one person is on none."""
    sandbox = account()
    numbers = [sandbox.add_customer(f"{n}@x.example") for n in range(150)]
    twin = {**sandbox.customers[numbers[0]], "id": numbers[1]}
    sandbox.customers[numbers[0]] = twin
    assert stopped(Connection(sandbox)).kind == "source_incomplete"


def test_a_short_page_of_history_is_gone_on_from_its_last_entry() -> None:
    """The next request begins where the last one ended, so a short page loses nothing."""
    sandbox = account()
    mirror = Mirror(Connection(sandbox)).read()
    numbers = [sandbox.add_customer(f"{n}@x.example") for n in range(250)]
    sandbox.faults.add("half_page", path="/customers/history$")
    assert set(mirror.read().rows) == {str(n) for n in numbers}


# --- write-back --------------------------------------------------------------------------------------


def written(sandbox: Sandbox) -> list[str]:
    return [request.path.rpartition("/")[2] for request in sandbox.requests if request.writes]


def test_an_unsubscribe_leaves_every_topic_and_sets_the_date() -> None:
    """Both marks, one call each, the messenger's topic untouched."""
    sandbox = account()
    sandbox.add_topic("sale")
    number = sandbox.add_customer("a@b.example", topics={"default_marketing": True, "sale": True})
    sandbox.subscribe(number, True, channel="waba")
    connection = Connection(sandbox)
    assert connection.write_back(news(number)) == [Outcome(f"{number}@x.example")]
    customer = sandbox.customers[number]
    stands = {key: value["subscribed"] for key, value in customer["subscriptions"].items()}
    waba = ("waba", "default_marketing")
    assert stands == {("email", "default_marketing"): False, ("email", "sale"): False, waba: True}
    assert "emailMarketingUnsubscribedAt" in customer
    assert (connection.calls.write, connection.calls.read) == (2, 2)


def test_repeating_an_unsubscribe_writes_nothing() -> None:
    """What the platform has is not written again."""
    sandbox = account()
    number = sandbox.add_customer("a@b.example", topics={"default_marketing": True})
    Connection(sandbox).write_back(news(number))
    again = Connection(sandbox)
    assert again.write_back(news(number)) == [Outcome(f"{number}@x.example")]
    assert (again.calls.write, again.calls.read) == (0, 1)


def test_only_the_named_topic_is_left() -> None:
    """The date is set all the same: it is what the platform's own mailings heed."""
    sandbox = account()
    sandbox.add_topic("sale")
    number = sandbox.add_customer("a@b.example", topics={"default_marketing": True, "sale": True})
    Connection(sandbox, topic="sale").write_back(news(number))
    stands = {
        code: value["subscribed"] for (_, code), value in sandbox.customers[number]["subscriptions"].items()
    }
    assert stands == {"default_marketing": True, "sale": False}


def test_who_has_no_topic_is_unsubscribed_by_date_alone() -> None:
    """No topic is made up."""
    sandbox = account()
    number = sandbox.add_customer("a@b.example")
    Connection(sandbox).write_back(news(number))
    assert written(sandbox) == ["edit"]
    assert sandbox.customers[number]["subscriptions"] == {}


@pytest.mark.parametrize("deaf", ["subscribed", "subscriptions"])
def test_one_of_the_two_marks_is_enough(deaf: str) -> None:
    """An account that heeds only one of them counts as told."""
    sandbox = account()
    sandbox.deaf.add(deaf)
    number = sandbox.add_customer("a@b.example", topics={"default_marketing": True})
    (outcome,) = Connection(sandbox).write_back(news(number))
    assert outcome.rejected is None


def test_an_account_that_heeds_neither_mark_is_reported() -> None:
    """Taken without an effect is not done."""
    sandbox = account()
    sandbox.deaf |= {"subscribed", "subscriptions"}
    number = sandbox.add_customer("a@b.example", topics={"default_marketing": True})
    (outcome,) = Connection(sandbox).write_back(news(number))
    assert outcome.rejected == "refused"
    assert "still shows" in (outcome.detail or "")


def test_a_bounce_is_a_tag_and_no_unsubscribe() -> None:
    """Once; the consent stays as it was."""
    sandbox = account()
    number = sandbox.add_customer("a@b.example", topics={"default_marketing": True})
    sandbox.edit_customer(number, addTags=["vip"])
    connection = Connection(sandbox)
    for _ in range(2):
        assert connection.write_back(news(number, "bounced")) == [Outcome(f"{number}@x.example")]
    assert [tag["name"] for tag in sandbox.customers[number]["tags"]] == ["vip", "bounce"]
    assert written(sandbox) == ["edit"]
    assert one_row(sandbox)["consent"] == "granted"


def test_a_bounce_goes_into_the_named_field() -> None:
    """Once, beside the other custom fields; no tag."""
    sandbox = account()
    number = sandbox.add_customer("a@b.example", customFields={"size": "M"})
    connection = Connection(sandbox, bounce_field="mail_state")
    for _ in range(2):
        connection.write_back(news(number, "bounced"))
    assert sandbox.customers[number]["customFields"] == {"size": "M", "mail_state": "bounce"}
    assert sandbox.customers[number]["tags"] == []
    assert written(sandbox) == ["edit"]


def test_each_write_names_the_customers_own_shop() -> None:
    """Where the account has several it must, and the option is not needed for it."""
    sandbox = account(sites=("a", "b"))
    numbers = [sandbox.add_customer("t@x.example", site=site) for site in ("a", "b")]
    outcomes = Connection(sandbox).write_back(*(news(n) for n in numbers))
    assert [outcome.rejected for outcome in outcomes] == [None, None]
    assert all("emailMarketingUnsubscribedAt" in sandbox.customers[n] for n in numbers)


def test_somebody_who_was_deleted_meanwhile_needs_no_write() -> None:
    """There is nobody left to tell, which is no error."""
    sandbox = account()
    gone, there = sandbox.add_customer("g@x.example"), sandbox.add_customer("t@x.example")
    sandbox.delete_customer(gone)
    outcomes = Connection(sandbox).write_back(news(gone), news(there), news(gone, "bounced"))
    assert [outcome.rejected for outcome in outcomes] == [None, None, None]
    assert len(written(sandbox)) == 1


def test_somebody_deleted_between_look_and_write_is_no_error() -> None:
    """The write says 404; the second look says why."""
    sandbox = account()
    number = sandbox.add_customer("a@b.example")
    sandbox.on_request(lambda request: request.writes, lambda: sandbox.delete_customer(number))
    (outcome,) = Connection(sandbox).write_back(news(number))
    assert outcome.rejected is None


def test_one_refused_row_does_not_keep_the_others_from_being_written() -> None:
    """It is told with the platform's own words; outcomes are in the order of the news."""
    sandbox = account()
    numbers = [sandbox.add_customer(f"{n}@x.example") for n in range(3)]
    sandbox.on_request(
        lambda request: request.path.endswith(f"/{numbers[1]}/edit"),
        lambda: sandbox.customers.pop(numbers[1]),
    )
    outcomes = Connection(sandbox).write_back(*(news(n, "bounced") for n in numbers))
    assert [outcome.rejected for outcome in outcomes] == [None, "refused", None]
    assert "An attempt was made to edit a nonexistent record" in (outcomes[1].detail or "")
    assert [outcome.email for outcome in outcomes] == [f"{n}@x.example" for n in numbers]


def test_a_hundred_and_one_people_are_looked_up_in_two_calls() -> None:
    """As many reads for looking again, and a write for each."""
    sandbox = account()
    numbers = [sandbox.add_customer(f"{n}@x.example") for n in range(101)]
    connection = Connection(sandbox)
    outcomes = connection.write_back(*(news(n) for n in numbers))
    assert [outcome.email for outcome in outcomes] == [f"{n}@x.example" for n in numbers]
    assert (connection.calls.read, connection.calls.write) == (4, 101)
    assert all("emailMarketingUnsubscribedAt" in c for c in sandbox.customers.values())


def test_nothing_to_write_back_asks_nothing() -> None:
    """No news, no call."""
    connection = Connection(account())
    assert connection.write_back() == []
    assert connection.calls.read == 0


@pytest.mark.parametrize("fault", ["cut_after", "cut_before", "503", "502_html"])
def test_a_write_that_is_cut_off_has_its_effect_once(fault: str) -> None:
    """Every write can be repeated; the history shows one change of each kind."""
    sandbox = account()
    number = sandbox.add_customer("a@b.example", topics={"default_marketing": True})
    sandbox.faults.add(fault, method="POST", times=2)
    (outcome,) = Connection(sandbox, patience=2.0).write_back(news(number))
    assert outcome.rejected is None
    assert [entry["field"] for entry in sandbox.history[1:]] == [
        "subscriptions",
        "email_marketing_unsubscribed_at",
    ]


def test_a_key_that_is_revoked_before_the_write_stops_it() -> None:
    """The look succeeds, the write finds the key gone."""
    sandbox = account()
    number = sandbox.add_customer("a@b.example")
    sandbox.on_request(lambda request: request.writes, sandbox.keys.clear)
    assert stopped(Connection(sandbox), lambda c: c.write_back(news(number))).kind == "credentials"


def test_a_key_that_may_only_read_cannot_write() -> None:
    """The sentence names the scopes."""
    sandbox = account()
    sandbox.keys["key"] = Key(scopes=("customer_read", "order_read"))
    number = sandbox.add_customer("a@b.example")
    error = stopped(Connection(sandbox), lambda c: c.write_back(news(number)))
    assert (error.kind, "customer_write" in error.message) == ("permission", True)


# --- check and errors --------------------------------------------------------------------------------


def test_a_check_names_the_scopes_that_are_missing() -> None:
    """And says what the present ones are good for; it writes nothing and reads no customer."""
    sandbox = account()
    sandbox.keys["key"] = Key(scopes=("customer_read", "reference_read"))
    finding = Connection(sandbox).ask(lambda source: source.check())
    assert finding.can == ("read customers, segments and their history",)
    assert [words.partition(":")[0] for words in finding.missing] == ["customer_write", "order_read"]
    assert [request.path for request in sandbox.requests] == ["/api/credentials"]


def test_a_key_with_every_scope_misses_nothing() -> None:
    """Three abilities."""
    finding = Connection(account()).ask(lambda source: source.check())
    assert (len(finding.can), finding.missing) == (3, ())


def _break(sandbox: Sandbox, how: str) -> None:
    if how in ("page", "missing"):
        sandbox.account = how
    elif how == "no key":
        sandbox.keys.clear()
    elif how == "no scope":
        sandbox.keys["key"] = Key(scopes=())
    else:
        sandbox.faults.add(how)


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("no key", "credentials", "Make a new one"),
        ("expired_key", "credentials", "does not accept the API key"),
        ("no scope", "permission", "customer_read"),
        ("page", "unreachable", "no RetailCRM account"),
        ("missing", "unreachable", "no RetailCRM account"),
        ("html", "unreachable", "a web page"),
        ("truncated", "unreachable", "no JSON"),
        ("502_html", "unreachable", "502"),
        ("500", "unreachable", "500"),
        ("503", "unreachable", "too many requests"),
        ("429", "unreachable", "429"),
        ("cut_before", "unreachable", "cut"),
        ("cut_middle", "unreachable", "cut"),
        ("redirect", "redirected", "https://elsewhere.example"),
    ],
)
@pytest.mark.parametrize("question", ["contacts", "labels", "write_back"])
def test_what_goes_wrong_stops_with_a_kind_and_a_sentence(
    how: str, kind: str, words: str, question: str
) -> None:
    """The same for reading, looking up and writing back; the key is never shown."""
    sandbox = account()
    sandbox.add_customer("a@b.example")
    _break(sandbox, how)
    ask: dict[str, Callable[[Connection], Any]] = {
        "contacts": Connection.pages,
        "labels": lambda c: c.ask(lambda source: source.labels()),
        "write_back": lambda c: c.write_back(news(1)),
    }
    error = stopped(Connection(sandbox, patience=0.02, api_key="key"), ask[question])
    assert error.kind == kind
    assert words in error.message
    assert error.message.endswith((".", '"'))


@pytest.mark.parametrize("how", ["no key", "page", "missing", "html", "503", "redirect"])
def test_a_check_finds_the_same_faults(how: str) -> None:
    """A connection that cannot work is told before a run."""
    sandbox = account()
    _break(sandbox, how)
    connection = Connection(sandbox, patience=0.02)
    stopped(connection, lambda c: c.ask(lambda source: source.check()))


@pytest.mark.parametrize("fault", ["503", "429", "500", "502_html", "cut_before", "cut_after", "cut_middle"])
def test_a_passing_fault_is_waited_out(fault: str) -> None:
    """Every third request fails; the read is complete."""
    sandbox = account()
    for n in range(350):
        sandbox.add_customer(f"{n}@x.example")
    rule = sandbox.faults.add(fault, every=3)
    assert len(Mirror(Connection(sandbox, patience=5.0)).read().rows) == 350
    assert rule.struck >= 2


def test_the_rate_limit_is_waited_out() -> None:
    """Without any pacing, ten a second are let through and the rest is asked again."""
    sandbox = Sandbox()
    for n in range(1500):
        sandbox.add_customer(f"{n}@x.example")
    connection = Connection(sandbox, patience=10.0)
    assert len(Mirror(connection).read().rows) == 1500
    assert any(request.status == 503 for request in sandbox.requests)


def test_a_refused_request_is_told_in_the_platforms_words() -> None:
    """A list of errors and an object of errors read alike."""
    sandbox = account()
    sandbox.add_customer("a@b.example")
    answer = sandbox.problem(400, "Errors in the input parameters", {"children[x]": "Значение недопустимо."})
    sandbox.refuse = lambda request: answer  # type: ignore[method-assign]
    error = stopped(Connection(sandbox))
    assert "Errors in the input parameters; children[x]: Значение недопустимо." in error.message
    answer.body = b'{"success": false, "errorMsg": "No", "errors": ["one", "two"]}'
    assert "No; one; two" in stopped(Connection(sandbox)).message
    answer.status = 200
    assert "No; one; two" in stopped(Connection(sandbox)).message


def test_an_answer_without_its_list_stops_the_read() -> None:
    """Success alone is not enough."""
    sandbox = account()
    answer = sandbox.problem(200, "")
    answer.body = b'{"success": true}'
    sandbox.refuse = lambda request: answer  # type: ignore[method-assign]
    assert stopped(Connection(sandbox)).kind == "source_incomplete"


# --- options -----------------------------------------------------------------------------------------


def test_the_connector_is_found_by_its_name() -> None:
    """With its options, its source and its card."""
    connector = connector_named("retailcrm")
    assert (connector.options, connector.source) == (RetailCrmOptions, RetailCrm)
    assert connector.destination is None
    assert connector.unsure
    assert "timezone" in connector.options.model_json_schema()["properties"]


def test_the_key_is_hidden_when_options_are_shown() -> None:
    """Neither in words nor in code."""
    options = options_of(url="https://x.example", api_key="s3cret")
    assert "s3cret" not in f"{options} {options!r} {options.model_dump()}"


def test_a_zone_that_does_not_exist_is_refused() -> None:
    """By the configuration, not by a run."""
    with pytest.raises(ValueError, match="timezone"):
        options_of(url="x", api_key="k", timezone="Europe/Nowhere")


def test_an_address_may_end_in_a_slash() -> None:
    """People copy it from the browser."""
    sandbox = account()
    sandbox.add_customer("a@b.example")
    assert one_row(sandbox, url="https://acme.retailcrm.example/")["email"] == "a@b.example"
