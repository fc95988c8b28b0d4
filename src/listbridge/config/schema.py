"""The JSON Schema of the configuration file, for editors and for `listbridge schema`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from listbridge.config.models import SYNC_TYPES, Document
from listbridge.connectors.base import Connector
from listbridge.connectors.registry import all_names, connector_named

_Schema = dict[str, Any]

_ENVIRONMENT = "environment"
_REFERENCE = {"$ref": f"#/$defs/{_ENVIRONMENT}"}
_FROM_ENVIRONMENT: _Schema = {
    "type": "string",
    "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}",
    "description": "A value out of the environment, ${NAME}.",
}
_MADE_OF = ("select", "audience")


def json_schema(
    names: Iterable[str] | None = None, connectors: Callable[[str], Connector] = connector_named
) -> _Schema:
    """The schema (2020-12) with the options of every connector, or of those named."""
    found = [connectors(name) for name in (all_names() if names is None else names)]
    defs: _Schema = {_ENVIRONMENT: _FROM_ENVIRONMENT}
    for connector in found:
        defs |= _definitions(connector.options, f"connection.{connector.name}", text_only=("connector",))
    for kind, model in SYNC_TYPES.items():
        defs |= _definitions(model, f"sync.{kind}", text_only=("type",))
    defs["sync.audience"]["oneOf"] = [
        {"required": list(_MADE_OF), "not": {"required": ["map"]}},
        {"required": ["map"], "not": {"anyOf": [{"required": [key]} for key in _MADE_OF]}},
    ]
    titles = {connector.name: connector.title for connector in found}
    return _document(defs, titles)


def _document(defs: _Schema, connectors: Mapping[str, str]) -> _Schema:
    whole = _definitions(Document, "document")["document"]
    properties = whole["properties"]
    properties["version"] = {"enum": [1, "1"], "description": properties["version"]["description"]}
    properties["connections"] = _named(
        properties["connections"], "connector", "connection", connectors, "The platform, database or file."
    )
    properties["syncs"] = _named(properties["syncs"], "type", "sync", SYNC_TYPES, "What is synchronised.")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "listbridge.yaml",
        **whole,
        "$defs": defs,
    }


def _named(described: _Schema, key: str, prefix: str, choices: Iterable[str], description: str) -> _Schema:
    """A mapping from names to objects whose ``key`` decides what else they hold."""
    names = list(choices)
    return {
        "type": ["object", "null"],
        "description": described["description"],
        "additionalProperties": {
            "type": "object",
            "required": [key],
            "properties": {key: {"enum": names, "description": description}},
            "allOf": [
                {
                    "if": {"properties": {key: {"const": name}}, "required": [key]},
                    "then": {"$ref": f"#/$defs/{prefix}.{name}"},
                }
                for name in names
            ],
        },
    }


def _definitions(model: type[BaseModel], name: str, text_only: tuple[str, ...] = ()) -> _Schema:
    """The model's schema and the schemas of its sections, under names of their own."""
    schema = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
    inner = {f"{name}.{key}": _eased(part) for key, part in schema.pop("$defs", {}).items()}
    eased = _eased(schema)
    for key in text_only:
        eased["properties"][key] = schema["properties"][key]
    return {name: eased, **inner}


def _eased(schema: Any) -> Any:
    """Without generated titles, and with what the file may hold beside: ``${NAME}``, numbers as text.

    Defaults of whole sections go too: those of their keys tell the same.
    """
    if not isinstance(schema, dict):
        return schema
    eased = {
        key: part
        for key, part in schema.items()
        if key != "title" and not (key == "default" and isinstance(part, dict))
    }
    for key in ("properties", "$defs"):
        if key in eased:
            eased[key] = {name: _eased(part) for name, part in eased[key].items()}
    for key in ("items", "additionalProperties"):
        if key in eased:
            eased[key] = _eased(eased[key])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in eased:
            eased[key] = [_eased(part) for part in eased[key]]
    return _leaf(eased)


def _leaf(schema: _Schema) -> _Schema:
    if schema.get("type") == "string" and not schema.keys() & {"pattern", "enum", "const", "format"}:
        return {**schema, "type": ["string", "number"]}
    narrow = {key: schema[key] for key in schema.keys() - {"description", "default", "examples"}}
    is_value = "enum" in narrow or "const" in narrow or "pattern" in narrow
    if is_value or narrow.get("type") in ("integer", "number", "boolean"):
        kept = {key: part for key, part in schema.items() if key not in narrow}
        return {**kept, "anyOf": [narrow, _REFERENCE]}
    return schema
