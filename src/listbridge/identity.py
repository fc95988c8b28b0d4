"""When two addresses are the same person: the one function from an address to its key."""

import unicodedata
from hashlib import blake2b

import idna

KEY_BYTES = 16


def normalise(address: str) -> str:
    """The address trimmed, in Unicode NFC, lower-cased (not case-folded), its domain in ASCII form.

    A text that is no address comes back trimmed and lower-cased: it still names one person.
    """
    text = address.strip()
    if text.isascii():
        return text.lower()
    # Again after lower(): a few capitals have no composed form, their small letters have (J̌ and ǰ).
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())
    local, at, domain = text.rpartition("@")
    return f"{local}{at}{_ascii_domain(domain)}" if at else text


def sendable(address: str) -> str:
    """The address as a platform is given it: spelled as the source does, the domain in its ASCII form."""
    if address.isascii():
        return address
    local, at, domain = unicodedata.normalize("NFC", address).rpartition("@")
    return f"{local}{at}{_ascii_domain(domain.lower())}" if at else address


def key_of(address: str) -> bytes:
    """The key under which a person is known everywhere inside: a hash, so that it can be kept for good."""
    return blake2b(normalise(address).encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()


def key_without_address(contact_id: str) -> bytes:
    """The key of a source row that has no address: nobody else's, and the same in every run."""
    return blake2b(
        contact_id.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES, person=b"no address"
    ).digest()


def _ascii_domain(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return domain
