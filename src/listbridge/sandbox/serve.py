"""Sandboxes behind a real socket.

One sandbox is found at its own base path, e.g. ``http://127.0.0.1:8080/3.0``. Several are found below
their names: ``http://127.0.0.1:8080/mailchimp/3.0``. The control surface is ``/__sandbox__/`` for one and
``/__sandbox__/NAME/`` for any of them.
"""

import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from listbridge.sandbox.base import CONTROL, CUT, Answer, Receive, Sandbox, Scope, Send, send_answer

if TYPE_CHECKING:
    import uvicorn

Urls = dict[str, str]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_START_SECONDS = 10.0
_IDLE_SECONDS = 300


def serve(
    sandboxes: Sequence[Sandbox],
    host: str = "127.0.0.1",
    port: int = 8765,
    ready: Callable[[Urls], None] | None = None,
) -> None:
    """Serve until the process is told to stop; ``ready`` gets the base URL of each sandbox by its name."""
    listening = _listen(host, port)
    urls = _urls(sandboxes, listening)
    _server(sandboxes, lambda: ready(urls) if ready else None).run(sockets=[listening])


@contextmanager
def running(sandboxes: Sequence[Sandbox] | Sandbox, port: int = 0) -> Iterator[Urls]:
    """Serve from a thread of its own on a free port of the loopback; yields the base URLs by name."""
    several = [sandboxes] if isinstance(sandboxes, Sandbox) else list(sandboxes)
    listening = _listen("127.0.0.1", port)
    started = threading.Event()
    server = _server(several, started.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        _await_start(started, thread)
        yield _urls(several, listening)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def mount(sandboxes: Sequence[Sandbox]) -> App:
    """Several sandboxes as one ASGI application."""
    by_name = _by_name(sandboxes)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        sandbox = _find(by_name, scope)
        if sandbox is not None:
            await sandbox.app(scope, receive, send)
        elif scope["type"] == "http":
            places = {name: f"/{name}{each.base_path}" for name, each in by_name.items()}
            status = 200 if scope["path"].startswith(CONTROL) else 404
            await send_answer(send, Answer.json({"sandboxes": places, "control": f"{CONTROL}/NAME/"}, status))

    return app


def _by_name(sandboxes: Sequence[Sandbox]) -> dict[str, Sandbox]:
    by_name = {sandbox.name: sandbox for sandbox in sandboxes}
    if len(by_name) != len(sandboxes) or not sandboxes:
        raise ValueError("Serve at least one sandbox, and each platform once only.")
    return by_name


def _find(by_name: Mapping[str, Sandbox], scope: Scope) -> Sandbox | None:
    """The sandbox meant by a path; its name is taken off the path."""
    only = next(iter(by_name.values())) if len(by_name) == 1 else None
    words = scope.get("path", "/").split("/", 3)[1:]
    if words[0] == CONTROL.strip("/"):
        return by_name.get(words[1]) if len(words) > 1 and words[1] in by_name else only
    if words[0] in by_name:
        scope["path"] = scope["path"].removeprefix("/" + words[0]) or "/"
        scope["root_path"] = "/" + words[0]
        return by_name[words[0]]
    return only


def _urls(sandboxes: Sequence[Sandbox], listening: socket.socket) -> Urls:
    host, port = listening.getsockname()[:2]
    root = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    several = len(sandboxes) > 1
    return {each.name: root + (f"/{each.name}" if several else "") + each.base_path for each in sandboxes}


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


def _await_start(started: threading.Event, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not started.wait(0.05):
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("The sandbox did not start.")


def _server(sandboxes: Sequence[Sandbox], on_start: Callable[[], object]) -> "uvicorn.Server":
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        """Lets the application close the connection without an answer."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            inner = self.app

            def close(at_once: bool) -> None:
                self.cycle.disconnected = True
                if at_once:
                    self.transport.abort()
                else:
                    self.transport.close()

            async def app(scope: Any, receive: Any, send: Any) -> None:
                scope[CUT] = close
                await inner(scope, receive, send)

            self.app = app

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            on_start()

    config = uvicorn.Config(
        mount(sandboxes),
        http=Protocol,
        lifespan="off",
        log_level="critical",
        access_log=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=1,
    )
    return Server(config)
