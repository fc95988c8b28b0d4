"""A state machine over whole runs: people on both sides, faults, and deaths between any two steps.

``LISTBRIDGE_NIGHTLY=400`` plays that many games, longer ones and never the same.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.mortal import Died, Life
from engine.world import Told, World
from listbridge.store import Store

NIGHTLY = int(os.environ.get("LISTBRIDGE_NIGHTLY", "0"))
PEOPLE = st.sampled_from([f"p{n}" for n in range(6)])
STRANGERS = st.sampled_from([f"s{n}@shop.example" for n in range(3)])
FAULTS = ("429", "500", "503", "502_html", "cut_before", "cut_after", "cut_middle", "truncated")
PRESENT = ("subscribed", "pending", "transactional")


class TwoSyncs(RuleBasedStateMachine):
    """A shop, a list with a sync in any mode, and a tag of the same list or another list with a second."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="listbridge-machine-"))
        self.world = World(self.folder)
        self.left: set[str] = set()  # whose last word was no
        self.touched: set[str] = set()  # on whom somebody laid hands: no promise that they are there
        self.former: set[str] = set()
        self.theirs: set[str] = set()

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    @initialize(
        mode=st.sampled_from(["exact", "merge", "merge", "subtract"]),
        second=st.sampled_from(["tag", "list"]),
        grouped=st.booleans(),
        departed=st.booleans(),
    )
    def begin(self, mode: str, second: str, grouped: bool, departed: bool) -> None:
        world = self.world
        self.mode, self.grouped = mode, grouped
        guards = {"max_removals": None, "max_source_drop": None}
        world.sync(
            mode=mode,
            guards=guards,
            tags=["ours"] if mode != "subtract" else [],
            select={"groups": ["a"]} if grouped else {"everyone": True},
            remove_departed=departed and mode == "merge",
        )
        target = {"list": "Newsletter", "tag": "VIP", "create": True}
        if second == "list":
            world.mailchimp.add_list("Other")
            target = {"list": "Other"}
        world.sync("second", guards=guards, audience=target, select={"groups": ["b"]}, mode="exact")
        world.shop.add("anchor", groups="a;b")

    # --- the shop ---

    def _row(self, who: str) -> dict[str, Any] | None:
        return next((row for row in self.world.shop.rows() if row["id"] == who), None)

    def _tick(self) -> None:
        self.world.later(10)

    @rule(
        who=PEOPLE,
        groups=st.sampled_from(["a", "b", "a;b", ""]),
        word=st.sampled_from(["granted", "unknown"]),
    )
    def comes_to_the_shop(self, who: str, groups: str, word: str) -> None:
        self._tick()
        if self._row(who) is None:
            self.world.shop.add(who, groups=groups, consent=word, consent_at=self.world.clock())

    @rule(who=PEOPLE, name=st.sampled_from(["Ann", "Bob", ""]), groups=st.sampled_from(["a", "b", "a;b", ""]))
    def changes_in_the_shop(self, who: str, name: str, groups: str) -> None:
        self._tick()
        if self._row(who):
            self.world.shop.change(who, first_name=name, groups=groups)

    @rule(who=PEOPLE)
    def is_deleted_in_the_shop(self, who: str) -> None:
        self._tick()
        self.world.shop.delete(who)

    @rule(who=PEOPLE, word=st.sampled_from(["denied", "granted"]))
    def speaks_in_the_shop(self, who: str, word: str) -> None:
        self._tick()
        row = self._row(who)
        if row is None:
            return
        self.world.shop.change(who, consent=word, consent_at=self.world.clock())
        if word == "denied":
            self.left.add(row["email"])
        self.touched.add(row["email"])

    @rule(who=PEOPLE)
    def moves_to_another_address(self, who: str) -> None:
        self._tick()
        row = self._row(who)
        if row is None:
            return
        new = f"{who}{'x' if row['email'].startswith(who + '@') else ''}@shop.example"
        self.world.shop.change(who, email=new)
        self.former.add(row["email"])
        self.touched |= {row["email"], new}
        if row["email"] in self.left:
            self.left.add(new)

    # --- the platform ---

    def _status(self, email: str) -> str | None:
        return self.world.statuses().get(email)

    @rule(
        who=PEOPLE,
        how=st.sampled_from(["unsubscribe_by_person", "unsubscribe_by_admin", "bounce", "complain"]),
    )
    def leaves_at_the_platform(self, who: str, how: str) -> None:
        self._tick()
        email = f"{who}@shop.example"
        if self._status(email) in PRESENT:
            getattr(self.world.mailchimp, how)(self.world.list_id, email)
            self.left.add(email)
            self.touched.add(email)

    @rule(who=PEOPLE, how=st.sampled_from(["archive_by_hand", "delete_permanently"]))
    def is_taken_off_by_hand(self, who: str, how: str) -> None:
        self._tick()
        email = f"{who}@shop.example"
        if self._status(email) in PRESENT:
            getattr(self.world.mailchimp, how)(self.world.list_id, email)
            self.touched.add(email)

    @rule(who=PEOPLE)
    def is_edited_by_hand(self, who: str) -> None:
        self._tick()
        email = f"{who}@shop.example"
        if self._status(email) in PRESENT:
            self.world.mailchimp.edit_field_by_hand(self.world.list_id, email, "LNAME", "By hand")
            self.world.mailchimp.tag_by_hand(self.world.list_id, email, "theirs")
            self.theirs.add(email)

    @rule(email=st.one_of(STRANGERS, PEOPLE.map(lambda who: f"{who}@shop.example")))
    def signs_up(self, email: str) -> None:
        """By a form of the newsletter, or by the link in a mail that asks."""
        self._tick()
        status = self._status(email)
        if status is None and not self.world.mailchimp.audience(self.world.list_id).forgotten:
            self.world.member(email)
        elif status in ("pending", "unsubscribed"):
            self.world.mailchimp.confirm(self.world.list_id, email)
        else:
            return
        self.left.discard(email)
        self.touched.add(email)

    # --- runs ---

    @rule(sync=st.sampled_from(["vip", "second"]), full=st.booleans())
    def runs(self, sync: str, full: bool) -> None:
        self._run(sync, full=full)

    @rule(
        sync=st.sampled_from(["vip", "second"]),
        faults=st.lists(
            st.tuples(st.sampled_from(FAULTS), st.integers(0, 8), st.integers(1, 2)), min_size=1, max_size=3
        ),
    )
    def runs_in_bad_weather(self, sync: str, faults: list[tuple[str, int, int]]) -> None:
        for do, after, times in faults:
            self.world.mailchimp.faults.add(do, after=after, times=times)
        self._run(sync)
        self.world.mailchimp.faults.clear()

    @rule(sync=st.sampled_from(["vip", "second"]), steps=st.integers(1, 70))
    def dies_on_the_way(self, sync: str, steps: int) -> None:
        world, life = self.world, Life(steps)
        world.ways["news"] = lambda: life.transport(world.mailchimp.transport())
        store: Store = life.store(world.store())
        try:
            self._run(sync, store=store)
        except Died:
            pass
        finally:
            store.close()
            world.ways["news"] = world.mailchimp.transport

    def _run(self, sync: str, **wish: Any) -> Told:
        before = self.world.mailchimp.members(self.world.list_id)
        try:
            return self.world.run(sync, **wish)
        finally:
            self._nothing_forbidden_happened(sync, before, self.world.mailchimp.members(self.world.list_id))

    def _nothing_forbidden_happened(self, sync: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """In any run, clean or not: no status raised, others' tags and fields kept, merge removes nobody."""
        for email, was in before.items():
            now = after.get(email)
            if now is None:
                assert email in self.former, f"{email} has vanished"
                continue
            if was["status"] in ("unsubscribed", "cleaned"):
                assert now["status"] in (was["status"], "pending"), f"{email} was brought back"
            assert "theirs" not in was["tags"] or "theirs" in now["tags"], f"{email} lost a tag of others"
            by_hand = was["merge_fields"].get("LNAME") == "By hand"
            assert not by_hand or now["merge_fields"].get("LNAME") == "By hand"
        if sync == "second" and "Other" not in str(self.world.syncs["second"]["audience"]):
            gone = (
                {
                    e
                    for e, was in before.items()
                    if was["status"] in PRESENT and after[e]["status"] == "archived"
                }
                if not self.former
                else set()
            )
            assert not gone, "a sync of a tag takes nobody off the list"

    @precondition(lambda self: hasattr(self, "mode"))
    @rule()
    def comes_to_rest(self) -> None:
        """Two clean runs of both: the sets are right, and there is nothing left to do."""
        for _ in range(2):
            for sync in ("vip", "second"):
                told = self._run(sync)
                assert told.state == "done", told.summary
        for sync in ("vip", "second"):
            told = self._run(sync)
            assert told.calls.write == 0, told.summary
            assert sum(told.counts.values()) == len(self._selected(sync)), told.summary
            assert not told.counts["created"] | told.counts["updated"] | told.counts["removed"]
        self._sets_are_right()

    def _selected(self, sync: str) -> set[str]:
        group = "b" if sync == "second" else "a" if self.grouped else None
        rows = self.world.shop.rows()
        return {row["email"] for row in rows if group is None or group in row["groups"].split(";")}

    def _sets_are_right(self) -> None:
        world = self.world
        selected, statuses, present = self._selected("vip"), world.statuses(), world.present()
        words = {row["email"]: row["consent"] for row in world.shop.rows()}
        promised = {email for email in selected - self.touched if words[email] == "granted"}
        if self.mode == "subtract":
            assert not (selected & present) - self.left, "somebody of the selection is still there"
        else:
            assert promised <= present
            assert all("ours" in world.tags(email) for email in promised)
            subscribed = {email for email, status in statuses.items() if status == "subscribed"}
            assert not subscribed & self.left & set(words), "somebody who said no is subscribed"
        if self.mode == "exact":
            assert not present - selected - self.left, "somebody outside the selection is still there"

    @invariant()
    def nobody_is_asked_twice_for_nothing(self) -> None:
        mailed = [mail.address for mail in self.world.mailchimp.confirmation_mails]
        assert set(mailed) <= self.touched


TwoSyncs.TestCase.settings = settings(
    max_examples=NIGHTLY or 8,
    stateful_step_count=40 if NIGHTLY else 18,
    deadline=None,
    derandomize=not NIGHTLY,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestTwoSyncs = TwoSyncs.TestCase
