"""What all sandboxes share: routes, records, faults, control surface, transport and socket."""

import asyncio
import time

import httpx2
import pytest

from listbridge.sandbox.base import Answer, Cut, Request, Route, Sandbox
from listbridge.sandbox.faults import DOINGS, BadFault, Fault
from listbridge.sandbox.serve import mount, running


class Letters(Sandbox):
    """A platform that keeps letters."""

    name = "letters"
    base_path = "/v1"

    def __init__(self, **options):
        super().__init__(**options)
        self.letters = []

    def routes(self):
        return [
            Route("GET", "/letters", self.page),
            Route("POST", "/letters", self.add, writes=True),
            Route("GET", "/letters/{number}", self.one),
            Route("POST", "/search", lambda request: Answer.json(request.form())),
        ]

    def page(self, request):
        count = int(request.query.get("count", "4"))
        return Answer.json({"letters": self.letters[:count], "total": len(self.letters)})

    def add(self, request):
        self.letters.append(request.json())
        return Answer.json({"added": len(self.letters)}, 201)

    def one(self, request):
        return Answer.json({"number": request.params["number"]})

    def halve_page(self, request):
        request.query = request.query | {"count": str(int(request.query.get("count", "4")) // 2)}

    def actions(self):
        return {"write_by_hand": self.letters.append, "shout": lambda word: word.upper()}

    def summary(self):
        return {"letters": len(self.letters)}

    def reset(self):
        super().reset()
        self.letters.clear()


class Other(Letters):
    name = "other"
    base_path = ""


def talk(sandbox, *requests, timeout=5.0):
    """Send requests one after the other; an error of the connection is an answer too."""

    async def all_of_them():
        answers = []
        async with client(sandbox, timeout) as http:
            for method, path, *content in requests:
                try:
                    answers.append(await http.request(method, path, json=content[0] if content else None))
                except httpx2.TransportError as error:
                    answers.append(error)
        return answers

    return asyncio.run(all_of_them())


def client(sandbox, timeout=5.0):
    base_url = f"http://sandbox{sandbox.base_path}"
    return httpx2.AsyncClient(transport=sandbox.transport(), base_url=base_url, timeout=timeout)


def test_requests_are_answered_recorded_and_counted():
    sandbox = Letters(clock=lambda: 77.0)
    added, read, page = talk(
        sandbox, ("POST", "/letters", "a"), ("GET", "/letters/a%20b"), ("GET", "/letters?count=1&count=2&x=")
    )
    assert (added.status_code, added.json()) == (201, {"added": 1})
    assert read.json() == {"number": "a b"}
    assert page.headers["content-type"].startswith("application/json")
    assert (sandbox.calls.read, sandbox.calls.write, sandbox.calls.total) == (2, 1, 3)
    first, _second, third = sandbox.requests
    assert (first.method, first.path, first.body, first.status, first.at) == (
        "POST",
        "/letters",
        b'"a"',
        201,
        77.0,
    )
    assert first.answer == b'{"added":1}'
    assert first.origin == "http://sandbox"
    assert third.query == {"count": "2", "x": ""}
    assert third.pairs == [("count", "1"), ("count", "2"), ("x", "")]


def test_a_post_that_only_reads_counts_as_read():
    sandbox = Letters()
    talk(sandbox, ("POST", "/search"))
    assert (sandbox.calls.read, sandbox.calls.write) == (1, 0)


def test_unknown_paths_and_methods_are_told_apart():
    unknown, wrong, outside = talk(
        Letters(), ("GET", "/parcels"), ("DELETE", "/letters"), ("GET", "http://sandbox/letters")
    )
    assert unknown.status_code == 404
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, POST")
    assert outside.status_code == 404
    assert outside.text.startswith("<!DOCTYPE html>")


def test_bodies_are_not_kept_where_memory_counts():
    sandbox = Letters(keep_bodies=False)
    talk(sandbox, ("POST", "/letters", "a"))
    assert (sandbox.requests[0].body, sandbox.requests[0].answer) == (b"", b"")
    assert sandbox.letters == ["a"]


@pytest.mark.parametrize(
    ("do", "status"), [("429", 429), ("500", 500), ("503", 503), ("502_html", 502), ("expired_key", 401)]
)
def test_an_error_fault_keeps_a_request_from_having_effect(do, status):
    sandbox = Letters()
    sandbox.faults.add(do)
    [answer] = talk(sandbox, ("POST", "/letters", "a"))
    assert answer.status_code == status
    assert sandbox.letters == []
    assert (sandbox.requests[0].fault, sandbox.requests[0].status) == (do, status)


def test_a_web_page_a_redirect_and_an_empty_403_have_no_effect():
    sandbox = Letters()
    for do in ("html", "redirect", "403_empty"):
        sandbox.faults.add(do, times=1)
    page, redirect, empty = (talk(sandbox, ("POST", "/letters", "a"))[0] for _ in range(3))
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.content.startswith(b"<!DOCTYPE html>")
    assert (redirect.status_code, redirect.headers["location"]) == (302, "https://elsewhere.example/")
    assert (empty.status_code, empty.content) == (403, b"")
    assert sandbox.letters == []


def test_faults_strike_one_after_the_other_in_the_order_they_were_given():
    sandbox = Letters()
    first, second = sandbox.faults.add("500", times=1), sandbox.faults.add("429", times=2)
    statuses = [a.status_code for a in talk(sandbox, *[("GET", "/letters")] * 4)]
    assert statuses == [500, 429, 429, 200]
    assert (first.struck, second.struck) == (1, 2)


def test_a_cut_before_has_no_effect_and_a_cut_after_has():
    sandbox = Letters()
    sandbox.faults.add("cut_before", times=1)
    sandbox.faults.add("cut_after", after=1, times=1)
    before, after = talk(sandbox, ("POST", "/letters", "a"), ("POST", "/letters", "b"))
    assert isinstance(before, httpx2.ReadError)
    assert isinstance(after, httpx2.RemoteProtocolError)
    assert sandbox.letters == ["b"]
    assert [request.status for request in sandbox.requests] == [None, None]


def test_an_answer_can_break_off_with_the_connection_or_without():
    sandbox = Letters()
    sandbox.faults.add("cut_middle", times=1)
    sandbox.faults.add("truncated", after=1, times=1)
    cut, short = talk(sandbox, ("POST", "/letters", "a"), ("POST", "/letters", "b"))
    assert isinstance(cut, httpx2.RemoteProtocolError)
    assert (short.status_code, short.content) == (201, b'{"add')
    assert sandbox.letters == ["a", "b"]


def test_half_a_page_is_shorter_but_tells_the_whole_number():
    sandbox = Letters()
    sandbox.letters += ["a", "b", "c", "d"]
    sandbox.faults.add("half_page", times=1)
    half, whole = talk(sandbox, ("GET", "/letters?count=4"), ("GET", "/letters?count=4"))
    assert half.json() == {"letters": ["a", "b"], "total": 4}
    assert len(whole.json()["letters"]) == 4


def test_a_fault_picks_method_path_and_turn():
    fault = Fault("500", method="post", path="^/letters$", every=2, after=1, times=2)
    assert [fault.strikes("POST", "/letters") for _ in range(8)] == [
        False, False, True, False, True, False, False, False,
    ]  # fmt: skip
    assert not fault.strikes("GET", "/letters")
    assert not fault.strikes("POST", "/letters/1")
    assert (fault.seen, fault.struck) == (8, 2)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"do": "explode"}, "There is no fault 'explode'"),
        ({"when": {}}, 'A fault is an object with "do"'),
        ([], 'A fault is an object with "do"'),
        ({"do": "500", "whenever": {}}, "Unknown in a fault: whenever"),
        ({"do": "500", "when": {"verb": "GET"}}, "Unknown in a fault: verb"),
        ({"do": "500", "when": {"every": 0}}, "`every` counts from 1"),
        ({"do": "500", "when": {"every": "x"}}, "wrong type"),
        ({"do": "500", "when": {"path": "("}}, "no regular expression"),
    ],
)
def test_a_rule_that_cannot_be_understood_says_why(rule, words):
    with pytest.raises(BadFault, match=words):
        Fault.from_rule(rule)


def test_slow_answers_meet_the_read_timeout_and_still_have_their_effect():
    sandbox = Letters()
    sandbox.faults.add("slow", seconds=0.2)

    async def impatient():
        async with client(sandbox, timeout=0.05) as http:
            with pytest.raises(httpx2.ReadTimeout):
                await http.post("/letters", json="a")
            assert sandbox.letters == []
            assert sandbox.running == 1
            await asyncio.sleep(0.3)
        return sandbox.letters

    assert asyncio.run(impatient()) == ["a"]
    assert sandbox.running == 0


def test_latency_holds_for_every_request():
    sandbox = Letters(latency_seconds=0.1)
    started = time.monotonic()
    talk(sandbox, ("GET", "/letters"), ("GET", "/letters"))
    assert time.monotonic() - started >= 0.2


def test_too_many_at_once_are_refused_and_the_peak_is_kept():
    sandbox = Letters(latency_seconds=0.05, max_simultaneous=2)

    async def crowd():
        async with client(sandbox) as http:
            return await asyncio.gather(*(http.get("/letters") for _ in range(3)))

    statuses = sorted(answer.status_code for answer in asyncio.run(crowd()))
    assert statuses == [200, 200, 429]
    assert sandbox.peak_simultaneous == 3
    assert sandbox.running == 0


def test_data_can_change_while_somebody_reads():
    sandbox = Letters()
    talk(sandbox, ("GET", "/letters"))
    sandbox.on_request(2, lambda: sandbox.letters.append("second"))
    sandbox.on_request(
        lambda r: r.query.get("count") == "9", lambda: sandbox.letters.append("nine"), once=False
    )
    answers = talk(sandbox, *[("GET", "/letters")] * 3, *[("GET", "/letters?count=9")] * 2)
    totals = [answer.json()["total"] for answer in answers]
    assert totals == [0, 1, 1, 2, 3]


def test_the_control_surface_shows_and_changes_the_sandbox():
    sandbox = Letters()
    control = "http://sandbox/__sandbox__"
    rules = [{"do": "500", "when": {"times": 1}}, {"do": "503"}]
    state, faults, failed, cleared, done, shown, bad, wrong = talk(
        sandbox,
        ("GET", control + "/"),
        ("POST", control + "/faults", rules),
        ("GET", "/letters"),
        ("DELETE", control + "/letters/faults"),
        ("POST", control + "/shout", {"word": "ah"}),
        ("GET", control),
        ("POST", control + "/faults", {"do": "explode"}),
        ("POST", control + "/dance"),
    )
    assert state.json()["name"] == "letters"
    assert state.json()["actions"] == ["shout", "write_by_hand"]
    assert [rule["do"] for rule in faults.json()] == ["500", "503"]
    assert failed.status_code == 500
    assert cleared.json() == []
    assert done.json() == {"result": "AH"}
    assert shown.json()["calls"] == {"read": 1, "write": 0}
    assert bad.status_code == 400
    assert "There is no fault 'explode'" in bad.json()["error"]
    assert wrong.status_code == 400
    assert "faults, reset, write_by_hand, shout" in wrong.json()["error"]


def test_reset_forgets_data_faults_and_requests():
    sandbox = Letters()
    sandbox.faults.add("500", after=5)
    talk(sandbox, ("POST", "/letters", "a"), ("POST", "http://sandbox/__sandbox__/reset"))
    assert (sandbox.letters, len(sandbox.faults), sandbox.requests, sandbox.calls.total) == ([], 0, [], 0)


def test_without_a_server_that_can_cut_the_application_raises():
    sandbox = Letters()
    sandbox.faults.add("cut_before")

    async def call():
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=sandbox.app)) as http:
            await http.get("http://sandbox/v1/letters")

    with pytest.raises(Cut):
        asyncio.run(call())


def test_the_application_answers_any_asgi_server():
    async def call():
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=Letters().app)) as http:
            return await http.post("http://sandbox/v1/letters", json="a")

    assert asyncio.run(call()).json() == {"added": 1}


# Over a socket


@pytest.fixture(scope="module")
def served():
    sandbox = Letters()
    with running(sandbox) as urls, httpx2.Client(base_url=urls["letters"]) as http:
        yield sandbox, http


def test_a_socket_answers_as_the_transport_does(served):
    sandbox, http = served
    sandbox.reset()
    assert http.post("/letters", json="ä").json() == {"added": 1}
    assert sandbox.letters == ["ä"]
    assert sandbox.requests[0].origin == str(http.base_url).rstrip("/").removesuffix("/v1")


@pytest.mark.parametrize(("do", "effect"), [("cut_before", []), ("cut_after", ["a"]), ("cut_middle", ["a"])])
def test_a_cut_closes_the_socket_without_an_answer(served, do, effect):
    sandbox, http = served
    sandbox.reset()
    sandbox.faults.add(do, times=1)
    with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
        http.post("/letters", json="a")
    assert sandbox.letters == effect
    assert http.get("/letters").status_code == 200


@pytest.mark.parametrize("do", sorted(set(DOINGS) - {"cut_before", "cut_after", "cut_middle", "slow"}))
def test_every_other_fault_answers_the_same_over_a_socket(served, do):
    sandbox, http = served
    sandbox.reset()
    sandbox.faults.add(do)
    over_socket = http.get("/letters")
    sandbox_in_process = Letters()
    sandbox_in_process.faults.add(do)
    [in_process] = talk(sandbox_in_process, ("GET", "/letters"))
    assert (over_socket.status_code, over_socket.content) == (in_process.status_code, in_process.content)


def test_a_slow_answer_comes_late_over_a_socket(served):
    sandbox, http = served
    sandbox.reset()
    sandbox.faults.add("slow", seconds=0.15)
    started = time.monotonic()
    assert http.get("/letters").status_code == 200
    assert time.monotonic() - started >= 0.15


def test_several_sandboxes_share_one_socket_below_their_names():
    letters = Letters()
    with running([letters, Other()]) as urls, httpx2.Client() as http:
        root = urls["other"].removesuffix("/other")
        assert urls["letters"] == f"{root}/letters/v1"
        assert http.post(urls["letters"] + "/letters", json="a").json() == {"added": 1}
        assert letters.requests[0].origin + "/v1" == urls["letters"]
        assert http.get(urls["other"] + "/letters").json()["total"] == 0
        assert http.get(f"{root}/__sandbox__/letters/").json()["letters"] == 1
        assert http.get(f"{root}/__sandbox__/").json()["sandboxes"] == {
            "letters": "/letters/v1",
            "other": "/other",
        }
        assert http.get(f"{root}/elsewhere").status_code == 404


def test_a_socket_with_nothing_or_twins_is_refused():
    for sandboxes in ([], [Letters(), Letters()]):
        with pytest.raises(ValueError, match="at least one sandbox, and each platform once"):
            mount(sandboxes)


def test_a_request_knows_its_form():
    request = Request("POST", "/", "", {}, b"a=1&b=%C3%A4&c=")
    assert request.form() == [("a", "1"), ("b", "ä"), ("c", "")]
