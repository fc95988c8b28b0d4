"""What Mailchimp takes: addresses, merge values, times, shapes of bodies.

Where the platform's tolerance is not known, less is taken here.
"""

import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from listbridge.sandbox.mailchimp.problems import Problem, bad_field, bad_merge, invalid
from listbridge.sandbox.mailchimp.state import MergeField

_ADDRESS = re.compile(
    r"[^\s@<>()\[\],;:\\\"]+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,}"
)
_URL = re.compile(r"https?://[^\s/]+\.[^\s]+")
_US_PHONE = re.compile(r"\(?\d{3}\)?[ .-]?\d{3}[ .-]?\d{4}")
_BIRTHDAY = re.compile(r"\d{2}/\d{2}")
_ADDRESS_PARTS = ("addr1", "city", "state", "zip")
TEXT_BYTES = 255
NO_SCHEMA = "Data did not match any of the schemas described in anyOf."


def address(value: Any) -> str:
    """An e-mail address of a possible form. Raises ``Problem``."""
    if not isinstance(value, str):
        raise bad_field("email_address", "This value should not be blank.")
    if len(value) > 254 or ".." in value or not _ADDRESS.fullmatch(value):
        raise invalid("Please provide a valid email address.")
    return value


def moment(value: str, name: str) -> float:
    """An ISO 8601 time with its zone, in seconds. Without a zone the platform's reading is unsure."""
    try:
        parsed = datetime.fromisoformat(value.replace(" ", "+"))
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise bad_field(name, "This value is not a valid datetime.")
    return parsed.timestamp()


def ip(value: Any, name: str) -> str:
    try:
        return str(ipaddress.ip_address(value)) if value else ""
    except ValueError:
        raise bad_field(name, "This is not a valid IP address.") from None


def shape(body: Any, known: Mapping[str, type | tuple[type, ...]], needed: Iterable[str] = ()) -> None:
    """A body is an object of the described types. Whether unknown keys are ignored there is unsure."""
    if not isinstance(body, dict):
        raise bad_field("", f"Schema describes object, {_kind(body)} found instead")
    for name in needed:
        if name not in body:
            raise bad_field(name, "This value should not be blank.")
    for name, value in body.items():
        expected = known.get(name)
        if value.__class__ is expected:
            continue
        if expected is None:
            raise bad_field(name, "This field is not described for this resource.")
        if not isinstance(value, expected) or (value.__class__ is bool and bool not in _types(expected)):
            raise bad_field(name, f"Schema describes {_name(expected)}, {_kind(value)} found instead")


def one_of(value: Any, name: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise bad_field(name, f"Value must be one of: {', '.join(choices)}")


def _types(expected: type | tuple[type, ...]) -> tuple[type, ...]:
    return expected if isinstance(expected, tuple) else (expected,)


def _name(expected: type | tuple[type, ...]) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return names[_types(expected)[0]]


def _kind(value: Any) -> str:
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean"}
    return kinds.get(type(value), "NULL" if value is None else "number")


def cut_text(value: str) -> str:
    """At most 255 bytes of UTF-8, whole characters only."""
    if len(value) <= TEXT_BYTES // 4:
        return value
    encoded = value.encode()
    return value if len(encoded) <= TEXT_BYTES else encoded[:TEXT_BYTES].decode(errors="ignore")


def merge_values(given: Any, fields: Mapping[str, MergeField]) -> dict[str, Any]:
    """The values to keep, ``""`` for one to clear. Unknown tags are dropped, as there, without a word."""
    if not isinstance(given, dict):
        raise bad_field("merge_fields", f"Schema describes object, {_kind(given)} found instead")
    kept: dict[str, Any] = {}
    errors: list[tuple[str, str]] = []
    for tag, value in given.items():
        field = fields.get(tag)
        if field is None:
            continue
        try:
            kept[tag] = _TYPES[field.type](value, field) if value != "" else ""
        except ValueError as error:
            errors.append((tag, str(error)))
    if errors:
        raise bad_merge(errors)
    return kept


def missing_values(merge: Mapping[str, Any], fields: Mapping[str, MergeField]) -> Problem | None:
    empty = [tag for tag, field in fields.items() if field.required and merge.get(tag, "") == ""]
    return bad_merge([(tag, "Please enter a value") for tag in empty]) if empty else None


def _string(value: Any) -> str:
    # Whether a number is taken for a text is unsure.
    if isinstance(value, str):
        return value
    raise ValueError(NO_SCHEMA)


def _text(value: Any, _field: MergeField) -> str:
    return cut_text(value if value.__class__ is str else _string(value))


def _number(value: Any, _field: MergeField) -> int | float:
    words = "Please enter a number"
    if value.__class__ is int:
        return int(value)
    try:
        number = (
            float(value) if isinstance(value, (int, float, str)) and value.__class__ is not bool else None
        )
    except ValueError:
        raise ValueError(words) from None
    if number is None or not math.isfinite(number):
        raise ValueError(words)
    return int(number) if number.is_integer() else number


def _date(value: Any, _field: MergeField) -> str:
    # Other ways to write a date are taken there too; which ones is unsure.
    try:
        return date.fromisoformat(_string(value)).isoformat()
    except ValueError:
        raise ValueError("Please enter the date") from None


def _birthday(value: Any, _field: MergeField) -> str:
    text = _string(value)
    try:
        if not _BIRTHDAY.fullmatch(text):
            raise ValueError
        datetime(2024, int(text[:2]), int(text[3:]), tzinfo=UTC)
    except ValueError:
        raise ValueError("Please enter a month (01-12) and a day (01-31)") from None
    return text


def _postal_address(value: Any, _field: MergeField) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(part, str) for part in value.values()):
        raise ValueError(NO_SCHEMA)
    if not all(value.get(part) for part in _ADDRESS_PARTS):
        raise ValueError(NO_SCHEMA)
    return {part: value.get(part, "") for part in ("addr1", "addr2", "city", "state", "zip", "country")}


def _choice(value: Any, field: MergeField) -> str:
    if _string(value) not in field.options.get("choices", ()):
        raise ValueError("Please choose one of the listed values")
    return str(value)


def _pattern(pattern: re.Pattern[str], words: str) -> Callable[[Any, MergeField], str]:
    def check(value: Any, _field: MergeField) -> str:
        if not pattern.fullmatch(_string(value)):
            raise ValueError(words)
        return str(value)

    return check


def _phone(value: Any, field: MergeField) -> str:
    text = _string(value)
    if field.options.get("phone_format") == "US" and not _US_PHONE.fullmatch(text):
        raise ValueError("Please enter a valid phone number")
    return text


_TYPES: dict[str, Callable[[Any, MergeField], Any]] = {
    "text": _text,
    "number": _number,
    "address": _postal_address,
    "phone": _phone,
    "date": _date,
    "url": _pattern(_URL, "Please enter a complete URL, like http://www.mailchimp.com"),
    "imageurl": _pattern(_URL, "Please enter a complete URL, like http://www.mailchimp.com"),
    "radio": _choice,
    "dropdown": _choice,
    "birthday": _birthday,
    "zip": _pattern(re.compile(r"\d{5}"), "Please enter a five digit zip code"),
}
MERGE_TYPES = tuple(_TYPES)
