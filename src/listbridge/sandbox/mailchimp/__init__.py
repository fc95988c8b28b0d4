"""A stand-in for the Mailchimp Marketing API 3.0.

Built from the vendor's description (label 3.0.55), its requests of the end of 2025, recorded answers of
2021 and 2022, and public issue threads. Where none of them says what the platform does, the sandbox does
what a client can rely on least; :class:`Rules` lists these doubts as switches.

Not here: interests, marketing permissions, webhooks, campaigns, e-commerce, the time limit of 120 s.
"""

import base64
import binascii
import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar
from uuid import uuid4

from listbridge.sandbox.base import Answer, Handler, Request, Route, Sandbox
from listbridge.sandbox.faults import Fault
from listbridge.sandbox.mailchimp import problems
from listbridge.sandbox.mailchimp.account import Account, ConfirmationMail, Rules
from listbridge.sandbox.mailchimp.batches import RESULTS, Batches
from listbridge.sandbox.mailchimp.lists import Lists, add_field, default_settings
from listbridge.sandbox.mailchimp.members import Members
from listbridge.sandbox.mailchimp.problems import Problem
from listbridge.sandbox.mailchimp.segments import Segments
from listbridge.sandbox.mailchimp.state import STATUSES, Audience, Member, MergeField, Segment, digest
from listbridge.sandbox.mailchimp.writing import BY_ADMIN

__all__ = ["KEY", "ConfirmationMail", "MailchimpSandbox", "Rules"]

KEY = "0123456789abcdef0123456789abcdef-us1"
BY_PERSON = "None given"
BY_COMPLAINT = "SPAM complaint"
_PLAIN_ATTRIBUTES = ("source", "language", "vip", "email_type", "ip_opt", "ip_signup")


class MailchimpSandbox(Sandbox):
    """The platform with one account; ``key`` opens it. ``rules`` settle what is unsure there.

    The methods below ``routes`` are what people do by hand: the shop's staff in Mailchimp's web pages,
    and the persons on the lists. They follow no rule of the API.
    """

    name: ClassVar[str] = "mailchimp"
    base_path: ClassVar[str] = "/3.0"

    def __init__(
        self,
        *,
        key: str = KEY,
        rules: Rules | None = None,
        clock: Callable[[], float] = time.time,
        latency_seconds: float = 0.0,
        max_simultaneous: int | None = 10,
        keep_bodies: bool = True,
    ) -> None:
        super().__init__(
            clock=clock,
            latency_seconds=latency_seconds,
            max_simultaneous=max_simultaneous,
            keep_bodies=keep_bodies,
        )
        self.key = key
        self.rules = rules or Rules()
        self._open()

    def _open(self) -> None:
        self.key_expired = False
        self.account = Account(self._time, self.rules)
        self._accepted: set[str] = set()
        self.__dict__.pop("_table", None)

    def _time(self) -> float:
        return self.clock()

    def reset(self) -> None:
        super().reset()
        self._open()

    # What the platform answers

    def routes(self) -> list[Route]:
        parts: list[Any] = [Lists(self.account), Members(self.account), Segments(self.account)]
        parts.append(Batches(self.account, self._perform))
        routes: list[Route] = [route for part in parts for route in part.routes()]
        return [Route(r.method, r.pattern, _guarded(r.handler), r.writes) for r in routes]

    def _perform(self, request: Request) -> Answer:
        """One operation of a batch."""
        route, allowed = self._find(request)
        if route is None:
            return self.wrong_method(request, allowed) if allowed else self.unknown_path(request)
        return route.handler(request)

    def refuse(self, request: Request) -> Answer | None:
        if request.path.startswith(RESULTS):
            return None
        given = request.headers.get("authorization", "")
        if self.key_expired or not self._opens(given):
            return problems.bad_key().answer()
        return None

    def _opens(self, header: str) -> bool:
        if header in self._accepted:
            return True
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "basic":
            try:
                value = base64.b64decode(value, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        elif scheme.lower() != "bearer":
            return False
        if value == self.key:
            self._accepted.add(header)
        return value == self.key

    def unknown_path(self, request: Request) -> Answer:
        return problems.not_found().answer()

    def wrong_method(self, request: Request, allowed: list[str]) -> Answer:
        words = f"The requested method and resource are not compatible. Allowed: {', '.join(allowed)}"
        answer = Problem(405, "Method Not Allowed", words).answer()
        answer.headers["Allow"] = ", ".join(allowed)
        return answer

    def fault_answer(self, fault: Fault, request: Request) -> Answer:
        if fault.do == "expired_key":
            return problems.bad_key().answer()
        if fault.do == "429":
            answer = problems.too_many_requests().answer()
        else:
            words = "An unexpected internal error has occurred. Please contact Support for more information."
            answer = Problem(int(fault.do), "InternalServerError", words).answer()
        if fault.retry_after is not None:
            answer.headers["Retry-After"] = f"{fault.retry_after:g}"
        return answer

    def halve_page(self, request: Request) -> None:
        count = request.query.get("count", "10")
        halved = max(min(int(count), 1000) // 2, 1) if count.isdecimal() else count
        request.query = request.query | {"count": str(halved)}

    def finish(self, request: Request, answer: Answer) -> None:
        answer.headers.setdefault("X-Request-Id", str(uuid4()))

    # Lists by hand

    @property
    def confirmation_mails(self) -> list[ConfirmationMail]:
        """Each mail that asked somebody to confirm."""
        return self.account.confirmation_mails

    def add_list(
        self,
        name: str,
        id: str | None = None,
        *,
        double_optin: bool = False,
        merge_fields: Iterable[str | dict[str, Any]] = (),
        **settings: Any,
    ) -> str:
        """A new audience; returns its id. A merge field is its tag (a text) or what the API's POST takes."""
        all_settings = default_settings(double_optin=double_optin, **settings)
        audience = self.account.add_audience(name, all_settings, id)
        for field in merge_fields:
            given = {"tag": field, "name": field} if isinstance(field, str) else field
            add_field(self.account, audience, **given)
        return audience.id

    def audience(self, list_id: str) -> Audience:
        """A list by its id or its name."""
        for audience in self.account.audiences.values():
            if list_id in (audience.id, audience.name):
                return audience
        raise KeyError(f"There is no list {list_id!r}.")

    def add_merge_field(self, list_id: str, tag: str, type: str = "text", **rest: Any) -> MergeField:
        name = rest.pop("name", tag)
        return add_field(self.account, self.audience(list_id), name, type, tag=tag, **rest)

    def add_saved_segment(self, list_id: str, name: str) -> int:
        """A segment with conditions: nobody can be put into it."""
        return self.audience(list_id).add_segment(name, self.account.now(), "saved").id

    def delete_tag(self, list_id: str, name: str) -> None:
        self.audience(list_id).delete_segment(self.tag(list_id, name))

    def tag(self, list_id: str, name: str) -> Segment:
        found = self.audience(list_id).segment_named(name)
        if found is None:
            raise KeyError(f"There is no tag {name!r}.")
        return found

    # People by hand

    def add_member(
        self,
        list_id: str,
        email: str,
        status: str = "subscribed",
        *,
        merge_fields: dict[str, Any] | None = None,
        tags: Iterable[str] = (),
        changed: int | None = None,
        opted_at: int | None = None,
        **attributes: Any,
    ) -> Member:
        """Somebody who signed up or was imported by hand: no check, no mail. Whoever is made
        ``unsubscribed`` this way was so by an admin."""
        _known_status(status)
        audience, now = self.audience(list_id), self.account.now()
        if audience.find(email) is not None:
            raise ValueError(f"{email} is on this list already.")
        member = audience.add(email, digest(email), status, now if changed is None else changed)
        member.set_merge(merge_fields or {})
        member.source = "Import"
        if status not in ("pending", "transactional"):
            member.opted_at = member.changed if opted_at is None else opted_at
        if status == "unsubscribed":
            member.reason, member.unsubscribed_at = BY_ADMIN, member.changed
        member.compliance = status == "cleaned"
        for name, value in attributes.items():
            _known_attribute(name)
            setattr(member, name, value)
        for tag in tags:
            audience.tag(member, audience.tag_named(tag, now), now)
        return member

    def member(self, list_id: str, email: str) -> Member:
        found = self.audience(list_id).find(email)
        if found is None:
            raise KeyError(f"{email} is not on this list.")
        return found

    def members(self, list_id: str, *statuses: str) -> dict[str, dict[str, Any]]:
        """Everybody (of these statuses) by address: status, merge fields, tags, compliance state."""
        audience = self.audience(list_id)
        return {
            member.address: {
                "status": member.status,
                "merge_fields": dict(member.merge),
                "tags": sorted(audience.tag_names(member)),
                "compliance": member.compliance,
            }
            for member in audience
            if not statuses or member.status in statuses
        }

    def _leave(self, list_id: str, email: str, status: str, reason: str, *, compliance: bool) -> None:
        audience, member = self.audience(list_id), self.member(list_id, email)
        member.status, member.reason = status, reason
        member.compliance = member.compliance or compliance
        if status == "unsubscribed":
            member.unsubscribed_at = self.account.now()
        audience.touch(member, self.account.now())

    def unsubscribe_by_person(self, list_id: str, email: str, reason: str = BY_PERSON) -> None:
        """The person clicked: a compliance state."""
        self._leave(list_id, email, "unsubscribed", reason, compliance=True)

    def unsubscribe_by_admin(self, list_id: str, email: str) -> None:
        self._leave(list_id, email, "unsubscribed", BY_ADMIN, compliance=False)

    def bounce(self, list_id: str, email: str) -> None:
        """A hard bounce."""
        self._leave(list_id, email, "cleaned", "", compliance=True)

    def complain(self, list_id: str, email: str) -> None:
        """The person called a mail spam. The wording of the reason is unsure."""
        self._leave(list_id, email, "unsubscribed", BY_COMPLAINT, compliance=True)

    def archive_by_hand(self, list_id: str, email: str) -> None:
        self._leave(list_id, email, "archived", self.member(list_id, email).reason, compliance=False)

    def delete_permanently(self, list_id: str, email: str) -> None:
        self.audience(list_id).forget(self.member(list_id, email))

    def confirm(self, list_id: str, email: str) -> None:
        """The person clicked in the mail that asked, or signed up by a form."""
        audience, member = self.audience(list_id), self.member(list_id, email)
        member.status, member.reason, member.compliance = "subscribed", "", False
        member.opted_at, member.unsubscribed_at = self.account.now(), None
        audience.touch(member, self.account.now())

    def edit_field_by_hand(self, list_id: str, email: str, tag: str, value: Any) -> None:
        audience, member = self.audience(list_id), self.member(list_id, email)
        if tag not in audience.fields:
            raise KeyError(f"There is no merge field {tag!r}.")
        member.set_merge({tag: value})
        audience.touch(member, self.account.now())

    def tag_by_hand(self, list_id: str, email: str, name: str) -> None:
        audience, now = self.audience(list_id), self.account.now()
        member = self.member(list_id, email)
        audience.tag(member, audience.tag_named(name, now), now)
        audience.touch(member, now)

    def untag_by_hand(self, list_id: str, email: str, name: str) -> None:
        audience, member = self.audience(list_id), self.member(list_id, email)
        audience.untag(member, self.tag(list_id, name), self.account.now())
        audience.touch(member, self.account.now())

    def change_address_by_hand(self, list_id: str, email: str, new_email: str) -> None:
        self.audience(list_id).rename(self.member(list_id, email), new_email, self.account.now())

    def refuse_for_now(self, email: str) -> None:
        """This address signed up to too many lists lately."""
        self.account.overused.add(email.lower())

    def expire_key(self) -> None:
        self.key_expired = True

    def renew_key(self, key: str | None = None) -> None:
        """The old key, or a new one, opens the account again."""
        self.key, self.key_expired = key or self.key, False
        self._accepted.clear()

    # The control surface

    def actions(self) -> dict[str, Callable[..., Any]]:
        def add_member(**given: Any) -> None:
            self.add_member(**given)

        return {
            "add_list": self.add_list,
            "add_member": add_member,
            "members": self.members,
            "unsubscribe_by_person": self.unsubscribe_by_person,
            "unsubscribe_by_admin": self.unsubscribe_by_admin,
            "bounce": self.bounce,
            "complain": self.complain,
            "archive_by_hand": self.archive_by_hand,
            "delete_permanently": self.delete_permanently,
            "confirm": self.confirm,
            "edit_field_by_hand": self.edit_field_by_hand,
            "tag_by_hand": self.tag_by_hand,
            "untag_by_hand": self.untag_by_hand,
            "delete_tag": self.delete_tag,
            "change_address_by_hand": self.change_address_by_hand,
            "refuse_for_now": self.refuse_for_now,
            "expire_key": self.expire_key,
            "renew_key": self.renew_key,
        }

    def summary(self) -> dict[str, Any]:
        audiences = self.account.audiences.values()
        return {
            "key_expired": self.key_expired,
            "confirmation_mails": len(self.confirmation_mails),
            "lists": {each.id: {"name": each.name, "members": _by_status(each)} for each in audiences},
        }


def _guarded(handler: Handler) -> Handler:
    def guarded(request: Request) -> Answer:
        try:
            return handler(request)
        except Problem as problem:
            return problem.answer()

    return guarded


def _by_status(audience: Audience) -> dict[str, int]:
    counts = dict.fromkeys(STATUSES, 0)
    for member in audience:
        counts[member.status] += 1
    return counts


def _known_status(status: str) -> None:
    if status not in STATUSES:
        raise ValueError(f"There is no status {status!r}. There are: {', '.join(STATUSES)}.")


def _known_attribute(name: str) -> None:
    if name not in _PLAIN_ATTRIBUTES:
        raise TypeError(f"A member has no {name!r} to set. There are: {', '.join(_PLAIN_ATTRIBUTES)}.")
