"""Tags as the API sees them: ``/lists/{list_id}/segments`` and ``/tag-search``."""

from typing import Any

from listbridge.sandbox.base import Answer, Request, Route
from listbridge.sandbox.mailchimp import account, checks, render
from listbridge.sandbox.mailchimp.account import Account
from listbridge.sandbox.mailchimp.problems import Problem, bad_field, invalid, not_found
from listbridge.sandbox.mailchimp.render import ONLY_SINGLE, MemberWriter, Selection
from listbridge.sandbox.mailchimp.state import Audience, Member, Segment

MAX_ADDRESSES = 500
_TOO_MANY = (
    "Maximum allowed member items exceeded, please provide at most 500 items in members_to_add field "
    "or members_to_remove field"
)
_INCLUDE = {
    "include_cleaned": ("cleaned",),
    "include_transactional": ("transactional",),
    "include_unsubscribed": ("unsubscribed",),
}
_TIMES = ("since_created_at", "before_created_at", "since_updated_at", "before_updated_at")
_BODY: dict[str, type | tuple[type, ...]] = {"name": str, "static_segment": list, "options": dict}
#: Not in the description of a segment's members.
_NO_TAGS = frozenset({"tags", "tags_count"})


class Segments:
    """The requests about segments."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def routes(self) -> list[Route]:
        many, one = "/lists/{list_id}/segments", "/lists/{list_id}/segments/{segment_id}"
        return [
            Route("GET", many, self.page),
            Route("POST", many, self.create, writes=True),
            Route("GET", one, self.read),
            Route("POST", one, self.add_and_remove, writes=True),
            Route("PATCH", one, self.update, writes=True),
            Route("DELETE", one, self.delete, writes=True),
            Route("GET", one + "/members", self.members),
            Route("GET", "/lists/{list_id}/tag-search", self.search),
        ]

    def _segment(self, request: Request) -> Segment:
        word = request.params["segment_id"]
        found = self._account.audience(request).segments.get(int(word) if word.isdecimal() else -1)
        if found is None:
            raise not_found()
        return found

    def _static(self, request: Request) -> Segment:
        segment = self._segment(request)
        if segment.type != "static":
            raise not_found(f'A Static Segment with an id of "{segment.id}" does not exist for this list.')
        return segment

    # Reading

    def page(self, request: Request) -> Answer:
        account.known_query(request, "type", *_TIMES, *_INCLUDE, paging=True)
        audience = self._account.audience(request)
        count, offset = account.page(request)
        fitting = [each for each in audience.segments.values() if _fits(request, each)]
        shown = [
            render.segment(audience, each, _statuses(request)) for each in fitting[offset : offset + count]
        ]
        content = {"segments": shown, "list_id": audience.id, "total_items": len(fitting)}
        path = f"/lists/{audience.id}"
        content["_links"] = render.collection_links(f"{path}/segments", "Lists/Segments", path)
        return Answer.json(account.selection(request).of(content))

    def read(self, request: Request) -> Answer:
        account.known_query(request, "fields", "exclude_fields", *_INCLUDE)
        content = render.segment(self._account.audience(request), self._segment(request), _statuses(request))
        return Answer.json(account.selection(request).of(content))

    def members(self, request: Request) -> Answer:
        """Subscribed members; others only where they are asked for, pending and archived ones never."""
        account.known_query(request, *_INCLUDE, paging=True)
        audience, segment = self._account.audience(request), self._segment(request)
        count, offset = account.page(request)
        statuses = _statuses(request)
        name = ("segment", segment.id, statuses)
        fitting = audience.view(name, lambda: [m for m in segment.members if m.status in statuses])
        selection = account.selection(request)
        path = f"/lists/{audience.id}/segments/{segment.id}"
        rest = {"total_items": len(fitting)}
        made = render.collection_links(f"{path}/members", "Lists/Segments/Members", path)
        content = selection.of(rest | {"_links": made})
        below = selection.below("members")
        if below is None:
            return Answer.json(content)
        items = self._writer(audience, below, _NO_TAGS).many(fitting[offset : offset + count])
        return Answer(body=render.collection("members", items, content))

    def _writer(self, audience: Audience, selection: Selection, without: frozenset[str]) -> MemberWriter:
        hidden = without if self._account.rules.whole_members_in_bulk else without | ONLY_SINGLE
        return MemberWriter(audience, selection, without=hidden)

    def search(self, request: Request) -> Answer:
        account.known_query(request, "name")
        audience = self._account.audience(request)
        prefix = request.query.get("name", "").lower()
        tags = [each for each in audience.segments.values() if each.type == "static"]
        found = [{"id": each.id, "name": each.name} for each in tags if each.name.lower().startswith(prefix)]
        return Answer.json({"tags": found, "total_items": len(found)})

    # Writing

    def create(self, request: Request) -> Answer:
        audience, body = self._account.audience(request), account.body(request)
        _check_body(body)
        if audience.segment_named(body["name"]) is not None:
            # The wording is unsure.
            raise invalid("Sorry, that tag already exists.")
        if "options" in body:
            return self._answer(audience, audience.add_segment(body["name"], self._account.now(), "saved"))
        segment = audience.add_segment(body["name"], self._account.now())
        self._add(audience, segment, _found(audience, body.get("static_segment", [])))
        return self._answer(audience, segment)

    def update(self, request: Request) -> Answer:
        """``static_segment`` replaces the whole membership; without it, who is in stays in."""
        audience, body = self._account.audience(request), account.body(request)
        _check_body(body)
        segment = self._static(request) if "static_segment" in body else self._segment(request)
        other = audience.segment_named(body["name"])
        if other is not None and other is not segment:
            raise invalid("Sorry, that tag already exists.")
        audience.rename_segment(segment, body["name"])
        segment.updated = self._account.now()
        if "static_segment" in body:
            wanted = dict.fromkeys(_found(audience, body["static_segment"]))
            self._remove(audience, segment, [m for m in segment.members if m not in wanted])
            self._add(audience, segment, list(wanted))
        return self._answer(audience, segment)

    def _answer(self, audience: Audience, segment: Segment) -> Answer:
        return Answer.json(render.segment(audience, segment, ("subscribed",)))

    def delete(self, request: Request) -> Answer:
        self._account.audience(request).delete_segment(self._segment(request))
        return Answer(204)

    def add_and_remove(self, request: Request) -> Answer:
        """Addresses outside the audience land in ``errors``. Who is in already, or was not, is neither
        among those added or removed nor among the errors: how the platform tells them is unsure."""
        audience, segment = self._account.audience(request), self._static(request)
        to_add, to_remove = _add_and_remove(account.body(request))
        missing = [a for a in dict.fromkeys(to_add + to_remove) if audience.find(a) is None]
        added = self._add(audience, segment, _found(audience, to_add))
        removed = self._remove(audience, segment, _found(audience, to_remove))
        writer = self._writer(audience, Selection(), frozenset())
        error = {"email_addresses": missing, "error": "Email addresses do not exist in list."}
        rest: dict[str, Any] = {"errors": [error] if missing else []}
        rest |= {"total_added": len(added), "total_removed": len(removed), "error_count": len(rest["errors"])}
        rest["_links"] = render.links(f"/lists/{audience.id}/segments/{segment.id}", "Lists/Segments", ())
        tail = render.collection("members_removed", writer.many(removed), rest)
        return Answer(body=b'{"members_added":%b,%b' % (writer.many(added), tail[1:]))

    def _add(self, audience: Audience, segment: Segment, members: list[Member]) -> list[Member]:
        now = self._account.now()
        added = [member for member in members if audience.tag(member, segment, now)]
        for member in added:
            audience.touch(member, now)
        return added

    def _remove(self, audience: Audience, segment: Segment, members: list[Member]) -> list[Member]:
        now = self._account.now()
        removed = [member for member in members if audience.untag(member, segment, now)]
        for member in removed:
            audience.touch(member, now)
        return removed


def _statuses(request: Request) -> tuple[str, ...]:
    asked = [statuses for name, statuses in _INCLUDE.items() if account.flag(request, name)]
    return tuple(sum(asked, ("subscribed",)))


def _fits(request: Request, segment: Segment) -> bool:
    if request.query.get("type", segment.type) != segment.type:
        return False
    created, updated = segment.created, segment.updated
    for name, value in zip(_TIMES, (created, created, updated, updated), strict=True):
        bound = account.time_of(request, name)
        if bound is not None and not (value > bound if name.startswith("since") else value < bound):
            return False
    return True


def _check_body(body: Any) -> None:
    checks.shape(body, _BODY, ("name",))
    if not body["name"].strip():
        raise bad_field("name", "This value should not be blank.")
    if "static_segment" in body and "options" in body:
        raise bad_field("options", "A segment has either conditions or members.")
    for address in body.get("static_segment", []):
        checks.address(address)


def _add_and_remove(body: Any) -> tuple[list[str], list[str]]:
    checks.shape(body, {"members_to_add": list, "members_to_remove": list})
    to_add, to_remove = body.get("members_to_add", []), body.get("members_to_remove", [])
    if not to_add and not to_remove:
        raise bad_field("members_to_add", "This value should not be blank.")
    if len(to_add) > MAX_ADDRESSES or len(to_remove) > MAX_ADDRESSES:
        raise Problem(400, "Bad Request", _TOO_MANY)
    for address in to_add + to_remove:
        if not isinstance(address, str):
            raise bad_field("members_to_add", "Schema describes string, other found instead")
    return to_add, to_remove


def _found(audience: Audience, addresses: list[str]) -> list[Member]:
    found = (audience.find(address) for address in dict.fromkeys(addresses))
    return [member for member in found if member is not None]
