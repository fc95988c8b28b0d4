"""Segments of a CRM and audiences of a newsletter: identical, united, or taken out."""

from pathlib import Path
from typing import Any

import pytest

from engine.world import World
from listbridge.sandbox.retailcrm import RetailCrm

AGREED = {"default_marketing": True}


def crm_with_segment(folder: Path, **sync: Any) -> tuple[World, RetailCrm, list[int]]:
    """Three people in the segment VIP, one outside."""
    world = World(folder, source="crm", select={"segments": ["VIP"]}, **sync)
    crm = world.with_crm()
    crm.add_segment("vip", "VIP")
    numbers = [
        crm.add_customer(f"{name}@crm.example", firstName=name.title(), segments=["vip"], topics=AGREED)
        for name in ("anna", "ben", "cleo")
    ]
    crm.add_customer("dora@crm.example", firstName="Dora", topics=AGREED)
    crm.recount("vip")
    return world, crm, numbers


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("exact", {"anna", "ben", "cleo"}),
        ("merge", {"anna", "ben", "cleo", "dora", "emil"}),
        ("subtract", {"dora", "emil"}),
    ],
)
def test_a_segment_is_made_identical_added_or_taken_out(
    tmp_path: Path, mode: str, expected: set[str]
) -> None:
    world, _, _ = crm_with_segment(tmp_path, mode=mode)
    for name in ("cleo", "dora", "emil"):
        world.member(f"{name}@crm.example")
    world.run()
    assert world.present() == {f"{name}@crm.example" for name in expected}
    again = world.run()
    assert again.calls.write == 0


def test_everyone_is_a_selection_like_any_other(tmp_path: Path) -> None:
    world, _, _ = crm_with_segment(tmp_path)
    world.sync(select={"everyone": True})
    assert world.run().tally == {"created": 4}


def test_a_segment_of_the_same_name_is_made_at_the_newsletter(tmp_path: Path) -> None:
    world, _, _ = crm_with_segment(tmp_path, audience={"list": "Newsletter", "tag": "VIP", "create": True})
    assert world.run().tally == {"created": 3}
    assert world.tagged("VIP") == {"anna@crm.example", "ben@crm.example", "cleo@crm.example"}


def test_a_segment_of_the_same_name_that_may_not_be_made_stops_the_run(tmp_path: Path) -> None:
    world, _, _ = crm_with_segment(tmp_path, audience={"list": "Newsletter", "tag": "VIP"})
    assert world.run().error["kind"] == "not_found"


def test_a_dynamic_segment_is_followed_as_people_come_and_go(tmp_path: Path) -> None:
    world, crm, (anna, ben, _) = crm_with_segment(tmp_path, mode="exact")
    world.run()
    crm.set_segment_members("vip", [anna, ben, 4])
    crm.recount("vip")
    told = world.run()
    assert told.tally == {"created": 1, "removed": 1, "unchanged": 2}
    assert world.present() == {"anna@crm.example", "ben@crm.example", "dora@crm.example"}
    assert world.run().calls.write == 0


def test_a_plan_that_is_too_small_for_the_segment_waits_and_sends_nobody(tmp_path: Path) -> None:
    world, _, _ = crm_with_segment(tmp_path)
    world.connections["news"]["contact_limit"] = 2
    told = world.run()
    assert told.state == "waiting"
    assert (told.guard.name, told.guard.would, told.guard.allowed) == ("contact_limit", 3, 2)
    assert world.present() == set()
    world.connections["news"]["contact_limit"] = 3
    assert world.run().tally == {"created": 3}


def test_an_unsubscribe_at_the_newsletter_reaches_the_crm_once(tmp_path: Path) -> None:
    world, crm, (anna, _, _) = crm_with_segment(tmp_path)
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, "anna@crm.example")
    assert world.run().feedback == {"unsubscribed": 1, "bounced": 0}
    for _ in range(2):
        told = world.run()
        assert (told.calls.write, told.feedback["unsubscribed"]) == (0, 0)
    crm.edit_customer(anna, firstName="Anne")
    told = world.run()
    assert told.skipped == {"suppressed": 1}
    assert world.statuses()["anna@crm.example"] == "unsubscribed"


def test_an_unsubscribe_in_the_crm_reaches_the_newsletter(tmp_path: Path) -> None:
    world, crm, (anna, _, _) = crm_with_segment(tmp_path)
    world.run()
    crm.unsubscribe(anna)
    assert world.run().tally == {"updated": 1, "unchanged": 2}
    assert world.statuses()["anna@crm.example"] == "unsubscribed"
    assert world.run().calls.write == 0


def test_a_customer_deleted_in_the_crm_leaves_an_identical_audience(tmp_path: Path) -> None:
    world, crm, (anna, _, _) = crm_with_segment(tmp_path, mode="exact")
    world.run()
    crm.delete_customer(anna)
    world.later(90_000)
    assert world.run().tally == {"removed": 1, "unchanged": 2}


def test_two_syncs_of_one_segment_do_not_disturb_each_other(tmp_path: Path) -> None:
    world, crm, _ = crm_with_segment(tmp_path, audience={"list": "Newsletter", "tag": "VIP", "create": True})
    world.sync("rest", source="crm", select={"everyone": True})
    world.run()
    assert world.run("rest").tally == {"created": 1, "unchanged": 3}
    assert world.run().calls.write == world.run("rest").calls.write == 0
    assert len(crm.customers) == 4
