"""`check`, `init`, `connectors`, `schema`, `config` and `sandbox`."""

import json
import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import jsonschema
import yaml

from cli.stage import COMMAND, KEY, Stage

# --- check -------------------------------------------------------------------------------------------


def test_check_prints_a_line_for_each_connection(stage: Stage) -> None:
    answer = stage.call("check", "--json")
    assert answer.status == 0
    shop, mail = answer.lines
    assert (shop["connection"], shop["connector"], shop["ok"]) == ("shop", "sql", True)
    assert (mail["connection"], mail["ok"], mail["error"]) == ("mail", True, None)
    assert mail["can"]
    assert stage.platform.calls.write == 0


def test_check_of_one_connection_asks_no_other(stage: Stage) -> None:
    assert stage.call("check", "shop", "--json").line["connection"] == "shop"
    assert stage.platform.calls.total == 0
    answer = stage.call("check", "shpo")
    assert answer.status == 2
    assert "did you mean shop?" in answer.err


def test_check_goes_on_after_a_connection_that_fails(stage: Stage) -> None:
    (stage.folder / "shop.db").unlink()
    answer = stage.call("check", "--json")
    assert answer.status == 5
    shop, mail = answer.lines
    assert not shop["ok"]
    assert shop["error"]["message"]
    assert mail["ok"]
    assert "does not work" in stage.call("check").out


# --- init --------------------------------------------------------------------------------------------


def test_init_writes_a_file_that_loads(stage: Stage) -> None:
    answer = stage.call("init", "-c", "new.yaml", "--connector", "sql", "--to", "mailchimp", "--json")
    assert answer.status == 0
    assert answer.line["variables"] == ["MAILCHIMP_API_KEY", "SQL_URL"]
    env = {"MAILCHIMP_API_KEY": KEY, "SQL_URL": "sqlite:///shop.db"}
    checked = stage.call("config", "export", "-c", "new.yaml", **env)
    assert checked.status == 0
    shop = yaml.safe_load(checked.out)["connections"]["shop"]
    assert shop["connector"] == "sql"
    assert shop["contacts"].startswith("SELECT id, email")


def test_init_for_a_folder_of_files_needs_nothing_but_the_key(stage: Stage) -> None:
    answer = stage.call("init", "-c", "new.yaml", "--connector", "files", "--to", "mailchimp", "--json")
    assert answer.line["variables"] == ["MAILCHIMP_API_KEY"]
    checked = stage.call("config", "export", "-c", "new.yaml", MAILCHIMP_API_KEY=KEY)
    assert checked.status == 0
    shop = yaml.safe_load(checked.out)["connections"]["shop"]
    assert shop == {"connector": "files", "path": "./export", "contacts": "customers*.csv"}


def test_init_never_overwrites_unasked(stage: Stage) -> None:
    before = (stage.folder / "listbridge.yaml").read_text()
    words = ["init", "--connector", "sql", "--to", "mailchimp"]
    answer = stage.call(*words)
    assert answer.status == 2
    assert "--force" in answer.err
    assert (stage.folder / "listbridge.yaml").read_text() == before
    assert stage.call(*words, "--force").status == 0
    assert (stage.folder / "listbridge.yaml").read_text() != before


def test_init_without_a_terminal_says_what_is_missing(stage: Stage) -> None:
    answer = stage.call("init", "-c", "new.yaml", "--connector", "sql", "--json")
    assert answer.status == 2
    assert "--to" in answer.line["error"]["message"]
    assert not (stage.folder / "new.yaml").exists()


def test_init_with_an_unknown_connector_names_the_nearest(stage: Stage) -> None:
    answer = stage.call("init", "-c", "new.yaml", "--connector", "sql", "--to", "mailchmp")
    assert answer.status == 2
    assert "did you mean mailchimp?" in answer.err
    assert not (stage.folder / "new.yaml").exists()


# --- connectors, schema, config ----------------------------------------------------------------------


def test_connectors_are_told_with_their_cards(stage: Stage) -> None:
    lines = {line["connector"]: line for line in stage.call("connectors", "--json").lines}
    assert set(lines) >= {"mailchimp", "retailcrm", "sql", "files"}
    assert lines["mailchimp"]["destination"]["batch_size"] == 500
    assert lines["mailchimp"]["source"] is None
    assert lines["retailcrm"]["source"] == {"tells_deletions": True, "always_full": False}
    assert all(line["verified"] and line["options"] for line in lines.values())
    one = stage.call("connectors", "mailchimp").out
    assert "no live account was used" in one
    assert "removes by: archive" in one
    assert "Any database that SQLAlchemy reaches" in stage.call("connectors", "sql").out
    table = stage.call("connectors").out.splitlines()
    assert [line.split()[0] for line in table if line.startswith("mailchimp")] == ["mailchimp"]


def test_the_schema_accepts_our_own_file(stage: Stage) -> None:
    schema = stage.call("schema", "--json").line
    assert json.loads(stage.call("schema").out) == schema
    document = yaml.safe_load((stage.folder / "listbridge.yaml").read_text())
    jsonschema.validate(document, schema)


def test_export_and_import_lead_to_the_same_file(stage: Stage) -> None:
    text = stage.call("config", "export").out
    assert stage.call("config", "export", "--json").line == yaml.safe_load(text)
    stage.call("config", "export", "--out", "plain.yaml")
    assert (stage.folder / "plain.yaml").read_text() == text
    assert stage.call("config", "import", "plain.yaml").status == 2
    answer = stage.call("config", "import", "plain.yaml", "-c", "third.yaml", "--json")
    assert answer.line == {"file": "third.yaml", "connections": ["shop", "mail"], "syncs": ["news"]}
    assert (stage.folder / "third.yaml").read_text() == text


def test_a_file_with_a_fault_is_not_imported(stage: Stage) -> None:
    (stage.folder / "bad.yaml").write_text("version: 1\nsincs: {}\n")
    answer = stage.call("config", "import", "bad.yaml", "--force", "--json")
    assert answer.status == 2
    assert "syncs" in answer.line["error"]["message"]
    assert "sincs" not in (stage.folder / "listbridge.yaml").read_text()


def test_an_exported_secret_stays_a_reference(stage: Stage) -> None:
    stage.configure(key="${MY_KEY}")
    out = stage.call("config", "export", MY_KEY=KEY).out
    assert "${MY_KEY}" in out
    assert KEY not in out


# --- sandbox -----------------------------------------------------------------------------------------


def test_a_sandbox_says_how_to_point_at_it_and_serves(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "sandbox", "mailchimp", "--port", "0", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert (told["platform"], told["api_key"]) == ("mailchimp", KEY)
    rule = urllib.request.Request(
        told["control"] + "faults", json.dumps({"do": "503"}).encode(), method="POST"
    )
    with urllib.request.urlopen(rule) as answer:
        assert json.load(answer)[0]["do"] == "503"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    process.stdout.close()


def test_two_sandboxes_share_a_port_and_the_words_make_a_configuration(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "sandbox", "mailchimp", "retailcrm", "--port", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ},
    )
    assert process.stdout is not None
    lines = []
    while not lines or "truncated" not in lines[-1]:
        lines.append(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 130
    process.stdout.close()
    text = "".join(lines)
    (block,) = re.findall(r"(connections:\n(?:  .*\n)+?)\n", text)
    found = yaml.safe_load(block)["connections"]
    assert set(found) == {"mailchimp", "retailcrm"}
    assert found["mailchimp"]["url"].endswith("/mailchimp/3.0")
    assert "__sandbox__/mailchimp/" in text


def test_an_unknown_sandbox_and_a_taken_port_are_told(stage: Stage) -> None:
    answer = stage.call("sandbox", "mailchmp")
    assert answer.status == 2
    assert "did you mean mailchimp?" in answer.err
    port = stage.url.split(":")[2].split("/")[0]
    answer = stage.call("sandbox", "mailchimp", "--port", port)
    assert answer.status == 2
    assert "--port" in answer.err
