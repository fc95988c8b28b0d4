"""How a member is made and changed: the rules of statuses, consent and what counts as a change."""

from collections.abc import Callable
from typing import Any

from listbridge.sandbox.mailchimp import checks, problems
from listbridge.sandbox.mailchimp.account import Account, ConfirmationMail
from listbridge.sandbox.mailchimp.problems import bad_field, invalid
from listbridge.sandbox.mailchimp.state import Audience, Member, digest

BY_ADMIN = "N/A (Unsubscribed by admin)"
WRITABLE = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional")

NUMBER = (float, int)
COMMON: dict[str, type | tuple[type, ...]] = {
    "email_address": str,
    "email_type": str,
    "status": str,
    "merge_fields": dict,
    "interests": dict,
    "language": str,
    "vip": bool,
    "location": dict,
    "ip_signup": str,
    "timestamp_signup": str,
    "ip_opt": str,
    "timestamp_opt": str,
}
SINGLE = COMMON | {"marketing_permissions": list, "tags": list}
UPSERT = SINGLE | {"status_if_new": str}
ROW = COMMON | {"tags": list}
_BY_ID = ("interests", "marketing_permissions")
_PLAIN = frozenset({"email_address", "status", "status_if_new", "merge_fields", "tags"})


class Writing:
    """Writes to one audience, as one request does: at one time, from one address."""

    def __init__(self, account: Account, audience: Audience, *, skip_required: bool = False) -> None:
        self._account = account
        self._audience = audience
        self._rules = account.rules
        self._now = account.now()
        self._skip_required = skip_required

    # Creating

    def create(self, body: dict[str, Any], status: str | None) -> Member:
        """A new member from a body whose shape was checked. Raises ``Problem``, having done nothing."""
        address = checks.address(body.get("email_address"))
        return self._create(address, digest(address), body, status)

    def _create(self, address: str, key: bytes, body: dict[str, Any], status: str | None) -> Member:
        self._admit(address, key)
        if status is None:
            raise bad_field("status", "This value should not be blank.")
        merge = checks.merge_values(body.get("merge_fields", {}), self._audience.fields)
        self._require(merge)
        rest = attributes(body)
        member = self._audience.add(address, key, status, self._now)
        member.ip_opt = "127.0.0.1"
        member.set_merge(merge)
        self._enter(member, status)
        _set_all(member, rest)
        if "tags" in body:
            self.tag(member, body["tags"])
        return member

    def _admit(self, address: str, key: bytes) -> None:
        """May this address come in for the first time?"""
        if key in self._audience.forgotten:
            raise problems.forgotten(address)
        name, _, domain = address.lower().partition("@")
        if domain in self._rules.fake_domains or name in self._rules.role_names:
            raise problems.looks_fake(address)
        if address.lower() in self._account.overused:
            raise problems.too_many_lists(address)

    def _require(self, merge: dict[str, Any]) -> None:
        missing = None if self._skip_required else checks.missing_values(merge, self._audience.fields)
        if missing is not None:
            raise missing

    def _enter(self, member: Member, status: str) -> None:
        """What a status brings with it when a member comes to it."""
        member.status = status
        member.reason = BY_ADMIN if status == "unsubscribed" else ""
        member.unsubscribed_at = self._now if status == "unsubscribed" else None
        if status == "subscribed":
            member.opted_at = self._now
        elif status == "pending":
            mail = ConfirmationMail(self._audience.id, member.address, self._now)
            self._account.confirmation_mails.append(mail)
        elif status == "cleaned":
            member.compliance = True

    # Changing

    def update(self, member: Member, body: dict[str, Any], status: str | None) -> bool:
        """Change what is given and differs; says whether anything did. Raises ``Problem``, having done
        nothing. ``status`` is the one to come to, None for the present one."""
        address = self._new_address(member, body)
        if status is not None:
            self._may_become(member, status)
        changes: list[Callable[[], None]] = []
        self._merge_change(member, body, changes)
        differing = {k: v for k, v in attributes(body).items() if getattr(member, k) != v}
        if status is not None and status != member.status:
            changes.append(lambda: self._change_status(member, status))
        if differing:
            changes.append(lambda: _set_all(member, differing))
        for change in changes:
            change()
        if address is not None:
            self._audience.rename(member, address, self._now)
        elif changes:
            self._audience.touch(member, self._now)
        return bool(changes) or address is not None

    def _merge_change(self, member: Member, body: dict[str, Any], changes: list[Callable[[], None]]) -> None:
        given = checks.merge_values(body.get("merge_fields", {}), self._audience.fields)
        self._require(member.merge | given)
        if any(member.merge.get(tag, "") != value for tag, value in given.items()):
            changes.append(lambda: member.set_merge(given))

    def _new_address(self, member: Member, body: dict[str, Any]) -> str | None:
        if "email_address" not in body or body["email_address"] == member.address:
            return None
        address = checks.address(body["email_address"])
        key = digest(address)
        if key == member.key:
            return None  # whether another spelling of the same address is kept is unsure
        if self._audience.by_key(key) is not None:
            raise problems.member_exists(address)
        self._admit(address, key)
        return address

    def _may_become(self, member: Member, status: str) -> None:
        """Whom the person, a bounce or a complaint took off can only be asked (``pending``). That the
        platform refuses ``transactional`` for a present member, and more for these, is unsure."""
        if status == member.status:
            return
        if member.compliance:
            may_leave = status == "unsubscribed" and member.status in ("pending", "archived")
            if status != "pending" and not may_leave:
                raise problems.in_compliance_state(member.address)
        elif status == "transactional" and member.status != "archived":
            raise invalid("A contact that was subscribed cannot become transactional.")

    def _change_status(self, member: Member, status: str) -> None:
        """A subscription by the API after an unsubscription by the API keeps its opt-in time; one that
        comes from the archive gets a new one."""
        before, opted_at = member.status, member.opted_at
        self._enter(member, status)
        if before == "unsubscribed" and opted_at is not None:
            member.opted_at = opted_at

    def archive(self, member: Member) -> None:
        if member.status in ("archived", "pending", "cleaned"):
            raise problems.cannot_archive()
        member.status = "archived"
        self._audience.touch(member, self._now)

    # Tags

    def tag(self, member: Member, names: Any) -> bool:
        changed = [
            self._audience.tag(member, self._audience.tag_named(n, self._now), self._now) for n in names
        ]
        return any(changed)

    def untag(self, member: Member, names: list[str]) -> bool:
        segments = [self._audience.segment_named(name) for name in names]
        found = [segment for segment in segments if segment is not None]
        changed = [self._audience.untag(member, segment, self._now) for segment in found]
        return any(changed)

    # Bulk

    def row(self, row: dict[str, Any], *, update_existing: bool, sync_tags: bool) -> tuple[Member, bool]:
        """One row of a bulk write: the member and whether it is new. Raises ``Problem``."""
        address = checks.address(row.get("email_address"))
        key = digest(address)
        member = self._audience.by_key(key)
        if member is None:
            return self._create(address, key, row, row.get("status")), True
        comes_back = member.status == "archived"
        if not update_existing and not comes_back:
            raise problems.member_exists(address)
        if "status" not in row and (self._rules.row_needs_status or not update_existing):
            raise bad_field("status", "This value should not be blank.")
        changed = self.update(member, row, row.get("status"))
        if self._row_tags(member, row, sync_tags) and not changed:
            self._audience.touch(member, self._now)
        return member, not update_existing

    def _row_tags(self, member: Member, row: dict[str, Any], sync_tags: bool) -> bool:
        wanted = row.get("tags", [])
        gone = [name for name in self._audience.tag_names(member) if name not in wanted] if sync_tags else []
        removed = self.untag(member, gone) if gone else False
        return self.tag(member, wanted) or removed


def _set_all(member: Member, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(member, name, value)


def attributes(body: dict[str, Any]) -> dict[str, Any]:
    """The parts of a body that are neither address, status, merge fields nor tags."""
    made: dict[str, Any] = {}
    for name in body.keys() - _PLAIN:
        if name in _BY_ID:
            _no_ids(name, body[name])
        else:
            attribute, read = _ATTRIBUTES[name]
            made[attribute] = read(body[name])
    return made


def _no_ids(name: str, value: Any) -> None:
    """The sandbox's audiences have neither interests nor marketing permissions: every id is unknown."""
    if value:
        raise bad_field(name, "This audience has none with this id.")


def _email_type(value: str) -> str:
    checks.one_of(value, "email_type", ("html", "text"))
    return value


def _time(name: str) -> Callable[[str], int | None]:
    return lambda value: int(checks.moment(value, name)) if value else None


def _location(value: dict[str, Any]) -> dict[str, float]:
    checks.shape(value, {"latitude": NUMBER, "longitude": NUMBER})
    return value


_ATTRIBUTES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "email_type": ("email_type", _email_type),
    "language": ("language", str),
    "vip": ("vip", bool),
    "location": ("location", _location),
    "ip_signup": ("ip_signup", lambda value: checks.ip(value, "ip_signup")),
    "ip_opt": ("ip_opt", lambda value: checks.ip(value, "ip_opt")),
    "timestamp_signup": ("signed_up_at", _time("timestamp_signup")),
    "timestamp_opt": ("opted_at", _time("timestamp_opt")),
}
