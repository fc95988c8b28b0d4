"""What somebody changed at the destination: ours against theirs, person by person. Writes nothing there."""

from collections.abc import AsyncIterator
from typing import Any

from listbridge import rules
from listbridge.connectors.base import Destination, Member
from listbridge.errors import Misconfigured
from listbridge.identity import key_of
from listbridge.look import remembered
from listbridge.model import WITHDRAWN_STATUSES, Status
from listbridge.planner import Held
from listbridge.session import Session
from listbridge.store import ledger, targets
from listbridge.store.targets import Target


async def drift(session: Session, name: str) -> AsyncIterator[dict[str, Any]]:
    """Every difference between what this sync left at the destination and what is there now."""
    sync = rules.audience_sync(session.config, name)
    with session.store.read() as connection:
        known = [one for one in targets.of_sync(connection, name) if one.audience and one.cursor]
    if not known:
        raise Misconfigured(f"{name} has not run yet. Run `listbridge run {name}` first.")
    for target in known:
        async for line in _of_target(session, name, target, session.destination(sync.destination)):
            yield line


async def _of_target(
    session: Session, name: str, target: Target, destination: Destination
) -> AsyncIterator[dict[str, Any]]:
    audience = remembered(target)
    assert audience is not None
    with session.store.write() as connection:
        ledger.forget_sightings(connection, target.id)
    async for page in destination.members(audience):
        members = {key_of(one.email): one for one in page.members}
        with session.store.write() as connection:
            known = ledger.entries(connection, target.id, list(members))
            if members:
                ledger.sight(connection, target.id, list(members))
        for key, member in members.items():
            entry = known.get(key)
            for what, ours, theirs in differences(entry.held if entry else None, member):
                yield {"sync": name, "email": member.email, "what": what, "ours": ours, "theirs": theirs}
    after = b""
    while True:
        with session.store.read() as connection:
            keys = ledger.unsighted(connection, target.id, after)
            gone = ledger.entries(connection, target.id, keys)
        if not keys:
            break
        after = keys[-1]
        for entry in gone.values():
            ours = entry.held.status.value if entry.held.status else None
            yield {
                "sync": name,
                "email": entry.held.email,
                "what": "status",
                "ours": ours,
                "theirs": Status.ABSENT.value,
            }
    with session.store.write() as connection:
        ledger.forget_sightings(connection, target.id)


def differences(held: Held | None, member: Member) -> list[tuple[str, Any, Any]]:
    """(what, ours, theirs). Of fields and tags only those that we have sent are compared."""
    if held is None or held.status is None:
        return [("status", None, member.status.value)] if member.status not in WITHDRAWN_STATUSES else []
    found: list[tuple[str, Any, Any]] = []
    if held.status is not member.status:
        found.append(("status", held.status.value, member.status.value))
    if member.fields is not None:
        found += [
            (name, value, member.fields.get(name, ""))
            for name, value in held.sent.items()
            if member.fields.get(name, "") != value
        ]
    if member.tags is not None:
        found += [("tag", tag, None) for tag in sorted(held.tags - set(member.tags))]
    return found
