"""``/lists``, ``/lists/{list_id}`` and their merge fields; ``/`` and ``/ping``."""

from collections import Counter
from typing import Any

from listbridge.sandbox.base import Answer, Request, Route
from listbridge.sandbox.mailchimp import account, checks
from listbridge.sandbox.mailchimp.account import Account, default_options
from listbridge.sandbox.mailchimp.problems import Problem, bad_field, not_found
from listbridge.sandbox.mailchimp.render import collection_links, link, links, merge_field, stamp
from listbridge.sandbox.mailchimp.state import Audience, MergeField

_NEEDED = ("name", "permission_reminder", "email_type_option", "contact", "campaign_defaults")
_SETTINGS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "contact": dict,
    "permission_reminder": str,
    "use_archive_bar": bool,
    "campaign_defaults": dict,
    "notify_on_subscribe": str,
    "notify_on_unsubscribe": str,
    "email_type_option": bool,
    "double_optin": bool,
    "marketing_permissions": bool,
}
_INSIDE = {
    "contact": ("company", "address1", "city", "country"),
    "campaign_defaults": ("from_name", "from_email", "subject", "language"),
}
_FIELD: dict[str, type | tuple[type, ...]] = {
    "tag": str,
    "name": str,
    "type": str,
    "required": bool,
    "default_value": str,
    "public": bool,
    "display_order": int,
    "options": dict,
    "help_text": str,
}
_TAG_LENGTH = 10
_RELATED = (
    "abuse-reports",
    "activity",
    "clients",
    "growth-history",
    "interest-categories",
    "members",
    "merge-fields",
    "segments",
    "webhooks",
    "signup-forms",
    "locations",
)


def default_settings(**given: Any) -> dict[str, Any]:
    """The settings of a list made by hand."""
    return {
        "permission_reminder": "You signed up at our shop.",
        "use_archive_bar": True,
        "campaign_defaults": {
            "from_name": "Shop",
            "from_email": "shop@shop.test",
            "subject": "",
            "language": "en",
        },
        "contact": {"company": "Shop", "address1": "1 Street", "city": "Town", "country": "US"},
        "notify_on_subscribe": "",
        "notify_on_unsubscribe": "",
        "email_type_option": False,
        "double_optin": False,
        "marketing_permissions": False,
    } | given


class Lists:
    """The requests about audiences as such."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def routes(self) -> list[Route]:
        one, fields = "/lists/{list_id}", "/lists/{list_id}/merge-fields"
        return [
            Route("GET", "/", self.account),
            Route("GET", "/ping", lambda _request: Answer.json({"health_status": "Everything's Chimpy!"})),
            Route("GET", "/lists", self.page),
            Route("POST", "/lists", self.create, writes=True),
            Route("GET", one, self.read),
            Route("PATCH", one, self.update, writes=True),
            Route("DELETE", one, self.delete, writes=True),
            Route("GET", fields, self.fields),
            Route("POST", fields, self.create_field, writes=True),
            Route("GET", fields + "/{merge_id}", self.field),
            Route("PATCH", fields + "/{merge_id}", self.update_field, writes=True),
            Route("DELETE", fields + "/{merge_id}", self.delete_field, writes=True),
        ]

    def account(self, request: Request) -> Answer:
        account.known_query(request, "fields", "exclude_fields")
        return Answer.json(account.selection(request).of(self._account_content()))

    def _account_content(self) -> dict[str, Any]:
        subscribed = sum(self._stats(each)["member_count"] for each in self._account.audiences.values())
        return {
            "account_id": "8d3a3db4d97663a9074efcc16",
            "login_id": "8d3a3db4",
            "account_name": "Sandbox",
            "email": "owner@shop.test",
            "first_name": "Olga",
            "last_name": "Owner",
            "username": "owner",
            "avatar_url": "",
            "role": "owner",
            "member_since": "2020-01-01T00:00:00+00:00",
            "pricing_plan_type": "monthly",
            "first_payment": "2020-01-01T00:00:00+00:00",
            "account_timezone": "Europe/Berlin",
            "account_industry": "",
            "contact": {"company": "Shop", "addr1": "1 Street", "addr2": "", "city": "Town"}
            | {"state": "", "zip": "", "country": "US"},
            "pro_enabled": False,
            "last_login": stamp(self._account.now()),
            "total_subscribers": subscribed,
            "industry_stats": {"open_rate": 0, "bounce_rate": 0, "click_rate": 0},
            "_links": [link("self", "/"), link("lists", "/lists", target="Lists/CollectionResponse")],
        }

    # Lists

    def page(self, request: Request) -> Answer:
        account.known_query(request, "include_total_contacts", "sort_field", "sort_dir", paging=True)
        count, offset = account.page(request)
        total = account.flag(request, "include_total_contacts")
        audiences = list(self._account.audiences.values())
        shown = [self._content(each, total) for each in audiences[offset : offset + count]]
        for content in shown:
            content.pop("contact")  # recorded answers have it nowhere
        limit = self._account.rules.max_lists
        constraints = {
            "may_create": limit is None or len(audiences) < limit,
            "max_instances": limit if limit is not None else 100,
            "current_total_instances": len(audiences),
        }
        content = {"lists": shown, "total_items": len(audiences), "constraints": constraints}
        content["_links"] = collection_links("/lists", "Lists")
        return Answer.json(account.selection(request).of(content))

    def read(self, request: Request) -> Answer:
        account.known_query(request, "fields", "exclude_fields", "include_total_contacts")
        total = account.flag(request, "include_total_contacts")
        content = self._content(self._account.audience(request), total)
        return Answer.json(account.selection(request).of(content))

    def create(self, request: Request) -> Answer:
        given = _settings(account.body(request))
        limit = self._account.rules.max_lists
        if limit is not None and len(self._account.audiences) >= limit:
            detail = "User does not have access to the requested operation"
            raise Problem(403, "User action not permitted", detail)
        name = given.pop("name")
        audience = self._account.add_audience(name, default_settings(**given))
        return Answer.json(self._content(audience, total=False))

    def update(self, request: Request) -> Answer:
        audience, given = self._account.audience(request), _settings(account.body(request))
        audience.name = given.pop("name")
        audience.settings |= given
        return Answer.json(self._content(audience, total=False))

    def delete(self, request: Request) -> Answer:
        del self._account.audiences[self._account.audience(request).id]
        return Answer(204)

    def _content(self, audience: Audience, total: bool) -> dict[str, Any]:
        path = f"/lists/{audience.id}"
        made = links(path, "Lists", [("update", "PATCH"), ("delete", "DELETE")], "/lists")
        made.append(link("batch-sub-unsub-members", path, "POST", "Lists/BatchPOST-Response"))
        made += [link(name, f"{path}/{name}") for name in _RELATED]
        stats = self._stats(audience)
        shown = stats if total else {name: value for name, value in stats.items() if name != "total_contacts"}
        return {
            "id": audience.id,
            "web_id": audience.web_id,
            "name": audience.name,
            **audience.settings,
            "date_created": stamp(audience.created),
            "list_rating": 0,
            "subscribe_url_short": "http://eepurl.com/sandbox",
            "subscribe_url_long": f"https://sandbox.us1.list-manage.com/subscribe?u=5f6e3&id={audience.id}",
            "beamer_address": f"us1-{audience.id}@inbound.mailchimp.com",
            "visibility": "prv",
            "has_welcome": False,
            "modules": [],
            "stats": shown,
            "_links": made,
        }

    def _stats(self, audience: Audience) -> dict[str, Any]:
        """The figures, as old as they may be."""
        now = self._account.now()
        if audience.stats is None or now - audience.stats[0] >= self._account.rules.stats_age_seconds:
            audience.stats = (now, _figures(audience))
        return audience.stats[1]

    # Merge fields

    def fields(self, request: Request) -> Answer:
        """By tag, as recorded."""
        account.known_query(request, "type", "required", paging=True)
        audience = self._account.audience(request)
        count, offset = account.page(request)
        kind, required = request.query.get("type"), account.flag(request, "required")
        fields = [
            f for f in audience.fields.values() if kind in (None, f.type) and (f.required or not required)
        ]
        fields.sort(key=lambda field: field.tag)
        shown = [merge_field(audience, field) for field in fields[offset : offset + count]]
        content = {"merge_fields": shown, "list_id": audience.id, "total_items": len(fields)}
        path = f"/lists/{audience.id}"
        content["_links"] = collection_links(f"{path}/merge-fields", "Lists/MergeFields", path)
        return Answer.json(account.selection(request).of(content))

    def _field(self, request: Request) -> MergeField:
        fields = self._account.audience(request).fields.values()
        found = next((f for f in fields if str(f.merge_id) == request.params["merge_id"]), None)
        if found is None:
            raise not_found()
        return found

    def field(self, request: Request) -> Answer:
        account.known_query(request, "fields", "exclude_fields")
        content = merge_field(self._account.audience(request), self._field(request))
        return Answer.json(account.selection(request).of(content))

    def create_field(self, request: Request) -> Answer:
        audience, body = self._account.audience(request), account.body(request)
        checks.shape(body, _FIELD, ("name", "type"))
        field = add_field(self._account, audience, **body)
        return Answer.json(merge_field(audience, field))

    def update_field(self, request: Request) -> Answer:
        audience, field = self._account.audience(request), self._field(request)
        body = account.body(request)
        checks.shape(body, {name: kind for name, kind in _FIELD.items() if name != "type"}, ("name",))
        tag = body.pop("tag", field.tag)
        if tag != field.tag:
            _check_tag(audience, tag)
            _retag(audience, field, tag)
        for name, value in body.items():
            setattr(field, name, value)
        return Answer.json(merge_field(audience, field))

    def delete_field(self, request: Request) -> Answer:
        audience, field = self._account.audience(request), self._field(request)
        del audience.fields[field.tag]
        for member in audience:
            member.merge.pop(field.tag, None)
        audience.version += 1
        return Answer(204)


def add_field(account: Account, audience: Audience, name: str, type: str = "text", **rest: Any) -> MergeField:
    """A new merge field. Without a tag it is ``MMERGE`` and its number."""
    checks.one_of(type, "type", checks.MERGE_TYPES)
    merge_id = 1 + max((field.merge_id for field in audience.fields.values()), default=0)
    tag = rest.pop("tag", "") or f"MMERGE{merge_id}"
    if len(audience.fields) >= account.rules.max_merge_fields:
        # The wording is unsure.
        detail = f"This list already has {account.rules.max_merge_fields} merge fields."
        raise Problem(400, "Invalid Resource", detail, ())
    _check_tag(audience, tag)
    options = default_options(type) | rest.pop("options", {})
    if type in ("radio", "dropdown") and not options.get("choices"):
        raise bad_field("options.choices", "This value should not be blank.")
    order = rest.pop("display_order", merge_id + 1)
    field = MergeField(merge_id, tag, name, type, display_order=order, options=options, **rest)
    audience.fields[tag] = field
    audience.version += 1
    return field


def _check_tag(audience: Audience, tag: str) -> None:
    """Ten characters at most. That only capitals, digits and ``_`` are taken is unsure."""
    if len(tag) > _TAG_LENGTH:
        raise bad_field("tag", "Merge tags must be ten characters or less.")
    if not tag or not tag.replace("_", "A").isalnum() or not tag.isascii() or tag != tag.upper():
        raise bad_field("tag", "A merge tag consists of capital letters, digits and _.")
    if tag in audience.fields or tag == "EMAIL":
        raise bad_field("tag", f"A Merge Field with the tag {tag} already exists for this list.")


def _retag(audience: Audience, field: MergeField, tag: str) -> None:
    fields = [(tag if each is field else old, each) for old, each in audience.fields.items()]
    for member in audience:
        if field.tag in member.merge:
            member.merge[tag] = member.merge.pop(field.tag)
    field.tag = tag
    audience.fields = dict(fields)
    audience.version += 1


def _settings(body: Any) -> dict[str, Any]:
    checks.shape(body, _SETTINGS, _NEEDED)
    for name, needed in _INSIDE.items():
        checks.shape(body[name], dict.fromkeys(body[name], str), needed)
    return dict(body)


def _figures(audience: Audience) -> dict[str, Any]:
    counts = Counter(member.status for member in audience)
    opted = max((m.opted_at for m in audience if m.opted_at is not None), default=None)
    left = max((m.unsubscribed_at for m in audience if m.unsubscribed_at is not None), default=None)
    return {
        "member_count": counts["subscribed"],
        "total_contacts": len(audience),
        "unsubscribe_count": counts["unsubscribed"],
        "cleaned_count": counts["cleaned"],
        "member_count_since_send": counts["subscribed"],
        "unsubscribe_count_since_send": counts["unsubscribed"],
        "cleaned_count_since_send": counts["cleaned"],
        "campaign_count": 0,
        "campaign_last_sent": "",
        "merge_field_count": len(audience.fields),
        "avg_sub_rate": 0,
        "avg_unsub_rate": 0,
        "target_sub_rate": 0,
        "open_rate": 0,
        "click_rate": 0,
        "last_sub_date": stamp(opted),
        "last_unsub_date": stamp(left),
    }
