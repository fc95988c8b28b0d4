"""A shop keeps customer groups and the e-mail lists they belong to in step."""

from pathlib import Path

from engine.world import World


def shop_with_groups(folder: Path) -> tuple[World, str, str]:
    world = World(
        folder,
        select=None,
        audience=None,
        map={"retail": "Newsletter", "wholesale": "Newsletter", "partners": "Partner news", "staff": None},
    )
    partners = world.mailchimp.add_list("Partner news")
    world.shop.add("rita", groups="retail", first_name="Rita")
    world.shop.add("walt", groups="wholesale", first_name="Walt")
    world.shop.add("both", groups="retail;wholesale;partners", first_name="Both")
    world.shop.add("stan", groups="staff", first_name="Stan")
    world.shop.add("lone", groups="", first_name="Lone")
    return world, world.list_id, partners


def test_several_groups_feed_one_list_and_the_report_tells_all_lists_together(tmp_path: Path) -> None:
    world, news, partners = shop_with_groups(tmp_path)
    told = world.run()
    assert told.tally == {"created": 4}, "a person in two groups of one list is one member of it"
    assert world.present(news) == {"rita@shop.example", "walt@shop.example", "both@shop.example"}
    assert world.present(partners) == {"both@shop.example"}
    assert world.run().calls.write == 0


def test_a_plan_names_the_audience_of_each_change(tmp_path: Path) -> None:
    world, _, _ = shop_with_groups(tmp_path)
    planned = {(row["email"], row["audience"]) for row in world.plan().changes}
    assert ("both@shop.example", "Newsletter") in planned
    assert ("both@shop.example", "Partner news") in planned


def test_a_group_that_is_not_synchronised_goes_nowhere_and_is_no_error(tmp_path: Path) -> None:
    world, news, partners = shop_with_groups(tmp_path)
    world.run()
    assert "stan@shop.example" not in world.statuses(news) | world.statuses(partners)
    world.shop.change("stan", groups="staff;retail")
    assert world.run().tally == {"created": 1, "unchanged": 4}


def test_who_changes_the_group_changes_the_list_when_lists_match_exactly(tmp_path: Path) -> None:
    world, news, partners = shop_with_groups(tmp_path)
    world.sync(mode="exact")
    world.run()
    world.shop.change("rita", groups="partners")
    assert world.run().tally == {"created": 1, "removed": 1, "unchanged": 3}
    assert world.present(partners) == {"both@shop.example", "rita@shop.example"}
    assert world.statuses(news)["rita@shop.example"] == "archived"


def test_a_refused_row_names_its_list_in_the_report(tmp_path: Path) -> None:
    world, _, _ = shop_with_groups(tmp_path)
    world.shop.add("bad", "bad@example.com", groups="retail;partners")
    told = world.run()
    assert {(row["email"], row["audience"]) for row in told.rejected} == {
        ("bad@example.com", "Newsletter"),
        ("bad@example.com", "Partner news"),
    }


def test_leaving_one_list_is_leaving_all_of_the_account(tmp_path: Path) -> None:
    world, news, partners = shop_with_groups(tmp_path)
    world.run()
    world.mailchimp.unsubscribe_by_person(news, "both@shop.example")
    told = world.run()
    assert told.feedback["unsubscribed"] == 1
    assert world.shop.row("both")["consent"] == "denied"
    world.shop.change("both", first_name="Changed")
    told = world.run()
    assert told.skipped == {"suppressed": 1}
    assert world.statuses(partners)["both@shop.example"] == "unsubscribed", (
        "what the shop was told holds there"
    )
    assert world.field("both@shop.example", list_id=partners) == "Both"
    assert world.run().skipped == {"suppressed": 2}
