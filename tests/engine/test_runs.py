"""Runs one after another: how little is read and written, and what is counted."""

from pathlib import Path
from typing import Any

import pytest

from engine.world import World
from listbridge.sandbox.mailchimp.account import Rules


def reads_and_writes(world: World, **wish: Any) -> tuple[int, int]:
    before = (world.mailchimp.calls.read, world.mailchimp.calls.write)
    told = world.run(**wish)
    after = (world.mailchimp.calls.read, world.mailchimp.calls.write)
    assert (told.calls.read, told.calls.write) == (after[0] - before[0], after[1] - before[1])
    return told.calls.read, told.calls.write


def test_first_contact_reads_the_audience_once_and_writes_in_batches(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add_many(f"c{n}" for n in range(1201))
    told = world.run()
    assert told.tally == {"created": 1201}
    assert told.calls.write == 3
    assert len(world.present()) == 1201
    pages = [one for one in world.mailchimp.requests if one.method == "GET" and one.path.endswith("/members")]
    assert len(pages) == 2, "one page of people, one of archived ones"


def test_a_second_run_without_changes_is_one_read_and_no_write(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add_many(f"c{n}" for n in range(700))
    world.run()
    for _ in range(2):
        told = world.run()
        assert (told.calls.read, told.calls.write) == (1, 0)
        assert told.tally == {"unchanged": 700}


def test_one_percent_changed_costs_one_write_for_each_five_hundred(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add_many(f"c{n}" for n in range(1200))
    world.run()
    world.shop.sql("UPDATE customers SET first_name = 'Zed' WHERE rowid % 100 = 7")
    told = world.run()
    assert told.tally == {"updated": 12, "unchanged": 1188}
    assert told.calls.write == 1
    world.shop.sql("UPDATE customers SET first_name = 'Zoe' WHERE rowid <= 501")
    assert world.run().calls.write == 2


def test_an_audience_that_already_holds_the_people_is_adopted_without_a_write(tmp_path: Path) -> None:
    world = World(tmp_path, tags=["club"])
    for name in ("anna", "ben"):
        world.shop.add(name, first_name=name.title())
        world.member(f"{name}@shop.example", merge_fields={"FNAME": name.title()}, tags=["club"])
    told = world.run()
    assert told.calls.write == 0
    assert told.tally == {"unchanged": 2}


def test_adoption_writes_only_what_differs(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", first_name="Anna")
    world.shop.add("ben", first_name="Ben")
    world.shop.add("cleo", first_name=None)
    world.member("anna@shop.example", merge_fields={"FNAME": "Anna"})
    world.member("ben@shop.example", merge_fields={"FNAME": "Benjamin"})
    world.member("cleo@shop.example", merge_fields={"FNAME": "Cleo"})
    told = world.run()
    assert told.tally == {"updated": 1, "unchanged": 2}
    assert world.field("ben@shop.example") == "Ben"
    assert world.field("cleo@shop.example") == "Cleo", "an empty value on first contact leaves what is there"


def test_a_value_that_became_empty_is_emptied_if_we_had_sent_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", first_name="Anna")
    world.run()
    world.shop.change("anna", first_name="")
    assert world.run().tally == {"updated": 1}
    assert world.field("anna@shop.example") == ""
    assert world.run().calls.write == 0


def test_a_plan_writes_nothing_and_says_what_the_run_does(tmp_path: Path) -> None:
    world = World(tmp_path, tags=["club"])
    world.shop.add("anna", first_name="Anna")
    world.shop.add("ben", consent="unknown")
    planned = world.plan()
    assert world.mailchimp.calls.write == 0
    assert planned.summary.run is None
    assert planned.counts == {
        "created": 1, "updated": 0, "removed": 0, "unchanged": 0, "skipped": 1, "rejected": 0,
    }  # fmt: skip
    create, skip = planned.changes
    assert create == {
        "email": "anna@shop.example", "change": "create", "reason": "new", "status": "subscribed",
        "fields": {"FNAME": "Anna"}, "tags_added": ["club"], "tags_removed": [],
    }  # fmt: skip
    assert (skip["email"], skip["change"], skip["reason"]) == ("ben@shop.example", "skip", "no_consent")
    told = world.run()
    assert told.plan == planned.plan
    assert told.counts == planned.counts


def test_twins_by_letter_case_are_one_member_under_the_strictest_consent(tmp_path: Path) -> None:
    world = World(tmp_path, tags=["club"])
    world.shop.add("1", "Anna@Shop.example", first_name="Old", updated_at="2026-01-01")
    world.shop.add("2", "anna@shop.example", first_name="New", updated_at="2026-02-01")
    world.shop.add("3", "BEN@shop.example", consent="granted")
    world.shop.add("4", "ben@SHOP.example", consent="denied")
    told = world.run()
    assert told.tally == {"created": 1, "skipped": 1}
    assert world.present() in ({"anna@shop.example"}, {"Anna@Shop.example"})
    assert world.field(next(iter(world.present()))) == "New"
    assert world.run().tally == {"unchanged": 1, "skipped": 1}


def test_a_write_back_goes_to_each_twin(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("1", "Anna@shop.example")
    world.shop.add("2", "anna@shop.example")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, "anna@shop.example")
    told = world.run()
    assert told.feedback == {"unsubscribed": 1, "bounced": 0}
    assert [row["consent"] for row in world.shop.rows()] == ["denied", "denied"]
    assert world.run().feedback == {"unsubscribed": 0, "bounced": 0}


def test_full_repairs_what_somebody_changed_there(tmp_path: Path) -> None:
    world = World(tmp_path, tags=["club"])
    world.shop.add("anna", first_name="Anna")
    world.shop.add("ben", first_name="Ben")
    world.run()
    world.mailchimp.edit_field_by_hand(world.list_id, "anna@shop.example", "FNAME", "Hacked")
    world.mailchimp.untag_by_hand(world.list_id, "ben@shop.example", "club")
    assert world.run().calls.write == 0, "an edit by hand stays until the source changes"
    told = world.run(full=True)
    assert told.tally == {"updated": 2}
    assert world.field("anna@shop.example") == "Anna"
    assert world.tags("ben@shop.example") == {"club"}
    assert world.run(full=True).tally == {"unchanged": 2}


def test_the_first_row_of_an_id_given_twice_counts_and_a_warning_says_so(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.connections["shop"]["contacts"] = (
        "SELECT '7' AS id, 'a@shop.example' AS email, 'granted' AS consent "
        "UNION ALL SELECT '7', 'b@shop.example', 'granted'"
    )
    told = world.run()
    assert told.tally == {"created": 1}
    assert world.present() == {"a@shop.example"}
    assert any("7" in words and "more than once" in words for words in told.warnings)


def test_rows_without_an_address_are_skipped_and_the_rest_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("1", "")
    world.shop.add("2", "anna@shop.example")
    told = world.run()
    assert told.tally == {"created": 1, "skipped": 1}
    assert told.skipped == {"no_address": 1}
    assert world.run().tally == {"unchanged": 1, "skipped": 1}


def test_an_address_that_is_none_is_refused_by_name_and_not_asked_about_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("1", "anna@shop.example")
    world.shop.add("2", "ben@example.com")
    told = world.run()
    assert told.tally == {"created": 1, "rejected": 1}
    (refused,) = told.rejected
    assert refused["email"] == "ben@example.com"
    assert "looks fake or invalid" in refused["detail"]
    again = world.run()
    assert again.tally == {"unchanged": 1, "skipped": 1}
    assert again.skipped == {"rejected_before": 1}
    assert again.calls.write == 0
    world.shop.change("2", first_name="Ben")
    assert world.run().tally == {"unchanged": 1, "rejected": 1}
    world.shop.change("2", email="ben@shop.example")
    assert world.run().tally == {"unchanged": 1, "created": 1}


def test_a_rejected_row_is_tried_again_on_request(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("2", "ben@shop.example")
    world.mailchimp.refuse_for_now("ben@shop.example")
    assert world.run().tally == {"rejected": 1}
    world.mailchimp.account.overused.clear()
    assert world.run().tally == {"skipped": 1}
    assert world.run(full=True).tally == {"created": 1}


def test_a_changed_mapping_sends_the_fields_of_everybody(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", first_name="Anna", last_name="Abel")
    world.run()
    world.sync(fields={"FNAME": "first_name", "LNAME": "last_name"})
    assert world.run().tally == {"updated": 1}
    assert world.field("anna@shop.example", "LNAME") == "Abel"
    assert world.run().calls.write == 0


def test_texts_that_the_platform_cuts_are_sent_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", first_name="ä" * 5000)
    world.run()
    assert world.run().tally == {"unchanged": 1}
    assert world.run(full=True).tally == {"unchanged": 1}


@pytest.mark.parametrize("name", ["<b>&amp;", "😀 Größe", "שלום עולם", "a\tb", "'; DROP TABLE x", "\u200b"])
def test_awkward_names_arrive_and_are_sent_once(tmp_path: Path, name: str) -> None:
    world = World(tmp_path)
    world.shop.add("anna", first_name=name)
    world.run()
    assert world.field("anna@shop.example").strip() == name.strip()
    assert world.run(full=True).calls.write == 0


def test_somebody_who_has_left_stays_skipped_as_suppressed_in_every_run(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna")
    world.shop.add("ben")
    world.member("ben@shop.example", "unsubscribed")
    for tally in ({"created": 1, "skipped": 1}, {"unchanged": 1, "skipped": 1}):
        told = world.run()
        assert (told.tally, told.skipped) == (tally, {"suppressed": 1})
    assert world.statuses()["ben@shop.example"] == "unsubscribed"


def test_statuses_that_a_platform_reads_with_its_own_second_included_change_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, rules=Rules(since_is_inclusive=True, row_needs_status=False))
    world.shop.add_many(f"c{n}" for n in range(20))
    world.run()
    assert reads_and_writes(world) == (1, 0)


def test_a_contact_in_two_selected_segments_is_one_member(tmp_path: Path) -> None:
    world = World(tmp_path, select={"segments": ["a", "b"], "groups": ["g"]})
    world.shop.add("1", segments="a;b", groups="g")
    world.shop.add("2", segments="b")
    world.shop.add("3", segments="c", groups="g")
    world.shop.add("4", segments="c")
    assert world.run().tally == {"created": 3}


def test_an_id_given_twice_far_apart_does_not_swap_its_person_from_run_to_run(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.connections["shop"]["contacts"] = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) "
        "SELECT i AS id, 'p' || i || '@shop.example' AS email, 'granted' AS consent FROM n "
        "UNION ALL SELECT 1, 'other@shop.example', 'granted'"
    )
    assert world.run().tally == {"created": 6000}
    told = world.run()
    assert told.tally == {"unchanged": 6000}
    assert any("more than once" in words for words in told.warnings)
