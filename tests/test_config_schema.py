"""The JSON Schema that editors get."""

from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from config_fakes import CONNECTIONS, CONNECTORS, FULL, VIP, fake_connector
from listbridge.config.schema import json_schema

SCHEMA = json_schema(CONNECTORS, fake_connector)
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_schema_is_valid_itself() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    "text",
    [
        FULL,
        "version: 1\n",
        "connections:\nsyncs:\n",
        f"{CONNECTIONS}syncs: {{v: {{{VIP}, mode: '${{MODE}}', kind_tags: '${{YES}}', schedule: none}}}}",
        "syncs: {v: {type: audience, source: a, destination: b, map: {1: 2, x: null}}}",
        "syncs: {v: {type: commerce, source: a, destination: b, audience: {list: 5}, full_every: '${T}'}}",
        "connections: {m: {connector: rich, api_key: 12, contact_limit: '${N}'}}",
    ],
)
def test_good_files_pass(text: str) -> None:
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "version: 2",
        "stroe: x",
        "connections: {a: {url: x}}",
        "connections: {a: {connector: nope}}",
        "connections: {a: {connector: shop, url: x}}",
        "connections: {a: {connector: shop, url: x, api_key: k, api_kye: k}}",
        "connections: {a: {connector: rich, api_key: k, contact_limit: -1}}",
        "connections: {a: {connector: rich, api_key: k, contact_limit: many}}",
        "syncs: {v: {}}",
        "syncs: {v: {type: nope}}",
        "syncs: {v: {type: campaigns, source: a, destination: b}}",
        "syncs: {v: {type: audience, source: a, destination: b}}",
        "syncs: {v: {type: audience, source: a, destination: b, select: {everyone: true}}}",
        f"syncs: {{v: {{{VIP}, map: {{a: b}}}}}}",
        f"syncs: {{v: {{{VIP}, mode: mergee}}}}",
        f"syncs: {{v: {{{VIP}, tags: x}}}}",
        f"syncs: {{v: {{{VIP}, kind_tags: maybe}}}}",
        f"syncs: {{v: {{{VIP}, guards: {{max_removals: many}}}}}}",
        f"syncs: {{v: {{{VIP}, full_every: 5}}}}",
        f"syncs: {{v: {{{VIP}, schedule: often}}}}",
        f"syncs: {{v: {{{VIP}, consent: {{double_opt_in: perhaps}}}}}}",
        "syncs: {v: {type: commerce, source: a, destination: b, audience: {list: l}, objects: [order]}}",
        "syncs: {v: {type: commerce, source: a, destination: b, audience: {list: l, tag: t}}}",
    ],
)
def test_bad_files_are_refused(text: str) -> None:
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text))) != []


def test_every_key_has_its_help_text() -> None:
    silent = [
        f"{name}.{key}"
        for name, definition in SCHEMA["$defs"].items()
        for key, part in definition.get("properties", {}).items()
        if "description" not in part
    ]
    assert silent == []
    assert all("description" in part for part in SCHEMA["properties"].values())


def test_defaults_are_told_as_they_are_written() -> None:
    def default(path: str) -> Any:
        name, key = path.rsplit("/", 1)
        return SCHEMA["$defs"][name]["properties"][key]["default"]

    assert default("sync.audience/schedule") == "every 4h"
    assert default("sync.audience/full_every") == "24h"
    assert default("sync.audience.Guards/max_removals") == "20%"
    assert default("connection.shop/retry_for") == "90s"
