"""``/batches``: many requests in one, carried out later and in no order."""

import io
import random
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson

from listbridge.sandbox.base import Answer, Request, Route
from listbridge.sandbox.mailchimp import account, checks
from listbridge.sandbox.mailchimp.account import Account
from listbridge.sandbox.mailchimp.problems import Problem, bad_field, not_found, too_many_requests
from listbridge.sandbox.mailchimp.render import collection_links, link, links, stamp

STATUSES = ("pending", "preprocessing", "started", "finalizing", "finished")
RESULTS = "/batch-results/"
_MAX_PENDING = 500
_KEPT_SECONDS = 7 * 24 * 3600
_URL_SECONDS = 600
_PER_FILE = 100
_OPERATION: dict[str, type | tuple[type, ...]] = {
    "method": str,
    "path": str,
    "params": dict,
    "body": str,
    "operation_id": str,
}

Perform = Callable[[Request], Answer]


@dataclass(slots=True)
class Batch:
    """``step`` is the place in ``STATUSES``; it moves with each look at the batch."""

    id: str
    operations: list[dict[str, Any]]
    submitted: int
    step: int = 0
    completed: int | None = None
    finished_operations: int = 0
    errored_operations: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)
    looks_after_finish: int = 0

    @property
    def status(self) -> str:
        return STATUSES[self.step]


class Batches:
    """The requests about batches. ``perform`` carries out one operation.

    The status goes one step further with each ``GET`` of the batch; the operations run when it comes to
    "started", in an order of chance (a fixed seed, so that a test can be repeated).
    """

    def __init__(self, account: Account, perform: Perform) -> None:
        self._account = account
        self._perform = perform
        self._batches: dict[str, Batch] = {}
        self._chance = random.Random(7)

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/batches", self.page),
            Route("POST", "/batches", self.create, writes=True),
            Route("GET", "/batches/{batch_id}", self.read),
            Route("DELETE", "/batches/{batch_id}", self.delete, writes=True),
            Route("GET", RESULTS + "{batch_id}/{expires}/response.tar.gz", self.download),
        ]

    def _batch(self, request: Request) -> Batch:
        found = self._batches.get(request.params["batch_id"])
        if found is None or self._account.now() - found.submitted > _KEPT_SECONDS:
            raise not_found()
        return found

    def create(self, request: Request) -> Answer:
        body = account.body(request)
        self._check(body)
        if sum(batch.status != "finished" for batch in self._batches.values()) >= _MAX_PENDING:
            raise too_many_requests()
        batch = Batch(f"{len(self._batches) + 1:010x}", body["operations"], self._account.now())
        self._batches[batch.id] = batch
        return Answer.json(self._content(batch, ""))

    def _check(self, body: Any) -> None:
        checks.shape(body, {"operations": list}, ("operations",))
        limit = self._account.rules.max_operations
        if not body["operations"]:
            raise bad_field("operations", "This collection should contain 1 element or more.")
        if limit is not None and len(body["operations"]) > limit:
            raise bad_field("operations", f"This collection should contain {limit} elements or less.")
        for number, operation in enumerate(body["operations"]):
            place = f"operations.item:{number}"
            checks.shape(operation, _OPERATION, ("method", "path"))
            checks.one_of(operation["method"], f"{place}.method", ("GET", "POST", "PUT", "PATCH", "DELETE"))
            if not operation["path"].startswith("/") or operation["path"].startswith("/3.0"):
                raise bad_field(f"{place}.path", "The path is relative to /3.0 and begins with a slash.")

    def read(self, request: Request) -> Answer:
        account.known_query(request, "fields", "exclude_fields")
        batch = self._batch(request)
        self._advance(batch)
        return Answer.json(account.selection(request).of(self._content(batch, self._url(batch, request))))

    def page(self, request: Request) -> Answer:
        account.known_query(request, paging=True)
        count, offset = account.page(request)
        batches = list(self._batches.values())
        shown = [self._content(batch, "") for batch in batches[offset : offset + count]]
        content = {"batches": shown, "total_items": len(batches)}
        content["_links"] = collection_links("/batches", "Batches")
        return Answer.json(account.selection(request).of(content))

    def delete(self, request: Request) -> Answer:
        """Stops it; what ran already stays, the results are lost."""
        del self._batches[self._batch(request).id]
        return Answer(204)

    def _content(self, batch: Batch, url: str) -> dict[str, Any]:
        path = f"/batches/{batch.id}"
        return {
            "id": batch.id,
            "status": batch.status,
            "total_operations": len(batch.operations) if batch.step > 1 else 0,
            "finished_operations": batch.finished_operations,
            "errored_operations": batch.errored_operations,
            "submitted_at": stamp(batch.submitted),
            "completed_at": stamp(batch.completed),
            "response_body_url": url,
            "_links": [*links(path, "Batches", (), "/batches"), link("delete", path, "DELETE")],
        }

    # Working

    def _advance(self, batch: Batch) -> None:
        if batch.status == "finished":
            batch.looks_after_finish += 1
            return
        batch.step += 1
        if batch.status == "started":
            self._run(batch)
        if batch.status == "finished":
            batch.completed = self._account.now()

    def _run(self, batch: Batch) -> None:
        operations = list(batch.operations)
        self._chance.shuffle(operations)
        for operation in operations:
            for answer in self._pages(operation):
                text = answer.body.decode()
                result = {"status_code": answer.status, "operation_id": operation.get("operation_id")}
                batch.results.append(result | {"response": text})
                batch.finished_operations += 1
                batch.errored_operations += answer.status >= 400

    def _pages(self, operation: dict[str, Any]) -> Iterator[Answer]:
        """A ``GET`` without ``count`` pages by itself, and every page is an answer."""
        params = {name: str(value) for name, value in operation.get("params", {}).items()}
        alone = operation["method"] != "GET" or "count" in params
        offset = int(params.get("offset", "0"))
        while True:
            answer = self._perform(_request(operation, params))
            yield answer
            total = 0 if alone or answer.status != 200 else orjson.loads(answer.body).get("total_items", 0)
            offset += account.PAGE
            if offset >= total:
                return
            params["offset"] = str(offset)

    # Results

    def _url(self, batch: Batch, request: Request) -> str:
        if batch.status != "finished" or batch.looks_after_finish < self._account.rules.finished_without_url:
            return ""
        expires = self._account.now() + _URL_SECONDS
        return f"{request.origin}/3.0{RESULTS}{batch.id}/{expires}/response.tar.gz"

    def download(self, request: Request) -> Answer:
        """Good for ten minutes after the batch was looked at."""
        if int(request.params["expires"]) < self._account.now():
            raise Problem(403, "Forbidden", "The link has expired.")
        packed = _pack(self._batch(request).results)
        return Answer(body=packed, content_type="application/x-gzip")


def _request(operation: dict[str, Any], params: dict[str, str]) -> Request:
    path, _, query = operation["path"].partition("?")
    query_string = "&".join(filter(None, (query, urlencode(params))))
    return Request(operation["method"], path, query_string, {}, operation.get("body", "").encode())


def _pack(results: list[dict[str, Any]]) -> bytes:
    """Several JSON files, one of them empty: that was seen by others."""
    packed = io.BytesIO()
    files = [results[start : start + _PER_FILE] for start in range(0, len(results), _PER_FILE)]
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        archive.addfile(_entry("./", tarfile.DIRTYPE))
        for number, content in enumerate([*(orjson.dumps(each) for each in files), b""]):
            entry = _entry(f"./{number:04}.json", tarfile.REGTYPE)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _entry(name: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    return entry
