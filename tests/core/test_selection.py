"""Whom a sync takes, and what it wants of them."""

from itertools import combinations, permutations

import pytest

from core.people import (
    ANN,
    DENIED,
    EVERYONE,
    GRANTED,
    KIND_TAGS,
    PENDING,
    UNKNOWN,
    contact,
    wanted_from,
)
from listbridge.model import Consent, Kind
from listbridge.selection import (
    Selection,
    Shape,
    Statement,
    Wanted,
    fingerprint,
    kinds_of,
    value_of,
    wanted_of,
)

SUBSCRIBER, BUYER, CONTACT = Kind.SUBSCRIBER, Kind.BUYER, Kind.CONTACT
EVERY_CHOICE = [frozenset(some) for size in range(4) for some in combinations(Kind, size)]


def selecting(**parts) -> Shape:
    return Shape(Selection(**parts))


# --- kinds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subscribed", "purchased", "kinds"),
    [
        (False, False, {CONTACT}),
        (True, False, {SUBSCRIBER}),
        (False, True, {BUYER}),
        (True, True, {SUBSCRIBER, BUYER}),
    ],
)
@pytest.mark.parametrize("selected", EVERY_CHOICE, ids=lambda kinds: "+".join(sorted(kinds)) or "none")
def test_the_table_of_kinds(subscribed, purchased, kinds, selected):
    """«which contact is taken, by what it is and what was selected»"""
    one = contact(word=GRANTED if subscribed else UNKNOWN, orders_count=int(purchased))
    shape = Shape(Selection(kinds=selected), kind_tags={kind: KIND_TAGS[kind] for kind in selected})
    wanted = wanted_from(one, shape=shape)
    assert kinds_of([one]) == kinds
    assert wanted.taken is bool(kinds & selected)
    assert set(wanted.tags) == {KIND_TAGS[kind] for kind in kinds & selected}


@pytest.mark.parametrize("word", [PENDING, UNKNOWN, DENIED])
def test_only_a_given_consent_makes_a_subscriber(word):
    assert kinds_of([contact(word=word)]) == {CONTACT}
    assert kinds_of([contact(word=word, orders_count=2)]) == {BUYER}


def test_a_guest_is_a_buyer():
    """«buyer (has at least one order, guests included)»"""
    assert kinds_of([contact(word=UNKNOWN, guest=True)]) == {BUYER}
    assert kinds_of([contact(word=GRANTED, guest=True)]) == {SUBSCRIBER, BUYER}


def test_with_everyone_all_kinds_count_as_selected():
    """«With everyone: true all three kinds count as selected for kind_tags.»"""
    assert EVERYONE.tagged_kinds == frozenset(Kind)
    assert Selection(kinds=frozenset({BUYER})).tagged_kinds == {BUYER}
    assert Selection(groups=frozenset({"7"})).tagged_kinds == frozenset()


# --- selection ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "taken"),
    [
        ({}, False),
        ({"everyone": True}, True),
        ({"groups": {"wholesale"}}, True),
        ({"groups": {"retail"}}, False),
        ({"segments": {"vip"}}, True),
        ({"segments": {"wholesale"}}, False),
        ({"groups": {"vip"}}, False),
        ({"groups": {"retail"}, "segments": {"vip"}}, True),
        ({"groups": {"wholesale"}, "kinds": {SUBSCRIBER}}, True),
        ({"segments": {"other"}, "kinds": {BUYER}}, True),
    ],
)
def test_a_selection_is_a_union(parts, taken):
    """«everyone, kinds, customer groups, segments, a saved query; several are a union»"""
    shape = selecting(**{name: part if part is True else frozenset(part) for name, part in parts.items()})
    one = contact(word=DENIED, orders_count=1, groups=("staff", "wholesale"), segments=("vip",))
    assert wanted_from(one, shape=shape).taken is taken


def test_who_is_not_taken_wants_no_fields_and_no_literal_tags():
    shape = Shape(Selection(), {"FNAME": "first_name"}, ("newsletter",), KIND_TAGS)
    wanted = wanted_from(contact(attributes={"first_name": "Ann"}), shape=shape)
    assert wanted == Wanted(ANN, taken=False, fields={}, tags=("Shop-Subscriber",), word=GRANTED,
                            consent_at=None, consent_seq=0)  # fmt: skip


def test_literal_tags_and_kind_tags_come_in_order_and_once():
    shape = Shape(EVERYONE, tags=("z", "Shop-Buyer", "a"), kind_tags=KIND_TAGS)
    assert wanted_from(contact(orders_count=1), shape=shape).tags == (
        "Shop-Buyer",
        "Shop-Subscriber",
        "a",
        "z",
    )


# --- twins -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [DENIED, PENDING, UNKNOWN, GRANTED])
@pytest.mark.parametrize("second", [DENIED, PENDING, UNKNOWN, GRANTED])
def test_of_twins_the_most_restrictive_consent_counts(first, second):
    """«denied before pending before unknown before granted»"""
    order = [DENIED, PENDING, UNKNOWN, GRANTED]
    wanted = wanted_from(contact("1", word=first), contact("2", word=second))
    assert wanted.word is min(first, second, key=order.index)


def test_a_kind_group_or_tag_holds_if_it_holds_for_any_twin():
    twins = (
        contact("1", word=GRANTED, groups=("a",)),
        contact("2", word=DENIED, orders_count=1, segments=("s",)),
    )
    assert kinds_of(twins) == {SUBSCRIBER, BUYER}
    for parts in (
        {"groups": frozenset("a")},
        {"segments": frozenset("s")},
        {"kinds": frozenset({SUBSCRIBER})},
    ):
        assert wanted_from(*twins, shape=selecting(**parts)).taken
    assert wanted_from(*twins, shape=Shape(EVERYONE, kind_tags=KIND_TAGS)).tags == (
        "Shop-Buyer",
        "Shop-Subscriber",
    )


@pytest.mark.parametrize(
    ("ids", "leading"),
    [
        (("9", "10"), "9"),
        (("b", "a"), "a"),
        (("a", "10"), "10"),
        (("100000000000000000000", "99999999999999999999"), "99999999999999999999"),
        (("010", "9"), "9"),
        (("1" + "0" * 6000, "2"), "2"),
        (("٣", "x"), "٣"),
    ],
)
def test_fields_of_twins_come_from_the_lowest_id_where_nothing_else_tells(ids, leading):
    for order in permutations(ids):
        rows = [contact(id) for id in order]
        assert wanted_from(*rows, shape=Shape(EVERYONE, {"ID": "id"})).fields == {"ID": leading}


def test_fields_of_twins_come_from_the_row_changed_last():
    rows = [contact("1"), contact("2", updated_at=5.0, email="ANN@example.com"), contact("3", updated_at=4.0)]
    for order in permutations(rows):
        wanted = wanted_from(*order, shape=Shape(EVERYONE, {"ID": "id"}))
        assert (wanted.email, wanted.fields) == ("ANN@example.com", {"ID": "2"})


def test_the_latest_change_of_consent_among_twins_counts():
    rows = [Statement(contact("1"), 4), Statement(contact("2"), 9), Statement(contact("3"), 0)]
    assert wanted_of(rows, Shape(EVERYONE), lambda _name, value: value).consent_seq == 9
    assert wanted_of(rows[:1], Shape(EVERYONE), lambda _name, value: value).consent_seq == 4


# --- fields ------------------------------------------------------------------------------------------


GUEST_FIELDS = {"FNAME": "first_name", "LNAME": "last_name", "MAIL": "email", "TEL": "phone", "GRP": "groups"}
KNOWN = {"first_name": "Ann", "last_name": "Groß", "phone": "1"}


@pytest.mark.parametrize("word", [UNKNOWN, PENDING, DENIED])
def test_of_a_guest_only_first_name_and_address_travel(word):
    """«Of a guest buyer only the first name and the address travel»"""
    one = contact(word=word, guest=True, attributes=KNOWN, groups=("g",))
    assert wanted_from(one, shape=Shape(EVERYONE, GUEST_FIELDS)).fields == {"FNAME": "Ann", "MAIL": ANN}


def test_of_a_guest_who_subscribed_everything_travels():
    """«unless the guest subscribed (consent granted)»"""
    one = contact(word=GRANTED, guest=True, attributes=KNOWN, groups=("g",))
    wanted = wanted_from(one, shape=Shape(EVERYONE, GUEST_FIELDS))
    assert wanted.fields == {"FNAME": "Ann", "LNAME": "Groß", "MAIL": ANN, "TEL": "1", "GRP": "g"}


def test_a_guest_who_is_registered_too_is_no_guest():
    rows = (
        contact("1", word=UNKNOWN, guest=True, attributes=KNOWN),
        contact("2", word=UNKNOWN, updated_at=1.0),
    )
    assert wanted_from(*rows, shape=Shape(EVERYONE, GUEST_FIELDS)).fields.keys() == GUEST_FIELDS.keys()


def test_twins_that_are_both_guests_are_a_guest():
    rows = contact("1", word=UNKNOWN, guest=True, attributes=KNOWN), contact("2", word=GRANTED, guest=True)
    assert wanted_from(*rows, shape=Shape(EVERYONE, GUEST_FIELDS)).fields == {"FNAME": "Ann", "MAIL": ANN}


def test_every_mapped_field_is_there_and_empty_ones_are_empty():
    one = contact(attributes={"city": "Köln"})
    wanted = wanted_from(one, shape=Shape(EVERYONE, {"CITY": "city", "TOWN": "town"}))
    assert wanted.fields == {"CITY": "Köln", "TOWN": ""}


def test_values_take_the_form_that_the_platform_holds():
    """«A value that the platform cuts or rewrites is compared after the same treatment»"""
    calls = []

    def cut(name, value):
        calls.append((name, value))
        return value[:2]

    one = Statement(contact(attributes={"city": "Köln"}))
    wanted = wanted_of([one], Shape(EVERYONE, {"CITY": "city", "TOWN": "town"}), cut)
    assert wanted.fields == {"CITY": "Kö", "TOWN": ""}
    assert calls == [("CITY", "Köln")], "an empty value needs no treatment"


def test_every_source_field_has_a_text():
    one = contact(
        "17", groups=("a", "b"), segments=("s", "t"), orders_count=3, attributes={"first_name": "Ann"}
    )
    texts = {"id": "17", "email": ANN, "consent": "granted", "orders_count": "3", "groups": "a;b",
             "segments": "s;t", "first_name": "Ann", "last_name": ""}  # fmt: skip
    assert {name: value_of(one, name) for name in texts} == texts


# --- stored ------------------------------------------------------------------------------------------


def test_what_is_wanted_survives_being_stored():
    shape = Shape(EVERYONE, {"FNAME": "first_name"}, ("t", "a"))
    for at in (None, 7.5):
        wanted = wanted_from(contact(at=at, attributes={"first_name": "Zoë"}), shape=shape, seq=3)
        assert Wanted.unpacked(wanted.packed()) == wanted


def test_a_fingerprint_changes_with_what_is_wanted_and_with_the_rules():
    one, other = wanted_from(contact()).packed(), wanted_from(contact(word=DENIED)).packed()
    prints = {fingerprint(one, "1"), fingerprint(one, "2"), fingerprint(other, "1"), fingerprint(one, "")}
    assert len(prints) == 4
    assert fingerprint(one, "1") == fingerprint(one, "1")
    assert fingerprint(one, "long" * 40) == fingerprint(one, ("long" * 40)[:64])


def test_a_consent_has_no_word_until_somebody_says_one():
    assert Consent().word is UNKNOWN
    assert Consent().at is None


def test_flags_and_moments_are_sent_as_words_and_iso_times() -> None:
    one = contact(at=0.0, guest=True, updated_at=86_400.0)
    assert value_of(one, "guest") == "true"
    assert value_of(one, "consent_at") == "1970-01-01T00:00:00+00:00"
    assert value_of(one, "updated_at") == "1970-01-02T00:00:00+00:00"
    assert [value_of(contact(), name) for name in ("guest", "consent_at")] == ["false", ""]
