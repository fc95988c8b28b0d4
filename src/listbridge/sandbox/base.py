"""What all sandbox platforms share: routes, recorded requests, faults, a control surface.

A sandbox is a stand-in for a platform: it holds its state in memory and answers as the platform would.
A subclass gives ``name``, ``base_path``, its ``routes`` and, where the platform has words of its own, the
answers ``refuse``, ``unknown_path``, ``wrong_method`` and ``fault_answer``. It is met in three ways:
``transport()`` for a client in the same process, ``app`` for any ASGI server, ``serve.running`` for a socket.
"""

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import httpx2
import orjson

from listbridge.sandbox.faults import BadFault, Fault, Faults

CONTROL = "/__sandbox__"
#: Key in the ASGI scope under which a server offers a way to close the connection without an answer.
CUT = "listbridge.cut"

_JSON = "application/json; charset=utf-8"
_PAGE = b"<!DOCTYPE html><html><head><title>%s</title></head><body><h1>%s</h1></body></html>"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Cut(Exception):
    """The connection ends here, without an answer or in the middle of one."""


@dataclass(slots=True)
class Answer:
    """What the platform answers. ``headers`` come on top of type and length."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = _JSON

    @classmethod
    def json(cls, content: Any, status: int = 200, **headers: str) -> "Answer":
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return cls(status, orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS), named)

    @classmethod
    def page(cls, status: int, title: str) -> "Answer":
        """A web page, as a server in front of the platform shows it."""
        words = title.encode()
        return cls(status, _PAGE % (words, words), content_type="text/html; charset=utf-8")

    def all_headers(self) -> dict[str, str]:
        headers = {"Content-Length": str(len(self.body))}
        if self.body:
            headers["Content-Type"] = self.content_type
        return headers | self.headers


@dataclass(slots=True)
class Request:
    """One request and, once there is one, its answer. ``path`` is below the platform's base path;
    ``origin`` is what the client's URL had before that base path."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes
    at: float = 0.0
    params: dict[str, str] = field(default_factory=dict)
    writes: bool = False
    status: int | None = None
    answer: bytes = b""
    fault: str | None = None
    origin: str = ""
    _query: dict[str, str] | None = None

    @property
    def query(self) -> dict[str, str]:
        """The last value of each query parameter."""
        if self._query is None:
            self._query = dict(self.pairs)
        return self._query

    @query.setter
    def query(self, values: dict[str, str]) -> None:
        self._query = values

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The query in its order, repeated names kept."""
        return parse_qsl(self.query_string, keep_blank_values=True)

    def json(self) -> Any:
        """The body decoded. Raises ``orjson.JSONDecodeError`` (a ``ValueError``)."""
        return orjson.loads(self.body)

    def form(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)


Handler = Callable[[Request], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """``pattern`` is a path below the base path; ``{word}`` stands for one segment, found in ``params``."""

    method: str
    pattern: str
    handler: Handler
    writes: bool = False

    def regex(self) -> re.Pattern[str]:
        parts = re.split(r"{(\w+)}", self.pattern)
        source = "".join(f"(?P<{x}>[^/]+)" if i % 2 else re.escape(x) for i, x in enumerate(parts))
        return re.compile(source)


@dataclass(slots=True)
class Calls:
    """How many requests came. ``write`` counts those that change data; the control surface counts nowhere."""

    read: int = 0
    write: int = 0

    @property
    def total(self) -> int:
        return self.read + self.write


@dataclass(slots=True)
class _Hook:
    when: Callable[[Request], bool]
    act: Callable[[], object]
    once: bool


class Sandbox:
    """A platform in memory.

    ``lock`` is held while a request is answered; a test that changes data from another thread, while
    something reads over a socket, takes it too. ``keep_bodies=False`` saves memory in long runs.
    ``max_simultaneous``: more requests than that at one time are answered 429 (None: no bound).
    """

    name: ClassVar[str] = ""
    base_path: ClassVar[str] = ""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        latency_seconds: float = 0.0,
        max_simultaneous: int | None = None,
        keep_bodies: bool = True,
    ) -> None:
        self.clock = clock
        self.latency_seconds = latency_seconds
        self.max_simultaneous = max_simultaneous
        self.keep_bodies = keep_bodies
        self.faults = Faults()
        self.lock = threading.RLock()
        self.forget_requests()

    # What a platform says about itself

    def routes(self) -> list[Route]:
        raise NotImplementedError

    def refuse(self, request: Request) -> Answer | None:
        """The answer to a request whose credentials are wrong; None lets it pass."""
        return None

    def unknown_path(self, request: Request) -> Answer:
        return self.problem(404, "Nothing is at this path.")

    def wrong_method(self, request: Request, allowed: list[str]) -> Answer:
        answer = self.problem(405, f"Allowed here: {', '.join(allowed)}.")
        answer.headers["Allow"] = ", ".join(allowed)
        return answer

    def problem(self, status: int, words: str) -> Answer:
        """An error in the platform's own form."""
        return Answer.json({"error": words}, status)

    def fault_answer(self, fault: Fault, request: Request) -> Answer:
        """What the platform answers for ``429``, ``500``, ``503`` and ``expired_key``."""
        words = {"429": "Too many requests.", "500": "Internal error.", "503": "Unavailable."}
        status = 401 if fault.do == "expired_key" else int(fault.do)
        answer = self.problem(status, words.get(fault.do, "The key is not valid."))
        if fault.retry_after is not None:
            answer.headers["Retry-After"] = f"{fault.retry_after:g}"
        return answer

    def halve_page(self, request: Request) -> None:
        """Ask for half of the page in the place of the client (its page parameter lowered)."""
        raise BadFault(f"{self.name} does not know half pages.")

    def finish(self, request: Request, answer: Answer) -> None:
        """A last hand on every answer, e.g. a header with the request's id."""

    def summary(self) -> dict[str, Any]:
        """The state in figures, for people."""
        return {}

    def actions(self) -> dict[str, Callable[..., Any]]:
        """What people can do by hand at the platform: name to function, called with the posted object."""
        return {}

    def reset(self) -> None:
        """Back to the beginning: no data, no faults, no requests. Subclasses empty their data too."""
        self.faults.clear()
        self.forget_requests()

    # For tests

    def forget_requests(self) -> None:
        self.requests: list[Request] = []
        self.calls = Calls()
        self.running = 0
        self.peak_simultaneous = 0
        self._hooks: list[_Hook] = []

    def on_request(
        self, when: int | Callable[[Request], bool], act: Callable[[], object], *, once: bool = True
    ) -> None:
        """Call ``act`` before a request is handled: the ``when``-th from now on (1 is the next), or each
        (with ``once``, the first) for which the predicate holds."""
        if isinstance(when, int):
            countdown = iter(range(when - 1, -1, -1))
            self._hooks.append(_Hook(lambda _request: next(countdown, 1) == 0, act, True))
        else:
            self._hooks.append(_Hook(when, act, once))

    def transport(self) -> httpx2.AsyncBaseTransport:
        """A transport for a client in the same process; any host will do in the client's base URL."""
        return SandboxTransport(self)

    @property
    def app(self) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """The platform as an ASGI application. A cut is an exception, ``Cut``, unless the server offers
        a function under ``CUT`` in the scope."""
        return self._asgi

    # One request

    async def answer(self, request: Request) -> Answer:
        """Handle one request below the base path. Raises ``Cut`` where a fault says so; with
        ``cut_middle`` the answer carries twice its length."""
        request.at = self.clock()
        route, allowed = self._find(request)
        request.writes = route.writes if route else request.method not in ("GET", "HEAD")
        self._count(request)
        self.running += 1
        self.peak_simultaneous = max(self.peak_simultaneous, self.running)
        try:
            return await self._answer(request, route, allowed)
        finally:
            self.running -= 1
            if not self.keep_bodies:
                request.body = b""

    def _count(self, request: Request) -> None:
        self.requests.append(request)
        if request.writes:
            self.calls.write += 1
        else:
            self.calls.read += 1

    async def _answer(self, request: Request, route: Route | None, allowed: list[str]) -> Answer:
        crowded = self.max_simultaneous is not None and self.running > self.max_simultaneous
        self._run_hooks(request)
        struck = self.faults.striking(request.method, request.path)
        wait = self.latency_seconds + sum(fault.seconds for fault in struck if fault.do == "slow")
        if wait > 0 and not crowded:
            await asyncio.sleep(wait)
        fault = next((fault for fault in struck if fault.do != "slow"), None)
        request.fault = struck[0].do if struck else None
        if crowded:
            fault = Fault("429")
        before = self._instead(fault, request) if fault else None
        answer = before or self._handle(request, route, allowed)
        return self._spoil(fault, request, answer)

    def _run_hooks(self, request: Request) -> None:
        for hook in list(self._hooks):
            if hook.when(request):
                if hook.once:
                    self._hooks.remove(hook)
                with self.lock:
                    hook.act()

    def _instead(self, fault: Fault, request: Request) -> Answer | None:
        """The answer of a fault that keeps the request from having any effect."""
        if fault.do == "cut_before":
            raise Cut(fault.do)
        if fault.do in ("429", "500", "503", "expired_key"):
            return self.fault_answer(fault, request)
        if fault.do == "403_empty":
            return Answer(403)
        if fault.do == "502_html":
            return Answer.page(502, "502 Bad Gateway")
        if fault.do == "html":
            return Answer.page(200, "Down for maintenance")
        if fault.do == "redirect":
            return Answer(302, headers={"Location": fault.location})
        if fault.do == "half_page":
            self.halve_page(request)
        return None

    def _handle(self, request: Request, route: Route | None, allowed: list[str]) -> Answer:
        with self.lock:
            refused = self.refuse(request)
            if refused is not None:
                return refused
            if route is not None:
                return route.handler(request)
            return self.wrong_method(request, allowed) if allowed else self.unknown_path(request)

    def _spoil(self, fault: Fault | None, request: Request, answer: Answer) -> Answer:
        self.finish(request, answer)
        if fault is not None and fault.do == "cut_after":
            raise Cut(fault.do)
        if fault is not None and fault.do in ("truncated", "cut_middle"):
            whole = len(answer.body)
            answer.body = answer.body[: whole // 2]
            if fault.do == "cut_middle":
                answer.headers["Content-Length"] = str(max(whole, len(answer.body) + 1))
        request.status = answer.status
        if self.keep_bodies:
            request.answer = answer.body
        return answer

    @cached_property
    def _table(self) -> dict[int, list[tuple[re.Pattern[str], Route]]]:
        """Routes by their number of segments."""
        table: dict[int, list[tuple[re.Pattern[str], Route]]] = {}
        for route in self.routes():
            table.setdefault(route.pattern.count("/"), []).append((route.regex(), route))
        return table

    def _find(self, request: Request) -> tuple[Route | None, list[str]]:
        """The route, or the methods that this path would allow."""
        allowed = []
        for regex, route in self._table.get(request.path.count("/"), ()):
            found = regex.fullmatch(request.path)
            if found and route.method == request.method:
                request.params = found.groupdict()
                return route, []
            if found:
                allowed.append(route.method)
        return None, allowed

    # ASGI and the control surface

    async def _asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _lifespan(scope, receive, send)
            return
        request = _from_scope(scope, await _body(receive))
        answer = None
        try:
            answer = await self.answer_any(request)
        except Cut:
            await _cut(scope, send, None)
            return
        if _is_short(answer):
            await _cut(scope, send, answer)
            return
        await send_answer(send, answer)

    async def answer_any(self, request: Request) -> Answer:
        """Handle one request of a whole socket: the platform's, or one to the control surface."""
        path = request.path
        if path == CONTROL or path.startswith(CONTROL + "/"):
            words = path[len(CONTROL) :].strip("/").split("/")
            return self.control(request, words[1:] if words[0] == self.name else words)
        if self.base_path and not path.startswith(self.base_path + "/") and path != self.base_path:
            return Answer.page(404, "404 Not Found")
        request.path = path[len(self.base_path) :] or "/"
        return await self.answer(request)

    def control(self, request: Request, words: list[str]) -> Answer:
        """The control surface: state, faults, reset and what people do by hand at the platform.

        ``GET /``, ``GET|POST|DELETE /faults``, ``POST /reset``, ``POST /ACTION`` with its arguments.
        """
        method, word = request.method, words[0] if words else ""
        try:
            with self.lock:
                return Answer.json(self._command(method, word, request))
        except (TypeError, ValueError, KeyError) as error:
            return Answer.json({"error": str(error)}, 400)

    def _command(self, method: str, word: str, request: Request) -> Any:
        if method == "GET" and not word:
            return self.state()
        if word == "faults":
            return self._fault_command(method, request)
        if method == "POST" and word == "reset":
            self.reset()
            return self.state()
        action = self.actions().get(word)
        if method != "POST" or action is None:
            known = ", ".join(["faults", "reset", *self.actions()])
            raise ValueError(f"GET / shows the state; POST one of: {known}.")
        return {"result": action(**(request.json() if request.body else {}))}

    def _fault_command(self, method: str, request: Request) -> Any:
        if method == "POST":
            rules = request.json()
            for rule in rules if isinstance(rules, list) else [rules]:
                self.faults.add_rule(rule)
        elif method == "DELETE":
            self.faults.clear()
        return [fault.rule() for fault in self.faults]

    def state(self) -> dict[str, Any]:
        """What ``GET /__sandbox__/`` shows."""
        return {
            "name": self.name,
            "calls": {"read": self.calls.read, "write": self.calls.write},
            "running": self.running,
            "peak_simultaneous": self.peak_simultaneous,
            "faults": [fault.rule() for fault in self.faults],
            "actions": sorted(self.actions()),
            **self.summary(),
        }


class SandboxTransport(httpx2.AsyncBaseTransport):
    """The sandbox as a transport. A cut is the error that a socket would give; the client's read timeout
    holds, and a request given up by the client goes on here, as it does at a platform."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        incoming = _from_client(request, await request.aread())
        task = asyncio.ensure_future(self._sandbox.answer_any(incoming))
        seconds = request.extensions.get("timeout", {}).get("read")
        done, _waiting = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise httpx2.ReadTimeout("The sandbox took too long.", request=request)
        return _to_client(request, task)


def _to_client(request: httpx2.Request, task: "asyncio.Future[Answer]") -> httpx2.Response:
    try:
        answer = task.result()
    except Cut as cut:
        kind = httpx2.ReadError if str(cut) == "cut_before" else httpx2.RemoteProtocolError
        raise kind("Server disconnected without sending a response.", request=request) from cut
    if _is_short(answer):
        words = "peer closed connection without sending complete message body"
        raise httpx2.RemoteProtocolError(words, request=request)
    return httpx2.Response(answer.status, headers=answer.all_headers(), content=answer.body)


def _from_client(request: httpx2.Request, body: bytes) -> Request:
    url = request.url
    return Request(
        request.method,
        url.path,
        url.query.decode("ascii"),
        {key.lower(): value for key, value in request.headers.items()},
        body,
        origin=f"{url.scheme}://{url.netloc.decode('ascii')}",
    )


def _from_scope(scope: Scope, body: bytes) -> Request:
    headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
    return Request(
        scope["method"],
        scope["path"],
        scope.get("query_string", b"").decode("latin-1"),
        headers,
        body,
        origin=f"{scope.get('scheme', 'http')}://{headers.get('host', '')}{scope.get('root_path', '')}",
    )


async def _body(receive: Receive) -> bytes:
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


def _is_short(answer: Answer) -> bool:
    told = answer.headers.get("Content-Length")
    return told is not None and int(told) != len(answer.body)


async def _cut(scope: Scope, send: Send, answer: Answer | None) -> None:
    """Close the connection, after half an answer if there is one."""
    close = scope.get(CUT)
    if close is None:
        raise Cut("The connection is cut.")
    if answer is not None:
        await send_answer(send, answer, more=True)
    close(answer is None)


async def send_answer(send: Send, answer: Answer, *, more: bool = False) -> None:
    headers = [(key.lower().encode(), value.encode("latin-1")) for key, value in answer.all_headers().items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": more})


async def _lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "lifespan":
        raise ValueError(f"A sandbox speaks HTTP only, not {scope['type']}.")
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
