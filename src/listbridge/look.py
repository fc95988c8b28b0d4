"""Destination → ledger: what is there, read once and afterwards only what changed."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import orjson
from sqlalchemy import Connection

from listbridge import feedback
from listbridge.connectors.base import Audience, Destination, Look, Member, MemberPage
from listbridge.consent import Suppression, lifts
from listbridge.identity import key_of
from listbridge.model import MEMBER_STATUSES, WITHDRAWN_STATUSES, Status
from listbridge.planner import Held
from listbridge.store import Store, ledger, mirror, targets
from listbridge.store.ledger import Entry
from listbridge.store.targets import Target


@dataclass(slots=True)
class Seen:
    """What a look found: how many people changed."""

    changed: int = 0


async def look(
    store: Store,
    target: Target,
    destination: Destination,
    audience: Audience,
    *,
    now: float,
    full: bool = False,
    thorough: bool = False,
    tells: bool = True,
    progress: Callable[[int], None] = lambda _members: None,
) -> Seen:
    """Bring the ledger up to date with the destination; withdrawals become suppressions and news.

    The first look, and one asked to be ``full``, reads everybody; later ones ask what changed, and
    ``thorough`` ones also for what the platform's cheapest proof cannot see. Each page is written in one
    transaction, the cursor with the last. News go to the source's outbox if ``tells``.
    """
    first = target.cursor is None
    seen = Seen()
    reader = _Reader(store, target, seen, full=full or first, tells=tells, now=now)
    pages: AsyncIterator[MemberPage]
    if full or first:
        pages = destination.members(audience)
    else:
        pages = destination.changed(audience, Look(target.cursor, reader.count_after), thorough=thorough)
    async for page in pages:
        reader.take(page)
        progress(len(page.members))
    if full and not first:
        reader.mark_unseen_absent()
    with store.write() as connection:
        targets.save(connection, target.id, seen_at=now)
    return seen


class _Reader:
    """Puts pages of members into the ledger of one target."""

    def __init__(
        self, store: Store, target: Target, seen: Seen, *, full: bool, tells: bool, now: float
    ) -> None:
        self._store, self._target, self._seen = store, target, seen
        self._full, self._tells, self._now = full, tells, now
        self._sights = full and target.cursor is not None
        with store.write() as connection:
            ledger.forget_sightings(connection, target.id)
            self._seq = mirror.state_of(connection, target.source).seq
            self._siblings = targets.ids_of_account(connection, target.account)

    def count_after(self, at: float | None) -> int:
        with self._store.read() as connection:
            return ledger.count_after(connection, self._target.id, at)

    def take(self, page: MemberPage) -> None:
        with self._store.write() as connection:
            if page.members:
                self._take_members(connection, {key_of(one.email): one for one in page.members})
            if page.cursor is not None:
                targets.save(connection, self._target.id, cursor=page.cursor)

    def mark_unseen_absent(self) -> None:
        """After everybody was read: whoever the ledger holds and the platform does not is gone."""
        while True:
            with self._store.write() as connection:
                gone = ledger.entries(
                    connection, self._target.id, ledger.unsighted(connection, self._target.id)
                )
                ledger.save_entries(connection, self._target.id, [_absent(entry) for entry in gone.values()])
            self._seen.changed += len(gone)
            if not gone:
                return

    def _take_members(self, connection: Connection, members: dict[bytes, Member]) -> None:
        target, keys = self._target, list(members)
        known = ledger.entries(connection, target.id, keys)
        barred = ledger.suppressions(connection, target.account, keys)
        if self._sights:
            ledger.sight(connection, target.id, keys)
        news_of: dict[bytes, Member] = {}
        changed: list[Entry] = []
        lifted: list[bytes] = []
        for key, member in members.items():
            before = known.get(key)
            if key in barred and lifts(member.status, member.opted_in_at, barred[key]):
                lifted.append(key)
            if member.status in WITHDRAWN_STATUSES and (
                before is None or before.held.status != member.status
            ):
                news_of[key] = member
            entry = self._entry(key, member, before, came_back=key in lifted)
            if entry != before:
                changed.append(entry)
        ledger.save_entries(connection, target.id, changed)
        ledger.lift(connection, target.account, lifted)
        self._withdraw(connection, news_of)
        ledger.decide_again(connection, self._siblings, lifted)
        self._seen.changed += len(changed)

    def _entry(self, key: bytes, member: Member, before: Entry | None, *, came_back: bool) -> Entry:
        held = before.held if before is not None else Held(member.email, since_seq=self._seq)
        tag = self._target.tag
        tags = frozenset(member.tags) if member.tags is not None else None
        tagged = held.tagged if tags is None or tag is None else tag in tags
        updated = replace(
            held,
            email=member.email,
            status=member.status,
            opted_in_at=member.opted_in_at or held.opted_in_at,
            owned=held.owned and not came_back,
            tagged=tagged,
            taken_out=held.taken_out and not (member.status in MEMBER_STATUSES and (tag is None or tagged)),
            since_seq=self._seq if held.status is None else held.since_seq,
            tags=held.tags & tags if tags is not None and self._full else held.tags,
            found_tags=held.found_tags if tags is None else tags - held.tags,
        )
        if member.fields is not None and (self._full or not held.sent):
            there = {name: value for name, value in member.fields.items() if value}
            sent = {name: there.get(name, "") for name in held.sent}
            updated = replace(updated, found=there, sent=sent if self._full else held.sent)
        entry = Entry(key, updated, None, None, member.changed_at, member.remote_id)
        if before is None:
            return entry
        entry = replace(entry, remote_id=member.remote_id or before.remote_id)
        settled = replace(updated, opted_in_at=held.opted_in_at) if held.owned else updated
        return replace(entry, fp=before.fp, verdict=before.verdict) if settled == held else entry

    def _withdraw(self, connection: Connection, left: dict[bytes, Member]) -> None:
        """Suppress whoever has left, for all syncs of the account, and tell the source if it is news."""
        if not left:
            return
        target, keys = self._target, list(left)
        rows = {key: Suppression(one.status.value, one.changed_at or self._now) for key, one in left.items()}
        ledger.suppress(connection, target.account, rows, origin="destination")
        ledger.decide_again(connection, self._siblings, keys)
        if self._tells:
            feedback.note(connection, target, rows)


def _absent(entry: Entry) -> Entry:
    return replace(entry, fp=None, held=replace(entry.held, status=Status.ABSENT, tagged=False))


def remembered(target: Target) -> Audience | None:
    """The audience as the destination described it last."""
    if target.audience is None:
        return None
    return Audience(**orjson.loads(target.audience))
