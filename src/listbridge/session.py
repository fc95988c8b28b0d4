"""One command's open things: configuration, store, connections, clock."""

import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import httpx2

from listbridge.config import Config
from listbridge.connectors.base import Context, Destination, Source
from listbridge.errors import Misconfigured
from listbridge.http import Calls, Explain, Http, Patience
from listbridge.store import Store, open_store
from listbridge.store.sharing import AccountLimiter


class Session:
    """Opens each connection once, when it is first needed, and closes everything at the end.

    ``transports`` gives connections another way to their platform than a socket: a stand-in in the same
    process. ``patience`` replaces how long failing requests are tried again. Both are for tests.
    """

    def __init__(
        self,
        config: Config,
        *,
        store: Store | None = None,
        transports: Mapping[str, httpx2.AsyncBaseTransport] | None = None,
        clock: Callable[[], float] = time.time,
        patience: Patience | None = None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.calls: dict[str, Calls] = {}
        self.read_sources: set[str] = set()
        self._owns_store = store is None
        self.store = store if store is not None else open_store(config.store)
        self._transports = transports or {}
        self._patience = patience
        self._sources: dict[str, Source] = {}
        self._destinations: dict[str, Destination] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for source in self._sources.values():
            await source.close()
        for destination in self._destinations.values():
            await destination.close()
        if self._owns_store:
            self.store.close()

    def source(self, name: str) -> Source:
        if name not in self._sources:
            connection = self.config.connections[name]
            if connection.connector.source is None:
                raise Misconfigured(f"{name} cannot be read from: {connection.connector.title} is no source.")
            self._sources[name] = connection.connector.source(connection.options, self._context(name))
        return self._sources[name]

    def destination(self, name: str) -> Destination:
        if name not in self._destinations:
            connection = self.config.connections[name]
            if connection.connector.destination is None:
                raise Misconfigured(
                    f"{name} cannot be written to: {connection.connector.title} is no destination."
                )
            self._destinations[name] = connection.connector.destination(
                connection.options, self._context(name)
            )
        return self._destinations[name]

    def calls_of(self, *names: str) -> Calls:
        """The requests so far of these connections together."""
        counted = [self.calls.get(name, Calls()) for name in names]
        return Calls(sum(one.read for one in counted), sum(one.write for one in counted))

    def _context(self, name: str) -> Context:
        return Context(name, self._folder(), lambda base_url, **given: self._http(name, base_url, **given))

    def _folder(self) -> Path:
        return self.config.folder

    def _http(
        self,
        name: str,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        explain: Explain | None = None,
        connections: int = 10,
        per_second: float | None = None,
        timeout_seconds: float = 120.0,
        **given: Any,
    ) -> Http:
        patience = self._patience or Patience(
            retry_for_seconds=float(self.config.connections[name].retry_for_seconds)
        )
        account = blake2b(f"{base_url} {sorted((headers or {}).items())}".encode(), digest_size=8).hexdigest()
        return Http(
            base_url,
            name=name,
            headers=headers,
            explain=explain,
            transport=self._transports.get(name),
            limiter=AccountLimiter(self.store, account, connections, per_second),
            calls=self.calls.setdefault(name, Calls()),
            patience=patience,
            connections=connections,
            timeout_seconds=timeout_seconds,
            **given,
        )
