"""What a Mailchimp account holds: audiences, their members, merge fields, tags.

Members stay in the order of their last change, so that a page sorted by it needs no sorting.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

STATUSES = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived")
_CONTACT_MASK = 0x9C1F_4E2A_77B3_05D8_6A90_B1C4_3E5F_D207
_FIRST_WEB_ID = 400_000_000
_FIRST_SEGMENT = 4_788_452


def digest(address: str) -> bytes:
    """The key of a member: MD5 of the address in lower case."""
    return md5(address.lower().encode(), usedforsecurity=False).digest()


@dataclass(slots=True, eq=False)
class Member:
    """One contact of one audience. Times are whole seconds; ``None`` is a time that is not known.

    ``compliance`` is set where the person, or a bounce or complaint, took the contact off: the API can
    no longer subscribe it, however it is archived or asked again, until the person confirms.
    """

    address: str
    key: bytes
    number: int
    status: str
    changed: int
    merge: dict[str, Any] = field(default_factory=dict)
    tags: tuple[int, ...] = ()
    opted_at: int | None = None
    signed_up_at: int | None = None
    unsubscribed_at: int | None = None
    reason: str = ""
    compliance: bool = False
    ip_opt: str = ""
    ip_signup: str = ""
    language: str = ""
    email_type: str = "html"
    vip: bool = False
    location: dict[str, float] | None = None
    source: str = "API - Generic"

    @property
    def contact_id(self) -> str:
        """Stays when the address changes."""
        return f"{self.number ^ _CONTACT_MASK:032x}"

    @property
    def web_id(self) -> int:
        return _FIRST_WEB_ID + self.number * 4

    @property
    def full_name(self) -> str:
        return f"{self.merge.get('FNAME', '')} {self.merge.get('LNAME', '')}".strip()

    def set_merge(self, values: dict[str, Any]) -> None:
        """Only filled values are kept."""
        merged = self.merge | values if self.merge else values
        self.merge = {tag: value for tag, value in merged.items() if value != ""}


@dataclass(slots=True)
class MergeField:
    merge_id: int
    tag: str
    name: str
    type: str = "text"
    required: bool = False
    default_value: str = ""
    public: bool = False
    display_order: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    help_text: str = ""


@dataclass(slots=True, eq=False)
class Segment:
    """A tag (``static``) or a saved search (``saved``), whose members are not worked out here."""

    id: int
    name: str
    created: int
    updated: int
    type: str = "static"
    members: dict[Member, int] = field(default_factory=dict)


View = tuple[Any, ...]


class Audience:
    """One list with everything in it."""

    def __init__(self, id: str, web_id: int, name: str, created: int, settings: dict[str, Any]) -> None:
        self.id = id
        self.web_id = web_id
        self.name = name
        self.created = created
        self.settings = settings
        self.fields: dict[str, MergeField] = {}
        self.segments: dict[int, Segment] = {}
        self.forgotten: set[bytes] = set()
        self.stats: tuple[int, dict[str, Any]] | None = None
        self.version = 0
        self._members: dict[bytes, Member] = {}
        self._by_number: list[Member | None] = []
        self._in_order = True
        self._latest = 0
        self._views: dict[View, list[Member]] = {}
        self._views_version = -1
        self._tag_sets: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._next_segment = _FIRST_SEGMENT
        self._named: dict[str, Segment] = {}

    # Members

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        """All members, archived ones too, by their last change."""
        if not self._in_order:
            self._sort()
        return iter(self._members.values())

    def _sort(self) -> None:
        ordered = sorted(self._members.values(), key=lambda member: member.changed)
        self._members = {member.key: member for member in ordered}
        self._in_order = True
        self._latest = ordered[-1].changed if ordered else 0

    def find(self, address: str) -> Member | None:
        return self._members.get(digest(address))

    def by_key(self, key: bytes) -> Member | None:
        return self._members.get(key)

    def by_path(self, word: str) -> Member | None:
        """By what a path may hold: hash, contact id or the address itself."""
        if "@" in word:
            return self.find(word)
        try:
            found = self._members.get(bytes.fromhex(word))
            number = int(word, 16) ^ _CONTACT_MASK
        except ValueError:
            return None
        if found is None and len(word) == 32 and 0 <= number < len(self._by_number):
            return self._by_number[number]
        return found

    def add(self, address: str, key: bytes, status: str, now: int) -> Member:
        member = Member(address, key, len(self._by_number), status, now)
        self._by_number.append(member)
        self._place(member)
        return member

    def touch(self, member: Member, now: int) -> None:
        """The member changed now."""
        self._members.pop(member.key, None)
        member.changed = now
        self._place(member)

    def _place(self, member: Member) -> None:
        self._members[member.key] = member
        self.version += 1
        if member.changed < self._latest:
            self._in_order = False
        else:
            self._latest = member.changed

    def rename(self, member: Member, address: str, now: int) -> None:
        del self._members[member.key]
        member.address, member.key = address, digest(address)
        self.touch(member, now)

    def forget(self, member: Member) -> None:
        """Delete for good: the address can never come back by the API."""
        for number in member.tags:
            del self.segments[number].members[member]
        del self._members[member.key]
        self._by_number[member.number] = None
        self.forgotten.add(member.key)
        self.version += 1

    def view(self, name: View, make: Callable[[], Iterable[Member]]) -> list[Member]:
        """A selection of members, kept until somebody changes."""
        if self._views_version != self.version or len(self._views) > 8:
            self._views = {}
            self._views_version = self.version
        kept = self._views.get(name)
        if kept is None:
            kept = self._views[name] = list(make())
        return kept

    # Tags

    def segment_named(self, name: str) -> Segment | None:
        return self._named.get(name)

    def tag_named(self, name: str, now: int) -> Segment:
        """The tag of this name, made if there is none."""
        return self._named.get(name) or self.add_segment(name, now)

    def add_segment(self, name: str, now: int, type: str = "static") -> Segment:
        if name in self._named:
            raise ValueError(f"There is a segment named {name!r} already.")
        segment = Segment(self._next_segment, name, now, now, type)
        self._next_segment += 4
        self.segments[segment.id] = self._named[name] = segment
        return segment

    def rename_segment(self, segment: Segment, name: str) -> None:
        del self._named[segment.name]
        segment.name = name
        self._named[name] = segment
        self.version += 1

    def tag(self, member: Member, segment: Segment, now: int) -> bool:
        """Says whether the member did not carry the tag before."""
        if member in segment.members:
            return False
        segment.members[member] = now
        segment.updated = now
        self._set_tags(member, (*member.tags, segment.id))
        return True

    def untag(self, member: Member, segment: Segment, now: int) -> bool:
        if segment.members.pop(member, None) is None:
            return False
        segment.updated = now
        self._set_tags(member, tuple(number for number in member.tags if number != segment.id))
        return True

    def _set_tags(self, member: Member, tags: tuple[int, ...]) -> None:
        member.tags = self._tag_sets.setdefault(tags, tags)
        self.version += 1

    def delete_segment(self, segment: Segment) -> None:
        for member in list(segment.members):
            self.untag(member, segment, segment.updated)
        del self.segments[segment.id], self._named[segment.name]
        self.version += 1

    def tag_names(self, member: Member) -> list[str]:
        return [self.segments[number].name for number in member.tags]
