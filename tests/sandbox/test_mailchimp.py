"""How the Mailchimp sandbox behaves: the facts a client must cope with, and the doubts as switches."""

import asyncio

import httpx2
import pytest

from listbridge.sandbox.mailchimp import KEY, MailchimpSandbox, Rules
from listbridge.sandbox.mailchimp.checks import cut_text
from listbridge.sandbox.mailchimp.state import digest
from listbridge.sandbox.serve import running

START = 1_700_000_000
ANN = "ann@shop.test"


class World:
    """One sandbox with one list, its clock, and a client for it."""

    def __init__(self, rules=None, **list_options):
        self.now = START
        self.sandbox = MailchimpSandbox(clock=lambda: self.now, rules=rules)
        self.list = self.sandbox.add_list("Shop", "shop", **list_options)

    def ask(self, method, path, body=None, *, auth=("any", KEY), headers=None):
        async def once():
            base = {"base_url": "http://sandbox/3.0", "transport": self.sandbox.transport()}
            async with httpx2.AsyncClient(auth=auth, headers=headers, **base) as http:
                return await http.request(method, path, json=body)

        return asyncio.run(once())

    def here(self, method, path, body=None):
        return self.ask(method, f"/lists/{self.list}{path}", body)

    def bulk(self, *rows, query="", **options):
        answer = self.here("POST", query, {"members": list(rows)} | options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def one(self, method, body=None, email=ANN, below=""):
        return self.here(method, f"/members/{digest(email).hex()}{below}", body)

    def page(self, query=""):
        return self.here("GET", f"/members?{query}").json()

    def addresses(self, query=""):
        return [member["email_address"] for member in self.page(query)["members"]]

    def status(self, email=ANN):
        return self.sandbox.member(self.list, email).status


@pytest.fixture
def world():
    return World()


def row(email=ANN, status="subscribed", **rest):
    return {"email_address": email, "status": status, **rest}


def problem(answer):
    content = answer.json()
    assert answer.headers["content-type"] == "application/problem+json; charset=utf-8"
    assert content["instance"] == answer.headers["x-request-id"]
    assert content["status"] == answer.status_code
    return answer.status_code, content["title"]


# The key


def test_basic_with_any_user_and_bearer_open_the_account(world):
    assert world.ask("GET", "/ping", auth=("whoever", KEY)).status_code == 200
    bearer = {"Authorization": f"Bearer {KEY}"}
    assert world.ask("GET", "/ping", auth=None, headers=bearer).status_code == 200


@pytest.mark.parametrize(
    "header", ["", "Bearer x", f"Basic {KEY}", f"OAuth {KEY}", "Basic eDp5", f"Bearer x{KEY}"]
)
def test_any_other_credentials_are_refused(world, header):
    answer = world.ask("GET", "/ping", auth=None, headers={"Authorization": header})
    assert problem(answer) == (401, "API Key Invalid")


def test_a_key_can_die_and_come_back(world):
    world.ask("GET", "/ping")
    world.sandbox.expire_key()
    assert world.ask("GET", "/ping").status_code == 401
    world.sandbox.renew_key("new-us1")
    assert world.ask("GET", "/ping").status_code == 401
    assert world.ask("GET", "/ping", auth=("x", "new-us1")).status_code == 200


# Bulk


def test_a_bulk_write_creates_updates_and_tells_what_is_wrong_per_row(world):
    world.sandbox.add_member(world.list, ANN, merge_fields={"FNAME": "Ann", "LNAME": "Old"})
    world.sandbox.add_member(world.list, "left@shop.test")
    world.sandbox.unsubscribe_by_person(world.list, "left@shop.test")
    done = world.bulk(
        row(merge_fields={"LNAME": "New"}),
        row("new@shop.test"),
        row("left@shop.test"),
        row("no address"),
        row("someone@example.com"),
        update_existing=True,
    )
    assert [m["email_address"] for m in done["new_members"]] == ["new@shop.test"]
    assert [m["merge_fields"]["LNAME"] for m in done["updated_members"]] == ["New"]
    assert (done["total_created"], done["total_updated"], done["error_count"]) == (1, 1, 3)
    errors = {error["email_address"]: error for error in done["errors"]}
    assert "compliance state" in errors["left@shop.test"]["error"]
    assert errors["no address"]["error"] == "Please provide a valid email address."
    assert "looks fake or invalid" in errors["someone@example.com"]["error"]
    assert {error["error_code"] for error in done["errors"]} == {"ERROR_GENERIC"}
    assert world.sandbox.members(world.list)[ANN]["merge_fields"] == {"FNAME": "Ann", "LNAME": "New"}
    assert world.status("left@shop.test") == "unsubscribed"


def test_a_known_address_needs_update_existing(world):
    world.sandbox.add_member(world.list, ANN)
    [error] = world.bulk(row())["errors"]
    assert error["error_code"] == "ERROR_CONTACT_EXISTS"
    assert "please provide update_existing:true" in error["error"]


def test_more_than_500_rows_are_refused_as_a_whole(world):
    rows = [row(f"p{n}@shop.test") for n in range(501)]
    assert problem(world.here("POST", "", {"members": rows}))[0] == 400
    assert world.sandbox.members(world.list) == {}
    assert world.bulk(*rows[:500])["total_created"] == 500


def test_a_row_of_the_wrong_shape_refuses_the_whole_call(world):
    for wrong in (row(merge_fields=[]), row(status="archived"), row(name="x"), "text", row(vip="yes")):
        answer = world.here("POST", "", {"members": [row("good@shop.test"), wrong]})
        assert problem(answer) == (400, "Invalid Resource")
        assert answer.json()["errors"][0]["field"].startswith("members.item:1.")
    assert world.sandbox.members(world.list) == {}


def test_a_repeated_address_is_an_error_or_is_skipped(world):
    twice = (row("Ann@shop.test", merge_fields={"FNAME": "first"}), row(merge_fields={"FNAME": "second"}))
    assert world.bulk(*twice)["error_count"] == 1
    again = World()
    assert again.bulk(*twice, query="?skip_duplicate_check=true")["error_count"] == 0
    for each in (world, again):
        assert each.sandbox.members(each.list)["Ann@shop.test"]["merge_fields"] == {"FNAME": "first"}


def test_a_row_without_status_is_refused_or_keeps_the_status():
    for needs, expected in ((True, (0, 1)), (False, (1, 0))):
        world = World(Rules(row_needs_status=needs))
        world.sandbox.add_member(world.list, ANN, "unsubscribed")
        done = world.bulk({"email_address": ANN, "merge_fields": {"FNAME": "A"}}, update_existing=True)
        assert (done["total_updated"], done["error_count"]) == expected
        assert world.status() == "unsubscribed"
        assert world.bulk({"email_address": "new@shop.test"}, update_existing=True)["error_count"] == 1


def test_rows_add_tags_and_sync_tags_replaces_them(world):
    world.sandbox.add_member(world.list, ANN, tags=["theirs", "old"])
    world.bulk(row(tags=["new"]), update_existing=True)
    assert world.sandbox.members(world.list)[ANN]["tags"] == ["new", "old", "theirs"]
    world.bulk(row(tags=["new"]), update_existing=True, sync_tags=True)
    assert world.sandbox.members(world.list)[ANN]["tags"] == ["new"]
    assert world.here("POST", "", {"members": [], "sync_tags": True}).status_code == 400


def test_an_archived_row_comes_back_unless_the_person_had_left(world):
    world.sandbox.add_member(world.list, ANN, merge_fields={"FNAME": "Ann"}, tags=["t"])
    world.sandbox.add_member(world.list, "left@shop.test")
    world.sandbox.unsubscribe_by_person(world.list, "left@shop.test")
    for email in (ANN, "left@shop.test"):
        world.sandbox.archive_by_hand(world.list, email)
    world.now += 10
    done = world.bulk(row(), row("left@shop.test"), update_existing=True)
    assert (done["total_updated"], done["error_count"]) == (1, 1)
    back = world.sandbox.members(world.list)[ANN]
    assert (back["status"], back["merge_fields"], back["tags"]) == ("subscribed", {"FNAME": "Ann"}, ["t"])
    assert world.sandbox.member(world.list, ANN).opted_at == world.now
    assert world.status("left@shop.test") == "archived"


def test_bulk_answers_have_what_is_described_and_more_on_request():
    assert "contact_id" not in World().bulk(row())["new_members"][0]
    assert "contact_id" in World(Rules(whole_members_in_bulk=True)).bulk(row())["new_members"][0]


# Statuses and consent


@pytest.mark.parametrize("leave", ["unsubscribe_by_person", "bounce", "complain"])
def test_who_left_by_themselves_can_only_be_asked(world, leave):
    world.sandbox.add_member(world.list, ANN)
    getattr(world.sandbox, leave)(world.list, ANN)
    before = world.status()
    for method in ("PUT", "PATCH"):
        assert problem(world.one(method, {"status": "subscribed"})) == (400, "Member In Compliance State")
    assert problem(world.one("PUT", {"status": "transactional"})) == (400, "Member In Compliance State")
    assert world.status() == before
    assert world.one("PATCH", {"status": "pending"}).status_code == 200
    assert [mail.address for mail in world.sandbox.confirmation_mails] == [ANN]
    assert problem(world.one("PATCH", {"status": "subscribed"})) == (400, "Member In Compliance State")
    world.sandbox.confirm(world.list, ANN)
    assert (world.status(), world.sandbox.member(world.list, ANN).compliance) == ("subscribed", False)


def test_who_an_admin_or_the_api_took_off_can_be_put_back(world):
    for take_off in (
        lambda: world.sandbox.unsubscribe_by_admin(world.list, ANN),
        lambda: world.one("PATCH", {"status": "unsubscribed"}),
    ):
        world.sandbox.add_member(world.list, ANN)
        world.now += 5
        take_off()
        assert world.one("GET").json()["unsubscribe_reason"] == "N/A (Unsubscribed by admin)"
        answer = world.one("PUT", {"status": "subscribed"})
        assert answer.json()["status"] == "subscribed"
        assert answer.json()["timestamp_opt"] == "2023-11-14T22:13:20+00:00"
        world.sandbox.delete_permanently(world.list, ANN)
        world.sandbox.audience(world.list).forgotten.clear()
        world.now = START


def test_a_confirmation_mail_goes_out_once_for_each_change_to_pending(world):
    body = {"email_address": ANN, "status": "pending", "status_if_new": "pending"}
    for _ in range(3):
        assert world.one("PUT", body).json()["status"] == "pending"
    assert len(world.sandbox.confirmation_mails) == 1
    world.one("PATCH", {"status": "unsubscribed"})
    world.one("PATCH", {"status": "pending"})
    assert len(world.sandbox.confirmation_mails) == 2


def test_subscribed_by_the_api_skips_confirmation_even_with_double_opt_in():
    world = World(double_optin=True)
    assert world.here("GET", "").json()["double_optin"] is True
    world.bulk(row())
    assert (world.status(), world.sandbox.confirmation_mails) == ("subscribed", [])


def test_status_if_new_counts_on_creation_only(world):
    body = {"email_address": ANN, "status_if_new": "subscribed"}
    assert world.one("PUT", body).json()["status"] == "subscribed"
    world.one("PATCH", {"status": "unsubscribed"})
    assert world.one("PUT", body).json()["status"] == "unsubscribed"


@pytest.mark.parametrize(("counts", "expected"), [(True, "subscribed"), (False, "archived")])
def test_whether_status_if_new_brings_back_an_archived_contact_is_a_switch(counts, expected):
    world = World(Rules(archived_counts_as_new=counts))
    world.sandbox.add_member(world.list, ANN, "archived")
    world.one("PUT", {"email_address": ANN, "status_if_new": "subscribed"})
    assert world.status() == expected


def test_patch_takes_fewer_statuses_and_nobody_becomes_transactional(world):
    world.sandbox.add_member(world.list, ANN)
    assert problem(world.one("PATCH", {"status": "transactional"})) == (400, "Invalid Resource")
    assert problem(world.one("PUT", {"status": "transactional"})) == (400, "Invalid Resource")
    assert world.one("PUT", {"status": "archived"}).status_code == 400


def test_a_post_of_a_present_member_is_refused_and_an_archived_one_comes_back(world):
    world.sandbox.add_member(world.list, ANN, merge_fields={"FNAME": "Ann"})
    assert problem(world.here("POST", "/members", row())) == (400, "Member Exists")
    world.sandbox.archive_by_hand(world.list, ANN)
    answer = world.here("POST", "/members", row(tags=["t"]))
    assert (answer.json()["status"], answer.json()["full_name"]) == ("subscribed", "Ann")
    assert answer.json()["tags_count"] == 1


def test_archiving_works_once_and_not_for_pending_or_bounced(world):
    world.sandbox.add_member(world.list, ANN)
    assert world.one("DELETE").status_code == 204
    assert world.one("GET").json()["status"] == "archived"
    again = world.one("DELETE")
    assert problem(again) == (405, "Method Not Allowed")
    assert again.headers["allow"] == "GET, PUT, PATCH"
    for status in ("pending", "cleaned"):
        world.sandbox.add_member(world.list, f"{status}@shop.test", status)
        assert world.one("DELETE", email=f"{status}@shop.test").status_code == 405


def test_a_permanently_deleted_address_never_comes_back(world):
    world.sandbox.add_member(world.list, ANN, tags=["t"])
    assert world.one("POST", below="/actions/delete-permanent").status_code == 204
    assert world.one("GET").status_code == 404
    for status in ("subscribed", "pending"):
        answer = world.here("POST", "/members", row("ANN@shop.test", status))
        assert problem(answer) == (400, "Forgotten Email Not Subscribed")
    assert world.bulk(row(), update_existing=True)["error_count"] == 1
    world.sandbox.add_member(world.list, "bob@shop.test")
    renamed = world.one("PATCH", {"email_address": ANN}, email="bob@shop.test")
    assert problem(renamed) == (400, "Forgotten Email Not Subscribed")


def test_addresses_are_checked_and_can_be_refused_for_now(world):
    world.sandbox.refuse_for_now("Busy@shop.test")
    cases = {
        "nobody": "Please provide a valid email address.",
        "a@b": "Please provide a valid email address.",
        "a b@shop.test": "Please provide a valid email address.",
        "a@bücher.test": "Please provide a valid email address.",
        "postmaster@shop.test": "looks fake or invalid",
        "busy@shop.test": "has signed up to a lot of lists very recently",
    }
    for address, words in cases.items():
        assert words in world.here("POST", "/members", row(address)).json()["detail"]
    assert world.here("POST", "/members", row("straße@shop.test")).status_code == 200


def test_ips_and_times_must_be_such(world):
    for wrong in ({"ip_signup": "1.2.3"}, {"timestamp_opt": "yesterday"}, {"timestamp_opt": "2020-01-01"}):
        assert world.here("POST", "/members", row(**wrong)).status_code == 400
    good = row(ip_opt="1.2.3.4", timestamp_opt="2020-01-01T00:00:00Z", language="de", vip=True)
    member = world.here("POST", "/members", good).json()
    assert (member["ip_opt"], member["timestamp_opt"]) == ("1.2.3.4", "2020-01-01T00:00:00+00:00")
    assert (member["language"], member["vip"]) == ("de", True)


def test_an_address_can_be_changed_but_not_onto_another_member(world):
    world.sandbox.add_member(world.list, ANN, tags=["t"])
    world.sandbox.add_member(world.list, "bob@shop.test")
    taken = world.one("PUT", {"email_address": "bob@shop.test", "status_if_new": "subscribed"})
    assert problem(taken) == (400, "Member Exists")
    before = world.one("GET").json()
    after = world.one("PATCH", {"email_address": "anna@shop.test"}).json()
    assert world.one("GET").status_code == 404
    assert after["contact_id"] == before["contact_id"]
    assert after["unique_email_id"] != before["unique_email_id"]
    assert after["tags_count"] == 1
    for word in (after["contact_id"], "Anna@shop.test", after["id"]):
        assert world.here("GET", f"/members/{word}").json()["id"] == after["id"]
    tags = {"tags": []}
    assert world.here("POST", f"/members/{after['contact_id']}/tags", tags).status_code == 404
    assert world.here("POST", f"/members/{after['id']}/tags", tags).status_code == 204


# Merge fields

KINDS = [
    ("text", "words", 7),
    ("number", "12.5", "many"),
    ("address", {"addr1": "1", "city": "C", "state": "S", "zip": "1"}, {"addr1": "1", "city": "C"}),
    ("phone", "030 123", 30),
    ("date", "2024-02-29", "29.02.2024"),
    ("birthday", "02/29", "02/30"),
    ("zip", "12345", "1234"),
    ("url", "https://shop.test/a", "shop"),
    ("imageurl", "https://shop.test/a.png", "a.png"),
    ("dropdown", "red", "blue"),
    ("radio", "red", None),
]


@pytest.mark.parametrize(("kind", "good", "bad"), KINDS)
def test_a_merge_value_must_be_of_its_fields_type(kind, good, bad):
    world = World(merge_fields=[{"tag": "X", "name": "X", "type": kind, "options": {"choices": ["red"]}}])
    assert world.here("POST", "/members", row(merge_fields={"X": good})).status_code == 200
    answer = world.one("PATCH", {"merge_fields": {"X": bad, "FNAME": "Ann"}})
    assert problem(answer) == (400, "Invalid Resource")
    assert answer.json()["errors"][0]["field"] == "X"
    member = world.one("GET").json()
    assert (member["merge_fields"]["FNAME"], bool(member["merge_fields"]["X"])) == ("", True)
    assert world.one("PATCH", {"merge_fields": {"X": ""}}).json()["merge_fields"]["X"] == ""
    error = world.bulk(row("b@shop.test", merge_fields={"X": bad}))["errors"][0]
    assert (error["field"], bool(error["field_message"])) == ("X", True)


def test_text_is_cut_at_255_bytes_and_whole_characters():
    assert cut_text("ä" * 200) == "ä" * 127
    assert cut_text("a" * 255) == "a" * 255
    assert cut_text("a" * 254 + "ä") == "a" * 254
    world = World()
    world.bulk(row(merge_fields={"FNAME": "x" * 300}))
    assert world.one("GET").json()["merge_fields"]["FNAME"] == "x" * 255


def test_unknown_tags_are_ignored_without_a_word(world):
    world.bulk(row(merge_fields={"NOSUCH": "x", "FNAME": "Ann"}))
    assert world.sandbox.members(world.list)[ANN]["merge_fields"] == {"FNAME": "Ann"}
    changed = world.one("GET").json()["last_changed"]
    world.now += 5
    world.one("PATCH", {"merge_fields": {"NOSUCH": "y"}})
    assert world.one("GET").json()["last_changed"] == changed


def test_a_required_field_is_required_unless_validation_is_skipped():
    world = World(merge_fields=[{"tag": "X", "name": "X", "type": "number", "required": True}])
    answer = world.here("POST", "/members", row())
    assert answer.json()["errors"] == [{"field": "X", "message": "Please enter a value"}]
    assert world.bulk(row())["error_count"] == 1
    assert world.bulk(row(merge_fields={"X": "?"}), query="?skip_merge_validation=true")["error_count"] == 1
    assert world.bulk(row(), query="?skip_merge_validation=true")["error_count"] == 0


def test_merge_fields_are_made_within_limits():
    world = World(Rules(max_merge_fields=6))

    def make(tag, **rest):
        return world.here("POST", "/merge-fields", {"name": "N", "type": "text", "tag": tag} | rest)

    for wrong in ("ELEVENCHARS", "FNAME", "EMAIL", "with space", "lower"):
        assert make(wrong).json()["errors"][0]["field"] == "tag"
    assert make("X", type="colour").status_code == 400
    assert make("X", type="dropdown").status_code == 400
    assert make("TENCHARS_X").json()["merge_id"] == 5
    assert make("").json()["tag"] == "MMERGE6"
    assert problem(make("ONEMORE")) == (400, "Invalid Resource")
    page = world.here("GET", "/merge-fields?count=2").json()
    assert ([f["tag"] for f in page["merge_fields"]], page["total_items"]) == (["ADDRESS", "FNAME"], 6)


def test_a_merge_field_can_be_renamed_and_deleted(world):
    world.sandbox.add_member(world.list, ANN, merge_fields={"FNAME": "Ann"})
    world.here("PATCH", "/merge-fields/1", {"name": "First", "tag": "FIRST"})
    assert world.one("GET").json()["merge_fields"]["FIRST"] == "Ann"
    assert world.here("DELETE", "/merge-fields/1").status_code == 204
    assert "FIRST" not in world.one("GET").json()["merge_fields"]
    assert world.here("GET", "/merge-fields/1").status_code == 404


# Reading


def test_a_page_has_ten_members_and_at_most_a_thousand(world):
    for number in range(1005):
        world.sandbox.add_member(world.list, f"p{number}@shop.test")
    assert len(world.addresses()) == 10
    assert len(world.addresses("count=5000&fields=members.email_address")) == 1000
    past = world.page("count=10&offset=2000")
    assert (past["members"], past["total_items"]) == ([], 1005)
    assert world.addresses("offset=1003&count=5") == ["p1003@shop.test", "p1004@shop.test"]


@pytest.mark.parametrize(
    "query",
    [
        "count=0",
        "count=x",
        "offset=-1",
        "status=gone",
        "sort_field=name",
        "sort_dir=up",
        "cuont=3",
        "since_last_changed=2020",
        "unsubscribed_since=2020-01-01T00:00:00Z",
        "vip_only=maybe",
        "fields=a&exclude_fields=b",
    ],
)
def test_a_question_that_is_not_described_is_refused(world, query):
    assert problem(world.here("GET", f"/members?{query}")) == (400, "Invalid Resource")


def test_archived_members_are_shown_only_when_asked_for(world):
    for status in ("subscribed", "archived", "unsubscribed"):
        world.sandbox.add_member(world.list, f"{status}@shop.test", status)
    assert world.addresses() == ["subscribed@shop.test", "unsubscribed@shop.test"]
    assert world.addresses("status=archived") == ["archived@shop.test"]
    assert world.page("status=unsubscribed&count=1&fields=total_items") == {"total_items": 1}


def test_since_excludes_its_own_second_unless_switched_and_so_does_before():
    for inclusive in (False, True):
        world = World(Rules(since_is_inclusive=inclusive))
        for number in range(3):
            world.sandbox.add_member(world.list, f"p{number}@shop.test", changed=START + number)
        found = world.addresses("since_last_changed=2023-11-14T22:13:21%2B00:00")
        assert found == (["p1@shop.test"] if inclusive else []) + ["p2@shop.test"]
        between = world.addresses(
            "since_last_changed=2023-11-14T22:13:19.999Z&before_last_changed=2023-11-14T22:13:21Z"
        )
        assert between == ["p0@shop.test"]


def test_members_are_in_the_order_of_their_last_change_both_ways(world):
    for number, changed in enumerate((30, 10, 20)):
        world.sandbox.add_member(world.list, f"p{number}@shop.test", changed=START - changed)
    order = ["p0@shop.test", "p2@shop.test", "p1@shop.test"]
    assert world.addresses("sort_field=last_changed&sort_dir=DESC") == order[::-1]
    world.sandbox.edit_field_by_hand(world.list, "p0@shop.test", "FNAME", "now")
    assert world.addresses("sort_field=last_changed&sort_dir=ASC&count=2") == ["p2@shop.test", "p1@shop.test"]
    assert world.addresses("sort_field=last_changed&sort_dir=DESC&count=1") == ["p0@shop.test"]
    assert world.addresses("sort_field=last_changed&sort_dir=DESC&count=2&offset=2") == ["p2@shop.test"]
    assert world.addresses("sort_field=last_changed&sort_dir=DESC&count=2&offset=4") == []


def test_members_can_be_sorted_and_filtered_by_opt_in(world):
    for number, opted in enumerate((20, 10)):
        world.sandbox.add_member(world.list, f"p{number}@shop.test", opted_at=START + opted)
    assert world.addresses("sort_field=timestamp_opt") == ["p1@shop.test", "p0@shop.test"]
    assert world.addresses("since_timestamp_opt=2023-11-14T22:13:30Z") == ["p0@shop.test"]
    assert world.addresses("before_timestamp_opt=2023-11-14T22:13:40Z") == ["p1@shop.test"]


def test_unsubscribed_since_tells_who_left_after_it(world):
    for number in range(2):
        world.sandbox.add_member(world.list, f"p{number}@shop.test")
        world.now += 10
        world.sandbox.unsubscribe_by_person(world.list, f"p{number}@shop.test")
    found = world.addresses("status=unsubscribed&unsubscribed_since=2023-11-14T22:13:30Z")
    assert found == ["p1@shop.test"]


def test_what_moves_last_changed(world):
    world.sandbox.add_member(world.list, ANN, merge_fields={"FNAME": "Ann"}, tags=["t"])

    def moves(act):
        before = world.sandbox.member(world.list, ANN).changed
        world.now += 10
        act()
        return world.sandbox.member(world.list, ANN).changed > before

    def tags(*names, status="active"):
        world.one("POST", {"tags": [{"name": n, "status": status} for n in names]}, below="/tags")

    assert not moves(lambda: world.one("PUT", {"email_address": ANN, "merge_fields": {"FNAME": "Ann"}}))
    assert not moves(lambda: world.bulk(row(tags=["t"]), update_existing=True))
    assert not moves(tags)
    assert moves(lambda: tags("t"))
    assert moves(lambda: world.bulk(row(tags=["new"]), update_existing=True))
    assert moves(lambda: world.one("PATCH", {"merge_fields": {"FNAME": "Anna"}}))
    assert not moves(lambda: world.sandbox.delete_tag(world.list, "new"))
    assert moves(lambda: world.one("DELETE"))


def test_fields_and_exclude_fields_go_down_to_parts_of_members(world):
    world.sandbox.add_member(world.list, ANN, merge_fields={"FNAME": "Ann"}, tags=["t"])
    wanted = "fields=members.email_address,members.merge_fields.FNAME,members.tags.name,total_items,nonsense"
    member = {"email_address": ANN, "merge_fields": {"FNAME": "Ann"}, "tags": [{"name": "t"}]}
    assert world.page(wanted) == {"members": [member], "total_items": 1}
    slim = world.page("exclude_fields=_links,members._links,members.stats.avg_open_rate")
    assert set(slim) == {"members", "list_id", "total_items"}
    assert slim["members"][0]["stats"] == {"avg_click_rate": 0}
    assert "_links" not in slim["members"][0]
    assert world.page("fields=total_items") == {"total_items": 1}
    assert set(world.page("fields=members")["members"][0]) > {"id", "_links", "contact_id"}
    single = world.here("GET", f"/members/{digest(ANN).hex()}?fields=status,tags_count").json()
    assert single == {"status": "subscribed", "tags_count": 1}


def test_a_member_shows_fifty_tags_and_counts_all(world):
    world.sandbox.add_member(world.list, ANN, tags=[f"t{n}" for n in range(60)])
    member = world.one("GET").json()
    assert (len(member["tags"]), member["tags_count"]) == (50, 60)
    page = world.one("GET", below="/tags?count=7").json()
    assert (len(page["tags"]), page["total_items"]) == (7, 60)


def test_the_figures_of_a_list_are_stale_for_five_minutes(world):
    def count():
        return world.here("GET", "?include_total_contacts=true").json()["stats"]["total_contacts"]

    assert count() == 0
    world.sandbox.add_member(world.list, ANN)
    world.now += 299
    assert count() == 0
    world.now += 1
    assert count() == 1
    assert "total_contacts" not in world.here("GET", "").json()["stats"]


def test_lists_are_paged_made_changed_and_deleted(world):
    for number in range(11):
        world.sandbox.add_list(f"list {number}")
    page = world.ask("GET", "/lists").json()
    assert (len(page["lists"]), page["total_items"]) == (10, 12)
    body = {"name": "n", "permission_reminder": "p", "email_type_option": True}
    assert world.ask("POST", "/lists", body).status_code == 400
    body["contact"] = {"company": "c", "address1": "a", "city": "c", "country": "DE"}
    body["campaign_defaults"] = {"from_name": "n", "from_email": "e", "subject": "s", "language": "de"}
    made = world.ask("POST", "/lists", body | {"double_optin": True}).json()
    assert made["double_optin"] is True
    changed = world.ask("PATCH", f"/lists/{made['id']}", body | {"name": "other"}).json()
    assert changed["name"] == "other"
    assert world.ask("DELETE", f"/lists/{made['id']}").status_code == 204
    assert problem(world.ask("GET", f"/lists/{made['id']}")) == (404, "Resource Not Found")


def test_a_full_account_makes_no_more_lists():
    world = World(Rules(max_lists=1))
    body = {"name": "n", "permission_reminder": "p", "email_type_option": True}
    body["contact"] = {"company": "c", "address1": "a", "city": "c", "country": "DE"}
    body["campaign_defaults"] = {"from_name": "n", "from_email": "e", "subject": "s", "language": "de"}
    assert problem(world.ask("POST", "/lists", body)) == (403, "User action not permitted")
    assert world.ask("GET", "/lists").json()["constraints"]["may_create"] is False


# Tags and segments


def test_a_tag_gains_and_loses_members_in_one_call(world):
    for name in ("a", "b", "c"):
        world.sandbox.add_member(world.list, f"{name}@shop.test", tags=["t"] if name == "b" else [])
    number = world.sandbox.tag(world.list, "t").id
    body = {
        "members_to_add": ["a@shop.test", "x@shop.test", "b@shop.test"],
        "members_to_remove": ["b@shop.test"],
    }
    done = world.here("POST", f"/segments/{number}", body).json()
    assert [m["email_address"] for m in done["members_added"]] == ["a@shop.test"]
    assert [m["email_address"] for m in done["members_removed"]] == ["b@shop.test"]
    assert (done["total_added"], done["total_removed"], done["error_count"]) == (1, 1, 1)
    assert done["errors"][0]["email_addresses"] == ["x@shop.test"]
    assert world.sandbox.members(world.list)["a@shop.test"]["tags"] == ["t"]


def test_more_than_500_addresses_or_a_saved_segment_are_refused(world):
    saved = world.sandbox.add_saved_segment(world.list, "saved")
    tag = world.here("POST", "/segments", {"name": "t", "static_segment": []}).json()["id"]
    many = [f"p{n}@shop.test" for n in range(501)]
    for field in ("members_to_add", "members_to_remove"):
        answer = world.here("POST", f"/segments/{tag}", {field: many})
        assert answer.json()["detail"].startswith(
            "Maximum allowed member items exceeded, please provide at most 500"
        )
    answer = world.here("POST", f"/segments/{saved}", {"members_to_add": [ANN]})
    assert (
        answer.json()["detail"] == f'A Static Segment with an id of "{saved}" does not exist for this list.'
    )
    assert world.here("POST", f"/segments/{tag}", {}).status_code == 400


def test_a_segments_membership_is_replaced_or_only_its_name(world):
    for name in ("a", "b"):
        world.sandbox.add_member(world.list, f"{name}@shop.test")
    body = {"name": "t", "static_segment": ["a@shop.test", "nobody@shop.test"]}
    made = world.here("POST", "/segments", body).json()
    path = f"/segments/{made['id']}"
    assert (made["member_count"], made["type"]) == (1, "static")
    assert world.here("POST", "/segments", body).status_code == 400
    assert world.here("PATCH", path, {"name": "u"}).json()["member_count"] == 1
    assert world.here("PATCH", path, {"static_segment": []}).status_code == 400
    world.here("PATCH", path, {"name": "u", "static_segment": ["b@shop.test"]})
    tags = {email: member["tags"] for email, member in world.sandbox.members(world.list).items()}
    assert tags == {"a@shop.test": [], "b@shop.test": ["u"]}
    assert world.here("DELETE", path).status_code == 204
    assert world.sandbox.members(world.list)["b@shop.test"]["tags"] == []
    assert world.here("GET", path).status_code == 404


def test_a_segment_shows_subscribed_members_and_others_on_request(world):
    for status in ("subscribed", "unsubscribed", "cleaned", "transactional", "pending", "archived"):
        world.sandbox.add_member(world.list, f"{status}@shop.test", status, tags=["t"])
    path = f"/segments/{world.sandbox.tag(world.list, 't').id}/members"

    def shown(query=""):
        return {m["status"] for m in world.here("GET", f"{path}?count=100{query}").json()["members"]}

    assert shown() == {"subscribed"}
    assert shown("&include_cleaned=true") == {"subscribed", "cleaned"}
    everybody = "&include_cleaned=true&include_transactional=true&include_unsubscribed=true"
    assert shown(everybody) == {"subscribed", "cleaned", "transactional", "unsubscribed"}
    [segment] = world.here("GET", "/segments?type=static").json()["segments"]
    assert segment["member_count"] == 1


def test_segments_are_listed_by_type_in_pages_and_found_by_prefix(world):
    world.sandbox.add_saved_segment(world.list, "Shop saved")
    for number in range(12):
        world.sandbox.audience(world.list).add_segment(f"Shop-{number}", START)
    page = world.here("GET", "/segments?type=static").json()
    assert (len(page["segments"]), page["total_items"]) == (10, 12)
    assert world.here("GET", "/segments?type=saved").json()["total_items"] == 1
    assert world.here("GET", "/tag-search?name=shop-1").json()["total_items"] == 3


def test_tags_of_one_member_are_put_on_and_taken_off(world):
    world.sandbox.add_member(world.list, ANN, "archived")

    def change(name, status):
        return world.one("POST", {"tags": [{"name": name, "status": status}]}, below="/tags").status_code

    assert [change("t", "active"), change("never", "inactive")] == [204, 204]
    assert (world.status(), world.sandbox.members(world.list)[ANN]["tags"]) == ("archived", ["t"])
    assert world.here("GET", "/tag-search").json()["total_items"] == 1
    assert [change("t", "inactive"), change("t", "off"), change(" ", "active")] == [204, 400, 400]
    assert world.sandbox.members(world.list)[ANN]["tags"] == []


# Batches


def start_batch(world, *operations):
    return world.ask("POST", "/batches", {"operations": list(operations)})


def finish(world, number):
    for _ in range(8):
        content = world.ask("GET", f"/batches/{number}").json()
        if content["response_body_url"]:
            break
    return content


def test_a_batch_runs_in_no_order_and_only_once_started(world):
    operations = [
        {"method": "PUT", "path": f"/lists/shop/members/{digest(ANN).hex()}", "operation_id": str(n)}
        | {
            "body": f'{{"email_address": "{ANN}", "status_if_new": "subscribed", "merge_fields": {{"FNAME": "{n}"}}}}'
        }
        for n in range(20)
    ]
    number = start_batch(world, *operations).json()["id"]
    world.ask("GET", f"/batches/{number}")
    assert world.sandbox.members(world.list) == {}
    content = finish(world, number)
    assert content["finished_operations"] == 20
    assert world.sandbox.members(world.list)[ANN]["merge_fields"] != {"FNAME": "19"}


def test_a_batchs_result_url_lasts_ten_minutes_and_the_batch_seven_days(world):
    number = start_batch(world, {"method": "GET", "path": "/ping"}).json()["id"]
    url = finish(world, number)["response_body_url"]
    assert world.ask("GET", url, auth=None).status_code == 200
    world.now += 601
    assert world.ask("GET", url, auth=None).status_code == 403
    assert world.ask("GET", finish(world, number)["response_body_url"]).status_code == 200
    world.now += 7 * 24 * 3600
    assert world.ask("GET", f"/batches/{number}").status_code == 404


def test_a_get_without_count_pages_by_itself(world):
    for number in range(25):
        world.sandbox.add_member(world.list, f"p{number}@shop.test")
    operation = {"method": "GET", "path": "/lists/shop/members"}
    number = start_batch(world, operation, operation | {"params": {"count": "5"}}).json()["id"]
    assert finish(world, number)["finished_operations"] == 4


def test_a_batch_can_be_wrong_deleted_or_finished_without_a_url():
    world = World(Rules(finished_without_url=2, max_operations=1))
    ping = {"method": "GET", "path": "/ping"}
    wrong = ({"method": "GET", "path": "ping"}, {"method": "GET", "path": "/3.0/ping"}, {"path": "/ping"})
    for operation in (*wrong, {"method": "HEAD", "path": "/ping"}, ping | {"body": {}}):
        assert start_batch(world, operation).status_code == 400
    assert start_batch(world).status_code == 400
    assert start_batch(world, ping, ping).status_code == 400
    number = start_batch(world, ping).json()["id"]
    seen = [world.ask("GET", f"/batches/{number}").json() for _ in range(6)]
    assert [c["status"] for c in seen][-3:] == ["finished"] * 3
    assert [bool(c["response_body_url"]) for c in seen][-3:] == [False, False, True]
    assert world.ask("DELETE", f"/batches/{number}").status_code == 204
    assert world.ask("GET", f"/batches/{number}").status_code == 404


# The platform as a whole


def test_unknown_paths_methods_and_broken_bodies_are_problems(world):
    assert problem(world.ask("GET", "/nowhere")) == (404, "Resource Not Found")
    assert problem(world.ask("PUT", "/lists")) == (405, "Method Not Allowed")
    assert problem(world.ask("GET", "/lists/none/members")) == (404, "Resource Not Found")
    assert problem(world.here("POST", "/members")) == (400, "JSON Parse Exception")
    assert problem(world.here("POST", "/members", [1])) == (400, "Invalid Resource")


def test_faults_speak_the_platforms_words(world):
    for do, status, title in (
        ("429", 429, "TooManyRequests"),
        ("expired_key", 401, "API Key Invalid"),
        ("500", 500, "InternalServerError"),
    ):
        world.sandbox.faults.add(do, times=1)
        assert problem(world.ask("GET", "/ping")) == (status, title)
    world.sandbox.faults.add("429", retry_after=3)
    assert world.ask("GET", "/ping").headers["retry-after"] == "3"


def test_half_a_page_tells_the_whole_number(world):
    for number in range(8):
        world.sandbox.add_member(world.list, f"p{number}@shop.test")
    world.sandbox.faults.add("half_page", path="/members$")
    page = world.page("count=6")
    assert (len(page["members"]), page["total_items"]) == (3, 8)
    assert len(world.page()["members"]) == 5


def test_the_eleventh_request_at_one_time_is_refused():
    sandbox = MailchimpSandbox(latency_seconds=0.05)

    async def crowd():
        base = {"base_url": "http://sandbox/3.0", "auth": ("x", KEY)}
        async with httpx2.AsyncClient(transport=sandbox.transport(), **base) as http:
            return await asyncio.gather(*(http.get("/ping") for _ in range(11)))

    assert sorted(a.status_code for a in asyncio.run(crowd())) == [200] * 10 + [429]


def test_calls_are_split_into_reads_and_writes(world):
    world.bulk(row())
    world.page()
    world.one("PATCH", {"vip": True})
    start_batch(world, {"method": "GET", "path": "/ping"})
    assert (world.sandbox.calls.read, world.sandbox.calls.write) == (1, 3)


def test_what_people_do_by_hand_works_over_a_socket_too():
    sandbox = MailchimpSandbox()
    with running(sandbox) as urls, httpx2.Client() as http:
        control = urls["mailchimp"].removesuffix("/3.0") + "/__sandbox__"

        def do(action, **given):
            answer = http.post(f"{control}/{action}", json=given)
            assert answer.status_code == 200, answer.text
            return answer.json()["result"]

        shop = do("add_list", name="Shop", merge_fields=["CITY"])
        for name in ("click", "admin", "bounce", "spam", "gone", "erase", "move"):
            do("add_member", list_id=shop, email=f"{name}@shop.test", tags=["t"])
        do("unsubscribe_by_person", list_id=shop, email="click@shop.test")
        do("unsubscribe_by_admin", list_id=shop, email="admin@shop.test")
        do("bounce", list_id=shop, email="bounce@shop.test")
        do("complain", list_id=shop, email="spam@shop.test")
        do("archive_by_hand", list_id=shop, email="gone@shop.test")
        do("delete_permanently", list_id=shop, email="erase@shop.test")
        do("change_address_by_hand", list_id=shop, email="move@shop.test", new_email="moved@shop.test")
        do("edit_field_by_hand", list_id=shop, email="moved@shop.test", tag="CITY", value="Rome")
        do("tag_by_hand", list_id=shop, email="moved@shop.test", name="u")
        do("untag_by_hand", list_id=shop, email="moved@shop.test", name="t")
        found = do("members", list_id="Shop")
        assert {e: (m["status"], m["compliance"]) for e, m in found.items()} == {
            "click@shop.test": ("unsubscribed", True),
            "admin@shop.test": ("unsubscribed", False),
            "bounce@shop.test": ("cleaned", True),
            "spam@shop.test": ("unsubscribed", True),
            "gone@shop.test": ("archived", False),
            "moved@shop.test": ("subscribed", False),
        }
        assert found["moved@shop.test"]["merge_fields"] == {"CITY": "Rome"}
        assert found["moved@shop.test"]["tags"] == ["u"]
        state = http.get(control + "/").json()
        assert state["lists"][shop]["members"]["unsubscribed"] == 3
        nobody = http.post(f"{control}/bounce", json={"list_id": shop, "email": "no@shop.test"})
        assert (nobody.status_code, "is not on this list" in nobody.json()["error"]) == (400, True)


def test_a_reset_empties_the_account(world):
    world.sandbox.add_member(world.list, ANN)
    world.sandbox.expire_key()
    world.sandbox.reset()
    assert world.ask("GET", "/lists").json()["total_items"] == 0


def test_by_hand_nothing_impossible_can_be_said(world):
    world.sandbox.add_member(world.list, ANN)
    with pytest.raises(ValueError, match="is on this list already"):
        world.sandbox.add_member(world.list, ANN)
    with pytest.raises(ValueError, match="There is no status 'gone'"):
        world.sandbox.add_member(world.list, "b@shop.test", "gone")
    with pytest.raises(KeyError, match="There is no list"):
        world.sandbox.members("elsewhere")
    with pytest.raises(KeyError, match="There is no merge field"):
        world.sandbox.edit_field_by_hand(world.list, ANN, "NOSUCH", 1)
    with pytest.raises(ValueError, match="There is a list with the id shop"):
        world.sandbox.add_list("again", "shop")
