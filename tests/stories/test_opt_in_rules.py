"""A shop system and a newsletter: who becomes a subscriber, who only gets mail about orders."""

from pathlib import Path

import pytest

from engine.world import World

ANNA = "anna@shop.example"


def test_a_new_user_becomes_subscriber_or_transactional_by_the_rules(tmp_path: Path) -> None:
    world = World(tmp_path, consent={"without_consent": "transactional"})
    world.shop.add("anna", consent="granted")
    world.shop.add("ben", consent="unknown", orders_count=1)
    world.run()
    assert world.statuses() == {ANNA: "subscribed", "ben@shop.example": "transactional"}


def test_always_opt_in_makes_new_users_subscribers_but_not_those_who_refused(tmp_path: Path) -> None:
    world = World(tmp_path, consent={"always_opt_in": True, "without_consent": "transactional"})
    for word in ("unknown", "denied", "pending"):
        world.shop.add(word, consent=word)
    world.run()
    assert world.statuses() == {"unknown@shop.example": "subscribed", "pending@shop.example": "transactional"}


def test_with_double_opt_in_nobody_is_subscribed_before_they_confirm(tmp_path: Path) -> None:
    world = World(tmp_path, audience={"list": "Careful"}, consent={"always_opt_in": True})
    careful = world.mailchimp.add_list("Careful", double_optin=True)
    world.shop.add("anna", consent="unknown", first_name="Anna")
    world.run()
    world.shop.change("anna", first_name="Anne")
    world.run()
    assert world.statuses(careful) == {ANNA: "pending"}
    assert world.field(ANNA, list_id=careful) == "Anne"
    assert len(world.mailchimp.confirmation_mails) == 1
    world.mailchimp.confirm(careful, ANNA)
    world.shop.change("anna", first_name="Anja")
    world.run()
    assert world.statuses(careful) == {ANNA: "subscribed"}
    assert len(world.mailchimp.confirmation_mails) == 1


@pytest.mark.parametrize(
    "status", ["subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived"]
)
@pytest.mark.parametrize("word", ["granted", "unknown", "pending"])
def test_existing_statuses_are_never_updated(tmp_path: Path, status: str, word: str) -> None:
    world = World(tmp_path, consent={"always_opt_in": True, "without_consent": "transactional"})
    world.member(ANNA, status)
    world.shop.add("anna", consent=word, first_name="Anna")
    world.run()
    world.shop.change("anna", first_name="Anne")
    world.run()
    assert world.statuses() == {ANNA: status}
    assert world.mailchimp.confirmation_mails == []


def test_of_guests_only_the_first_name_is_sent_until_they_agree(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        fields={"FNAME": "first_name", "LNAME": "last_name"},
        consent={"without_consent": "transactional"},
    )
    world.shop.add("anna", consent="unknown", guest=1, first_name="Anna", last_name="Abel", orders_count=1)
    world.run()
    assert (world.field(ANNA), world.field(ANNA, "LNAME")) == ("Anna", "")
    world.shop.change("anna", consent="granted")
    world.run()
    assert (world.statuses()[ANNA], world.field(ANNA, "LNAME")) == ("subscribed", "Abel")
