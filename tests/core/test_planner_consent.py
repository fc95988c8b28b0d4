"""Consent, suppression and refusals as the planner decides them; the quotes are the rules."""

import pytest

from core.people import (
    ANN,
    DENIED,
    GRANTED,
    KEY,
    PENDING,
    SUBSCRIBED,
    TRANSACTIONAL,
    UNKNOWN,
    UNSUBSCRIBED,
    changed,
    held,
    left,
    rules,
    skipped,
    want,
)
from listbridge.changes import Change, What
from listbridge.model import WITHDRAWN_STATUSES, Status, Word
from listbridge.planner import Mode

MODES = list(Mode)
HELD_AGAINST = sorted(WITHDRAWN_STATUSES)
REASONS_AGAINST = ["unsubscribed", "bounced", "complained", "erased"]
BOTH = [Mode.EXACT, Mode.MERGE]


# --- rule 1: no status is ever raised ----------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("word", list(Word))
@pytest.mark.parametrize("status", HELD_AGAINST)
@pytest.mark.parametrize("taken", [True, False])
def test_who_has_left_stays_so_whatever_the_source_says(mode, word, status, taken):
    """«who is unsubscribed, bounced, complained … stays so, whatever the source says»"""
    there = held(status, owned=True, taken_out=True, tags=frozenset({"Shop-Buyer"}))
    by = rules(mode, restore_deleted=True, remove_departed=True, always_opt_in=True,
               without_consent="subscribe", kind_tags=frozenset({"Shop-Buyer"}))  # fmt: skip
    reason = skipped(want(word, 1e9, taken=taken, fields={"F": "new"}), there, by)
    assert reason == ("suppressed" if taken else None)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reason", REASONS_AGAINST)
@pytest.mark.parametrize("status", [None, *Status])
@pytest.mark.parametrize("word", [GRANTED, UNKNOWN, PENDING])
def test_a_suppressed_person_stands_outside(mode, reason, status, word):
    """«not added, not removed, not tagged, not changed, in any mode»"""
    there = held(status, owned=True, taken_out=True, sent={"F": "old"}, tags=frozenset({"t"}))
    by = rules(mode, restore_deleted=True, remove_departed=True, kind_tags=frozenset({"t"}))
    want_of_taken = want(word, 99.0, fields={"F": "new"}, tags=("n",))
    assert skipped(want_of_taken, there, by, left(reason)) == "suppressed"
    assert skipped(want(word, 99.0, taken=False), there, by, left(reason)) is None
    assert skipped(None, there, by, left(reason)) is None


@pytest.mark.parametrize("status", HELD_AGAINST)
def test_an_unsubscribed_stranger_in_an_exact_audience_is_left_where_it_is(status):
    assert skipped(None, held(status), rules("exact")) is None
    assert skipped(want(taken=False), held(status), rules("exact")) is None


def test_a_stranger_nobody_knows_is_nothing():
    assert skipped(None, None, rules("exact")) is None


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize("there", [None, held(None), held(Status.ARCHIVED, taken_out=True)])
def test_a_fresh_consent_makes_the_platform_ask(mode, there):
    """«only from a fresh consent that is newer than the withdrawal, and only through … double opt-in»"""
    wanted = want(GRANTED, 101.0, fields={"F": "x", "G": ""}, tags=("t",))
    assert changed(wanted, there, rules(mode), left(at=100.0)) == Change(
        KEY, ANN, What.CREATE, "fresh_consent", status=Status.PENDING, fields={"F": "x"}, tags_added=("t",)
    )


def test_a_fresh_consent_of_somebody_who_is_there_is_an_update():
    there = held(UNSUBSCRIBED, tags=frozenset({"t"}))
    change = changed(want(GRANTED, 101.0, tags=("t", "u")), there, rules(), left(at=100.0))
    assert (change.what, change.status, change.tags_added) == (What.UPDATE, Status.PENDING, ("u",))


def test_whoever_comes_back_from_the_archive_gets_every_tag():
    there = held(Status.ARCHIVED, taken_out=True, tags=frozenset({"t"}))
    assert changed(want(GRANTED, 101.0, tags=("t",)), there, rules(), left(at=100.0)).tags_added == ("t",)


def test_a_fresh_consent_needs_a_platform_that_can_ask():
    assert (
        skipped(want(GRANTED, 101.0), held(UNSUBSCRIBED), rules(pending=False), left(at=100.0))
        == "suppressed"
    )


def test_a_fresh_consent_asks_nobody_in_subtract():
    """subtract never does: «add anyone»"""
    assert (
        skipped(want(GRANTED, 101.0), held(UNSUBSCRIBED), rules("subtract"), left(at=100.0)) == "suppressed"
    )


def test_a_fresh_consent_of_somebody_who_is_not_taken_asks_nobody():
    assert skipped(want(GRANTED, 101.0, taken=False), held(UNSUBSCRIBED), rules(), left(at=100.0)) is None


@pytest.mark.parametrize("status", [Status.BOUNCED, Status.COMPLAINED, SUBSCRIBED, TRANSACTIONAL])
def test_who_bounced_or_complained_here_or_is_in_the_list_is_not_asked(status):
    """An unsubscribe in one audience of the account, followed by a fresh consent, wakes no dead mailbox in another."""
    assert skipped(want(GRANTED, 101.0), held(status, owned=True), rules(), left(at=100.0)) == "suppressed"


@pytest.mark.parametrize("status", [Status.ARCHIVED, Status.ABSENT])
def test_who_unsubscribed_and_was_then_archived_by_hand_is_not_asked_unless_restored(status):
    """«Somebody archived by hand comes back only with restore_deleted: true»"""
    wanted = want(GRANTED, 101.0)
    assert skipped(wanted, held(status), rules(), left(at=100.0)) == "suppressed"
    assert changed(wanted, held(status), rules(restore_deleted=True), left(at=100.0)).status is Status.PENDING


def test_who_waits_for_the_confirmation_is_unchanged():
    """«A contact that waits for its confirmation and has not changed counts as unchanged.»"""
    assert skipped(want(GRANTED, 101.0), held(Status.PENDING), rules(), left(at=100.0)) is None


@pytest.mark.parametrize("by", [rules(), rules(restore_deleted=True)])
def test_archived_by_hand_and_unsubscribed_before_stays_out(by):
    """«and not if an unsubscribe was seen before»"""
    assert skipped(want(GRANTED, 50.0), held(Status.ARCHIVED), by, left(at=100.0)) == "suppressed"


def test_taken_out_and_withdrawn_since_stays_out():
    """«comes back when S holds them again, unless they withdrew since»"""
    there = held(Status.ARCHIVED, owned=True, taken_out=True)
    assert skipped(want(GRANTED), there, rules("exact"), left()) == "suppressed"


# --- rule 2: a withdrawal travels --------------------------------------------------------------------


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize("status", [SUBSCRIBED, Status.PENDING])
@pytest.mark.parametrize("taken", [True, False])
def test_a_refusal_unsubscribes_whom_this_sync_delivered(mode, status, taken):
    """«denied at the source → unsubscribed at the destination», «It is an update, not a removal.»"""
    there = held(status, "Ann@Example.com", owned=True, opted_in_at=200.0)
    by = rules(mode, remove_departed=True) if mode is Mode.MERGE else rules(mode)
    assert changed(want(DENIED, taken=taken, fields={"F": "new"}), there, by) == Change(
        KEY, "Ann@Example.com", What.UPDATE, "source_optout", status=UNSUBSCRIBED
    )


@pytest.mark.parametrize(("denied_at", "reached"), [(201.0, True), (200.0, False), (None, False)])
def test_a_refusal_reaches_other_members_only_if_it_is_the_later_word(denied_at, reached):
    """«other members only if the time of the denial is known and later than their opt-in»"""
    there, by = held(opted_in_at=200.0), rules()
    if reached:
        assert changed(want(DENIED, denied_at), there, by).status is UNSUBSCRIBED
    else:
        assert skipped(want(DENIED, denied_at), there, by) is None


def test_a_refusal_that_does_not_reach_a_stranger_outside_the_selection_leaves_the_mode_to_decide():
    there = held(opted_in_at=200.0)
    assert changed(want(DENIED, 100.0, taken=False), there, rules("exact")).reason == "left_selection"
    assert skipped(want(DENIED, 100.0, taken=False), there, rules()) is None


def test_a_refusal_does_nothing_in_subtract():
    """«Never in subtract»"""
    assert skipped(want(DENIED, 300.0, taken=False), held(owned=True), rules("subtract")) is None
    assert changed(want(DENIED, 300.0), held(owned=True), rules("subtract")).what is What.REMOVE


@pytest.mark.parametrize("mode", BOTH)
def test_a_refusal_never_touches_a_transactional_contact(mode):
    """«never a transactional contact»"""
    assert skipped(want(DENIED, 300.0), held(TRANSACTIONAL, owned=True), rules(mode)) is None


@pytest.mark.parametrize(
    "there", [None, held(None), held(None, owned=True), held(Status.ABSENT, taken_out=True)]
)
def test_nobody_is_created_in_order_to_be_unsubscribed(there):
    """«nobody is created in order to be unsubscribed»"""
    assert skipped(want(DENIED, 300.0), there, rules(without_consent="subscribe")) == "no_consent"
    assert skipped(want(DENIED, 300.0, taken=False), there, rules()) is None


def test_a_refusal_can_be_ignored():
    """«on_source_optout: unsubscribe | ignore»: a member stays one and is kept up."""
    by = rules(unsubscribe_on_optout=False)
    assert changed(want(DENIED, 300.0, fields={"F": "x"}), held(owned=True), by) == Change(
        KEY, ANN, What.UPDATE, "changed", fields={"F": "x"}
    )
    assert skipped(want(DENIED, 300.0, taken=False), held(owned=True), by) is None
    exact = rules("exact", unsubscribe_on_optout=False)
    assert changed(want(DENIED, 300.0, taken=False), held(owned=True), exact).reason == "left_selection"


def test_a_refusal_takes_off_the_tag_of_the_kind_that_ended():
    """«A kind tag that no longer holds … is taken off», at the last moment at which anything is changed"""
    there = held(owned=True, tags=frozenset({"Shop-Subscriber", "mine"}), found_tags=frozenset({"x"}))
    by = rules(kind_tags=frozenset({"Shop-Subscriber", "Shop-Buyer"}))
    change = changed(want(DENIED, tags=("Shop-Buyer",)), there, by)
    assert (change.tags_added, change.tags_removed) == ((), ("Shop-Subscriber",))


def test_a_refusal_is_not_lost_where_another_audience_of_the_account_heard_it_first():
    """«A withdrawal is never lost: a member whose consent becomes denied is unsubscribed»"""
    change = changed(want(DENIED, 100.0), held(owned=True), rules(), left(at=100.0))
    assert (change.reason, change.status) == ("source_optout", UNSUBSCRIBED)


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize("taken", [True, False])
def test_a_refusal_is_not_lost_where_the_address_changed_with_it(mode, taken):
    """«A changed address is the same person … history and withdrawals go along»"""
    former = held(email="old@example.com", owned=True)
    for there in (None, held(None)):
        change = changed(want(DENIED, taken=taken), there, rules(mode), moved_from=former)
        assert change == Change(
            KEY, ANN, What.UPDATE, "source_optout", status=UNSUBSCRIBED, email_before="old@example.com"
        )


def test_a_refusal_reaches_no_stranger_outside_the_audience_of_a_tag():
    """«Members … (at a tag or segment: those of them that carry it)»"""
    by, wanted = rules(tag="VIP"), want(DENIED, 300.0, taken=False)
    assert skipped(wanted, held(opted_in_at=200.0), by) is None
    assert changed(wanted, held(opted_in_at=200.0, tagged=True), by).status is UNSUBSCRIBED
    assert changed(wanted, held(owned=True), by).status is UNSUBSCRIBED


# --- rules 3, 4, 6: new contacts ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize(
    ("word", "more", "status", "reason"),
    [
        (GRANTED, {}, SUBSCRIBED, "new"),
        (GRANTED, {"double_opt_in": True}, Status.PENDING, "new"),
        (UNKNOWN, {}, None, "no_consent"),
        (PENDING, {}, None, "no_consent"),
        (PENDING, {"double_opt_in": True}, None, "no_consent"),
        (DENIED, {}, None, "no_consent"),
        (UNKNOWN, {"without_consent": "transactional"}, TRANSACTIONAL, "new"),
        (PENDING, {"without_consent": "transactional"}, TRANSACTIONAL, "new"),
        (DENIED, {"without_consent": "transactional"}, None, "no_consent"),
        (UNKNOWN, {"without_consent": "subscribe"}, SUBSCRIBED, "without_consent"),
        (PENDING, {"without_consent": "subscribe"}, SUBSCRIBED, "without_consent"),
        (UNKNOWN, {"without_consent": "subscribe", "double_opt_in": True}, Status.PENDING, "without_consent"),
        (GRANTED, {"without_consent": "subscribe"}, SUBSCRIBED, "new"),
        (DENIED, {"without_consent": "subscribe", "always_opt_in": True}, None, "no_consent"),
        (UNKNOWN, {"always_opt_in": True}, SUBSCRIBED, "new"),
        (UNKNOWN, {"always_opt_in": True, "without_consent": "subscribe"}, SUBSCRIBED, "new"),
        (UNKNOWN, {"always_opt_in": True, "double_opt_in": True}, Status.PENDING, "new"),
        (PENDING, {"always_opt_in": True}, None, "no_consent"),
        (DENIED, {"always_opt_in": True}, None, "no_consent"),
    ],
)
def test_new_contacts(mode, word, more, status, reason):
    """Rules 3, 4 and 6, and «A person who refused is never created by an audience sync»"""
    for there in (None, held(None)):
        if status is None:
            assert skipped(want(word), there, rules(mode, **more)) == reason
        else:
            assert changed(want(word), there, rules(mode, **more)) == Change(
                KEY, ANN, What.CREATE, reason, status=status
            )


@pytest.mark.parametrize("more", [{"taken_out": True}, {}])
def test_people_without_consent_who_come_back_are_counted_at_the_guard_too(more):
    by = rules(without_consent="subscribe", restore_deleted=True)
    assert changed(want(UNKNOWN), held(Status.ARCHIVED, **more), by).reason == "without_consent"


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize("word", [UNKNOWN, PENDING])
@pytest.mark.parametrize("status", [SUBSCRIBED, Status.PENDING, TRANSACTIONAL])
def test_a_member_without_consent_stays_a_member(mode, word, status):
    """«A person in S without consent who already is a subscribed member stays a member»"""
    for more in ({}, {"always_opt_in": True}, {"without_consent": "subscribe"}, {"double_opt_in": True}):
        assert skipped(want(word), held(status), rules(mode, **more)) is None


# --- rule 5: the one status that rises ---------------------------------------------------------------


def test_a_transactional_contact_found_at_first_sight_stays_so():
    """«A contact found transactional on first sight stays so, whatever the source says.»"""
    for seq in (0, 3):
        assert skipped(want(GRANTED, consent_seq=seq), held(TRANSACTIONAL, since_seq=3)) is None


@pytest.mark.parametrize(("double", "status"), [(False, SUBSCRIBED), (True, Status.PENDING)])
def test_a_consent_seen_to_become_granted_makes_a_transactional_contact_subscribed(double, status):
    """«becomes subscribed (pending, with double opt-in) when its consent … is *seen to become* granted»"""
    there, by = held(TRANSACTIONAL, "Ann@Example.com", since_seq=3), rules(double_opt_in=double)
    assert changed(want(GRANTED, consent_seq=4), there, by) == Change(
        KEY, "Ann@Example.com", What.UPDATE, "consent_granted", status=status
    )


def test_a_consent_that_came_with_a_new_address_counts_as_well():
    former = held(TRANSACTIONAL, "old@example.com", since_seq=3)
    change = changed(want(GRANTED, consent_seq=4), None, rules(), moved_from=former)
    assert (change.status, change.email_before) == (SUBSCRIBED, "old@example.com")


@pytest.mark.parametrize("status", [SUBSCRIBED, Status.PENDING])
def test_no_other_status_is_updated(status):
    """«Existing statuses are otherwise never updated by a sync»"""
    assert skipped(want(GRANTED, consent_seq=9), held(status), rules(double_opt_in=True)) is None


@pytest.mark.parametrize("word", [UNKNOWN, PENDING, DENIED])
def test_another_word_raises_nobody(word):
    by = rules(always_opt_in=True, without_consent="subscribe")
    assert skipped(want(word, consent_seq=9), held(TRANSACTIONAL), by) is None
