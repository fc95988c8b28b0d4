"""News → source: unsubscribes and hard bounces are written back, each once."""

from dataclasses import dataclass, field

from listbridge.changes import News, Outcome
from listbridge.connectors.base import Source
from listbridge.store import Store, news
from listbridge.store.news import DONE, UNSUPPORTED, WAITING

_BATCH = 100


@dataclass(slots=True)
class WriteBack:
    """What became of the news: whom it was about, which failed, how many the source has no place for."""

    people: dict[str, set[bytes]] = field(default_factory=lambda: {"unsubscribed": set(), "bounced": set()})
    failed: list[tuple[bytes, News, str]] = field(default_factory=list)
    unsupported: int = 0


async def write_back(store: Store, name: str, source: Source, *, now: float) -> WriteBack:
    """Give waiting news to a source. What fails stays waiting for the next run."""
    result = WriteBack()
    tried: set[tuple[str, str]] = set()
    while True:
        with store.read() as connection:
            waiting = [
                (key, one)
                for key, one in news.waiting(connection, name, _BATCH + len(tried))
                if (one.contact_id, one.what) not in tried
            ][:_BATCH]
        if not waiting:
            return result
        outcomes = await source.write_back([one for _, one in waiting])
        tried |= {(one.contact_id, one.what) for _, one in waiting}
        closed = [_closed(one, outcome) for (_, one), outcome in zip(waiting, outcomes, strict=True)]
        with store.write() as connection:
            news.close(connection, name, closed, now)
        for (key, one), (_, state, _) in zip(waiting, closed, strict=True):
            if state != WAITING:
                result.people[one.what].add(key)
        result.unsupported += sum(state == UNSUPPORTED for _, state, _ in closed)
        result.failed += [
            (key, one, detail or "The source gave no reason.")
            for (key, one), (_, state, detail) in zip(waiting, closed, strict=True)
            if state == WAITING
        ]


def _closed(one: News, outcome: Outcome) -> tuple[News, str, str | None]:
    if outcome.rejected is None:
        return one, DONE, None
    return one, UNSUPPORTED if outcome.rejected == "unsupported" else WAITING, outcome.detail
