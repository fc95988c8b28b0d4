"""The one HTTP client: pacing, retrying, counting, and errors that say what to do.

Connectors never sleep, never retry and never see a transport. They say what a request means
(``writes``: it changes data there; ``repeatable``: sending it twice is harmless) and translate their
platform's answers with an ``explain`` function; everything else is here.
"""

import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import httpx2
import orjson
import stamina

from listbridge.errors import Retry, Stop, Unknown

Explain = Callable[[httpx2.Response], Exception | None]

stamina.instrumentation.set_on_retry_hooks([])  # a retry is counted, and is no news for the terminal


@dataclass(slots=True)
class Calls:
    """How many requests went out, retries included. ``write`` counts those that change data there."""

    read: int = 0
    write: int = 0


class Limiter(Protocol):
    """Whoever shares out the right to call one account."""

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Held while a request is under way."""

    def push_back(self, seconds: float) -> None:
        """The account asked everybody to wait."""


class Unlimited:
    """A limiter for where there is nothing to share."""

    @asynccontextmanager
    async def _free(self) -> Any:
        yield

    def slot(self) -> AbstractAsyncContextManager[None]:
        return self._free()

    def push_back(self, seconds: float) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and in which steps a failing request is tried again."""

    retry_for_seconds: float = 90.0
    first_wait_seconds: float = 0.1
    longest_wait_seconds: float = 10.0
    jitter_seconds: float = 0.1


class Http:
    """One account's client.

    Raises from :meth:`call`: ``Stop`` when a person must mend something or patience has run out,
    ``Unknown`` when a write that must not be repeated blindly was cut off, whatever ``explain`` returns
    otherwise. Redirects are never followed: a shop that redirects would get its key sent elsewhere.
    """

    def __init__(
        self,
        base_url: str,
        *,
        name: str,
        headers: Mapping[str, str] | None = None,
        explain: Explain | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        limiter: Limiter | None = None,
        calls: Calls | None = None,
        patience: Patience | None = None,
        connections: int = 10,
        timeout_seconds: float = 120.0,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.name = name
        self.calls = calls if calls is not None else Calls()
        self._explain = explain or (lambda _response: None)
        self._limiter = limiter or Unlimited()
        self._patience = patience or Patience()
        self._client = httpx2.AsyncClient(
            headers={"User-Agent": "listbridge", **(headers or {})},
            transport=transport,
            timeout=httpx2.Timeout(timeout_seconds, connect=min(20.0, timeout_seconds), pool=None),
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
            follow_redirects=False,
            verify=_tls() if base_url.startswith("https") and transport is None else False,
            trust_env=transport is None,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def json(self, method: str, path: str, **request: Any) -> Any:
        """As :meth:`call`, the answer's body decoded. A body that is no JSON is told as such."""
        response = await self.call(method, path, **request)
        if not response.content:
            return None
        try:
            return orjson.loads(response.content)
        except orjson.JSONDecodeError:
            raise self._not_data(response) from None

    async def call(
        self,
        method: str,
        path: str,
        *,
        writes: bool = False,
        repeatable: bool = True,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        form: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """Send one request until it is answered for good. ``path`` is below the base URL."""
        sent_headers = dict(headers or {})
        content = None
        if json is not None:
            content = orjson.dumps(json)
            sent_headers.setdefault("Content-Type", "application/json")
        url = path if path.startswith(("http://", "https://")) else self.base_url + path

        async def once() -> httpx2.Response:
            if writes:
                self.calls.write += 1
            else:
                self.calls.read += 1
            async with self._limiter.slot():
                response = await self._send(
                    method, url, repeatable, params=params, content=content, data=form, headers=sent_headers
                )
            return self._judge(response, repeatable=repeatable)

        return await self._patiently(once)

    async def _patiently(self, once: Callable[[], Any]) -> httpx2.Response:
        patience = self._patience
        try:
            async for attempt in stamina.retry_context(
                on=self._wait_or_give_up,
                attempts=None,
                timeout=patience.retry_for_seconds,
                wait_initial=patience.first_wait_seconds,
                wait_max=patience.longest_wait_seconds,
                wait_jitter=patience.jitter_seconds,
            ):
                with attempt:
                    return await once()  # type: ignore[no-any-return]
        except Retry as error:
            raise Stop(
                "unreachable",
                f"{self.name} did not answer properly for {patience.retry_for_seconds:g} seconds: {error} "
                "Nothing is lost; run again later, or raise retry_for in the connection.",
            ) from error
        raise AssertionError("the loop above returns or raises")

    def _wait_or_give_up(self, error: Exception) -> bool | timedelta:
        if not isinstance(error, Retry):
            return False
        if error.after_seconds is None:
            return True
        self._limiter.push_back(error.after_seconds)
        return timedelta(seconds=error.after_seconds)

    async def _send(self, method: str, url: str, repeatable: bool, **request: Any) -> httpx2.Response:
        try:
            return await self._client.request(method, url, **request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise Retry(f"No connection to {_host(url)} ({type(error).__name__}).") from error
        except httpx2.UnsupportedProtocol as error:
            raise Stop(
                "configuration", f"The url of {self.name} must begin with https:// or http://."
            ) from error
        except httpx2.TransportError as error:
            words = f"The connection to {_host(url)} was cut before an answer came ({type(error).__name__})."
            raise (Retry(words) if repeatable else Unknown(words)) from error

    def _judge(self, response: httpx2.Response, *, repeatable: bool) -> httpx2.Response:
        status = response.status_code
        if 300 <= status < 400 and status != 304:
            target = response.headers.get("Location", "another address")
            raise Stop(
                "redirected",
                f"{self.name} redirects {_host(str(response.url))} to {_host(target)}. "
                "Set url to the final address, or switch off the redirect (often a shop in its test phase).",
            )
        explained = self._explain(response)
        if explained is not None:
            raise explained
        if status < 400:
            return response
        words = f"{_host(str(response.url))} answered {status} {response.reason_phrase}."
        if status == 429:
            raise Retry(words, _retry_after(response))
        if status >= 500 or status == 408:
            raise Retry(words) if repeatable else Unknown(words)
        if status == 401:
            raise Stop(
                "credentials",
                f"{self.name} does not accept the credentials (401). Make a new key there and put it into "
                "the configuration.",
            )
        if status == 403:
            raise Stop(
                "permission",
                f"{self.name} refuses access (403): the key lacks a permission or the account is closed.",
            )
        if _is_page(response):
            raise self._not_data(response)
        if status == 404:
            raise Stop("not_found", f"{self.name} has nothing at {response.url.path} (404).")
        raise Stop("unreachable", f"{words} {response.text[:300]}")

    def _not_data(self, response: httpx2.Response) -> Stop:
        kind = "a web page" if _is_page(response) else "something that is no JSON"
        return Stop(
            "unreachable",
            f"{self.name} answered with {kind} instead of data ({response.status_code} at "
            f"{_host(str(response.url))}). The address may be wrong, or the shop is closed or in "
            "maintenance; open it in a browser.",
        )


def _is_page(response: httpx2.Response) -> bool:
    return response.content[:200].lstrip().startswith(b"<")


def _retry_after(response: httpx2.Response) -> float | None:
    try:
        return min(float(response.headers.get("Retry-After", "")), 300.0)
    except ValueError:
        return None


def _host(url: str) -> str:
    """Scheme and host alone: paths and queries may hold secrets or addresses."""
    parsed = httpx2.URL(url)
    return f"{parsed.scheme}://{parsed.host}" if parsed.host else url.partition("?")[0]


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
