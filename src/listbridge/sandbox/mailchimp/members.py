"""``/lists/{list_id}/members`` and what is below it, and the bulk write ``POST /lists/{list_id}``."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import orjson

from listbridge.sandbox.base import Answer, Request, Route
from listbridge.sandbox.mailchimp import account, checks, problems, render
from listbridge.sandbox.mailchimp.account import Account
from listbridge.sandbox.mailchimp.problems import Problem, bad_field, not_found
from listbridge.sandbox.mailchimp.render import ONLY_SINGLE, MemberWriter, Selection, stamp
from listbridge.sandbox.mailchimp.state import STATUSES, Audience, Member
from listbridge.sandbox.mailchimp.writing import ROW, SINGLE, UPSERT, WRITABLE, Writing

MAX_ROWS = 500
_FILTERS = (
    "status",
    "since_last_changed",
    "before_last_changed",
    "since_timestamp_opt",
    "before_timestamp_opt",
    "unsubscribed_since",
    "unique_email_id",
    "email_type",
    "vip_only",
    "sort_field",
    "sort_dir",
)
_BULK: dict[str, type | tuple[type, ...]] = {"members": list, "update_existing": bool, "sync_tags": bool}
_HASH_LENGTH = 32
_PATCHABLE = ("subscribed", "unsubscribed", "cleaned", "pending")


class Members:
    """The requests about members."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def routes(self) -> list[Route]:
        many, one = "/lists/{list_id}/members", "/lists/{list_id}/members/{member}"
        return [
            Route("POST", "/lists/{list_id}", self.bulk, writes=True),
            Route("GET", many, self.page),
            Route("POST", many, self.create, writes=True),
            Route("GET", one, self.read),
            Route("PUT", one, self.upsert, writes=True),
            Route("PATCH", one, self.update, writes=True),
            Route("DELETE", one, self.archive, writes=True),
            Route("GET", one + "/tags", self.tags),
            Route("POST", one + "/tags", self.change_tags, writes=True),
            Route("POST", one + "/actions/delete-permanent", self.delete, writes=True),
        ]

    # One member

    def _member(self, request: Request) -> Member:
        found = self._account.audience(request).by_path(request.params["member"])
        if found is None:
            raise not_found()
        return found

    def _by_hash(self, request: Request) -> Member:
        """Tags and deletion are documented for the hash alone."""
        word = request.params["member"]
        found = self._member(request)
        if len(word) != _HASH_LENGTH or found.key.hex() != word:
            raise not_found()
        return found

    def _answer(self, request: Request, member: Member, selection: Selection | None = None) -> Answer:
        audience = self._account.audience(request)
        return Answer(body=MemberWriter(audience, selection or Selection()).one(member))

    def _writing(self, request: Request) -> Writing:
        account.known_query(request, "skip_merge_validation")
        skip = account.flag(request, "skip_merge_validation")
        return Writing(self._account, self._account.audience(request), skip_required=skip)

    def read(self, request: Request) -> Answer:
        account.known_query(request, "fields", "exclude_fields")
        return self._answer(request, self._member(request), account.selection(request))

    def create(self, request: Request) -> Answer:
        """A contact that is present is refused; an archived one comes back as it was."""
        writing, body = self._writing(request), account.body(request)
        checks.shape(body, SINGLE, ("email_address", "status"))
        checks.one_of(body["status"], "status", WRITABLE)
        member = self._account.audience(request).find(checks.address(body["email_address"]))
        if member is not None and member.status != "archived":
            raise problems.member_exists(body["email_address"])
        if member is None:
            return self._answer(request, writing.create(body, body["status"]))
        writing.update(member, body, body["status"])
        writing.tag(member, body.get("tags", ()))
        return self._answer(request, member)

    def upsert(self, request: Request) -> Answer:
        """An unknown path makes a contact under the body's address. Tags of a known one are ignored."""
        writing, body = self._writing(request), account.body(request)
        checks.shape(body, UPSERT)
        for name in ("status", "status_if_new"):
            checks.one_of(body.get(name, "pending"), name, WRITABLE)
        member = self._account.audience(request).by_path(request.params["member"])
        if member is None:
            return self._answer(request, self._create_by_put(request, writing, body))
        writing.update(member, body, self._status_for(member, body))
        return self._answer(request, member)

    def _create_by_put(self, request: Request, writing: Writing, body: dict[str, Any]) -> Member:
        checks.shape(body, UPSERT, ("email_address",))
        if self._account.audience(request).find(checks.address(body["email_address"])) is not None:
            raise problems.member_exists(body["email_address"])
        return writing.create(body, body.get("status_if_new") or body.get("status"))

    def _status_for(self, member: Member, body: dict[str, Any]) -> str | None:
        if member.status == "archived" and self._account.rules.archived_counts_as_new:
            return body.get("status") or body.get("status_if_new")
        return body.get("status")

    def update(self, request: Request) -> Answer:
        writing, body = self._writing(request), account.body(request)
        checks.shape(body, SINGLE)
        checks.one_of(body.get("status", "pending"), "status", _PATCHABLE)
        member = self._member(request)
        writing.update(member, body, body.get("status"))
        return self._answer(request, member)

    def archive(self, request: Request) -> Answer:
        member = self._member(request)
        try:
            self._writing(request).archive(member)
        except Problem as problem:
            answer = problem.answer()
            answer.headers["Allow"] = "GET, PUT, PATCH"
            return answer
        return Answer(204)

    def delete(self, request: Request) -> Answer:
        self._account.audience(request).forget(self._by_hash(request))
        return Answer(204)

    # Tags of one member

    def tags(self, request: Request) -> Answer:
        account.known_query(request, paging=True)
        audience, member = self._account.audience(request), self._member(request)
        count, offset = account.page(request)
        segments = [audience.segments[number] for number in member.tags]
        written = [{"id": s.id, "name": s.name, "date_added": stamp(s.members[member])} for s in segments]
        content = {"tags": written[offset : offset + count], "total_items": len(written)}
        return Answer.json(account.selection(request).of(content))

    def change_tags(self, request: Request) -> Answer:
        """Missing tags are made. A tag that is there already moves ``last_changed`` too; none does not."""
        member, body = self._by_hash(request), account.body(request)
        checks.shape(body, {"tags": list, "is_syncing": bool}, ("tags",))
        for tag in body["tags"]:
            checks.shape(tag, {"name": str, "status": str}, ("name", "status"))
            checks.one_of(tag["status"], "status", ("active", "inactive"))
            if not tag["name"].strip():
                raise bad_field("name", "This value should not be blank.")
        writing = self._writing(request)
        for tag in body["tags"]:
            change = writing.tag if tag["status"] == "active" else writing.untag
            change(member, [tag["name"]])
        if body["tags"]:
            self._account.audience(request).touch(member, self._account.now())
        return Answer(204)

    # Bulk

    def bulk(self, request: Request) -> Answer:
        """Always 200 once the body's shape is right: what is wrong with a row is told in ``errors``."""
        account.known_query(request, "skip_merge_validation", "skip_duplicate_check")
        audience, body = self._account.audience(request), account.body(request)
        _check_bulk(body)
        skip = account.flag(request, "skip_merge_validation")
        writing = Writing(self._account, audience, skip_required=skip)
        new, updated, errors = _write_rows(writing, body, account.flag(request, "skip_duplicate_check"))
        hidden = frozenset() if self._account.rules.whole_members_in_bulk else ONLY_SINGLE
        writer = MemberWriter(audience, Selection(), without=hidden)
        counts = {"total_created": len(new), "total_updated": len(updated), "error_count": len(errors)}
        rest = {"errors": errors, **counts, "_links": render.links(f"/lists/{audience.id}", "Lists", ())}
        parts = (writer.many(new), writer.many(updated), orjson.dumps(rest)[1:])
        return Answer(body=b'{"new_members":%b,"updated_members":%b,%b' % parts)

    # Many members

    def page(self, request: Request) -> Answer:
        account.known_query(request, *_FILTERS, paging=True)
        audience = self._account.audience(request)
        count, offset = account.page(request)
        selection = account.selection(request)
        members, backwards = self._view(request, audience)
        total = len(members)
        shown = _slice(members, offset, count, backwards)
        rest = {"list_id": audience.id, "total_items": total, "_links": _links(audience)}
        below = selection.below("members")
        if below is None:
            return Answer.json(selection.of(rest))
        items = MemberWriter(audience, below).many(shown)
        return Answer(body=render.collection("members", items, selection.of(rest)))

    def _view(self, request: Request, audience: Audience) -> tuple[list[Member], bool]:
        """The members that fit, in rising order, and whether they are wanted from the end."""
        query = request.query
        for name, choices in (
            ("status", STATUSES),
            ("sort_field", ("timestamp_opt", "timestamp_signup", "last_changed")),
            ("sort_dir", ("ASC", "DESC")),
        ):
            if name in query:
                checks.one_of(query[name], name, choices)
        view = tuple(sorted((n, v) for n, v in query.items() if n in _FILTERS and n != "sort_dir"))
        members = audience.view(view, lambda: self._fitting(request, audience))
        return members, query.get("sort_dir") == "DESC"

    def _fitting(self, request: Request, audience: Audience) -> list[Member]:
        members: Iterable[Member] = self._changed_between(request, audience)
        for fits in self._tests(request):
            members = filter(fits, members)
        field = request.query.get("sort_field", "last_changed")
        if field == "last_changed":
            return list(members)
        attribute = "opted_at" if field == "timestamp_opt" else "signed_up_at"
        return sorted(members, key=lambda member: getattr(member, attribute) or 0)

    def _changed_between(self, request: Request, audience: Audience) -> Iterable[Member]:
        """Whether the bound itself belongs to it is unsure (see ``Rules``)."""
        ordered = audience.view(("all",), lambda: audience)
        since = account.time_of(request, "since_last_changed")
        before = account.time_of(request, "before_last_changed")
        cut = bisect_left if self._account.rules.since_is_inclusive else bisect_right
        start = 0 if since is None else cut(ordered, since, key=lambda member: member.changed)
        end = None if before is None else bisect_left(ordered, before, key=lambda member: member.changed)
        return islice(ordered, start, end)

    def _tests(self, request: Request) -> list[Callable[[Member], bool]]:
        query, tests = request.query, list[Callable[[Member], bool]]()
        status = query.get("status")
        tests.append(lambda m: m.status == status if status else m.status != "archived")
        if "email_type" in query:
            tests.append(lambda m: m.email_type == query["email_type"])
        if account.flag(request, "vip_only"):
            tests.append(lambda m: m.vip)
        if "unique_email_id" in query:
            tests.append(lambda m: render.unique_email_id(m) == query["unique_email_id"])
        since, before = (account.time_of(request, f"{x}_timestamp_opt") for x in ("since", "before"))
        if since is not None:
            tests.append(lambda m: m.opted_at is not None and m.opted_at > since)
        if before is not None:
            tests.append(lambda m: m.opted_at is not None and m.opted_at < before)
        unsubscribed = account.time_of(request, "unsubscribed_since")
        if unsubscribed is not None:
            if status != "unsubscribed":
                raise bad_field("unsubscribed_since", "This filter needs status=unsubscribed.")
            tests.append(lambda m: m.unsubscribed_at is not None and m.unsubscribed_at > unsubscribed)
        return tests


def _slice(members: list[Member], offset: int, count: int, backwards: bool) -> list[Member]:
    if not backwards:
        return members[offset : offset + count]
    end = max(len(members) - offset, 0)
    return members[max(end - count, 0) : end][::-1]


def _links(audience: Audience) -> list[dict[str, str]]:
    return render.collection_links(f"/lists/{audience.id}/members", "Lists/Members", f"/lists/{audience.id}")


def _check_bulk(body: Any) -> None:
    """What is wrong with the shape of one row refuses the whole call."""
    checks.shape(body, _BULK, ("members",))
    if body.get("sync_tags") and not body.get("update_existing"):
        raise bad_field("sync_tags", "This works only with update_existing.")
    if len(body["members"]) > MAX_ROWS:
        raise bad_field("members", f"This collection should contain {MAX_ROWS} elements or less.")
    for number, row in enumerate(body["members"]):
        try:
            checks.shape(row, ROW)
            checks.one_of(row.get("status", "pending"), "status", WRITABLE)
        except Problem as problem:
            field, message = problem.errors[0] if problem.errors else ("", problem.detail)
            raise bad_field(f"members.item:{number}.{field}", message) from None


def _write_rows(
    writing: Writing, body: dict[str, Any], skip_duplicates: bool
) -> tuple[list[Member], list[Member], list[dict[str, str]]]:
    """A repeated address counts once, the first; without ``skip_duplicates`` the others are errors."""
    update, sync = body.get("update_existing", False), body.get("sync_tags", False)
    new: list[Member] = []
    updated: list[Member] = []
    errors: list[dict[str, str]] = []
    seen: set[str] = set()
    for row in body["members"]:
        address = row.get("email_address", "")
        folded = address.lower()
        if folded in seen:
            if not skip_duplicates:
                errors.append(problems.invalid("This address is in the request twice.").row(address))
            continue
        seen.add(folded)
        try:
            member, is_new = writing.row(row, update_existing=update, sync_tags=sync)
        except Problem as problem:
            errors.append(problem.row(address))
        else:
            (new if is_new else updated).append(member)
    return new, updated, errors
