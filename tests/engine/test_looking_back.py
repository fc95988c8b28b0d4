"""What people ask afterwards: undo, explain, drift."""

from pathlib import Path

import pytest

from engine.world import World
from listbridge.errors import Misconfigured

ANNA, BEN, CLEO = "anna@shop.example", "ben@shop.example", "cleo@shop.example"


# --- undo --------------------------------------------------------------------------------------------


def test_undo_takes_created_people_out_in_the_mildest_form(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna")
    run = world.run().run
    planned = world.undo(run, acts=False)
    assert (planned.counts["removed"], world.present()) == (1, {ANNA})
    assert world.undo(run).counts["removed"] == 1
    assert world.statuses() == {ANNA: "archived"}
    told = world.run()
    assert (told.tally, told.skipped) == ({"skipped": 1}, {"deleted_there": 1}), "undone is not done again"


def test_undo_gives_fields_and_tags_back_their_former_values(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", first_name="Anna")
    world.shop.add("ben", first_name="Ben")
    world.member(BEN, merge_fields={"FNAME": "Benjamin"})
    world.run()
    world.shop.change("anna", first_name="Anne")
    world.sync(tags=["club"])
    run = world.run().run
    assert (world.field(ANNA), world.tags(ANNA)) == ("Anne", {"club"})
    assert world.undo(run).counts["updated"] == 2
    assert (world.field(ANNA), world.tags(ANNA), world.tags(BEN)) == ("Anna", set(), set())


def test_undo_of_the_first_run_restores_what_was_there_before_us(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("ben", first_name="Ben")
    world.member(BEN, merge_fields={"FNAME": "Benjamin"})
    run = world.run().run
    assert world.field(BEN) == "Ben"
    world.undo(run)
    assert world.field(BEN) == "Benjamin"


def test_undo_brings_removed_people_back_as_they_were(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact")
    world.shop.add("anna")
    world.member(BEN, merge_fields={"FNAME": "Benjamin"})
    world.member(CLEO, "transactional")
    run = world.run().run
    assert world.present() == {ANNA}
    told = world.undo(run)
    assert world.statuses() == {ANNA: "archived", BEN: "subscribed", CLEO: "transactional"}
    assert world.field(BEN) == "Benjamin"
    assert told.counts["created"] == 2


def test_undo_says_what_cannot_be_put_back(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact", removal="delete")
    world.shop.add("anna")
    world.shop.add("ben")
    world.run()
    world.shop.change("anna", consent="denied")
    world.shop.delete("ben")
    world.shop.add("cleo")
    run = world.run().run
    told = world.undo(run)
    why = {row["email"]: row["reason"] for row in told.impossible}
    assert set(why) == {ANNA, BEN}
    assert "refused" in why[ANNA]
    assert "deleted for good" in why[BEN]
    assert world.statuses().get(ANNA) == "unsubscribed"


def test_undo_never_brings_back_who_has_left_since(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact", select={"groups": ["a"]})
    other = world.mailchimp.add_list("Other")
    world.sync("second", audience={"list": "Other"})
    world.shop.add("anna", groups="a")
    world.shop.add("ben", groups="a")
    world.run()
    world.run("second")
    world.shop.change("anna", groups="b")
    run = world.run().run
    world.mailchimp.unsubscribe_by_person(other, ANNA)
    world.run("second")
    told = world.undo(run)
    assert [row["email"] for row in told.impossible] == [ANNA]
    assert world.statuses()[ANNA] == "archived"


def test_undo_puts_the_tag_of_a_tag_audience_back(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact", audience={"list": "Newsletter", "tag": "VIP"})
    world.shop.add("anna")
    world.member(ANNA, tags=["VIP"])
    world.member(BEN, tags=["VIP"])
    run = world.run().run
    assert world.tagged("VIP") == {ANNA}
    world.undo(run)
    assert world.tagged("VIP") == {ANNA, BEN}


def test_undo_stops_at_the_guards_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add_many(f"c{n}" for n in range(60))
    run = world.run().run
    told = world.undo(run)
    assert (told.state, told.guard.name) == ("waiting", "max_removals")
    assert world.undo(run, approve=told.plan).counts["removed"] == 60


def test_undo_of_a_run_that_never_was_is_a_clear_sentence(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(Misconfigured, match="no run 01NOPE"):
        world.undo("01NOPE")


def test_an_undone_removal_is_not_fed_back_as_news(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna")
    world.undo(world.run().run)
    assert world.run().feedback == {"unsubscribed": 0, "bounced": 0}
    assert world.shop.row("anna")["consent"] == "granted"


# --- explain -----------------------------------------------------------------------------------------


def test_every_rule_explains_itself(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact", select={"groups": ["a"]}, remove_departed=False)
    shop = world.shop
    for name in ("in_step", "left", "changed", "deleted", "optout", "gone"):
        shop.add(name, groups="a")
    shop.add("no_consent", groups="a", consent="unknown")
    shop.add("other", groups="b")
    shop.add("refused", "refused@example.com", groups="a")
    world.member("stranger@shop.example")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, "left@shop.example")
    world.mailchimp.archive_by_hand(world.list_id, "deleted@shop.example")
    world.run(full=True)
    shop.change("changed", first_name="Zed")
    shop.change("optout", consent="denied")
    shop.delete("gone")
    shop.add("new", groups="a")
    world.plan()
    expected = {
        "in_step@shop.example": (True, "in_step"),
        "left@shop.example": (False, "suppressed"),
        "changed@shop.example": (True, "changed"),
        "deleted@shop.example": (False, "deleted_there"),
        "optout@shop.example": (True, "source_optout"),
        "gone@shop.example": (True, "departed"),
        "no_consent@shop.example": (False, "no_consent"),
        "other@shop.example": (False, "not_selected"),
        "refused@example.com": (False, "rejected_before"),
        "new@shop.example": (False, "new"),
        "nobody@shop.example": (False, "not_in_source"),
    }
    told = {email: world.explain(email) for email in expected}
    assert {email: (one.present, one.rule) for email, one in told.items()} == expected
    assert all(one.because and one.because[0].endswith(".") for one in told.values())


def test_explain_tells_history_source_and_destination(tmp_path: Path) -> None:
    world = World(tmp_path, tags=["club"])
    world.shop.add("anna", first_name="Anna", groups="a")
    first = world.run()
    world.shop.change("anna", first_name="Anne")
    second = world.run()
    told = world.explain("ANNA@shop.example")
    assert [(row["run"], row["change"]) for row in told.history] == [
        (first.run, "created"),
        (second.run, "updated"),
    ]
    assert told.source["contacts"][0]["groups"] == ["a"]
    assert told.destination["status"] == "subscribed"
    assert (told.destination["fields"], told.destination["tags"]) == ({"FNAME": "Anne"}, ["club"])


def test_explain_before_the_first_plan_says_what_to_do(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(Misconfigured, match="listbridge plan vip"):
        world.explain(ANNA)


def test_explain_in_a_subtract_sync_says_that_nobody_is_added(tmp_path: Path) -> None:
    world = World(tmp_path, mode="subtract")
    world.shop.add("anna")
    world.run()
    assert (world.explain(ANNA).present, world.explain(ANNA).rule) == (False, "not_added")


# --- drift -------------------------------------------------------------------------------------------


def test_drift_shows_what_somebody_changed_there_and_changes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, tags=["club"])
    for name in ("anna", "ben", "cleo", "dora"):
        world.shop.add(name, first_name=name.title())
    world.run()
    assert world.drift() == []
    world.mailchimp.edit_field_by_hand(world.list_id, ANNA, "FNAME", "Hacked")
    world.mailchimp.untag_by_hand(world.list_id, BEN, "club")
    world.mailchimp.archive_by_hand(world.list_id, CLEO)
    world.mailchimp.delete_permanently(world.list_id, "dora@shop.example")
    world.member("new@shop.example")
    world.mailchimp.forget_requests()
    expected = [
        (ANNA, "FNAME", "Anna", "Hacked"),
        (BEN, "tag", "club", None),
        (CLEO, "status", "subscribed", "archived"),
        ("dora@shop.example", "status", "subscribed", "absent"),
        ("new@shop.example", "status", None, "subscribed"),
    ]
    assert world.drift() == expected
    assert world.mailchimp.calls.write == 0
    assert world.drift() == expected, "looking takes nothing away"


def test_drift_before_the_first_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="listbridge run vip"):
        World(tmp_path).drift()
