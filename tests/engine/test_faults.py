"""What goes wrong on the way: throttling, cut connections, bad keys, redirects, web pages, broken reads."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from engine.mortal import Died
from engine.world import World
from listbridge.http import Patience


def busy(folder: Path) -> World:
    """Forty people: six of them cannot be taken, twenty have left there, and some are new."""
    world = World(folder)
    world.shop.add_many(f"new{n:02}" for n in range(14))
    for n in range(6):
        world.shop.add(f"bad{n}", f"bad{n}@example.com", first_name="Bad")
    for n in range(20):
        world.shop.add(f"left{n:02}", first_name="Left")
        world.member(f"left{n:02}@shop.example")
    world.run()
    return world


def stirred(folder: Path) -> World:
    world = busy(folder)
    for n in range(20):
        world.mailchimp.unsubscribe_by_person(world.list_id, f"left{n:02}@shop.example")
    world.shop.sql("UPDATE customers SET first_name = 'Again'")
    world.mailchimp.forget_requests()
    return world


def test_refused_left_and_throttled_at_once_lose_nothing(tmp_path: Path) -> None:
    for name in ("calm", "stormy"):
        (tmp_path / name).mkdir()
    calm, stormy = stirred(tmp_path / "calm"), stirred(tmp_path / "stormy")
    plain = calm.run()
    stormy.mailchimp.faults.add("429", every=3)
    told = stormy.run()
    assert told.counts == plain.counts
    assert told.tally == {"updated": 14, "skipped": 20, "rejected": 6}
    assert {row["email"] for row in told.rejected} == {f"bad{n}@example.com" for n in range(6)}
    assert all("looks fake or invalid" in row["detail"] for row in told.rejected)
    statuses = stormy.statuses()
    assert sum(status == "unsubscribed" for status in statuses.values()) == 20
    assert all(stormy.field(f"new{n:02}@shop.example") == "Again" for n in range(14))
    calls = told.calls.read + told.calls.write
    assert calls <= 1.6 * (plain.calls.read + plain.calls.write)
    assert calls == stormy.mailchimp.calls.total


@pytest.mark.parametrize(
    "do", ["cut_after", "cut_before", "cut_middle", "truncated", "500", "502_html", "403_empty"]
)
def test_a_bulk_write_whose_answer_is_lost_is_read_back_and_counted_once(tmp_path: Path, do: str) -> None:
    world = World(tmp_path, tags=["club"])
    world.shop.add_many(f"c{n:04}" for n in range(700))
    world.mailchimp.faults.add(do, method="POST", path=r"^/lists/\w+$", times=1)
    told = world.run()
    assert (told.state, told.tally) == ("done", {"created": 700})
    assert len(world.present()) == 700
    assert world.tagged("club") == world.present()
    assert world.run().tally == {"unchanged": 700}


def test_a_cut_bulk_write_on_double_opt_in_mails_each_person_once(tmp_path: Path) -> None:
    world = World(tmp_path, consent={"double_opt_in": True})
    world.shop.add_many(f"c{n:03}" for n in range(600))
    world.mailchimp.faults.add("cut_after", method="POST", path=r"^/lists/\w+$", times=2)
    told = world.run()
    assert told.tally == {"created": 600}
    assert told.calls.write == 2, "what is seen to have happened is not sent again"
    mailed = [mail.address for mail in world.mailchimp.confirmation_mails]
    assert len(mailed) == len(set(mailed)) == 600
    assert world.run().calls.write == 0


def test_updates_cut_off_after_their_effect_are_updated_once_in_the_counts(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add_many(f"c{n:03}" for n in range(30))
    world.run()
    world.shop.sql("UPDATE customers SET first_name = 'Zed'")
    world.mailchimp.faults.add("cut_after", method="POST", path=r"^/lists/\w+$", times=1)
    assert world.run().tally == {"updated": 30}
    assert {world.field(email) for email in world.present()} == {"Zed"}
    assert world.run().calls.write == 0


@pytest.mark.parametrize("form", ["archive", "delete", "unsubscribe"])
def test_removals_cut_off_after_their_effect_are_counted_once(tmp_path: Path, form: str) -> None:
    world = World(tmp_path, mode="exact", removal=form)
    world.shop.add_many(f"c{n:03}" for n in range(30))
    world.run()
    world.shop.delete(*(f"c{n:03}" for n in range(10)))
    world.mailchimp.faults.add(
        "cut_after", method="DELETE" if form == "archive" else "POST", times=1, after=1
    )
    assert world.run().tally == {"removed": 10, "unchanged": 20}
    assert len(world.present()) == 20
    assert world.run().tally == {"unchanged": 20}


def test_a_tag_whose_answer_is_lost_is_put_on_all_the_same(tmp_path: Path) -> None:
    world = World(tmp_path, tags=["club"])
    world.shop.add_many(f"c{n:03}" for n in range(30))
    world.mailchimp.faults.add("cut_after", method="POST", path="/segments", times=2)
    assert world.run().tally == {"created": 30}
    assert world.tagged("club") == world.present()


def test_a_key_that_expires_between_plan_and_write_stops_the_run_with_what_to_do(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add_many(f"c{n:04}" for n in range(600))
    world.plan()
    world.mailchimp.on_request(lambda request: request.method == "POST", world.mailchimp.expire_key)
    told = world.run()
    assert (told.state, told.error["kind"]) == ("stopped", "credentials")
    assert "key" in told.error["message"].lower()
    assert "0123456789abcdef" not in told.error["message"]
    assert world.run().error["kind"] == "credentials"
    world.mailchimp.renew_key()
    assert world.run().tally == {"created": 600}


@pytest.mark.parametrize(("do", "kind"), [("redirect", "redirected"), ("html", "unreachable")])
@pytest.mark.parametrize("moment", ["at once", "at the write"])
def test_a_redirect_and_a_web_page_stop_the_run(tmp_path: Path, do: str, kind: str, moment: str) -> None:
    world = World(tmp_path)
    world.shop.add("anna")
    method = None if moment == "at once" else "POST"
    world.mailchimp.faults.add(do, method=method)
    told = world.run()
    assert (told.state, told.error["kind"]) == ("stopped", kind)
    assert told.error["message"].endswith(".")
    world.mailchimp.faults.clear()
    assert world.run().tally == {"created": 1}


def test_a_platform_that_does_not_answer_stops_the_run_after_its_patience(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.patience = Patience(0.05, 0.001, 0.005, 0.001)
    world.shop.add("anna")
    world.mailchimp.faults.add("503")
    told = world.run()
    assert (told.state, told.error["kind"]) == ("stopped", "unreachable")
    world.mailchimp.faults.clear()
    assert world.run().tally == {"created": 1}


def test_a_write_that_is_cut_again_and_again_stops_and_goes_on_next_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add_many(f"c{n:03}" for n in range(20))
    world.mailchimp.faults.add("cut_before", method="POST")
    told = world.run()
    assert (told.state, told.error["kind"]) == ("stopped", "unreachable")
    world.mailchimp.faults.clear()
    assert world.run().tally == {"created": 20}


def test_a_read_of_the_source_that_breaks_off_plans_no_removal(tmp_path: Path) -> None:
    """Names of ids fail half-way: what was read before stays as news, nobody is taken for deleted."""
    world = World(tmp_path, mode="exact")
    world.shop.add_many(f"c{n:04}" for n in range(2500))
    world.run()
    world.shop.change("c0000", first_name="Zed")
    query = world.connections["shop"]["contacts"]
    world.connections["shop"]["contacts"] = (
        query + " WHERE CASE WHEN rowid = 2100 THEN abs(-9223372036854775808) ELSE 1 END"
    )
    told = world.run()
    assert told.state == "stopped"
    assert told.counts["removed"] == 0
    assert len(world.present()) == 2500
    world.connections["shop"]["contacts"] = query
    assert world.run().tally == {"updated": 1, "unchanged": 2499}


def test_a_short_page_of_the_audience_is_no_absence(tmp_path: Path) -> None:
    world = World(tmp_path, mode="exact")
    world.shop.add_many(f"c{n:04}" for n in range(1200))
    world.run()
    world.mailchimp.faults.add("half_page", path="/members", times=1)
    told = world.run(full=True)
    assert told.state in ("done", "stopped")
    assert told.counts["created"] == told.counts["removed"] == 0
    world.mailchimp.faults.clear()
    assert world.run(full=True).tally == {"unchanged": 1200}


def test_somebody_who_leaves_while_our_batch_is_under_way_stays_out(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add_many(f"c{n:03}" for n in range(10))
    world.run()
    world.shop.sql("UPDATE customers SET first_name = 'Zed'")
    mailchimp, who = world.mailchimp, "c003@shop.example"
    mailchimp.on_request(
        lambda request: request.method == "POST", lambda: mailchimp.unsubscribe_by_person(world.list_id, who)
    )
    first = world.run()
    assert world.statuses()[who] == "unsubscribed"
    second = world.run()
    assert world.statuses()[who] == "unsubscribed"
    assert first.feedback["unsubscribed"] + second.feedback["unsubscribed"] == 1
    assert world.shop.row("c003")["consent"] == "denied"
    assert sum(first.counts.values()) == sum(second.counts.values()) == 10


def test_somebody_whom_an_admin_unsubscribes_before_our_batch_stays_out(tmp_path: Path) -> None:
    """Told to the platform's last second: the look right before the write finds it."""
    world = World(tmp_path)
    world.shop.add_many(f"c{n:03}" for n in range(10))
    world.run()
    world.shop.sql("UPDATE customers SET first_name = 'Zed'")
    world.later(600)
    world.mailchimp.unsubscribe_by_admin(world.list_id, "c003@shop.example")
    told = world.run()
    assert world.statuses()["c003@shop.example"] == "unsubscribed"
    assert told.tally == {"updated": 9, "skipped": 1}
    assert told.feedback["unsubscribed"] == 1


def test_a_cut_write_of_somebody_who_left_meanwhile_does_not_bring_them_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop.add_many(f"c{n:03}" for n in range(10))
    world.run()
    world.shop.sql("UPDATE customers SET first_name = 'Zed'")
    mailchimp, who = world.mailchimp, "c003@shop.example"
    mailchimp.faults.add("cut_after", method="POST", path=r"^/lists/\w+$", times=1)
    posts: list[Any] = []

    def after_the_write(request: Any) -> bool:
        posts.append(request.method)
        return request.method == "GET" and "POST" in posts[:-1]

    mailchimp.on_request(after_the_write, lambda: mailchimp.unsubscribe_by_admin(world.list_id, who))
    world.run()
    assert world.statuses()[who] == "unsubscribed"
    world.run()
    assert world.statuses()[who] == "unsubscribed"
    assert world.shop.row("c003")["consent"] == "denied"


def test_two_faults_on_the_first_contact_make_nobody_twice(tmp_path: Path) -> None:
    world = World(tmp_path, audience={"list": "Fresh", "create": True}, tags=["club"])
    world.shop.add_many(f"c{n:03}" for n in range(10))
    world.mailchimp.faults.add("cut_after", method="POST", path=r"^/lists$", times=1)
    world.mailchimp.faults.add("cut_after", method="POST", path=r"/segments$", times=1)
    told = world.run()
    assert told.tally == {"created": 10}
    names = [audience.name for audience in world.mailchimp.account.audiences.values()]
    assert sorted(names) == ["Fresh", "Newsletter"]


class _DiesAfterTheWrite(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        if request.method == "POST":
            raise Died
        return response


def test_whom_a_process_brought_in_before_it_died_is_its_own(tmp_path: Path) -> None:
    world = World(tmp_path, remove_departed=True, guards={"max_source_drop": None})
    world.shop.add_many(["anna", "ben"])
    world.ways["news"] = lambda: _DiesAfterTheWrite(world.mailchimp.transport())
    with pytest.raises(Died):
        world.run()
    assert len(world.present()) == 2
    world.ways["news"] = world.mailchimp.transport
    assert world.run().tally == {"unchanged": 2}
    world.shop.delete("anna")
    assert world.run().tally == {"removed": 1, "unchanged": 1}
