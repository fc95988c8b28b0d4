"""Mailchimp's words and forms, and ours. No requests, no state."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from listbridge.changes import Outcome
from listbridge.connectors.base import Audience, Member
from listbridge.errors import Misconfigured, Stop
from listbridge.model import Status

TEXT_BYTES = 255  # the platform cuts longer texts
TAG_LENGTH = 10  # of a merge tag
UNMAPPABLE = "EMAIL"
INHERITED = ("contact", "campaign_defaults", "permission_reminder", "email_type_option")

STATUSES = {
    "subscribed": Status.SUBSCRIBED,
    "pending": Status.PENDING,
    "transactional": Status.TRANSACTIONAL,
    "unsubscribed": Status.UNSUBSCRIBED,
    "cleaned": Status.BOUNCED,
    "archived": Status.ARCHIVED,
}
"""A word that is not here counts as archived: no member, and no news for the shop either."""

WRITABLE: dict[Status, str] = {
    ours: theirs for theirs, ours in STATUSES.items() if ours is not Status.ARCHIVED
}
WITHDRAWN_WORDS = ("unsubscribed", "cleaned")
BILLABLE_WORDS = ("subscribed", "unsubscribed", "transactional")
COMPLAINTS = ("abuse", "spam")  # in `unsubscribe_reason`: a guess, after the webhooks' `reason`

REASONS = (
    ("compliance state", "suppressed"),
    ("forgotten email", "erased"),
    ("permanently deleted", "erased"),  # the bulk write's words for it: a guess, no record of them was found
    ("fake or invalid", "invalid_address"),
    ("valid email address", "invalid_address"),
    ("merge field", "invalid_field"),
)
"""What a refusal says, in any case and with a space, which no address has. Anything else is ``refused``."""


# People


def folded(email: str) -> str:
    """The platform's own rule for one address, which its hash is made of."""
    return email.lower()


def member_path(audience: Audience, email: str) -> str:
    digest = hashlib.md5(folded(email).encode(), usedforsecurity=False).hexdigest()
    return f"/lists/{audience.id}/members/{digest}"


def member_of(audience: Audience, row: Mapping[str, Any]) -> Member:
    fields = tags = None
    if audience.facts.get("asked_fields"):
        values = row.get("merge_fields") or {}
        fields = {name: text_of(values.get(tag)) for name, tag in audience.fields.items()}
    if audience.facts.get("asked_tags"):
        carried = {each["name"] for each in row.get("tags") or ()}
        tags = tuple(name for name in audience.tags if name in carried)
    return Member(
        row["email_address"],
        status_of(row),
        row.get("contact_id"),
        seconds(row.get("timestamp_opt")),
        changed_at(row),
        fields,
        tags,
    )


def status_of(row: Mapping[str, Any]) -> Status:
    status = STATUSES.get(row.get("status", ""), Status.ARCHIVED)
    why = (row.get("unsubscribe_reason") or "").lower()
    if status is Status.UNSUBSCRIBED and any(word in why for word in COMPLAINTS):
        return Status.COMPLAINED
    return status


def changed_at(row: Mapping[str, Any]) -> float | None:
    return seconds(row.get("last_changed"))


def seconds(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None


def time_text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def latest(*times: float | None) -> float | None:
    return max((at for at in times if at is not None), default=None)


def refusal(email: str, words: str) -> Outcome:
    """Why a row was not taken, in our word and theirs."""
    plain = words.lower()
    reason = next((ours for theirs, ours in REASONS if theirs in plain), "refused")
    suppress = Status.UNSUBSCRIBED if reason == "suppressed" else None
    return Outcome(email, rejected=reason, detail=words, suppress=suppress)


# Audiences and their fields


def chosen_list(lists: Iterable[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """By id, then by exact name."""
    named = []
    for each in lists:
        if each["id"] == name:
            return each
        if each["name"] == name:
            named.append(each)
    if len(named) > 1:
        ids = " and ".join(str(each["id"]) for each in named)
        raise Stop(
            "not_found", f"There are several audiences named {name}: {ids}. Name the one you mean by its id."
        )
    return named[0] if named else None


def audience_of(told: Mapping[str, Any]) -> Audience:
    return Audience(str(told["id"]), told["name"], bool(told.get("double_optin")))


def from_account(account: Mapping[str, Any]) -> dict[str, Any]:
    """What a new audience must have, where there is none to take it from."""
    contact = account.get("contact") or {}
    company = contact.get("company") or account.get("account_name") or ""
    parts = {"address1": "addr1", "address2": "addr2", "city": "city", "state": "state", "zip": "zip"}
    address = {ours: contact.get(theirs) or "" for ours, theirs in parts.items()}
    return {
        "contact": {"company": company, **address, "country": contact.get("country") or ""},
        "campaign_defaults": {
            "from_name": company,
            "from_email": account.get("email") or "",
            "subject": "",
            "language": "en",
        },
        "permission_reminder": f"You get this e-mail because you gave your address to {company}.",
        "email_type_option": False,
    }


def refuse_email(fields: Sequence[str]) -> None:
    if any(name.strip().upper() == UNMAPPABLE for name in fields):
        raise Misconfigured("EMAIL is the address itself, which is always sent; take it out of fields.")


def mapped_fields(names: Sequence[str], merge_fields: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The operator's word to the merge tag: by tag in any case, then by exact name."""
    tags = {each["name"]: each["tag"] for each in reversed(merge_fields)}
    folded_tags = {each["tag"].upper(): each["tag"] for each in merge_fields}
    found = {name: folded_tags.get(name.strip().upper()) or tags.get(name) for name in names}
    return {name: tag for name, tag in found.items() if tag}


def missing(audience: Audience, fields: Sequence[str], tags: Sequence[str]) -> list[str]:
    return [x for x in fields if x not in audience.fields] + [x for x in tags if x not in audience.tags]


def merge_tag(name: str, taken: set[str]) -> str:
    """A tag that is still free, which is taken then."""
    base = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")[:TAG_LENGTH] or "FIELD"
    tag, number = base, 1
    while tag in taken:
        number += 1
        tag = f"{base[: TAG_LENGTH - len(str(number))]}{number}"
    taken.add(tag)
    return tag


def type_of(audience: Audience, field: str) -> str:
    types: Mapping[str, str] = audience.facts.get("types", {})
    return types.get(audience.fields.get(field, ""), "text")


def sent_value(value: str, kind: str) -> str | int | float:
    """A value in the form of its field. What does not fit is sent as it is: the platform says why not."""
    value = value.strip()
    if kind == "text":
        if len(value) <= TEXT_BYTES and value.isascii():
            return value
        return value.encode()[:TEXT_BYTES].decode(errors="ignore").rstrip()
    if kind == "number" and re.fullmatch(r"[+-]?\d+(\.\d+)?", value, re.ASCII):
        return float(value) if "." in value else int(value)
    return value


def text_of(value: Any) -> str:
    """A merge value as text; an address as its parts in one line."""
    if isinstance(value, dict):
        return ", ".join(text_of(part) for part in value.values() if part)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
