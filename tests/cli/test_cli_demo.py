"""`demo`, in small."""

import json
import os
import signal
import subprocess
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

from cli.stage import COMMAND, Stage
from listbridge.cli.output import Output
from listbridge.demo import day, show
from listbridge.demo.stage import CONFIGURATION, build


def test_the_demo_plays_to_its_end_and_checks_itself(stage: Stage) -> None:
    answer = stage.call("demo", "--size", "600", "--json")
    assert answer.status == 0
    steps = [line["step"] for line in answer.lines]
    assert list(dict.fromkeys(steps)) == [
        "shop", "plan", "first run", "drift", "plan of the day", "second run", "explain", "third run", "done"
    ]  # fmt: skip
    third = [line for line in answer.lines if line["step"] == "third run"]
    assert all(line["calls"] == {"read": 1, "write": 0} for line in third)
    second = [line for line in answer.lines if line["step"] == "second run"]
    assert second[0]["feedback"] == {"unsubscribed": 3, "bounced": 1}
    assert second[0]["counts"]["created"] == day.NEWCOMERS
    assert second[0]["counts"]["removed"] == 1


def test_the_demo_tells_it_in_words(stage: Stage) -> None:
    answer = stage.call("demo", "--size", "400")
    assert answer.status == 0
    for words in (
        "new: is selected",
        "no_consent: has not agreed",
        "suppressed:",
        "pending",
        "nobody who had left",
    ):
        assert words in answer.out
    assert answer.err == ""


def test_the_demo_fails_loudly_when_somebody_comes_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody who is still subscribed is passed off as one who left."""
    live = day.live

    def lying(stage: Stage) -> day.Day:
        today = live(stage)
        return replace(today, left=[today.edited])

    monkeypatch.setattr(day, "live", lying)
    assert show.demo(Namespace(keep=None, size=400, fast=False), Output(json=False)) == 1
    assert "must be unsubscribed at the platform, and is subscribed" in capsys.readouterr().err


def test_the_demo_fails_loudly_when_the_shop_is_not_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deaf = CONFIGURATION.replace("WHERE id = :id", "WHERE id = :id AND 0")
    monkeypatch.setattr("listbridge.demo.stage.CONFIGURATION", deaf)
    assert show.demo(Namespace(keep=None, size=400, fast=False), Output(json=False)) == 1
    assert "unsubscribed, and the shop does not know it" in capsys.readouterr().err


def test_before_the_demo_the_platform_knows_some_people(tmp_path: Path) -> None:
    stage = build(tmp_path, 400)
    assert stage.consent_of("nobody@post.example") is None
    assert stage.status_of("stranger@elsewhere.example") == "subscribed"
    assert len(stage.platform.members("Newsletter", "unsubscribed")) == 4


def test_a_kept_demo_can_be_looked_into(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "demo", "--size", "400", "--keep", "kept", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    assert process.stdout is not None
    line = {}
    while line.get("step") != "kept":
        line = json.loads(process.stdout.readline())
    plan = subprocess.run(
        [*COMMAND, "plan", "--detailed-exitcode"], cwd=tmp_path / "kept", check=False, env={**os.environ},
        capture_output=True, text=True,
    )  # fmt: skip
    assert plan.returncode == 0, plan.stdout + plan.stderr
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    process.stdout.close()


def test_a_folder_with_something_in_it_is_not_taken(stage: Stage) -> None:
    answer = stage.call("demo", "--keep", ".", "--size", "400")
    assert answer.status == 2
    assert stage.call("demo", "--size", "3").status == 2
