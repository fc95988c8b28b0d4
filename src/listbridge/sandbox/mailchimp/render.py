"""How Mailchimp writes things down: member objects with their links, and ``fields``/``exclude_fields``.

A bulk answer holds 500 members, and most of its two megabytes are links: these are kept as written text
with a gap for the member's id.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from listbridge.sandbox.mailchimp.problems import invalid
from listbridge.sandbox.mailchimp.state import Audience, Member, MergeField, Segment

API = "https://us1.api.mailchimp.com/3.0"
_SCHEMA = "https://us1.api.mailchimp.com/schema/3.0/"
_TAGS_SHOWN = 50

Tree = dict[str, Any]


@lru_cache(maxsize=4096)
def stamp(seconds: int | None) -> str:
    """A time as the platform writes it; an unknown one is empty."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


# fields and exclude_fields


class Selection:
    """Which parts of an answer are wanted. Paths that fit nothing are ignored."""

    def __init__(self, fields: str | None = None, exclude: str | None = None) -> None:
        if fields and exclude:
            raise invalid("The fields and exclude_fields parameters cannot be used together.")
        self._keep = _tree(fields) if fields else None
        self._drop = _tree(exclude) if exclude else {}

    @property
    def everything(self) -> bool:
        return self._keep is None and not self._drop

    def below(self, name: str) -> "Selection | None":
        """The selection inside one part; None if that part is not wanted."""
        inner = Selection()
        if self._keep is not None:
            if name not in self._keep:
                return None
            inner._keep = self._keep[name] or None
        if name in self._drop:
            if not self._drop[name]:
                return None
            inner._drop = self._drop[name]
        return inner

    def of(self, content: Any) -> Any:
        """The wanted parts of an object, or of each object of an array."""
        if self.everything:
            return content
        if isinstance(content, list):
            return [self.of(each) for each in content]
        if not isinstance(content, dict):
            return content
        inner = ((name, value, self.below(name)) for name, value in content.items())
        return {name: below.of(value) for name, value, below in inner if below is not None}


def _tree(paths: str) -> Tree:
    """Dotted paths as a tree; an empty branch is the whole of it."""
    tree: Tree = {}
    whole: list[tuple[Tree, str]] = []
    for path in filter(None, (path.strip() for path in paths.split(","))):
        branch, words = tree, path.split(".")
        for word in words[:-1]:
            branch = branch.setdefault(word, {})
        branch.setdefault(words[-1], {})
        whole.append((branch, words[-1]))
    for branch, word in whole:
        branch[word] = {}
    return tree


# Links


def link(rel: str, path: str, method: str = "GET", target: str = "", schema: str = "") -> dict[str, str]:
    parts = {"rel": rel, "href": API + path, "method": method}
    if target:
        parts["targetSchema"] = f"{_SCHEMA}Definitions/{target}.json"
    if schema:
        parts["schema"] = f"{_SCHEMA}{schema}.json"
    return parts


def links(path: str, name: str, rels: Iterable[tuple[str, str]], parent: str = "") -> list[dict[str, str]]:
    """The links of an object of the kind ``name`` at ``path``; each of ``rels`` is a rel and a method."""
    made = [link("self", path, target=f"{name}/Response")]
    if parent:
        collection = f"{name}/CollectionResponse"
        made.append(link("parent", parent, target=collection, schema=f"Paths/{name}/Collection"))
    for rel, method in rels:
        answers = method != "DELETE"
        target = f"{name}/Response" if answers else ""
        schema = f"Definitions/{name}/{method}" if answers else ""
        made.append(link(rel, path, method, target, schema))
    return made


def _member_links(list_id: str) -> list[dict[str, str]]:
    """``@`` stands for the member's id."""
    parent, name = f"/lists/{list_id}/members", "Lists/Members"
    path = parent + "/@"
    rels = [("update", "PATCH"), ("upsert", "PUT"), ("delete", "DELETE")]
    made = links(path, name, rels, parent)
    made.append(link("activity", path + "/activity", target=f"{name}/Activity/Response"))
    made.append(link("goals", path + "/goals", target=f"{name}/Goals/Response"))
    made.append(link("notes", path + "/notes", target=f"{name}/Notes/CollectionResponse"))
    made.append(link("events", path + "/events", "POST", f"{name}/Events/POST"))
    made.append(link("delete_permanent", path + "/actions/delete-permanent", "POST"))
    return made


def collection_links(path: str, name: str, parent: str = "", create: bool = True) -> list[dict[str, str]]:
    made = [link("self", path, target=f"{name}/CollectionResponse", schema=f"Paths/{name}/Collection")]
    if create:
        made.append(link("create", path, "POST", f"{name}/Response", f"Definitions/{name}/POST"))
    if parent:
        made.append(link("parent", parent, target="Lists/Response"))
    return made


# Members

#: What the description of single members lists, but not that of members in bulk and segment answers.
ONLY_SINGLE = frozenset(
    {"contact_id", "web_id", "full_name", "consents_to_one_to_one_messaging", "source", "unsubscribe_reason"}
)
PARTS = (
    "id",
    "email_address",
    "unique_email_id",
    "contact_id",
    "full_name",
    "web_id",
    "email_type",
    "status",
    "unsubscribe_reason",
    "consents_to_one_to_one_messaging",
    "merge_fields",
    "stats",
    "ip_signup",
    "timestamp_signup",
    "ip_opt",
    "timestamp_opt",
    "member_rating",
    "last_changed",
    "language",
    "vip",
    "email_client",
    "location",
    "source",
    "tags_count",
    "tags",
    "list_id",
    "_links",
)
_LOCATION = {"latitude": 0, "longitude": 0, "gmtoff": 0, "dstoff": 0, "country_code": "", "timezone": ""}
_NO_LOCATION = _LOCATION | {"region": ""}
_STATS = {"avg_open_rate": 0, "avg_click_rate": 0}


class MemberWriter:
    """Writes the members of one audience as JSON, all parts or the wanted ones."""

    def __init__(
        self, audience: Audience, selection: Selection, *, without: frozenset[str] = frozenset()
    ) -> None:
        self._audience = audience
        self._whole = not (without & ONLY_SINGLE)
        self._empty = dict.fromkeys(audience.fields, "")
        self._links = orjson.dumps(_member_links(audience.id))
        self._list_id = audience.id
        below = {name: selection.below(name) for name in PARTS if name not in without}
        whole = [name for name, inner in below.items() if inner is not None and inner.everything]
        self._narrowed = [(n, inner) for n, inner in below.items() if inner is not None and n not in whole]
        self._wanted = None if selection.everything and without <= ONLY_SINGLE else whole
        self._with_links = below["_links"] is not None

    def one(self, member: Member) -> bytes:
        return orjson.dumps(self._content(member))

    def many(self, members: Iterable[Member]) -> bytes:
        """Each is written by itself: hundreds of objects alive at once would wake the collector."""
        return b"[" + b",".join([orjson.dumps(self._content(member)) for member in members]) + b"]"

    def _content(self, member: Member) -> dict[str, Any]:
        content = self._single(member) if self._whole else self._short(member)
        if self._wanted is None:
            return content
        kept = {name: content[name] for name in self._wanted if name in content}
        for name, below in self._narrowed:
            if name in content:
                kept[name] = below.of(orjson.loads(orjson.dumps(content[name])))
        return kept

    def _short(self, member: Member) -> dict[str, Any]:
        """The parts that every description of a member has."""
        key = member.key.hex()
        tags = member.tags
        links = self._links.replace(b"@", key.encode()) if self._with_links else b"[]"
        return {
            "id": key,
            "email_address": member.address,
            "unique_email_id": unique_email_id(member),
            "email_type": member.email_type,
            "status": member.status,
            "merge_fields": self._merge(member),
            "stats": _STATS,
            "ip_signup": member.ip_signup,
            "timestamp_signup": stamp(member.signed_up_at),
            "ip_opt": member.ip_opt,
            "timestamp_opt": stamp(member.opted_at),
            "member_rating": 2,
            "last_changed": stamp(member.changed),
            "language": member.language,
            "vip": member.vip,
            "email_client": "",
            "location": _LOCATION | member.location if member.location else _NO_LOCATION,
            "tags_count": len(tags),
            "tags": _tags(self._audience, member) if tags else tags,
            "list_id": self._list_id,
            "_links": orjson.Fragment(links),
        }

    def _single(self, member: Member) -> dict[str, Any]:
        content = self._short(member)
        content["contact_id"] = member.contact_id
        content["full_name"] = member.full_name
        content["web_id"] = member.web_id
        content["consents_to_one_to_one_messaging"] = True
        content["source"] = member.source
        if member.reason and member.status == "unsubscribed":
            content["unsubscribe_reason"] = member.reason
        return content

    def _merge(self, member: Member) -> dict[str, Any]:
        """Every field of the audience is there, in the order of their ids; an empty one is ``""``."""
        return self._empty | member.merge


def unique_email_id(member: Member) -> str:
    """Changes with the address."""
    return member.key[:-6:-1].hex()


def _tags(audience: Audience, member: Member) -> orjson.Fragment:
    """At most fifty, in an order that changes with the member: no order is promised."""
    turn = (member.number + member.changed) % len(member.tags)
    turned = member.tags[turn:] + member.tags[:turn]
    segments = audience.segments
    return _tag_list(tuple([(number, segments[number].name) for number in turned[:_TAGS_SHOWN]]))


@lru_cache(maxsize=4096)
def _tag_list(tags: tuple[tuple[int, str], ...]) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps([{"id": number, "name": name} for number, name in tags]))


# Everything else


def merge_field(audience: Audience, field: MergeField) -> dict[str, Any]:
    parent = f"/lists/{audience.id}/merge-fields"
    rels = [("update", "PATCH"), ("delete", "DELETE")]
    return {
        "merge_id": field.merge_id,
        "tag": field.tag,
        "name": field.name,
        "type": field.type,
        "required": field.required,
        "default_value": field.default_value,
        "public": field.public,
        "display_order": field.display_order,
        "options": field.options,
        "help_text": field.help_text,
        "list_id": audience.id,
        "_links": links(f"{parent}/{field.merge_id}", "Lists/MergeFields", rels, parent),
    }


def segment(audience: Audience, segment: Segment, statuses: Sequence[str]) -> dict[str, Any]:
    """``statuses``: who is counted."""
    parent = f"/lists/{audience.id}/segments"
    rels = [("update", "PATCH"), ("delete", "DELETE")]
    written: dict[str, Any] = {
        "id": segment.id,
        "name": segment.name,
        "member_count": sum(member.status in statuses for member in segment.members),
        "type": segment.type,
        "created_at": stamp(segment.created),
        "updated_at": stamp(segment.updated),
        "list_id": audience.id,
        "_links": links(f"{parent}/{segment.id}", "Lists/Segments", rels, parent),
    }
    if segment.type == "saved":
        written["options"] = {"match": "any", "conditions": []}
    return written


def collection(name: str, items: bytes, rest: dict[str, Any]) -> bytes:
    """An object whose array ``name`` is written already."""
    whole = orjson.dumps(rest)
    return b'{"%b":' % name.encode() + items + (b"," + whole[1:] if rest else b"}")
