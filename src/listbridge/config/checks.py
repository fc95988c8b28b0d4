"""What the parts of a configuration say about each other: checked before anything is read or written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from listbridge.config.models import AudienceSync, CampaignsSync, CommerceSync, Connection, Sync
from listbridge.config.problems import Place, Problems, listed, suggestion
from listbridge.connectors.base import Capabilities

_Fault = tuple[Place, str]

_SOURCE_OPTION = {"customers": "contacts"}
"""Names of commerce objects that generic sources call otherwise."""

_NOT_THE_ACCOUNT = {"retry_for", "contact_limit", "webhook_secret"}
"""Options in which two connections to one account may differ."""


def check_syncs(
    connections: Mapping[str, Connection],
    declared: frozenset[str],
    syncs: Mapping[str, Sync],
    problems: Problems,
) -> None:
    """Put every contradiction into ``problems``.

    ``declared`` are all names of connections; those missing from ``connections`` have problems of their
    own, and nothing more is said about them.
    """
    for name, sync in syncs.items():
        for place, words in _Check(sync, connections, declared).faults():
            full_place = ("syncs", name, *place)
            if not problems.is_noise(full_place):
                problems.add(full_place, words)
    for name, words in (*_exact_twice(connections, syncs), *_stores_shared(connections, syncs)):
        problems.add(("syncs", name), words)


@dataclass(frozen=True, slots=True)
class _Check:
    """The faults of one sync."""

    sync: Sync
    connections: Mapping[str, Connection]
    declared: frozenset[str]

    def faults(self) -> Iterator[_Fault]:
        sync = self.sync
        if isinstance(sync, CampaignsSync):
            yield from self._connection("source", "destination")
            return
        yield from self._connection("source", "source")
        yield from self._connection("destination", "destination")
        if isinstance(sync, AudienceSync):
            yield from _shape(sync)
            yield from _mode(sync)
        else:
            yield from self._objects(sync)
        destination = self.connections.get(sync.destination)
        if destination is not None and destination.connector.destination is not None:
            title = destination.connector.title
            yield from _abilities(sync, destination.connector.destination.capabilities, title)

    def _connection(self, key: str, role: str) -> Iterator[_Fault]:
        name = getattr(self.sync, key)
        if name not in self.declared:
            yield (key,), f"there is no connection {name}; {suggestion(name, self.declared)}"
            return
        connection = self.connections.get(name)
        if connection is None or getattr(connection.connector, role) is not None:
            return
        title = connection.connector.title
        if role == "source":
            yield (key,), f"{title} ({name}) can only be written to; name a shop, CRM, database or file."
        elif isinstance(self.sync, CampaignsSync):
            yield (key,), f"{title} ({name}) has no campaigns; name the e-mail platform."
        else:
            yield (key,), f"{title} ({name}) can only be read; name an e-mail platform."

    def _objects(self, sync: CommerceSync) -> Iterator[_Fault]:
        if sync.objects == ():
            yield ("objects",), "this names nothing; name objects, or leave the key out to send them all."
        source = self.connections.get(sync.source)
        if source is None:
            return
        options = source.options
        for number, name in enumerate(sync.objects or ()):
            option = _SOURCE_OPTION.get(name, name)
            if option in type(options).model_fields and not getattr(options, option):
                yield (
                    ("objects", number),
                    f"{sync.source} does not say where its {name} are; add the option {option} to the "
                    f"connection, or leave {name} out here.",
                )


def _shape(sync: AudienceSync) -> Iterator[_Fault]:
    """Either ``map``, or ``select`` and ``audience``."""
    if sync.map is not None:
        for key in ("select", "audience"):
            if getattr(sync, key) is not None:
                yield (key,), f"{key} and map exclude one another; keep one of them."
        if not sync.lists:
            yield ("map",), "this maps no group to a list; name at least one."
        return
    if sync.select is None:
        yield ("select",), "this is missing: whom to take, or map instead of select and audience."
    elif not _selects(sync):
        yield ("select",), "this selects nobody; name kinds, groups or segments, or write everyone: true."
    if sync.audience is None:
        yield ("audience",), "this is missing: where the people go, like audience: {list: Newsletter}."
    if sync.create:
        yield ("create",), "this belongs inside audience; here it goes with map only."


def _selects(sync: AudienceSync) -> bool:
    select = sync.select
    return select is not None and bool(
        select.everyone or select.kinds or select.groups or select.segments
    )  # fmt: skip


def _mode(sync: AudienceSync) -> Iterator[_Fault]:
    if sync.remove_departed and sync.mode != "merge":
        why = "exact removes them anyway" if sync.mode == "exact" else "subtract removes only who is selected"
        yield ("remove_departed",), f"this goes with mode: merge only; {why}."
    if sync.removal == "untag" and not (sync.audience and sync.audience.tag):
        yield ("removal",), "untag needs a tag: name one as audience.tag, or choose another removal."


def _abilities(sync: AudienceSync | CommerceSync, can: Capabilities, title: str) -> Iterator[_Fault]:
    if sync.consent.double_opt_in is True and not can.pending:
        yield (
            ("consent", "double_opt_in"),
            f"{title} cannot ask for a confirmation through a sync; write auto or false.",
        )
    if isinstance(sync, CommerceSync):
        return
    if sync.consent.without_consent == "transactional" and not can.transactional:
        words = f"{title} has no transactional contacts; write skip or subscribe."
        yield ("consent", "without_consent"), words
    if not can.tags:
        yield from _tags(sync, title)
    forms = (*can.removals, "untag")
    if sync.removal is not None and sync.removal not in forms:
        known = forms if can.tags else can.removals
        yield ("removal",), f"{title} cannot remove by {sync.removal}; it can {listed(known)}."


def _tags(sync: AudienceSync, title: str) -> Iterator[_Fault]:
    if sync.audience and sync.audience.tag:
        yield ("audience", "tag"), f"{title} has no tags; use a list of its own for these people."
    if sync.tags:
        yield ("tags",), f"{title} has no tags; leave them out, or use a list of its own for these people."
    if sync.kind_tags:
        yield (
            ("kind_tags",),
            f"{title} has no tags; use one list for each kind, with a sync of its own that selects it.",
        )


def _exact_twice(
    connections: Mapping[str, Connection], syncs: Mapping[str, Sync]
) -> Iterator[tuple[str, str]]:
    """Two exact syncs on one audience would each remove the other's members, for ever."""
    exact = {
        name: [
            (sync.destination, found, sync.audience.tag if sync.audience else None) for found in sync.lists
        ]
        for name, sync in syncs.items()
        if isinstance(sync, AudienceSync) and sync.mode == "exact"
    }
    owners: dict[Any, str] = {}
    for name, audiences in exact.items():
        for destination, found, tag in audiences:
            owner = owners.setdefault((_account(connections, destination), found, tag), name)
            if owner != name:
                what = f"the tag {tag} in the list {found}" if tag else f"the list {found}"
                yield (
                    name,
                    f"{owner} and {name} are both exact on {what}, and each would remove the other's "
                    "members; use one sync with both selections, or mode: merge.",
                )


def _stores_shared(
    connections: Mapping[str, Connection], syncs: Mapping[str, Sync]
) -> Iterator[tuple[str, str]]:
    owners: dict[Any, str] = {}
    for name, sync in syncs.items():
        if not isinstance(sync, CommerceSync) or sync.store.id is None:
            continue
        owner = owners.setdefault((_account(connections, sync.destination), sync.store.id), name)
        if owner != name:
            words = f"{owner} and {name} share the store {sync.store.id}; give each an id of its own."
            yield name, words


def _account(connections: Mapping[str, Connection], name: str) -> str:
    """The same text for connections that are one account as far as their options tell."""
    connection = connections.get(name)
    if connection is None:
        return name
    options = {key: value for key, value in connection.options if key not in _NOT_THE_ACCOUNT}
    return repr(sorted(options.items()))
