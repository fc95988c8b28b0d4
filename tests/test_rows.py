"""Rows of the generic sources: to contacts, to fingerprints, to single values."""

import enum
import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listbridge.model import Consent, Contact, Word
from listbridge.rows import (
    OWN_COLUMNS,
    RowError,
    contact_from_row,
    fingerprint,
    is_deleted,
    row_count,
    row_flag,
    row_id,
    row_list,
    row_money,
    row_text,
    row_time,
    text,
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.datetimes(timezones=st.just(timezone(timedelta(hours=2))))
    | st.dates()
    | st.uuids()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(sorted(OWN_COLUMNS)) | st.text()
ROWS = st.dictionaries(NAMES, VALUES, max_size=8)
SURROGATES = st.text(st.characters(categories=["Cs", "Lu", "Cc"]), max_size=4)


def contact(*, granted_before: bool = False, **columns: Any) -> Contact:
    return contact_from_row({"id": 1, **columns}, granted_before=granted_before)


def refusal(function: Any, *given_values: Any, **named: Any) -> RowError:
    with pytest.raises(RowError) as caught:
        function(*given_values, **named)
    return caught.value


# --- contacts ----------------------------------------------------------------------------------------


def test_a_full_row_becomes_a_contact() -> None:
    row = {
        "id": 17,
        "email": " Anna.Groß@Example.com ",
        "first_name": "Anna",
        "total_spent": Decimal("19.90"),
        "birthday": date(1990, 2, 3),
        "consent": "Granted",
        "consent_at": "2024-01-02T03:04:05Z",
        "guest": "yes",
        "groups": "a; b;;a",
        "segments": [7, "vip"],
        "orders_count": "3",
        "created_at": datetime(2020, 1, 1, 12, 0),
        "updated_at": datetime(2024, 1, 1),
        "loyalty_points": 12.0,
        "deleted": 0,
        "phone": "",
        "city": None,
    }
    assert contact_from_row(row, granted_before=False) == Contact(
        id="17",
        email="Anna.Groß@Example.com",
        consent=Consent(Word.GRANTED, 1704164645.0),
        guest=True,
        groups=("a", "b"),
        segments=("7", "vip"),
        orders_count=3,
        updated_at=1704067200.0,
        attributes={
            "first_name": "Anna",
            "total_spent": "19.90",
            "birthday": "1990-02-03",
            "created_at": "2020-01-01T12:00:00",
            "loyalty_points": "12",
        },
    )


def test_a_row_with_an_id_alone_is_a_contact_without_address() -> None:
    assert contact() == Contact("1", "")


@pytest.mark.parametrize("value", [None, "", math.nan, Decimal("NaN"), [], {}, ()])
def test_a_missing_value_is_no_attribute(value: object) -> None:
    assert contact(city=value, consent=value and None, email="a@b.example").attributes == {}


@pytest.mark.parametrize("name", sorted(OWN_COLUMNS - {"id"}))
@pytest.mark.parametrize("value", [None, "", "  ", math.nan])
def test_a_missing_value_in_a_column_of_our_own_is_as_if_the_column_were_missing(
    name: str, value: object
) -> None:
    assert contact(**{name: value}) == contact()
    assert not is_deleted({"id": 1, name: value})


@pytest.mark.parametrize(
    "value",
    [
        "a\0b",
        "😀 Zoë",
        "שלום עולם",
        "Straße",
        "x" * 10_000,
        "zero\nlines\r\n",
        " keeps its blanks ",
        "'); DROP--",
    ],
)
def test_awkward_text_is_kept_as_it_is(value: str) -> None:
    found = contact(email=f"{value.strip()}@b.example", note=value)
    assert found.attributes["note"] == value
    assert found.email == f"{value.strip()}@b.example"


def test_twins_by_letter_case_stay_two() -> None:
    assert contact(id="Ab").id != contact(id="aB").id
    assert contact(email="Ab@x.example").email == "Ab@x.example"


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    found = contact(id="a\ud800", email="b\udfff@x.example", **{"n\ud800": "c\ud83dd"})
    assert (found.id, found.email, found.attributes) == ("a�", "b�@x.example", {"n�": "c�d"})


def test_two_halves_of_a_surrogate_pair_become_the_one_character() -> None:
    assert text("\ud83d\ude00") == "😀"


# --- consent -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", list(Word))
@pytest.mark.parametrize("form", ["{}", " {} ", "{}\n"])
def test_a_consent_word_counts_in_any_case_and_with_blanks(word: Word, form: str) -> None:
    for spelled in (word.value, word.value.upper(), word.value.title()):
        assert contact(consent=form.format(spelled)).consent == Consent(word)


@pytest.mark.parametrize("value", [True, 1, 1.0, Decimal(1), "1", "true", "TRUE", " Yes", "t", "y"])
def test_a_true_consent_is_granted(value: object) -> None:
    assert contact(consent=value).consent.word is Word.GRANTED
    assert contact(consent=value, granted_before=True).consent.word is Word.GRANTED


@pytest.mark.parametrize("value", [False, 0, 0.0, Decimal(0), "0", "false", "No", " f ", "n"])
def test_a_false_consent_is_unknown_and_after_a_granted_one_denied(value: object) -> None:
    assert contact(consent=value).consent.word is Word.UNKNOWN
    assert contact(consent=value, granted_before=True).consent.word is Word.DENIED


@pytest.mark.parametrize("value", [None, "", " ", "unknown", math.nan])
def test_a_consent_that_says_nothing_is_no_withdrawal(value: object) -> None:
    assert contact(consent=value, granted_before=True).consent.word is Word.UNKNOWN


@pytest.mark.parametrize("value", ["maybe", 2, "on hold", [1], b"\xff", {"a": 1}])
def test_a_consent_word_that_nobody_knows_is_refused_by_name(value: object) -> None:
    error = refusal(contact, id=17, consent=value)
    assert error.reason == "bad_consent"
    assert error.detail.startswith(f"Row 17: the column consent holds {value!r}, which is none of granted")
    assert str(error) == error.detail


def test_a_consent_time_goes_with_its_word() -> None:
    assert contact(consent="denied", consent_at="2024-01-01").consent == Consent(Word.DENIED, 1704067200.0)


# --- ids ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (17, "17"),
        (17.0, "17"),
        (Decimal("17.00"), "17"),
        (" 17 ", "17"),
        ("17.0", "17.0"),
        ("Ab", "Ab"),
        (b"17", "17"),
        (0, "0"),
        (-3, "-3"),
        (1e22, "10000000000000000000000"),
        (123456789012345678901234, "123456789012345678901234"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"\xff\x00", "ff00"),
    ],
)
def test_an_id_is_text(value: object, expected: str) -> None:
    assert row_id({"id": value}) == expected
    assert row_id({"order_id": value}, "order_id") == expected


@pytest.mark.parametrize("row", [{}, {"id": None}, {"id": ""}, {"id": " \t"}, {"id": math.nan}])
def test_a_row_without_id_is_refused(row: dict[str, Any]) -> None:
    error = refusal(contact_from_row, {"email": "a@b.example", **row}, granted_before=False)
    assert error.reason == "no_id"
    assert "column id" in error.detail
    assert "a@b.example" in error.detail


@pytest.mark.parametrize("value", [[1], (1,), {"a": 1}, {1}])
def test_an_id_that_is_no_single_value_is_refused(value: object) -> None:
    assert refusal(row_id, {"id": value}).reason == "bad_id"


@given(st.integers(-(10**15), 10**15))
def test_all_number_forms_of_an_id_are_one_id(number: int) -> None:
    forms = [number, float(number), Decimal(number), Decimal(f"{number}.0"), str(number), f" {number} "]
    assert {row_id({"id": form}) for form in forms} == {str(number)}


# --- times -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-01-02T03:04:05Z", 1704164645.0),
        ("2024-01-02 03:04:05", 1704164645.0),
        (" 2024-01-02T04:04:05+01:00 ", 1704164645.0),
        ("2024-01-02 03:04:05.5+00", 1704164645.5),
        ("20240102", 1704153600.0),
        ("2024-01-02", 1704153600.0),
        (date(2024, 1, 2), 1704153600.0),
        (datetime(2024, 1, 2, 3, 4, 5), 1704164645.0),
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), 1704164645.0),
        (datetime(2024, 1, 2, 4, 4, 5, tzinfo=timezone(timedelta(hours=1))), 1704164645.0),
        (b"2024-01-02", 1704153600.0),
        ("0000-00-00 00:00:00", None),
        (None, None),
        (" ", None),
        ("1969-12-31T23:59:59Z", -1.0),
    ],
)
def test_a_time_is_seconds_and_without_zone_utc(value: object, expected: float | None) -> None:
    assert row_time({"id": 1, "updated_at": value}, "updated_at") == expected


@pytest.mark.parametrize(
    "value", ["yesterday", 1704164645, 1704164645.5, "1712010112345", "2024-13-01", time(3, 4), [1], True]
)
def test_a_time_in_no_known_form_is_refused(value: object) -> None:
    error = refusal(contact, updated_at=value)
    assert error.reason == "bad_time"
    assert "updated_at" in error.detail
    assert refusal(contact, consent_at=value).reason == "bad_time"


def test_a_missing_column_is_a_missing_time() -> None:
    assert row_time({}, "updated_at") is None


# --- flags, lists, numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"), [("1", True), ("0", False), (True, True), (0, False), (None, False)]
)
def test_deleted_takes_the_true_and_false_forms(value: object, expected: bool) -> None:
    assert is_deleted({"id": 1, "deleted": value}) is expected


@pytest.mark.parametrize("value", ["2024-01-01", "x", 2])
def test_a_flag_in_no_known_form_is_refused(value: object) -> None:
    assert refusal(is_deleted, {"id": 1, "deleted": value}).reason == "bad_flag"
    assert refusal(contact, guest=value).reason == "bad_flag"
    assert refusal(row_flag, {"id": 1, "enabled": value}, "enabled").reason == "bad_flag"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a;b", ("a", "b")),
        (" a ;; b;a", ("a", "b")),
        (["b", "a", "b"], ("b", "a")),
        ((1, 2.0, None, ""), ("1", "2")),
        ({3, 10}, ("10", "3")),
        (frozenset("ba"), ("a", "b")),
        (17, ("17",)),
        (17.0, ("17",)),
        ("", ()),
        ([], ()),
        (None, ()),
        (math.nan, ()),
        ("Größe;größe", ("Größe", "größe")),
    ],
)
def test_a_list_is_a_list_or_a_text_with_semicolons(value: object, expected: tuple[str, ...]) -> None:
    assert row_list({"groups": value}, "groups") == expected


@pytest.mark.parametrize("value", [{"a": 1}, [{"id": 1}], [[1]], [(1,)]])
def test_a_list_of_something_else_is_refused(value: object) -> None:
    assert refusal(contact, groups=value).reason == "bad_list"
    assert refusal(contact, segments=value).reason == "bad_list"


@pytest.mark.parametrize(
    ("value", "expected"), [(3, 3), ("3", 3), ("3.0", 3), (3.0, 3), (Decimal(3), 3), ("", 0)]
)
def test_a_count_is_a_whole_number(value: object, expected: int) -> None:
    assert row_count({"orders_count": value}, "orders_count") == expected


@pytest.mark.parametrize("value", [-1, "-1", 2.5, "many", "1e400", math.inf, "1_0", [1], "1e30"])
def test_a_count_that_is_none_is_refused(value: object) -> None:
    assert refusal(contact, orders_count=value).reason == "bad_number"


def test_a_large_exponent_within_reason_is_a_count() -> None:
    assert row_count({"n": "1e18"}, "n") == 10**18


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("19.90", "19.90"),
        (19.9, "19.9"),
        (Decimal("-0.10"), "-0.10"),
        (5, "5"),
        (" 7 ", "7"),
        (1e-7, "0.0000001"),
    ],
)
def test_money_is_exactly_what_was_written(value: object, expected: str) -> None:
    assert str(row_money({"total": value}, "total") or "").replace("1E-7", "0.0000001") == expected


def test_missing_money_is_none() -> None:
    assert row_money({"total": ""}, "total") is None
    assert row_money({}, "total") is None


@pytest.mark.parametrize("value", ["19,90", "1_000", "€5", "inf", "snan", "NaN"])
def test_money_in_no_known_form_is_refused(value: str) -> None:
    assert refusal(row_money, {"id": 9, "total": value}, "total").detail == (
        f"Row 9: the column total holds {value!r}, which is no decimal number such as 19.90."
    )


# --- any value as text -------------------------------------------------------------------------------


class Colour(enum.IntEnum):
    RED = 4


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "never asked"


class Scalar:
    """As numpy's scalars are: the plain value behind ``item``."""

    def __init__(self, plain: object, words: str) -> None:
        self._plain, self._words = plain, words

    def item(self) -> object:
        return self._plain

    def __str__(self) -> str:
        return self._words


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true"),
        (False, "false"),
        (19.9, "19.9"),
        (-0.0, "0"),
        (1.5e-7, "0.00000015"),
        (math.inf, "inf"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E+999"), "1E+999"),
        (Decimal("Infinity"), "Infinity"),
        (Decimal("sNaN"), ""),
        (Decimal("19.050"), "19.050"),
        (datetime(2024, 1, 2, 3, 4, tzinfo=UTC), "2024-01-02T03:04:00+00:00"),
        (time(3, 4), "03:04:00"),
        (timedelta(days=1), "1 day, 0:00:00"),
        (b"Stra\xc3\x9fe", "Straße"),
        (bytearray(b"a\0"), "a\0"),
        (memoryview(b"\xfe"), "fe"),
        (["a", 1.0, None], "a;1;"),
        (("a", ["b"]), '["a",["b"]]'),
        ({"b": Decimal("1.0"), "a": None}, '{"a":null,"b":"1"}'),
        ({1: "x"}, '{"1": "x"}'),
        ({"a": "\ud800"}, '{"a": "\\ud800"}'),
        ({"a": 2**70}, '{"a": 1180591620717411303424}'),
        ({2, 1}, "1;2"),
        (frozenset({"x"}), "x"),
        (Colour.RED, "4"),
        (Loud("quiet"), "quiet"),
        (Scalar(17, "17"), "17"),
        (Scalar(2.0, "2.0"), "2"),
        (Scalar(1704153600000000000, "x").item(), "1704153600000000000"),
        (Scalar(datetime(2024, 1, 2), "2024-01-02T00:00:00.000000000"), "2024-01-02T00:00:00.000000000"),
    ],
)
def test_any_value_has_a_text(value: object, expected: str) -> None:
    assert text(value) == expected
    assert row_text({"x": value}, "x") == expected


def test_a_number_of_thousands_of_digits_has_a_text() -> None:
    assert text(10**5000) == hex(10**5000)


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


def test_a_value_nested_without_end_is_refused_and_named() -> None:
    for row in ({"id": 1, "note": nested(100_000)}, {"id": 1, "note": {(1, 2): 3}}):
        assert refusal(contact_from_row, row, granted_before=False).reason == "bad_value"
        assert refusal(fingerprint, row).reason == "bad_value"


def test_a_refusal_can_show_what_has_no_end() -> None:
    assert "a list too large to be shown" in refusal(row_id, {"id": nested(100_000)}).detail
    assert "too large to be shown" in refusal(contact, guest=10**5000).detail


def test_a_refusal_shows_the_beginning_of_a_long_value() -> None:
    assert len(refusal(contact, guest="x" * 10_000).detail) < 200


# --- fingerprints ------------------------------------------------------------------------------------


def test_a_fingerprint_is_sixteen_bytes_and_the_same_for_ever() -> None:
    row = {"id": 1, "email": "a@b.example", "total": Decimal("1.50"), "at": datetime(2024, 1, 1)}
    assert fingerprint(row).hex() == "a74755eee0aa6d9890e405c72eb7894e"


@pytest.mark.parametrize(
    "value", [0, False, 0.0, "0", " ", [], "\0", "\ud800", 2**70, b"x", {"a": {"b": 1}}, {1: 2}, math.inf]
)
def test_a_value_that_is_not_missing_changes_the_fingerprint(value: object) -> None:
    assert fingerprint({"id": 1, "x": value}) != fingerprint({"id": 1})
    assert fingerprint({"id": 1, "x": value}) == fingerprint({"x": value, "id": 1})


@given(ROWS, st.randoms())
def test_the_order_of_columns_is_of_no_account(row: dict[str, Any], chance: Any) -> None:
    names = list(row)
    chance.shuffle(names)
    assert fingerprint(row) == fingerprint({name: row[name] for name in names})


@given(ROWS, st.sampled_from(["x", "email", "consent"]), st.sampled_from([None, ""]))
def test_an_empty_value_is_a_missing_value(row: dict[str, Any], name: str, empty: object) -> None:
    without = {key: value for key, value in row.items() if key != name}
    assert fingerprint({**without, name: empty}) == fingerprint(without)
    assert understood({**without, name: empty}) == understood(without)


@given(ROWS.map(lambda row: {**row, "x": "a"}), st.text())
def test_another_text_is_another_fingerprint(row: dict[str, Any], other: str) -> None:
    assert (fingerprint(row) == fingerprint({**row, "x": other})) == (other == "a")


# --- laws --------------------------------------------------------------------------------------------


def outcome(row: dict[str, Any], *, granted_before: bool = False) -> Contact | RowError:
    try:
        return contact_from_row(row, granted_before=granted_before)
    except RowError as error:
        return error


def understood(row: dict[str, Any]) -> Contact | str:
    found = outcome(row)
    return found.reason if isinstance(found, RowError) else found


@given(ROWS | ROWS.map(lambda row: {**row, "id": "1"}), st.booleans())
def test_any_row_is_a_contact_or_an_error_that_says_why(row: dict[str, Any], granted_before: bool) -> None:
    found = outcome(row, granted_before=granted_before)
    if isinstance(found, RowError):
        assert found.reason
        assert found.detail.endswith(".")
        found.detail.encode()
    else:
        assert found.id
        assert "" not in found.attributes.values()
        assert not OWN_COLUMNS & set(found.attributes)
        json.dumps([found.id, found.email, found.attributes], ensure_ascii=False).encode()


@given(st.dictionaries(st.just("id") | SURROGATES, SURROGATES, max_size=5))
def test_whatever_is_understood_can_be_written_as_utf8(row: dict[str, Any]) -> None:
    assert len(fingerprint(row)) == 16
    found = understood({**row, "id": "1"})
    assert isinstance(found, Contact)
    repr(sorted(found.attributes.items())).encode()
    for name, value in found.attributes.items():
        (name + value).encode()


@given(ROWS)
def test_a_granted_word_is_never_made_from_anything_else(row: dict[str, Any]) -> None:
    found = understood({**row, "consent": "unknown"})
    assert isinstance(found, str) or found.consent.word is Word.UNKNOWN
