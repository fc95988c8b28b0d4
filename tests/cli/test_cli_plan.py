"""`plan`, `report`, `explain`, `drift` and `undo`."""

import json

import pytest

from cli.stage import LIST, Stage


def test_a_plan_writes_nothing_and_names_everybody_with_a_reason(stage: Stage) -> None:
    answer = stage.call("plan", "--json")
    assert answer.status == 0
    line = answer.line
    assert "run" not in line
    assert line["calls"]["write"] == 0
    changes = {one["email"]: one for one in line["changes"]}
    assert {email: (one["change"], one["reason"]) for email, one in changes.items()} == {
        "anna@post.example": ("create", "new"),
        "bert@post.example": ("create", "new"),
        "clara@post.example": ("skip", "no_consent"),
        "dirk@post.example": ("skip", "no_consent"),
    }
    assert changes["anna@post.example"]["fields"] == {"FNAME": "Anna"}
    assert changes["anna@post.example"]["status"] == "subscribed"
    assert all(set(one) >= {"fields", "status", "tags_added", "tags_removed"} for one in changes.values())
    assert stage.platform.members(LIST) == {}


def test_a_row_that_cannot_be_used_is_among_the_skipped_ones(stage: Stage) -> None:
    stage.people((6, "", "Nobody", "granted", 1), (7, "gerd@post.example", "Gerd", "perhaps", 1))
    line = stage.call("plan", "--json").line
    skips = [one for one in line["changes"] if one["change"] == "skip"]
    assert len(skips) == line["counts"]["skipped"] == 4
    nameless = {one["reason"]: one for one in skips if one["email"] is None}
    assert "perhaps" in nameless["bad_consent"]["detail"]
    assert nameless["bad_consent"]["id"] == "7"
    assert set(nameless) == {"bad_consent", "no_address"}
    out = stage.call("plan").out
    assert "    id 7  " in out
    assert "no_address: has no e-mail address\n    —\n" in out
    stage.call("run")
    _, *rows = stage.call("report", "--rows", "skipped", "--json").lines
    assert len(rows) == 4


def test_a_limit_cuts_the_changes(stage: Stage) -> None:
    assert len(stage.call("plan", "--json", "--limit", "1").line["changes"]) == 1
    assert stage.call("plan", "--json", "--limit", "0").line["changes"] == []
    assert stage.call("plan", "--limit", "x").status == 2
    words = stage.call("plan", "--limit", "1").out
    assert "create 2 · new: is selected and not in the audience yet" in words
    assert words.count("… and 1 more") == 2


def test_a_plan_goes_into_a_file_whole(stage: Stage) -> None:
    answer = stage.call("plan", "--out", "plan.json")
    assert answer.status == 0
    written = json.loads((stage.folder / "plan.json").read_text())
    assert len(written["changes"]) == 4
    assert written["plan"] in answer.out
    assert [path.name for path in stage.folder.iterdir() if path.name.endswith(".part")] == []
    answer = stage.call("plan", "--out", "nowhere/plan.json", "--json")
    assert answer.status == 2
    assert "nowhere" in answer.line["error"]["message"]


def test_the_detailed_exit_status_tells_changes_from_none_and_from_failure(stage: Stage) -> None:
    assert stage.call("plan", "--detailed-exitcode").status == 6
    assert stage.call("plan").status == 0
    stage.call("run")
    answer = stage.call("plan", "--detailed-exitcode")
    assert answer.status == 0
    assert "news: nothing to change" in answer.out
    stage.platform.expire_key()
    assert stage.call("plan", "--detailed-exitcode").status == 1
    assert stage.call("plan").status == 5


def test_a_plan_that_fails_shows_no_changes(stage: Stage) -> None:
    stage.call("plan")
    stage.platform.expire_key()
    line = stage.call("plan", "--json", "--full").line
    assert line["changes"] == []
    assert line["error"]["kind"] == "credentials"


def test_a_plan_in_words_says_who_and_what(stage: Stage) -> None:
    out = stage.call("plan").out
    assert "    anna@post.example  subscribed, FNAME=Anna" in out
    assert "skip 2 · no_consent: has not agreed" in out
    assert "created 2 · updated 0" in out


# --- report ------------------------------------------------------------------------------------------


@pytest.fixture
def ran(stage: Stage) -> Stage:
    """A run with a row of each kind but removed, and one before it."""
    stage.call("run")
    stage.people((1, "anna@post.example", "Anne", "granted", 3), (6, "bad@example.com", "Bad", "granted", 0))
    stage.people((7, "gerd@post.example", "Gerd", "granted", 0))
    assert stage.call("run").status == 4
    return stage


def test_the_last_run_is_reported_with_its_line(ran: Stage) -> None:
    answer = ran.call("report", "--json")
    assert answer.status == 0
    assert answer.line["counts"] == {
        "created": 1, "updated": 1, "removed": 0, "unchanged": 1, "skipped": 2, "rejected": 1
    }  # fmt: skip
    assert f"Run {answer.line['run']}, began" in ran.call("report").out


@pytest.mark.parametrize(
    ("name", "emails"),
    [
        ("created", ["gerd@post.example"]),
        ("updated", ["anna@post.example"]),
        ("removed", []),
        ("unchanged", ["bert@post.example"]),
        ("skipped", ["clara@post.example", "dirk@post.example"]),
        ("rejected", ["bad@example.com"]),
    ],
)
def test_the_rows_behind_each_count_can_be_had(ran: Stage, name: str, emails: list[str]) -> None:
    head, *rows = ran.call("report", "--rows", name, "--json").lines
    assert head["counts"][name] == len(rows)
    assert sorted(row["email"] for row in rows) == emails
    assert all(row["what"] == name and row["reason"] for row in rows)
    words = ran.call("report", "--rows", name).out
    assert all(email in words for email in emails)


def test_an_earlier_run_is_found_by_its_id(stage: Stage) -> None:
    first = stage.call("run", "--json").line["run"]
    stage.call("run")
    assert stage.call("report", first, "--json").line["counts"]["created"] == 2
    assert stage.call("report", "--json").line["counts"]["created"] == 0
    head, *rows = stage.call("report", first, "--rows", "created", "--json").lines
    assert head["run"] == first
    assert len(rows) == 2


def test_a_run_that_is_not_there_is_told(stage: Stage) -> None:
    answer = stage.call("report", "--json")
    assert answer.status == 2
    assert "Nothing has run yet" in answer.line["error"]["message"]
    stage.call("run")
    assert stage.call("report", "01NOTHING").status == 2
    assert stage.call("report", "--rows", "creatd").status == 2


# --- explain and drift -------------------------------------------------------------------------------


def test_explain_tells_rule_facts_and_history(stage: Stage) -> None:
    stage.call("run")
    stage.platform.unsubscribe_by_person(LIST, "anna@post.example")
    stage.call("run")
    line = stage.call("explain", "news", "Anna@post.example", "--json").line
    assert (line["sync"], line["present"], line["rule"]) == ("news", False, "suppressed")
    assert set(line) >= {"because", "source", "destination", "history"}
    assert [one["change"] for one in line["history"]] == ["created"]
    words = stage.call("explain", "news", "anna@post.example").out
    assert "is not in the audience Newsletter of news" in words
    assert "unsubscribed there, bounced or complained" in words
    assert "created" in words


def test_explain_of_somebody_unknown_says_so(stage: Stage) -> None:
    stage.call("run")
    line = stage.call("explain", "news", "nobody@post.example", "--json").line
    assert (line["present"], line["rule"], line["history"]) == (False, "not_in_source", [])


def test_explain_before_anything_was_planned_says_what_to_do(stage: Stage) -> None:
    answer = stage.call("explain", "news", "anna@post.example")
    assert answer.status == 2
    assert "listbridge plan news" in answer.err


def test_drift_tells_what_was_edited_at_the_platform(stage: Stage) -> None:
    stage.call("run")
    assert stage.call("drift", "news", "--json").lines == []
    assert "is as this sync left it" in stage.call("drift", "news").out
    stage.platform.edit_field_by_hand(LIST, "anna@post.example", "FNAME", "Edited")
    line = stage.call("drift", "news", "--json").line
    assert line == {
        "sync": "news",
        "email": "anna@post.example",
        "what": "FNAME",
        "ours": "Anna",
        "theirs": "Edited",
    }
    assert "Edited" in stage.call("drift", "news").out


# --- undo --------------------------------------------------------------------------------------------


def test_undo_shows_its_plan_and_carries_it_out_only_when_told(stage: Stage) -> None:
    run = stage.call("run", "--json").line["run"]
    shown = stage.call("undo", run, "--json")
    assert shown.status == 0
    assert shown.line["calls"]["write"] == 0
    taken_back = [one for one in shown.line["changes"] if one["change"] == "remove"]
    assert [one["reason"] for one in taken_back] == ["undo", "undo"]
    assert f"listbridge undo {run} --apply" in stage.call("undo", run).out
    assert len(stage.platform.members(LIST, "subscribed")) == 2
    done = stage.call("undo", run, "--apply", "--json")
    assert done.status == 0
    assert done.line["counts"]["removed"] == 2
    assert stage.platform.members(LIST, "subscribed") == {}


def test_an_undo_that_was_only_shown_is_not_carried_out_by_the_next_run(stage: Stage) -> None:
    run = stage.call("run", "--json").line["run"]
    stage.call("undo", run)
    assert stage.call("run", "--json").line["counts"]["removed"] == 0
    assert len(stage.platform.members(LIST, "subscribed")) == 2


def test_undo_of_a_run_that_is_not_there_is_told(stage: Stage) -> None:
    answer = stage.call("undo", "01NOTHING")
    assert answer.status == 2
    assert "There is no run 01NOTHING" in answer.err
    assert stage.call("undo", "01NOTHING", "--approve", "x").status == 2
