"""Targets: one audience of one sync, and where it stands."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from listbridge.store.tables import target


@dataclass(frozen=True, slots=True)
class Target:
    """One audience of one sync.

    ``place`` is the list as the operator wrote it, followed by the tag after a newline if a tag makes the
    audience. ``cursor`` is ``None`` before the first contact with the audience.
    """

    id: int
    sync: str
    source: str
    account: str
    place: str
    audience: bytes | None
    cursor: str | None
    seen_at: float | None
    wanted_seq: int | None
    version: str | None
    source_count: int | None
    without_consent: bool

    @property
    def list_name(self) -> str:
        return self.place.partition("\n")[0]

    @property
    def tag(self) -> str | None:
        return self.place.partition("\n")[2] or None


def open_target(connection: Connection, sync: str, source: str, account: str, place: str) -> Target:
    """The target's row, made if it is not there.

    A target whose source or account has been exchanged starts anew: what was known of the other one
    says nothing about this one.
    """
    found = connection.execute(
        select(target).where(target.c.sync == sync, target.c.place == place)
    ).one_or_none()
    if found is not None and (found.source, found.account) != (source, account):
        connection.execute(
            update(target).where(target.c.id == found.id).values(place=f"{place}\n\nformer {found.id}")
        )
        found = None
    if found is None:
        connection.execute(insert(target).values(sync=sync, source=source, account=account, place=place))
    return get(connection, sync, place)


def get(connection: Connection, sync: str, place: str) -> Target:
    row = connection.execute(select(target).where(target.c.sync == sync, target.c.place == place)).one()
    return _target(row)


def of_sync(connection: Connection, sync: str) -> list[Target]:
    rows = connection.execute(select(target).where(target.c.sync == sync).order_by(target.c.id))
    return [_target(row) for row in rows]


def by_id(connection: Connection, target_id: int) -> Target:
    return _target(connection.execute(select(target).where(target.c.id == target_id)).one())


def ids_of_account(connection: Connection, account: str) -> list[int]:
    return list(connection.scalars(select(target.c.id).where(target.c.account == account)))


def save(connection: Connection, target_id: int, **values: object) -> None:
    """Change parts of a target's row."""
    connection.execute(update(target).where(target.c.id == target_id).values(**values))


def _target(row: Any) -> Target:
    values: tuple[Any, ...] = (*row[:-1], bool(row[-1]))
    return Target(*values)
