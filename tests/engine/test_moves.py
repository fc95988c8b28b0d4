"""People who change their address and their mind between two runs."""

from pathlib import Path

import pytest

from engine.world import World

ANNA, ANNE = "anna@shop.example", "anne@shop.example"


@pytest.mark.parametrize("leaves", ["unsubscribe_by_person", "unsubscribe_by_admin", "bounce"])
def test_who_leaves_and_changes_the_address_before_the_next_run_stays_out(
    tmp_path: Path, leaves: str
) -> None:
    """The source is read before the destination, so the withdrawal is not known yet when the move is."""
    world = World(tmp_path)
    world.shop.add("anna", consent_at="2020-01-01")
    world.run()
    getattr(world.mailchimp, leaves)(world.list_id, ANNA)
    world.shop.change("anna", email=ANNE)
    told = world.run()
    assert told.skipped == {"suppressed": 1}
    assert world.present() == set()
    assert world.run().calls.write == 0


def test_who_refuses_under_a_new_address_that_the_platform_refuses_is_unsubscribed_under_the_old(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.shop.add("anna")
    world.run()
    world.shop.change("anna", email="anna at nowhere", consent="denied")
    told = world.run()
    assert told.tally == {"updated": 1, "skipped": 1}
    assert world.statuses() == {ANNA: "unsubscribed"}
    assert world.run().calls.write == 0


def test_who_refuses_and_later_agrees_anew_under_another_address_is_asked_to_confirm(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna")
    world.run()
    world.shop.change("anna", email=ANNE, consent="denied")
    world.run()
    assert world.statuses() == {ANNA: "unsubscribed"}
    world.later()
    world.shop.change("anna", consent="granted", consent_at=world.clock())
    world.run()
    assert world.statuses() == {ANNA: "unsubscribed", ANNE: "pending"}


def test_a_member_of_the_list_whom_the_sync_tagged_is_untagged_when_departed(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        audience={"list": "Newsletter", "tag": "vip", "create": True},
        select={"groups": ["gold"]},
        remove_departed=True,
    )
    world.member(ANNA)
    world.shop.add("anna", groups="gold")
    world.run()
    assert world.tagged("vip") == {ANNA}
    world.shop.change("anna", groups="")
    assert world.run().tally == {"removed": 1}
    assert world.tagged("vip") == set()
    assert world.present() == {ANNA}


def test_the_contact_limit_counts_all_audiences_of_a_sync_together(tmp_path: Path) -> None:
    world = World(tmp_path, select=None, audience=None, map={"a": "A", "b": "B"}, create=True)
    world.connections["news"]["contact_limit"] = 3
    world.shop.add_many(["a1", "a2"], groups="a")
    world.shop.add_many(["b1", "b2"], groups="b")
    told = world.run()
    assert told.state == "waiting"
    assert (told.guard.name, told.guard.would, told.guard.allowed) == ("contact_limit", 4, 3)


def test_a_withdrawal_is_told_to_the_source_under_the_new_address_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", consent_at="2020-01-01")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    world.shop.change("anna", email=ANNE)
    assert world.run().feedback == {"unsubscribed": 1, "bounced": 0}
    assert world.shop.row("anna")["consent"] == "denied"
    assert world.run().feedback == {"unsubscribed": 0, "bounced": 0}
