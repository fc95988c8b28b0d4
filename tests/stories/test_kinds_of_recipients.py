"""Subscribers, buyers and others: which are taken, how they are tagged, what is sent later."""

from itertools import combinations
from pathlib import Path

import pytest

from engine.world import World

KINDS = ("subscriber", "buyer", "contact")
PEOPLE = {  # id: (has agreed, orders, the kinds that this makes)
    "neither": ("unknown", 0, {"contact"}),
    "reader": ("granted", 0, {"subscriber"}),
    "customer": ("unknown", 3, {"buyer"}),
    "both": ("granted", 3, {"subscriber", "buyer"}),
}
SELECTIONS = [list(chosen) for n in (1, 2, 3) for chosen in combinations(KINDS, n)]


def shop(folder: Path, kinds: list[str]) -> World:
    world = World(
        folder,
        select={"kinds": kinds},
        kind_tags=True,
        origin="Shopify",
        consent={"without_consent": "transactional"},
    )
    for name, (word, orders, _) in PEOPLE.items():
        world.shop.add(name, consent=word, orders_count=orders, first_name=name)
    return world


@pytest.mark.parametrize("kinds", SELECTIONS, ids="+".join)
def test_who_is_taken_and_tagged_follows_from_what_they_are_and_what_is_selected(
    tmp_path: Path, kinds: list[str]
) -> None:
    world = shop(tmp_path, kinds)
    world.run()
    expected = {
        f"{name}@shop.example": {f"Shopify-{kind.capitalize()}" for kind in has & set(kinds)}
        for name, (_, _, has) in PEOPLE.items()
        if has & set(kinds)
    }
    assert {email: world.tags(email) for email in world.present()} == expected
    assert world.run().calls.write == 0


def test_guests_who_bought_are_buyers(tmp_path: Path) -> None:
    world = shop(tmp_path, ["buyer"])
    world.shop.add("guest", consent="unknown", guest=1, first_name="Gus", last_name="Guest")
    world.run()
    assert world.tags("guest@shop.example") == {"Shopify-Buyer"}


def test_an_order_is_no_news_for_a_sync_of_subscribers_and_a_change_of_address_is(tmp_path: Path) -> None:
    world = shop(tmp_path, ["subscriber"])
    world.sync(fields={"FNAME": "first_name", "TOWN": "city"})
    world.mailchimp.add_merge_field(world.list_id, "TOWN")
    world.run()
    world.shop.change("reader", orders_count=1)
    world.shop.change("neither", orders_count=1, city="Turku")
    assert world.run().calls.write == 0
    world.shop.change("reader", city="Oulu")
    told = world.run()
    assert (told.tally, told.calls.write) == ({"updated": 1, "unchanged": 1}, 1)
    assert world.field("reader@shop.example", "TOWN") == "Oulu"
    world.shop.change("reader", email="reader2@shop.example")
    assert world.run().tally == {"updated": 1, "unchanged": 1}
    assert world.present() == {"reader2@shop.example", "both@shop.example"}


def test_ticking_a_kind_brings_in_its_people_alone(tmp_path: Path) -> None:
    world = shop(tmp_path, ["subscriber"])
    world.run()
    world.sync(select={"kinds": ["subscriber", "buyer"]})
    told = world.run()
    assert told.tally == {"created": 1, "updated": 1, "unchanged": 1}
    assert world.tags("customer@shop.example") == {"Shopify-Buyer"}
    assert world.tags("both@shop.example") == {"Shopify-Subscriber", "Shopify-Buyer"}


def test_unticking_a_kind_takes_nothing_away(tmp_path: Path) -> None:
    world = shop(tmp_path, ["subscriber", "buyer"])
    world.run()
    before = world.mailchimp.members(world.list_id)
    world.sync(select={"kinds": ["subscriber"]})
    assert world.run().calls.write == 0
    assert world.mailchimp.members(world.list_id) == before
    world.shop.change("customer", first_name="Changed")
    assert world.run().calls.write == 0
    world.shop.add("late", consent="unknown", orders_count=1)
    world.run()
    assert "late@shop.example" not in world.present()


def test_two_shops_are_told_apart_by_the_origin_of_their_tags(tmp_path: Path) -> None:
    world = shop(tmp_path, ["subscriber"])
    world.connections["crm"] = {
        "connector": "sql",
        "url": "sqlite:///shop.db",
        "contacts": "SELECT 'x' || id AS id, email, consent FROM customers WHERE id = 'reader'",
    }
    world.sync("second", source="crm", select={"kinds": ["subscriber"]}, kind_tags=True, origin="Salesforce")
    world.run()
    world.run("second")
    assert world.tags("reader@shop.example") == {"Shopify-Subscriber", "Salesforce-Subscriber"}
    assert world.tagged("Salesforce-Subscriber") == {"reader@shop.example"}
    assert world.run().calls.write == 0
