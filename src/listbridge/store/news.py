"""The way back: unsubscribes and bounces that wait to be told to a source, and those that were."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select, update

from listbridge.changes import News
from listbridge.store.bulk import upsert
from listbridge.store.tables import feedback

WAITING, DONE, UNSUPPORTED, GONE = "waiting", "done", "unsupported", "gone"


def add(connection: Connection, source: str, key: bytes, news: Iterable[News]) -> int:
    """Put news out; gives back how many are new. The same news again, or older news, changes nothing."""
    fresh = 0
    for one in news:
        values = {
            "source": source,
            "contact_id": one.contact_id,
            "what": one.what,
            "key": key,
            "email": one.email,
            "at": one.at,
            "origin": one.origin,
            "state": WAITING,
        }
        statement = upsert(connection, feedback).values(values)
        statement = statement.on_conflict_do_update(
            index_elements=["source", "contact_id", "what"],
            set_={**values, "detail": None, "done_at": None},
            where=feedback.c.at < one.at,
        )
        fresh += len(connection.execute(statement.returning(feedback.c.what)).all())
    return fresh


def waiting(connection: Connection, source: str, size: int) -> list[tuple[bytes, News]]:
    """The next news that a source has not taken yet, the oldest first."""
    query = (
        select(feedback)
        .where(feedback.c.source == source, feedback.c.state == WAITING)
        .order_by(feedback.c.at, feedback.c.contact_id)
        .limit(size)
    )
    return [
        (row.key, News(row.contact_id, row.email, row.what, row.at, row.origin))
        for row in connection.execute(query)
    ]


def close(
    connection: Connection, source: str, news: Sequence[tuple[News, str, str | None]], at: float
) -> None:
    """Write how each ended: (news, state, detail). What is still waiting is tried by the next run."""
    for one, state, detail in news:
        connection.execute(
            update(feedback)
            .where(
                feedback.c.source == source,
                feedback.c.contact_id == one.contact_id,
                feedback.c.what == one.what,
            )
            .values(state=state, detail=detail, done_at=at if state == DONE else None)
        )
