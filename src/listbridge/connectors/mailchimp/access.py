"""The way to a Mailchimp account: options, address, key, requests, and what its errors mean."""

import asyncio
import re
from base64 import b64encode
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, TypeVar

import httpx2
import orjson
from pydantic import Field, SecretStr

from listbridge.connectors.base import Context, DestinationOptions
from listbridge.errors import Misconfigured, Retry, Stop, StopKind, Unknown

T = TypeVar("T")

PAGE = 1000  # a bigger `count` is clamped in silence
CONNECTIONS = 10  # for each user of the account, over all keys
TIMEOUT_SECONDS = 120.0  # the server's own

PLAN_WORDS = re.compile(r"\b(plan|upgrade|(contact|audience|subscriber|member)s? limit)\b", re.IGNORECASE)
ADDRESS = re.compile(r"[^\s\"'<>]+@[^\s\"'<>]+")


class MailchimpOptions(DestinationOptions):
    """The audiences of a Mailchimp account."""

    api_key: SecretStr | None = Field(
        default=None, description="API key; it ends in the data centre, as in `…-us19`."
    )
    access_token: SecretStr | None = Field(
        default=None, description="OAuth access token, instead of `api_key`; it needs `url`."
    )
    url: str | None = Field(
        default=None,
        description="Base address with the version. Left out: `https://<dc>.api.mailchimp.com/3.0`, "
        "with the data centre at the end of the key.",
    )


class Problem(Stop):
    """An error in the platform's own form. What no method expects stops the run, without addresses."""

    def __init__(self, kind: StopKind, status: int, told: Mapping[str, Any]) -> None:
        self.status = status
        self.words = f"{told.get('title') or ''}: {told.get('detail') or ''}"
        errors = [each for each in told.get("errors") or () if isinstance(each, dict)]
        self.fields = {str(each.get("field") or ""): str(each.get("message") or "") for each in errors}
        lost = "".join(f" {name}: {words}." for name, words in self.fields.items())
        super().__init__(kind, f"Mailchimp refuses the request ({status}). {masked(self.words + lost)}")


class Requests:
    """What all parts of the connector send, counted, paced and repeated by the one client."""

    def __init__(self, options: MailchimpOptions, context: Context) -> None:
        self.name = context.name
        credentials = authorization(options, context.name)
        self.http = context.http(
            base_url(options, context.name),
            headers={"Authorization": credentials},
            explain=lambda response: explained(response, context.name),
            connections=CONNECTIONS,
            timeout_seconds=TIMEOUT_SECONDS,
        )

    async def get(self, path: str, **params: Any) -> Any:
        return await self.http.json("GET", path, params=params)

    async def post(self, path: str, body: Any, *, repeatable: bool = True) -> Any:
        return await self.http.json("POST", path, writes=True, repeatable=repeatable, json=body)

    async def all(self, path: str, key: str, fields: str, **params: Any) -> list[dict[str, Any]]:
        """Every row of a list that is no list of members."""
        rows: list[dict[str, Any]] = []
        params["fields"] = ",".join([*(f"{key}.{name}" for name in fields.split(",")), "total_items"])
        while True:
            offset = {"offset": len(rows)} if rows else {}
            told = await self.get(path, count=PAGE, **offset, **params)
            rows += told[key]
            if not told[key] or len(rows) >= told["total_items"]:
                return rows


def base_url(options: MailchimpOptions, name: str) -> str:
    """The address given, otherwise the one of the data centre that the key names."""
    if options.url:
        return options.url.rstrip("/")
    if options.api_key is None:
        raise Misconfigured(
            f"{name}: an access_token does not tell the data centre; give url, for example "
            "https://us19.api.mailchimp.com/3.0 (api_endpoint of Mailchimp's OAuth metadata, with /3.0)."
        )
    centre = options.api_key.get_secret_value().rpartition("-")[2]
    if "-" not in options.api_key.get_secret_value() or not re.fullmatch(r"[a-z]+[0-9]+", centre):
        raise Misconfigured(
            f"{name}: api_key does not end in a data centre such as -us19. Copy the whole key from "
            "Mailchimp, or give url."
        )
    return f"https://{centre}.api.mailchimp.com/3.0"


def authorization(options: MailchimpOptions, name: str) -> str:
    key, token = options.api_key, options.access_token
    if key is not None and token is None:
        return "Basic " + b64encode(f"listbridge:{key.get_secret_value()}".encode()).decode()
    if token is not None and key is None:
        return f"Bearer {token.get_secret_value()}"
    raise Misconfigured(f"{name}: give api_key or access_token, one of them.")


def explained(response: httpx2.Response, name: str) -> Exception | None:
    """What an answer means; ``None`` leaves it to the client, or to the method that asked."""
    status = response.status_code
    if status < 400:
        return cut_short(response, name)
    told = problem_in(response)
    if told is None:  # at very high volume the edge answers 403 without a reason
        return Retry(f"{name} answered 403 without a reason (too many requests).") if status == 403 else None
    words = masked(f"{told.get('title') or ''}: {told.get('detail') or ''}")
    if status == 401:
        return Stop(
            "credentials",
            f"{name} does not accept the key ({words}). Make a new one in Mailchimp (Account, Extras, "
            "API keys) and put it into the configuration.",
        )
    if status in (402, 403):
        kind: StopKind = "plan_limit" if PLAN_WORDS.search(words) else "permission"
        return Stop(
            kind,
            f"{name} refuses this to the key ({status} {words}). The user of the key lacks the right, the "
            "account is disabled, or its plan does not hold this; look into the account.",
        )
    if status in (408, 429) or status >= 500:
        return None
    return Problem("not_found" if status == 404 else "unreachable", status, told)


def cut_short(response: httpx2.Response, name: str) -> Exception | None:
    content = response.content
    if not content.startswith(b"{") or content.rstrip().endswith(b"}"):
        return None
    words = f"{name} gave an answer that ends in the middle."
    request = response.request
    harmless = request.method in ("GET", "PATCH", "DELETE") or "/segments/" in request.url.path
    return Retry(words) if harmless else Unknown(words)


def problem_in(response: httpx2.Response) -> dict[str, Any] | None:
    try:
        told = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None
    return told if isinstance(told, dict) else None


def masked(words: str) -> str:
    return ADDRESS.sub("(address)", words)


async def nothing() -> list[dict[str, Any]]:
    return []


async def together(calls: Iterable[Awaitable[T]]) -> list[T]:
    """All at once; the first that fails stops the others."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
