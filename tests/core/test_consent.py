"""The law, clause by clause."""

from itertools import permutations

import pytest

from listbridge.consent import (
    ConsentRules,
    Suppression,
    WithoutConsent,
    denial_reaches,
    is_fresh,
    lifts,
    may_be_mailed,
    status_when_granted_later,
    status_when_new,
    strictest,
)
from listbridge.model import MEMBER_STATUSES, WITHDRAWN_STATUSES, Consent, Status, Word

GRANTED, PENDING, UNKNOWN, DENIED = Word.GRANTED, Word.PENDING, Word.UNKNOWN, Word.DENIED
SKIP, LET_BE, MAIL = WithoutConsent.SKIP, WithoutConsent.TRANSACTIONAL, WithoutConsent.SUBSCRIBE


def test_members_and_withdrawn_are_two_sets():
    """«Members are contacts with the status subscribed, pending or transactional»"""
    assert {Status.SUBSCRIBED, Status.PENDING, Status.TRANSACTIONAL} == MEMBER_STATUSES
    assert {Status.UNSUBSCRIBED, Status.BOUNCED, Status.COMPLAINED} == WITHDRAWN_STATUSES


@pytest.mark.parametrize(
    ("word", "without", "always", "status"),
    [
        (GRANTED, SKIP, False, Status.SUBSCRIBED),
        (GRANTED, LET_BE, False, Status.SUBSCRIBED),
        (GRANTED, MAIL, False, Status.SUBSCRIBED),
        (UNKNOWN, SKIP, False, None),
        (UNKNOWN, LET_BE, False, Status.TRANSACTIONAL),
        (UNKNOWN, MAIL, False, Status.SUBSCRIBED),
        (UNKNOWN, SKIP, True, Status.SUBSCRIBED),
        (UNKNOWN, LET_BE, True, Status.SUBSCRIBED),
        (PENDING, SKIP, False, None),
        (PENDING, LET_BE, False, Status.TRANSACTIONAL),
        (PENDING, MAIL, False, Status.SUBSCRIBED),
        (PENDING, SKIP, True, None),
        (PENDING, LET_BE, True, Status.TRANSACTIONAL),
        (DENIED, SKIP, True, None),
        (DENIED, LET_BE, True, None),
        (DENIED, MAIL, True, None),
    ],
)
@pytest.mark.parametrize("double", [False, True])
def test_the_status_of_a_new_contact(word, without, always, status, double):
    """Rules 3 and 4: «granted → subscribed, or pending where the audience has double opt-in» …"""
    rules = ConsentRules(always_opt_in=always, without_consent=without, double_opt_in=double)
    asked = Status.PENDING if double and status is Status.SUBSCRIBED else status
    assert status_when_new(word, rules) is asked


def test_only_granted_or_by_the_operators_word_unknown_may_be_mailed():
    for always in (False, True):
        mailed = {word for word in Word if may_be_mailed(word, ConsentRules(always_opt_in=always))}
        assert mailed == ({GRANTED, UNKNOWN} if always else {GRANTED})


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("word", list(Word))
@pytest.mark.parametrize("seen", [False, True])
def test_one_status_is_raised_and_no_other(status, word, seen):
    """Rule 5: «a transactional contact becomes subscribed when its consent is *seen to become* granted»"""
    rises = status is Status.TRANSACTIONAL and word is GRANTED and seen
    for double, there in ((False, Status.SUBSCRIBED), (True, Status.PENDING)):
        rules = ConsentRules(always_opt_in=True, double_opt_in=double)
        got = status_when_granted_later(status, word, seen_to_change=seen, rules=rules)
        assert got is (there if rises else None)


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize(
    ("denied_at", "delivered", "opted_in_at", "reached"),
    [
        (None, True, None, True),
        (5.0, True, 9.0, True),
        (None, False, None, False),
        (None, False, 4.0, False),
        (5.0, False, None, False),
        (5.0, False, 4.0, True),
        (5.0, False, 5.0, False),
        (5.0, False, 6.0, False),
        (5.0, False, 0.0, True),
        (0.0, False, -1.0, True),
    ],
)
def test_whom_a_refusal_reaches(status, denied_at, delivered, opted_in_at, reached):
    """«members that this sync delivered, always; other members only if the time of the denial is known and
    later than their opt-in at the destination … never a transactional contact»"""
    mailed = status in (Status.SUBSCRIBED, Status.PENDING)
    got = denial_reaches(denied_at, delivered=delivered, status=status, opted_in_at=opted_in_at)
    assert got is (reached and mailed)


@pytest.mark.parametrize(
    ("word", "at", "reason", "fresh"),
    [
        (GRANTED, 101.0, "unsubscribed", True),
        (GRANTED, 100.0, "unsubscribed", False),
        (GRANTED, 99.0, "unsubscribed", False),
        (GRANTED, None, "unsubscribed", False),
        (UNKNOWN, 101.0, "unsubscribed", False),
        (PENDING, 101.0, "unsubscribed", False),
        (DENIED, 101.0, "unsubscribed", False),
        (GRANTED, 101.0, "bounced", False),
        (GRANTED, 101.0, "complained", False),
        (GRANTED, 101.0, "erased", False),
    ],
)
def test_which_consent_is_fresh(word, at, reason, fresh):
    """Rule 1: «only from a fresh consent that is newer than the withdrawal»"""
    assert is_fresh(word, at, Suppression(reason, 100.0)) is fresh


@pytest.mark.parametrize("reason", ["unsubscribed", "bounced", "complained", "erased"])
@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("at", [None, 99.0, 100.0, 101.0])
def test_only_an_opt_in_of_their_own_after_the_withdrawal_lifts_it(reason, status, at):
    lifted = reason == "unsubscribed" and status is Status.SUBSCRIBED and at == 101.0
    assert lifts(status, at, Suppression(reason, 100.0)) is lifted


def test_of_equal_words_the_latest_statement_counts():
    said = [Consent(DENIED), Consent(DENIED, 4.0), Consent(DENIED, -3.0), Consent(GRANTED, 9.0)]
    for order in permutations(said):
        assert strictest(order) == Consent(DENIED, 4.0)


def test_a_statement_with_a_time_counts_before_one_without():
    for order in permutations([Consent(GRANTED), Consent(GRANTED, -5.0)]):
        assert strictest(order).at == -5.0


def test_unless_the_operator_says_otherwise():
    """The defaults: «skip (the default)», «on_source_optout … default unsubscribe»"""
    assert ConsentRules() == ConsentRules(
        always_opt_in=False, unsubscribe_on_optout=True, without_consent=SKIP, double_opt_in=False
    )


@pytest.mark.parametrize("first", list(Word))
@pytest.mark.parametrize("second", list(Word))
def test_the_most_restrictive_word_counts(first, second):
    """«denied before pending before unknown before granted», whatever was said last"""
    order = [DENIED, PENDING, UNKNOWN, GRANTED]
    word = min(first, second, key=order.index)
    assert strictest([Consent(first, 1.0), Consent(second, 2.0)]).word is word
    assert strictest([Consent(first, 2.0), Consent(second, 1.0)]).word is word
