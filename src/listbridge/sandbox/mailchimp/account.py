"""The account behind the API: its audiences, its clock, what was mailed, and how doubts are settled."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any, NamedTuple

import orjson

from listbridge.sandbox.base import Request
from listbridge.sandbox.mailchimp import checks
from listbridge.sandbox.mailchimp.problems import Problem, bad_field, not_found
from listbridge.sandbox.mailchimp.render import Selection
from listbridge.sandbox.mailchimp.state import Audience, MergeField

MAX_COUNT = 1000
PAGE = 10
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_PAGING = ("fields", "exclude_fields", "count", "offset")


@dataclass(slots=True)
class Rules:
    """How the sandbox behaves where the platform's behaviour is not known. The defaults are the strict ones."""

    #: A bulk row without status for an existing contact is refused. False: the status stays.
    row_needs_status: bool = True
    #: ``status_if_new`` brings an archived contact back. False: only ``status`` does.
    archived_counts_as_new: bool = True
    #: ``since_last_changed`` includes its own second.
    since_is_inclusive: bool = False
    #: Members in bulk and segment answers have all the parts of single ones (``contact_id`` and others).
    whole_members_in_bulk: bool = False
    #: An audience's figures are worked out again when they are older than this.
    stats_age_seconds: int = 300
    #: Domains and names before the @ that "look fake or invalid".
    fake_domains: frozenset[str] = frozenset({"example.com"})
    role_names: frozenset[str] = frozenset({"abuse", "noc", "postmaster", "security", "spam"})
    max_merge_fields: int = 30
    max_lists: int | None = None
    #: Operations in one batch; None is no bound.
    max_operations: int | None = None
    #: A batch answers this often with "finished" and an empty ``response_body_url``.
    finished_without_url: int = 0


class ConfirmationMail(NamedTuple):
    list_id: str
    address: str
    at: int


@dataclass(slots=True)
class Account:
    """Everything the key opens."""

    clock: Callable[[], float]
    rules: Rules
    audiences: dict[str, Audience] = field(default_factory=dict)
    confirmation_mails: list[ConfirmationMail] = field(default_factory=list)
    #: Addresses that signed up to too many lists lately: refused for now.
    overused: set[str] = field(default_factory=set)

    def now(self) -> int:
        """The platform's times have whole seconds."""
        return int(self.clock())

    def audience(self, request: Request) -> Audience:
        found = self.audiences.get(request.params["list_id"])
        if found is None:
            raise not_found()
        return found

    def add_audience(self, name: str, settings: dict[str, Any], id: str | None = None) -> Audience:
        number = len(self.audiences)
        list_id = id or md5(f"list {number} {name}".encode(), usedforsecurity=False).hexdigest()[:10]
        if list_id in self.audiences:
            raise ValueError(f"There is a list with the id {list_id} already.")
        audience = Audience(list_id, 382_000 + number * 4, name, self.now(), settings)
        for merge_id, (tag, title, kind) in enumerate(_FIRST_FIELDS, 1):
            audience.fields[tag] = MergeField(merge_id, tag, title, kind, display_order=merge_id + 1)
            audience.fields[tag].options = default_options(kind)
        self.audiences[list_id] = audience
        return audience


_FIRST_FIELDS = (
    ("FNAME", "First Name", "text"),
    ("LNAME", "Last Name", "text"),
    ("ADDRESS", "Address", "address"),
    ("PHONE", "Phone Number", "phone"),
)


def default_options(kind: str) -> dict[str, Any]:
    if kind == "text":
        return {"size": 25}
    options: dict[str, dict[str, Any]] = {
        "address": {"default_country": 164},
        "phone": {"phone_format": "none"},
        "date": {"date_format": "MM/DD/YYYY"},
        "birthday": {"date_format": "MM/DD"},
    }
    return dict(options.get(kind, {}))


# What requests hold


def body(request: Request) -> Any:
    try:
        return request.json()
    except orjson.JSONDecodeError:
        detail = "We encountered an unspecified JSON parsing error."
        raise Problem(400, "JSON Parse Exception", detail) from None


def flag(request: Request, name: str) -> bool:
    value = request.query.get(name, "false").lower()
    if value not in _TRUTH:
        raise bad_field(name, "This value should be of type boolean.")
    return _TRUTH[value]


def known_query(request: Request, *names: str, paging: bool = False) -> None:
    """Parameters that are not described are refused; whether they are ignored there is unsure."""
    for name in request.query:
        if name not in names and not (paging and name in _PAGING):
            raise bad_field(name, "This query parameter is not described for this resource.")


def page(request: Request) -> tuple[int, int]:
    """``count``, a bigger one cut to 1000, and ``offset``. What ``count=0`` does is unsure: refused."""
    count, offset = (_whole(request, name, given) for name, given in (("count", PAGE), ("offset", 0)))
    if count < 1:
        raise bad_field("count", "This value should be 1 or more.")
    if offset < 0:
        raise bad_field("offset", "This value should be 0 or more.")
    return min(count, MAX_COUNT), offset


def _whole(request: Request, name: str, given: int) -> int:
    try:
        return int(request.query.get(name, given))
    except ValueError:
        raise bad_field(name, "This value should be of type integer.") from None


def selection(request: Request) -> Selection:
    return Selection(request.query.get("fields"), request.query.get("exclude_fields"))


def time_of(request: Request, name: str) -> float | None:
    given = request.query.get(name)
    return None if given is None else checks.moment(given, name)
