"""Exit statuses and words, without a process."""

from typing import Any

import pytest

from listbridge.cli import status, telling
from listbridge.cli.output import Output, cut, long_line, many, number, table

LINE: dict[str, Any] = {
    "sync": "news", "state": "done", "plan": "9f2c", "run": "01J", "error": None, "guard": None, "rejected": [],
    "counts": {"created": 0, "updated": 0, "removed": 0, "unchanged": 1200, "skipped": 0, "rejected": 0},
    "skipped": {}, "feedback": {"unsubscribed": 0, "bounced": 0}, "warnings": [],
    "calls": {"read": 1, "write": 0}, "seconds": 1.23,
}  # fmt: skip


@pytest.mark.parametrize(
    ("found", "gravest"),
    [([0, 4, 3, 5], 5), ([0, 4, 3], 3), ([4, 0], 4), ([0], 0), ([], 0), ([2, 3], 2), ([2, 5], 5)],
)
def test_the_gravest_status_wins(found: list[int], gravest: int) -> None:
    assert status.gravest(found) == gravest


@pytest.mark.parametrize(("found", "gravest"), [([6, 1, 0], 1), ([0, 6], 6), ([0, 0], 0)])
def test_in_detail_failure_wins_over_changes(found: list[int], gravest: int) -> None:
    assert status.gravest_in_detail(found) == gravest


def test_a_configuration_error_of_a_run_is_2_and_any_other_5() -> None:
    for kind, wanted in (("configuration", 2), ("credentials", 5), ("store", 5), ("busy", 5)):
        assert status.of_run({**LINE, "error": {"kind": kind, "message": "x"}}) == wanted


def test_numbers_have_separators_and_people_a_plural() -> None:
    assert (number(12345), many(1, "person", "people"), many(2000, "call")) == (
        "12,345",
        "1 person",
        "2,000 calls",
    )
    assert cut("abcdef", 4) == "abc…"
    assert table([("a", "1"), ("bcd", "22")], right=frozenset({1})) == ["  a     1", "  bcd  22"]
    assert table([]) == []


def test_a_long_line_is_one_json_object() -> None:
    import json

    text = "".join(long_line({"a": 1}, "changes", [{"b": "ß"}, {"b": 2}]))
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    assert json.loads(text) == {"a": 1, "changes": [{"b": "ß"}, {"b": 2}]}


def test_a_run_in_words() -> None:
    said = list(telling.run(LINE, "listbridge run news"))
    assert said == [
        "news: done",
        "  created 0 · updated 0 · removed 0 · unchanged 1,200 · skipped 0 · rejected 0",
        "  1 call read, 0 wrote; 1.2 s; run 01J",
    ]


def test_feedback_guard_and_impossible_changes_in_words() -> None:
    line = {
        **LINE,
        "feedback": {"unsubscribed": 2, "bounced": 1},
        "guard": {"name": "max_removals", "would": 812, "allowed": 190},
        "impossible": [{"email": "a@b.example", "reason": "a@b.example has unsubscribed."}],
    }
    said = "\n".join(telling.run(line, "listbridge run news"))
    assert "2 unsubscribes and 1 hard bounce went back to the source" in said
    assert "Needs approval (max_removals): The plan would remove 812 people; 190 are allowed." in said
    assert "listbridge run news --approve 9f2c" in said
    assert "1 change cannot be taken back:\n    a@b.example has unsubscribed." in said


def test_a_reason_without_a_sentence_is_shown_as_words() -> None:
    assert telling.reason("brand_new_reason") == "brand new reason"


def test_the_plan_shows_no_more_of_each_reason_than_asked_and_reads_no_more() -> None:
    taken = []

    def rows():
        for n in range(100):
            taken.append(n)
            yield {"change": "create", "reason": "new", "email": f"p{n}@x.example", "fields": {}, "status": None,
                   "tags_added": [], "tags_removed": []}  # fmt: skip

    said = list(telling.changes(rows(), iter(()), {("create", "new"): 100}, 2))
    assert said[0].startswith("  create 100 · new:")
    assert said[-1] == "    … and 98 more"
    assert len(said) == 4
    assert len(taken) == 2


def test_secrets_are_taken_out_of_foreign_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_TOKEN", "s3cr3t-value")
    shown = Output(json=False).without_secrets("key s3cr3t-value at postgresql://me:pass@host/db")
    assert shown == "key … at postgresql://me:…@host/db"
