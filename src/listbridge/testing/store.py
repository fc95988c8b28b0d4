"""What a store must do, on whichever database: inherit :class:`StoreContract` and give it a ``store``."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from listbridge.changes import Change, News, What
from listbridge.consent import Suppression
from listbridge.model import MEMBER_STATUSES, Consent, Contact, Label, Status, Word
from listbridge.planner import UNTAG, Held
from listbridge.selection import Wanted
from listbridge.store import Store, ledger, mirror, news, people, plans, runs, targets
from listbridge.store.ledger import PAGE, Entry
from listbridge.store.mirror import MirrorRow, SourceState
from listbridge.store.plans import Planned
from listbridge.store.runs import ReportRow
from listbridge.store.tables import label

# Each example empties what it needs; the test is inherited by a class for each database.
_SETTINGS = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
_AWKWARD = "nul \0 and half \ud800 a pair"
_FITTING = "nul \ufffd and half \ufffd a pair"


def key(number: int) -> bytes:
    """The key of a person with a number, in the order of numbers."""
    return number.to_bytes(16, "big")


def person(contact_id: str = "1", email: str = "ann@example.com", **given: object) -> Contact:
    """A contact as a source may tell it."""
    return replace(Contact(contact_id, email, attributes={"city": "Köln"}), **given)  # type: ignore[arg-type]


def mirror_row(contact_id: str, of: bytes, **given: object) -> MirrorRow:
    """A row for the mirror, of the person with a key."""
    return replace(MirrorRow(contact_id, of, b"fp", 1, 0, person(contact_id)), **given)  # type: ignore[arg-type]


def entry(number: int, **given: object) -> Entry:
    """A row for the ledger: a subscribed member."""
    one = Entry(key(number), Held(f"{number}@example.com", Status.SUBSCRIBED), b"fp")
    return replace(one, **given)  # type: ignore[arg-type]


def change(number: int, what: What = What.CREATE, **given: object) -> Change:
    """A planned change."""
    one = Change(key(number), f"{number}@example.com", what, "new", Status.SUBSCRIBED, {"NAME": "Ann"})
    return replace(one, **given)  # type: ignore[arg-type]


def want(number: int) -> Wanted:
    """What is wanted of a person."""
    return Wanted(f"{number}@example.com", True, {"NAME": "Ann"}, ("vip",), Word.GRANTED, 5.0, 1)


class StoreContract:
    """One test for each promise; the fixture ``store`` is an empty store."""

    # --- transactions ---

    def test_a_write_that_fails_leaves_nothing_behind(self, store: Store) -> None:
        with pytest.raises(ZeroDivisionError), store.write() as connection:
            _half_written(connection)
        with store.read() as connection:
            assert mirror.state_of(connection, "shop") == SourceState()
            assert ledger.entries(connection, 1, [key(1)]) == {}

    def test_a_write_that_ends_well_is_there_for_the_next_reader(self, store: Store) -> None:
        with store.write() as connection:
            mirror.save_state(connection, "shop", seq=7)
        with store.read() as connection:
            assert mirror.state_of(connection, "shop").seq == 7

    def test_a_reader_may_begin_inside_a_writer(self, store: Store) -> None:
        with store.write() as connection:
            mirror.save_state(connection, "shop", seq=7)
            with store.read() as inner:
                assert mirror.state_of(inner, "other") == SourceState()
        with store.read() as connection:
            assert mirror.state_of(connection, "shop").seq == 7

    # --- sources ---

    def test_parts_of_a_sources_state_change_and_the_others_stay(self, store: Store) -> None:
        with store.write() as connection:
            mirror.save_state(connection, "shop", seq=1, cursor="abc")
            mirror.save_state(connection, "shop", read_at=5.5, complete_at=6.5, complete_count=3)
            assert mirror.state_of(connection, "shop") == SourceState(1, "abc", 5.5, 6.5, 3)

    # --- mirror ---

    def test_a_row_comes_back_as_it_was_saved(self, store: Store) -> None:
        one = Contact(
            "7",
            "ann@example.com",
            Consent(Word.GRANTED, 1.5, "form"),
            True,
            ("g1", "g2"),
            ("s",),
            3,
            9.5,
            {"city": "Köln", "note": "a\0b"},
        )
        with store.write() as connection:
            mirror.save_rows(connection, "shop", [MirrorRow("7", key(1), b"\x00\xff", 4, 2, one)])
            ((found, statements),) = mirror.people_named(connection, "shop", [key(1), key(2)])
            known = mirror.known(connection, "shop", ["7", "8"])
            assert found == key(1)
            assert [(said.contact, said.consent_seq) for said in statements] == [(one, 2)]
            assert mirror.known_contacts(connection, "shop", [key(1)]) == {key(1): [one]}
            (fingerprint, number) = mirror.fingerprints(connection, "shop", ["7", "8"])["7"]
            assert fingerprint == b"\x00\xff"
            assert number == mirror.newest_row(connection)
            seen = known["7"]
            assert (seen.n, seen.key, seen.word, seen.consent_seq, seen.deleted) == (
                number, key(1), Word.GRANTED, 2, False,
            )  # fmt: skip
            assert (seen.consent_at, seen.consent_origin) == (1.5, "form")
            assert set(known) == {"7"}

    def test_a_row_saved_again_replaces_the_first_and_keeps_its_number(self, store: Store) -> None:
        with store.write() as connection:
            mirror.save_rows(connection, "shop", [mirror_row("1", key(1))])
            before = mirror.known(connection, "shop", ["1"])["1"].n
            changed = mirror_row(
                "1", key(2), fp=b"new", seq=2, consent_seq=2, contact=person("1", "new@x.de")
            )
            mirror.save_rows(connection, "shop", [changed])
            assert mirror.known(connection, "shop", ["1"])["1"].n == before
            assert mirror.fingerprints(connection, "shop", ["1"]) == {"1": (b"new", before)}
            assert mirror.people_named(connection, "shop", [key(1)]) == []
            assert mirror.people_named(connection, "shop", [key(2)])[0][1][0].contact.email == "new@x.de"
            assert mirror.count(connection, "shop") == 1

    def test_of_two_rows_with_one_id_in_one_page_the_later_is_kept(self, store: Store) -> None:
        with store.write() as connection:
            mirror.save_rows(connection, "shop", [mirror_row("1", key(1)), mirror_row("1", key(2))])
            assert mirror.known(connection, "shop", ["1"])["1"].key == key(2)

    def test_sources_do_not_see_each_other(self, store: Store) -> None:
        with store.write() as connection:
            mirror.save_state(connection, "shop", seq=1)
            mirror.save_state(connection, "crm", seq=1)
            mirror.save_rows(connection, "shop", [mirror_row("1", key(1))])
            mirror.save_moves(connection, "shop", 1, [(key(8), key(9))])
            assert mirror.count(connection, "crm") == 0
            assert mirror.fingerprints(connection, "crm", ["1"]) == {}
            assert mirror.known(connection, "crm", ["1"]) == {}
            assert mirror.people(connection, "crm", b"") == []
            assert list(mirror.live_rows(connection, "crm", 99)) == []
            assert mirror.changed_keys(connection, "crm", 0, b"") == []
            assert mirror.former_keys(connection, "crm", [key(9)]) == {}
            mirror.mark_deleted(connection, "crm", 1, ["1"])
            assert mirror.count(connection, "shop") == 1

    def test_a_deleted_row_is_gone_but_its_word_is_known_until_it_returns(self, store: Store) -> None:
        with store.write() as connection:
            mirror.save_rows(connection, "shop", [mirror_row("1", key(1)), mirror_row("2", key(2))])
            top = mirror.newest_row(connection)
            mirror.mark_deleted(connection, "shop", 2, ["1"])
            known = mirror.known(connection, "shop", ["1"])["1"]
            assert known.deleted
            assert known.word is Word.UNKNOWN
            assert mirror.fingerprints(connection, "shop", ["1"])["1"][0] == b""
            assert [id for _, id in mirror.live_rows(connection, "shop", top)] == ["2"]
            assert mirror.count(connection, "shop") == 1
            assert [found for found, _ in mirror.people(connection, "shop", b"")] == [key(2)]
            mirror.save_rows(connection, "shop", [mirror_row("1", key(1))])
            assert mirror.count(connection, "shop") == 2

    def test_a_row_that_is_deleted_already_is_not_touched_again(self, store: Store) -> None:
        with store.write() as connection:
            mirror.save_state(connection, "shop", seq=3)
            mirror.save_rows(connection, "shop", [mirror_row("1", key(1))])
            mirror.mark_deleted(connection, "shop", 2, ["1"])
            mirror.mark_deleted(connection, "shop", 3, ["1"])
            assert mirror.changed_keys(connection, "shop", 2, b"") == []

    def test_live_rows_stop_at_the_number_given_and_go_beyond_one_page(self, store: Store) -> None:
        total = PAGE + 10
        with store.write() as connection:
            mirror.save_rows(connection, "shop", [mirror_row(str(n), key(n)) for n in range(total)])
            top = mirror.newest_row(connection)
            live = list(mirror.live_rows(connection, "shop", top - 1))
            assert [id for _, id in live] == [str(n) for n in range(total - 1)]

    def test_a_row_with_a_problem_is_told_and_is_nobody(self, store: Store) -> None:
        with store.write() as connection:
            bad = mirror_row("2", key(2), problem=f"bad_id: {_AWKWARD}")
            mirror.save_rows(connection, "shop", [mirror_row("1", key(1)), bad])
            assert mirror.problems(connection, "shop") == [("2", f"bad_id: {_FITTING}")]
            assert [found for found, _ in mirror.people(connection, "shop", b"")] == [key(1)]
            mirror.mark_deleted(connection, "shop", 2, ["2"])
            assert mirror.problems(connection, "shop") == []

    def test_people_come_in_order_with_all_their_rows_over_many_pages(self, store: Store) -> None:
        """One person's rows lie across the border of a page."""
        with store.write() as connection:
            owners = [*range(PAGE - 2), *[PAGE] * 5, *range(PAGE + 1, PAGE + 40)]
            rows = [mirror_row(f"{n:06}", key(owner)) for n, owner in enumerate(owners)]
            random.Random(1).shuffle(rows)  # noqa: S311 - an order, not a secret
            mirror.save_rows(connection, "shop", rows)
            found = _people(connection)
            assert [one for one, _ in found] == [key(n) for n in sorted(set(owners))]
            assert found[PAGE - 2] == (key(PAGE), [f"{n:06}" for n in range(PAGE - 2, PAGE + 3)])
            assert sum(len(ids) for _, ids in found) == len(owners)

    def test_a_person_with_more_rows_than_a_page_is_still_one_person(self, store: Store) -> None:
        with store.write() as connection:
            owners = [1, *[2] * (PAGE + 3), 3]
            rows = [mirror_row(f"{n:06}", key(owner)) for n, owner in enumerate(owners)]
            mirror.save_rows(connection, "shop", rows)
            assert [(found, len(ids)) for found, ids in _people(connection)] == [
                (key(1), 1), (key(2), PAGE + 3), (key(3), 1),
            ]  # fmt: skip

    def test_keys_may_hold_every_byte_and_sort_as_bytes(self, store: Store) -> None:
        keys = [bytes([n]) * 16 for n in range(256)] + [bytes([n, *range(15)]) for n in range(256)]
        with store.write() as connection:
            mirror.save_rows(connection, "shop", [mirror_row(one.hex(), one) for one in keys])
            ledger.save_entries(connection, 1, [replace(entry(0), key=one) for one in keys])
            assert [found for found, _ in mirror.people(connection, "shop", b"")] == sorted(keys)
            assert ledger.unknown_keys(connection, 1, b"", owned_only=False) == sorted(keys)
            assert set(ledger.entries(connection, 1, keys)) == set(keys)

    def test_more_ids_than_one_statement_takes_are_found(self, store: Store) -> None:
        with store.write() as connection:
            mirror.save_rows(connection, "shop", [mirror_row("69999", key(1)), mirror_row("0", key(2))])
            ledger.save_entries(connection, 1, [entry(1)])
            many = [key(n) for n in reversed(range(70_000))]
            assert set(mirror.fingerprints(connection, "shop", [str(n) for n in range(70_000)])) == {
                "0",
                "69999",
            }
            assert set(mirror.known(connection, "shop", [str(n) for n in range(70_000)])) == {"0", "69999"}
            assert set(ledger.entries(connection, 1, many)) == {key(1)}
            ledger.drop_entries(connection, 1, many)
            assert ledger.entries(connection, 1, [key(1)]) == {}

    def test_changed_keys_are_those_of_later_reads_and_of_former_addresses(self, store: Store) -> None:
        with store.write() as connection:
            mirror.save_state(connection, "shop", seq=4)
            rows = [mirror_row(str(n), key(n), seq=1 + n % 4) for n in range(20)]
            mirror.save_rows(connection, "shop", [*rows, mirror_row("twin", key(3), seq=3)])
            mirror.save_moves(connection, "shop", 2, [(key(50), key(1))])
            mirror.save_moves(connection, "shop", 4, [(key(60), key(1)), (key(3), key(1))])
            later = sorted([key(n) for n in range(20) if 1 + n % 4 > 2] + [key(60)])
            assert mirror.changed_keys(connection, "shop", 2, b"") == later
            assert mirror.changed_keys(connection, "shop", 2, key(7)) == [
                one for one in later if one > key(7)
            ]
            assert mirror.changed_keys(connection, "shop", 4, b"") == []

    def test_changed_keys_go_beyond_one_page(self, store: Store) -> None:
        with store.write() as connection:
            mirror.save_state(connection, "shop", seq=2)
            rows = [mirror_row(str(n), key(n), seq=1 + n % 2) for n in range(2 * PAGE + 5)]
            mirror.save_rows(connection, "shop", rows)
            found = _paged(lambda after: mirror.changed_keys(connection, "shop", 0, after))
            assert found == [key(n) for n in range(2 * PAGE + 5)]

    def test_former_addresses_are_told_the_latest_last(self, store: Store) -> None:
        with store.write() as connection:
            mirror.save_moves(connection, "shop", 1, [(key(1), key(9))])
            mirror.save_moves(connection, "shop", 2, [(key(2), key(9)), (key(9), key(5))])
            former = mirror.former_keys(connection, "shop", [key(9), key(5), key(1)])
            assert former == {key(9): [key(1), key(2)], key(5): [key(9)]}

    def test_labels_keep_their_names_when_none_are_given_later(self, store: Store) -> None:
        with store.write() as connection:
            mirror.save_labels(connection, "shop", [Label("group", "2", ("Old",)), Label("segment", "1")])
            mirror.save_labels(connection, "shop", [Label("group", "2"), Label("segment", "1", ("VIP", "v"))])
            mirror.save_labels(connection, "shop", [Label("group", "1", ("A",))])
            assert mirror.labels(connection, "shop") == [
                Label("group", "1", ("A",)), Label("group", "2", ("Old",)), Label("segment", "1", ("VIP", "v")),
            ]  # fmt: skip
            assert connection.scalar(select(func.count()).select_from(label)) == 3

    # --- texts that a database refuses ---

    def test_awkward_texts_are_kept_as_far_as_a_database_can(self, store: Store) -> None:
        with store.write() as connection:
            mirror.save_rows(connection, "shop", [mirror_row(_AWKWARD, key(1))])
            assert set(mirror.fingerprints(connection, "shop", [_AWKWARD])) == {_AWKWARD}
            assert set(mirror.known(connection, "shop", [_AWKWARD])) == {_AWKWARD}
            awkward = replace(entry(1), held=Held(_AWKWARD), remote_id=_AWKWARD)
            ledger.save_entries(connection, 1, [awkward])
            found = ledger.entries(connection, 1, [key(1)])[key(1)]
            assert (found.held.email, found.remote_id) == (_FITTING, _FITTING)
            rejected = ReportRow(1, key(1), _AWKWARD, "rejected", "refused", _AWKWARD)
            runs.add_rows(connection, "R", 1.0, [rejected])
            (row,), _ = runs.rows_of(connection, "R")
            assert (row.email, row.detail) == (_FITTING, _FITTING)
            mirror.save_state(connection, "shop", cursor=_AWKWARD)
            assert mirror.state_of(connection, "shop").cursor == _FITTING
            assert news.add(connection, "shop", key(1), [News(_AWKWARD, _AWKWARD, "bounced", 1.0, "mc")]) == 1
            ((_, told),) = news.waiting(connection, "shop", 9)
            assert told.contact_id == told.email == _FITTING
            mirror.mark_deleted(connection, "shop", 2, [_AWKWARD])
            assert mirror.count(connection, "shop") == 0

    # --- wanted and the diff ---

    def test_wanted_comes_back_as_saved_and_is_replaced_and_dropped(self, store: Store) -> None:
        with store.write() as connection:
            rows = [(key(n), b"fp", True, want(n).packed()) for n in (1, 2, 3)]
            ledger.save_wanted(connection, 1, rows)
            ledger.save_wanted(connection, 1, [(key(1), b"new", False, want(1).packed())])
            ledger.save_wanted(connection, 2, [(key(1), b"fp", True, want(1).packed())])
            found = ledger.wanted_of(connection, 1, [key(1), key(2), key(9)])
            assert found == {key(1): (b"new", want(1)), key(2): (b"fp", want(2))}
            ledger.drop_wanted(connection, 1, [key(1)])
            assert set(ledger.wanted_of(connection, 1, [key(1), key(2)])) == {key(2)}
            ledger.drop_wanted(connection, 1)
            assert ledger.wanted_of(connection, 1, [key(2), key(3)]) == {}
            assert set(ledger.wanted_of(connection, 2, [key(1)])) == {key(1)}

    @_SETTINGS
    @given(
        wants=st.dictionaries(st.integers(0, 12), st.tuples(st.sampled_from([b"a", b"b"]), st.booleans())),
        held=st.dictionaries(
            st.integers(0, 12),
            st.tuples(st.sampled_from([None, b"a", b"b"]), st.sampled_from([None, *Status]), st.booleans()),
        ),
        after=st.integers(0, 13),
    )
    def test_the_diff_is_what_a_loop_over_everybody_finds(
        self,
        store: Store,
        wants: dict[int, tuple[bytes, bool]],
        held: dict[int, tuple[bytes | None, Status | None, bool]],
        after: int,
    ) -> None:
        with store.write() as connection:
            for target in (1, 2):
                ledger.drop_wanted(connection, target)
                ledger.drop_entries(connection, target, [key(n) for n in range(13)])
            packed = want(1).packed()
            ledger.save_wanted(
                connection, 1, [(key(n), fp, taken, packed) for n, (fp, taken) in wants.items()]
            )
            ledger.save_entries(
                connection,
                1,
                [
                    Entry(key(n), Held("x", status, owned=owned), fp)
                    for n, (fp, status, owned) in held.items()
                ],
            )
            ledger.save_wanted(connection, 2, [(key(n), b"other", True, packed) for n in range(13)])
            ledger.save_entries(connection, 2, [entry(n) for n in range(13)])
            beyond = [n for n in range(13) if after == 13 or n > after]
            start = b"" if after == 13 else key(after)
            changed = [
                n for n in beyond if n in wants and (held[n][0] != wants[n][0] if n in held else wants[n][1])
            ]
            unknown = [n for n in beyond if n in held and n not in wants and held[n][1] in MEMBER_STATUSES]
            owned = [n for n in unknown if held[n][2]]
            assert ledger.changed_keys(connection, 1, start) == [key(n) for n in changed]
            assert ledger.unknown_keys(connection, 1, start, owned_only=False) == [key(n) for n in unknown]
            assert ledger.unknown_keys(connection, 1, start, owned_only=True) == [key(n) for n in owned]

    def test_the_diff_goes_beyond_one_page(self, store: Store) -> None:
        total = PAGE + 7
        packed = want(1).packed()
        with store.write() as connection:
            ledger.save_wanted(connection, 1, [(key(n), b"fp", True, packed) for n in range(total)])
            ledger.save_entries(connection, 1, [entry(n) for n in range(total, 2 * total)])
            first = ledger.changed_keys(connection, 1, b"")
            assert len(first) == PAGE
            changed = _paged(lambda after: ledger.changed_keys(connection, 1, after))
            unknown = _paged(lambda after: ledger.unknown_keys(connection, 1, after, owned_only=False))
            assert changed == [key(n) for n in range(total)]
            assert unknown == [key(n) for n in range(total, 2 * total)]

    # --- ledger ---

    def test_an_entry_comes_back_as_it_was_saved(self, store: Store) -> None:
        full = Entry(
            key(1),
            Held(
                "ann@example.com",
                Status.PENDING,
                owned=True,
                taken_out=True,
                tagged=True,
                opted_in_at=3.5,
                sent={"NAME": "Änn", "EMPTY": ""},
                found={"CITY": "Köln"},
                tags=frozenset({"b", "a"}),
                found_tags=frozenset({"c"}),
                since_seq=12,
            ),
            b"\x00\xff",
            "rejected_before",
            8.25,
            "remote",
        )
        empty = Entry(key(2), Held("bob@example.com"))
        with store.write() as connection:
            ledger.save_entries(connection, 1, [full, empty])
            assert ledger.entries(connection, 1, [key(1), key(2), key(3)]) == {key(1): full, key(2): empty}
            ledger.save_entries(connection, 1, [replace(empty, key=key(1))])
            assert ledger.entries(connection, 1, [key(1)]) == {key(1): replace(empty, key=key(1))}
            assert ledger.entries(connection, 2, [key(1)]) == {}

    @pytest.mark.parametrize("flag", ["owned", "taken_out", "tagged"])
    def test_each_mark_of_an_entry_comes_back_alone(self, store: Store, flag: str) -> None:
        marked = Entry(key(1), replace(Held("x"), **{flag: True}))  # type: ignore[arg-type]
        with store.write() as connection:
            ledger.save_entries(connection, 1, [marked])
            assert ledger.entries(connection, 1, [key(1)]) == {key(1): marked}

    def test_every_status_comes_back(self, store: Store) -> None:
        with store.write() as connection:
            rows = [Entry(key(n), Held("x", status)) for n, status in enumerate(Status)]
            ledger.save_entries(connection, 1, rows)
            assert ledger.entries(connection, 1, [one.key for one in rows]) == {one.key: one for one in rows}

    def test_settling_writes_fingerprint_and_verdict_of_those_named_and_nothing_else(
        self, store: Store
    ) -> None:
        with store.write() as connection:
            ledger.save_entries(connection, 1, [entry(1), entry(2)])
            ledger.save_entries(connection, 2, [entry(1)])
            ledger.settle(connection, 1, [(key(1), b"new", "no_consent"), (key(9), b"x", None)])
            assert ledger.entries(connection, 1, [key(n) for n in (1, 2, 9)]) == {
                key(1): entry(1, fp=b"new", verdict="no_consent"), key(2): entry(2),
            }  # fmt: skip
            assert ledger.entries(connection, 2, [key(1)]) == {key(1): entry(1)}

    def test_deciding_again_takes_fingerprints_in_the_targets_named(self, store: Store) -> None:
        with store.write() as connection:
            for target in (1, 2, 3):
                ledger.save_entries(connection, target, [entry(1), entry(2)])
            ledger.decide_again(connection, [1, 2], [key(1)])
            ledger.decide_again(connection, [], [key(2)])
            fps = [
                [ledger.entries(connection, target, [key(n)])[key(n)].fp for n in (1, 2)]
                for target in (1, 2, 3)
            ]
            assert fps == [[None, b"fp"], [None, b"fp"], [b"fp", b"fp"]]

    def test_counting_members_and_those_changed_after_a_time(self, store: Store) -> None:
        with store.write() as connection:
            rows = [
                Entry(key(n), Held("x", status, tagged=n % 2 == 0), changed_at=float(n))
                for n, status in enumerate([None, *Status])
            ]
            ledger.save_entries(connection, 1, rows)
            ledger.save_entries(connection, 2, [entry(1)])
            members = [n for n, one in enumerate(rows) if one.held.status in MEMBER_STATUSES]
            there = [
                n for n, one in enumerate(rows)
                if one.held.status not in (None, Status.ARCHIVED, Status.ABSENT)
            ]  # fmt: skip
            assert ledger.count_members(connection, 1, tagged=False) == len(members)
            assert ledger.count_members(connection, 1, tagged=True) == sum(n % 2 == 0 for n in members)
            assert ledger.count_after(connection, 1, None) == len(there)
            assert ledger.count_after(connection, 1, 4.0) == sum(n > 4 for n in there)

    def test_whom_a_full_read_did_not_see_is_told_in_pages(self, store: Store) -> None:
        total = PAGE + 3
        with store.write() as connection:
            ledger.save_entries(connection, 1, [entry(n) for n in range(total + 2)])
            gone = [Entry(key(total), Held("x", Status.ABSENT)), Entry(key(total + 1), Held("x"))]
            ledger.save_entries(connection, 1, gone)
            ledger.sight(connection, 1, [])
            ledger.sight(connection, 1, [key(0), key(5)])
            ledger.sight(connection, 1, [key(5), key(6)])
            found = _paged(lambda after: ledger.unsighted(connection, 1, after))
            assert found == [key(n) for n in range(total) if n not in (0, 5, 6)]
            ledger.forget_sightings(connection, 1)
            assert ledger.unsighted(connection, 1)[0] == key(0)

    # --- suppressions ---

    def test_a_withdrawal_stays_unless_a_later_one_comes(self, store: Store) -> None:
        with store.write() as connection:
            ledger.suppress(connection, "mc", {}, origin="source")
            ledger.suppress(connection, "mc", {key(1): Suppression("unsubscribed", 5.0)}, origin="source")
            ledger.suppress(connection, "mc", {key(1): Suppression("bounced", 5.0)}, origin="destination")
            ledger.suppress(connection, "mc", {key(1): Suppression("bounced", 4.0)}, origin="destination")
            found = ledger.suppressions(connection, "mc", [key(1), key(2)])
            assert found == {key(1): Suppression("unsubscribed", 5.0)}
            later = Suppression("complained", 6.0)
            ledger.suppress(connection, "mc", {key(1): later}, origin="destination")
            assert ledger.suppressions(connection, "mc", [key(1)]) == {key(1): later}
            assert ledger.suppressions(connection, "other", [key(1)]) == {}

    def test_a_lifted_withdrawal_is_gone_in_its_account_only(self, store: Store) -> None:
        with store.write() as connection:
            both = {key(1): Suppression("bounced", 1.0), key(2): Suppression("bounced", 1.0)}
            for account in ("mc", "other"):
                ledger.suppress(connection, account, both, origin="destination")
            ledger.lift(connection, "mc", [key(1)])
            ledger.lift(connection, "mc", [])
            assert set(ledger.suppressions(connection, "mc", list(both))) == {key(2)}
            assert set(ledger.suppressions(connection, "other", list(both))) == {key(1), key(2)}

    def test_a_withdrawal_goes_along_to_a_new_address_in_every_account(self, store: Store) -> None:
        one = Suppression("unsubscribed", 5.0)
        with store.write() as connection:
            for account in ("mc", "other"):
                ledger.suppress(connection, account, {key(1): one}, origin="source")
            ledger.carry_withdrawals(connection, [])
            ledger.carry_withdrawals(connection, [(key(1), key(2)), (key(3), key(4))])
            for account in ("mc", "other"):
                found = ledger.suppressions(connection, account, [key(n) for n in range(5)])
                assert found == {key(1): one, key(2): one}

    # --- plans ---

    def test_a_plan_comes_back_in_the_order_of_keys(self, store: Store) -> None:
        first = Planned(change(1, tags_added=("a", "b"), email_before="old@example.com"), b"fp")
        second = Planned(change(2, What.REMOVE, status=None, fields={}, form="archive"), None)
        with store.write() as connection:
            plans.save(connection, 1, [])
            assert plans.is_empty(connection, 1)
            plans.save(connection, 1, [second, first])
            assert plans.rows(connection, 1, b"") == [first, second]
            assert plans.rows(connection, 1, key(1)) == [second]
            assert plans.of_people(connection, 1, [key(2), key(1), key(3)]) == [first, second]
            assert plans.counts(connection, 1) == {("create", "new"): 1, ("remove", "new"): 1}
            assert not plans.is_empty(connection, 1)
            assert plans.is_empty(connection, 2)
            assert plans.all_tags(connection, 1) == ["a", "b"]
            plans.save(connection, 1, [Planned(change(1, reason="other"), b"new")])
            assert plans.of_people(connection, 1, [key(1)]) == [Planned(change(1, reason="other"), b"new")]

    def test_each_change_begins_with_its_own_step(self, store: Store) -> None:
        bare: dict[str, Any] = {"status": None, "fields": {}}
        steps = {
            1: (change(1), plans.WRITE),
            2: (change(2, What.CREATE, **bare), plans.WRITE),
            3: (change(3, What.UPDATE, status=None), plans.WRITE),
            4: (change(4, What.UPDATE, fields={}), plans.WRITE),
            5: (change(5, What.UPDATE, **bare, email_before="x@example.com"), plans.WRITE),
            6: (change(6, What.UPDATE, **bare, tags_added=("a",)), plans.TAG),
            7: (change(7, What.REMOVE, **bare, form=UNTAG), plans.TAG),
            8: (change(8, What.REMOVE, **bare, form="archive"), plans.REMOVE),
        }
        with store.write() as connection:
            plans.save(connection, 1, [Planned(one, None) for one, _ in steps.values()])
            for step in (plans.WRITE, plans.TAG, plans.REMOVE):
                found = plans.batch(connection, 1, step, b"", 99)
                assert [one.change for one in found] == [one for one, at in steps.values() if at == step]

    def test_batches_follow_one_another_and_steps_advance(self, store: Store) -> None:
        with store.write() as connection:
            plans.save(connection, 1, [Planned(change(n), None) for n in range(5)])
            batch = plans.batch(connection, 1, plans.WRITE, b"", 2)
            assert [one.change.key for one in batch] == [key(0), key(1)]
            assert [one.change.key for one in plans.batch(connection, 1, plans.WRITE, key(1), 9)] == [
                key(2), key(3), key(4),
            ]  # fmt: skip
            plans.advance(connection, 1, [key(0), key(3)], plans.TAG)
            plans.advance(connection, 1, [], plans.TAG)
            assert [one.change.key for one in plans.batch(connection, 1, plans.TAG, b"", 9)] == [
                key(0),
                key(3),
            ]
            assert len(plans.batch(connection, 1, plans.WRITE, b"", 9)) == 3

    def test_dropping_takes_a_change_with_its_tags_or_everything(self, store: Store) -> None:
        with store.write() as connection:
            for target in (1, 2):
                plans.save(
                    connection, target, [Planned(change(n, tags_added=(f"t{n}",)), None) for n in (1, 2)]
                )
                plans.send_off(connection, target, plans.WRITE, [key(1), key(2)])
            plans.drop(connection, 1, [key(1)])
            assert plans.all_tags(connection, 1) == ["t2"]
            assert [one.change.key for one in plans.left_in_flight(connection, 1)] == [key(2)]
            plans.drop(connection, 1)
            assert plans.is_empty(connection, 1)
            assert plans.all_tags(connection, 1) == []
            plans.save(connection, 1, [Planned(change(1), None)])
            assert plans.left_in_flight(connection, 1) == []
            assert len(plans.rows(connection, 2, b"")) == len(plans.all_tags(connection, 2)) == 2
            assert len(plans.left_in_flight(connection, 2)) == 2

    def test_tags_are_worked_off_one_by_one_when_their_change_is_ready(self, store: Store) -> None:
        tags = change(1, What.UPDATE, status=None, fields={}, tags_added=("b",), tags_removed=("a",))
        written = change(2, tags_added=("b",))
        with store.write() as connection:
            plans.save(connection, 1, [Planned(tags, b"fp"), Planned(written, b"fp")])
            assert plans.tag_work(connection, 1) == [("a", False), ("b", True)]
            assert plans.tag_batch(connection, 1, "b", True, b"", 9) == [(key(1), tags.email)]
            plans.advance(connection, 1, [key(2)], plans.TAG)
            assert [who for who, _ in plans.tag_batch(connection, 1, "b", True, b"", 9)] == [key(1), key(2)]
            assert [who for who, _ in plans.tag_batch(connection, 1, "b", True, key(1), 9)] == [key(2)]
            assert [who for who, _ in plans.tag_batch(connection, 1, "b", True, b"", 1)] == [key(1)]
            assert plans.tag_batch(connection, 1, "b", False, b"", 9) == []
            assert plans.tags_done(connection, 1, "b", [key(1), key(2)]) == [Planned(written, b"fp")]
            assert [one.change.key for one in plans.rows(connection, 1, b"")] == [key(1)]
            assert plans.tags_done(connection, 1, "a", [key(1)]) == [Planned(tags, b"fp")]
            assert plans.is_empty(connection, 1)
            assert plans.tag_work(connection, 1) == []

    def test_what_was_sent_off_and_has_not_landed_is_left_in_flight(self, store: Store) -> None:
        with store.write() as connection:
            plans.save(connection, 1, [Planned(change(n), None) for n in range(6)])
            plans.advance(connection, 1, [key(2)], plans.TAG)
            plans.send_off(connection, 1, plans.WRITE, [key(0)])
            plans.send_off(connection, 1, plans.WRITE, [key(1), key(3)])
            plans.send_off(connection, 1, plans.WRITE, [key(4)])
            plans.send_off(connection, 1, plans.WRITE, [key(4)])
            plans.landed(connection, 1, key(0))
            plans.landed(connection, 2, key(1))
            left = {one.change.key for one in plans.left_in_flight(connection, 1)}
            assert left == {key(1), key(3), key(4)}
            plans.landed(connection, 1, key(1))
            assert [one.change.key for one in plans.left_in_flight(connection, 1)] == [key(4)]

    def test_a_plans_id_depends_on_its_changes_and_places_alone(self, store: Store) -> None:
        with store.write() as connection:
            many = [Planned(change(n), None) for n in range(PAGE + 2)]
            plans.save(connection, 1, many)
            plans.save(connection, 2, many[::-1])
            first, second = plans.digest(connection, [(1, "list")]), plans.digest(connection, [(2, "list")])
            assert first == second != plans.digest(connection, [(1, "other")])
            both = plans.digest(connection, [(1, "a"), (2, "b")])
            assert both == plans.digest(connection, [(2, "b"), (1, "a")])
            plans.save(connection, 2, [Planned(change(PAGE + 1, fields={"NAME": "Bob"}), None)])
            assert plans.digest(connection, [(2, "list")]) != first

    # --- targets ---

    def test_a_target_is_made_once_and_keeps_what_is_saved(self, store: Store) -> None:
        with store.write() as connection:
            one = targets.open_target(connection, "weekly", "shop", "mc", "List\nVIP")
            assert (one.list_name, one.tag, one.without_consent, one.cursor) == ("List", "VIP", False, None)
            targets.save(connection, one.id, without_consent=1, cursor="c", audience=b"{}", source_count=3)
            again = targets.open_target(connection, "weekly", "shop", "mc", "List\nVIP")
            assert again == replace(one, without_consent=True, cursor="c", audience=b"{}", source_count=3)
            assert (
                targets.by_id(connection, one.id) == targets.get(connection, "weekly", "List\nVIP") == again
            )
            other = targets.open_target(connection, "weekly", "shop", "mc", "Other")
            assert other.tag is None
            assert targets.of_sync(connection, "weekly") == [again, other]
            assert targets.ids_of_account(connection, "mc") == [one.id, other.id]

    def test_a_target_whose_account_was_exchanged_starts_anew(self, store: Store) -> None:
        with store.write() as connection:
            old = targets.open_target(connection, "weekly", "shop", "mc", "List")
            targets.save(connection, old.id, cursor="c")
            new = targets.open_target(connection, "weekly", "shop", "other", "List")
            assert new.id != old.id
            assert new.cursor is None
            assert targets.open_target(connection, "weekly", "shop", "other", "List") == new
            back = targets.open_target(connection, "weekly", "shop", "mc", "List")
            assert back.id not in (old.id, new.id)
            assert back.cursor is None

    # --- runs ---

    def test_run_ids_sort_by_time(self) -> None:
        times = [0.001, 1.0, 1.001, 1.7e9, 1.7e9 + 0.001, 4e9]
        ids = [runs.new_id(at) for at in times]
        assert ids == sorted(ids)
        assert {len(one) for one in ids} == {26}
        assert len({runs.new_id(1.0) for _ in range(1000)}) == 1000

    def test_a_run_begins_ends_and_is_found(self, store: Store) -> None:
        with store.write() as connection:
            assert runs.find(connection, None) is None
            runs.begin(connection, "A", "weekly", 1.0)
            runs.begin(connection, "B", "daily", 2.0)
            runs.end(connection, "A", "ok", {"created": 3}, 5.0)
            assert runs.find(connection, "A") == runs.RunRow("A", "weekly", 1.0, 5.0, "ok", {"created": 3})
            assert runs.find(connection, None) == runs.RunRow("B", "daily", 2.0, None, "running", None)
            assert runs.find(connection, "C") is None

    def test_report_rows_come_back_in_order_and_in_pages(self, store: Store) -> None:
        with store.write() as connection:
            rows = [
                ReportRow(1, key(n), "x", "created" if n % 2 else "updated", "new") for n in range(PAGE + 4)
            ]
            runs.add_rows(connection, "A", 9.0, [])
            runs.add_rows(connection, "A", 9.0, rows)
            runs.add_rows(connection, "B", 9.0, rows[:1])
            assert runs.counts(connection, "A") == {"created": PAGE // 2 + 2, "updated": PAGE // 2 + 2}
            page, after = runs.rows_of(connection, "A")
            rest, after = runs.rows_of(connection, "A", after=after)
            assert [*page, *rest] == [replace(row, run="A", at=9.0) for row in rows]
            assert len(page) == PAGE
            assert runs.rows_of(connection, "A", after=after) == ([], after)
            only, _ = runs.rows_of(connection, "A", ["created"])
            assert {row.what for row in only} == {"created"}
            assert len(only) == PAGE // 2 + 2

    def test_a_persons_history_holds_what_undo_needs(self, store: Store) -> None:
        done = ReportRow(
            1, key(1), "x", "updated", "new", "why", {"status": "pending"}, {"fields": {"A": ""}}
        )
        with store.write() as connection:
            runs.add_rows(connection, "A", 1.0, [done, replace(done, key=key(2))])
            runs.add_rows(connection, "B", 2.0, [replace(done, target=2), replace(done, target=3)])
            found = runs.history(connection, [1, 2], key(1))
            assert found == [replace(done, run="A", at=1.0), replace(done, run="B", at=2.0, target=2)]

    # --- counting people ---

    def test_people_are_counted_as_taken_touched_or_left_out(self, store: Store) -> None:
        with store.write() as connection:
            _audience_of_people(connection)
            assert people.count(connection, 1, None) == (6, 2, {"no_consent": 2, "suppressed": 1})
            assert people.count(connection, 1, "R") == (6, 3, {"no_consent": 1, "suppressed": 1})
            assert [who for who, _, _ in people.left_out(connection, 1, b"")] == [key(3), key(4), key(5)]
            assert people.left_out(connection, 1, key(4)) == [(key(5), "5@example.com", "suppressed")]
            assert [who for who, _, _ in people.left_out(connection, 1, b"", "R")] == [key(4), key(5)]
            assert people.left_alone(connection, 1, b"", "R") == [(key(6), "6@example.com")]
            assert people.left_alone(connection, 1, key(6), "R") == []

    # --- the way back ---

    def test_news_is_told_once_and_later_news_again(self, store: Store) -> None:
        one = News("7", "ann@example.com", "unsubscribed", 5.0, "mc/List")
        with store.write() as connection:
            assert news.add(connection, "shop", key(1), [one, replace(one, what="bounced")]) == 2
            assert news.add(connection, "shop", key(1), [one, replace(one, at=4.0)]) == 0
            assert len(news.waiting(connection, "shop", 9)) == 2
            assert news.waiting(connection, "crm", 9) == []
            news.close(connection, "shop", [(one, news.DONE, None)], 6.0)
            news.close(connection, "shop", [(replace(one, what="bounced"), news.UNSUPPORTED, "no")], 6.0)
            assert news.waiting(connection, "shop", 9) == []
            assert news.add(connection, "shop", key(1), [one]) == 0
            assert news.waiting(connection, "shop", 9) == []
            later = replace(one, at=8.0, email="new@example.com")
            assert news.add(connection, "shop", key(2), [later]) == 1
            assert news.waiting(connection, "shop", 9) == [(key(2), later)]

    def test_news_that_failed_waits_on_and_the_oldest_comes_first(self, store: Store) -> None:
        old, new = News("2", "b@x.de", "bounced", 1.0, "mc"), News("1", "a@x.de", "bounced", 2.0, "mc")
        with store.write() as connection:
            news.add(connection, "shop", key(1), [new, old])
            news.close(connection, "shop", [(old, news.WAITING, "timeout")], 3.0)
            assert news.waiting(connection, "shop", 9) == [(key(1), old), (key(1), new)]
            assert news.waiting(connection, "shop", 1) == [(key(1), old)]


def _half_written(connection: Connection) -> None:
    mirror.save_state(connection, "shop", seq=7)
    ledger.save_entries(connection, 1, [entry(1)])
    raise ZeroDivisionError


def _people(connection: Connection) -> list[tuple[bytes, list[str]]]:
    found: list[tuple[bytes, list[str]]] = []
    while page := mirror.people(connection, "shop", found[-1][0] if found else b""):
        found += [(one, [said.contact.id for said in rows]) for one, rows in page]
    return found


def _paged(read: Callable[[bytes], list[bytes]]) -> list[bytes]:
    found: list[bytes] = []
    while page := read(found[-1] if found else b""):
        found += page
    return found


def _audience_of_people(connection: Connection) -> None:
    """1 and 2 planned, 3 and 4 without consent (3 was reported), 5 suppressed, 6 unchanged, 7 not taken."""
    packed = want(1).packed()
    ledger.save_wanted(connection, 1, [(key(n), b"fp", n < 7, packed) for n in range(1, 8)])
    verdicts = {3: "no_consent", 4: "no_consent", 5: "suppressed", 7: "no_consent"}
    ledger.save_entries(connection, 1, [entry(n, verdict=verdicts.get(n)) for n in range(1, 8)])
    plans.save(connection, 1, [Planned(change(n), None) for n in (1, 2)])
    runs.add_rows(connection, "R", 1.0, [ReportRow(1, key(3), "x", "created", "new")])
    runs.add_rows(connection, "R", 1.0, [ReportRow(1, key(4), "x", "feedback", "new")])
    runs.add_rows(connection, "R", 1.0, [ReportRow(2, key(5), "x", "created", "new")])
    runs.add_rows(connection, "S", 1.0, [ReportRow(1, key(5), "x", "created", "new")])
