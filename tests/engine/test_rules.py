"""Consent, modes, tags and addresses over whole runs."""

from pathlib import Path

import pytest

from engine.world import World

ANNA, BEN, CLEO = "anna@shop.example", "ben@shop.example", "cleo@shop.example"


# --- modes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", [None, "VIP"])
def test_each_mode_ends_in_its_set_and_is_then_at_rest(tmp_path: Path, tag: str | None) -> None:
    for mode, expected in (
        ("exact", {ANNA, BEN}),
        ("merge", {ANNA, BEN, CLEO}),
        ("subtract", {CLEO}),
    ):
        folder = tmp_path / mode
        folder.mkdir()
        target = {"list": "Newsletter"} | ({"tag": tag, "create": True} if tag else {})
        world = World(folder, mode=mode, audience=target)
        world.shop.add("anna")
        world.shop.add("ben")
        tags = [tag] if tag else []
        world.member(BEN, tags=tags)
        world.member(CLEO, tags=tags)
        world.member("gone@shop.example", "unsubscribed", tags=tags)
        world.run()
        if tag:
            on_list = {ANNA, BEN, CLEO} if mode != "subtract" else {BEN, CLEO}
            assert world.tagged(tag) - {"gone@shop.example"} == expected
            assert world.present() == on_list, "who loses the tag stays in the list"
        else:
            assert world.present() == expected
        assert world.statuses()["gone@shop.example"] == "unsubscribed"
        assert tag is None or tag in world.tags("gone@shop.example"), "suppressed people stand outside"
        assert world.run().calls.write == 0


def test_the_same_three_modes_follow_the_selection_as_it_changes(tmp_path: Path) -> None:
    world = World(tmp_path, audience={"list": "Newsletter", "tag": "VIP", "create": True}, mode="exact")
    world.shop.add("anna", groups="a")
    world.shop.add("ben", groups="a")
    world.sync(select={"groups": ["a"]})
    world.run()
    world.shop.change("ben", groups="b")
    assert world.run().tally == {"removed": 1, "unchanged": 1}
    assert (world.tagged("VIP"), world.present()) == ({ANNA}, {ANNA, BEN})
    world.shop.change("ben", groups="a")
    world.run()
    assert world.tagged("VIP") == {ANNA, BEN}
    assert world.run().calls.write == 0


def test_merge_removes_nobody_unless_departed_are_to_go_and_then_only_its_own(tmp_path: Path) -> None:
    world = World(tmp_path, mode="merge")
    world.shop.add("anna")
    world.shop.add("ben")
    world.member(BEN)
    world.run()
    world.shop.delete("anna", "ben")
    world.sync(guards={"max_source_drop": None})
    assert world.run().tally == {}
    assert world.present() == {ANNA, BEN}
    world.sync(remove_departed=True)
    assert world.run().tally == {"removed": 1}
    assert world.present() == {BEN}


def test_subtract_neither_adds_nor_changes_anybody_who_stays(tmp_path: Path) -> None:
    world = World(tmp_path, mode="subtract", select={"groups": ["buyers"]}, tags=["club"])
    world.shop.add("anna", groups="buyers")
    world.shop.add("ben", groups="none", first_name="Ben")
    world.shop.add("cleo", groups="buyers", consent="denied", consent_at="2030-01-01")
    world.member(BEN, merge_fields={"FNAME": "Old"})
    world.member(CLEO)
    assert world.run().tally["removed"] == 1
    assert world.statuses() == {BEN: "subscribed", CLEO: "archived"}
    assert (world.field(BEN), world.tags(BEN)) == ("Old", set())


@pytest.mark.parametrize(
    ("form", "status"), [("archive", "archived"), ("unsubscribe", "unsubscribed"), ("delete", None)]
)
def test_removal_has_the_form_that_was_asked_for(tmp_path: Path, form: str, status: str | None) -> None:
    world = World(tmp_path, mode="exact", removal=form)
    world.member(ANNA)
    world.shop.add("ben")
    assert world.run().tally == {"created": 1, "removed": 1}
    assert world.statuses().get(ANNA) == status
    assert world.run().tally == {"unchanged": 1}


def test_who_was_taken_out_comes_back_when_selected_again(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact", select={"groups": ["a"]})
    world.shop.add("anna", groups="a", first_name="Anna")
    world.shop.add("ben", groups="a")
    world.run()
    world.shop.change("anna", groups="b")
    assert world.run().tally == {"removed": 1, "unchanged": 1}
    world.shop.change("anna", groups="a", first_name="Anne")
    assert world.run().tally == {"created": 1, "unchanged": 1}
    assert (world.statuses()[ANNA], world.field(ANNA)) == ("subscribed", "Anne")


def test_who_was_taken_out_and_has_withdrawn_since_does_not_come_back(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact", select={"groups": ["a"]})
    world.shop.add("anna", groups="a")
    world.shop.add("ben", groups="a")
    world.run()
    world.shop.change("anna", groups="b")
    world.run()
    world.shop.change("anna", groups="a", consent="denied")
    assert world.run().tally == {"unchanged": 1, "skipped": 1}
    assert world.statuses()[ANNA] == "archived"


@pytest.mark.parametrize("gone", ["archived", "deleted"])
def test_who_was_taken_off_by_hand_stays_away_unless_deleted_ones_are_restored(
    tmp_path: Path, gone: str
) -> None:
    world = World(tmp_path)
    world.shop.add("anna", first_name="Anna")
    world.run()
    if gone == "archived":
        world.mailchimp.archive_by_hand(world.list_id, ANNA)
    else:
        world.mailchimp.delete_permanently(world.list_id, ANNA)
    world.shop.change("anna", first_name="Anne")
    told = world.run(full=True)
    assert (told.tally, told.skipped) == ({"skipped": 1}, {"deleted_there": 1})
    world.sync(restore_deleted=True)
    told = world.run()
    if gone == "archived":
        assert told.tally == {"created": 1}
        assert world.statuses()[ANNA] == "subscribed"
    else:
        assert told.tally == {"rejected": 1}, "an erased address is refused"
        assert world.run().tally == {"skipped": 1}


def test_somebody_archived_before_the_first_contact_counts_as_archived_by_hand(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna")
    world.member(ANNA, "archived")
    told = world.run()
    assert (told.tally, told.skipped) == ({"skipped": 1}, {"deleted_there": 1})


# --- consent -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("double", [False, True])
def test_new_contacts_get_the_status_that_their_word_allows(tmp_path: Path, double: bool) -> None:
    agreed = "pending" if double else "subscribed"
    cases = {
        ("skip", False): {"granted": agreed},
        ("transactional", False): {"granted": agreed, "unknown": "transactional", "pending": "transactional"},
        ("skip", True): {"granted": agreed, "unknown": agreed},
        ("transactional", True): {"granted": agreed, "unknown": agreed, "pending": "transactional"},
    }
    for number, ((without, always), expected) in enumerate(cases.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        consent = {"without_consent": without, "always_opt_in": always, "double_opt_in": double}
        world = World(folder, consent=consent)
        for word in ("granted", "pending", "unknown", "denied"):
            world.shop.add(word, consent=word)
        world.run()
        assert world.statuses() == {f"{word}@shop.example": status for word, status in expected.items()}
        assert world.run().calls.write == 0


def test_double_opt_in_follows_the_audience_if_left_to_it(tmp_path: Path) -> None:
    world = World(tmp_path, audience={"list": "Careful"})
    careful = world.mailchimp.add_list("Careful", double_optin=True)
    world.shop.add("anna")
    world.run()
    assert world.statuses(careful) == {ANNA: "pending"}
    assert world.run().tally == {"unchanged": 1}
    world.mailchimp.confirm(careful, ANNA)
    assert world.run().tally == {"unchanged": 1}
    assert len(world.mailchimp.confirmation_mails) == 1


def test_statuses_that_exist_are_never_raised(tmp_path: Path) -> None:
    world = World(tmp_path, consent={"always_opt_in": True})
    for status in ("pending", "transactional", "unsubscribed", "cleaned", "archived"):
        world.shop.add(status, consent="granted", consent_at="2001-01-01")
        world.member(f"{status}@shop.example", status)
    before = world.statuses()
    world.run()
    world.shop.sql("UPDATE customers SET first_name = 'Zed'")
    world.run()
    assert world.statuses() == before


def test_a_transactional_contact_who_agrees_later_becomes_subscribed(tmp_path: Path) -> None:
    world = World(tmp_path, consent={"without_consent": "transactional"})
    world.shop.add("anna", consent="unknown")
    world.shop.add("ben", consent="unknown")
    world.run()
    world.shop.change("anna", consent="granted")
    assert world.run().tally == {"updated": 1, "unchanged": 1}
    assert world.statuses() == {ANNA: "subscribed", BEN: "transactional"}


def test_a_transactional_stranger_who_had_agreed_before_stays_so(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", consent="granted")
    world.member(ANNA, "transactional")
    assert world.run().tally == {"unchanged": 1}
    assert world.statuses()[ANNA] == "transactional"


def test_a_refusal_at_the_source_unsubscribes_once_and_is_kept(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna")
    world.run()
    world.shop.change("anna", consent="denied")
    told = world.run()
    assert (told.tally, told.feedback) == ({"updated": 1}, {"unsubscribed": 0, "bounced": 0})
    assert world.statuses()[ANNA] == "unsubscribed"
    told = world.run()
    assert (told.tally, told.skipped) == ({"skipped": 1}, {"suppressed": 1})
    assert told.feedback == {"unsubscribed": 0, "bounced": 0}, "our own write is no news"
    assert told.calls.write == 0


def test_a_refusal_together_with_leaving_the_selection_is_still_a_refusal(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact", select={"groups": ["a"]})
    world.shop.add("anna", groups="a")
    world.shop.add("ben", groups="a")
    world.run()
    world.shop.change("anna", groups="b", consent="denied")
    assert world.run().tally == {"updated": 1, "unchanged": 1}
    assert world.statuses()[ANNA] == "unsubscribed"


def test_refusals_are_left_alone_where_the_operator_says_so(tmp_path: Path) -> None:
    world = World(tmp_path, consent={"on_source_optout": "ignore"})
    world.shop.add("anna")
    world.run()
    world.shop.change("anna", consent="denied")
    assert world.run().calls.write == 0
    assert world.statuses()[ANNA] == "subscribed"


def test_a_refusal_reaches_strangers_only_if_it_is_later_than_their_opt_in(tmp_path: Path) -> None:
    world = World(tmp_path)
    opted = int(world.now)
    for name, at in (("anna", "2020-01-01"), ("ben", "2030-01-01"), ("cleo", None)):
        world.shop.add(name, consent="denied", consent_at=at)
        world.member(f"{name}@shop.example", opted_at=opted)
    world.run()
    assert world.statuses() == {ANNA: "subscribed", BEN: "unsubscribed", CLEO: "subscribed"}


def test_a_false_that_follows_a_true_is_a_refusal_and_one_alone_is_none(tmp_path: Path) -> None:
    world = World(tmp_path, consent={"without_consent": "transactional"})
    world.shop.add("anna", consent=1)
    world.shop.add("ben", consent=0)
    world.run()
    assert world.statuses() == {ANNA: "subscribed", BEN: "transactional"}
    world.shop.change("anna", consent=0)
    world.run()
    assert world.statuses() == {ANNA: "unsubscribed", BEN: "transactional"}


def test_a_fresh_consent_after_a_withdrawal_is_asked_to_be_confirmed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", consent_at="2020-01-01")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    world.run()
    assert world.run().tally == {"skipped": 1}
    world.later()
    world.shop.change("anna", consent="granted", consent_at=world.clock())
    assert world.run().tally == {"updated": 1}
    assert world.statuses()[ANNA] == "pending"
    assert world.run().calls.write == 0
    assert len(world.mailchimp.confirmation_mails) == 1
    world.mailchimp.confirm(world.list_id, ANNA)
    told = world.run()
    assert (told.tally, world.statuses()[ANNA]) == ({"unchanged": 1}, "subscribed")


def test_an_old_consent_does_not_follow_a_withdrawal(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", consent_at="2020-01-01")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    world.run()
    world.shop.change("anna", consent="granted", consent_at="2020-01-01")
    assert world.run().tally == {"skipped": 1}
    assert world.statuses()[ANNA] == "unsubscribed"


@pytest.mark.parametrize("how", ["bounce", "complain"])
def test_no_consent_follows_a_bounce_or_a_complaint(tmp_path: Path, how: str) -> None:
    world = World(tmp_path)
    world.shop.add("anna")
    world.run()
    getattr(world.mailchimp, how)(world.list_id, ANNA)
    world.run()
    world.later()
    world.shop.change("anna", consent="granted", consent_at=world.clock())
    assert world.run().tally == {"skipped": 1}
    assert world.statuses()[ANNA] in ("cleaned", "unsubscribed")


def test_who_signs_up_again_by_themselves_is_a_member_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", first_name="Anna")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    world.run()
    world.later()
    world.mailchimp.confirm(world.list_id, ANNA)
    world.shop.change("anna", first_name="Anne")
    told = world.run()
    assert world.statuses()[ANNA] == "subscribed"
    assert world.field(ANNA) == "Anne"
    assert "suppressed" not in told.skipped
    assert world.run().calls.write == 0
    assert world.statuses()[ANNA] == "subscribed", "the shop's older refusal does not undo it"


def test_a_withdrawal_holds_for_all_syncs_of_one_account(tmp_path: Path) -> None:
    world = World(tmp_path)
    other = world.mailchimp.add_list("Other")
    world.sync("second", audience={"list": "Other"})
    world.shop.add("anna")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    world.run()
    world.shop.change("anna", consent="granted", consent_at="2001-01-01", first_name="Anne")
    told = world.run("second")
    assert (told.tally, told.skipped) == ({"skipped": 1}, {"suppressed": 1})
    assert world.statuses(other) == {}


def test_a_withdrawal_in_one_audience_stops_changes_in_another(tmp_path: Path) -> None:
    world = World(tmp_path)
    other = world.mailchimp.add_list("Other")
    world.sync("second", audience={"list": "Other"}, consent={"on_source_optout": "ignore"})
    world.shop.add("anna", first_name="Anna")
    world.run()
    world.run("second")
    world.mailchimp.bounce(world.list_id, ANNA)
    world.run()
    world.shop.change("anna", first_name="Anne")
    told = world.run("second")
    assert told.skipped == {"suppressed": 1}
    assert world.field(ANNA, list_id=other) == "Anna"


# --- feedback ----------------------------------------------------------------------------------------


def test_an_unsubscribe_and_a_bounce_are_written_back_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna")
    world.shop.add("ben")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    world.mailchimp.bounce(world.list_id, BEN)
    told = world.run()
    assert told.feedback == {"unsubscribed": 1, "bounced": 1}
    assert world.shop.row("anna")["consent"] == "denied"
    assert (world.shop.row("ben")["consent"], bool(world.shop.row("ben")["bounced"])) == ("granted", True)
    world.shop.sql("UPDATE customers SET bounced = NULL")
    told = world.run()
    assert told.feedback == {"unsubscribed": 0, "bounced": 0}
    assert world.shop.row("ben")["bounced"] is None
    assert world.run(full=True).feedback == {"unsubscribed": 0, "bounced": 0}


def test_a_plan_counts_news_and_writes_nothing_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    for _ in range(2):
        assert world.plan().feedback == {"unsubscribed": 1, "bounced": 0}
    assert world.shop.row("anna")["consent"] == "granted"
    assert world.run().feedback == {"unsubscribed": 1, "bounced": 0}
    assert world.shop.row("anna")["consent"] == "denied"


def test_a_write_back_that_failed_is_told_and_tried_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    world.shop.sql(
        "CREATE TRIGGER full BEFORE UPDATE ON customers BEGIN SELECT RAISE(ABORT, 'the shop is closed'); END"
    )
    told = world.run()
    assert told.feedback == {"unsubscribed": 0, "bounced": 0}
    assert [(row["email"], row["reason"]) for row in told.rejected] == [(ANNA, "feedback_failed")]
    assert "the shop is closed" in told.rejected[0]["detail"]
    assert told.counts["rejected"] == 1
    world.shop.sql("DROP TRIGGER full")
    told = world.run()
    assert told.feedback == {"unsubscribed": 1, "bounced": 0}
    assert told.rejected == []
    assert world.shop.row("anna")["consent"] == "denied"


def test_a_source_that_cannot_take_news_is_no_error(tmp_path: Path) -> None:
    world = World(tmp_path)
    del world.connections["shop"]["unsubscribe"]
    world.shop.add("anna")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    told = world.run()
    assert (told.state, told.feedback["unsubscribed"]) == ("done", 1)
    assert told.warnings
    again = world.run()
    assert (again.feedback["unsubscribed"], again.skipped) == (0, {"suppressed": 1})


def test_feedback_that_is_switched_off_writes_nothing_and_still_suppresses(tmp_path: Path) -> None:
    world = World(tmp_path, feedback=False)
    world.shop.add("anna")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    told = world.run()
    assert told.skipped == {"suppressed": 1}
    assert world.shop.row("anna")["consent"] == "granted"


def test_strangers_who_leave_are_no_news(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna")
    world.member("nobody@shop.example")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, "nobody@shop.example")
    assert world.run().feedback == {"unsubscribed": 0, "bounced": 0}


# --- tags --------------------------------------------------------------------------------------------


def test_tags_of_others_are_never_touched(tmp_path: Path) -> None:
    world = World(tmp_path, tags=["club"], kind_tags=True, origin="Shop", mode="exact")
    world.shop.add("anna", consent="granted")
    world.member(ANNA, tags=["theirs", "Shop-Buyer"])
    world.run()
    assert world.tags(ANNA) == {"theirs", "Shop-Buyer", "club", "Shop-Subscriber"}
    world.shop.change("anna", orders_count=1)
    world.run()
    world.shop.change("anna", orders_count=0)
    world.run()
    assert world.tags(ANNA) == {"theirs", "Shop-Buyer", "club", "Shop-Subscriber"}


def test_a_kind_tag_that_no_longer_holds_is_taken_off(tmp_path: Path) -> None:
    world = World(tmp_path, kind_tags=True, origin="Shop", consent={"without_consent": "transactional"})
    world.shop.add("anna", consent="unknown")
    world.run()
    assert world.tags(ANNA) == {"Shop-Contact"}
    world.shop.change("anna", orders_count=1)
    assert world.run().tally == {"updated": 1}
    assert world.tags(ANNA) == {"Shop-Buyer"}


# --- addresses ---------------------------------------------------------------------------------------


def test_a_changed_address_is_the_same_person_renamed(tmp_path: Path) -> None:
    world = World(tmp_path, tags=["club"], mode="exact")
    world.shop.add("anna", first_name="Anna")
    world.shop.add("ben")
    world.run()
    number = world.mailchimp.member(world.list_id, ANNA).number
    world.shop.change("anna", email="anne@shop.example", first_name="Anne")
    told = world.run()
    assert told.tally == {"updated": 1, "unchanged": 1}
    assert world.present() == {"anne@shop.example", BEN}
    renamed = world.mailchimp.member(world.list_id, "anne@shop.example")
    assert (renamed.number, world.field("anne@shop.example")) == (number, "Anne")
    assert world.run().calls.write == 0


def test_a_withdrawal_goes_along_with_a_changed_address(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", consent_at="2020-01-01")
    world.run()
    world.mailchimp.bounce(world.list_id, ANNA)
    world.run()
    world.shop.change("anna", email="anne@shop.example")
    told = world.run()
    assert (told.tally, told.skipped) == ({"skipped": 1}, {"suppressed": 1})
    assert world.present() == set()


def test_an_address_that_only_changes_its_letters_is_no_change_of_person(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", first_name="Anna")
    world.run()
    world.shop.change("anna", email="ANNA@shop.example")
    world.run()
    assert len(world.statuses()) == 1
    assert world.run().calls.write == 0


def test_a_new_address_that_is_a_member_already_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact")
    world.shop.add("anna", first_name="Anna")
    world.shop.add("ben")
    world.run()
    world.shop.delete("ben")
    world.shop.change("anna", email=BEN)
    world.run()
    assert world.present() == {BEN}
    assert world.field(BEN) == "Anna"
    assert world.run().calls.write == 0


def test_two_people_who_swap_their_addresses_end_under_the_right_ones(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact")
    world.shop.add("1", ANNA, first_name="Anna")
    world.shop.add("2", BEN, first_name="Ben")
    world.run()
    world.shop.change("1", email=BEN)
    world.shop.change("2", email=ANNA)
    world.run()
    assert (world.field(BEN), world.field(ANNA)) == ("Anna", "Ben")
    assert world.run().calls.write == 0


def test_guests_without_consent_travel_with_their_first_name_alone(tmp_path: Path) -> None:
    world = World(tmp_path, consent={"without_consent": "transactional"})
    world.sync(fields={"FNAME": "first_name", "LNAME": "last_name"})
    for name, word in (("anna", "unknown"), ("ben", "granted")):
        world.shop.add(name, guest=1, consent=word, first_name=name.title(), last_name="Last", orders_count=1)
    world.run()
    assert (world.field(ANNA), world.field(ANNA, "LNAME")) == ("Anna", "")
    assert (world.field(BEN), world.field(BEN, "LNAME")) == ("Ben", "Last")


def test_a_value_that_its_field_cannot_hold_is_left_out_and_the_rest_is_stored(tmp_path: Path) -> None:
    world = World(tmp_path, fields={"FNAME": "first_name", "SINCE": "city"}, tags=["club"])
    world.mailchimp.add_merge_field(world.list_id, "SINCE", "date")
    world.shop.add("anna", first_name="Anna", city="never")
    told = world.run()
    assert told.tally == {"rejected": 1}
    assert "SINCE" in told.rejected[0]["detail"]
    assert (world.statuses()[ANNA], world.field(ANNA)) == ("subscribed", "Anna")
    assert world.tags(ANNA) == {"club"}, "the rest of the row includes the tags"
    told = world.run()
    assert (told.calls.write, told.skipped) == (0, {"rejected_before": 1})
    world.shop.change("anna", consent="denied")
    world.run()
    assert world.statuses()[ANNA] == "unsubscribed", "the sync brought them, so their refusal reaches them"


def test_who_refused_in_the_shop_and_agrees_again_there_is_asked_to_confirm(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", consent_at="2020-01-01")
    world.run()
    world.shop.change("anna", consent="denied", consent_at=world.clock())
    world.run()
    world.shop.change("anna", consent="granted", consent_at=world.clock())
    assert world.run().tally == {"updated": 1}
    assert world.statuses()[ANNA] == "pending"


def test_a_withdrawal_goes_along_to_audiences_that_never_held_the_old_address(tmp_path: Path) -> None:
    world = World(tmp_path)
    other = world.mailchimp.add_list("Other")
    world.sync("second", audience={"list": "Other"})
    world.shop.add("anna", consent_at="2020-01-01")
    world.run()
    world.mailchimp.bounce(world.list_id, ANNA)
    world.run()
    world.shop.change("anna", email="anne@shop.example")
    told = world.run("second")
    assert (told.tally, told.skipped) == ({"skipped": 1}, {"suppressed": 1})
    assert world.statuses(other) == {}


def test_who_was_archived_by_hand_is_not_written_to_by_the_next_change(tmp_path: Path) -> None:
    """The cheap look cannot see it; the one right before the write does."""
    world = World(tmp_path)
    world.shop.add("anna", first_name="Anna")
    world.shop.add("ben", first_name="Ben")
    world.run()
    world.shop.add("cleo")
    world.run()
    world.run()
    world.mailchimp.archive_by_hand(world.list_id, ANNA)
    assert world.run().tally == {"unchanged": 3}
    world.shop.sql("UPDATE customers SET first_name = 'Zed'")
    assert world.run().skipped == {"deleted_there": 1}
    assert world.statuses() == {ANNA: "archived", BEN: "subscribed", CLEO: "subscribed"}


def test_an_agreement_without_a_time_is_as_late_as_the_read_before_it_was_seen(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.connections["shop"]["unsubscribe"] = "UPDATE customers SET consent = 'denied' WHERE id = :id"
    world.shop.add("anna")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    world.run()
    assert world.run().skipped == {"suppressed": 1}
    world.shop.change("anna", consent="granted")
    assert world.run().tally == {"updated": 1}
    assert world.statuses()[ANNA] == "pending"


def test_leaving_before_a_newer_agreement_is_no_news_for_the_shop(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna", consent_at="2020-01-01")
    world.run()
    world.mailchimp.unsubscribe_by_person(world.list_id, ANNA)
    world.later()
    world.shop.change("anna", consent="granted", consent_at=world.clock())
    told = world.run()
    assert told.feedback == {"unsubscribed": 0, "bounced": 0}
    assert world.shop.row("anna")["consent"] == "granted"
    assert world.statuses()[ANNA] == "pending"
