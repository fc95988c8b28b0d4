"""Recorded answers of the live platform, asked of the sandbox again.

Deliberately different: ids that the platform deals out (compared as "the same again" or not at all), the
address that a request came from (``ip_opt``), the data centre in links, ``region`` (newer than the
older recordings), figures of past campaigns, the order of tags, and the links of collections.
"""

import asyncio
import json
from datetime import datetime
from email.utils import parsedate_to_datetime

import httpx2
import pytest

from listbridge.sandbox.mailchimp import KEY, MailchimpSandbox
from sandbox.mailchimp_spec import FOLDER, MISSING, found

pytestmark = pytest.mark.skipif(not found(), reason=MISSING)

LIST = "a36b032126"
NUMBERS = [{"tag": tag, "name": tag, "type": "number"} for tag in ("USERID", "LTV")]
DATE = {"tag": "JOINED_AT", "name": "JOINED_AT", "type": "date"}
TICKET = {"tag": "TICKET", "name": "TICKET", "type": "number"}
DEALT_OUT = ("unique_email_id", "contact_id", "web_id", "instance", "ip_opt")


def recorded(name):
    lines = (FOLDER / "fixtures" / name).read_text().splitlines()
    return [json.loads(line) for line in lines]


def ask(sandbox, exchanges, clock=None):
    """Our answers to recorded requests, each asked at its recorded time."""

    async def all_of_them():
        answers = []
        base = {"base_url": "http://sandbox", "auth": ("anyone", KEY)}
        async with httpx2.AsyncClient(transport=sandbox.transport(), **base) as http:
            for exchange in exchanges:
                if clock is not None:
                    clock.append(exchange["at"])
                answers.append(
                    await http.request(
                        exchange["method"],
                        exchange["path"],
                        params=exchange["query"],
                        json=exchange["request_body"],
                    )
                )
        return answers

    return asyncio.run(all_of_them())


def timed(exchanges):
    """The platform's own time of each exchange: the stamp it gave, else the answer's date."""
    for exchange, following in zip(exchanges, [*exchanges[1:], exchanges[-1]], strict=True):
        at = parsedate_to_datetime(exchange["headers"]["Date"]).timestamp()
        source = following if exchange["path"].endswith("/tags") else exchange
        changed = (source["response"] or {}).get("last_changed")
        if exchange["method"] != "GET" and changed and exchange["request_body"] != {"tags": []}:
            at = datetime.fromisoformat(changed).timestamp()
        yield exchange | {"at": at}


def comparable(content):
    """Without what differs deliberately; links without their data centre; tags as a set of names."""
    if isinstance(content, list):
        return [comparable(each) for each in content]
    if isinstance(content, str):
        return content.replace("https://us3.", "https://us1.")
    if not isinstance(content, dict):
        return content
    kept = {name: comparable(part) for name, part in content.items() if name not in DEALT_OUT}
    if "tags" in content:
        kept["tags"] = sorted(tag["name"] for tag in content["tags"])
    kept.get("location", {}).pop("region", None)
    return kept


def test_the_life_of_a_member_goes_as_recorded():
    exchanges = list(timed(recorded("members_lifecycle_part1.jsonl")))
    clock = [exchanges[0]["at"]]
    sandbox = MailchimpSandbox(clock=lambda: clock[-1])
    sandbox.add_list("Test Source", LIST, merge_fields=[*NUMBERS, TICKET, DATE])
    assert len(exchanges) == 61
    for exchange, answer in zip(exchanges, ask(sandbox, exchanges, clock), strict=True):
        number = exchange["n"]
        assert answer.status_code == exchange["status"], number
        ours = answer.json() if answer.content else None
        assert comparable(ours) == comparable(exchange["response"]), number
        if ours is not None:
            assert answer.headers["content-type"] == exchange["headers"]["Content-Type"], number
            assert set(ours) == set(exchange["response"]), number


def test_ids_stay_or_change_with_the_address_as_recorded():
    exchanges = list(timed(recorded("members_lifecycle_part1.jsonl")))
    clock = [exchanges[0]["at"]]
    sandbox = MailchimpSandbox(clock=lambda: clock[-1])
    sandbox.add_list("Test Source", LIST, merge_fields=[*NUMBERS, TICKET, DATE])
    pairs = list(zip(exchanges, ask(sandbox, exchanges, clock), strict=True))
    for name in ("contact_id", "web_id", "unique_email_id"):
        theirs = [e["response"][name] for e, _ in pairs if e["response"] and name in e["response"]]
        ours = [a.json()[name] for e, a in pairs if e["response"] and name in e["response"]]
        assert _pattern(ours) == _pattern(theirs)


def _pattern(values):
    return [values.index(value) for value in values]


def test_pages_of_members_come_as_recorded():
    exchanges = [e for e in recorded("members_paging_since_last_changed.jsonl") if "members" in e["response"]]
    sandbox = MailchimpSandbox()
    sandbox.add_list("Test Source", LIST, merge_fields=[*NUMBERS, DATE])
    for member in exchanges[1]["response"]["members"]:
        at = int(datetime.fromisoformat(member["last_changed"]).timestamp())
        sandbox.add_member(LIST, member["email_address"], merge_fields=member["merge_fields"], changed=at)
    assert len(exchanges) == 10
    for exchange, answer in zip(exchanges, ask(sandbox, exchanges), strict=True):
        assert answer.status_code == exchange["status"]
        ours, theirs = comparable(answer.json()), comparable(exchange["response"])
        assert set(ours) == set(theirs)
        assert ours["members"] == theirs["members"], exchange["n"]
        assert ours["total_items"] == theirs["total_items"]


@pytest.mark.parametrize("file", ["merge_fields.jsonl", "members_paging_since_last_changed.jsonl"])
def test_merge_fields_come_as_recorded(file):
    exchanges = [e for e in recorded(file) if e["path"].endswith("/merge-fields")]
    fields = [*NUMBERS, TICKET, DATE] if file.startswith("merge") else [*NUMBERS, DATE]
    for exchange, answer in zip(exchanges, ask(sandbox_with(fields), exchanges), strict=True):
        assert answer.status_code == exchange["status"]
        ours, theirs = comparable(answer.json()), comparable(exchange["response"])
        assert ours["total_items"] == theirs["total_items"]
        assert [_shape(field) for field in ours["merge_fields"]] == [
            _shape(f) for f in theirs["merge_fields"]
        ]
        assert [f["type"] for f in ours["merge_fields"]] == [f["type"] for f in theirs["merge_fields"]]
        assert [f["tag"] for f in ours["merge_fields"]] == sorted(f["tag"] for f in ours["merge_fields"])
        assert _rels(ours) == _rels(theirs)


def sandbox_with(fields):
    sandbox = MailchimpSandbox()
    sandbox.add_list("Test Source", LIST, merge_fields=fields)
    return sandbox


def _rels(content):
    return {link["rel"] for link in content["_links"]}


def _shape(content):
    """Names and types, all the way down."""
    if isinstance(content, dict):
        return {name: _shape(part) for name, part in content.items() if name != "options"}
    if isinstance(content, list):
        return [_shape(content[0])] if content else []
    return "number" if type(content) in (int, float) else type(content).__name__


@pytest.mark.parametrize(
    "file", ["lists_and_oauth_metadata.jsonl", "members_paging_since_last_changed.jsonl"]
)
def test_lists_have_the_recorded_shape(file):
    exchanges = [e for e in recorded(file) if e["path"] == "/3.0/lists"]
    assert exchanges
    for exchange in exchanges:
        sandbox = MailchimpSandbox()
        sandbox.add_list("one")
        [answer] = ask(sandbox, [exchange])
        assert answer.status_code == exchange["status"]
        ours, theirs = answer.json(), exchange["response"]
        assert set(ours) == set(theirs)
        assert _shape(ours["constraints"]) == _shape(theirs["constraints"])
        mine, other = dict(ours["lists"][0]), dict(theirs["lists"][0])
        assert _rels(mine) == _rels(other)
        assert _rels(ours) == _rels(theirs)
        assert _shape({**mine, "_links": []}) == _shape({**other, "_links": []})


def test_every_error_quoted_in_public_is_worded_so_here():
    cases = {case["case"]: case for case in json.loads((FOLDER / "fixtures" / "errors.json").read_text())}
    sandbox = sandbox_with([*NUMBERS])
    for name in ("ann", "left"):
        sandbox.add_member(LIST, f"{name}@shop.test")
    sandbox.unsubscribe_by_person(LIST, "left@shop.test")
    left = {"email_address": "left@shop.test", "status": "subscribed"}
    ann = {"email_address": "ann@shop.test", "status": "subscribed"}
    wrong = {"email_address": "new@shop.test", "status": "subscribed", "merge_fields": {"LTV": "AAA"}}
    asked = {
        "opted-out or bounced address set to subscribed": ("PUT", "/members/left@shop.test", left),
        "POST member that exists, or PUT that moves a contact onto an address already in the audience": (
            "POST",
            "/members",
            ann,
        ),
        "merge value of the wrong type": ("POST", "/members", wrong),
        "POST /lists/{id} without update_existing, address already a member": (
            "POST",
            "",
            {"members": [ann]},
        ),
    }
    for case, (method, path, body) in asked.items():
        exchange = {"method": method, "path": f"/3.0/lists/{LIST}{path}", "query": None, "request_body": body}
        [answer] = ask(sandbox, [exchange])
        expected = json.dumps(cases[case]["body"]).replace(
            "{email}", body.get("email_address", "ann@shop.test")
        )
        _holds(answer.json(), json.loads(expected))
        assert answer.status_code == cases[case]["http_status"]
    not_here = set(cases) - set(asked)
    assert not_here == {"order line names a product the store does not have", "API key user lacks the right"}


def _holds(ours, theirs):
    for name, value in theirs.items():
        if name != "instance" and isinstance(value, list) and value:
            _holds(ours[name][0], value[0])
        elif name != "instance":
            assert ours[name] == value, name
