"""What Mailchimp refuses, in its words.

Titles and details are quoted from the vendor's documentation, recordings and public issue threads. A
detail marked "unsure" is our wording: only status and title (or nothing but the refusal) are known.
"""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from listbridge.sandbox.base import Answer

_TYPE = "https://mailchimp.com/developer/marketing/docs/errors/"
_CONTENT_TYPE = "application/problem+json; charset=utf-8"
SCHEMA = "The resource submitted could not be validated. For field-specific details, see the 'errors' array."


class Problem(Exception):
    """A request, or one row of a bulk request, that is refused."""

    def __init__(
        self, status: int, title: str, detail: str, errors: Sequence[tuple[str, str]] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = errors

    def answer(self) -> Answer:
        instance = str(uuid4())
        content: dict[str, Any] = {"type": _TYPE, "title": self.title, "status": self.status}
        content |= {"detail": self.detail, "instance": instance}
        if self.errors is not None:
            content["errors"] = [{"field": field, "message": message} for field, message in self.errors]
        answer = Answer.json(content, self.status)
        answer.headers["X-Request-Id"] = instance
        answer.content_type = _CONTENT_TYPE
        return answer

    def row(self, address: str) -> dict[str, str]:
        """The same, as one entry of ``errors`` in the answer to a bulk request."""
        exists = self.title == "Member Exists"
        words = f"{address} is already a list member, do you want to update? please provide "
        words += "update_existing:true in the request body"
        field, message = self.errors[0] if self.errors else ("", "")
        return {
            "email_address": address,
            "error": words if exists else self.detail,
            "error_code": "ERROR_CONTACT_EXISTS" if exists else "ERROR_GENERIC",
            "field": field,
            "field_message": message,
        }


def not_found(detail: str = "The requested resource could not be found.") -> Problem:
    return Problem(404, "Resource Not Found", detail)


def invalid(detail: str) -> Problem:
    return Problem(400, "Invalid Resource", detail, ())


def bad_field(field: str, message: str) -> Problem:
    return Problem(400, "Invalid Resource", SCHEMA, [(field, message)])


def bad_merge(errors: Sequence[tuple[str, str]]) -> Problem:
    return Problem(400, "Invalid Resource", "Your merge fields were invalid.", errors)


def member_exists(address: str) -> Problem:
    detail = f"{address} is already a list member. Use PUT to insert or update list members."
    return Problem(400, "Member Exists", detail)


def in_compliance_state(address: str) -> Problem:
    detail = f"{address} is in a compliance state due to unsubscribe, bounce, or compliance review "
    return Problem(400, "Member In Compliance State", detail + "and cannot be subscribed.")


def forgotten(address: str) -> Problem:
    # The detail is unsure; the title is documented.
    detail = f"{address} was permanently deleted and cannot be re-imported. "
    detail += "The contact must re-subscribe to get back on the list."
    return Problem(400, "Forgotten Email Not Subscribed", detail)


def cannot_archive() -> Problem:
    detail = "This list member cannot be removed. Can not archive a contact that is bounced, pending "
    return Problem(405, "Method Not Allowed", detail + "or archived")


def looks_fake(address: str) -> Problem:
    return invalid(f"{address} looks fake or invalid, please enter a real email address.")


def too_many_lists(address: str) -> Problem:
    return invalid(
        f"{address} has signed up to a lot of lists very recently; we're not allowing more signups for now"
    )


def too_many_requests() -> Problem:
    detail = "You have exceeded the limit of 10 simultaneous connections."
    return Problem(429, "TooManyRequests", detail)


def bad_key() -> Problem:
    # The detail is unsure.
    detail = "Your API key may be invalid, or you've attempted to access the wrong datacenter."
    return Problem(401, "API Key Invalid", detail)
