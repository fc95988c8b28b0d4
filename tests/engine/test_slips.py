"""Slips of the operator's pen, found before they do harm, and sources that cannot be told."""

from pathlib import Path

from engine.world import LIST, World

ANNA, BEN = "anna@shop.example", "ben@shop.example"


def test_two_exact_syncs_on_one_audience_are_refused_though_one_names_it_by_id(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact", select={"groups": ["a"]})
    world.sync("other", mode="exact", select={"groups": ["b"]}, audience={"list": world.list_id})
    world.shop.add("anna", groups="a")
    world.shop.add("ben", groups="b")
    for name in ("vip", "other"):
        told = world.run(name)
        assert (told.state, told.error["kind"]) == ("stopped", "configuration")
        assert "both exact" in told.error["message"]
    assert world.statuses() == {}


def test_one_exact_sync_on_a_tag_beside_another_on_the_list_is_fine(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact")
    world.sync("tagged", mode="exact", audience={"list": LIST, "tag": "vip", "create": True})
    world.shop.add("anna")
    assert world.run("vip").state == world.run("tagged").state == "done"


def test_a_misspelt_source_field_stops_the_run_and_empties_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", first_name="Anna")
    world.run()
    world.sync(fields={"FNAME": "frist_name"})
    told = world.run()
    assert (told.state, told.error["kind"]) == ("stopped", "not_found")
    assert "frist_name" in told.error["message"]
    assert "first_name" in told.error["message"]
    assert world.field(ANNA) == "Anna"


def test_a_column_that_is_empty_for_everybody_is_no_slip(tmp_path: Path) -> None:
    world = World(tmp_path, fields={"FNAME": "first_name", "LNAME": "city"})
    world.shop.add("anna", first_name="Anna")
    assert world.run().state == "done"


def test_a_faulty_feedback_statement_is_told_and_keeps_nothing_else_from_being_done(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.connections["shop"]["unsubscribe"] = "UPDATE nosuch SET consent = 'denied' WHERE id = :id"
    world.shop.add("anna", consent_at="2020-01-01")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    world.shop.add("ben")
    told = world.run()
    assert told.state == "done"
    assert [row["reason"] for row in told.rejected] == ["feedback_failed"]
    assert BEN in world.present()
    world.connections["shop"]["unsubscribe"] = "UPDATE customers SET consent = 'denied' WHERE id = :id"
    assert world.run().feedback["unsubscribed"] == 1
    assert world.shop.row("anna")["consent"] == "denied"


def test_a_feedback_statement_that_finds_nobody_is_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.connections["shop"]["unsubscribe"] = "UPDATE customers SET consent = 'denied' WHERE 'x' || id = :id"
    world.shop.add("anna", consent_at="2020-01-01")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    told = world.run()
    assert [row["reason"] for row in told.rejected] == ["feedback_failed"]
    assert "changed no row" in told.rejected[0]["detail"]


def test_news_of_a_contact_that_the_source_has_deleted_is_let_go(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.connections["shop"]["unsubscribe"] = "UPDATE nosuch SET consent = 'denied' WHERE id = :id"
    world.shop.add("anna", consent_at="2020-01-01")
    world.shop.add("ben")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    world.run()
    world.shop.delete("anna")
    assert world.run().rejected == []


def test_a_domain_in_its_own_letters_is_sent_in_its_ascii_form(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", email=" Info@BÜCHER.example ")
    assert world.run().tally == {"created": 1}
    assert {email.lower() for email in world.present()} == {"info@xn--bcher-kva.example"}
    assert world.run().calls.write == 0


def test_a_run_that_waits_counts_no_news_as_told(tmp_path: Path) -> None:
    world = World(tmp_path, guards={"max_creates": 1})
    world.shop.add("anna", consent_at="2020-01-01")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    world.shop.add_many(["b1", "b2", "b3"])
    told = world.run()
    assert (told.state, told.feedback["unsubscribed"]) == ("waiting", 0)
    assert world.run(approve=told.plan).feedback["unsubscribed"] == 1


def test_a_full_plan_does_not_make_the_next_run_try_rejected_rows_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", email="no address")
    assert world.run().tally == {"rejected": 1}
    world.run(acts=False, full=True)
    assert world.run().tally == {"skipped": 1}
