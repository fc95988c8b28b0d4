"""RetailCRM (Simla), API version 5: customers, segments, subscriptions and the two histories.

Built from the vendor's api-client-php and api-client-go (2026-11-22). Not seen there, and so a guess: the
history's names ``tags`` and ``subscriptions``, the status 400 where a needed ``site`` is missing, that a
page behind the last one is empty, and the shape of an entry about a combined customer.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import orjson

from listbridge.sandbox.base import Answer, Request, Route, Sandbox
from listbridge.sandbox.faults import Fault

LIMITS = ("20", "50", "100")
RATE_LIMITED = "Rate limit exceeded"
WRONG_KEY = 'Wrong "apiKey" value.'
NO_KEY = '"apiKey" is missing.'
DENIED = "Access denied."
NO_ACCOUNT = "Account does not exist."
BAD_INPUT = "Errors in the input parameters"
NO_METHOD = "API method not found"
NO_RECORD = "An attempt was made to edit a nonexistent record"
NO_ACCOUNT_PAGE = Answer.page(405, "405 Not Allowed").body

ALL_SCOPES = ("customer_read", "customer_write", "order_read", "order_write", "reference_read")
PLAIN_FIELDS = {
    "externalId": "external_id",
    "email": "email",
    "firstName": "first_name",
    "lastName": "last_name",
    "patronymic": "patronymic",
    "sex": "sex",
    "birthday": "birthday",
    "vip": "vip",
    "bad": "bad",
    "managerId": "manager",
    "personalDiscount": "personal_discount",
    "photoUrl": "photo_url",
}
"""Fields that can be edited as they stand, with their names in the history."""

EDITABLE = {*PLAIN_FIELDS, "phones", "address", "customFields", "addTags", "removeTags", "subscribed"}
HISTORY_FILTERS = ("sinceId", "startDate", "endDate", "customerId", "customerExternalId")
ORDER_HISTORY_FILTERS = ("sinceId", "startDate", "endDate", "orderId", "orderExternalId")

Record = dict[str, Any]


class BadInput(Exception):
    """A parameter is wrong; ``field`` and ``words`` as the platform tells them."""

    def __init__(self, field: str, words: str = "This value is not valid.") -> None:
        super().__init__(words)
        self.field = field


@dataclass(frozen=True, slots=True)
class Key:
    """An API key: what it may do, and in which shops (None: in all)."""

    scopes: tuple[str, ...] = ALL_SCOPES
    sites: tuple[str, ...] | None = None


class RetailCrm(Sandbox):
    """An account in memory. Changes made with the methods below are those of a person in the account,
    or of somebody else's API key with ``source="api"``.

    ``per_second=None`` lifts the rate limit. ``account`` is ``open``, ``missing`` (the platform's words) or
    ``page`` (the web page of a server that knows no such account). ``deaf`` holds ``subscribed`` or
    ``subscriptions`` where an account takes that form of an unsubscribe without heeding it.
    """

    name: ClassVar[str] = "retailcrm"

    def __init__(
        self,
        *,
        sites: Iterable[str] = ("shop",),
        zone: str = "UTC",
        per_second: int | None = 10,
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.sites = tuple(sites)
        self.zone = ZoneInfo(zone)
        self.per_second = per_second
        self.reset()

    def reset(self) -> None:
        super().reset()
        self.account = "open"
        self.deaf: set[str] = set()
        self.keys: dict[str, Key] = {"key": Key()}
        self.topics: list[Record] = []
        self.customers: dict[int, Record] = {}
        self.segments: dict[str, Record] = {}
        self.history: list[Record] = []
        self.order_history: list[Record] = []
        self._last_ids: dict[str, int] = {}
        self._window: list[float] = []
        self._key: str | None = None
        self._writing: str | None = None
        self.add_topic("default_marketing", channel="email")
        self.add_topic("default_marketing", channel="waba")

    def routes(self) -> list[Route]:
        customer = "/api/v5/customers/{id}"
        return [
            Route("GET", "/api/api-versions", self._versions),
            Route("GET", "/api/system-info", self._system_info),
            Route("GET", "/api/credentials", self._credentials),
            Route("GET", "/api/v5/customers", self._guarded("customer_read", self._customers)),
            Route("GET", "/api/v5/customers/history", self._guarded("customer_read", self._history)),
            Route("GET", "/api/v5/orders/history", self._guarded("order_read", self._orders_history)),
            Route("GET", "/api/v5/segments", self._guarded("customer_read", self._segments)),
            Route(
                "POST", "/api/v5/customers/create", self._guarded("customer_write", self._create), writes=True
            ),
            Route("GET", customer, self._guarded("customer_read", self._customer)),
            Route("POST", customer + "/edit", self._guarded("customer_write", self._edit), writes=True),
            Route(
                "POST",
                customer + "/subscriptions",
                self._guarded("customer_write", self._subscriptions),
                writes=True,
            ),
        ]

    # What people do in the account

    def add_topic(self, code: str, *, channel: str = "email", active: bool = True) -> int:
        number = self._next("topic")
        self.topics.append(
            {
                "id": number,
                "channel": channel,
                "name": code.replace("_", " ").capitalize(),
                "code": code,
                "active": active,
                "autoSubscribe": True,
                "ordering": number,
            }
        )
        return number

    def add_customer(
        self,
        email: str | None = "",
        *,
        site: str | None = None,
        segments: Iterable[str] = (),
        topics: Mapping[str, bool] | None = None,
        source: str = "user",
        **fields: Any,
    ) -> int:
        """A new customer; ``fields`` carry the platform's names. ``topics`` are e-mail topics by code."""
        number = self._next("customer")
        customer: Record = {
            "type": "customer",
            "id": number,
            "isContact": False,
            "createdAt": self.now(),
            "vip": False,
            "bad": False,
            "site": site or self.sites[0],
            "contragent": {"contragentType": "individual"},
            "tags": [],
            **dict.fromkeys(("marginSumm", "totalSumm", "averageSumm", "ordersCount", "costSumm"), 0),
            "customFields": {},
            "personalDiscount": 0,
            "cumulativeDiscount": 0,
            "segments": list(segments),
            "phones": [],
            "subscriptions": {("email", code): _said(value) for code, value in (topics or {}).items()},
        }
        customer |= {"email": email} if email is not None else {}
        self.customers[number] = customer | fields
        self._note(customer, "id", None, number, source, created=True, whole=True)
        return number

    def edit_customer(self, number: int, *, source: str = "user", **fields: Any) -> None:
        """Change fields, under the platform's names, as ``edit`` takes them."""
        self._change(self.customers[number], fields, source)

    def delete_customer(self, number: int, *, source: str = "user") -> None:
        customer = self.customers.pop(number)
        self._note(customer, "id", number, None, source, deleted=True, whole=True)

    def combine(self, numbers: Iterable[int], into: int) -> None:
        """Merge customers: they disappear, and their orders and segments go to the remaining one."""
        rest = self.customers[into]
        for number in numbers:
            customer = self.customers.pop(number)
            rest["ordersCount"] += customer["ordersCount"]
            rest["totalSumm"] += customer["totalSumm"]
            target = {"id": into, "site": rest["site"]}
            self._note(customer, "id", number, None, "user", combinedTo=target, whole=True)

    def add_segment(
        self, code: str, name: str | None = None, *, dynamic: bool = True, active: bool = True
    ) -> int:
        number = self._next("segment")
        self.segments[code] = {
            "id": number,
            "code": code,
            "name": name or code,
            "createdAt": self.now(),
            "isDynamic": dynamic,
            "customersCount": 0,
            "active": active,
        }
        return number

    def set_segment_members(self, code: str, numbers: Iterable[int]) -> None:
        """What a refresh of the segment does: one entry in the history for each that comes or goes.

        The count of a dynamic segment stays behind until :meth:`recount`.
        """
        wanted = set(numbers)
        for number, customer in self.customers.items():
            if number in wanted and code not in customer["segments"]:
                customer["segments"].append(code)
                self._note(customer, "segments", None, {"code": code}, "code")
            elif number not in wanted and code in customer["segments"]:
                customer["segments"].remove(code)
                self._note(customer, "segments", {"code": code}, None, "code")
        if not self.segments[code]["isDynamic"]:
            self.recount(code)

    def recount(self, code: str) -> None:
        members = sum(code in customer["segments"] for customer in self.customers.values())
        self.segments[code]["customersCount"] = members

    def subscribe(
        self, number: int, subscribed: bool, topic: str = "default_marketing", *, channel: str = "email"
    ) -> None:
        """The person joins or leaves one topic."""
        self._set_topic(self.customers[number], channel, topic, subscribed, "user")

    def unsubscribe(self, number: int) -> None:
        """The person leaves marketing e-mail as a whole: the date of it is set."""
        self._change(self.customers[number], {"subscribed": False}, "user")

    def add_order(self, number: int, total: float = 10.0) -> int:
        """A new order. It changes the customer's figures, of which the customers' history says nothing."""
        customer = self.customers[number]
        customer["ordersCount"] += 1
        customer["totalSumm"] += total
        customer["averageSumm"] = customer["totalSumm"] / customer["ordersCount"]
        order = {
            "id": self._next("order"),
            "createdAt": self.now(),
            "summ": total,
            "totalSumm": total,
            "customer": self._shown(customer),
            "site": customer["site"],
            "status": "new",
        }
        self.order_history.append(
            {
                "id": self._next("order_history"),
                "createdAt": self.now(),
                "created": True,
                "source": "user",
                "user": {"id": 19},
                "field": "status",
                "oldValue": None,
                "newValue": {"code": "new"},
                "order": order,
            }
        )
        return int(order["id"])

    def actions(self) -> dict[str, Callable[..., Any]]:
        named = (self.add_customer, self.edit_customer, self.delete_customer, self.combine, self.add_segment)
        more = (self.set_segment_members, self.recount, self.subscribe, self.unsubscribe, self.add_order)
        return {action.__name__: action for action in (*named, *more, self.add_topic)}

    def summary(self) -> dict[str, Any]:
        return {
            "customers": len(self.customers),
            "segments": sorted(self.segments),
            "history": len(self.history),
            "unsubscribed": sum("emailMarketingUnsubscribedAt" in c for c in self.customers.values()),
        }

    # What the state says

    def now(self) -> str:
        """The account's own time, without a zone."""
        return datetime.fromtimestamp(self.clock(), self.zone).strftime("%Y-%m-%d %H:%M:%S")

    def _next(self, what: str) -> int:
        self._last_ids[what] = self._last_ids.get(what, 0) + 1
        return self._last_ids[what]

    def _shown(self, customer: Record) -> Record:
        """A customer as the API shows it: what is empty is left out, or an empty list, as recorded."""
        shown = {key: value for key, value in customer.items() if key != "subscriptions"}
        shown["customFields"] = customer["customFields"] or []
        shown["segments"] = [self.segments[code] for code in customer["segments"]]
        if told := self._told_subscriptions(customer):
            shown["customerSubscriptions"] = told
        return shown

    def _told_subscriptions(self, customer: Record) -> list[Record]:
        said = customer["subscriptions"]
        return [
            {"subscription": topic, **said[topic["channel"], topic["code"]]}
            for topic in self.topics
            if (topic["channel"], topic["code"]) in said
        ]

    # Changes and their history

    def _note(
        self,
        customer: Record,
        field: str,
        old: Any,
        new: Any,
        source: str,
        *,
        whole: bool = False,
        **more: Any,
    ) -> None:
        known = ("id", "externalId", "site")
        entry: Record = {"id": self._next("history"), "createdAt": self.now(), **more, "source": source}
        entry |= {"user": {"id": 19}} if source == "user" else {}
        entry |= {"field": field, "oldValue": old, "newValue": new}
        entry["customer"] = (
            self._in_history(customer) if whole else {k: customer[k] for k in known if k in customer}
        )
        if source == "api":
            entry["apiKey"] = self._writing
        self.history.append(entry)

    def _in_history(self, customer: Record) -> Record:
        return {key: value for key, value in self._shown(customer).items() if key != "customerSubscriptions"}

    def _change(self, customer: Record, fields: Mapping[str, Any], source: str) -> None:
        for field, value in fields.items():
            if field in PLAIN_FIELDS:
                self._set(customer, field, PLAIN_FIELDS[field], value, source)
            else:
                self._compound_changes[field](customer, value, source)

    @property
    def _compound_changes(self) -> dict[str, Callable[[Record, Any, str], None]]:
        return {
            "phones": self._change_phones,
            "address": self._change_address,
            "customFields": self._change_custom,
            "addTags": self._add_tags,
            "removeTags": self._remove_tags,
            "subscribed": self._change_subscribed,
        }

    def _set(self, record: Record, field: str, name: str, value: Any, source: str) -> None:
        old = record.get(field)
        if old != value:
            record[field] = value
            self._note(record, name, old, value, source)

    def _change_phones(self, customer: Record, phones: list[Record], source: str) -> None:
        old, customer["phones"] = customer["phones"], list(phones)
        for phone in phones:
            if phone not in old:
                self._note(customer, "phones", None, phone["number"], source)

    def _change_address(self, customer: Record, address: Mapping[str, Any], source: str) -> None:
        present = customer.setdefault("address", {"id": self._next("address")})
        for part, value in address.items():
            old = present.get(part)
            if old != value:
                present[part] = value
                where = {"id": present["id"], "isMain": True}
                self._note(customer, f"address.{part}", old, value, source, address=where)

    def _change_custom(self, customer: Record, fields: Mapping[str, Any], source: str) -> None:
        for code, value in fields.items():
            old = customer["customFields"].get(code)
            if old != value:
                customer["customFields"][code] = value
                self._note(customer, f"custom_{code}", old, value, source)

    def _add_tags(self, customer: Record, names: Iterable[str], source: str) -> None:
        for name in names:
            if name not in [tag["name"] for tag in customer["tags"]]:
                customer["tags"].append({"name": name, "color": "#000000", "attached": False})
                self._note(customer, "tags", None, name, source)

    def _remove_tags(self, customer: Record, names: Iterable[str], source: str) -> None:
        for tag in [tag for tag in customer["tags"] if tag["name"] in set(names)]:
            customer["tags"].remove(tag)
            self._note(customer, "tags", tag["name"], None, source)

    def _change_subscribed(self, customer: Record, subscribed: bool, source: str) -> None:
        if source == "api" and "subscribed" in self.deaf:
            return
        old = customer.get("emailMarketingUnsubscribedAt")
        if subscribed and old:
            del customer["emailMarketingUnsubscribedAt"]
            self._note(customer, "email_marketing_unsubscribed_at", old, None, source)
        elif not subscribed and not old:
            customer["emailMarketingUnsubscribedAt"] = self.now()
            self._note(customer, "email_marketing_unsubscribed_at", None, self.now(), source)

    def _set_topic(self, customer: Record, channel: str, code: str, value: bool, source: str) -> None:
        old = customer["subscriptions"].get((channel, code), {}).get("subscribed")
        if old is not value and not (source == "api" and "subscriptions" in self.deaf):
            customer["subscriptions"][channel, code] = {"subscribed": value, "changedAt": self.now()}
            self._note(customer, "subscriptions", old, value, source)

    # Who may ask

    def refuse(self, request: Request) -> Answer | None:
        if self.account == "page":
            return Answer(405, NO_ACCOUNT_PAGE, content_type="text/html")
        if self.account == "missing":
            return self.problem(400, NO_ACCOUNT)
        key = request.headers.get("x-api-key") or request.query.get("apiKey")
        if key is None:
            return self.problem(403, NO_KEY)
        if key not in self.keys:
            return self.problem(403, WRONG_KEY)
        self._key = key
        return self.problem(503, RATE_LIMITED) if self._too_fast() else None

    def _too_fast(self) -> bool:
        if self.per_second is None:
            return False
        now = self.clock()
        self._window = [at for at in self._window if now - at < 1]
        if len(self._window) >= self.per_second:
            return True
        self._window.append(now)
        return False

    def _guarded(self, scope: str, handler: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
        def guarded(request: Request) -> Answer:
            if scope not in self._asking.scopes:
                return self.problem(403, DENIED)
            self._writing = self._key
            try:
                return handler(request)
            except BadInput as error:
                return self.problem(400, BAD_INPUT, {error.field: str(error)})
            finally:
                self._writing = None

        return guarded

    @property
    def _asking(self) -> Key:
        return self.keys[self._key or ""]

    def problem(self, status: int, words: str, errors: Mapping[str, str] | None = None) -> Answer:
        body = {"success": False, "errorMsg": words} | ({"errors": errors} if errors else {})
        return Answer.json(body, status)

    def unknown_path(self, request: Request) -> Answer:
        return self.problem(404, NO_METHOD)

    def wrong_method(self, request: Request, allowed: list[str]) -> Answer:
        return self.problem(405, "Method Not Allowed")

    def fault_answer(self, fault: Fault, request: Request) -> Answer:
        if fault.do == "expired_key":
            return self.problem(403, WRONG_KEY)
        return self.problem(int(fault.do), "Internal error" if fault.do == "500" else RATE_LIMITED)

    def halve_page(self, request: Request) -> None:
        halved = re.sub(r"\blimit=(100|50)\b", lambda found: _HALVES[found[1]], request.query_string)
        request.query_string = halved

    # Answers

    def _versions(self, _request: Request) -> Answer:
        return _success(versions=["3.0", "4.0", "5.0"])

    def _system_info(self, _request: Request) -> Answer:
        return _success(
            systemVersion="8.1.51",
            publicUrl="https://acme.retailcrm.example",
            technicalUrl="https://acme-technical.retailcrm.example",
        )

    def _credentials(self, _request: Request) -> Answer:
        access = "access_full" if self._asking.sites is None else "access_selective"
        allowed = [f"/api/{path}" for path in ("customers", "customers/{id}/edit", "segments")]
        return _success(scopes=list(self._asking.scopes), credentials=allowed, siteAccess=access)

    def _customers(self, request: Request) -> Answer:
        """Newest first, so that whoever is added shifts all pages by one."""
        query = _Query(request, filters=_CUSTOMER_FILTERS)
        people: Iterable[Record] = (self.customers[n] for n in reversed(self.customers))
        if self._asking.sites is not None:
            people = [person for person in people if person["site"] in self._asking.sites]
        for name, values in query.filters.items():
            keeps = _CUSTOMER_FILTERS[name]
            people = [person for person in people if keeps(person, values)]
        page, pagination = query.cut(list(people))
        return _success(pagination=pagination, customers=[self._shown(person) for person in page])

    def _customer(self, request: Request) -> Answer:
        query = request.query
        _only(query, ("by", "site", "apiKey"))
        customer = self._found(request, query)
        return _success(customer=self._shown(customer)) if customer else self.problem(404, "Not found")

    def _segments(self, request: Request) -> Answer:
        query = _Query(request, filters=_SEGMENT_FILTERS)
        segments: Iterable[Record] = reversed(self.segments.values())
        for name, values in query.filters.items():
            segments = [segment for segment in segments if _SEGMENT_FILTERS[name](segment, values)]
        page, pagination = query.cut(list(segments))
        return _success(pagination=pagination, segments=page)

    def _history(self, request: Request) -> Answer:
        return self._told_history(_Query(request, HISTORY_FILTERS), self.history, "customer")

    def _orders_history(self, request: Request) -> Answer:
        return self._told_history(_Query(request, ORDER_HISTORY_FILTERS), self.order_history, "order")

    def _told_history(self, query: "_Query", entries: list[Record], what: str) -> Answer:
        first = {name: values[0] for name, values in query.filters.items()}
        since, start, end = _number(first, "sinceId"), first.get("startDate", ""), first.get("endDate", "~")
        told = [e for e in entries[min(since, len(entries)) :] if start <= e["createdAt"] <= end]
        for name, field in ((f"{what}Id", "id"), (f"{what}ExternalId", "externalId")):
            if name in first:
                told = [entry for entry in told if str(entry[what].get(field)) == first[name]]
        page, pagination = query.cut(told)
        return _success(generatedAt=self.now(), history=[self._entry(e) for e in page], pagination=pagination)

    def _entry(self, entry: Record) -> Record:
        return entry | {"apiKey": {"current": entry["apiKey"] == self._key}} if "apiKey" in entry else entry

    def _create(self, request: Request) -> Answer:
        form = _form(request, ("customer", "site"))
        site = self._site(form)
        fields = _object(form, "customer", dict)
        _only(fields, EDITABLE, "customer")
        number = self.add_customer(fields.pop("email", None), site=site, source="api")
        self._change(self.customers[number], fields, "api")
        answer = _success(id=number)
        answer.status = 201
        return answer

    def _edit(self, request: Request) -> Answer:
        form = _form(request, ("by", "site", "customer"))
        self._site(form)
        customer = self._found(request, form)
        if customer is None:
            return self.problem(404, NO_RECORD)
        fields = _object(form, "customer", dict)
        _only(fields, EDITABLE, "customer")
        self._change(customer, fields, "api")
        return _success(id=customer["id"])

    def _subscriptions(self, request: Request) -> Answer:
        form = _form(request, ("by", "site", "subscriptions"))
        self._site(form)
        customer = self._found(request, form)
        if customer is None:
            return self.problem(404, "Not found")
        wanted = _object(form, "subscriptions", list)
        for item in wanted:
            self._check_topic(item)
        for item in wanted:
            self._set_topic(customer, item["channel"], item["subscription"], item["active"], "api")
        return _success()

    def _check_topic(self, item: Any) -> None:
        _only(item, ("channel", "subscription", "active", "messageId"), "subscriptions")
        known = {(topic["channel"], topic["code"]) for topic in self.topics if topic["active"]}
        if (item.get("channel"), item.get("subscription")) not in known:
            raise BadInput("subscriptions", "There is no such topic.")
        if not isinstance(item.get("active"), bool):
            raise BadInput("subscriptions", "`active` is true or false.")

    def _site(self, form: Mapping[str, str]) -> str:
        """The shop that a write names; it must where the key reaches several."""
        reach = self._asking.sites or self.sites
        site = form.get("site")
        if site is None and len(reach) > 1:
            raise BadInput("site", "Name the shop.")
        if site is not None and site not in reach:
            raise BadInput("site")
        return site or reach[0]

    def _found(self, request: Request, told: Mapping[str, str]) -> Record | None:
        by, site, word = told.get("by", "externalId"), told.get("site"), request.params["id"]
        if by not in ("id", "externalId"):
            raise BadInput("by")
        if by == "externalId" and site is None and len(self.sites) > 1:
            raise BadInput("site", "Name the shop.")
        reach = self._asking.sites or self.sites
        for customer in self.customers.values() if by == "externalId" else self._numbered(word):
            if str(customer.get(by)) == word and customer["site"] in ((site,) if site else reach):
                return customer
        return None

    def _numbered(self, word: str) -> list[Record]:
        customer = self.customers.get(int(word)) if word.isdecimal() else None
        return [customer] if customer else []


_HALVES = {"100": "limit=50", "50": "limit=20"}

Keeps = Callable[[Record, list[str]], bool]

_CUSTOMER_FILTERS: dict[str, Keeps] = {
    "ids": lambda c, values: str(c["id"]) in values,
    "externalIds": lambda c, values: c.get("externalId") in values,
    "email": lambda c, values: values[0].lower() in (c.get("email") or "").lower(),
    "segment": lambda c, values: values[0] in c["segments"],
    "sites": lambda c, values: c["site"] in values,
    "tags": lambda c, values: any(tag["name"] in values for tag in c["tags"]),
    "isContact": lambda c, values: c["isContact"] is (values[0] == "1"),
    "emailMarketingUnsubscribed": lambda c, values: (
        ("emailMarketingUnsubscribedAt" in c) is (values[0] == "1")
    ),
    "dateFrom": lambda c, values: c["createdAt"][:10] >= values[0],
    "dateTo": lambda c, values: c["createdAt"][:10] <= values[0],
}
"""The filters of customers that are needed here. The platform has more; here they are refused."""

_SEGMENT_FILTERS: dict[str, Keeps] = {
    "ids": lambda s, values: str(s["id"]) in values,
    "name": lambda s, values: values[0].lower() in s["name"].lower(),
    "active": lambda s, values: s["active"] is (values[0] == "1"),
}


class _Query:
    """The query of a list, checked: page, limit, filters with all their values."""

    def __init__(self, request: Request, filters: Iterable[str]) -> None:
        self.filters: dict[str, list[str]] = {}
        plain = {"page": "1", "limit": "20"}
        for name, value in request.pairs:
            found = re.fullmatch(r"filter\[(\w+)\](?:\[\d*\])?", name)
            if found and found[1] in filters:
                self.filters.setdefault(found[1], []).append(value)
            elif name in plain:
                plain[name] = value
            elif name != "apiKey":
                raise BadInput(f"children[{found[1] if found else name}]", "This parameter is not known.")
        if plain["limit"] not in LIMITS:
            raise BadInput("children[limit]")
        self.page, self.limit = _number(plain, "page"), int(plain["limit"])
        if self.page < 1:
            raise BadInput("children[page]")

    def cut(self, records: list[Record]) -> tuple[list[Record], Record]:
        """One page, and what is said of the whole."""
        start = (self.page - 1) * self.limit
        return records[start : start + self.limit], {
            "limit": self.limit,
            "totalCount": len(records),
            "currentPage": self.page,
            "totalPageCount": -(-len(records) // self.limit),
        }


def _success(**parts: Any) -> Answer:
    return Answer.json({"success": True, **parts})


def _said(value: Any) -> Record:
    """A stand on a topic: true, false, or a pair of that and the time of it."""
    return (
        {"subscribed": value[0], "changedAt": value[1]} if isinstance(value, tuple) else {"subscribed": value}
    )


def _number(told: Mapping[str, str], name: str) -> int:
    word = told.get(name, "0")
    if not word.isdecimal():
        raise BadInput(f"children[{name}]")
    return int(word)


def _only(told: Any, known: Iterable[str], where: str = "children") -> None:
    if not isinstance(told, Mapping):
        raise BadInput(where)
    for name in told:
        if name not in known:
            raise BadInput(f"{where}[{name}]", "This field is not known.")


def _form(request: Request, known: Iterable[str]) -> dict[str, str]:
    """The fields of a form. Anything but a form is refused."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise BadInput("form", "The request must be form-encoded.")
    form = dict(request.form())
    _only(form, (*known, "apiKey"))
    return form


def _object(form: Mapping[str, str], name: str, kind: type) -> Any:
    """An object or list, which travels as JSON inside its field."""
    try:
        content = orjson.loads(form.get(name, ""))
    except orjson.JSONDecodeError:
        raise BadInput(name, "The field must hold JSON.") from None
    if not isinstance(content, kind):
        raise BadInput(name)
    return content
