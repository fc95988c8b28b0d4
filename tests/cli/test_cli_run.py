"""`run`: its line, its words, its exit statuses."""

import signal

import pytest

from cli.stage import LIST, Stage

COUNTS = {"created": 2, "updated": 0, "removed": 0, "unchanged": 0, "skipped": 2, "rejected": 0}


def test_a_run_prints_one_json_line_and_nothing_else(stage: Stage) -> None:
    answer = stage.call("run", "--json")
    assert answer.status == 0
    assert answer.err == ""
    line = answer.line
    assert line["counts"] == COUNTS
    assert line["skipped"] == {"no_consent": 2}
    assert (line["sync"], line["state"], line["guard"], line["error"]) == ("news", "done", None, None)
    assert line["calls"]["write"] == 1
    assert set(line) >= {"run", "plan", "seconds", "rejected", "feedback"}
    assert sorted(stage.platform.members(LIST, "subscribed")) == ["anna@post.example", "bert@post.example"]


def test_a_second_run_reads_once_and_writes_nothing(stage: Stage) -> None:
    stage.call("run")
    line = stage.call("run", "--json").line
    assert line["calls"] == {"read": 1, "write": 0}
    assert line["counts"] == {**COUNTS, "created": 0, "unchanged": 2}


def test_a_full_run_reads_the_audience_again(stage: Stage) -> None:
    stage.call("run")
    assert stage.call("run", "--json", "--full").line["calls"]["read"] > 1


def test_words_in_a_pipe_have_no_colour_and_no_progress(stage: Stage) -> None:
    answer = stage.call("run")
    assert answer.status == 0
    assert answer.err == ""
    assert "\x1b" not in answer.out
    assert "\r" not in answer.out
    assert "news: done" in answer.out
    assert "created 2 · updated 0" in answer.out
    assert "2 people skipped: has not agreed to be mailed" in answer.out


def test_the_file_may_be_named_before_and_after_the_command(stage: Stage) -> None:
    (stage.folder / "listbridge.yaml").rename(stage.folder / "other.yaml")
    assert stage.call("-c", "other.yaml", "run", "--json").line["counts"] == COUNTS
    assert stage.call("run", "-c", "other.yaml", "--json").line["counts"]["unchanged"] == 2
    assert stage.call("--json", "run", "-c", "other.yaml").line["state"] == "done"
    assert stage.call("run").status == 2


# --- what is wrong before anything happens -----------------------------------------------------------


def test_a_missing_file_is_told_and_ends_in_2(stage: Stage) -> None:
    (stage.folder / "listbridge.yaml").unlink()
    answer = stage.call("run")
    assert answer.status == 2
    assert answer.out == ""
    assert "listbridge init" in answer.err


@pytest.mark.parametrize(
    "words", [["run"], ["plan"], ["check"], ["report"], ["drift", "x"], ["explain", "x", "y"]]
)
def test_a_missing_file_is_a_json_line_where_that_was_asked_for(stage: Stage, words: list[str]) -> None:
    answer = stage.call(*words, "-c", "nowhere.yaml", "--json")
    assert answer.status == 2
    assert answer.line["state"] == "stopped"
    assert answer.line["error"]["kind"] == "configuration"
    assert "nowhere.yaml" in answer.line["error"]["message"]


def test_an_unknown_sync_is_told_with_the_nearest_name(stage: Stage) -> None:
    answer = stage.call("run", "nwes", "--json")
    assert answer.status == 2
    assert answer.line["error"] == {
        "kind": "configuration",
        "message": "There is no sync nwes; did you mean news?",
    }


def test_an_unknown_command_is_told_with_the_nearest_name(stage: Stage) -> None:
    answer = stage.call("rnu")
    assert answer.status == 2
    assert "did you mean run?" in answer.err


def test_a_wrong_option_is_a_json_line_too(stage: Stage) -> None:
    answer = stage.call("run", "--fulll", "--json")
    assert answer.status == 2
    assert answer.line["error"]["kind"] == "configuration"


def test_objects_of_an_audience_sync_are_refused(stage: Stage) -> None:
    answer = stage.call("run", "--objects", "orders")
    assert answer.status == 2
    assert "commerce" in answer.err
    assert stage.platform.calls.total == 0


def test_a_sync_of_another_type_is_not_run_yet(stage: Stage) -> None:
    other = "  mailings: {type: campaigns, source: mail}\n"
    stage.configure(syncs=stage.sync() + other)
    answer = stage.call("run", "mailings")
    assert answer.status == 2
    assert "does not run yet" in answer.err
    answer = stage.call("run", "--json")
    assert answer.status == 0
    assert [line["sync"] for line in answer.lines] == ["news"]
    assert "mailings is left out" in answer.err


# --- what a person must mend -------------------------------------------------------------------------


def test_a_wrong_key_ends_in_5_and_is_never_shown(stage: Stage) -> None:
    secret = "fedcba9876543210fedcba9876543210-us1"
    stage.configure(key=secret)
    for words in (["run"], ["run", "--json"], ["check"], ["check", "--json"]):
        answer = stage.call(*words)
        assert answer.status == 5
        assert "fedcba" not in answer.out + answer.err
    assert stage.call("run", "--json").line["error"]["kind"] == "credentials"


def test_a_redirect_ends_in_5_with_its_kind(stage: Stage) -> None:
    stage.platform.faults.add("redirect")
    answer = stage.call("run", "--json")
    assert answer.status == 5
    assert (answer.line["state"], answer.line["error"]["kind"]) == ("stopped", "redirected")


def test_a_web_page_for_an_answer_ends_in_5(stage: Stage) -> None:
    stage.platform.faults.add("html")
    answer = stage.call("run", "--json")
    assert answer.status == 5
    assert answer.line["error"]["kind"] == "unreachable"
    words = stage.call("run")
    assert "news: stopped" in words.out
    assert answer.line["error"]["message"] in words.out


def test_a_missing_list_ends_in_5(stage: Stage) -> None:
    stage.configure(syncs=stage.sync(audience="{list: Nowhere}"))
    answer = stage.call("run", "--json")
    assert answer.status == 5
    assert answer.line["error"]["kind"] == "not_found"
    assert "Nowhere" in answer.line["error"]["message"]


def test_a_rejected_row_ends_in_4_and_the_others_go_on(stage: Stage) -> None:
    stage.people((6, "bad@example.com", "Bad", "granted", 0))
    answer = stage.call("run", "--json")
    assert answer.status == 4
    assert answer.line["counts"] == {**COUNTS, "rejected": 1}
    (rejected,) = answer.line["rejected"]
    assert rejected["email"] == "bad@example.com"
    assert rejected["detail"]
    again = stage.call("run")
    assert again.status == 0
    assert "was rejected by the platform, and nothing has changed since" in again.out


# --- guards ------------------------------------------------------------------------------------------


def _over_its_guard(stage: Stage) -> None:
    stage.configure(
        syncs=stage.sync(mode="exact", guards="{max_removals: 10%, min_removals: 0, max_source_drop: null}")
    )
    stage.crowd(6)
    assert stage.call("run").status == 0
    stage.forget("first_name IN ('P3', 'P4', 'P5')")


def test_a_guard_ends_in_3_writes_nothing_and_says_how_to_go_on(stage: Stage) -> None:
    _over_its_guard(stage)
    before = stage.platform.calls.write
    answer = stage.call("run", "--json")
    assert answer.status == 3
    assert answer.line["state"] == "waiting"
    assert answer.line["guard"] == {"name": "max_removals", "would": 3, "allowed": 0}
    words = stage.call("run")
    assert f"listbridge run news --approve {answer.line['plan']}" in words.out
    assert stage.platform.calls.write == before


def test_the_plan_that_was_shown_can_be_approved(stage: Stage) -> None:
    _over_its_guard(stage)
    shown = stage.call("plan", "--json")
    assert shown.status == 0
    assert shown.line["guard"]["name"] == "max_removals"
    plan = shown.line["plan"]
    assert stage.call("run", "--json").line["plan"] == plan
    answer = stage.call("run", "--json", "--approve", plan)
    assert answer.status == 0
    assert answer.line["counts"]["removed"] == 3


def test_a_plan_that_has_changed_is_not_approved(stage: Stage) -> None:
    _over_its_guard(stage)
    plan = stage.call("run", "--json").line["plan"]
    stage.forget("first_name = 'P2'")
    answer = stage.call("run", "--json", "--approve", plan)
    assert answer.status == 3
    assert answer.line["plan"] != plan
    assert any("changed" in words for words in answer.line["warnings"])


# --- several syncs -----------------------------------------------------------------------------------


def _several(stage: Stage) -> None:
    second = stage.sync(audience="{list: Nowhere}").replace("syncs:\n", "").replace("news:", "broken:")
    third = stage.sync(tags="[third]").replace("syncs:\n", "").replace("news:", "third:")
    stage.configure(syncs=stage.sync() + second + third)


def test_all_audience_syncs_run_in_file_order_and_one_that_fails_stops_no_other(stage: Stage) -> None:
    _several(stage)
    answer = stage.call("run", "--json")
    assert [(line["sync"], line["state"]) for line in answer.lines] == [
        ("news", "done"),
        ("broken", "stopped"),
        ("third", "done"),
    ]
    assert answer.status == 5


def test_only_the_named_syncs_run(stage: Stage) -> None:
    _several(stage)
    answer = stage.call("run", "third", "news", "--json")
    assert [line["sync"] for line in answer.lines] == ["third", "news"]
    assert answer.status == 0


# --- the end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_in_130_and_the_next_one_goes_on(
    stage: Stage, number: signal.Signals
) -> None:
    stage.crowd(1500)
    stage.platform.latency_seconds = 0.4
    answer = stage.interrupted(number, 4, "run", "--json")
    assert answer.status == 130
    assert answer.out == ""
    assert answer.err.startswith("Interrupted.")
    assert "Traceback" not in answer.err
    stage.platform.latency_seconds = 0.0
    assert stage.call("run", "--json").status == 0
    assert len(stage.platform.members(LIST, "subscribed")) == 1500 + 2 - 2


def test_a_process_in_the_background_can_be_ended_though_shells_switch_ctrl_c_off(stage: Stage) -> None:
    stage.crowd(1500)
    stage.platform.latency_seconds = 0.4
    answer = stage.interrupted(signal.SIGTERM, 4, "run", "--json", background=True)
    assert answer.status == 130
    assert answer.err.startswith("Interrupted.")


def test_what_nobody_expected_is_a_sentence_and_ends_in_1(stage: Stage) -> None:
    (stage.folder / "sitecustomize.py").write_text(
        "import listbridge.run\n"
        "async def broken(*a): raise RuntimeError('token fedcba9876 at https://me:fedcba9876@host')\n"
        "listbridge.run.run_sync = broken\n"
    )
    env = {"PYTHONPATH": str(stage.folder), "SOME_API_KEY": "fedcba9876"}
    answer = stage.call("run", "--json", **env)
    assert answer.status == 1
    assert answer.line["error"]["kind"] == "unexpected"
    assert "LISTBRIDGE_DEBUG=1" in answer.err
    assert "fedcba" not in answer.out + answer.err
    told = stage.call("run", "--json", LISTBRIDGE_DEBUG="1", **env)
    assert told.line["state"] == "stopped"
    assert "RuntimeError" in told.err
    assert "sitecustomize.py" in told.err
    assert "fedcba" not in told.err


def test_no_words_at_all_show_the_help(stage: Stage) -> None:
    answer = stage.call()
    assert answer.status == 2
    assert "commands:" in answer.out
    assert stage.call("--version").out.startswith("listbridge ")
