"""A configuration back as the text of its file, and what of a sync decides what is sent."""

import json
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import yaml

from listbridge.config.models import Config, Reference, Sync
from listbridge.config.problems import Place

_RULES = (
    "type", "select", "map", "mode", "fields", "tags", "kind_tags", "origin", "consent", "removal",
    "remove_departed", "restore_deleted", "objects", "store",
)  # fmt: skip

_NUMBER = re.compile(r"[1-9]\d{0,14}|0")
_UNORDERED = ("kinds", "groups", "segments", "tags", "objects")


def plain(sync: Sync) -> dict[str, Any]:
    """A sync as the file holds it: plain values, and only what was said."""
    return {"type": sync.type, **sync.model_dump(mode="json", exclude_unset=True)}


def rules_fingerprint(sync: Sync) -> str:
    """The same text for syncs that send the same, whatever their names, times, guards and targets."""
    held = sync.model_dump(mode="json")
    rules = {key: _ordered(held[key]) for key in _RULES if key in held}
    for key in _UNORDERED:
        if rules.get(key):
            rules[key] = sorted(set(rules[key]))
    text = json.dumps(rules, sort_keys=True, ensure_ascii=False)
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _ordered(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: sorted(set(part)) if key in _UNORDERED and isinstance(part, list) else part
        for key, part in value.items()
    }


def export(config: Config) -> str:
    """The file's text: :func:`listbridge.config.load` reads it back to an equal configuration.

    A value that came out of the environment and has not changed since is written as its ``${NAME}``
    again. Comments are not kept.
    """
    document: dict[str, Any] = {"version": 1}
    if config.store_given is not None:
        document["store"] = config.store_given
    document["connections"] = {name: _given(found.given) for name, found in config.connections.items()}
    document["syncs"] = {
        name: _referring(plain(sync), ("syncs", name), config.references)
        for name, sync in config.syncs.items()
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _referring(value: Any, place: Place, references: Mapping[Place, Reference]) -> Any:
    if isinstance(value, dict):
        return {key: _referring(part, (*place, key), references) for key, part in value.items()}
    if isinstance(value, list):
        return [_referring(part, (*place, number), references) for number, part in enumerate(value)]
    known = references.get(place)
    if known is not None and known.value == value:
        return known.written
    return value.replace("${", "$${") if isinstance(value, str) else value


def _given(value: Any) -> Any:
    """Options as they were written; what is a number without quotes stays one."""
    if isinstance(value, dict):
        return {key: _given(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_given(part) for part in value]
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
