"""The RetailCRM stand-in answers as the vendor's recordings do, and refuses what the platform refuses."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import httpx2
import pytest

from listbridge.sandbox.retailcrm import Key, RetailCrm

SHARED = Path(os.environ.get("LISTBRIDGE_SHARED", Path(__file__).parents[2].parent / "shared"))
FIXTURES = SHARED / "specs" / "retailcrm" / "fixtures"
HEADERS = {"X-API-KEY": "key"}


def call(
    sandbox: RetailCrm, method: str, path: str, *, headers: dict[str, str] = HEADERS, **parts: Any
) -> httpx2.Response:
    async def once() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=sandbox.transport(), base_url="http://crm.example") as client:
            return await client.request(method, path, headers=headers, **parts)

    return asyncio.run(once())


def get(sandbox: RetailCrm, path: str, **params: Any) -> Any:
    answer = call(sandbox, "GET", f"/api/v5/{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def recorded(name: str) -> Any:
    file = FIXTURES / name
    if not file.exists():
        pytest.skip(f"no recorded answers at {FIXTURES}; set LISTBRIDGE_SHARED to the folder that has them")
    return json.loads(file.read_text())


def account(**parts: Any) -> RetailCrm:
    return RetailCrm(per_second=None, **parts)


def form(**fields: Any) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}


def same_types(ours: Any, theirs: Any, where: str = "") -> None:
    """Every key that both know holds the same type of value, and ours knows no key that theirs lacks."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        assert set(ours) <= set(theirs), f"{where}: {set(ours) - set(theirs)} was never recorded"
        for key in ours:
            same_types(ours[key], theirs[key], f"{where}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list):
        for item in ours:
            if theirs:
                same_types(item, theirs[0], where + "[]")
    elif ours is not None and theirs is not None:
        assert {type(ours), type(theirs)} <= {int, float} or type(ours) is type(theirs), where


# --- recorded shapes ---------------------------------------------------------------------------------


def test_a_customer_has_the_recorded_shape() -> None:
    """Keys and types of the vendor's recorded list of customers."""
    theirs = recorded("customers/CustomersList.json")
    sandbox = account()
    sandbox.add_segment("rossiya")
    sandbox.add_customer(
        "",
        topics={"default_marketing": True},
        segments=["rossiya"],
        externalId="11",
        firstName="Иван",
        address={"id": 3, "city": "Кисловодск", "countryIso": "RU"},
        phones=[{"number": "8922"}],
        customFields={"bool_field": True},
    )
    same_types(get(sandbox, "customers"), theirs)


def test_segments_have_the_recorded_shape() -> None:
    """Keys and types of the vendor's recorded list of segments."""
    sandbox = account()
    sandbox.add_segment("ForVK")
    ours = get(sandbox, "segments")
    theirs = recorded("segments/List.json")
    same_types(ours, theirs)
    assert set(ours["segments"][0]) == set(theirs["segments"][0])


def test_each_kind_of_history_entry_has_the_recorded_shape() -> None:
    """Creation, plain field, address, segment and deletion, compared with one recorded entry each."""
    theirs = {e["field"] + str(e.get("deleted")): e for e in recorded("customers/History_a.json")["history"]}
    sandbox = account()
    sandbox.add_segment("vip")
    person = sandbox.add_customer("a@b.example", firstName="A")
    sandbox.edit_customer(person, source="api", email="c@d.example")
    sandbox.edit_customer(person, address={"city": "Москва"})
    sandbox.set_segment_members("vip", [person])
    sandbox.delete_customer(person)
    seen = set()
    for entry in get(sandbox, "customers/history", limit=100)["history"]:
        kind = entry["field"] + str(entry.get("deleted"))
        entry["customer"] = {k: v for k, v in entry["customer"].items() if k in theirs[kind]["customer"]}
        same_types(entry, {"user": {"id": 1}, **theirs[kind]}, kind)
        assert set(entry) - {"user", "apiKey"} == set(theirs[kind]) - {"user", "apiKey"}
        seen.add(kind)
    assert seen == {"idNone", "emailNone", "address.cityNone", "segmentsNone", "idTrue"}


def test_an_order_in_the_history_names_its_customer_as_recorded() -> None:
    """A new order's entry: field, values, and the customer inside the order."""
    theirs = recorded("orders/History_a.json")["history"][3]
    sandbox = account()
    sandbox.add_order(sandbox.add_customer("a@b.example"))
    ours = get(sandbox, "orders/history")["history"][0]
    assert set(ours) == set(theirs)
    assert ours["newValue"] == theirs["newValue"]
    assert ours["order"]["customer"]["type"] == theirs["order"]["customer"]["type"] == "customer"


@pytest.mark.parametrize(
    ("name", "break_it", "request_"),
    [
        ("api_key_wrong", lambda s: s.keys.clear(), ("GET", "/api/v5/customers")),
        ("account_missing", lambda s: setattr(s, "account", "missing"), ("GET", "/api/v5/customers")),
        ("rate_limited", lambda s: setattr(s, "per_second", 0), ("GET", "/api/v5/customers")),
        ("method_not_found", lambda s: None, ("GET", "/api/v5/nothing")),
        ("edit_nonexistent", lambda s: None, ("POST", "/api/v5/customers/7/edit")),
    ],
)
def test_errors_are_the_recorded_ones(name: str, break_it: Any, request_: tuple[str, str]) -> None:
    """Status and body, word for word."""
    theirs = recorded(f"errors_go/{name}.json")
    sandbox = account()
    break_it(sandbox)
    data = form(by="id", customer={}) if request_[0] == "POST" else None
    answer = call(sandbox, *request_, data=data)
    assert (answer.status_code, answer.json()) == (theirs["status"], theirs["body"])


def test_small_recorded_answers_are_given_word_for_word() -> None:
    """Versions, edit, the wrong method and the page of a server without such an account."""
    sandbox = account()
    number = sandbox.add_customer("a@b.example", externalId="e")
    assert call(sandbox, "GET", "/api/api-versions").json() == recorded("api/ApiVersions.json")
    assert set(call(sandbox, "GET", "/api/system-info").json()) == set(recorded("api/SystemInfo.json"))
    edited = call(sandbox, "POST", "/api/v5/customers/e/edit", data=form(customer={"vip": True})).json()
    assert edited == {**recorded("customers/CustomersEdit.json"), "id": number}
    wrong = call(sandbox, "DELETE", "/api/v5/customers")
    assert (wrong.status_code, wrong.json()) == (405, recorded("errors/ErrorResponseHandling.json"))
    sandbox.account = "page"
    page = call(sandbox, "GET", "/api/v5/customers")
    assert (page.status_code, page.content[:1]) == (405, b"<")


# --- strictness --------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["1", "250", "99", "x"])
def test_other_limits_than_20_50_100_are_refused(limit: str) -> None:
    """The platform takes three page sizes."""
    answer = call(account(), "GET", "/api/v5/customers", params={"limit": limit})
    assert answer.status_code == 400
    assert "children[limit]" in answer.json()["errors"]


@pytest.mark.parametrize("name", ["foo", "filter[updatedAt]", "filter[segments]", "sinceId"])
def test_unknown_parameters_are_refused_by_name(name: str) -> None:
    """Nothing is passed over in silence."""
    answer = call(account(), "GET", "/api/v5/customers", params={name: "1"})
    assert answer.status_code == 400
    assert answer.json()["errorMsg"] == "Errors in the input parameters"


def test_a_json_body_is_refused() -> None:
    """Writes are forms with JSON inside."""
    sandbox = account()
    number = sandbox.add_customer()
    answer = call(sandbox, "POST", f"/api/v5/customers/{number}/edit", json={"customer": {"vip": True}})
    assert answer.status_code == 400
    headers = {**HEADERS, "Content-Type": "text/plain"}
    content = "by=id&customer=%7B%22vip%22%3Atrue%7D"
    answer = call(sandbox, "POST", f"/api/v5/customers/{number}/edit", content=content, headers=headers)
    assert answer.status_code == 400
    assert not sandbox.customers[number]["vip"]


@pytest.mark.parametrize(
    "data",
    [
        {"by": "id"},
        {"by": "id", "customer": "not json"},
        {"by": "id", "customer": '["vip"]'},
        {"by": "id", "customer": '{"frstName": "A"}'},
        {"by": "email", "customer": "{}"},
        {"by": "id", "customer": "{}", "shop": "x"},
        {"by": "id", "customer": "{}", "site": "elsewhere"},
    ],
)
def test_a_malformed_edit_is_refused(data: dict[str, str]) -> None:
    """Missing, undecodable, of the wrong type, unknown."""
    sandbox = account()
    number = sandbox.add_customer()
    assert call(sandbox, "POST", f"/api/v5/customers/{number}/edit", data=data).status_code == 400


def test_the_path_means_an_external_id_unless_told_otherwise() -> None:
    """``by`` decides what the path holds; the default is externalId."""
    sandbox = account()
    number = sandbox.add_customer(externalId="x7")
    assert call(sandbox, "GET", f"/api/v5/customers/{number}").status_code == 404
    assert get(sandbox, f"customers/{number}", by="id")["customer"]["externalId"] == "x7"
    assert get(sandbox, "customers/x7")["customer"]["id"] == number


def test_with_several_sites_a_write_must_name_one() -> None:
    """And a customer is found in that one only."""
    sandbox = account(sites=("a", "b"))
    number = sandbox.add_customer(site="b")
    path = f"/api/v5/customers/{number}/edit"
    assert call(sandbox, "POST", path, data=form(by="id", customer={"vip": True})).status_code == 400
    assert (
        call(sandbox, "POST", path, data=form(by="id", site="a", customer={"vip": True})).status_code == 404
    )
    assert (
        call(sandbox, "POST", path, data=form(by="id", site="b", customer={"vip": True})).status_code == 200
    )
    assert sandbox.customers[number]["vip"]


def test_a_key_reaches_its_scopes_and_sites_only() -> None:
    """Access is denied, or the customers are not shown."""
    sandbox = account(sites=("a", "b"))
    sandbox.keys["key"] = Key(scopes=("customer_read",), sites=("a",))
    inside, _outside = sandbox.add_customer(site="a"), sandbox.add_customer(site="b")
    assert [c["id"] for c in get(sandbox, "customers")["customers"]] == [inside]
    refused = call(sandbox, "POST", f"/api/v5/customers/{inside}/edit", data=form(by="id", customer={}))
    assert (refused.status_code, refused.json()["errorMsg"]) == (403, "Access denied.")
    told = call(sandbox, "GET", "/api/credentials").json()
    assert (told["scopes"], told["siteAccess"]) == (["customer_read"], "access_selective")


@pytest.mark.parametrize(
    ("headers", "params", "words"),
    [
        ({}, {}, '"apiKey" is missing.'),
        ({"X-API-KEY": "x"}, {}, 'Wrong "apiKey" value.'),
        ({}, {"apiKey": "key"}, ""),
    ],
)
def test_the_key_travels_in_a_header_or_as_a_parameter(
    headers: dict[str, str], params: dict[str, str], words: str
) -> None:
    """No key and a wrong one are told apart."""
    answer = call(account(), "GET", "/api/v5/customers", headers=headers, params=params)
    assert answer.status_code == (403 if words else 200)
    assert answer.json().get("errorMsg", "") == words


def test_the_eleventh_request_of_a_second_is_refused() -> None:
    """503 with the recorded words; a second later all is well."""
    now = [1000.0]
    sandbox = RetailCrm(clock=lambda: now[0])
    answers = [call(sandbox, "GET", "/api/v5/segments").status_code for _ in range(11)]
    assert answers == [200] * 10 + [503]
    now[0] += 1
    assert call(sandbox, "GET", "/api/v5/segments").status_code == 200


# --- behaviour ---------------------------------------------------------------------------------------


def test_new_customers_come_first_and_shift_the_pages() -> None:
    """The list goes from new to old."""
    sandbox = account()
    numbers = [sandbox.add_customer(f"{n}@x.example") for n in range(30)]
    first = get(sandbox, "customers", limit=20, page=1)
    assert first["pagination"] == {"limit": 20, "totalCount": 30, "currentPage": 1, "totalPageCount": 2}
    assert [c["id"] for c in first["customers"]] == numbers[:9:-1]
    sandbox.add_customer("new@x.example")
    second = get(sandbox, "customers", limit=20, page=2)
    assert second["customers"][0]["id"] == first["customers"][-1]["id"]


def test_filters_narrow_the_list() -> None:
    """Each filter that is simulated."""
    sandbox = account(sites=("a", "b"))
    sandbox.add_segment("vip")
    one = sandbox.add_customer("one@x.example", site="a", segments=["vip"], externalId="e1")
    two = sandbox.add_customer("two@x.example", site="b", createdAt="2020-01-01 00:00:00")
    sandbox.unsubscribe(two)
    sandbox.edit_customer(two, addTags=["t"])

    def found(**filters: Any) -> list[int]:
        named = {f"filter[{name}]" + ("[]" if isinstance(v, list) else ""): v for name, v in filters.items()}
        return [c["id"] for c in get(sandbox, "customers", **named)["customers"]]

    assert found(ids=[one, two]) == [two, one]
    for only_one in ({"segment": "vip"}, {"sites": ["a"]}, {"externalIds": ["e1"]}, {"ids": [one]}):
        assert found(**only_one) == [one]
    for only_two in ({"email": "two@"}, {"emailMarketingUnsubscribed": 1}, {"tags": ["t"]}):
        assert found(**only_two) == [two]
    assert found(dateFrom="2021-01-01") == found(emailMarketingUnsubscribed=0) == [one]
    assert found(dateTo="2021-01-01") == [two]
    assert found(isContact=1) == []


def test_the_history_goes_on_after_an_id() -> None:
    """Page 1 always holds the next entries."""
    sandbox = account()
    for n in range(25):
        sandbox.add_customer(f"{n}@x.example")
    first = get(sandbox, "customers/history")
    assert [e["id"] for e in first["history"]] == list(range(1, 21))
    rest = get(sandbox, "customers/history", **{"filter[sinceId]": 20})
    assert [e["id"] for e in rest["history"]] == [21, 22, 23, 24, 25]
    assert rest["pagination"]["totalCount"] == 5
    assert get(sandbox, "customers/history", **{"filter[sinceId]": 25})["history"] == []
    only = get(sandbox, "customers/history", **{"filter[customerId]": 3})["history"]
    assert [e["customer"]["id"] for e in only] == [3]


def test_writes_of_the_asking_key_are_marked_as_its_own() -> None:
    """``apiKey.current`` depends on who asks."""
    sandbox = account()
    sandbox.keys["other"] = Key()
    number = sandbox.add_customer()
    call(sandbox, "POST", f"/api/v5/customers/{number}/edit", data=form(by="id", customer={"firstName": "A"}))
    sandbox.edit_customer(number, source="api", firstName="B")
    entries = get(sandbox, "customers/history")["history"]
    assert [e.get("apiKey") for e in entries] == [None, {"current": True}, {"current": False}]
    headers = {"X-API-KEY": "other"}
    seen = call(sandbox, "GET", "/api/v5/customers/history", headers=headers).json()["history"]
    assert [e.get("apiKey") for e in seen] == [None, {"current": False}, {"current": False}]


def test_an_edit_changes_what_it_names_and_nothing_else() -> None:
    """Custom fields and addresses are merged, tags added and removed, the unsubscribe dated."""
    sandbox = account(clock=lambda: 1_700_000_000.0, zone="Europe/Moscow")
    number = sandbox.add_customer(customFields={"a": 1}, phones=[{"number": "1"}])
    path = f"/api/v5/customers/{number}/edit"
    change = {
        "customFields": {"b": 2},
        "addTags": ["x", "y"],
        "removeTags": ["y"],
        "subscribed": False,
        "address": {"city": "Perm"},
        "phones": [{"number": "1"}, {"number": "2"}],
    }
    assert call(sandbox, "POST", path, data=form(by="id", customer=change)).status_code == 200
    shown = get(sandbox, f"customers/{number}", by="id")["customer"]
    assert shown["customFields"] == {"a": 1, "b": 2}
    assert [tag["name"] for tag in shown["tags"]] == ["x"]
    assert shown["emailMarketingUnsubscribedAt"] == "2023-11-15 01:13:20"
    assert shown["address"]["city"] == "Perm"
    fields = [e["field"] for e in sandbox.history[1:]]
    assert fields == [
        "custom_b", "tags", "tags", "tags", "email_marketing_unsubscribed_at", "address.city", "phones",
    ]  # fmt: skip
    call(sandbox, "POST", path, data=form(by="id", customer={"subscribed": False}))
    assert len(sandbox.history) == 8, "who has left cannot leave again"
    call(sandbox, "POST", path, data=form(by="id", customer={"subscribed": True}))
    assert "emailMarketingUnsubscribedAt" not in get(sandbox, f"customers/{number}", by="id")["customer"]


def test_a_subscription_is_written_for_a_topic_that_exists() -> None:
    """An unknown or idle topic, a word for true, an unknown person: refused, and nothing is written."""
    sandbox = account()
    sandbox.add_topic("idle", active=False)
    number = sandbox.add_customer(topics={"default_marketing": True})
    path = f"/api/v5/customers/{number}/subscriptions"
    good = {"channel": "email", "subscription": "default_marketing", "active": False}
    bad: list[dict[str, Any]] = [{"subscription": "idle"}, {"active": "no"}, {"channel": "sms"}, {"x": 1}]
    for wrong in bad:
        data = form(by="id", subscriptions=[good, good | wrong])
        assert call(sandbox, "POST", path, data=data).status_code == 400
    assert len(sandbox.history) == 1
    gone = call(
        sandbox, "POST", "/api/v5/customers/99/subscriptions", data=form(by="id", subscriptions=[good])
    )
    assert gone.status_code == 404
    assert call(sandbox, "POST", path, data=form(by="id", subscriptions=[good])).json() == {"success": True}
    told = get(sandbox, f"customers/{number}", by="id")["customer"]["customerSubscriptions"]
    assert [(t["subscription"]["code"], t["subscribed"]) for t in told] == [("default_marketing", False)]
    assert "changedAt" in told[0]


def test_empty_things_are_left_out_or_empty_lists() -> None:
    """As in the recordings: customFields is a list when empty, unknown keys are absent."""
    sandbox = account()
    sandbox.add_customer(None)
    shown = get(sandbox, "customers")["customers"][0]
    assert shown["customFields"] == []
    assert {"email", "externalId", "customerSubscriptions", "address", "birthday"}.isdisjoint(shown)


def test_the_count_of_a_dynamic_segment_stays_behind() -> None:
    """A number for progress bars, not for proofs."""
    sandbox = account()
    sandbox.add_segment("dynamic")
    sandbox.add_segment("fixed", dynamic=False)
    person = sandbox.add_customer()
    sandbox.set_segment_members("dynamic", [person])
    sandbox.set_segment_members("fixed", [person])
    assert {s["code"]: s["customersCount"] for s in get(sandbox, "segments")["segments"]} == {
        "dynamic": 0,
        "fixed": 1,
    }
    sandbox.recount("dynamic")
    assert get(sandbox, "segments", **{"filter[name]": "dyn"})["segments"][0]["customersCount"] == 1
    sandbox.set_segment_members("dynamic", [])
    assert sandbox.customers[person]["segments"] == ["fixed"]
    assert sandbox.history[-1]["oldValue"] == {"code": "dynamic"}


def test_combining_customers_leaves_one_and_names_it() -> None:
    """The figures add up, and the history says where the others went."""
    sandbox = account()
    kept, merged = sandbox.add_customer("k@x.example"), sandbox.add_customer("m@x.example")
    sandbox.add_order(merged, 30.0)
    sandbox.combine([merged], kept)
    assert [c["id"] for c in get(sandbox, "customers")["customers"]] == [kept]
    assert sandbox.customers[kept]["totalSumm"] == 30.0
    assert sandbox.history[-1]["combinedTo"] == {"id": kept, "site": "shop"}


def test_a_customer_can_be_created_by_the_api() -> None:
    """201 with the new id."""
    sandbox = account()
    answer = call(
        sandbox,
        "POST",
        "/api/v5/customers/create",
        data=form(customer={"email": "n@x.example", "subscribed": False}),
    )
    assert (answer.status_code, answer.json()) == (201, {"success": True, "id": 1})
    assert "emailMarketingUnsubscribedAt" in sandbox.customers[1]


def test_people_can_work_in_it_over_the_control_surface() -> None:
    """Actions by name, the state in figures, and back to nothing."""
    sandbox = account()
    made = call(sandbox, "POST", "/__sandbox__/add_customer", json={"email": "a@b.example"})
    assert made.json() == {"result": 1}
    call(sandbox, "POST", "/__sandbox__/unsubscribe", json={"number": 1})
    state = call(sandbox, "GET", "/__sandbox__/").json()
    assert (state["customers"], state["unsubscribed"], state["history"]) == (1, 1, 2)
    assert call(sandbox, "POST", "/__sandbox__/reset").json()["customers"] == 0
