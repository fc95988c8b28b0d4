"""Holds what went to and came from a Mailchimp sandbox against the vendor's own description.

    complaints = MailchimpSpec().complaints(sandbox.requests)

The description is not part of this repository: see ``found``.
"""

import json
import os
import re
from functools import cached_property
from pathlib import Path

import jsonschema
import orjson

_SHARED = Path(os.environ.get("LISTBRIDGE_SHARED") or Path(__file__).parents[3] / "shared")
FOLDER = _SHARED / "specs" / "mailchimp"
MISSING = f"The vendor's description is not at {FOLDER}; set LISTBRIDGE_SHARED to the folder that has it."

#: Bodies hold these although the description of the row does not list them (changelog 2022-01).
_ALSO_SENT = {("POST", "/lists/{list_id}"): {"members.tags"}}


def found():
    return (FOLDER / "marketing.json").is_file()


class MailchimpSpec:
    """Requests are held against the newer description, answers against the one that has answers."""

    @cached_property
    def _answers(self):
        return json.loads((FOLDER / "marketing.json").read_text())

    @cached_property
    def _requests(self):
        return json.loads((FOLDER / "marketing-requests-2025.json").read_text())

    def complaints(self, requests):
        """A sentence for each thing in these recorded requests that the description does not allow."""
        return [words for request in requests for words in self.about(request)]

    def about(self, request):
        if request.path.startswith("/batch-results/"):
            return []
        template = self._template(request.path)
        method = request.method.lower()
        if template is None or method not in self._answers["paths"][template]:
            return [f"{request.method} {request.path} is not described."]
        place = f"{request.method} {template}"
        asked = self._about_request(request, template, method)
        return [f"{place}: {words}" for words in (*asked, *self._about_answer(request, template, method))]

    def _template(self, path):
        found = [each for each in self._answers["paths"] if _regex(each).fullmatch(path)]
        return min(found, key=lambda each: each.count("{")) if found else None

    def _about_request(self, request, template, method):
        newer = self._requests["paths"].get(template, {}).get(method)
        operation, spec = (
            (newer, self._requests) if newer else (self._operation(template, method), self._answers)
        )
        known = {_resolved(each, spec)["name"] for each in operation.get("parameters", [])}
        known |= {
            _resolved(p, self._answers)["name"]
            for p in self._operation(template, method).get("parameters", [])
        }
        for name, _value in request.pairs:
            if name not in known:
                yield f"the parameter {name} is not described."
        if request.body and "requestBody" in operation:
            schema = _json_schema(_resolved(operation["requestBody"], spec))
            body = orjson.loads(request.body)
            yield from _errors(schema, body, spec, "sent")
            allowed = _ALSO_SENT.get((request.method, template), set())
            yield from (
                f"sent: {name} is not described." for name in _undescribed(schema, body, spec) - allowed
            )

    def _operation(self, template, method):
        return self._answers["paths"][template][method]

    def _about_answer(self, request, template, method):
        if not request.answer or request.fault is not None or request.status is None:
            return
        responses = self._operation(template, method)["responses"]
        response = responses.get(str(request.status), responses["default"])
        schema = _json_schema(_resolved(response, self._answers))
        yield from _errors(schema, orjson.loads(request.answer), self._answers, f"answered {request.status}")


def _regex(template):
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)))


def _resolved(part, spec):
    while "$ref" in part:
        words = part["$ref"].split("/")[1:]
        part = spec
        for word in words:
            part = part[word.replace("~1", "/").replace("~0", "~")]
    return part


def _json_schema(part):
    return next(iter(part["content"].values()))["schema"]


def _errors(schema, content, spec, what):
    # References inside a schema point into the whole document.
    whole = {**schema, **{name: part for name, part in spec.items() if name in ("components", "definitions")}}
    for error in jsonschema.Draft4Validator(whole).iter_errors(content):
        yield f"{what}: {'.'.join(map(str, error.path))} {error.message[:200]}"


def _undescribed(schema, content, spec, place=""):
    schema = _resolved(schema, spec)
    if isinstance(content, list):
        inner = [_undescribed(schema.get("items", {}), each, spec, place) for each in content]
        return set().union(*inner)
    if not isinstance(content, dict) or "properties" not in schema:
        return set()
    names = set()
    for name, value in content.items():
        path = f"{place}.{name}".lstrip(".")
        below = schema["properties"].get(name)
        names |= {path} if below is None else _undescribed(below, value, spec, path)
    return names
