"""Data flows from the shop to the newsletter; back flow unsubscribes and hard bounces only."""

from pathlib import Path

import pytest

from engine.world import World

ANNA, BEN = "anna@shop.example", "ben@shop.example"


def in_step(folder: Path, mode: str = "merge") -> World:
    world = World(folder, mode=mode, fields={"FNAME": "first_name", "LNAME": "last_name"})
    world.shop.add("anna", first_name="Anna", last_name="Abel")
    world.shop.add("ben", first_name="Ben", last_name="Bol")
    world.run()
    return world


def test_an_edit_by_hand_is_overwritten_by_the_next_change_of_the_same_field(tmp_path: Path) -> None:
    world = in_step(tmp_path)
    before = world.shop.rows()
    world.mailchimp.edit_field_by_hand(world.list_id, ANNA, "FNAME", "By hand")
    assert world.run().calls.write == 0
    world.shop.change("anna", last_name="Other")
    world.run()
    assert (world.field(ANNA), world.field(ANNA, "LNAME")) == ("By hand", "Other")
    world.shop.change("anna", first_name="Anne")
    world.run()
    assert world.field(ANNA) == "Anne"
    assert world.shop.row("ben") == before[1]
    assert world.shop.row("anna")["first_name"] == "Anne", "nothing was written back"


def test_a_person_deleted_in_the_shop_is_removed_by_the_next_run(tmp_path: Path) -> None:
    world = in_step(tmp_path, "exact")
    world.shop.delete("anna")
    assert world.run().tally == {"removed": 1, "unchanged": 1}
    assert world.statuses()[ANNA] == "archived"


def test_a_person_deleted_at_the_newsletter_stays_in_the_shop_and_is_not_made_again(tmp_path: Path) -> None:
    world = in_step(tmp_path)
    world.mailchimp.delete_permanently(world.list_id, ANNA)
    for _ in range(2):
        world.run()
        world.shop.change("anna", first_name=world.clock())
    told = world.run()
    assert told.skipped == {"suppressed": 1}, "an erased address stays so, whatever the shop says"
    assert ANNA not in world.statuses()
    assert world.shop.row("anna")["consent"] == "granted"
    assert told.feedback == {"unsubscribed": 0, "bounced": 0}


@pytest.mark.parametrize("by", ["person", "admin"])
def test_an_unsubscribe_is_written_back_once_and_only_that(tmp_path: Path, by: str) -> None:
    world = in_step(tmp_path)
    if by == "person":
        world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    else:
        world.mailchimp.unsubscribe_by_admin(world.list_id, ANNA)
    assert world.run().feedback == {"unsubscribed": 1, "bounced": 0}
    row = world.shop.row("anna")
    assert (row["consent"], row["first_name"], row["bounced"]) == ("denied", "Anna", None)
    assert world.shop.row("ben")["consent"] == "granted"
    assert world.run().feedback == {"unsubscribed": 0, "bounced": 0}


def test_a_hard_bounce_is_written_back_and_is_no_unsubscribe(tmp_path: Path) -> None:
    world = in_step(tmp_path)
    world.mailchimp.bounce(world.list_id, ANNA)
    assert world.run().feedback == {"unsubscribed": 0, "bounced": 1}
    assert world.shop.row("anna")["consent"] == "granted"
    assert world.shop.row("anna")["bounced"]


def test_a_shop_that_redirects_is_told_so_and_nothing_is_concluded(tmp_path: Path) -> None:
    world = World(tmp_path, source="crm", mode="exact")
    crm = world.with_crm()
    crm.add_customer("anna@crm.example", topics={"default_marketing": True})
    world.run()
    crm.faults.add("redirect", location="https://new.example/")
    told = world.run()
    assert (told.state, told.error["kind"]) == ("stopped", "redirected")
    assert "new.example" in told.error["message"]
    assert world.present() == {"anna@crm.example"}
