"""From a sync's configuration to the words of the core."""

import pytest

from core.people import SUBSCRIBED, changed, want
from listbridge import rules
from listbridge.config import AudienceSync
from listbridge.connectors.base import Audience, Capabilities
from listbridge.errors import Stop
from listbridge.model import Kind, Label, Status
from listbridge.planner import UNTAG, Mode
from listbridge.policy import GuardSettings, Limit
from listbridge.rules import Place
from listbridge.selection import Shape

ABLE = Capabilities(500, 1000, 4, ("archive", "delete"), pending=True, renames=True)
LABELS = [
    Label("group", "1", ("Retail", "shared")),
    Label("group", "2", ("Wholesale", "shared")),
    Label("group", "Retail"),
    Label("segment", "9", ("vip",)),
]


def sync(**more) -> AudienceSync:
    parts = {"select": {"everyone": True}, "audience": {"list": "L"}, "mode": "merge"}
    given = {"type": "audience", "source": "shop", "destination": "mail", **parts, **more}
    return AudienceSync.model_validate({name: part for name, part in given.items() if part is not None})


def of(**more):
    one = sync(**more)
    (place,) = rules.places(one)
    return rules.rules(one, place, Shape(rules.selection(one, place, LABELS, "shop")), Audience("1", "L"),
                       ABLE)  # fmt: skip


def test_several_groups_may_feed_one_audience():
    one = sync(select=None, audience=None, create=True, map={"a": "L", "b": "M", "c": "L", "staff": None})
    assert rules.places(one) == [Place("L", None, True, ("a", "c")), Place("M", None, True, ("b",))]


def test_a_tags_audience_is_another_place_than_its_list():
    (place,) = rules.places(sync(audience={"list": "L", "tag": "VIP"}))
    assert place == Place("L", "VIP")
    assert place.key != Place("L").key


def test_names_become_ids_and_an_id_goes_before_a_name():
    one = sync(select={"groups": ["Wholesale", "Retail", "1"], "segments": ["vip"], "kinds": ["buyer"]})
    chosen = rules.selection(one, Place("L"), LABELS, "shop")
    assert (chosen.groups, chosen.segments) == ({"2", "Retail", "1"}, {"9"})
    assert (chosen.everyone, chosen.kinds) == (False, {Kind.BUYER})


@pytest.mark.parametrize(
    ("labels", "name", "words"),
    [
        (LABELS, "shared", "several groups called shared: 1, 2"),
        (LABELS, "nobody", "no group nobody. It has: 1, 2, Retail, Wholesale, shared"),
        (LABELS, "vip", "no group vip"),
        ([], "vip", "It has no groups at all"),
    ],
)
def test_a_name_that_is_unknown_or_not_one_stops_with_what_there_is(labels, name, words):
    with pytest.raises(Stop, match=words) as stop:
        rules.selection(sync(select={"groups": [name]}), Place("L"), labels, "shop")
    assert stop.value.kind == "not_found"


def test_the_mildest_removal_is_the_audiences_own():
    assert of().removal == "archive"
    assert of(audience={"list": "L", "tag": "VIP"}).removal == UNTAG
    assert of(removal="delete").removal == "delete"


@pytest.mark.parametrize(("said", "there", "double"), [("auto", True, True), ("auto", False, False),
                                                       (True, False, True), (False, True, False)])  # fmt: skip
def test_double_opt_in_is_the_audiences_unless_said(said, there, double):
    by = rules.rules(sync(consent={"double_opt_in": said}), Place("L"), Shape(rules.selection(sync(), Place("L"), [], "s")),
                     Audience("1", "L", double_opt_in=there), ABLE)  # fmt: skip
    assert changed(want(), None, by).status is (Status.PENDING if double else SUBSCRIBED)


def test_every_word_of_consent_and_mode_reaches_the_planner():
    by = of(
        mode="exact",
        restore_deleted=True,
        consent={"always_opt_in": True, "on_source_optout": "ignore", "without_consent": "subscribe"},
    )
    assert (by.mode, by.restore_deleted, by.pending, by.renames) == (Mode.EXACT, True, True, True)
    assert (by.consent.always_opt_in, by.consent.unsubscribe_on_optout) == (True, False)
    assert by.consent.without_consent == "subscribe"
    assert of(remove_departed=True).remove_departed


def test_guards_have_their_defaults():
    assert rules.guard_settings(sync()) == GuardSettings()
    off = sync(guards={"max_removals": None, "max_source_drop": None, "max_creates": 7})
    assert rules.guard_settings(off) == GuardSettings(None, 50, None, Limit(count=7))


def test_kind_tags_are_named_for_their_origin():
    assert set(rules.kind_tags_of("Shopify").values()) == {
        "Shopify-Subscriber",
        "Shopify-Buyer",
        "Shopify-Contact",
    }
    assert rules.tags_of(Shape(rules.selection(sync(), Place("L"), [], "s"), tags=("a", "VIP")), "VIP") == (
        "a",
        "VIP",
    )
    assert rules.unknown_audience(Place("L")).id == ""
