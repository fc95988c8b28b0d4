"""What every destination must do, as tests that a connector's own test class inherits.

Give the class a fixture ``bench``, a :class:`DestinationBench` over a stand-in of the platform.
Capabilities are tested both ways: what is claimed works, what is not claimed is refused and never ignored.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import pytest

from listbridge.changes import Outcome, Write
from listbridge.connectors.base import Audience, Destination, Look, Member
from listbridge.errors import ListbridgeError, Stop, Unknown
from listbridge.identity import key_of
from listbridge.model import MEMBER_STATUSES, Status
from listbridge.testing import AWKWARD_NAMES

ANNA, BEN = "anna@shop.example", "ben@shop.example"
LIST, FIELD, TAG = "Contract", "FNAME", "club"


class DestinationBench(Protocol):
    """A platform with one audience called ``Contract`` that has a text field ``FNAME``.

    ``refused`` is an address that the platform does not take. A hook that a platform has no form of calls
    ``pytest.skip`` with the reason.
    """

    refused: str

    def open(self) -> Destination:
        """The connector, over the stand-in."""

    def audience_id(self) -> str: ...

    def second_of_the_same_name(self) -> str:
        """Another audience called ``Contract``; gives back its id."""

    def status(self, email: str) -> Status:
        """The person in the audience as the platform has it: ``absent`` if it does not know them."""

    def field(self, email: str) -> str: ...

    def tags(self, email: str) -> set[str]: ...

    def leave(self, email: str, status: Status) -> None:
        """The person unsubscribes, or the mailbox bounces."""

    def edit(self, email: str, value: str) -> None:
        """Somebody changes ``FNAME`` by hand."""

    def later(self) -> None:
        """Some time passes."""

    def fault(self, do: str, *, writes: bool = False) -> None:
        """From now on requests (only those that write) go wrong: ``expired_key``, ``redirect``, ``html``,
        ``cut_after``."""

    def calls(self) -> int:
        """Requests so far."""


class DestinationContract:
    """Inherited, never run by itself."""

    # --- audiences ---

    def test_an_audience_is_found_by_id_and_by_exact_name(self, bench: DestinationBench) -> None:
        for found in (
            _with(bench, _found),
            _with(bench, lambda there: there.find(bench.audience_id(), (FIELD,), ())),
        ):
            assert (found.id, found.name, set(found.fields)) == (bench.audience_id(), LIST, {FIELD})
        assert _with(bench, lambda there: there.find("Contrac", (), ())) is None

    def test_two_audiences_of_one_name_are_an_error_with_both_ids(self, bench: DestinationBench) -> None:
        second = bench.second_of_the_same_name()
        with pytest.raises(Stop) as stopped:
            _with(bench, lambda there: there.find(LIST, (), ()))
        assert stopped.value.kind == "not_found"
        assert bench.audience_id() in stopped.value.message
        assert second in stopped.value.message
        assert _with(bench, lambda there: there.find(second, (), ())).id == second

    def test_an_audience_that_was_made_is_found(self, bench: DestinationBench) -> None:
        made = _with(bench, lambda there: there.create("Fresh"))
        assert _with(bench, lambda there: there.find("Fresh", (), ())).id == made.id

    def test_fields_and_tags_that_are_missing_are_made_once(self, bench: DestinationBench) -> None:
        async def twice(there: Destination) -> list[Audience]:
            audience = await _found(there)
            tags = (TAG,) if there.capabilities.tags else ()
            return [await there.prepare(audience, (FIELD, "Town"), tags) for _ in range(2)]

        first, second = _with(bench, twice)
        assert (first.fields, first.tags) == (second.fields, second.tags)
        assert set(first.fields) == {FIELD, "Town"}

    # --- writing ---

    def test_people_are_written_with_one_outcome_each_in_order(self, bench: DestinationBench) -> None:
        rows = [_new(f"p{n}@shop.example", name=f"F{n}") for n in range(7)]
        outcomes = _written(bench, rows)
        assert [one.email for one in outcomes] == [row.email for row in rows]
        assert {one.rejected for one in outcomes} == {None}
        assert {bench.status(row.email) for row in rows} == {Status.SUBSCRIBED}
        assert bench.field("p3@shop.example") == "F3"

    def test_a_batch_as_big_as_is_claimed_is_taken(self, bench: DestinationBench) -> None:
        size = bench.open().capabilities.batch_size
        outcomes = _written(bench, [_new(f"p{n:04}@shop.example") for n in range(size)])
        assert len(outcomes) == size
        assert all(one.rejected is None for one in outcomes)

    def test_one_refused_row_does_not_stop_the_others_and_has_the_platforms_words(
        self, bench: DestinationBench
    ) -> None:
        outcomes = _written(bench, [_new(ANNA), _new(bench.refused), _new(BEN)])
        assert [one.rejected is None for one in outcomes] == [True, False, True]
        assert outcomes[1].detail
        assert (bench.status(ANNA), bench.status(BEN)) == (Status.SUBSCRIBED, Status.SUBSCRIBED)

    def test_awkward_values_are_held_as_canonical_says(self, bench: DestinationBench) -> None:
        rows = [_new(f"n{n}@shop.example", name=name) for n, name in enumerate(AWKWARD_NAMES)]
        _written(bench, rows)

        async def promised(there: Destination) -> list[str]:
            audience = await _found(there)
            return [there.canonical(audience, FIELD, name) for name in AWKWARD_NAMES]

        expected = dict(zip((row.email for row in rows), _with(bench, promised), strict=True))
        assert {email: bench.field(email) for email in expected} == expected
        read = {one.email: (one.fields or {}).get(FIELD) for one in _members(bench)}
        assert read == expected

    def test_canonical_leaves_alone_what_it_has_given(self, bench: DestinationBench) -> None:
        async def twice(there: Destination) -> list[tuple[str, str]]:
            audience = await _found(there)
            once = [there.canonical(audience, FIELD, name) for name in AWKWARD_NAMES]
            return [(value, there.canonical(audience, FIELD, value)) for value in once]

        assert all(first == second for first, second in _with(bench, twice))

    def test_twins_by_letter_case_are_one_person(self, bench: DestinationBench) -> None:
        _written(bench, [_new(ANNA, name="Old")])
        outcomes = _written(bench, [_known("ANNA@shop.example", {FIELD: "New"})])
        assert outcomes[0].rejected is None
        assert len(_members(bench)) == 1
        assert bench.field(ANNA) == "New"

    def test_an_empty_value_empties_and_a_field_not_named_stays(self, bench: DestinationBench) -> None:
        _written(bench, [_new(ANNA, name="Anna"), _new(BEN, name="Ben")])
        _written(bench, [_known(ANNA, {FIELD: ""}), _known(BEN, {})])
        assert (bench.field(ANNA), bench.field(BEN)) == ("", "Ben")

    @pytest.mark.parametrize("status", [Status.PENDING, Status.TRANSACTIONAL])
    def test_a_status_is_written_if_claimed_and_refused_otherwise(
        self, bench: DestinationBench, status: Status
    ) -> None:
        able = bench.open().capabilities
        claimed = able.pending if status is Status.PENDING else able.transactional
        (outcome,) = _written(bench, [_new(ANNA, status)])
        assert (outcome.rejected is None) is claimed
        assert bench.status(ANNA) is (status if claimed else Status.ABSENT)

    @pytest.mark.parametrize("left", [Status.UNSUBSCRIBED, Status.BOUNCED])
    def test_who_has_left_is_not_brought_back_by_a_write(self, bench: DestinationBench, left: Status) -> None:
        _written(bench, [_new(ANNA), _new(BEN)])
        bench.leave(ANNA, left)
        outcomes = _written(bench, [_known(ANNA, {FIELD: "New"}), _known(BEN, {FIELD: "New"})])
        assert bench.status(ANNA) is left
        assert outcomes[0].rejected is not None or outcomes[0].status is left
        assert (outcomes[1].rejected, bench.field(BEN)) == (None, "New")

    def test_an_opt_out_is_written(self, bench: DestinationBench) -> None:
        _written(bench, [_new(ANNA)])
        row = Write(ANNA, Status.UNSUBSCRIBED, {}, exists=True, changes_status=True)
        assert _written(bench, [row])[0].rejected is None
        assert bench.status(ANNA) is Status.UNSUBSCRIBED

    def test_an_entry_is_renamed_where_that_is_claimed(self, bench: DestinationBench) -> None:
        if not bench.open().capabilities.renames:
            pytest.skip("cannot rename: the engine removes the old entry and makes a new one")
        _written(bench, [_new(ANNA, name="Anna")])
        row = Write("anne@shop.example", Status.SUBSCRIBED, {FIELD: "Anne"}, exists=True, email_before=ANNA)
        assert _written(bench, [row])[0].rejected is None
        assert [one.email for one in _members(bench)] == ["anne@shop.example"]
        assert bench.field("anne@shop.example") == "Anne"

    # --- tags ---

    def test_a_tag_is_put_on_and_taken_off_and_both_may_be_repeated(self, bench: DestinationBench) -> None:
        if not bench.open().capabilities.tags:
            pytest.skip("has no tags")
        _written(bench, [_new(ANNA), _new(BEN)])
        for add, remove, expected in (((ANNA, BEN), (), {TAG}), ((), (ANNA,), set())):
            for _ in range(2):
                outcomes = _tagged(bench, add, remove)
                assert [one.email for one in outcomes] == [*add, *remove]
                assert all(one.rejected is None for one in outcomes)
            assert bench.tags(ANNA) == expected
        assert bench.tags(BEN) == {TAG}

    # --- removing ---

    def test_every_form_of_removal_takes_out_and_may_be_repeated(self, bench: DestinationBench) -> None:
        for n, form in enumerate(bench.open().capabilities.removals):
            email = f"p{n}@shop.example"
            _written(bench, [_new(email), _new(f"stays{n}@shop.example")])
            for _ in range(2):
                (outcome,) = _removed(bench, [Member(email, Status.SUBSCRIBED)], form)
                assert outcome.rejected is None
            assert bench.status(email) not in MEMBER_STATUSES
            assert bench.status(f"stays{n}@shop.example") is Status.SUBSCRIBED

    def test_the_mildest_form_does_not_keep_people_from_coming_back(self, bench: DestinationBench) -> None:
        mildest = bench.open().capabilities.removals[0]
        _written(bench, [_new(ANNA)])
        _removed(bench, [Member(ANNA, Status.SUBSCRIBED)], mildest)
        row = Write(ANNA, Status.SUBSCRIBED, {}, exists=True, changes_status=True)
        assert _written(bench, [row])[0].rejected is None
        assert bench.status(ANNA) is Status.SUBSCRIBED

    def test_a_form_that_is_not_claimed_is_refused(self, bench: DestinationBench) -> None:
        _written(bench, [_new(ANNA)])
        with pytest.raises(ListbridgeError):
            _removed(bench, [Member(ANNA, Status.SUBSCRIBED)], "vaporise")
        assert bench.status(ANNA) is Status.SUBSCRIBED

    # --- reading ---

    def test_reading_gives_everybody_once_as_they_are(self, bench: DestinationBench) -> None:
        number = bench.open().capabilities.page_size + 1
        size = bench.open().capabilities.batch_size
        rows = [_new(f"p{n:05}@shop.example", name=f"F{n}") for n in range(number)]
        for start in range(0, number, size):
            _written(bench, rows[start : start + size])
        bench.leave("p00000@shop.example", Status.UNSUBSCRIBED)
        read = _members(bench)
        assert len(read) == len({key_of(one.email) for one in read}) == number
        by_email = {one.email: one for one in read}
        assert by_email["p00000@shop.example"].status is Status.UNSUBSCRIBED
        assert (by_email["p00007@shop.example"].fields or {}).get(FIELD) == "F7"

    def test_a_look_after_nothing_happened_is_one_call_and_later_ones_find_what_did(
        self, bench: DestinationBench
    ) -> None:
        _written(bench, [_new(ANNA), _new(BEN), _new("cleo@shop.example")])
        bench.later()
        memory = _Memory()
        _looked(bench, memory)
        bench.later()
        assert _looked(bench, memory) == 1
        bench.leave(ANNA, Status.UNSUBSCRIBED)
        bench.leave(BEN, Status.BOUNCED)
        bench.edit("cleo@shop.example", "By hand")
        bench.later()
        _looked(bench, memory)
        assert memory.statuses() == {
            ANNA: Status.UNSUBSCRIBED,
            BEN: Status.BOUNCED,
            "cleo@shop.example": Status.SUBSCRIBED,
        }
        assert (memory.people[key_of("cleo@shop.example")].fields or {}).get(FIELD) == "By hand"

    def test_the_number_of_contacts_grows_with_the_people(self, bench: DestinationBench) -> None:
        before = _with(bench, lambda there: there.contacts())
        _written(bench, [_new(ANNA), _new(BEN)])
        assert _with(bench, lambda there: there.contacts()) == before + 2

    # --- errors ---

    @pytest.mark.parametrize(
        ("do", "kind"),
        [("expired_key", "credentials"), ("redirect", "redirected"), ("html", "unreachable")],
    )
    def test_what_a_person_must_mend_stops_reads_and_writes_alike(
        self, bench: DestinationBench, do: str, kind: str
    ) -> None:
        audience = _with(bench, _found)
        bench.fault(do)
        for attempt in (
            lambda there: there.check(),
            lambda there: there.find(LIST, (), ()),
            lambda there: _collected(there, audience),
            lambda there: there.write(audience, [_new(ANNA)]),
        ):
            with pytest.raises(Stop) as stopped:
                _with(bench, attempt)
            assert stopped.value.kind == kind
            assert stopped.value.message.endswith(".")
        assert bench.status(ANNA) is Status.ABSENT

    @pytest.mark.parametrize("do", ["expired_key", "redirect", "html"])
    def test_what_a_person_must_mend_stops_removals_too(self, bench: DestinationBench, do: str) -> None:
        _written(bench, [_new(ANNA)])
        audience, mildest = _with(bench, _found), bench.open().capabilities.removals[0]
        bench.fault(do)
        with pytest.raises(Stop):
            _with(bench, lambda there: there.remove(audience, [Member(ANNA, Status.SUBSCRIBED)], mildest))
        assert bench.status(ANNA) is Status.SUBSCRIBED

    def test_a_write_whose_answer_is_lost_is_not_blindly_repeated(self, bench: DestinationBench) -> None:
        audience = _with(bench, _found)
        bench.fault("cut_after", writes=True)
        before = bench.calls()
        with pytest.raises(Unknown):
            _with(bench, lambda there: there.write(audience, [_new(ANNA)]))
        assert bench.calls() - before == 1

    def test_the_check_says_what_may_be_done(self, bench: DestinationBench) -> None:
        assert _with(bench, lambda there: there.check()).can


class _Memory:
    """A ledger small enough for a test."""

    def __init__(self) -> None:
        self.people: dict[bytes, Member] = {}
        self.cursor: str | None = None

    def count_after(self, at: float | None) -> int:
        gone = (Status.ARCHIVED, Status.ABSENT)
        listed = [one for one in self.people.values() if one.status not in gone]
        return sum(at is None or (one.changed_at or 0.0) > at for one in listed)

    def statuses(self) -> dict[str, Status]:
        return {one.email: one.status for one in self.people.values()}


def _new(email: str, status: Status = Status.SUBSCRIBED, *, name: str = "") -> Write:
    return Write(email, status, {FIELD: name} if name else {}, changes_status=True)


def _known(email: str, fields: dict[str, str]) -> Write:
    return Write(email, Status.SUBSCRIBED, fields, exists=True)


def _with(bench: DestinationBench, act: Callable[[Destination], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        there = bench.open()
        try:
            return await act(there)
        finally:
            await there.close()

    return asyncio.run(go())


async def _found(there: Destination) -> Audience:
    found = await there.find(LIST, (FIELD,), (TAG,) if there.capabilities.tags else ())
    assert found is not None
    return found


def _written(bench: DestinationBench, rows: Sequence[Write]) -> Sequence[Outcome]:
    async def go(there: Destination) -> Sequence[Outcome]:
        return await there.write(await _found(there), rows)

    outcomes: Sequence[Outcome] = _with(bench, go)
    return outcomes


def _tagged(bench: DestinationBench, add: Sequence[str], remove: Sequence[str]) -> Sequence[Outcome]:
    async def go(there: Destination) -> Sequence[Outcome]:
        audience = await there.prepare(await _found(there), (FIELD,), (TAG,))
        return await there.tag(audience, TAG, add, remove)

    outcomes: Sequence[Outcome] = _with(bench, go)
    return outcomes


def _removed(bench: DestinationBench, rows: Sequence[Member], form: str) -> Sequence[Outcome]:
    async def go(there: Destination) -> Sequence[Outcome]:
        return await there.remove(await _found(there), rows, form)

    outcomes: Sequence[Outcome] = _with(bench, go)
    return outcomes


async def _collected(there: Destination, audience: Audience) -> list[Member]:
    return [one async for page in there.members(audience) for one in page.members]


def _members(bench: DestinationBench) -> list[Member]:
    async def go(there: Destination) -> list[Member]:
        return await _collected(there, await _found(there))

    read: list[Member] = _with(bench, go)
    return read


def _looked(bench: DestinationBench, memory: _Memory) -> int:
    """As the engine does: everybody first, later what changed; each page into the memory before the next.

    Gives back how many calls that took.
    """
    audience = _with(bench, _found)
    before = bench.calls()

    async def go(there: Destination) -> None:
        if memory.cursor is None:
            pages = there.members(audience)
        else:
            pages = there.changed(audience, Look(memory.cursor, memory.count_after), thorough=False)
        async for page in pages:
            memory.people |= {key_of(one.email): one for one in page.members}
            memory.cursor = page.cursor or memory.cursor

    _with(bench, go)
    return bench.calls() - before
