"""Everything a round through the sandbox says and hears is described by the vendor; its own client works."""

import asyncio
import gzip
import io
import json
import tarfile

import httpx2
import pytest
from mailchimp_marketing import Client
from mailchimp_marketing.api_client import ApiClientError

from listbridge.sandbox.base import Request
from listbridge.sandbox.mailchimp import KEY, MailchimpSandbox, Rules
from listbridge.sandbox.mailchimp.state import digest
from listbridge.sandbox.serve import running
from sandbox.mailchimp_spec import MISSING, MailchimpSpec, found

described = pytest.mark.skipif(not found(), reason=MISSING)


@pytest.fixture(scope="module")
def spec():
    return MailchimpSpec()


def _everything(list_id):
    """One request of each kind."""
    one = f"/lists/{list_id}/members/{digest('ann@shop.test').hex()}"
    ann = {"email_address": "ann@shop.test", "status_if_new": "subscribed", "merge_fields": {"FNAME": "Ann"}}
    rows = [{"email_address": f"p{n}@shop.test", "status": "subscribed", "tags": ["t"]} for n in range(3)]
    contact = {"company": "c", "address1": "a", "city": "c", "country": "DE"}
    defaults = {"from_name": "n", "from_email": "n@shop.test", "subject": "s", "language": "de"}
    new_list = {"name": "new", "permission_reminder": "p", "email_type_option": False, "contact": contact}
    batch = {"operations": [{"method": "GET", "path": "/ping"}]}
    lists = f"/lists/{list_id}"
    return [
        ("GET", "/", None),
        ("GET", "/ping", None),
        ("GET", "/lists?count=100", None),
        ("POST", "/lists", new_list | {"campaign_defaults": defaults}),
        ("GET", lists + "?include_total_contacts=true", None),
        ("PUT", one, ann),
        ("POST", lists + "?skip_merge_validation=true", {"members": rows, "update_existing": True}),
        ("POST", lists, {"members": rows}),
        ("GET", lists + "/members?count=2&status=subscribed", None),
        ("GET", one, None),
        ("PATCH", one, {"status": "unsubscribed"}),
        ("POST", one + "/tags", {"tags": [{"name": "x", "status": "active"}]}),
        ("GET", one + "/tags", None),
        ("POST", lists + "/members", {"email_address": "bob@shop.test", "status": "pending"}),
        ("POST", lists + "/members", {"email_address": "bob@shop.test", "status": "pending"}),
        ("POST", lists + "/segments", {"name": "s", "static_segment": ["p1@shop.test"]}),
        ("GET", lists + "/segments?type=static&count=100", None),
        ("POST", lists + "/segments/4788452", {"members_to_add": ["p2@shop.test", "no@shop.test"]}),
        ("PATCH", lists + "/segments/4788452", {"name": "t", "static_segment": ["p2@shop.test"]}),
        ("GET", lists + "/segments/4788452/members?include_unsubscribed=true", None),
        ("GET", lists + "/tag-search?name=t", None),
        ("GET", lists + "/merge-fields?count=100", None),
        ("POST", lists + "/merge-fields", {"name": "City", "type": "text", "tag": "CITY"}),
        ("POST", "/batches", batch),
        ("GET", "/batches/0000000001", None),
        ("GET", "/batches", None),
        ("DELETE", one, None),
        ("DELETE", one, None),
        ("GET", "/nowhere/at/all", None),
    ]


def go(sandbox, requests):
    async def all_of_them():
        base = {"base_url": "http://sandbox/3.0", "auth": ("x", KEY)}
        async with httpx2.AsyncClient(transport=sandbox.transport(), **base) as http:
            return [await http.request(method, path, json=body) for method, path, body in requests]

    return asyncio.run(all_of_them())


@described
@pytest.mark.parametrize("whole", [False, True])
def test_every_request_and_answer_of_a_round_is_described(spec, whole):
    sandbox = MailchimpSandbox(rules=Rules(whole_members_in_bulk=whole))
    answers = go(sandbox, _everything(sandbox.add_list("a")))
    assert [a.status_code for a in answers if a.status_code not in (200, 204)] == [400, 405, 404]
    assert spec.complaints(sandbox.requests) == ["GET /nowhere/at/all is not described."]


@described
def test_the_description_finds_fault(spec):
    def complaints(method, path, query="", body=None, status=200, answer=None):
        request = Request(method, path, query, {}, json.dumps(body).encode() if body else b"", status=status)
        request.answer = json.dumps(answer).encode() if answer else b""
        return " ".join(spec.complaints([request]))

    assert "parameter cuont is not described" in complaints("GET", "/lists", "cuont=3")
    assert "'members' is a required property" in complaints("POST", "/lists/a", body={"x": 1})
    assert "sent: x is not described" in complaints("POST", "/lists/a", body={"members": [], "x": 1})
    row = {"email_address": "a@b.de", "status": "archived", "name": "x"}
    assert "'archived' is not one of" in complaints("POST", "/lists/a", body={"members": [row]})
    assert "members.name is not described" in complaints("POST", "/lists/a", body={"members": [row]})
    assert "'three' is not of type" in complaints(
        "GET", "/lists", answer={"lists": [], "total_items": "three"}
    )
    assert "PUT /lists is not described" in complaints("PUT", "/lists")


# The vendor's own client, over a socket


@pytest.fixture(scope="module")
def vendor():
    sandbox = MailchimpSandbox()
    with running(sandbox) as urls:
        yield sandbox, _vendors_client(urls, KEY)


def _vendors_client(urls, key):
    client = Client({"api_key": key})
    client.api_client.host = urls["mailchimp"]
    return client


def test_the_vendors_client_reads_and_writes_members(vendor):
    sandbox, client = vendor
    list_id = sandbox.add_list("one")
    assert client.ping.get() == {"health_status": "Everything's Chimpy!"}
    row = {"email_address": "ann@shop.test", "status": "subscribed", "merge_fields": {"FNAME": "Änne"}}
    done = client.lists.batch_list_members(list_id, {"members": [row], "update_existing": True})
    assert (done["total_created"], done["error_count"]) == (1, 0)
    key = digest("ann@shop.test").hex()
    tags = {"tags": [{"name": "Shop", "status": "active"}]}
    client.lists.update_list_member_tags(list_id, key, tags)
    member = client.lists.get_list_member(list_id, key)
    assert (member["merge_fields"]["FNAME"], member["tags_count"]) == ("Änne", 1)
    page = client.lists.get_list_members_info(list_id, count=5, exclude_fields=["_links", "members._links"])
    assert [m["email_address"] for m in page["members"]] == ["ann@shop.test"]
    assert "_links" not in page["members"][0]
    client.lists.delete_list_member(list_id, key)
    assert sandbox.members(list_id)["ann@shop.test"]["status"] == "archived"


def test_the_vendors_client_sees_errors_as_the_platforms(vendor):
    sandbox, client = vendor
    list_id = sandbox.add_list("two")
    with pytest.raises(ApiClientError) as caught:
        client.lists.get_list_member(list_id, "0" * 32)
    assert caught.value.status_code == 404
    assert json.loads(caught.value.text)["title"] == "Resource Not Found"


def test_the_vendors_client_with_a_wrong_key_is_told_so(vendor):
    _sandbox, client = vendor
    stranger = _vendors_client({"mailchimp": client.api_client.host}, "f" * 32 + "-us1")
    with pytest.raises(ApiClientError) as caught:
        stranger.ping.get()
    assert caught.value.status_code == 401


def test_the_vendors_client_runs_a_batch_and_fetches_its_results(vendor):
    sandbox, client = vendor
    list_id = sandbox.add_list("three")
    path = f"/lists/{list_id}/members"
    bodies = [{"email_address": f"b{n}@shop.test", "status": "subscribed"} for n in range(3)]
    operations = [
        {"method": "POST", "path": path, "body": json.dumps(b), "operation_id": str(n)}
        for n, b in enumerate([*bodies, bodies[0]])
    ]
    batch = client.batches.start({"operations": operations})
    walk = [batch["status"]]
    while walk[-1] != "finished":
        batch = client.batches.status(batch["id"])
        walk.append(batch["status"])
    assert walk == ["pending", "preprocessing", "started", "finalizing", "finished"]
    assert (batch["total_operations"], batch["finished_operations"], batch["errored_operations"]) == (4, 4, 1)
    results = _unpacked(httpx2.get(batch["response_body_url"]).content)
    assert {r["operation_id"] for r in results} == {"0", "1", "2", "3"}
    assert sorted(r["status_code"] for r in results) == [200, 200, 200, 400]
    assert json.loads(results[0]["response"])["list_id"] == list_id or results[0]["status_code"] == 400
    assert len(sandbox.members(list_id)) == 3


def _unpacked(packed):
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as archive:
        files = [archive.extractfile(entry).read() for entry in archive.getmembers() if entry.isfile()]
    assert b"" in files
    return [result for file in files if file for result in json.loads(file)]
