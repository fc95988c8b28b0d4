"""Lists, tags, fields, groups and segments: found, missing, made, or named twice."""

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from engine.world import World
from listbridge.sandbox.serve import running

ANNA = "anna@shop.example"


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"audience": {"list": "Nowhere"}}, "Nowhere"),
        ({"audience": {"list": "Newsletter", "tag": "Nobody"}}, "Nobody"),
        ({"fields": {"NOFIELD": "first_name"}}, "NOFIELD"),
        ({"select": {"groups": ["nogroup"]}}, "nogroup"),
        ({"select": {"segments": ["nosegment"]}}, "nosegment"),
        ({"select": None, "audience": None, "map": {"nogroup": "Newsletter"}}, "nogroup"),
        ({"select": None, "audience": None, "map": {"a": "Nowhere"}}, "Nowhere"),
    ],
)
def test_what_is_missing_stops_the_run_by_its_name(tmp_path: Path, parts: dict[str, Any], named: str) -> None:
    world = World(tmp_path, **parts)
    world.shop.add("anna", groups="a", segments="s")
    for told in (world.plan(), world.run()):
        assert (told.state, told.error["kind"]) == ("stopped", "not_found")
        assert named in told.error["message"]
    assert world.mailchimp.calls.write == 0


def test_a_missing_list_in_a_map_stops_before_the_others_are_written(tmp_path: Path) -> None:
    world = World(tmp_path, select=None, audience=None, map={"a": "Newsletter", "b": "Nowhere"})
    world.shop.add("anna", groups="a")
    world.shop.add("ben", groups="b")
    assert world.run().error["kind"] == "not_found"
    assert world.mailchimp.calls.write == 0


def test_two_lists_of_one_name_are_an_error_that_names_both_ids(tmp_path: Path) -> None:
    world = World(tmp_path)
    second = world.mailchimp.add_list("Newsletter", "ffff000011")
    world.shop.add("anna")
    told = world.run()
    assert told.error["kind"] == "not_found"
    assert world.list_id in told.error["message"]
    assert second in told.error["message"]
    world.sync(audience={"list": second})
    assert world.run().tally == {"created": 1}
    assert world.present(second) == {ANNA}


def test_a_list_a_field_and_a_tag_are_made_when_the_operator_says_so(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        audience={"list": "Fresh", "tag": "VIP", "create": True},
        fields={"FNAME": "first_name", "Town": "city"},
        tags=["club"],
    )
    world.shop.add("anna", city="Turku")
    planned = world.plan()
    assert planned.tally == {"created": 1}
    assert world.mailchimp.calls.write == 0
    told = world.run()
    assert (told.plan, told.tally) == (planned.plan, {"created": 1})
    made = world.mailchimp.audience("Fresh")
    fields = {field.name: field.tag for field in made.fields.values()}
    member = world.mailchimp.members(made.id)[ANNA]
    assert member["merge_fields"][fields["Town"]] == "Turku"
    assert set(member["tags"]) == {"VIP", "club"}
    again = world.run()
    assert (again.tally, again.calls.write) == ({"unchanged": 1}, 0)
    assert len(world.mailchimp.account.audiences) == 2


def test_literal_and_kind_tags_are_made_without_being_asked(tmp_path: Path) -> None:
    world = World(tmp_path, tags=["club"], kind_tags=True, origin="Shop")
    world.shop.add("anna")
    world.run()
    assert world.tags(ANNA) == {"club", "Shop-Subscriber"}


def test_lists_named_in_a_map_are_made_together(tmp_path: Path) -> None:
    world = World(tmp_path, select=None, audience=None, create=True, map={"a": "One", "b": "Two", "c": None})
    for name in "abc":
        world.shop.add(name, groups=name)
    assert world.run().tally == {"created": 2}
    assert world.present(world.mailchimp.audience("One").id) == {"a@shop.example"}
    assert world.present(world.mailchimp.audience("Two").id) == {"b@shop.example"}
    assert world.run().calls.write == 0


def test_an_audience_that_vanished_after_the_first_run_stops_the_next_write(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add("anna")
    world.run()
    del world.mailchimp.account.audiences[world.list_id]
    world.shop.add("ben")
    told = world.run()
    assert (told.state, told.error["kind"]) == ("stopped", "not_found")


def test_a_tag_that_vanished_after_the_first_run_is_made_anew(tmp_path: Path) -> None:
    world = World(tmp_path, tags=["club"])
    world.shop.add("anna")
    world.run()
    world.mailchimp.delete_tag(world.list_id, "club")
    world.shop.add("ben")
    assert world.run().tally == {"created": 1, "unchanged": 1}
    assert "club" in world.tags("ben@shop.example")


def test_a_field_that_vanished_after_the_first_run_stops_the_next_write_by_name(tmp_path: Path) -> None:
    world = World(tmp_path, fields={"FNAME": "first_name", "TOWN": "city"})
    world.mailchimp.add_merge_field(world.list_id, "TOWN")
    world.shop.add("anna", city="Turku")
    world.run()
    del world.mailchimp.audience(world.list_id).fields["TOWN"]
    world.shop.change("anna", city="Oulu")
    told = world.run()
    assert (told.state, told.error["kind"]) == ("stopped", "not_found")
    assert "TOWN" in told.error["message"]


# --- two at once -------------------------------------------------------------------------------------

_RUNNER = """
import asyncio, os, sys
from pathlib import Path
from listbridge.config import load
from listbridge.run import Wish, run_sync
from listbridge.session import Session

async def go():
    async with Session(load(Path(sys.argv[1]), os.environ)) as session:
        summary = await run_sync(session, "vip", Wish())
        print(summary.state, summary.counts["created"], summary.counts["unchanged"], summary.calls.write)

asyncio.run(go())
"""


def test_two_processes_on_one_store_never_run_one_audience_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, tags=["club"])
    world.shop.add_many(f"c{n:03}" for n in range(120))
    world.mailchimp.latency_seconds = 0.05
    with running(world.mailchimp) as urls:
        world.connections["news"]["url"] = urls["mailchimp"]
        world.config()
        world.store().close()
        script = textwrap.dedent(_RUNNER)
        both = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(tmp_path / "listbridge.yaml")],
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        told = sorted(one.communicate(timeout=60)[0].split() for one in both)
    assert [one[0] for one in told] == ["done", "done"]
    assert [(one[1], one[2]) for one in told] == [("0", "120"), ("120", "0")]
    assert [one[3] == "0" for one in told] == [True, False], "the second finds nothing to do"
    assert len(world.present()) == 120


def test_two_syncs_of_one_session_on_one_list_wait_for_each_other(tmp_path: Path) -> None:
    """One after the other in one process: both end, and each keeps to its own people."""
    world = World(tmp_path, select={"groups": ["a"]}, tags=["a"])
    world.sync("second", select={"groups": ["b"]}, tags=["b"])
    world.shop.add("anna", groups="a;b")
    world.shop.add("ben", groups="b")
    assert world.run().tally == {"created": 1}
    assert world.run("second").tally == {"created": 1, "updated": 1}
    assert world.tags(ANNA) == {"a", "b"}
    assert world.run().calls.write == world.run("second").calls.write == 0
