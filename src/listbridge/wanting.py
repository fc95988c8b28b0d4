"""Mirror → wanted: what a target wants of each person, worked out anew for whoever changed."""

from collections.abc import Callable, Iterator

from sqlalchemy import Connection

from listbridge.selection import Canonical, Shape, Statement, fingerprint, wanted_of
from listbridge.store import Store, ledger, mirror, targets
from listbridge.store.targets import Target

Person = tuple[bytes, list[Statement]]


def work_out(
    store: Store,
    target: Target,
    shape: Shape,
    canonical: Canonical,
    progress: Callable[[int], None] = lambda _people: None,
) -> None:
    """Bring ``wanted`` up to date with the mirror.

    Everybody, when the rules have changed since last time; otherwise whoever the reads since then have
    touched. Killed half-way it starts over.
    """
    with store.read() as connection:
        upto = mirror.state_of(connection, target.source).seq
    if target.version != shape.version or target.wanted_seq is None:
        _everybody(store, target, shape, canonical, progress)
    else:
        _changed(store, target, target.wanted_seq, shape, canonical, progress)
    with store.write() as connection:
        targets.save(connection, target.id, wanted_seq=upto, version=shape.version)


def _everybody(
    store: Store, target: Target, shape: Shape, canonical: Canonical, progress: Callable[[int], None]
) -> None:
    with store.write() as connection:
        targets.save(connection, target.id, wanted_seq=None)
        ledger.drop_wanted(connection, target.id)
    after = b""
    while True:
        with store.write() as connection:
            people = mirror.people(connection, target.source, after)
            _save(connection, target, people, shape, canonical)
        if not people:
            return
        after = people[-1][0]
        progress(len(people))


def _changed(
    store: Store,
    target: Target,
    since: int,
    shape: Shape,
    canonical: Canonical,
    progress: Callable[[int], None],
) -> None:
    for keys in _pages(store, target.source, since):
        with store.write() as connection:
            people = mirror.people_named(connection, target.source, keys)
            _save(connection, target, people, shape, canonical)
            still_there = {key for key, _ in people}
            ledger.drop_wanted(connection, target.id, [key for key in keys if key not in still_there])
        progress(len(keys))


def _pages(store: Store, source: str, since: int) -> Iterator[list[bytes]]:
    after = b""
    while True:
        with store.read() as connection:
            keys = mirror.changed_keys(connection, source, since, after)
        if not keys:
            return
        yield keys
        after = keys[-1]


def _save(
    connection: Connection, target: Target, people: list[Person], shape: Shape, canonical: Canonical
) -> None:
    rows = []
    for key, statements in people:
        wanted = wanted_of(statements, shape, canonical)
        packed = wanted.packed()
        rows.append((key, fingerprint(packed, shape.version), wanted.taken, packed))
    ledger.save_wanted(connection, target.id, rows)
