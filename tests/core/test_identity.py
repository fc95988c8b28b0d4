"""When two addresses are the same person."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listbridge.identity import KEY_BYTES, key_of, key_without_address, normalise


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (" Ann@Example.COM \n", "ann@example.com"),
        ("\u00a0ann@example.com\u2003", "ann@example.com"),
        ("ZOE\u0308@x.example", "zoë@x.example"),
        ("J\u030c@x.example", "\u01f0@x.example"),
        ("ann@MÜLLER.example", "ann@xn--mller-kva.example"),
        ("ann@mu\u0308ller.example", "ann@müller.example"),
        ("Ärger@Müller.Example", "ärger@xn--mller-kva.example"),
        ("ann@bücher。example", "ann@xn--bcher-kva.example"),
        ("\u212aelvin@x.example", "kelvin@x.example"),
    ],
)
def test_addresses_of_one_person_have_one_key(one, other):
    assert normalise(one) == normalise(other)
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("strauß@x.example", "strauss@x.example"),
        ("ann@straße.example", "ann@strasse.example"),
        ("İnan@x.example", "inan@x.example"),
        ("ann+shop@x.example", "ann@x.example"),
        ("a.nn@x.example", "ann@x.example"),
        ("zoë@x.example", "zoe@x.example"),
        ("ann@müller.example", "ann@muller.example"),
    ],
)
def test_what_only_looks_alike_stays_two_people(one, other):
    assert key_of(one) != key_of(other)


def test_lower_case_is_no_folded_case():
    assert normalise("STRAẞE@X.example") == "straße@x.example"
    assert normalise("İ@x.example") == "i̇@x.example"


@pytest.mark.parametrize("text", ["Größe", "MÜLLER.example", "", "  ", "nobody"])
def test_what_is_no_address_is_trimmed_and_lower_cased_and_no_more(text):
    assert normalise(text) == text.strip().lower()


def test_a_domain_that_has_no_ascii_form_stays_as_it_is():
    assert normalise("Ann@\u2764.Example") == "ann@\u2764.example"
    assert normalise("ann@" + "ü" * 70 + ".example") == "ann@" + "ü" * 70 + ".example"


def test_an_ascii_domain_beside_a_foreign_name_is_left_alone():
    assert normalise("Zoë@my_host.Example") == "zoë@my_host.example"


def test_the_last_at_sign_begins_the_domain():
    assert normalise('"ü@Müller"@Bücher.example') == '"ü@müller"@xn--bcher-kva.example'


def test_a_row_without_address_has_a_key_of_its_own():
    assert key_without_address("7") == key_without_address("7") != key_without_address("8")
    assert key_without_address("ann@example.com") != key_of("ann@example.com")
    assert len(key_without_address("7")) == len(key_of("ann@example.com")) == KEY_BYTES == 16


def test_a_key_never_changes_between_releases():
    """Keys are stored for good: a suppression must be found again in ten years."""
    assert key_of("Ann@Example.com").hex() == "228a7f9e94022efef28b153418018c1b"
    assert key_without_address("17").hex() == "32499bf110c5145d329c8e701cb4a398"


def test_half_a_surrogate_pair_names_somebody_too():
    assert key_of("\ud800@x.example") != key_of("\ud801@x.example")
    assert key_without_address("\ud800") != key_without_address("\ud801")


ADDRESSES = st.text(max_size=12) | st.builds(
    "{}@{}.{}".format, st.text(min_size=1, max_size=6), st.text(min_size=1, max_size=8), st.just("example")
)


@given(ADDRESSES)
def test_normalising_twice_changes_nothing(address):
    assert normalise(normalise(address)) == normalise(address)


@given(ADDRESSES)
def test_composed_or_decomposed_is_of_no_account(address):
    assert key_of(unicodedata.normalize("NFD", address)) == key_of(unicodedata.normalize("NFC", address))
