"""Guards: what stops a run before anything is written, and how a plan is let through."""

from pathlib import Path
from typing import Any

from engine.world import Told, World


def filled(folder: Path, number: int = 100, **sync: Any) -> World:
    """A shop and an audience in step, ``number`` people."""
    world = World(folder, **sync)
    world.shop.add_many(f"c{n:03}" for n in range(number))
    world.run()
    world.mailchimp.forget_requests()
    return world


def assert_waits(told: Told, name: str, would: int, allowed: int, world: World) -> None:
    assert told.state == "waiting"
    assert told.guard is not None
    assert (told.guard.name, told.guard.would, told.guard.allowed) == (name, would, allowed)
    assert world.mailchimp.calls.write == 0
    assert told.error is None


def test_too_many_removals_wait_and_the_same_plan_is_let_through_by_its_id(tmp_path: Path) -> None:
    world = filled(tmp_path, 300, mode="exact")
    world.shop.delete(*(f"c{n:03}" for n in range(61)))
    planned = world.plan()
    assert_waits(planned, "max_removals", 61, 60, world)
    assert planned.counts["removed"] == 61
    told = world.run()
    assert_waits(told, "max_removals", 61, 60, world)
    assert told.plan == planned.plan
    assert told.counts["removed"] == 0, "a run counts what it did"
    done = world.run(approve=planned.plan)
    assert (done.state, done.tally) == ("done", {"removed": 61, "unchanged": 239})
    assert len(world.present()) == 239


def test_a_share_below_the_least_number_is_let_through(tmp_path: Path) -> None:
    world = filled(tmp_path, 100, mode="exact")
    world.shop.delete(*(f"c{n:03}" for n in range(50)))
    assert world.run().tally == {"removed": 50, "unchanged": 50}


def test_a_plan_that_has_changed_since_is_not_let_through(tmp_path: Path) -> None:
    world = filled(tmp_path, 300, mode="exact")
    world.shop.delete(*(f"c{n:03}" for n in range(61)))
    planned = world.plan()
    world.shop.delete("c061")
    told = world.run(approve=planned.plan)
    assert_waits(told, "max_removals", 62, 60, world)
    assert told.plan != planned.plan
    assert any("changed" in words for words in told.warnings)


def test_a_guarded_run_can_be_approved_by_a_later_run_with_the_same_changes(tmp_path: Path) -> None:
    world = filled(tmp_path, 300, mode="exact")
    world.shop.delete(*(f"c{n:03}" for n in range(61)))
    waiting = world.run()
    world.later(86400)
    assert world.run(approve=waiting.plan).tally["removed"] == 61


def test_strangers_in_an_exact_audience_count_as_removals(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact")
    for n in range(60):
        world.member(f"old{n}@shop.example")
    world.shop.add("anna")
    assert_waits(world.run(), "max_removals", 60, 50, world)


def test_a_source_that_shrank_too_much_stops_the_run(tmp_path: Path) -> None:
    world = filled(tmp_path, 100)
    world.shop.delete(*(f"c{n:03}" for n in range(51)))
    told = world.run()
    assert_waits(told, "max_source_drop", 49, 50, world)
    assert_waits(world.run(), "max_source_drop", 49, 50, world)
    planned = world.plan()
    assert world.run(approve=planned.plan).state == "done"
    assert world.run().state == "done", "what was approved is the new measure"


def test_a_source_that_lost_half_is_let_through(tmp_path: Path) -> None:
    world = filled(tmp_path, 100)
    world.shop.delete(*(f"c{n:03}" for n in range(50)))
    assert world.run().state == "done"


def test_an_empty_source_removes_nobody_without_a_word(tmp_path: Path) -> None:
    world = filled(tmp_path, 40, mode="exact")
    world.shop.sql("DELETE FROM customers")
    assert_waits(world.run(), "max_source_drop", 0, 20, world)
    assert len(world.present()) == 40


def test_a_plan_measures_a_drop_against_the_last_run_and_not_the_last_plan(tmp_path: Path) -> None:
    world = filled(tmp_path, 100)
    world.shop.delete(*(f"c{n:03}" for n in range(51)))
    for _ in range(3):
        assert world.plan().state == "waiting"


def test_too_many_new_contacts_wait(tmp_path: Path) -> None:
    world = filled(tmp_path, 10, guards={"max_creates": 20})
    world.shop.add_many(f"n{n}" for n in range(21))
    assert_waits(world.run(), "max_creates", 21, 20, world)
    world.shop.delete("n20")
    assert world.run().tally == {"created": 20, "unchanged": 10}


def test_an_account_without_room_waits_and_says_how_many_it_would_hold(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.connections["news"]["contact_limit"] = 6
    for n in range(4):
        world.member(f"old{n}@shop.example", "unsubscribed" if n == 0 else "subscribed")
    world.shop.add_many(["a", "b", "c"])
    assert_waits(world.run(), "contact_limit", 7, 6, world)
    world.shop.delete("c")
    assert world.run().tally == {"created": 2}


def test_the_room_that_removals_of_the_same_plan_make_counts(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact")
    world.connections["news"]["contact_limit"] = 3
    for n in range(3):
        world.member(f"old{n}@shop.example")
    world.shop.add_many(["a", "b", "c"])
    told = world.run()
    assert (told.state, told.tally) == ("done", {"created": 3, "removed": 3})


def test_people_who_never_agreed_are_subscribed_only_after_the_operator_said_so_once(tmp_path: Path) -> None:
    world = World(tmp_path, consent={"without_consent": "subscribe"})
    world.shop.add("anna")
    world.shop.add("ben", consent="unknown")
    world.shop.add("cleo", consent="pending")
    world.shop.add("dora", consent="denied")
    planned = world.plan()
    assert_waits(planned, "without_consent", 2, 0, world)
    assert world.run(approve=planned.plan).tally == {"created": 3, "skipped": 1}
    world.shop.add("emil", consent="unknown")
    assert world.run().tally == {"created": 1, "unchanged": 3, "skipped": 1}, "the word holds from then on"
    assert "dora@shop.example" not in world.statuses()


def test_the_word_about_people_who_never_agreed_holds_for_its_sync_alone(tmp_path: Path) -> None:
    world = World(tmp_path, consent={"without_consent": "subscribe"})
    other = world.mailchimp.add_list("Other")
    world.sync("second", audience={"list": "Other"}, consent={"without_consent": "subscribe"})
    world.shop.add("ben", consent="unknown")
    world.approved()
    assert world.run("second").state == "waiting"
    assert world.statuses(other) == {}


def test_a_guard_that_is_switched_off_stops_nothing(tmp_path: Path) -> None:
    world = filled(tmp_path, 100, mode="exact", guards={"max_removals": None, "max_source_drop": None})
    world.shop.delete(*(f"c{n:03}" for n in range(100)))
    assert world.run().tally == {"removed": 100}


def test_a_guard_in_one_audience_of_a_map_stops_all_of_them(tmp_path: Path) -> None:
    world = World(tmp_path, select=None, audience=None, mode="exact", map={"a": "Newsletter", "b": "Other"})
    other = world.mailchimp.add_list("Other")
    for n in range(51):
        world.mailchimp.add_member(other, f"old{n}@shop.example")
    world.shop.add("anna", groups="a")
    world.shop.add("ben", groups="b")
    told = world.run()
    assert_waits(told, "max_removals", 51, 50, world)
    assert world.present() == set()


def test_withdrawals_are_not_removals(tmp_path: Path) -> None:
    world = filled(tmp_path, 100, mode="exact")
    world.shop.sql("UPDATE customers SET consent = 'denied'")
    told = world.run()
    assert (told.state, told.tally) == ("done", {"updated": 100})
    assert set(world.statuses().values()) == {"unsubscribed"}
