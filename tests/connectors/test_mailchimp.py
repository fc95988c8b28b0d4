"""Mailchimp as a destination, met over its sandbox."""

import asyncio
import hashlib
import json
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import pytest

from listbridge.changes import Outcome, Write
from listbridge.connectors.base import Audience, Context, Look, Member, MemberPage
from listbridge.connectors.mailchimp import Mailchimp, MailchimpOptions
from listbridge.connectors.mailchimp.reading import Ground, Marks
from listbridge.connectors.mailchimp.words import member_of, merge_tag, refusal, sent_value, text_of
from listbridge.connectors.registry import connector_named
from listbridge.errors import Misconfigured, Stop, Unknown
from listbridge.http import Calls, Http, Patience
from listbridge.model import Status
from listbridge.sandbox.base import Answer, Request
from listbridge.sandbox.mailchimp import KEY, MailchimpSandbox, Rules

T = TypeVar("T")
SHARED = Path(os.environ.get("LISTBRIDGE_SHARED", Path(__file__).parents[2].parent / "shared"))
SPEC = SHARED / "specs" / "mailchimp" / "marketing.json"
START = 1_790_000_000.0
LIST = "57afe96172"


class Clock:
    """The platform's clock, moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Dated(MailchimpSandbox):
    """With the header that every web server sends."""

    def finish(self, request: Request, answer: Answer) -> None:
        super().finish(request, answer)
        answer.headers["Date"] = formatdate(self.clock(), usegmt=True)

    def add_tag(self, name: str) -> None:
        self.audience(LIST).tag_named(name, int(self.clock()))


class Platform:
    """A sandbox with one audience, a connection to it and the ledger of an engine."""

    def __init__(self, *, double_optin: bool = False, patience: float = 5.0, **options: Any) -> None:
        self.clock = Clock()
        self.sandbox = Dated(clock=self.clock, rules=options.pop("rules", Rules()))
        self.sandbox.add_list("Newsletter", LIST, double_optin=double_optin)
        self.calls = Calls()
        self._patience = patience
        self._options = MailchimpOptions(connector="mailchimp", **({"api_key": KEY} | options))
        self.ledger: dict[str, Member] = {}
        self.cursor: str | None = None

    def _http(self, base_url: str, **parts: Any) -> Http:
        self.base_url = base_url
        patience = Patience(self._patience, first_wait_seconds=0.005, jitter_seconds=0.0)
        transport = self.sandbox.transport()
        return Http(base_url, name="news", transport=transport, patience=patience, calls=self.calls, **parts)

    def ask(self, question: Callable[[Mailchimp], Awaitable[T]]) -> T:
        async def asked() -> T:
            destination = Mailchimp(self._options, Context("news", Path(), self._http))
            try:
                return await question(destination)
            finally:
                await destination.close()

        return asyncio.run(asked())

    # The parts of a destination

    def find(self, fields: Sequence[str] = (), tags: Sequence[str] = (), name: str = LIST) -> Audience:
        found = self.ask(lambda it: it.find(name, fields, tags))
        assert found is not None
        return found

    def people(self, count: int, status: str = "subscribed", start: int = 0, **parts: Any) -> None:
        for number in range(start, start + count):
            self.sandbox.add_member(LIST, f"p{number}@shop.test", status, **parts)

    def write(self, *rows: Write, audience: Audience | None = None) -> Sequence[Outcome]:
        audience = audience or self.find()
        return self.ask(lambda it: it.write(audience, rows))

    def status(self, email: str) -> str:
        return str(self.sandbox.members(LIST)[email]["status"])

    # The engine's side

    def count_after(self, at: float | None) -> int:
        counted = [m for m in self.ledger.values() if m.status not in (Status.ARCHIVED, Status.ABSENT)]
        return sum(at is None or (m.changed_at is not None and m.changed_at > at) for m in counted)

    def take(self, page: MemberPage) -> None:
        for member in page.members:
            self.ledger[member.email.lower()] = member
        self.cursor = page.cursor or self.cursor

    def read(self, audience: Audience | None = None) -> int:
        """A full read; gives back the calls it took."""
        audience = audience or self.find()
        return self._pages(lambda it: it.members(audience))

    def look(self, *, thorough: bool = False, audience: Audience | None = None) -> int:
        audience = audience or self.find()
        look = Look(self.cursor, self.count_after)
        return self._pages(lambda it: it.changed(audience, look, thorough=thorough))

    def _pages(self, pages: Callable[[Mailchimp], Any]) -> int:
        before = self.calls.read

        async def go(it: Mailchimp) -> None:
            async for page in pages(it):
                self.take(page)

        self.ask(go)
        return self.calls.read - before

    def deliver(self, count: int, per_second: int = 5000, first: int = 0) -> None:
        """Write new people as the engine does, outcomes into the ledger."""
        audience = self.find()
        for start in range(first, first + count, 500):
            rows = [
                Write(f"n{number}@shop.test", Status.SUBSCRIBED, {}) for number in range(start, start + 500)
            ]
            for outcome in self.write(*rows, audience=audience):
                assert outcome.rejected is None
                self.ledger[outcome.email] = Member(
                    outcome.email, outcome.status or Status.ABSENT, changed_at=outcome.changed_at
                )
            self.clock.now += 500 / per_second

    def known(self, email: str) -> Status:
        return self.ledger[email].status

    def is_true(self) -> bool:
        """Whether the ledger holds everybody with the status they have there."""
        words = {"cleaned": "bounced"}
        there = {
            email: words.get(m["status"], m["status"]) for email, m in self.sandbox.members(LIST).items()
        }
        return there == {
            email: m.status.value for email, m in self.ledger.items() if m.status is not Status.ABSENT
        }


def new(email: str, status: Status = Status.SUBSCRIBED, **fields: str) -> Write:
    return Write(email, status, fields)


def stopped(action: Callable[[], object]) -> Stop:
    with pytest.raises(Stop) as caught:
        action()
    return caught.value


# --- access ------------------------------------------------------------------------------------------


def test_the_connector_is_found_by_its_name() -> None:
    assert connector_named("mailchimp").destination is Mailchimp


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "https://us1.api.mailchimp.com/3.0"),
        ({"url": "http://127.0.0.1:8099/3.0/"}, "http://127.0.0.1:8099/3.0"),
        ({"url": "http://127.0.0.1:8099/3.0"}, "http://127.0.0.1:8099/3.0"),
        (
            {"api_key": None, "access_token": KEY, "url": "https://us9.api.mailchimp.com/3.0"},
            "https://us9.api.mailchimp.com/3.0",
        ),
    ],
)
def test_the_address_comes_from_url_or_from_the_end_of_the_key(
    options: dict[str, Any], expected: str
) -> None:
    platform = Platform(**options)
    assert platform.find().name == "Newsletter"
    assert platform.base_url == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"api_key": "0123456789abcdef"}, "data centre"),
        ({"api_key": "0123-evil.example/x"}, "data centre"),
        ({"api_key": None, "access_token": "token"}, "give url"),
        ({"api_key": None}, "api_key or access_token"),
        ({"access_token": "token"}, "api_key or access_token"),
    ],
)
def test_a_connection_that_cannot_work_is_a_configuration_error(options: dict[str, Any], words: str) -> None:
    error = stopped(lambda: Platform(**options).find())
    assert isinstance(error, Misconfigured)
    assert words in error.message
    assert "0123" not in error.message


def test_check_tells_account_role_and_whether_an_audience_can_be_made() -> None:
    platform = Platform()
    found = platform.ask(lambda it: it.check())
    assert any("Sandbox" in words and "owner" in words and "monthly" in words for words in found.can)
    assert found.missing == ()
    platform.sandbox.rules.max_lists = 1
    assert "another audience" in platform.ask(lambda it: it.check()).missing[0]
    assert platform.calls.write == 0


def test_a_dead_key_stops_with_credentials_in_reads_and_in_writes() -> None:
    platform = Platform()
    audience = platform.find()
    platform.sandbox.expire_key()
    for action in (
        lambda: platform.ask(lambda it: it.check()),
        lambda: platform.read(audience),
        lambda: platform.write(new("a@shop.test"), audience=audience),
    ):
        error = stopped(action)
        assert error.kind == "credentials"
        assert KEY not in error.message


class Refusing(MailchimpSandbox):
    """Answers everything in one way, a number of times."""

    answer_with: Answer
    times = 1_000

    def refuse(self, request: Request) -> Answer | None:
        self.times -= 1
        return self.answer_with if self.times >= 0 else None


def refusing(answer: Answer, times: int = 1_000) -> Platform:
    platform = Platform(patience=0.2 if times == 1_000 else 5.0)
    sandbox = Refusing(clock=platform.clock)
    sandbox.answer_with, sandbox.times = answer, times
    sandbox.add_list("Newsletter", LIST)
    platform.sandbox = sandbox  # type: ignore[assignment]
    return platform


@pytest.mark.parametrize(
    ("title", "detail", "kind"),
    [
        ("User Disabled", "This account has been disabled.", "permission"),
        ("User action not permitted", "User does not have access to the requested operation", "permission"),
        ("Forbidden", "Your plan does not include this.", "plan_limit"),
        ("Forbidden", "You have reached your contact limit.", "plan_limit"),
        ("Forbidden", "olga.plan@shop.test may not do this", "permission"),
    ],
)
def test_a_403_with_a_reason_stops_and_masks_addresses(title: str, detail: str, kind: str) -> None:
    body = {"title": title, "status": 403, "detail": detail}
    error = stopped(lambda: refusing(Answer.json(body, 403)).find())
    assert error.kind == kind
    assert title in error.message
    assert "@shop.test" not in error.message


@pytest.mark.parametrize(
    "answer",
    [Answer(403), Answer.page(403, "Forbidden"), Answer.page(502, "Bad Gateway"), Answer.json({}, 429)],
)
def test_throttling_and_a_failing_edge_are_waited_out(answer: Answer) -> None:
    platform = refusing(answer, times=2)
    assert platform.find().id == LIST
    assert platform.calls.read == 3


def test_a_403_without_a_reason_that_never_ends_is_told_as_unreachable() -> None:
    assert stopped(lambda: refusing(Answer(403)).find()).kind == "unreachable"


def test_a_web_page_instead_of_data_is_told_as_such() -> None:
    platform = Platform()
    audience = platform.find()
    platform.sandbox.faults.add("html")
    for action in (platform.find, lambda: platform.read(audience)):
        error = stopped(action)
        assert error.kind == "unreachable"
        assert "url" in error.message or "address" in error.message


def test_an_unexpected_refusal_stops_with_the_platforms_words() -> None:
    body = {"title": "Invalid Resource", "status": 400, "detail": "No x@y.test.", "errors": [{"field": "f"}]}
    error = stopped(lambda: refusing(Answer.json(body, 400)).find())
    assert "Invalid Resource" in error.message
    assert "f:" in error.message
    assert "x@y" not in error.message


# --- audiences ---------------------------------------------------------------------------------------


def test_find_costs_one_call_and_one_more_for_fields_and_for_tags_each() -> None:
    platform = Platform()
    for fields, tags, calls in (
        ((), (), 1),
        (("FNAME",), (), 2),
        ((), ("VIP",), 2),
        (("FNAME",), ("VIP",), 3),
    ):
        platform.calls.read = 0
        platform.find(fields, tags)
        assert platform.calls.read == calls


def test_an_audience_is_found_by_id_and_by_exact_name() -> None:
    platform = Platform(double_optin=True)
    assert platform.find() == platform.find(name="Newsletter")
    assert platform.find().double_opt_in
    assert platform.ask(lambda it: it.find("newsletter", (), ())) is None


def test_an_id_wins_over_a_name_that_looks_like_it() -> None:
    platform = Platform()
    platform.sandbox.add_list(LIST, "0000000001")
    assert platform.find().name == "Newsletter"


def test_two_audiences_of_one_name_are_told_with_both_ids() -> None:
    platform = Platform()
    platform.sandbox.add_list("Newsletter", "0000000001")
    error = stopped(lambda: platform.find(name="Newsletter"))
    assert error.kind == "not_found"
    assert LIST in error.message
    assert "0000000001" in error.message
    assert platform.find().id == LIST


def test_an_audience_beyond_the_first_thousand_is_found() -> None:
    platform = Platform()
    for number in range(1005):
        platform.sandbox.add_list(f"List {number}")
    assert platform.find(name="List 1004").name == "List 1004"


def test_fields_are_matched_by_tag_in_any_case_and_by_exact_name() -> None:
    platform = Platform()
    audience = platform.find(["fname", "Last Name", "Nothing"], ["VIP"])
    assert audience.fields == {"fname": "FNAME", "Last Name": "LNAME"}
    assert audience.tags == {}


@pytest.mark.parametrize("name", ["EMAIL", "email"])
def test_the_address_itself_is_no_field(name: str) -> None:
    assert isinstance(stopped(lambda: Platform().find([name])), Misconfigured)


def test_prepare_makes_missing_fields_as_text_and_missing_tags() -> None:
    platform = Platform()
    fields, tags = ["FNAME", "Lieblingsfarbe", "Lieblingsfarben", "größe"], ["VIP"]
    audience = platform.find(fields, tags)
    made = platform.ask(lambda it: it.prepare(audience, fields, tags))
    assert set(made.fields) == set(fields)
    assert made.fields["Lieblingsfarbe"] == "LIEBLINGSF"
    assert made.fields["Lieblingsfarben"] == "LIEBLINGS2"
    assert made.facts["types"]["LIEBLINGSF"] == "text"
    assert made.tags == {"VIP": str(platform.sandbox.tag(LIST, "VIP").id)}
    assert platform.calls.write == 4
    assert platform.ask(lambda it: it.prepare(made, fields, tags)) == made
    assert platform.calls.write == 4


def test_prepare_of_a_new_audience_makes_no_field_that_is_there_already() -> None:
    platform = Platform()
    audience = platform.ask(lambda it: it.create("Second"))
    made = platform.ask(lambda it: it.prepare(audience, ["FNAME"], []))
    assert made.fields == {"FNAME": "FNAME"}
    assert platform.calls.write == 1


@pytest.mark.parametrize("fault", ["cut_after", "truncated"])
def test_prepare_finds_what_a_cut_off_request_has_made(fault: str) -> None:
    platform = Platform()
    audience = platform.find(["COLOUR"], ["VIP"])
    platform.sandbox.faults.add(fault, method="POST")
    made = platform.ask(lambda it: it.prepare(audience, ["COLOUR"], ["VIP"]))
    assert made.fields == {"COLOUR": "COLOUR"}
    assert set(made.tags) == {"VIP"}


def test_prepare_stops_if_what_it_makes_does_not_appear() -> None:
    platform = Platform(patience=0.2)
    audience = platform.find(["COLOUR"])
    platform.sandbox.faults.add("502_html", method="POST")
    assert "COLOUR" in stopped(lambda: platform.ask(lambda it: it.prepare(audience, ["COLOUR"], []))).message


@pytest.mark.parametrize("exists", [True, False])
def test_create_takes_sender_and_address_from_an_audience_or_the_account(exists: bool) -> None:
    platform = Platform()
    if not exists:
        platform.sandbox.account.audiences.clear()
    made = platform.ask(lambda it: it.create("Second"))
    settings = platform.sandbox.account.audiences[made.id].settings
    assert made.name == "Second"
    assert not made.double_opt_in
    assert settings["contact"]["city"] == "Town"
    sender = "shop@shop.test" if exists else "owner@shop.test"
    assert settings["campaign_defaults"]["from_email"] == sender
    assert platform.find(name="Second") == platform.ask(lambda it: it.find(made.id, (), ()))


def test_create_that_is_cut_off_makes_one_audience() -> None:
    platform = Platform()
    platform.sandbox.faults.add("cut_after", method="POST", times=1)
    made = platform.ask(lambda it: it.create("Second"))
    assert [each.name for each in platform.sandbox.account.audiences.values()] == ["Newsletter", "Second"]
    assert made.name == "Second"


def test_create_that_had_no_effect_stops() -> None:
    platform = Platform(patience=0.2)
    platform.sandbox.faults.add("cut_before", method="POST")
    assert stopped(lambda: platform.ask(lambda it: it.create("Second"))).kind == "unreachable"


def test_create_on_a_full_account_stops_with_permission() -> None:
    platform = Platform()
    platform.sandbox.rules.max_lists = 1
    assert stopped(lambda: platform.ask(lambda it: it.create("Second"))).kind == "permission"


def test_contacts_counts_what_is_billed_in_every_audience() -> None:
    platform = Platform()
    other = platform.sandbox.add_list("Other")
    for number, status in enumerate(
        ["subscribed", "unsubscribed", "transactional", "pending", "cleaned", "archived"]
    ):
        platform.people(number + 1, status, start=number * 10)
    platform.sandbox.add_member(other, "p0@shop.test", "subscribed")
    assert platform.ask(lambda it: it.contacts()) == 1 + 2 + 3 + 1
    assert platform.calls.read == 7


# --- values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("text", "x" * 300, "x" * 255),
        ("text", "ä" * 128, "ä" * 127),
        ("text", "  two words ", "two words"),
        ("text", "a" * 254 + " b", "a" * 254),
        ("number", "19.90", "19.9"),
        ("number", "19.0", "19"),
        ("number", "many", "many"),
        ("number", "", ""),
        ("number", "١٢", "١٢"),
        ("date", "2026-11-22", "2026-11-22"),
        ("url", "https://shop.test/" + "x" * 300, "https://shop.test/" + "x" * 300),
    ],
)
def test_a_value_is_held_as_the_platform_gives_it_back(kind: str, value: str, expected: str) -> None:
    platform = Platform()
    audience = Audience(LIST, "N", fields={"F": "F"}, facts={"types": {"F": kind}})
    held = platform.ask(lambda it: _done(it.canonical(audience, "F", value)))
    assert held == expected
    assert text_of(sent_value(held, kind)) == held


async def _done(value: T) -> T:
    return value


def test_values_come_back_as_they_were_canonical() -> None:
    platform = Platform()
    for tag, kind in (("LTV", "number"), ("SINCE", "date")):
        platform.sandbox.add_merge_field(LIST, tag, type=kind)
    names = ["FNAME", "LTV", "SINCE"]
    audience = platform.find(names)
    values = {"FNAME": " " + "ß" * 200, "LTV": "019.90", "SINCE": "2026-11-22"}
    [outcome] = platform.write(new("a@shop.test", **values), audience=audience)
    assert outcome.rejected is None
    platform.read(audience)
    there = platform.ledger["a@shop.test"].fields
    assert there == {
        n: platform.ask(lambda it, n=n: _done(it.canonical(audience, n, values[n]))) for n in names
    }


def test_a_merge_tag_is_short_plain_and_free() -> None:
    taken = {"EMAIL", "FIELD"}
    assert merge_tag("E-Mail", taken) == "E_MAIL"
    assert merge_tag("email", taken) == "EMAIL2"
    assert merge_tag("颜色", taken) == "FIELD2"
    assert [merge_tag("abcdefghijkl", taken) for _ in range(11)][-1] == "ABCDEFGH11"


# --- reading everybody -------------------------------------------------------------------------------


def test_first_contact_with_an_empty_audience_costs_four_reads() -> None:
    platform = Platform()
    platform.read(platform.find(["FNAME"]))
    assert platform.calls.read == 4
    assert platform.calls.write == 0


def test_everybody_is_read_with_our_words_for_their_statuses() -> None:
    platform = Platform()
    for status in ("subscribed", "pending", "transactional", "unsubscribed", "cleaned", "archived"):
        platform.sandbox.add_member(LIST, f"{status}@shop.test", status)
    platform.sandbox.add_member(LIST, "angry@shop.test", "subscribed")
    platform.sandbox.complain(LIST, "angry@shop.test")
    platform.read()
    assert platform.known("cleaned@shop.test") is Status.BOUNCED
    assert platform.known("archived@shop.test") is Status.ARCHIVED
    assert platform.known("angry@shop.test") is Status.COMPLAINED
    for same in ("subscribed", "pending", "transactional", "unsubscribed"):
        assert platform.known(f"{same}@shop.test").value == same
    one = platform.ledger["subscribed@shop.test"]
    assert one.changed_at == START
    assert one.opted_in_at is not None
    assert one.remote_id
    assert one.fields is None
    assert one.tags is None


def test_fields_and_tags_are_read_where_they_are_asked_for() -> None:
    platform = Platform()
    platform.sandbox.add_tag("VIP")
    platform.sandbox.add_tag("Other")
    platform.sandbox.add_member(
        LIST, "a@shop.test", "subscribed", merge_fields={"FNAME": "Ann"}, tags=["VIP", "Other"]
    )
    platform.sandbox.add_member(LIST, "b@shop.test", "subscribed")
    platform.read(platform.find(["First Name"], ["VIP"]))
    assert platform.ledger["a@shop.test"].fields == {"First Name": "Ann"}
    assert platform.ledger["a@shop.test"].tags == ("VIP",)
    assert platform.ledger["b@shop.test"].fields == {"First Name": ""}
    assert platform.ledger["b@shop.test"].tags == ()


def test_a_tag_behind_fifty_others_is_seen() -> None:
    platform = Platform()
    names = [f"T{number}" for number in range(55)]
    platform.sandbox.add_member(LIST, "a@shop.test", "subscribed", tags=names)
    platform.read(platform.find((), names))
    assert set(platform.ledger["a@shop.test"].tags or ()) == set(names)


def test_a_large_audience_takes_one_read_for_each_thousand() -> None:
    platform = Platform()
    platform.people(4500)
    platform.people(1200, "archived", start=5000)
    audience = platform.find()
    assert platform.read(audience) == 5 + 2
    assert platform.is_true()


@pytest.mark.parametrize("request_number", [2, 3, 4, 5])
def test_who_changes_between_two_pages_is_not_missed(request_number: int) -> None:
    platform = Platform()
    platform.people(4500)
    audience = platform.find()
    platform.clock.now += 1000

    def act() -> None:
        for email in ("p0@shop.test", "p600@shop.test"):
            platform.sandbox.unsubscribe_by_admin(LIST, email)
        platform.sandbox.add_member(LIST, "late@shop.test", "subscribed")

    platform.sandbox.on_request(request_number, act)
    platform.read(audience)
    platform.look(audience=audience)
    assert platform.is_true()


@pytest.mark.parametrize("request_number", [2, 3, 4, 5])
def test_who_leaves_between_two_pages_hides_nobody(request_number: int) -> None:
    platform = Platform()
    platform.people(4500)
    audience = platform.find()
    platform.clock.now += 1000

    def act() -> None:
        for email in ("p4499@shop.test", "p4400@shop.test", "p1@shop.test"):
            platform.sandbox.delete_permanently(LIST, email)
        platform.sandbox.archive_by_hand(LIST, "p4300@shop.test")

    platform.sandbox.on_request(request_number, act)
    platform.read(audience)
    assert set(platform.sandbox.members(LIST)) <= set(platform.ledger)
    assert platform.known("p4300@shop.test") is Status.ARCHIVED


def test_who_comes_between_two_pages_does_not_cost_a_second_round() -> None:
    platform = Platform()
    platform.people(3000)
    audience = platform.find()
    platform.clock.now += 1000
    platform.sandbox.on_request(2, lambda: platform.sandbox.add_member(LIST, "late@shop.test"))
    assert platform.read(audience) == 4 + 1 + 1
    assert platform.is_true()


def test_an_audience_that_keeps_shrinking_is_no_complete_read() -> None:
    platform = Platform()
    platform.people(3000)
    audience = platform.find()
    gone = iter(range(2999, 0, -1))
    platform.sandbox.on_request(
        lambda request: "offset" in request.query,
        lambda: platform.sandbox.delete_permanently(LIST, f"p{next(gone)}@shop.test"),
        once=False,
    )
    assert stopped(lambda: platform.read(audience)).kind == "source_incomplete"
    assert platform.cursor is None


def test_a_page_that_is_cut_to_half_loses_nobody() -> None:
    for after in (0, 1, 2):
        platform = Platform()
        platform.people(3000)
        audience = platform.find()
        platform.sandbox.faults.add("half_page", path="/members", after=after, times=1)
        platform.read(audience)
        assert platform.is_true()


@pytest.mark.parametrize("fault", ["502_html", "429", "cut_after", "cut_middle", "truncated"])
def test_a_read_that_fails_once_is_made_again(fault: str) -> None:
    platform = Platform()
    platform.people(2500)
    audience = platform.find()
    platform.sandbox.faults.add(fault, path="/members", every=2)
    platform.read(audience)
    assert platform.is_true()


def test_a_read_that_fails_for_good_leaves_no_cursor_and_no_open_task() -> None:
    platform = Platform(patience=0.2)
    platform.people(6000)
    audience = platform.find()
    platform.sandbox.faults.add("500", path="/members", after=2)
    assert stopped(lambda: platform.read(audience)).kind == "unreachable"
    assert platform.cursor is None


def test_at_most_a_few_pages_are_under_way_at_once() -> None:
    platform = Platform()
    platform.people(9000)
    audience = platform.find()
    platform.sandbox.latency_seconds = 0.01
    platform.read(audience)
    assert 2 <= platform.sandbox.peak_simultaneous <= 4


# --- what changed ------------------------------------------------------------------------------------


def test_nothing_changed_costs_one_read() -> None:
    platform = Platform()
    platform.people(2500)
    audience = platform.find()
    platform.read(audience)
    for seconds in (0, 5, 10_000, 500_000):
        platform.clock.now += seconds
        assert platform.look(audience=audience) == 1
    assert platform.is_true()


@pytest.mark.parametrize("per_second", [50_000, 5000, 100])
def test_nothing_changed_costs_one_read_right_after_ten_thousand_writes(per_second: int) -> None:
    platform = Platform()
    audience = platform.find()
    platform.read(audience)
    platform.deliver(10_000, per_second)
    assert platform.look(audience=audience) == 1
    assert platform.look(audience=audience) == 1
    assert platform.is_true()


def test_a_change_at_the_top_is_found_with_one_read() -> None:
    platform = Platform()
    platform.people(2500)
    audience = platform.find()
    platform.read(audience)
    platform.clock.now += 3600
    platform.sandbox.unsubscribe_by_person(LIST, "p7@shop.test")
    platform.sandbox.bounce(LIST, "p8@shop.test")
    platform.sandbox.add_member(LIST, "x@shop.test", "subscribed")
    assert platform.look(audience=audience) == 1
    assert platform.is_true()


def test_more_changes_than_one_page_are_all_found() -> None:
    platform = Platform()
    audience = platform.find()
    platform.read(audience)
    platform.deliver(10_000)
    platform.look(audience=audience)
    for number in range(2500):
        platform.clock.now += 0.01
        platform.sandbox.confirm(LIST, f"n{number}@shop.test")
        platform.sandbox.unsubscribe_by_person(LIST, f"n{number}@shop.test")
    platform.look(audience=audience)
    assert platform.is_true()


def test_who_left_while_we_were_writing_is_found_by_a_thorough_look() -> None:
    platform = Platform()
    audience = platform.find()
    platform.read(audience)
    platform.deliver(2000)
    platform.sandbox.unsubscribe_by_person(LIST, "n3@shop.test")
    platform.sandbox.bounce(LIST, "n4@shop.test")
    platform.clock.now += 1
    platform.deliver(4000, first=5000)
    assert platform.look(audience=audience) == 1
    assert not platform.is_true()
    assert platform.look(audience=audience, thorough=True) == 4
    assert platform.is_true()
    assert platform.look(audience=audience, thorough=True) == 2


def test_something_unverified_is_looked_after_within_ten_minutes_and_only_once() -> None:
    platform = Platform()
    audience = platform.find()
    platform.read(audience)
    platform.deliver(5000)
    assert platform.look(audience=audience) == 1
    platform.clock.now += 599
    assert platform.look(audience=audience) == 1
    platform.clock.now += 60
    assert platform.look(audience=audience) == 4
    for _ in range(3):
        platform.clock.now += 3600
        assert platform.look(audience=audience) == 1


def test_a_window_that_was_read_to_its_end_verifies_itself() -> None:
    platform = Platform()
    platform.people(1)
    audience = platform.find()
    platform.read(audience)
    platform.deliver(1500)
    assert platform.look(audience=audience) == 1
    assert Marks.from_text(platform.cursor).unverified is not None
    platform.sandbox.archive_by_hand(LIST, "n0@shop.test")
    assert platform.look(audience=audience) == 3
    assert platform.is_true()
    assert Marks.from_text(platform.cursor).unverified is None


def test_a_window_that_begins_later_verifies_nothing_before_it() -> None:
    platform = Platform()
    audience = platform.find()
    platform.read(audience)
    platform.deliver(1500)
    platform.look(audience=audience)
    platform.clock.now += 500
    platform.people(1)
    platform.look(audience=audience)
    platform.look(audience=audience)
    assert Marks.from_text(platform.cursor).unverified == 0.0


def test_a_thorough_look_finds_the_archived_ones() -> None:
    platform = Platform()
    platform.people(50)
    platform.people(5, "archived", start=100)
    audience = platform.find()
    platform.read(audience)
    platform.clock.now += 5000
    platform.sandbox.archive_by_hand(LIST, "p1@shop.test")
    assert platform.look(audience=audience, thorough=True) == 2
    assert platform.is_true()
    platform.clock.now += 5000
    platform.sandbox.requests.clear()
    assert platform.look(audience=audience, thorough=True) == 2
    assert "since_last_changed" in platform.sandbox.requests[-1].query


def test_who_is_missing_from_the_window_is_looked_for_among_the_archived() -> None:
    platform = Platform()
    platform.people(50)
    audience = platform.find()
    platform.read(audience)
    platform.sandbox.archive_by_hand(LIST, "p1@shop.test")
    assert platform.look(audience=audience) == 2
    assert platform.is_true()
    assert platform.look(audience=audience) == 1


def test_a_cursor_holds_no_time_of_our_own_clock() -> None:
    platform = Platform()
    platform.people(3)
    platform.read()
    platform.look(thorough=True)
    assert Marks.from_text(platform.cursor).seen == START
    assert re.search(r"\d{10}", str(platform.cursor))


def test_it_is_of_no_account_whether_the_window_includes_its_bound() -> None:
    for inclusive in (True, False):
        platform = Platform(rules=Rules(since_is_inclusive=inclusive))
        audience = platform.find()
        platform.read(audience)
        platform.deliver(2000)
        platform.clock.now = START + 120
        platform.deliver(2000, first=2000)
        platform.look(audience=audience)
        assert platform.look(audience=audience) == 1


class Unsorted(Dated):
    """Ignores the order that is asked for."""

    async def answer(self, request: Request) -> Answer:
        request.query = {k: v for k, v in request.query.items() if k not in ("sort_field", "sort_dir")}
        return await super().answer(request)


@pytest.mark.parametrize("per_second", [100, 1000])
def test_a_server_that_ignores_the_order_costs_more_reads_and_loses_nothing(per_second: int) -> None:
    platform = Platform()
    platform.sandbox.__class__ = Unsorted
    audience = platform.find()
    platform.read(audience)
    platform.deliver(4000, per_second=per_second)
    platform.clock.now += 20
    for number in (1, 2001, 3999):
        platform.sandbox.unsubscribe_by_person(LIST, f"n{number}@shop.test")
    assert platform.look(audience=audience) == 4
    assert platform.is_true()


def changes(*seconds: int | None) -> list[dict[str, Any]]:
    stamps = [None if at is None else f"2026-11-22T10:00:{at:02}+00:00" for at in seconds]
    return [{"last_changed": stamp} for stamp in stamps]


def ground(*seconds: int) -> Ground:
    """What a ledger with people who changed at these seconds is asked."""
    noon = 1_795_341_600.0
    return Ground(Look(None, lambda at: sum(at is None or noon + second > at for second in seconds)))


def test_a_page_is_known_ground_if_the_ledger_held_changes_as_late_as_its_last() -> None:
    assert ground(1, 2, 3).is_known(changes(5, 3), shrank=False)
    assert ground(3).is_known(changes(3, 3), shrank=False)
    assert not ground(1, 2).is_known(changes(5, 3), shrank=False)


@pytest.mark.parametrize("page", [changes(3, 4), changes(3, None), [], changes(2, 2)])
def test_a_page_out_of_order_is_no_ground_nor_is_any_after_it(page: list[dict[str, Any]]) -> None:
    asked = ground(1, 1, 1, 3, 3) if page == changes(2, 2) else ground(1, 1, 1, 3)
    assert not asked.is_known(page, shrank=False)
    assert not asked.is_known(changes(1), shrank=False)


def test_a_page_that_begins_later_than_the_one_before_ended_is_no_ground() -> None:
    asked = ground(1, 2, 3, 4)
    assert asked.is_known(changes(4, 3), shrank=False)
    assert not asked.is_known(changes(4, 2), shrank=False)
    assert not ground(1).is_known(changes(1), shrank=True)


def test_who_leaves_while_a_look_turns_its_pages_hides_nobody() -> None:
    platform = Platform()
    platform.people(100)
    audience = platform.find()
    platform.read(audience)
    platform.clock.now += 1000
    platform.people(3500, start=1000)

    def act() -> None:
        for number in range(4480, 4499):
            platform.sandbox.delete_permanently(LIST, f"p{number}@shop.test")

    platform.sandbox.on_request(2, act)
    platform.look(audience=audience)
    assert set(platform.sandbox.members(LIST)) <= set(platform.ledger)


def test_a_look_that_failed_in_the_middle_is_made_good_by_the_next() -> None:
    platform = Platform(patience=0.2)
    platform.people(100)
    audience = platform.find()
    platform.read(audience)
    cursor = platform.cursor
    platform.clock.now += 1000
    platform.people(3500, start=1000)
    platform.sandbox.faults.add("500", path="/members", after=2)
    assert stopped(lambda: platform.look(audience=audience)).kind == "unreachable"
    assert platform.cursor == cursor
    platform.sandbox.faults.clear()
    platform.look(audience=audience)
    assert platform.is_true()


def test_a_contact_without_an_address_is_passed_over() -> None:
    platform = Platform()
    platform.people(3)
    platform.sandbox.account.audiences[LIST].find("p1@shop.test").address = ""  # type: ignore[union-attr]
    platform.read()
    assert set(platform.ledger) == {"p0@shop.test", "p2@shop.test"}


# --- writing -----------------------------------------------------------------------------------------


def test_new_and_present_people_go_in_one_call() -> None:
    platform = Platform()
    platform.people(2, "transactional")
    audience = platform.find(["FNAME"])
    platform.sandbox.forget_requests()
    outcomes = platform.write(
        new("P0@shop.test", Status.TRANSACTIONAL, FNAME="Ann"),
        new("new@shop.test", FNAME="Ben"),
        new("gone@shop.test", Status.UNSUBSCRIBED),
        new("wait@shop.test", Status.PENDING),
        audience=audience,
    )
    assert [o.email for o in outcomes] == [
        "P0@shop.test",
        "new@shop.test",
        "gone@shop.test",
        "wait@shop.test",
    ]
    assert [o.status for o in outcomes] == [
        Status.TRANSACTIONAL,
        Status.SUBSCRIBED,
        Status.UNSUBSCRIBED,
        Status.PENDING,
    ]
    assert {o.rejected for o in outcomes} == {None}
    assert outcomes[1].changed_at == START
    assert platform.sandbox.calls.total == 1
    assert platform.sandbox.members(LIST)["p0@shop.test"]["merge_fields"] == {"FNAME": "Ann"}
    body = platform.sandbox.requests[0].json()
    assert "sync_tags" not in body
    assert body["update_existing"] is True


def test_a_contact_id_is_remembered_where_the_answer_has_it() -> None:
    platform = Platform(rules=Rules(whole_members_in_bulk=True))
    [outcome] = platform.write(new("a@shop.test"))
    platform.read()
    assert outcome.remote_id == platform.ledger["a@shop.test"].remote_id is not None


def test_an_empty_value_empties_a_field_and_one_left_out_stays() -> None:
    platform = Platform()
    platform.sandbox.add_member(
        LIST, "a@shop.test", "subscribed", merge_fields={"FNAME": "Ann", "LNAME": "Lee"}
    )
    audience = platform.find(["FNAME", "LNAME"])
    platform.write(new("a@shop.test", FNAME=""), audience=audience)
    assert platform.sandbox.members(LIST)["a@shop.test"]["merge_fields"] == {"LNAME": "Lee"}


def test_tags_and_required_fields_are_no_business_of_a_write() -> None:
    platform = Platform()
    platform.sandbox.add_merge_field(LIST, "NEEDED", required=True)
    platform.sandbox.add_member(LIST, "a@shop.test", "subscribed", tags=["VIP"])
    audience = platform.find(["FNAME"])
    outcomes = platform.write(new("a@shop.test", FNAME="Ann"), new("b@shop.test"), audience=audience)
    assert {o.rejected for o in outcomes} == {None}
    assert platform.sandbox.members(LIST)["a@shop.test"]["tags"] == ["VIP"]


def test_an_archived_person_comes_back() -> None:
    platform = Platform()
    platform.people(1, "archived")
    [outcome] = platform.write(Write("p0@shop.test", Status.SUBSCRIBED, {}, exists=True, changes_status=True))
    assert outcome.status is Status.SUBSCRIBED
    assert platform.status("p0@shop.test") == "subscribed"


def test_five_hundred_rows_go_at_once_and_more_in_several_calls() -> None:
    platform = Platform()
    audience = platform.find()
    outcomes = platform.write(*(new(f"n{n}@shop.test") for n in range(1001)), audience=audience)
    assert platform.calls.write == 3
    assert [o.email for o in outcomes] == [f"n{n}@shop.test" for n in range(1001)]
    assert len(platform.sandbox.members(LIST)) == 1001


def test_every_kind_of_refusal_has_our_name_and_their_words() -> None:
    platform = Platform()
    platform.people(5)
    platform.sandbox.unsubscribe_by_person(LIST, "p0@shop.test")
    platform.sandbox.bounce(LIST, "p1@shop.test")
    platform.sandbox.delete_permanently(LIST, "p2@shop.test")
    platform.sandbox.refuse_for_now("plan-forgotten-email@shop.test")
    rows = ["p0@shop.test", "p1@shop.test", "p2@shop.test", "who@example.com", "no address"]
    rows += ["plan-forgotten-email@shop.test", "p3@shop.test"]
    outcomes = platform.write(*(new(email) for email in rows))
    assert [o.rejected for o in outcomes] == [
        "suppressed",
        "suppressed",
        "erased",
        "invalid_address",
        "invalid_address",
        "refused",
        None,
    ]
    assert [o.suppress for o in outcomes[:3]] == [Status.UNSUBSCRIBED, Status.UNSUBSCRIBED, None]
    assert "compliance state" in (outcomes[0].detail or "")
    assert "signed up to a lot of lists" in (outcomes[5].detail or "")
    assert platform.calls.write == 1


def test_a_value_that_a_field_cannot_hold_is_left_out_and_the_rest_is_stored() -> None:
    platform = Platform()
    for tag, kind in (("LTV", "number"), ("SINCE", "date")):
        platform.sandbox.add_merge_field(LIST, tag, type=kind)
    audience = platform.find(["FNAME", "LTV", "SINCE"])
    rows = [new(f"n{n}@shop.test", FNAME="Ann", LTV="12.5", SINCE="2026-01-01") for n in range(3)]
    rows[1] = new("n1@shop.test", FNAME="Ben", LTV="a lot", SINCE="soon")
    outcomes = platform.write(*rows, audience=audience)
    assert [o.rejected for o in outcomes] == [None, "invalid_field", None]
    assert "LTV: Please enter a number" in (outcomes[1].detail or "")
    assert "SINCE: " in (outcomes[1].detail or "")
    assert outcomes[1].status is Status.SUBSCRIBED
    assert outcomes[1].changed_at == START
    assert platform.sandbox.members(LIST)["n1@shop.test"]["merge_fields"] == {"FNAME": "Ben"}
    assert platform.sandbox.members(LIST)["n0@shop.test"]["merge_fields"]["LTV"] == 12.5
    assert platform.calls.write <= 3


def test_an_address_field_takes_no_text_and_an_unknown_field_is_not_dropped_in_silence() -> None:
    platform = Platform()
    audience = platform.find(["ADDRESS", "FNAME"])
    row = Write("a@shop.test", Status.SUBSCRIBED, {"ADDRESS": "1 Street", "FNAME": "Ann", "SHOE": "44"})
    [outcome] = platform.write(row, audience=audience)
    assert outcome.rejected == "invalid_field"
    assert "ADDRESS: " in (outcome.detail or "")
    assert "SHOE: " in (outcome.detail or "")
    assert platform.sandbox.members(LIST)["a@shop.test"]["merge_fields"] == {"FNAME": "Ann"}


def test_an_address_that_the_answer_does_not_mention_is_rejected_with_a_sentence() -> None:
    platform = refusing(Answer.json({"new_members": [], "updated_members": [], "errors": []}))
    audience = Audience(LIST, "Newsletter")
    [outcome] = platform.write(new("a@shop.test"), audience=audience)
    assert outcome.rejected == "refused"
    assert "nothing" in (outcome.detail or "")


def test_a_status_that_cannot_be_written_is_rejected_without_a_call() -> None:
    platform = Platform()
    audience = platform.find()
    [outcome] = platform.write(new("a@shop.test", Status.ARCHIVED), audience=audience)
    assert outcome.rejected == "unsupported"
    assert platform.calls.write == 0


@pytest.mark.parametrize("fault", ["cut_after", "cut_before", "cut_middle", "truncated", "502_html", "500"])
def test_a_bulk_write_whose_outcome_is_not_known_is_told_and_not_repeated(fault: str) -> None:
    platform = Platform()
    audience = platform.find()
    platform.sandbox.faults.add(fault, method="POST")
    with pytest.raises(Unknown) as caught:
        platform.write(new("a@shop.test"), audience=audience)
    assert "shop.test" not in str(caught.value)
    assert platform.calls.write == 1


def test_a_throttled_bulk_write_is_made_again() -> None:
    platform = Platform()
    audience = platform.find()
    platform.sandbox.faults.add("429", method="POST", times=2)
    [outcome] = platform.write(new("a@shop.test"), audience=audience)
    assert outcome.rejected is None
    assert platform.calls.write == 3


# --- renames and those who wait ----------------------------------------------------------------------


def test_a_rename_keeps_the_entry_and_sends_the_rest() -> None:
    platform = Platform()
    platform.sandbox.add_member(LIST, "old@shop.test", "subscribed", merge_fields={"LNAME": "Lee"})
    platform.read()
    audience = platform.find(["FNAME"])
    row = Write(
        "New@shop.test", Status.SUBSCRIBED, {"FNAME": "Ann"}, exists=True, email_before="Old@shop.test"
    )
    [outcome] = platform.write(row, new("other@shop.test"), audience=audience)[:1]
    assert outcome.rejected is None
    before = platform.ledger["old@shop.test"].remote_id
    platform.ledger.clear()
    platform.read()
    assert set(platform.ledger) == {"new@shop.test", "other@shop.test"}
    assert platform.ledger["new@shop.test"].remote_id == before
    assert platform.sandbox.members(LIST)["New@shop.test"]["merge_fields"] == {"FNAME": "Ann", "LNAME": "Lee"}
    assert platform.calls.write == 2


def test_a_rename_alone_is_one_call_and_leaves_the_status() -> None:
    platform = Platform()
    platform.people(1, "unsubscribed")
    row = Write("new@shop.test", Status.SUBSCRIBED, {}, exists=True, email_before="p0@shop.test")
    [outcome] = platform.write(row)
    assert outcome.status is Status.UNSUBSCRIBED
    assert outcome.remote_id
    assert platform.calls.write == 1


def test_a_rename_onto_somebody_who_is_there_is_refused_and_changes_nothing() -> None:
    platform = Platform()
    platform.people(2)
    audience = platform.find(["FNAME"])
    row = Write("p1@shop.test", Status.SUBSCRIBED, {"FNAME": "Ann"}, exists=True, email_before="p0@shop.test")
    [outcome] = platform.write(row, audience=audience)
    assert outcome.rejected == "refused"
    assert "Member Exists" in (outcome.detail or "")
    assert platform.sandbox.members(LIST)["p1@shop.test"]["merge_fields"] == {}
    assert set(platform.sandbox.members(LIST)) == {"p0@shop.test", "p1@shop.test"}


def test_a_rename_of_somebody_who_is_gone_makes_the_new_entry() -> None:
    platform = Platform()
    row = Write("new@shop.test", Status.TRANSACTIONAL, {}, exists=True, email_before="old@shop.test")
    [outcome] = platform.write(row)
    assert outcome.status is Status.TRANSACTIONAL


def test_a_rename_that_is_cut_off_is_not_repeated() -> None:
    platform = Platform()
    platform.people(1)
    audience = platform.find()
    platform.sandbox.faults.add("cut_after", method="PUT")
    row = Write("new@shop.test", Status.SUBSCRIBED, {}, exists=True, email_before="p0@shop.test")
    with pytest.raises(Unknown):
        platform.write(row, audience=audience)
    assert platform.calls.write == 1


def test_who_waits_for_the_confirmation_gets_the_fields_and_no_second_mail() -> None:
    platform = Platform()
    platform.sandbox.add_merge_field(LIST, "LTV", type="number")
    audience = platform.find(["FNAME", "LTV"])
    platform.write(new("a@shop.test", Status.PENDING), audience=audience)
    assert len(platform.sandbox.confirmation_mails) == 1
    platform.sandbox.confirm(LIST, "a@shop.test")
    row = Write("a@shop.test", Status.PENDING, {"FNAME": "Ann", "LTV": "much"}, exists=True)
    [outcome] = platform.write(row, audience=audience)
    assert outcome.status is Status.SUBSCRIBED
    assert outcome.rejected == "invalid_field"
    assert platform.sandbox.members(LIST)["a@shop.test"]["merge_fields"] == {"FNAME": "Ann"}
    assert len(platform.sandbox.confirmation_mails) == 1
    [nothing] = platform.write(Write("a@shop.test", Status.PENDING, {}, exists=True), audience=audience)
    assert nothing.rejected is None


def test_who_waits_and_is_gone_is_refused_and_not_made_again() -> None:
    platform = Platform()
    audience = platform.find(["FNAME"])
    [outcome] = platform.write(
        Write("a@shop.test", Status.PENDING, {"FNAME": "A"}, exists=True), audience=audience
    )
    assert outcome.rejected == "refused"
    assert platform.sandbox.members(LIST) == {}


# --- tags and removals -------------------------------------------------------------------------------


def test_tags_are_put_on_and_taken_off_in_one_call() -> None:
    platform = Platform()
    platform.people(4)
    platform.sandbox.tag_by_hand(LIST, "p3@shop.test", "VIP")
    audience = platform.find((), ["VIP"])
    platform.clock.now += 60
    outcomes = platform.ask(
        lambda it: it.tag(
            audience,
            "VIP",
            ["P0@shop.test", "no@shop.test", "p1@shop.test"],
            ["p3@shop.test", "p2@shop.test"],
        )
    )
    assert [o.email for o in outcomes] == [
        "P0@shop.test",
        "no@shop.test",
        "p1@shop.test",
        "p3@shop.test",
        "p2@shop.test",
    ]
    assert [o.rejected for o in outcomes] == [None, "refused", None, None, None]
    assert "do not exist" in (outcomes[1].detail or "")
    assert outcomes[0].changed_at == START + 60
    tagged = {email for email, m in platform.sandbox.members(LIST).items() if m["tags"]}
    assert tagged == {"p0@shop.test", "p1@shop.test"}
    assert platform.calls.write == 1
    again = platform.ask(
        lambda it: it.tag(audience, "VIP", ["p0@shop.test"], ["p2@shop.test", "no@shop.test"])
    )
    assert {o.rejected for o in again} == {None}


def test_tags_of_many_go_in_five_hundreds() -> None:
    platform = Platform()
    platform.people(1100)
    platform.sandbox.add_tag("VIP")
    audience = platform.find((), ["VIP"])
    add = [f"p{n}@shop.test" for n in range(1100)]
    outcomes = platform.ask(lambda it: it.tag(audience, "VIP", add, ["p1@shop.test"]))
    assert [o.email for o in outcomes] == [*add, "p1@shop.test"]
    assert platform.calls.write == 3
    assert sum(bool(m["tags"]) for m in platform.sandbox.members(LIST).values()) == 1099


@pytest.mark.parametrize("fault", ["cut_after", "truncated", "502_html"])
def test_a_cut_off_tag_change_is_made_again(fault: str) -> None:
    platform = Platform()
    platform.people(1)
    platform.sandbox.add_tag("VIP")
    audience = platform.find((), ["VIP"])
    platform.sandbox.faults.add(fault, method="POST", times=1)
    [outcome] = platform.ask(lambda it: it.tag(audience, "VIP", ["p0@shop.test"], []))
    assert outcome.rejected is None
    assert platform.sandbox.members(LIST)["p0@shop.test"]["tags"] == ["VIP"]


def test_an_unknown_or_vanished_tag_stops_with_its_name() -> None:
    platform = Platform()
    platform.sandbox.add_tag("VIP")
    audience = platform.find((), ["VIP", "Nothing"])
    error = stopped(lambda: platform.ask(lambda it: it.tag(audience, "Nothing", ["a@shop.test"], [])))
    assert error.kind == "not_found"
    assert "Nothing" in error.message
    platform.sandbox.delete_tag(LIST, "VIP")
    gone = stopped(lambda: platform.ask(lambda it: it.tag(audience, "VIP", ["a@shop.test"], [])))
    assert gone.kind == "not_found"


def members(*emails: str, status: Status = Status.SUBSCRIBED) -> list[Member]:
    return [Member(email, status) for email in emails]


def removed(platform: Platform, rows: list[Member], form: str) -> list[Outcome]:
    audience = platform.find()
    return list(platform.ask(lambda it: it.remove(audience, rows, form)))


def test_the_mildest_removal_archives_and_whoever_is_gone_is_no_error() -> None:
    platform = Platform()
    platform.people(30)
    platform.sandbox.archive_by_hand(LIST, "p1@shop.test")
    emails = ["P0@shop.test", "p1@shop.test", "no@shop.test", *(f"p{n}@shop.test" for n in range(2, 30))]
    outcomes = removed(platform, members(*emails), Mailchimp.capabilities.removals[0])
    assert [o.email for o in outcomes] == emails
    assert {o.rejected for o in outcomes} == {None}
    assert {o.status for o in outcomes} == {Status.ARCHIVED}
    assert {m["status"] for m in platform.sandbox.members(LIST).values()} == {"archived"}
    assert platform.sandbox.peak_simultaneous <= 10
    assert {r.path for r in platform.sandbox.requests if r.method == "DELETE"} >= {
        f"/lists/{LIST}/members/{hashlib.md5(b'p0@shop.test', usedforsecurity=False).hexdigest()}"
    }


def test_somebody_who_waits_cannot_be_archived_and_that_is_told() -> None:
    platform = Platform()
    platform.people(1, "pending")
    [outcome] = removed(platform, members("p0@shop.test", status=Status.PENDING), "archive")
    assert outcome.rejected == "refused"
    assert "pending" in (outcome.detail or "")
    assert platform.status("p0@shop.test") == "pending"


def test_a_removal_by_unsubscribing_goes_in_five_hundreds() -> None:
    platform = Platform()
    platform.people(1001)
    platform.sandbox.delete_permanently(LIST, "p1000@shop.test")
    outcomes = removed(platform, members(*(f"p{n}@shop.test" for n in range(1001))), "unsubscribe")
    assert {o.rejected for o in outcomes} == {None}
    assert outcomes[0].status is Status.UNSUBSCRIBED
    assert outcomes[1000].status is Status.ABSENT
    assert platform.calls.write == 3
    assert {m["status"] for m in platform.sandbox.members(LIST).values()} == {"unsubscribed"}


def test_a_removal_for_good_and_again() -> None:
    platform = Platform()
    platform.people(1)
    for _ in range(2):
        [outcome] = removed(platform, members("p0@shop.test"), "delete")
        assert outcome.rejected is None
        assert outcome.status is Status.ABSENT
    assert platform.sandbox.members(LIST) == {}


def test_a_form_that_does_not_exist_is_a_configuration_error() -> None:
    error = stopped(lambda: removed(Platform(), members("a@shop.test"), "untag"))
    assert isinstance(error, Misconfigured)
    assert "archive, unsubscribe, delete" in error.message


@pytest.mark.parametrize("form", ["archive", "delete"])
def test_a_removal_that_is_cut_off_is_made_again(form: str) -> None:
    platform = Platform()
    platform.people(3)
    platform.sandbox.faults.add("cut_after", path="/members/", every=2)
    outcomes = removed(platform, members(*(f"p{n}@shop.test" for n in range(3))), form)
    assert {o.rejected for o in outcomes} == {None}


# --- the vendor's description ------------------------------------------------------------------------


def scenario() -> list[Request]:
    """Every kind of request that the connector makes."""
    platform = Platform(double_optin=True)
    platform.people(3)
    platform.people(1, "pending", start=5)
    fields, tags = ["FNAME", "COLOUR"], ["VIP"]
    platform.ask(lambda it: it.check())
    platform.ask(lambda it: it.create("Second"))
    audience = platform.find(fields, tags)
    audience = platform.ask(lambda it: it.prepare(audience, fields, tags))
    platform.read(audience)
    platform.write(
        new("a@shop.test", FNAME="Ann"),
        Write("b@shop.test", Status.SUBSCRIBED, {"COLOUR": "red"}, exists=True, email_before="p0@shop.test"),
        Write("p5@shop.test", Status.PENDING, {"FNAME": "Ann"}, exists=True),
        audience=audience,
    )
    platform.ask(lambda it: it.tag(audience, "VIP", ["a@shop.test"], ["p1@shop.test"]))
    platform.sandbox.add_member(LIST, "t@shop.test", "subscribed", tags=[f"T{n}" for n in range(60)])
    platform.look(audience=audience, thorough=True)
    for form in Mailchimp.capabilities.removals:
        removed(platform, members("a@shop.test"), form)
    platform.ask(lambda it: it.contacts())
    return platform.sandbox.requests


def described(spec: dict[str, Any], request: Request) -> dict[str, Any]:
    for path, operations in spec["paths"].items():
        if (
            re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), request.path)
            and request.method.lower() in operations
        ):
            return dict(operations[request.method.lower()])
    raise AssertionError(f"{request.method} {request.path} is not in the description.")


def test_every_request_is_one_that_the_vendor_describes() -> None:
    """Paths, query parameters and bodies against the vendor's machine-readable description."""
    if not SPEC.exists():
        pytest.skip(f"The vendor's description is not at {SPEC}; LISTBRIDGE_SHARED names the folder.")
    spec = json.loads(SPEC.read_bytes())
    kinds = set()
    for request in scenario():
        operation = described(spec, request)
        kinds.add((request.method, operation["operationId"]))
        schemas = {p["name"]: p.get("schema", {}) for p in operation.get("parameters", [])}
        assert set(request.query) <= set(schemas), request.path
        for name, value in request.query.items():
            assert value in schemas[name].get("enum", [value])
            assert int(value) <= schemas[name].get("maximum", 1000) if name == "count" else True
        if request.body:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            jsonschema.validate(request.json(), schema)
    assert len(kinds) >= 14


def recorded(name: str) -> list[dict[str, Any]]:
    path = SPEC.parent / "fixtures" / name
    if not path.exists():
        pytest.skip(f"The recorded answers are not at {path}; LISTBRIDGE_SHARED names the folder.")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_recorded_members_are_translated() -> None:
    """Pages and single members as the live API gave them."""
    audience = Audience(LIST, "N", fields={"First": "FNAME", "LTV": "LTV"}, facts={"asked_fields": True})
    answers = recorded("members_paging_since_last_changed.jsonl") + recorded("members_lifecycle_part1.jsonl")
    bodies = [each["response"] for each in answers if isinstance(each["response"], dict)]
    rows = [row for body in bodies for row in body.get("members", [body]) if "contact_id" in row]
    there = [member_of(audience, row) for row in rows]
    assert {member.status for member in there} == {Status.SUBSCRIBED, Status.UNSUBSCRIBED}
    assert all(m.changed_at and m.opted_in_at and m.opted_in_at <= m.changed_at for m in there)
    assert {"15.5", "668.3", ""} <= {(member.fields or {})["LTV"] for member in there}


def test_recorded_refusals_have_our_names() -> None:
    path = SPEC.parent / "fixtures" / "errors.json"
    if not path.exists():
        pytest.skip(f"The recorded errors are not at {path}; LISTBRIDGE_SHARED names the folder.")
    bodies = [each["body"] for each in json.loads(path.read_bytes()) if each["http_status"] == 400]
    names = [refusal("a@b.test", f"{x.get('title')}: {x['detail']}").rejected for x in bodies]
    assert names[:3] == ["suppressed", "refused", "invalid_field"]
