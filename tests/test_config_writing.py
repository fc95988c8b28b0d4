"""Writing a configuration back, the first file, and what of a sync counts as its rules."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pydantic import Field, model_validator

from config_fakes import CONNECTIONS, ENVIRON, FULL, VIP, fake_connector, loaded, with_syncs
from listbridge.config import export, rules_fingerprint
from listbridge.config.starter import starter
from listbridge.connectors.base import Connector, Options
from listbridge.errors import Misconfigured


def test_an_exported_file_reads_back_to_an_equal_configuration(tmp_path: Path) -> None:
    config = loaded(tmp_path, FULL)
    assert loaded(tmp_path, export(config)) == config


def test_an_export_keeps_references_and_shows_no_secret(tmp_path: Path) -> None:
    environ = {**ENVIRON, "LIST": " L ", "WHEN": "every 240 m", "SHARE": "20 %", "M": "merge", "Y": "true"}
    text = CONNECTIONS + (
        "syncs: {v: {type: audience, source: store, destination: mail, select: {everyone: '${Y}'},"
        " audience: {list: '${LIST}'}, schedule: '${WHEN}', guards: {max_removals: '${SHARE}'}, mode: '${M}',"
        " tags: [a, 'b ${M}', 'c $${M}']}}\n"
    )
    config = loaded(tmp_path, text, environ)
    written = export(config)
    parsed = yaml.safe_load(written)
    assert parsed["connections"]["store"]["api_key"] == "${SHOP_KEY}"
    assert "s3cret" not in written
    assert parsed["syncs"]["v"] == {
        "type": "audience",
        "source": "store",
        "destination": "mail",
        "select": {"everyone": "${Y}"},
        "audience": {"list": "${LIST}"},
        "schedule": "${WHEN}",
        "guards": {"max_removals": "${SHARE}"},
        "mode": "${M}",
        "tags": ["a", "b ${M}", "c $${M}"],
    }
    assert loaded(tmp_path, written, environ) == config


def test_a_changed_value_is_exported_instead_of_its_reference(tmp_path: Path) -> None:
    text = CONNECTIONS + f"syncs: {{v: {{{VIP}, origin: '${{O}}', tags: ['${{O}}']}}}}\n"
    environ = {**ENVIRON, "O": "here"}
    config = loaded(tmp_path, text, environ)
    changed = config.syncs["v"].model_copy(update={"origin": "a ${there}"})
    edited = replace(config, syncs={"v": changed})
    parsed = yaml.safe_load(export(edited))
    assert parsed["syncs"]["v"]["origin"] == "a $${there}"
    assert parsed["syncs"]["v"]["tags"] == ["${O}"]
    assert loaded(tmp_path, export(edited), environ).syncs["v"] == changed


def test_the_store_is_exported_as_it_was_written(tmp_path: Path) -> None:
    text = "version: 1\nstore: 'postgresql://u:${PW}@h/db'\n"
    config = loaded(tmp_path, text, {"PW": "hunter2"})
    assert config.store == "postgresql://u:hunter2@h/db"
    assert yaml.safe_load(export(config))["store"] == "postgresql://u:${PW}@h/db"
    assert "store" not in yaml.safe_load(export(loaded(tmp_path, "version: 1\n")))


def test_numbers_of_options_are_exported_as_numbers_and_odd_ones_as_text(tmp_path: Path) -> None:
    text = "connections: {m: {connector: rich, api_key: a-us1, contact_limit: 250, url: 0123}}\n"
    config = loaded(tmp_path, text)
    parsed = yaml.safe_load(export(config))["connections"]["m"]
    assert (parsed["contact_limit"], parsed["url"]) == (250, "0123")
    assert loaded(tmp_path, export(config)) == config


RULE_CHANGES = [
    "mode: exact",
    "fields: {A: phone}",
    "tags: [y]",
    "kind_tags: true",
    "origin: Other",
    "consent: {always_opt_in: true}",
    "removal: delete",
    "remove_departed: true",
    "restore_deleted: true",
]


@pytest.mark.parametrize("extra", RULE_CHANGES)
def test_a_changed_rule_changes_the_fingerprint(tmp_path: Path, extra: str) -> None:
    syncs = with_syncs(tmp_path, f"v: {{{VIP}}}", f"w: {{{VIP}, {extra}}}").syncs
    assert rules_fingerprint(syncs["v"]) != rules_fingerprint(syncs["w"])


def test_a_changed_selection_or_map_changes_the_fingerprint(tmp_path: Path) -> None:
    base = "type: audience, source: store, destination: mail"
    syncs = with_syncs(
        tmp_path,
        *(
            f"{name}: {{{base}, {rest}}}"
            for name, rest in {
                "a": "audience: {list: L}, select: {groups: [x]}",
                "b": "audience: {list: L}, select: {segments: [x]}",
                "c": "map: {x: L}",
                "d": "map: {x: M}",
                "e": "map: {x: L, y: null}",
            }.items()
        ),
    ).syncs
    assert len({rules_fingerprint(sync) for sync in syncs.values()}) == 5


def test_names_times_guards_and_order_leave_the_fingerprint_alone(tmp_path: Path) -> None:
    base = "type: audience, audience: {list: L}"
    syncs = with_syncs(
        tmp_path,
        f"a: {{{base}, source: store, destination: mail, select: {{kinds: [buyer, contact]}}, tags: [x, y]}}",
        f"b: {{{base}, source: store, destination: mail, select: {{kinds: [contact, buyer]}}, tags: [y, x], "
        "schedule: none, guards: {min_removals: 1}, full_every: 2h, feedback: false}",
    ).syncs
    assert rules_fingerprint(syncs["a"]) == rules_fingerprint(syncs["b"])


def test_a_commerce_sync_has_a_fingerprint_of_its_objects(tmp_path: Path) -> None:
    base = "type: commerce, source: store, destination: mail, audience: {list: L}"
    syncs = with_syncs(
        tmp_path,
        f"a: {{{base}, objects: [products, customers]}}",
        f"b: {{{base}, objects: [customers, products]}}",
        f"c: {{{base}, objects: [customers]}}",
        f"d: {{{base}, objects: [customers], store: {{name: S}}}}",
        "e: {type: campaigns, source: mail}",
    ).syncs
    prints = [rules_fingerprint(syncs[name]) for name in "abcde"]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


class ChoiceOptions(Options):
    """Either an address or a short name, and a key."""

    url: str | None = Field(default=None, description="Address.")
    shop: str | None = Field(default=None, description="Short for the address.")
    access_token: str = Field(description="Token.")
    table: str = Field(description="Where to look.", examples=["customers: all"])

    @model_validator(mode="after")
    def _one_of(self) -> "ChoiceOptions":
        if (self.url is None) == (self.shop is None):
            raise ValueError("write either url or shop")
        return self


CHOICE = Connector("choice", "Choice", ChoiceOptions, source=object)


def _with_choice(name: str) -> Connector:
    return CHOICE if name == "choice" else fake_connector(name)


def test_the_first_file_is_valid_once_its_variables_are_set(tmp_path: Path) -> None:
    text = starter("shop", "rich", fake_connector)
    assert "# Set these environment variables first: RICH_API_KEY, SHOP_API_KEY, SHOP_URL\n" in text
    config = loaded(tmp_path, text, {"RICH_API_KEY": "a-us1", "SHOP_API_KEY": "b", "SHOP_URL": "https://s"})
    assert set(config.connections) == {"shop", "newsletter"}
    assert set(config.syncs) == {"newsletter-subscribers"}
    assert "# contact_limit:" in text
    assert "Take nothing that is odd." in text


def test_the_first_file_makes_a_choice_where_the_connector_leaves_one() -> None:
    parsed = yaml.safe_load(starter("choice", "rich", _with_choice))
    assert parsed["connections"]["shop"] == {
        "connector": "choice",
        "url": "${CHOICE_URL}",
        "access_token": "${CHOICE_ACCESS_TOKEN}",
        "table": "customers: all",
    }


def test_the_first_file_needs_a_source_and_a_destination() -> None:
    with pytest.raises(Misconfigured, match="Rich Mail can only be written to"):
        starter("rich", "rich", fake_connector)
    with pytest.raises(Misconfigured, match="Shop can only be read"):
        starter("shop", "shop", fake_connector)
