"""Guards, on and beside their borders."""

import pytest

from listbridge.policy import Figures, Guard, GuardSettings, Limit, tripped

OFF = GuardSettings(max_removals=None, max_source_drop=None, max_creates=None)


def trips(settings=None, **figures):
    """(name, would, allowed) of the guard that trips, if one does."""
    guard = tripped(Figures(**figures), settings or GuardSettings())
    return guard and (guard.name, guard.would, guard.allowed)


# --- removals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "removals", "allowed"),
    [
        (1000, 200, None),  # exactly 20 %
        (1000, 201, 200),
        (100, 50, None),  # exactly 50
        (100, 51, 50),
        (250, 50, None),
        (250, 51, 50),
        (253, 51, 50),  # 20 % are 50.6
        (255, 51, None),
        (255, 52, 51),
        (10, 10, None),  # everybody, but not more than 50
        (51, 51, 50),
        (950, 812, 190),  # the example of the printed line
        (0, 0, None),
    ],
)
def test_more_than_20_percent_and_more_than_50(members, removals, allowed):
    """«a plan that would remove more than 20 % and more than 50 members»"""
    expected = None if allowed is None else ("max_removals", removals, allowed)
    assert trips(members=members, removals=removals) == expected


@pytest.mark.parametrize("removals", [1, 50, 51])
def test_a_share_that_cannot_be_computed_trips(removals):
    """«A share that cannot be computed trips the guard.»"""
    assert trips(members=0, removals=removals) == ("max_removals", removals, 0)


@pytest.mark.parametrize("percent", range(1, 101))
def test_exactly_the_share_is_allowed_and_one_more_is_not(percent):
    """29 % of 100 are 29, whatever binary fractions make of it."""
    settings = GuardSettings(max_removals=Limit(share=percent / 100), min_removals=0)
    assert trips(settings, members=100, removals=percent) is None
    assert trips(settings, members=100, removals=percent + 1) == ("max_removals", percent + 1, percent)


def test_a_number_of_removals_needs_no_share():
    settings = GuardSettings(max_removals=Limit(count=60))
    assert trips(settings, members=0, removals=60) is None
    assert trips(settings, members=10_000, removals=61) == ("max_removals", 61, 60)


def test_no_removals_at_all_can_be_asked_for():
    settings = GuardSettings(max_removals=Limit(count=0), min_removals=0)
    assert trips(settings, members=10, removals=1) == ("max_removals", 1, 0)
    assert trips(settings, members=10, removals=0) is None


# --- the source --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "least"),
    [
        (100, 50, None),  # exactly half
        (100, 49, 50),
        (100, 0, 50),
        (3, 2, None),
        (3, 1, 2),
        (2, 1, None),
        (1, 0, 1),
        (1, 1, None),
        (100, 200, None),
        (0, 0, None),
        (None, 0, None),  # «it needs an earlier complete read»
        (100, None, None),  # no complete read now: nothing is removed from it either
    ],
)
def test_a_source_that_returned_nothing_or_far_less(before, now, least):
    expected = None if least is None else ("max_source_drop", now, least)
    assert trips(source_before=before, source_now=now) == expected


def test_a_source_that_returned_nothing_trips_however_wide_the_limit():
    settings = GuardSettings(max_source_drop=Limit(share=1.0))
    assert trips(settings, source_before=100, source_now=0) == ("max_source_drop", 0, 1)
    assert trips(settings, source_before=100, source_now=1) is None


def test_a_drop_may_be_a_number():
    settings = GuardSettings(max_source_drop=Limit(count=10))
    assert trips(settings, source_before=100, source_now=90) is None
    assert trips(settings, source_before=100, source_now=89) == ("max_source_drop", 89, 90)


# --- creates, contacts, consent ----------------------------------------------------------------------


def test_creates_are_unlimited_unless_asked_for():
    assert trips(members=1, creates=1_000_000) is None


def test_more_creates_than_allowed():
    assert trips(GuardSettings(max_creates=Limit(count=5)), creates=5) is None
    assert trips(GuardSettings(max_creates=Limit(count=5)), creates=6) == ("max_creates", 6, 5)
    half = GuardSettings(max_creates=Limit(share=0.5))
    assert trips(half, members=10, creates=5) is None
    assert trips(half, members=10, creates=6) == ("max_creates", 6, 5)
    assert trips(half, members=0, creates=1) == ("max_creates", 1, 0)


@pytest.mark.parametrize(
    ("contacts", "limit", "creates", "would"),
    [
        (90, 100, 10, None),
        (90, 100, 11, 101),
        (200, 100, 0, None),  # full already: nothing new is sent, so nothing is stopped
        (None, 100, 10, None),
        (90, None, 10_000, None),
        (0, 0, 1, 1),
    ],
)
def test_contacts_after_the_run_against_the_accounts_limit(contacts, limit, creates, would):
    """«would = contacts after the run, allowed = the limit»"""
    expected = None if would is None else ("contact_limit", would, limit)
    assert trips(contacts=contacts, contact_limit=limit, creates=creates) == expected


def test_people_without_consent_stop_the_run_until_the_operator_has_said_so():
    """Rule 6: «stops the first run at the guard without_consent, with the number of people»"""
    assert trips(without_consent=3) == ("without_consent", 3, 0)
    assert trips(without_consent=3, without_consent_allowed=True) is None
    assert trips(without_consent=0) is None


# --- together ----------------------------------------------------------------------------------------

TROUBLE = {
    "source_before": 100,
    "source_now": 0,
    "members": 100,
    "removals": 100,
    "creates": 100,
    "contacts": 100,
    "contact_limit": 100,
    "without_consent": 100,
}


def test_guards_trip_in_the_order_in_which_trouble_shows():
    settings = GuardSettings(max_creates=Limit(count=1))
    calmed = [{}, {"source_now": 100}, {"removals": 0}]
    names = []
    figures = dict(TROUBLE)
    for calm in calmed:
        figures |= calm
        names.append(trips(settings, **figures)[0])
    assert names == ["max_source_drop", "max_removals", "max_creates"]
    assert trips(**figures)[0] == "contact_limit"
    assert trips(**{**figures, "contact_limit": None})[0] == "without_consent"


def test_the_operator_can_switch_guards_off():
    """None switches a guard off; the account's limit and the people without consent are no matter of taste."""
    assert trips(OFF, **TROUBLE)[0] == "contact_limit"
    assert trips(OFF, **{**TROUBLE, "contact_limit": None, "without_consent": 0}) is None


@pytest.mark.parametrize(
    "name", ["max_source_drop", "max_removals", "max_creates", "contact_limit", "without_consent"]
)
def test_every_guard_has_a_sentence_with_its_figures(name):
    words = Guard(name, 812, 190).sentence
    assert "812" in words
    assert ("190" in words) is (name != "without_consent")
    assert words.endswith(".")
