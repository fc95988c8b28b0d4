"""Wanted × ledger → plan, stored: the planner asked about everybody who may differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from listbridge.changes import Change, What
from listbridge.consent import Suppression, lifts
from listbridge.model import Status, Word
from listbridge.planner import Held, Mode, Rules, Settled, decide, is_member, opts_out, remove
from listbridge.selection import Wanted
from listbridge.store import Store, ledger, mirror, people, plans
from listbridge.store.ledger import Entry
from listbridge.store.plans import Planned
from listbridge.store.targets import Target


def plan(
    store: Store,
    target: Target,
    rules: Rules,
    *,
    may_remove: bool,
    progress: Callable[[int], None] = lambda _people: None,
) -> None:
    """Make the target's plan anew. What needs no change is settled in the ledger at once.

    ``may_remove``: the source has been read completely, so that absence from it means something.
    """
    planner = _Planner(store, target, rules)
    planner.clear()
    planner.visit_changed(progress)
    if may_remove and (rules.mode is Mode.EXACT or (rules.mode is Mode.MERGE and rules.remove_departed)):
        planner.visit_unknown(progress)


def recover(store: Store, target: Target) -> int:
    """Take note of what a killed process may have done; gives back how many changes that concerns.

    A creation that may have happened makes the person ours, a removal that may have happened makes it our
    removal: the next look at the destination tells which did.
    """
    with store.write() as connection:
        left = plans.left_in_flight(connection, target.id)
        known = ledger.entries(connection, target.id, [one.change.key for one in left])
        seq = mirror.state_of(connection, target.source).seq
        marked = []
        for change in (one.change for one in left):
            entry = known.get(change.key) or Entry(change.key, Held(change.email, since_seq=seq))
            if change.what is What.CREATE or change.email_before is not None:
                marked.append(replace(entry, fp=None, held=replace(entry.held, owned=True)))
            elif change.what is What.REMOVE:
                marked.append(replace(entry, fp=None, held=replace(entry.held, taken_out=True)))
        ledger.save_entries(connection, target.id, marked)
        plans.drop(connection, target.id)
    return len(left)


def try_rejected_again(store: Store, target: Target) -> None:
    """On request: whoever the platform rejected is decided about anew, though nothing has changed."""
    after = b""
    while True:
        with store.write() as connection:
            page = people.left_out(connection, target.id, after)
            rejected = [key for key, _, reason in page if reason == "rejected_before"]
            ledger.decide_again(connection, [target.id], rejected)
        if not page:
            return
        after = page[-1][0]


def redecide(
    store: Store, target: Target, rules: Rules, keys: Sequence[bytes]
) -> tuple[list[Planned], list[Planned]]:
    """Decide again about people whose planned change may have happened.

    Gives back what is still to be done and what turned out to be done; the stored plan is brought in line.
    """
    with store.write() as connection:
        before = {one.change.key: one for one in plans.of_people(connection, target.id, keys)}
        plans.drop(connection, target.id, keys)
        planner = _Planner(store, target, rules)
        planner.decide_page(connection, keys)
        left = plans.of_people(connection, target.id, keys)
    still = {one.change.key for one in left}
    return left, [one for key, one in before.items() if key not in still]


class _Planner:
    """Decides page by page and stores what was decided, one transaction a page."""

    def __init__(self, store: Store, target: Target, rules: Rules) -> None:
        self._store, self._target, self._rules = store, target, rules
        with store.read() as connection:
            self._seq = mirror.state_of(connection, target.source).seq
        self._moved: set[bytes] = set()

    def clear(self) -> None:
        with self._store.write() as connection:
            plans.drop(connection, self._target.id)

    def visit_changed(self, progress: Callable[[int], None]) -> None:
        after = b""
        while True:
            with self._store.write() as connection:
                keys = ledger.changed_keys(connection, self._target.id, after)
                self.decide_page(connection, keys)
            if not keys:
                return
            after = keys[-1]
            progress(len(keys))

    def visit_unknown(self, progress: Callable[[int], None]) -> None:
        """Members of whom the source says nothing; whoever moved to another address is not among them."""
        after = b""
        owned_only = self._rules.mode is Mode.MERGE
        while True:
            with self._store.write() as connection:
                keys = ledger.unknown_keys(connection, self._target.id, after, owned_only=owned_only)
                self._decide_unknown(connection, [key for key in keys if key not in self._moved])
            if not keys:
                return
            after = keys[-1]
            progress(len(keys))

    def decide_page(self, connection: Connection, keys: Sequence[bytes]) -> None:
        """Decide about these people; store changes as plan, everything else as settled."""
        if not keys:
            return
        target = self._target
        wanted = ledger.wanted_of(connection, target.id, keys)
        entries = ledger.entries(connection, target.id, keys)
        barred = ledger.suppressions(connection, target.account, keys)
        moves = mirror.former_keys(connection, target.source, keys)
        barred |= self._carried(connection, moves, entries, barred)
        former = self._former(connection, moves)
        planned: list[Planned] = []
        settled: list[tuple[bytes, bytes | None, str | None]] = []
        left_out: list[Entry] = []
        for key, (fp, want) in wanted.items():
            entry, old = entries.get(key), former.get(key)
            held = entry.held if entry else None
            moved_from = old.held if old and self._may_move(held) else None
            answer = decide(want, held, barred.get(key), self._rules, key=key, moved_from=moved_from)
            if old is not None:
                answer, apart = self._part_with(old, want, held, answer)
                planned += apart
            if isinstance(answer, Change):
                planned.append(Planned(answer, fp))
            elif entry is not None:
                settled.append((key, fp, answer.skipped))
            else:
                left_out.append(Entry(key, Held(want.email, since_seq=self._seq), fp, answer.skipped))
        plans.save(connection, target.id, planned)
        ledger.settle(connection, target.id, settled)
        ledger.save_entries(connection, target.id, left_out)

    def _carried(
        self,
        connection: Connection,
        moves: Mapping[bytes, Sequence[bytes]],
        entries: Mapping[bytes, Entry],
        barred: Mapping[bytes, Suppression],
    ) -> dict[bytes, Suppression]:
        """A withdrawal goes along to another address, unless the person came back there on their own."""
        left = ledger.suppressions(
            connection, self._target.account, [old for olds in moves.values() for old in olds]
        )
        carried = {}
        for new, olds in moves.items():
            entry = entries.get(new)
            for withdrawal in (left[old] for old in olds if old in left):
                came_back = (
                    entry is not None
                    and entry.held.status is not None
                    and lifts(entry.held.status, entry.held.opted_in_at, withdrawal)
                )
                if new not in barred and not came_back:
                    carried[new] = withdrawal
        ledger.suppress(connection, self._target.account, carried, origin="address changed")
        return carried

    def _may_move(self, held: Held | None) -> bool:
        return self._rules.renames and (held is None or held.status is None)

    def _part_with(
        self, old: Entry, want: Wanted, held: Held | None, answer: Change | Settled
    ) -> tuple[Change | Settled, list[Planned]]:
        """What becomes of the entry under a former address; gives back what is left for the present one.

        A refusal unsubscribes the entry that is there: a new address that the platform refuses must not
        keep the old one subscribed. An entry that could not be renamed goes once the new one stands in.
        """
        renames = isinstance(answer, Change) and answer.email_before is not None
        refuses = want.word is Word.DENIED and opts_out(want, old.held, self._rules)
        if refuses:
            self._moved.add(old.key)
            change = Change(old.key, old.held.email, What.UPDATE, "source_optout", status=Status.UNSUBSCRIBED)
            return Settled("no_consent" if want.taken else None), [Planned(change, None)]
        if renames:
            self._moved.add(old.key)
            return answer, []
        stands_in = isinstance(answer, Change) or (held is not None and held.listed)
        if not stands_in or not old.held.owned or self._rules.mode is Mode.SUBTRACT:
            return answer, []
        self._moved.add(old.key)
        return answer, [Planned(remove(old.key, old.held, "address_changed", self._rules), None)]

    def _decide_unknown(self, connection: Connection, keys: Sequence[bytes]) -> None:
        entries = ledger.entries(connection, self._target.id, keys)
        barred = ledger.suppressions(connection, self._target.account, keys)
        answers = [
            decide(None, entry.held, barred.get(key), self._rules, key=key) for key, entry in entries.items()
        ]
        changes = [Planned(answer, None) for answer in answers if isinstance(answer, Change)]
        plans.save(connection, self._target.id, changes)

    def _former(self, connection: Connection, moves: Mapping[bytes, Sequence[bytes]]) -> dict[bytes, Entry]:
        """New key → the member under a former address that no row of the source has any more."""
        target = self._target
        old_keys = [key for olds in moves.values() for key in olds]
        if not old_keys:
            return {}
        entries = ledger.entries(connection, target.id, old_keys)
        still_wanted = ledger.wanted_of(connection, target.id, old_keys)
        barred = ledger.suppressions(connection, target.account, old_keys)
        return {
            new: entries[old]
            for new, olds in moves.items()
            for old in olds
            if old in entries
            and old not in still_wanted
            and old not in barred
            and is_member(entries[old].held, self._rules)
        }


def members(store: Store, target: Target, rules: Rules) -> int:
    """D: how many members the audience has before the run."""
    with store.read() as connection:
        return ledger.count_members(connection, target.id, tagged=rules.tag is not None)
