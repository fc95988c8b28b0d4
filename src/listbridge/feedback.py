"""News → source: unsubscribes and hard bounces are written back, each once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from listbridge.changes import News, Outcome
from listbridge.connectors.base import Source
from listbridge.consent import Suppression, is_fresh, strictest
from listbridge.errors import ListbridgeError
from listbridge.model import Word
from listbridge.store import Store, mirror, news
from listbridge.store.news import DONE, GONE, UNSUPPORTED, WAITING
from listbridge.store.targets import Target

_BATCH = 100
_EVERYTHING = 1_000_000


@dataclass(slots=True)
class WriteBack:
    """What became of the news: whom it was about, which failed, how many the source has no place for."""

    people: dict[str, set[bytes]] = field(default_factory=lambda: {"unsubscribed": set(), "bounced": set()})
    failed: list[tuple[bytes, News, str]] = field(default_factory=list)
    unsupported: int = 0


def note(connection: Connection, target: Target, left: Mapping[bytes, Suppression]) -> None:
    """Put withdrawals out for the source.

    Not news is an unsubscribe of somebody who has refused there, or has agreed anew since.
    """
    origin = f"{target.account}/{target.list_name}"
    for key, contacts in mirror.known_contacts(connection, target.source, list(left)).items():
        what = "bounced" if left[key].reason == "bounced" else "unsubscribed"
        said = strictest(one.consent for one in contacts)
        known = said.word is Word.DENIED or is_fresh(said.word, said.at, left[key])
        if what == "bounced" or not known:
            items = [News(one.id, one.email, what, left[key].at, origin) for one in contacts]
            news.add(connection, target.source, key, items)


def waiting(store: Store, name: str) -> dict[str, int]:
    """How many people there is news about that the source has still to be told."""
    with store.read() as connection:
        found = news.waiting(connection, name, _EVERYTHING)
    whats = {(key, one.what) for key, one in found}
    return {word: sum(what == word for _, what in whats) for word in ("unsubscribed", "bounced")}


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
            gone = mirror.gone(connection, name, [one.contact_id for _, one in waiting])
        if not waiting:
            return result
        if gone:
            lost = [(one, GONE, None) for _, one in waiting if one.contact_id in gone]
            with store.write() as connection:
                news.close(connection, name, lost, now)
            continue
        outcomes = await _told(source, [one for _, one in waiting])
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


async def _told(source: Source, given: Sequence[News]) -> Sequence[Outcome]:
    """How each piece of news ended. A source that cannot be told at all does not keep the run from going on."""
    try:
        return await source.write_back(given)
    except ListbridgeError as error:
        return [Outcome(one.email, rejected="refused", detail=str(error)) for one in given]


def _closed(one: News, outcome: Outcome) -> tuple[News, str, str | None]:
    if outcome.rejected is None:
        return one, DONE, None
    return one, UNSUPPORTED if outcome.rejected == "unsupported" else WAITING, outcome.detail
