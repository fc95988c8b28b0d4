"""Modes, removals, returns, addresses, fields and tags as the planner decides them."""

import pytest

from core.people import (
    ANN,
    DENIED,
    GRANTED,
    KEY,
    SUBSCRIBED,
    TRANSACTIONAL,
    UNKNOWN,
    changed,
    held,
    left,
    rules,
    skipped,
    want,
)
from listbridge.changes import Change, What
from listbridge.model import MEMBER_STATUSES, Status
from listbridge.planner import REASONS, UNTAG, Held, fields_to_send, is_member, remove

MEMBERS = sorted(MEMBER_STATUSES)
GONE = [Status.ARCHIVED, Status.ABSENT]
OUTSIDE = [None, want(taken=False)]


# --- modes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", MEMBERS)
@pytest.mark.parametrize(
    ("mode", "taken", "stays"),
    [
        ("exact", True, True),
        ("exact", False, False),
        ("merge", True, True),
        ("merge", False, True),
        ("subtract", True, False),
        ("subtract", False, True),
    ],
)
def test_the_table_of_modes_for_members(status, mode, taken, stays):
    """exact: members = S; merge: D ∪ S; subtract: D − S"""
    for owned in (False, True):
        answer = (want(taken=taken), held(status, owned=owned), rules(mode))
        if stays:
            assert skipped(*answer) is None
        else:
            assert changed(*answer).what is What.REMOVE


@pytest.mark.parametrize("status", [None, *GONE])
@pytest.mark.parametrize(("mode", "comes"), [("exact", True), ("merge", True), ("subtract", False)])
def test_the_table_of_modes_for_others(status, mode, comes):
    """subtract never does: «add anyone»"""
    by = rules(mode, restore_deleted=True)
    if comes:
        assert changed(want(), held(status), by).what is What.CREATE
    else:
        assert skipped(want(), held(status), by) is None
    assert skipped(want(taken=False), held(status), by) is None
    assert skipped(None, held(status), by) is None


@pytest.mark.parametrize("mode", ["exact", "merge", "subtract"])
def test_whom_the_source_does_not_know_in_each_mode(mode):
    """exact never does: «leave behind a member outside S»; merge never does: «remove a member»"""
    if mode == "exact":
        assert changed(None, held(), rules(mode)) == Change(
            KEY, ANN, What.REMOVE, "not_in_source", form="archive"
        )
        assert changed(None, held(owned=True), rules(mode)).reason == "departed"
    else:
        assert skipped(None, held(owned=True), rules(mode)) is None


@pytest.mark.parametrize("gone", OUTSIDE)
def test_remove_departed_takes_out_only_whom_the_sync_has_added(gone):
    """«unless remove_departed: true, and then only members in O»"""
    by = rules(remove_departed=True)
    assert changed(gone, held(owned=True), by) == Change(KEY, ANN, What.REMOVE, "departed", form="archive")
    assert skipped(gone, held(), by) is None
    assert skipped(gone, held(owned=True), rules()) is None


def test_remove_departed_says_nothing_in_subtract():
    assert skipped(None, held(owned=True), rules("subtract", remove_departed=True)) is None
    assert skipped(want(taken=False), held(owned=True), rules("subtract", remove_departed=True)) is None


def test_leaving_the_selection_of_an_exact_audience():
    for owned in (False, True):
        change = changed(want(taken=False), held(owned=owned), rules("exact"))
        assert change == Change(KEY, ANN, What.REMOVE, "left_selection", form="archive")


def test_subtract_removes_and_changes_nothing_else():
    """subtract never does: «change a field of anyone who stays»"""
    by = rules("subtract", kind_tags=frozenset({"k"}))
    there = held(sent={"F": "old"}, tags=frozenset({"k"}))
    assert skipped(want(taken=False, fields={"F": "new"}), there, by) is None
    assert changed(want(fields={"F": "new"}, tags=("n",)), there, by) == Change(
        KEY, ANN, What.REMOVE, "in_selection", form="archive"
    )
    assert skipped(want(fields={"F": "new"}), None, by) is None


@pytest.mark.parametrize("mode", ["exact", "merge", "subtract"])
def test_without_an_address_there_is_nobody(mode):
    assert skipped(want(email=""), None, rules(mode)) == "no_address"
    assert skipped(want(email="", taken=False), None, rules(mode)) is None


@pytest.mark.parametrize("form", ["archive", "unsubscribe", "delete"])
def test_the_form_of_a_removal_is_the_audiences_or_the_operators(form):
    change = changed(None, held(email="Ann@Example.com"), rules("exact", removal=form))
    assert (change.form, change.email, change.status, change.tags_removed) == (
        form,
        "Ann@Example.com",
        None,
        (),
    )


# --- the audience of a tag ---------------------------------------------------------------------------


def test_members_of_a_tags_audience_carry_it():
    """«at a tag or segment: those of them that carry it»"""
    by = rules(tag="VIP")
    assert is_member(held(tagged=True), by)
    assert not is_member(held(), by)
    assert not is_member(held(Status.UNSUBSCRIBED, tagged=True), by)
    assert not is_member(held(None), by)
    assert is_member(held(), rules())


@pytest.mark.parametrize("gone", OUTSIDE)
@pytest.mark.parametrize("mode", ["exact", "merge"])
def test_leaving_a_tags_audience_is_untagging(gone, mode):
    """«for a tag or a segment, untag»"""
    by = rules(mode, tag="VIP", remove_departed=mode == "merge")
    change = changed(gone, held(tagged=True, owned=True), by)
    assert (change.what, change.form, change.tags_removed) == (What.REMOVE, UNTAG, ("VIP",))
    assert skipped(gone, held(owned=True), by) is None, "in the list, but not in the audience"


def test_a_tags_audience_in_merge_keeps_its_members():
    for gone in OUTSIDE:
        assert skipped(gone, held(tagged=True, owned=True), rules(tag="VIP")) is None


def test_subtracting_from_a_tags_audience():
    by = rules("subtract", tag="VIP")
    change = changed(want(), held(tagged=True, tags=frozenset({"k"})), by)
    assert (change.what, change.reason, change.tags_removed) == (What.REMOVE, "in_selection", ("VIP",))
    assert skipped(want(), held(), by) is None
    assert skipped(want(taken=False), held(tagged=True), by) is None
    assert skipped(None, held(tagged=True), by) is None


def test_another_form_may_be_asked_for_at_a_tags_audience():
    change = changed(None, held(tagged=True), rules("exact", tag="VIP", removal="archive"))
    assert (change.form, change.tags_removed) == ("archive", ())


@pytest.mark.parametrize("mode", ["exact", "merge"])
@pytest.mark.parametrize("word", [GRANTED, UNKNOWN])
def test_somebody_in_the_list_joins_a_tags_audience_by_its_tag(mode, word):
    there = held(TRANSACTIONAL, tags=frozenset({"mine"}), found_tags=frozenset({"VIP"}))
    assert changed(want(word, tags=("mine",)), there, rules(mode, tag="VIP")) == Change(
        KEY, ANN, What.UPDATE, "new", tags_added=("VIP",)
    )


@pytest.mark.parametrize("ignore", [False, True])
def test_somebody_who_refused_does_not_join_a_tags_audience(ignore):
    """«A person who refused is never created by an audience sync»; who is in it already stays"""
    by = rules("exact", tag="VIP", unsubscribe_on_optout=not ignore)
    assert skipped(want(DENIED, 100.0), held(opted_in_at=200.0), by) == "no_consent"
    assert skipped(want(DENIED, 100.0), held(opted_in_at=200.0, tagged=True), by) is None


def test_a_new_contact_of_a_tags_audience_gets_all_tags():
    change = changed(want(tags=("t", "k")), None, rules(tag="VIP"))
    assert (change.what, change.status, change.tags_added) == (What.CREATE, SUBSCRIBED, ("VIP", "k", "t"))


def test_the_audiences_tag_among_the_literal_tags_is_put_on_once():
    by = rules(tag="VIP")
    assert changed(want(tags=("VIP",)), held(), by).tags_added == ("VIP",)
    for found in (frozenset(), frozenset({"VIP"})):
        assert skipped(want(tags=("VIP",)), held(tagged=True, found_tags=found), by) is None


# --- returns -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["exact", "merge"])
@pytest.mark.parametrize("status", GONE)
def test_whom_the_sync_took_out_comes_back(mode, status):
    """«Somebody whom an exact or remove-departed sync took out comes back when S holds them again»;
    «Bringing back an archived contact counts as created.»"""
    there = held(status, owned=True, taken_out=True, sent={"F": "old", "G": "old"}, tags=frozenset({"t"}))
    wanted = want(fields={"F": "new", "G": "", "H": ""}, tags=("t",))
    assert changed(wanted, there, rules(mode)) == Change(
        KEY, ANN, What.CREATE, "returns", status=SUBSCRIBED, fields={"F": "new", "G": ""}, tags_added=("t",)
    )


@pytest.mark.parametrize("status", GONE)
@pytest.mark.parametrize("owned", [False, True])
def test_who_was_archived_by_hand_comes_back_only_if_asked_for(status, owned):
    """«Somebody archived by hand comes back only with restore_deleted: true»; at first sight likewise"""
    assert skipped(want(), held(status, owned=owned), rules()) == "deleted_there"
    change = changed(want(), held(status, owned=owned), rules(restore_deleted=True))
    assert (change.what, change.reason, change.status) == (What.CREATE, "restored", SUBSCRIBED)


def test_who_lost_the_tag_by_us_and_the_list_by_hand_stays_out():
    by = rules("exact", tag="VIP")
    assert skipped(want(), held(Status.ARCHIVED, owned=True, taken_out=True), by) == "deleted_there"
    assert changed(want(), held(owned=True, taken_out=True), by).tags_added == ("VIP",)


def test_who_was_taken_out_has_to_have_agreed_like_anybody_new():
    there = held(Status.ARCHIVED, taken_out=True)
    assert skipped(want(DENIED), there, rules("exact", without_consent="subscribe")) == "no_consent"
    assert (
        changed(want(UNKNOWN), there, rules("exact", without_consent="transactional")).status is TRANSACTIONAL
    )


# --- a changed address -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["exact", "merge"])
@pytest.mark.parametrize("there", [None, held(None)])
def test_a_changed_address_renames(mode, there):
    """«A changed address is the same person: renamed where the platform can»"""
    former = held(email="old@example.com", owned=True, sent={"F": "x", "G": "y"}, tags=frozenset({"k", "t"}))
    by = rules(mode, kind_tags=frozenset({"k"}))
    wanted = want(UNKNOWN, fields={"F": "x", "G": ""}, tags=("t", "u"))
    assert changed(wanted, there, by, moved_from=former) == Change(
        KEY, ANN, What.UPDATE, "address_changed", fields={"G": ""}, tags_added=("u",), tags_removed=("k",),
        email_before="old@example.com",
    )  # fmt: skip


def test_a_rename_is_sent_even_if_nothing_else_differs():
    change = changed(want(), None, rules(), moved_from=held(email="old@example.com"))
    assert (change.email, change.email_before, change.fields) == (ANN, "old@example.com", {})


def test_a_changed_address_of_somebody_not_taken_or_suppressed_renames_nobody():
    former = held(email="old@example.com")
    assert skipped(want(taken=False), None, rules("exact"), moved_from=former) is None
    assert skipped(want(), None, rules(), left(), moved_from=former) == "suppressed"
    assert skipped(want(), None, rules("subtract"), moved_from=former) is None


def test_an_address_that_changed_only_its_letters_is_no_change():
    assert skipped(want(email="ANN@example.com"), held(email=ANN)) is None


# --- fields ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "sent", "found", "goes"),
    [
        ("x", None, None, True),
        ("x", None, "x", False),
        ("x", None, "y", True),
        ("x", None, "", True),
        ("x", "x", "y", False),
        ("x", "y", "x", True),
        ("x", "", None, True),
        ("x", "", "x", True),
        ("", None, None, False),
        ("", None, "y", False),
        ("", "x", None, True),
        ("", "x", "y", True),
        ("", "", "y", False),
    ],
)
def test_which_values_are_sent(value, sent, found, goes):
    """«A source value that became empty is emptied at the destination if we had sent one; an empty value on
    first contact leaves what is there.»"""
    there = held(sent={} if sent is None else {"F": sent}, found={} if found is None else {"F": found})
    assert fields_to_send({"F": value}, there) == ({"F": value} if goes else {})
    for mode in ("exact", "merge"):
        answer = (want(fields={"F": value}), there, rules(mode))
        if goes:
            assert changed(*answer) == Change(KEY, ANN, What.UPDATE, "changed", fields={"F": value})
        else:
            assert skipped(*answer) is None


def test_a_field_that_is_not_mapped_is_left_alone():
    assert skipped(want(fields={}), held(sent={"F": "x"}, found={"G": "y"})) is None


def test_empty_values_of_a_new_contact_are_not_sent():
    assert changed(want(fields={"F": "x", "G": ""}), None).fields == {"F": "x"}
    assert changed(want(fields={"F": "x", "G": ""}), held(None, sent={"G": "y"})).fields == {"F": "x"}


# --- tags --------------------------------------------------------------------------------------------

KINDS = frozenset({"Shop-Buyer", "Shop-Contact"})


@pytest.mark.parametrize("mode", ["exact", "merge"])
def test_a_kind_tag_that_no_longer_holds_is_taken_off(mode):
    """«A kind tag that no longer holds (a contact became a buyer) is taken off»"""
    there = held(tags=frozenset({"Shop-Contact", "mine"}))
    both = changed(want(tags=("Shop-Buyer", "mine")), there, rules(mode, kind_tags=KINDS))
    assert both == Change(
        KEY, ANN, What.UPDATE, "changed", tags_added=("Shop-Buyer",), tags_removed=("Shop-Contact",)
    )
    alone = changed(want(tags=("mine",)), there, rules(mode, kind_tags=KINDS))
    assert (alone.reason, alone.tags_added, alone.tags_removed) == ("kind_changed", (), ("Shop-Contact",))


def test_a_kind_tag_goes_even_if_the_person_left_the_selection_by_it():
    there = held(owned=True, tags=frozenset({"Shop-Contact", "Shop-Buyer", "mine"}))
    change = changed(want(taken=False, tags=("Shop-Buyer",)), there, rules(kind_tags=KINDS))
    assert change == Change(KEY, ANN, What.UPDATE, "kind_changed", tags_removed=("Shop-Contact",))


@pytest.mark.parametrize("by", [rules("exact", tag="VIP", kind_tags=KINDS),
                                rules("merge", tag="VIP", kind_tags=KINDS, remove_departed=True)])  # fmt: skip
def test_whoever_is_untagged_loses_the_kind_tag_that_no_longer_holds_too(by):
    there = held(owned=True, tagged=True, tags=frozenset({"Shop-Contact", "Shop-Buyer", "mine"}))
    change = changed(want(taken=False, tags=("Shop-Buyer",)), there, by)
    assert (change.what, change.tags_removed) == (What.REMOVE, ("Shop-Contact", "VIP"))


@pytest.mark.parametrize("mode", ["exact", "merge"])
def test_tags_that_others_put_on_are_never_touched(mode):
    """«Tags that the product did not put on are never touched.»"""
    there = held(found_tags=frozenset({"Shop-Contact", "Shop-Buyer", "theirs"}))
    assert skipped(want(tags=("Shop-Buyer",)), there, rules(mode, kind_tags=KINDS)) is None


def test_literal_tags_and_tags_of_unticked_kinds_stay():
    """«Unticking one affects the future alone: nothing is removed, no tag is taken off.»"""
    there = held(owned=True, tags=frozenset({"Shop-Contact", "mine"}))
    for taken in (True, False):
        assert skipped(want(taken=taken), there, rules(kind_tags=frozenset({"Shop-Buyer"}))) is None
        assert skipped(want(taken=taken), there, rules()) is None


def test_no_tag_is_taken_off_in_subtract():
    """«In subtract and in plain merge without kind tags no tag is taken off.»"""
    there = held(tagged=True, tags=frozenset({"Shop-Contact"}))
    by = rules("subtract", tag="VIP", kind_tags=KINDS)
    assert changed(want(), there, by).tags_removed == ("VIP",)


def test_fields_and_tags_are_sent_together():
    change = changed(want(fields={"F": "x"}, tags=("t",)), held())
    assert (change.reason, change.fields, change.tags_added, change.status) == (
        "changed",
        {"F": "x"},
        ("t",),
        None,
    )


# --- words -------------------------------------------------------------------------------------------


def test_every_reason_ends_a_sentence():
    assert all(words and words[0].islower() and words[-1] != "." for words in REASONS.values())


def test_a_row_that_was_only_decided_about_is_not_in_the_list():
    assert not Held(ANN).listed
    assert held(Status.PENDING).listed


def test_removing_by_name_needs_a_tag_to_take_off():
    assert remove(KEY, held(), "undo", rules(removal=UNTAG)).tags_removed == ()
