"""From the row of a generic source to a contact, and a row's fingerprint. Pure; column names are lower case.

Any value that a database driver, Parquet, JSON or a spreadsheet gives is understood. ``None``, an empty
text and a number that is none (NaN) are missing values. Text stays as it is, but for halves of surrogate
pairs, which UTF-8 cannot hold: they become U+FFFD.

Terms: a *column* that :class:`~listbridge.model.Contact` has a place for is one of ``OWN_COLUMNS``; all
others become attributes.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from math import isnan
from typing import Any
from uuid import UUID

import orjson

from listbridge.errors import ListbridgeError
from listbridge.model import Consent, Contact, Word

OWN_COLUMNS = frozenset(
    {
        "id",
        "email",
        "consent",
        "consent_at",
        "guest",
        "groups",
        "segments",
        "orders_count",
        "updated_at",
        "deleted",
    }
)

PLAIN_COLUMNS = frozenset(
    {
        "first_name",
        "last_name",
        "phone",
        "language",
        "company",
        "street",
        "city",
        "postcode",
        "country",
        "birthday",
        "total_spent",
        "created_at",
    }
)
"""Columns that every source has in principle; they are attributes like any other."""

FINGERPRINT_VERSION = 1
"""Part of every fingerprint: raising it makes every row a changed one, on purpose."""

_FINGERPRINT_PREFIX = b"%d:" % FINGERPRINT_VERSION
_SORTED = orjson.OPT_SORT_KEYS

_WORDS = {str(word): word for word in Word}
_FLAGS = {
    **dict.fromkeys(("1", "1.0", "true", "t", "yes", "y"), True),
    **dict.fromkeys(("0", "0.0", "false", "f", "no", "n"), False),
}
_UNTIMED = {word: Consent(word) for word in Word}
_NAIVE_EPOCH = datetime(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN_CHARACTERS = 60

_LISTS = (list, tuple)
_SETS = (set, frozenset)
_CONTAINERS = (*_LISTS, *_SETS, dict)


class RowError(ListbridgeError):
    """A row that cannot be used. The caller reports it and goes on with the next.

    ``reason`` is a short name: ``no_id``, ``bad_id``, ``bad_consent``, ``bad_time``, ``bad_flag``,
    ``bad_list``, ``bad_number``, ``bad_value``. ``detail`` is a sentence that names row, column and value.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def contact_from_row(row: Mapping[str, Any], *, granted_before: bool) -> Contact:
    """The contact that a row speaks of. ``granted_before``: the mirror held ``granted`` for this id.

    Raises :class:`RowError`. A missing e-mail address is an empty text; it is trimmed, no more.
    """
    attributes: dict[str, str] = {}
    for name, value in row.items():
        if name in OWN_COLUMNS or value is None:
            continue
        known = value if value.__class__ is str and value.isascii() else text(value)
        if known:
            attributes[name if name.isascii() else _clean(name)] = known
    return Contact(
        row_id(row),
        row_text(row, "email").strip(),
        _consent(row, granted_before),
        row_flag(row, "guest"),
        row_list(row, "groups"),
        row_list(row, "segments"),
        row_count(row, "orders_count"),
        row_time(row, "updated_at"),
        attributes,
    )


def is_deleted(row: Mapping[str, Any]) -> bool:
    """Whether the row says of itself that it was deleted. Raises :class:`RowError` (``bad_flag``)."""
    return row_flag(row, "deleted")


def fingerprint(row: Mapping[str, Any]) -> bytes:
    """16 bytes that differ when the row does; the order of columns and missing values are of no account.

    Raises :class:`RowError` (``bad_value``) for what has no finite text: values nested hundreds deep.
    """
    present = {name: value for name, value in row.items() if value or (value is not None and value != "")}
    try:
        content = orjson.dumps(present, text, _SORTED)
    except TypeError:
        content = _unusual_json(present)
    return blake2b(_FINGERPRINT_PREFIX + content, digest_size=16).digest()


# --- one column of a row -----------------------------------------------------------------------------


def row_id(row: Mapping[str, Any], column: str = "id") -> str:
    """The id as text: spaces at the ends cut, 17.0 as ``17``. Raises :class:`RowError` where there is none."""
    value = row.get(column)
    if isinstance(value, _CONTAINERS):
        raise RowError("bad_id", f"The column {column} holds {_shown(value)}. An id is a text or a number.")
    known = text(value).strip()
    if not known:
        raise RowError("no_id", f"A row has nothing in the column {column}: {_shown(dict(row))}.")
    return known


def row_text(row: Mapping[str, Any], column: str) -> str:
    """The column as text, empty where the value is missing."""
    return text(row.get(column))


def row_time(row: Mapping[str, Any], column: str) -> float | None:
    """A time in ISO 8601, or the driver's own, as seconds since 1970; UTC where it names no zone.

    The zero dates of MySQL (``0000-00-00``) are missing values.
    """
    value = row.get(column)
    if value is None:
        return None
    if isinstance(value, date):
        return _seconds(value)
    known = _single(value).strip()
    if not known or known.startswith("0000-00-00"):
        return None
    try:
        return _seconds(_time(known))
    except ValueError:
        raise _bad(row, column, "bad_time", "no time such as 2024-12-31T23:59:00Z") from None


def row_flag(row: Mapping[str, Any], column: str) -> bool:
    """True or false; false where the value is missing."""
    value = row.get(column)
    if value is None:
        return False
    known = _single(value).strip().lower()
    flag = _FLAGS.get(known, False)
    if known and known not in _FLAGS:
        raise _bad(row, column, "bad_flag", "neither true nor false (1/0, true/false, yes/no)")
    return flag


def row_list(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """Texts of a list, or of a text separated by ``;``: trimmed, without empty ones, each once."""
    value = row.get(column)
    if value is None:
        return ()
    parts = text(value).split(";") if value.__class__ is str else _parts(row, column, value)
    return tuple(dict.fromkeys([part for part in map(str.strip, parts) if part]))


def row_count(row: Mapping[str, Any], column: str) -> int:
    """A whole number from 0 up; 0 where the value is missing."""
    value = row.get(column)
    if value.__class__ is int and value >= 0:
        return int(value)
    number = row_money(row, column)
    if number is None:
        return 0
    if number < 0 or number.adjusted() > 18 or number != number.to_integral_value():
        raise _bad(row, column, "bad_number", "no whole number from 0 up")
    return int(number)


def row_money(row: Mapping[str, Any], column: str) -> Decimal | None:
    """A decimal number in units of the currency, exactly as written; ``None`` where it is missing."""
    known = _single(row.get(column)).strip()
    if not known:
        return None
    try:
        number = Decimal(known) if "_" not in known else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise _bad(row, column, "bad_number", "no decimal number such as 19.90")
    return number


def _parts(row: Mapping[str, Any], column: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        raise _bad(row, column, "bad_list", "no list and no text separated by ;")
    if isinstance(value, _SETS):
        return sorted(map(text, value))
    if not isinstance(value, _LISTS):
        return text(value).split(";")
    if any(isinstance(part, _CONTAINERS) for part in value):
        raise _bad(row, column, "bad_list", "a list of something else than texts and numbers")
    return list(map(text, value))


def _consent(row: Mapping[str, Any], granted_before: bool) -> Consent:
    word = _word(row, granted_before)
    at = row_time(row, "consent_at")
    return _UNTIMED[word] if at is None else Consent(word, at)


def _word(row: Mapping[str, Any], granted_before: bool) -> Word:
    value = row.get("consent")
    if value is None:
        return Word.UNKNOWN
    known = _single(value).strip().lower()
    word = _WORDS.get(known)
    if word is not None:
        return word
    if not known:
        return Word.UNKNOWN
    flag = _FLAGS.get(known)
    if flag is None:
        raise _bad(row, "consent", "bad_consent", "none of granted, pending, denied, unknown, true, false")
    if flag:
        return Word.GRANTED
    return Word.DENIED if granted_before else Word.UNKNOWN


def _time(words: str) -> datetime:
    """ISO 8601. A bare count of seconds or milliseconds is refused: Python would read some as dates."""
    if len(words) > 8 and words.isdigit():
        raise ValueError(words)
    return datetime.fromisoformat(words)


def _seconds(value: date) -> float:
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    return (value - (_NAIVE_EPOCH if value.tzinfo is None else _EPOCH)).total_seconds()


def _bad(row: Mapping[str, Any], column: str, reason: str, what: str) -> RowError:
    held = _shown(row.get(column))
    return RowError(reason, f"Row {row_id(row)}: the column {column} holds {held}, which is {what}.")


def _shown(value: Any) -> str:
    try:
        words = _clean(repr(value))
    except (RecursionError, ValueError):  # nested without end, or a number of thousands of digits
        words = f"a {type(value).__name__} too large to be shown"
    return words if len(words) <= _SHOWN_CHARACTERS else words[:_SHOWN_CHARACTERS] + "…"


# --- one value as text -------------------------------------------------------------------------------


def text(value: Any) -> str:
    """Any value as text: numbers without a trailing ``.0``, times in ISO 8601, missing ones empty."""
    kind = value.__class__
    if kind is str:
        return value if value.isascii() else _clean(value)
    form = _FORMS.get(kind)
    return form(value) if form is not None else _unusual(value)


def _single(value: Any) -> str:
    """As :func:`text`, but a list of one value does not pass for that value."""
    return _json(value) if isinstance(value, _LISTS) else text(value)


def _clean(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _integer(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # thousands of digits: Python refuses to write them in decimal
        return hex(value)


def _float(value: float) -> str:
    if isnan(value):
        return ""
    if value.is_integer():
        return str(int(value))
    words = repr(value)
    return format(Decimal(words), "f") if "e" in words else words


def _decimal(value: Decimal) -> str:
    if value.is_nan():
        return ""
    if not value.is_finite() or abs(value.adjusted()) > 99:
        return str(value)
    whole, point, part = format(value, "f").partition(".")
    return whole + point + part if part.strip("0") else whole


def _bytes(value: bytes | bytearray | memoryview) -> str:
    content = bytes(value)
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.hex()


def _list(value: list[Any] | tuple[Any, ...]) -> str:
    if any(isinstance(part, _CONTAINERS) for part in value):
        return _json(value)
    return ";".join(text(part) for part in value)


def _set(value: set[Any] | frozenset[Any]) -> str:
    return ";".join(sorted(text(part) for part in value))


def _json(value: Any) -> str:
    if not value:
        return ""
    try:
        return orjson.dumps(value, text, _SORTED).decode()
    except TypeError:
        return _unusual_json(value).decode()


def _unusual_json(value: Any) -> bytes:
    """What orjson refuses: halves of surrogate pairs, integers above 64 bits, keys that are no text."""
    try:
        return json.dumps(value, default=text, sort_keys=True).encode()
    except (TypeError, ValueError, RecursionError):
        raise RowError("bad_value", "A value is nested too deep, or has keys that are no text.") from None


def _unusual(value: Any) -> str:
    for kind, form in _FORMS.items():
        if isinstance(value, kind):
            return form(value)
    item = getattr(value, "item", None)
    if item is None or not _is_plain(plain := item()):
        return _clean(str(value))
    return text(plain)


def _is_plain(value: Any) -> bool:
    """Whether a numpy scalar's ``item()`` keeps its meaning; a datetime64 turns into a bare integer."""
    return value.__class__ in (bool, int, float, str, bytes)


_FORMS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _value: "",
    str: lambda value: _clean(str.__str__(value)),
    bool: lambda value: "true" if value else "false",
    int: _integer,
    float: _float,
    Decimal: _decimal,
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    UUID: str,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
    list: _list,
    tuple: _list,
    dict: _json,
    set: _set,
    frozenset: _set,
}
"""In the order in which subclasses are tried: bool before int, datetime before date."""
