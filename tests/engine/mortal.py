"""Processes that die at a given step: between two requests, or before or after a transaction ends."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx2
from sqlalchemy import Connection

from listbridge.store import Store


class Died(BaseException):
    """Nothing of the process goes on after this."""


class Life:
    """Ends at the ``steps``-th step. A step is a request sent or answered, a transaction begun or ended."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def step(self) -> None:
        self.steps -= 1
        if self.steps <= 0:
            raise Died

    def transport(self, inner: httpx2.AsyncBaseTransport) -> httpx2.AsyncBaseTransport:
        return _Transport(self, inner)

    def store(self, inner: Store) -> Store:
        return _Store(self, inner)


class _Transport(httpx2.AsyncBaseTransport):
    def __init__(self, life: Life, inner: httpx2.AsyncBaseTransport) -> None:
        self._life, self._inner = life, inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._life.step()
        response = await self._inner.handle_async_request(request)
        self._life.step()
        return response


class _Store(Store):
    def __init__(self, life: Life, inner: Store) -> None:
        super().__init__(inner.engine)
        self._life = life

    def write(self) -> AbstractContextManager[Connection]:
        return self._mortal()

    @contextmanager
    def _mortal(self) -> Iterator[Connection]:
        self._life.step()
        with super().write() as connection:
            yield connection
            self._life.step()
        self._life.step()
