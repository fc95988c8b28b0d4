"""RetailCRM (Simla): its customers, segments and consent as a source. API version 5.

Compared on 2026-11-22 with the vendor's clients api-client-php (models and recorded answers) and
api-client-go (errors, rate); the vendor's documentation could not be read. How a full read is proved to
be complete and how many calls it takes: docs/connectors/retailcrm.md.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar
from zoneinfo import ZoneInfo

import httpx2
import orjson
from pydantic import Field, SecretStr

from listbridge.changes import News, Outcome
from listbridge.connectors.base import Connector, Context, Finding, Options, Page, Row
from listbridge.errors import Retry, Stop
from listbridge.model import Label, Word

T = TypeVar("T")

API = "/api/v5"
LIMIT = 100  # 20, 50 and 100 are the only ones allowed
CONNECTIONS = 5
PER_SECOND = 10
ATTEMPTS = 3  # at a page that holds less than it promises
PASSES = 3  # over all pages, while deletions move customers between them
LOOKS = 10  # at the history after a pass, until nobody comes or goes
BATCH = 1000  # changed customers collected before they are read: a refreshed segment names each many times
BOUNCE = "bounce"

# --- their words, ours -------------------------------------------------------------------------------

COLUMNS = {
    "externalId": "external_id",
    "site": "site",
    "firstName": "first_name",
    "lastName": "last_name",
    "patronymic": "patronymic",
    "sex": "sex",
    "birthday": "birthday",
    "ordersCount": "orders_count",
    "totalSumm": "total_spent",
}
ADDRESS_COLUMNS = {"index": "postcode", "countryIso": "country", "region": "region", "city": "city"}
STREET_PARTS = ("street", "building", "flat")
GUARDED_COLUMNS = frozenset(
    {
        *("id", "email", "consent", "consent_at", "guest", "groups", "segments"),
        *("orders_count", "total_spent", "created_at", "updated_at", "deleted"),
    }
)
"""A custom field with such a code would pass for something else; it goes under ``custom_<code>``."""

FIELDS_OUTSIDE_ROWS = frozenset({"manager", "tags"})
"""Fields of the history that no row holds, the bounces that we write among them."""

SCOPES = {
    "customer_read": "read customers, segments and their history",
    "customer_write": "write unsubscribes and bounces back",
    "order_read": "see at once who has become a buyer",
}


class RetailCrmOptions(Options):
    """The customers and segments of a RetailCRM account."""

    url: str = Field(description="Address of the account, for example `https://acme.retailcrm.ru`.")
    api_key: SecretStr = Field(
        description="API key; needs the scopes customer_read, customer_write, order_read."
    )
    site: str | None = Field(
        default=None, description="Code of one shop of the account: only its customers are read and written."
    )
    topic: str | None = Field(
        default=None,
        description="Code of the e-mail topic that carries consent. Left out, every active e-mail topic "
        "counts, and the most restrictive decides.",
    )
    bounce_field: str | None = Field(
        default=None,
        description="Code of a custom text field that takes the word `bounce`. Left out, a tag takes it.",
    )
    timezone: ZoneInfo = Field(
        default=ZoneInfo("UTC"),
        description="The account's time zone, for example `Europe/Moscow`: the platform's dates have none.",
    )


# --- the source --------------------------------------------------------------------------------------


class Refused(Stop):
    """The platform took the request for wrong. Stops a read; a write is told in its row's outcome."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list, with what the platform says about the whole."""

    rows: list[dict[str, Any]]
    total: int
    pages: int


@dataclass(frozen=True, slots=True)
class Marks:
    """How far the two histories have been read. ``orders`` is None where the key may not read orders."""

    customers: int = 0
    orders: int | None = 0

    def text(self) -> str:
        return orjson.dumps({"sinceId": self.customers, "ordersSinceId": self.orders}).decode()

    @classmethod
    def from_text(cls, cursor: str) -> "Marks":
        told = orjson.loads(cursor)
        return cls(told["sinceId"], told.get("ordersSinceId"))


@dataclass(slots=True)
class Changes:
    """What a stretch of the histories says: who must be read again, who is gone, and where it ends."""

    marks: Marks
    changed: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)


class RetailCrm:
    """RetailCRM as a source."""

    tells_deletions: ClassVar[bool] = True
    always_full: ClassVar[bool] = False

    def __init__(self, options: RetailCrmOptions, context: Context) -> None:
        self._options = options
        self._name = context.name
        self._zone = options.timezone
        self._http = context.http(
            options.url,
            headers={"X-API-KEY": options.api_key.get_secret_value()},
            explain=self._explain,
            connections=CONNECTIONS,
            per_second=PER_SECOND,
        )

    async def close(self) -> None:
        await self._http.close()

    async def check(self) -> Finding:
        scopes = (await self._get("/api/credentials", {})).get("scopes") or ()
        return Finding(
            can=tuple(words for scope, words in SCOPES.items() if scope in scopes),
            missing=tuple(f"{scope}: {words}" for scope, words in SCOPES.items() if scope not in scopes),
        )

    async def labels(self) -> Sequence[Label]:
        segments = [s async for listing in self._all("segments", {}) for s in listing.rows]
        return [Label("segment", s["code"], (s["name"], str(s["id"]))) for s in segments]

    # Reading

    def contacts(self, cursor: str | None) -> AsyncIterator[Page]:
        return self._everyone() if cursor is None else self._since(Marks.from_text(cursor))

    async def _everyone(self) -> AsyncIterator[Page]:
        """All customers, and what happened to them while they were read.

        A deletion moves every older customer up by one place, so that somebody can slip onto a page that
        was read before. Therefore the read is complete only when as many people are known as the platform
        counts, and nobody came or went since it counted.
        """
        marks = await self._newest()
        for _ in range(PASSES):
            present: set[str] = set()
            total, quiet = 0, False
            async for listing in self._all("customers", self._shop()):
                present.update(str(customer["id"]) for customer in listing.rows)
                total = listing.total
                yield Page(self._rows(listing.rows))
            for _ in range(LOOKS):
                quiet = True
                async for page in self._since(marks):
                    marks = Marks.from_text(page.cursor) if page.cursor else marks
                    quiet = not _came_or_went(present, page) and quiet
                    yield replace(page, cursor=None)
                if quiet:
                    break
                total = (await self._list("customers", self._shop())).total
            if quiet and len(present) == total:
                yield Page((), marks.text())
                return
        raise Stop(
            "source_incomplete",
            f"{self._name} counts {total} customers, but {len(present)} could be read, in {PASSES} attempts. "
            "Nothing was concluded from what is missing; run again when the account is less busy.",
        )

    async def _since(self, marks: Marks) -> AsyncIterator[Page]:
        """Who changed since the marks, read anew. The cursor comes last, after all rows that it covers."""
        while True:
            changes = await self._changes(marks)
            if changes.marks == marks:
                return
            chunks = list(_chunks(sorted(changes.changed - changes.gone), LIMIT))
            for chunk, people in zip(chunks, await _together(map(self._people, chunks)), strict=True):
                yield Page(self._rows(people.values()), None, [id for id in chunk if id not in people])
            marks = changes.marks
            yield Page((), marks.text(), sorted(changes.gone))
            if len(changes.changed) < BATCH:
                return

    async def _changes(self, marks: Marks) -> Changes:
        changes = Changes(marks)
        customers = await self._follow("customers", marks.customers, changes)
        orders = marks.orders
        if orders is not None:
            orders = await _unless_refused(self._follow("orders", orders, changes))
        changes.marks = Marks(customers, orders)
        return changes

    async def _follow(self, feed: str, since: int, changes: Changes) -> int:
        """Note one history from an id on, to its end or until enough has come together."""
        note = note_customer if feed == "customers" else note_order
        while len(changes.changed) < BATCH:
            listing = await self._history(feed, since)
            if not listing.rows:
                break
            for entry in listing.rows:
                note(entry, changes)
            newest = _newest_id(listing)
            if newest <= since:
                raise Stop("source_incomplete", f"The history of {self._name} stands still at entry {since}.")
            since = newest
            if listing.total <= len(listing.rows):
                break
        return since

    async def _newest(self) -> Marks:
        customers = await self._newest_of("customers")
        return Marks(customers, await _unless_refused(self._newest_of("orders")))

    async def _newest_of(self, feed: str) -> int:
        """The history begins with the oldest entry: the newest is on the last page."""
        first = await self._history(feed, 0)
        last = await self._history(feed, 0, first.pages) if first.pages > 1 else first
        return max(_newest_id(first), _newest_id(last))

    async def _history(self, feed: str, since: int, page: int = 1) -> Listing:
        params = {"filter[sinceId]": since} if since else {}
        return await self._list(f"{feed}/history", params, page, key="history", exact=False)

    async def _people(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Up to ``LIMIT`` customers by id. Whoever is missing does not exist (in this shop)."""
        listing = await self._list("customers", {"filter[ids][]": list(ids), **self._shop()})
        return {str(customer["id"]): customer for customer in listing.rows}

    def _shop(self) -> dict[str, Any]:
        return {"filter[sites][]": [self._options.site]} if self._options.site else {}

    def _rows(self, customers: Iterable[dict[str, Any]]) -> list[Row]:
        people = (c for c in customers if c.get("type") != "customer_corporate")
        return [to_row(customer, self._zone, self._options.topic) for customer in people]

    # Lists

    async def _all(self, what: str, params: dict[str, Any]) -> AsyncIterator[Listing]:
        """Every page of a list. Only the first tells how many there are; then several at a time."""
        pages = [1]
        while pages:
            listings = await _together(self._list(what, params, page) for page in pages)
            for listing in listings:
                yield listing
            pages = list(range(pages[-1] + 1, listings[-1].pages + 1))[:CONNECTIONS]

    async def _list(
        self, path: str, params: dict[str, Any], page: int = 1, *, key: str = "", exact: bool = True
    ) -> Listing:
        """One page. One that holds less than it promises is asked for again; then the read stops.

        ``exact=False`` (histories, where the next request begins at the last entry seen) takes any page
        that is not empty.
        """
        for _ in range(ATTEMPTS):
            answer = await self._get(f"{API}/{path}", {**params, "page": page, "limit": LIMIT})
            rows, pagination = answer.get(key or path), answer.get("pagination")
            if not isinstance(rows, list) or not isinstance(pagination, dict):
                continue
            listing = Listing(rows, pagination["totalCount"], pagination["totalPageCount"])
            promised = max(0, min(LIMIT, listing.total - (page - 1) * LIMIT))
            if len(rows) >= (promised if exact else min(promised, 1)):
                return listing
        raise Stop(
            "source_incomplete",
            f"{self._name} gave less than it promised on page {page} of {path}, {ATTEMPTS} times. "
            "Run again later; if it stays so, ask RetailCRM's support.",
        )

    # Writing

    async def write_back(self, news: Sequence[News]) -> Sequence[Outcome]:
        return [outcome for chunk in _chunks(news, LIMIT) for outcome in await self._give_back(chunk)]

    async def _give_back(self, news: Sequence[News]) -> list[Outcome]:
        """Look, write what is missing, look again: which of its two marks of an unsubscribe an account
        honours is not known, so both are written and the effect decides."""
        before = await self._people(sorted({item.contact_id for item in news}))
        to_write = [self._requests(item, before.get(item.contact_id)) for item in news]
        refusals = await _together(map(self._write, to_write))
        left = {n.contact_id for n, requests in zip(news, to_write, strict=True) if requests and _leaves(n)}
        after = await self._people(sorted(left)) if left else {}
        return [
            self._outcome(item, refusal, after.get(item.contact_id))
            for item, refusal in zip(news, refusals, strict=True)
        ]

    def _requests(self, item: News, customer: dict[str, Any] | None) -> list[tuple[str, dict[str, str]]]:
        """What is still to be written: path and form. Nothing for somebody who does not exist any more."""
        if customer is None:
            return []
        path = f"{API}/customers/{item.contact_id}"
        site = self._options.site or customer.get("site")
        form = {"by": "id"} | ({"site": site} if site else {})
        requests = []
        if _leaves(item) and (topics := topics_to_leave(customer, self._options.topic)):
            requests.append((f"{path}/subscriptions", form | {"subscriptions": _text(topics)}))
        edit = edit_for(item, customer, self._options.bounce_field)
        return [*requests, (f"{path}/edit", form | {"customer": _text(edit)})] if edit else requests

    async def _write(self, requests: Sequence[tuple[str, dict[str, str]]]) -> str:
        """Send the requests; gives the platform's words where it refused one."""
        words = []
        for path, form in requests:
            try:
                self._succeeded(await self._http.json("POST", path, form=form, writes=True))
            except Refused as error:
                words.append(error.message)
        return " ".join(words)

    def _outcome(self, item: News, refusal: str, after: dict[str, Any] | None) -> Outcome:
        if _leaves(item):
            if after is None or consent_of(after, self._options.topic)[0] is Word.DENIED:
                return Outcome(item.email)
            refusal = (
                refusal or f"{self._name} took the unsubscribe, but still shows the person as subscribed."
            )
        return Outcome(item.email, "refused", refusal) if refusal else Outcome(item.email)

    # Answers

    async def _get(self, path: str, params: dict[str, Any]) -> dict[str, Any]:
        return self._succeeded(await self._http.json("GET", path, params=params))

    def _succeeded(self, answer: Any) -> dict[str, Any]:
        if not isinstance(answer, dict) or not answer.get("success"):
            raise Refused("unreachable", f"{self._name} did not do what was asked: {_complaint(answer)}")
        return answer

    def _explain(self, response: httpx2.Response) -> Exception | None:
        """By status: the texts come in the account's language."""
        status = response.status_code
        if status < 400 or status in (401, 408, 429):
            return None
        if response.content.lstrip().startswith(b"<"):
            return self._no_account() if status < 500 else None
        words = _complaint(_decoded(response))
        if status >= 500:
            return Retry(f"{self._name} has had too many requests.") if "Rate limit" in words else None
        if "Account does not exist" in words:
            return self._no_account()
        if status == 403:
            return self._forbidden(words)
        return Refused("not_found" if status == 404 else "unreachable", f"{self._name} refuses: {words}")

    def _no_account(self) -> Stop:
        return Stop(
            "unreachable",
            f"There is no RetailCRM account at the url of {self._name}. Set it to the account's own "
            "address, for example https://acme.retailcrm.ru.",
        )

    def _forbidden(self, words: str) -> Stop:
        if "apiKey" in words:
            return Stop(
                "credentials",
                f"{self._name} does not accept the API key. Make a new one in the "
                "account's settings and put it into the configuration.",
            )
        return Stop(
            "permission",
            f"The API key of {self._name} lacks a permission (403: {words}). Give it the scopes "
            f"{', '.join(SCOPES)} and access to the shop.",
        )


# --- translation -------------------------------------------------------------------------------------


def note_customer(entry: dict[str, Any], changes: Changes) -> None:
    """One entry of the customers' history.

    Entries of our own key are no exception: a shop module may use the same key, and dropping them would
    lose its opt-outs. Reading them again costs one call and cannot start a loop.
    """
    person = str(entry["customer"]["id"])
    if combined := entry.get("combinedTo"):
        changes.changed.add(str(combined["id"]))
    if combined or entry.get("deleted"):
        changes.gone.add(person)
    elif entry.get("field") not in FIELDS_OUTSIDE_ROWS:
        changes.changed.add(person)


def note_order(entry: dict[str, Any], changes: Changes) -> None:
    """One entry of the orders' history: only new, deleted and reassigned orders name their customer."""
    people = [entry.get("order", {}).get("customer")]
    if entry.get("field") == "customer":
        people += [entry.get("oldValue"), entry.get("newValue")]
    changes.changed.update(str(person["id"]) for person in people if isinstance(person, dict))


def to_row(customer: dict[str, Any], zone: ZoneInfo, topic: str | None) -> Row:
    """A customer under our column names; what is empty is left out, but for the address."""
    word, at = consent_of(customer, topic)
    address = customer.get("address") or {}
    row = custom_columns(customer.get("customFields"))
    row |= {ours: customer.get(theirs) for theirs, ours in COLUMNS.items()}
    row |= {ours: address.get(theirs) for theirs, ours in ADDRESS_COLUMNS.items()}
    row |= {
        "street": ", ".join(str(address[part]) for part in STREET_PARTS if address.get(part)),
        "phone": next((p["number"] for p in customer.get("phones") or () if p.get("number")), None),
        "consent": word.value,
        "consent_at": _utc(at, zone),
        "segments": sorted(s["code"] for s in customer.get("segments") or ()),
        "created_at": _utc(customer.get("createdAt"), zone),
    }
    filled = {column: value for column, value in row.items() if value not in (None, "", [])}
    return {"id": str(customer["id"]), "email": customer.get("email") or "", **filled}


def consent_of(customer: dict[str, Any], topic: str | None) -> tuple[Word, str | None]:
    """The word on marketing e-mail and since when, in the account's time. Other channels say nothing."""
    if left := customer.get("emailMarketingUnsubscribedAt"):
        return Word.DENIED, left
    says = email_topics(customer, topic)
    for subscribed, word in ((False, Word.DENIED), (True, Word.GRANTED)):
        times = [s.get("changedAt") or "" for s in says if s.get("subscribed") is subscribed]
        if times:
            return word, max(times)
    return Word.UNKNOWN, None


def email_topics(customer: dict[str, Any], topic: str | None) -> list[dict[str, Any]]:
    """The subscriptions that count: the named topic, or every e-mail topic that is in use."""
    return [
        told
        for told in customer.get("customerSubscriptions") or ()
        if told["subscription"].get("channel") == "email"
        and (told["subscription"].get("code") == topic if topic else told["subscription"].get("active", True))
    ]


def topics_to_leave(customer: dict[str, Any], topic: str | None) -> list[dict[str, Any]]:
    """The body that takes a person out of every topic that counts and that they have not left."""
    told = {s["subscription"]["code"]: s.get("subscribed") for s in email_topics(customer, topic)}
    codes = [topic] if topic else list(told)
    return [
        {"channel": "email", "subscription": code, "active": False}
        for code in codes
        if told.get(code) is not False
    ]


def edit_for(item: News, customer: dict[str, Any], bounce_field: str | None) -> dict[str, Any]:
    """The fields to edit; empty if the platform has it all."""
    if _leaves(item):
        return {} if customer.get("emailMarketingUnsubscribedAt") else {"subscribed": False}
    if bounce_field:
        present = (customer.get("customFields") or {}).get(bounce_field)
        return {} if present == BOUNCE else {"customFields": {bounce_field: BOUNCE}}
    tags = {tag["name"] for tag in customer.get("tags") or ()}
    return {} if BOUNCE in tags else {"addTags": [BOUNCE]}


def custom_columns(fields: Any) -> Row:
    """Custom fields under their own codes. The platform writes ``[]`` for none."""
    if not isinstance(fields, dict):
        return {}
    return {f"custom_{c}" if c in GUARDED_COLUMNS else c: custom_value(v) for c, v in fields.items()}


def custom_value(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ";".join(str(custom_value(part)) for part in value)
    return _text(value) if isinstance(value, dict) else value


def _utc(told: str | None, zone: ZoneInfo) -> str | None:
    """The platform's times carry no zone; they are the account's."""
    if not told:
        return None
    at = datetime.fromisoformat(told)
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC).isoformat()


def _leaves(item: News) -> bool:
    return item.what == "unsubscribed"


def _came_or_went(present: set[str], page: Page) -> bool:
    """Bring the set of those present up to date; tell whether anybody came or went."""
    ids = {row["id"] for row in page.rows}
    news = bool(page.gone) or not ids <= present
    present |= ids
    present.difference_update(page.gone)
    return news


def _newest_id(history: Listing) -> int:
    return max((entry["id"] for entry in history.rows), default=0)


def _complaint(answer: Any) -> str:
    """The platform's own words, whatever form they came in."""
    if not isinstance(answer, dict):
        return "no words were given."
    errors = answer.get("errors") or []
    told = [f"{k}: {v}" for k, v in errors.items()] if isinstance(errors, dict) else [str(e) for e in errors]
    return "; ".join([str(answer.get("errorMsg") or "no words were given."), *told])


def _decoded(response: httpx2.Response) -> Any:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None


def _text(content: Any) -> str:
    return orjson.dumps(content).decode()


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


async def _together(awaitables: Iterable[Awaitable[T]]) -> list[T]:
    """All at once, in order. Each is waited for, so that no request outlives a failure of another."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    await asyncio.gather(*tasks, return_exceptions=True)
    return [task.result() for task in tasks]


async def _unless_refused(awaitable: Awaitable[int]) -> int | None:
    """None where this key may not read it, or the account does not have it."""
    try:
        return await awaitable
    except Stop as error:
        if error.kind not in ("permission", "not_found"):
            raise
        return None


connector = Connector(
    name="retailcrm",
    title="RetailCRM",
    options=RetailCrmOptions,
    source=RetailCrm,
    verified=(
        "Shapes of customers, segments, histories, errors: recorded answers in the vendor's own clients",
        "Form of edit and subscriptions, page limits, rate: models and code of the same clients",
        "Behaviour: the sandbox retailcrm, built from these; no live account",
    ),
    unsure=(
        "Which of the two marks of an unsubscribe an account honours: both are written, then read back",
        "The word `bounce` as a tag (addTags): the platform has no field of its own for bounces",
        "An edit of one custom field leaves the others alone",
        "The history goes from old to new, and `manager` and `tags` are names of fields in it",
        "How long the history is kept: after a rest of months run with --full once",
        "An order that only changes its sum names no customer: total_spent may lag until a full read",
    ),
)
