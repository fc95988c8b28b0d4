"""Pydantic's findings as sentences for people. No value that may be a secret is ever repeated."""

import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from listbridge.config.problems import Place, Problems, listed, suggestion

_Finding = Mapping[str, Any]

_PLAIN: Mapping[str, str] = {
    "string_type": "must be text; put it in quotes.",
    "string_too_short": "must not be empty.",
    "bool_type": "must be true or false.",
    "bool_parsing": "must be true or false.",
    "int_type": "must be a whole number.",
    "int_parsing": "must be a whole number.",
    "int_from_float": "must be a whole number.",
    "float_type": "must be a number.",
    "float_parsing": "must be a number.",
    "tuple_type": "must be a list, like [one, two].",
    "list_type": "must be a list, like [one, two].",
    "set_type": "must be a list, like [one, two].",
    "frozen_set_type": "must be a list, like [one, two].",
    "dict_type": "must hold keys with values, each on a line of its own.",
    "mapping_type": "must hold keys with values, each on a line of its own.",
    "model_type": "must hold keys with values, each on a line of its own.",
}

_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than_equal": ("ge", "must be at least {}."),
    "greater_than": ("gt", "must be more than {}."),
    "less_than_equal": ("le", "must be at most {}."),
    "less_than": ("lt", "must be less than {}."),
    "string_too_long": ("max_length", "must have at most {} characters."),
    "too_short": ("min_length", "must have at least {} entries."),
    "too_long": ("max_length", "must have at most {} entries."),
}

_TYPE_NAME = re.compile(r"str|int|float|bool|none|\[key\]|[a-z-]+\[.*\]")


def explain(
    error: ValidationError,
    model: type[BaseModel],
    place: Place,
    problems: Problems,
    conceal: Callable[[str], str] | None = None,
) -> None:
    """Put each finding into ``problems``, in words.

    With ``conceal`` no value is repeated and what custom checks say goes through it first.
    """
    for finding in error.errors(include_url=False):
        loc = _shown(finding["loc"])
        if finding["type"] != "extra_forbidden" and problems.is_noise((*place, *loc)):
            continue
        words = _sentence(finding, model, loc, quotes=conceal is None)
        problems.add((*place, *loc), conceal(words) if conceal else words)


def _shown(loc: Place) -> Place:
    """The place without the names of types that pydantic puts into it."""
    return tuple(part for part in loc if isinstance(part, int) or not _TYPE_NAME.fullmatch(part))


def _sentence(finding: _Finding, model: type[BaseModel], loc: Place, *, quotes: bool) -> str:
    kind, context = finding["type"], finding.get("ctx", {})
    if kind == "extra_forbidden":
        return f"there is no such key; {suggestion(str(loc[-1]), keys_at(model, loc[:-1]))}"
    if kind == "missing":
        return f"this is missing: {help_of(model, loc)}"
    if kind == "string_pattern_mismatch":
        return f"is not written as it must be: {help_of(model, loc)}"
    if kind in ("literal_error", "enum"):
        return _choice(finding, context, quotes=quotes)
    if kind in ("value_error", "assertion_error"):
        return _ended(str(context.get("error", finding["msg"])))
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return words.format(context.get(key))
    return _PLAIN.get(kind) or _ended(_untold(finding["msg"]))


def _choice(finding: _Finding, context: Mapping[str, Any], *, quotes: bool) -> str:
    choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    words = f"must be {listed(choices)}"
    value = finding["input"]
    if not quotes or not isinstance(value, str):
        return f"{words}."
    hint = suggestion(value, choices)
    return f"{words}, not {value}; {hint}" if hint.startswith("did") else f"{words}, not {value}."


def _untold(message: str) -> str:
    """The library's own sentence, in our way of speaking."""
    return message.replace("Input should be", "must be").replace("Value error, ", "")


def _ended(words: str) -> str:
    return words if words.endswith((".", "?", "!")) else f"{words or 'see `listbridge schema`'}."


def keys_at(model: type[BaseModel], loc: Place) -> tuple[str, ...]:
    """The keys that a section knows."""
    inner = _model_at(model, loc)
    return tuple(inner.model_fields) if inner is not None else ()


def help_of(model: type[BaseModel], loc: Place) -> str:
    """The help text of a key."""
    inner = _model_at(model, loc[:-1])
    found = inner.model_fields.get(str(loc[-1])) if inner is not None else None
    return _ended(found.description or "") if found is not None else "see `listbridge schema`."


def _model_at(model: type[BaseModel], loc: Place) -> type[BaseModel] | None:
    for part in loc:
        found = model.model_fields.get(str(part))
        inner = _model_in(found.annotation) if found is not None else None
        if inner is None:
            return None
        model = inner
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg)) is not None), None)
