"""The demo's shop: real purchases, derived people, and a day that changes some of them."""

import itertools
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from listbridge.demo import shop
from listbridge.demo.shop import History, build_shop

LINES = """customer_id  date number_of_cds  dollar_value
 00002 19970112  1   12.00
 00002 19970112  5   77.00
 00001 19970101  1   11.7

 00003 19980630  60  800.00
 00003 19970102  2   20.76
"""
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def no_cdnow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working folder without any data, and no installed package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LISTBRIDGE_DATA", raising=False)

    def missing(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    return tmp_path


@pytest.fixture
def small(no_cdnow: Path) -> Path:
    path = no_cdnow / "shop.db"
    build_shop(path, 400)
    return path


def place_cdnow(folder: Path) -> Path:
    file = folder / "lifetimes" / "datasets" / "CDNOW_master.txt"
    file.parent.mkdir(parents=True)
    file.write_text(LINES, encoding="ascii", newline="\r\n")
    return file


def rows(path: Path, query: str = shop.CONTACTS) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(query)]


def by_email(path: Path) -> dict[str, dict[str, Any]]:
    return {row["email"]: row for row in rows(path)}


# --- finding and reading the purchases ---


def test_without_data_there_is_no_file(no_cdnow: Path) -> None:
    assert shop.cdnow_file() is None


def test_the_file_is_found_below_the_working_folder(no_cdnow: Path) -> None:
    assert shop.cdnow_file() is None
    file = place_cdnow(no_cdnow / ".data" / "packages")
    assert shop.cdnow_file() == file


@pytest.mark.parametrize("below", ["", "packages"])
def test_a_named_folder_comes_before_the_working_folder(
    no_cdnow: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    place_cdnow(no_cdnow / ".data" / "packages")
    file = place_cdnow(no_cdnow / "elsewhere" / below)
    monkeypatch.setenv("LISTBRIDGE_DATA", str(no_cdnow / "elsewhere"))
    assert shop.cdnow_file() == file


def test_an_installed_package_is_found_without_importing_it(tmp_path: Path) -> None:
    site = tmp_path / "site"
    file = place_cdnow(site)
    (site / "lifetimes" / "__init__.py").write_text("raise RuntimeError('imported')")
    (site / "lifetimes-1.dist-info").mkdir()
    (site / "lifetimes-1.dist-info" / "METADATA").write_text("Name: lifetimes\nVersion: 1\n")
    code = (
        "import sys; sys.path.append(sys.argv[1]); from listbridge.demo import shop; print(shop.cdnow_file())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(site)],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(file)


def test_purchases_of_one_customer_are_added_up_whatever_their_order(tmp_path: Path) -> None:
    assert shop.cdnow_histories(place_cdnow(tmp_path)) == [
        History(1, 1, 1170, "1997-01-01", "1997-01-01"),
        History(2, 6, 8900, "1997-01-12", "1997-01-12"),
        History(2, 62, 82076, "1997-01-02", "1998-06-30"),
    ]


@pytest.mark.skipif(shop.cdnow_file() is None, reason="CDNOW is not installed: make data")
def test_the_real_data_has_the_published_totals() -> None:
    file = shop.cdnow_file()
    assert file is not None
    histories = shop.cdnow_histories(file)
    assert len(histories) == 23_570
    assert sum(history.orders for history in histories) == 69_659
    assert (min(h.first for h in histories), max(h.last for h in histories)) == (
        shop.FIRST_DAY.isoformat(),
        shop.LAST_DAY.isoformat(),
    )


def test_drawn_purchases_lie_within_the_same_days() -> None:
    histories = shop.drawn_histories(customers=500)
    assert histories == shop.drawn_histories(customers=500) != shop.drawn_histories(seed=2, customers=500)
    for history in histories:
        assert shop.FIRST_DAY.isoformat() <= history.first <= history.last <= shop.LAST_DAY.isoformat()
        assert (history.orders == 1) <= (history.first == history.last)
        assert history.items >= history.orders >= 1


# --- segments ---


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (None, ()),
        (History(1, 1, 999, "1997-02-01", "1997-02-01"), ("one-time", "lapsed")),
        (History(1, 9, 20000, "1998-06-01", "1998-06-01"), ("promising", "big-spenders", "one-time")),
        (History(4, 9, 20000, "1997-02-01", "1998-04-01"), ("champions", "loyal", "big-spenders")),
        (History(4, 9, 20000, "1997-02-01", "1998-03-31"), ("loyal", "at-risk", "big-spenders")),
        (History(4, 9, 19999, "1997-02-01", "1998-06-30"), ("loyal",)),
        (History(3, 9, 5000, "1997-02-01", "1997-12-01"), ()),
        (History(4, 9, 5000, "1997-02-01", "1997-06-30"), ("loyal", "at-risk")),
        (History(4, 9, 5000, "1997-02-01", "1997-06-29"), ("at-risk", "lapsed")),
    ],
)
def test_segments_follow_recency_frequency_and_value(history: History | None, words: tuple[str, ...]) -> None:
    assert shop.segments(history) == words


# --- the shop ---


def test_a_shop_of_real_purchases_holds_each_customer_once(no_cdnow: Path) -> None:
    place_cdnow(no_cdnow / ".data" / "packages")
    facts = build_shop(no_cdnow / "shop.db")
    assert facts.real and "CDNOW" in facts.words and "made up" in facts.words
    assert [(row["orders_count"], row["total_spent"]) for row in rows(no_cdnow / "shop.db")] == [
        (1, "11.70"),
        (2, "89.00"),
        (2, "820.76"),
    ]
    assert rows(no_cdnow / "shop.db")[2]["last_order_at"] == "1998-06-30T12:00:00Z"
    assert [row["groups"] for row in rows(no_cdnow / "shop.db")][1:] == ["retail", "wholesale"]


def test_a_bigger_shop_repeats_the_purchases_under_new_people(no_cdnow: Path) -> None:
    place_cdnow(no_cdnow / ".data" / "packages")
    facts = build_shop(no_cdnow / "shop.db", 45)
    people = rows(no_cdnow / "shop.db")
    assert facts.people == len({row["email"] for row in people}) == len({row["id"] for row in people}) == 45
    assert [row["id"] for row in people if row["orders_count"] == 0] == [20, 40]
    bought = [row["total_spent"] for row in people if row["orders_count"]]
    assert bought == list(itertools.islice(itertools.cycle(["11.70", "89.00", "820.76"]), 43))


@pytest.mark.parametrize("customers", [1, 18, 19, 20, 38, 39, 400])
def test_without_a_size_everybody_of_the_data_is_there(
    no_cdnow: Path, customers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop, "GENERATED_SIZE", customers)
    monkeypatch.setattr(
        shop, "drawn_histories", lambda seed: [History(1, 1, 1, "1997-01-01", "1997-01-01")] * customers
    )
    facts = build_shop(no_cdnow / "shop.db")
    assert facts.kinds["buyer"] == customers
    assert rows(no_cdnow / "shop.db")[-1]["orders_count"] == 1


def test_without_the_data_a_smaller_shop_says_what_it_is(no_cdnow: Path) -> None:
    facts = build_shop(no_cdnow / "shop.db")
    assert not facts.real
    assert facts.kinds["buyer"] == shop.GENERATED_SIZE
    assert "drawn by chance" in facts.words and "pip install" in facts.words


def test_every_state_of_consent_and_every_kind_and_segment_occurs(no_cdnow: Path) -> None:
    facts = build_shop(no_cdnow / "shop.db")
    assert set(facts.consent) == {"granted", "pending", "denied", "unknown"}
    assert set(facts.consent_with_time) == {"granted", "pending", "denied"}
    assert all(0 < facts.consent_with_time[word] < facts.consent[word] for word in ("granted", "denied"))
    assert facts.consent_with_time["pending"] == facts.consent["pending"]
    assert sum(facts.consent.values()) == facts.people
    assert all(facts.kinds[kind] > 0 for kind in ("subscriber", "buyer", "contact"))
    assert set(facts.segments) == {
        "champions", "loyal", "promising", "at-risk", "big-spenders", "one-time", "lapsed",
    }  # fmt: skip
    assert set(facts.groups) == {"retail", "wholesale"}


def test_the_facts_are_what_the_rows_say(no_cdnow: Path) -> None:
    facts = build_shop(no_cdnow / "shop.db", 500)
    people = rows(no_cdnow / "shop.db")
    assert facts == shop.shop_facts(no_cdnow / "shop.db", real=False)
    assert facts.people == len(people) == 500
    assert facts.guests == sum(row["guest"] for row in people) > 0
    assert facts.never_bought == sum(row["orders_count"] == 0 for row in people) == 25
    assert facts.kinds == {
        "subscriber": sum(row["consent"] == "granted" for row in people),
        "buyer": sum(row["orders_count"] > 0 for row in people),
        "contact": sum(row["orders_count"] == 0 and row["consent"] != "granted" for row in people),
    }
    assert facts.segments["one-time"] == sum("one-time" in row["segments"].split(";") for row in people)


def test_guests_bought_exactly_once_and_have_no_group(small: Path) -> None:
    guests = [row for row in rows(small) if row["guest"]]
    assert {(row["orders_count"], row["groups"]) for row in guests} == {(1, None)}
    once = [row for row in rows(small) if row["orders_count"] == 1]
    assert 0 < len(guests) < len(once)


def test_every_address_is_an_example_and_ascii(small: Path) -> None:
    emails = [row["email"] for row in rows(small)]
    assert all(email.isascii() and email.endswith(".example") and email.count("@") == 1 for email in emails)
    assert len(set(emails)) == 400


def test_names_come_in_several_languages(small: Path) -> None:
    people = rows(small)
    assert {(row["language"], row["country"]) for row in people} == {("en", "US"), ("de", "DE"), ("fr", "FR")}
    assert any(not (row["first_name"] + row["last_name"]).isascii() for row in people)
    assert all(row["street"] and row["city"] and row["postcode"] for row in people)


def test_times_are_in_the_order_in_which_things_happen(small: Path) -> None:
    for row in rows(small):
        assert row["created_at"] < row["updated_at"]
        assert row["consent_at"] is None or row["created_at"] < row["consent_at"] < row["updated_at"]
        if row["orders_count"]:
            assert row["created_at"] <= row["first_order_at"] <= row["last_order_at"] < row["updated_at"]
        else:
            assert row["first_order_at"] is row["last_order_at"] is None


def test_people_agree_when_they_come_and_refuse_at_their_last_visit(small: Path) -> None:
    timed = [row for row in rows(small) if row["consent_at"]]
    for row in timed:
        day = row["updated_at" if row["consent"] == "denied" else "created_at"]
        assert row["consent_at"][:10] == day[:10]
    assert {row["consent"] for row in timed if row["created_at"][:10] != row["updated_at"][:10]} >= {
        "granted",
        "denied",
    }


def test_the_columns_are_those_of_the_generic_sources(small: Path) -> None:
    """``first_order_at`` and ``last_order_at`` are attributes under their own names."""
    assert list(rows(small)[0]) == [
        "id", "email", "first_name", "last_name", "street", "city", "postcode", "country", "language",
        "consent", "consent_at", "guest", "groups", "segments", "orders_count", "total_spent",
        "first_order_at", "last_order_at", "created_at", "updated_at",
    ]  # fmt: skip


def test_the_same_seed_gives_the_same_shop_and_another_seed_another(no_cdnow: Path) -> None:
    for name, size, seed in (("a", 60, 1), ("b", 60, 1), ("c", 60, 2), ("d", 90, 1)):
        build_shop(no_cdnow / name, size, seed)
    a, b, c, d = (rows(no_cdnow / name) for name in "abcd")
    assert a == b == d[:60]
    assert a != c


def test_building_replaces_what_was_there_and_leaves_nothing_beside_it(no_cdnow: Path) -> None:
    path = no_cdnow / "shop.db"
    path.write_bytes(b"something else")
    path.with_name("shop.db.part").write_bytes(b"left behind by a build that was killed")
    build_shop(path, 5)
    assert len(rows(path)) == 5
    assert [file.name for file in no_cdnow.iterdir()] == ["shop.db"]


def test_an_empty_shop_is_refused(no_cdnow: Path) -> None:
    with pytest.raises(ValueError, match="at least one person"):
        build_shop(no_cdnow / "shop.db", 0)


# --- a day in its life ---


def test_edited_names_differ_and_nothing_else_does(small: Path) -> None:
    before = by_email(small)
    edited = shop.edit_names(small, 30, NOON)
    after = by_email(small)
    assert len(set(edited)) == 30
    assert {email for email in before if before[email] != after[email]} == set(edited)
    for email in edited:
        changed = {column for column in before[email] if before[email][column] != after[email][column]}
        assert changed == {"last_name", "updated_at"}
        assert after[email]["updated_at"] == "2026-03-01T12:00:00Z"
        assert after[email]["consent"] == "granted" and not after[email]["guest"]


def test_edits_are_spread_over_the_shop(small: Path) -> None:
    ids = [by_email(small)[email]["id"] for email in shop.edit_names(small, 10, NOON)]
    assert ids == sorted(ids)
    assert ids[0] < 80 and ids[-1] > 320


def test_editing_twice_changes_the_names_twice(small: Path) -> None:
    names = []
    for _ in range(3):
        email = shop.edit_names(small, 1, NOON)[0]
        names.append(by_email(small)[email]["last_name"])
    assert names[0] != names[1] != names[2]


@pytest.mark.parametrize("people", [0, 401])
def test_more_edits_than_customers_are_refused(small: Path, people: int) -> None:
    before = rows(small)
    with pytest.raises(ValueError, match="subscribed customers"):
        shop.edit_names(small, people)
    assert rows(small) == before


def test_new_customers_agreed_today_and_bought_nothing(small: Path) -> None:
    before = by_email(small)
    added = shop.add_customers(small, 7, NOON) + shop.add_customers(small, 2, NOON)
    after = by_email(small)
    assert set(after) - set(before) == set(added) and len(set(added)) == 9
    for email in added:
        row = after[email]
        assert (row["consent"], row["guest"], row["orders_count"]) == ("granted", 0, 0)
        assert {row["consent_at"], row["created_at"], row["updated_at"]} == {"2026-03-01T12:00:00Z"}
    assert sorted(after[email]["id"] for email in added) == list(range(401, 410))


def test_a_deleted_account_is_gone(small: Path) -> None:
    before = by_email(small)
    email = shop.delete_account(small)
    assert before[email]["consent"] == "granted"
    del before[email]
    assert by_email(small) == before


def test_an_opt_out_is_a_denial_with_its_time(small: Path) -> None:
    before = by_email(small)
    email = shop.opt_out(small, NOON)
    after = by_email(small)
    assert before.pop(email)["consent"] == "granted"
    row = after.pop(email)
    assert row["consent"] == "denied"
    assert row["consent_at"] == row["updated_at"] == "2026-03-01T12:00:00Z"
    assert after == before


@pytest.mark.parametrize("act", [shop.delete_account, shop.opt_out])
def test_whoever_leaves_was_quiet_for_longest(small: Path, act: Callable[[Path], str]) -> None:
    before = [row for row in rows(small) if row["consent"] == "granted" and not row["guest"]]
    assert act(small) == min(before, key=lambda row: (row["updated_at"], row["id"]))["email"]


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system cannot change the time zone of a process")
def test_times_are_written_in_utc_wherever_the_machine_is(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Pacific/Auckland")
        time.tzset()
        email = shop.opt_out(small, NOON.astimezone(timezone(timedelta(hours=-7))))
    time.tzset()
    assert by_email(small)[email]["updated_at"] == "2026-03-01T12:00:00Z"


def test_the_acts_of_one_day_concern_different_people(small: Path) -> None:
    touched = shop.edit_names(small, 20, NOON)
    touched += [shop.delete_account(small), shop.opt_out(small, NOON), shop.delete_account(small)]
    touched += shop.add_customers(small, 3, NOON)
    assert len(touched) == len(set(touched)) == 26


def test_a_shop_without_subscribers_says_so(small: Path) -> None:
    with closing(sqlite3.connect(small)) as database, database:
        database.execute("UPDATE customers SET newsletter = 'unknown'")
    with pytest.raises(ValueError, match="no subscribed customer left"):
        shop.opt_out(small)
    with pytest.raises(ValueError, match="no subscribed customer left"):
        shop.delete_account(small)


def test_a_time_without_a_zone_given_by_nobody_is_now(small: Path) -> None:
    before = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    email = shop.edit_names(small, 1)[0]
    assert before <= by_email(small)[email]["updated_at"] <= datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
