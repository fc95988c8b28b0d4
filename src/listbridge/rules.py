"""A sync's configuration → what the core works with: selections, shapes, rules, guards."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from listbridge import policy
from listbridge.config import AudienceSync, Config, Limit
from listbridge.connectors.base import Audience, Capabilities, Connector
from listbridge.consent import ConsentRules, WithoutConsent
from listbridge.errors import Misconfigured, Stop
from listbridge.model import Kind, Label
from listbridge.planner import UNTAG, Mode, Rules
from listbridge.rows import OWN_COLUMNS, PLAIN_COLUMNS
from listbridge.selection import Selection, Shape

RULES_VERSION = 1
"""Raised when the planner's rules change, so that everybody is decided about anew."""


@dataclass(frozen=True, slots=True)
class Place:
    """One audience of a sync: list and tag as written, and which groups feed it (``None``: ``select``)."""

    list: str
    tag: str | None = None
    create: bool = False
    groups: tuple[str, ...] | None = None

    @property
    def key(self) -> str:
        return self.list if self.tag is None else f"{self.list}\n{self.tag}"


def places(sync: AudienceSync) -> list[Place]:
    """The audiences that a sync feeds, in the order of the file."""
    if sync.audience is not None:
        return [Place(sync.audience.list, sync.audience.tag, sync.audience.create)]
    chosen = sync.map or {}
    return [
        Place(name, None, sync.create, tuple(group for group, to in chosen.items() if to == name))
        for name in sync.lists
    ]


def selection(sync: AudienceSync, place: Place, labels: Iterable[Label], source: str) -> Selection:
    """Whom the sync takes into one audience; names become the source's ids.

    Raises ``Stop("not_found", …)`` for a group or segment that the source has never named.
    """
    known = _Labels(labels, source)
    if place.groups is not None:
        return Selection(groups=known.ids("group", place.groups))
    assert sync.select is not None, "a sync has select or map; the configuration sees to it"
    return Selection(
        everyone=sync.select.everyone,
        kinds=frozenset(sync.select.kinds),
        groups=known.ids("group", sync.select.groups),
        segments=known.ids("segment", sync.select.segments),
    )


def shape(sync: AudienceSync, place: Place, chosen: Selection, connector: Connector) -> Shape:
    """What is wanted of everybody taken."""
    origin = sync.origin or connector.title
    kind_tags = kind_tags_of(origin) if sync.kind_tags else {}
    kept_up = {kind: tag for kind, tag in kind_tags.items() if kind in chosen.tagged_kinds}
    return Shape(chosen, sync.fields, sync.tags, kept_up, _version(sync, place, chosen))


def kind_tags_of(origin: str) -> dict[Kind, str]:
    """``Shopify-Subscriber`` and its kin."""
    return {kind: f"{origin}-{kind.value.capitalize()}" for kind in Kind}


def rules(sync: AudienceSync, place: Place, want: Shape, audience: Audience, able: Capabilities) -> Rules:
    """The planner's rules for one audience, double opt-in resolved."""
    said = sync.consent
    double = audience.double_opt_in if said.double_opt_in == "auto" else said.double_opt_in
    return Rules(
        mode=Mode(sync.mode),
        consent=ConsentRules(
            always_opt_in=said.always_opt_in,
            unsubscribe_on_optout=said.on_source_optout == "unsubscribe",
            without_consent=WithoutConsent(said.without_consent),
            double_opt_in=bool(double),
        ),
        tag=place.tag,
        kind_tags=frozenset(want.kind_tags.values()),
        removal=sync.removal or (UNTAG if place.tag else able.removals[0]),
        remove_departed=sync.remove_departed,
        restore_deleted=sync.restore_deleted,
        pending=able.pending,
        renames=able.renames,
    )


def guard_settings(sync: AudienceSync) -> policy.GuardSettings:
    guards = sync.guards
    return policy.GuardSettings(
        max_removals=_limit(guards.max_removals),
        min_removals=guards.min_removals,
        max_source_drop=_limit(guards.max_source_drop),
        max_creates=_limit(guards.max_creates),
    )


def refuse_rivals(config: Config, name: str, place: Place, found: Audience) -> None:
    """Two exact syncs on one audience undo each other's work; one may name it by id, the other by name.

    Raises ``Misconfigured``. What both spell alike was found when the configuration was read.
    """
    sync = audience_sync(config, name)
    if sync.mode != Mode.EXACT.value or not found.id:
        return
    for other, rival in config.syncs.items():
        if not isinstance(rival, AudienceSync) or rival.mode != Mode.EXACT.value:
            continue
        if rival.destination != sync.destination:
            continue
        for theirs in places(rival):
            same = theirs.list in (found.id, found.name) and theirs.tag == place.tag
            if same and (other, theirs.list) != (name, place.list):
                raise Misconfigured(
                    f"{name} and {other} are both exact on the audience {found.name} ({found.id}): each would "
                    "remove whom the other adds. Make one of them merge, or give each an audience of its own."
                )


def refuse_unknown_fields(sync: AudienceSync, labels: Iterable[Label]) -> None:
    """A source field that no row of the source ever had is a slip of the pen, not a value that became empty.

    Raises ``Stop("not_found", …)``. A source that has not given a row yet is not judged.
    """
    seen = {label.id for label in labels if label.what == "field"}
    known = seen | OWN_COLUMNS | PLAIN_COLUMNS
    for there, here in sync.fields.items():
        if seen and here not in known:
            raise Stop(
                "not_found",
                f"{sync.source} gives no field {here}, which `fields` sends as {there}. It gives: "
                f"{', '.join(sorted(seen))}.",
            )


def audience_sync(config: Config, name: str) -> AudienceSync:
    sync = config.syncs[name]
    assert isinstance(sync, AudienceSync)
    return sync


def unknown_audience(place: Place) -> Audience:
    """An audience of which the destination has told nothing yet; an empty id says so."""
    return Audience("", place.list)


def tags_of(want: Shape, tag: str | None) -> tuple[str, ...]:
    """Every tag that a sync may put on."""
    return tuple(dict.fromkeys((*want.tags, *want.kind_tags.values(), *((tag,) if tag else ()))))


def _limit(given: Limit | None) -> policy.Limit | None:
    return None if given is None else policy.Limit(given.share, given.count)


def _version(sync: AudienceSync, place: Place, chosen: Selection) -> str:
    """Changes when anything does that decides about people."""
    said = (
        RULES_VERSION,
        place.key,
        sync.mode,
        dict(sync.fields),
        sync.tags,
        sync.kind_tags,
        sync.origin,
        sync.consent.model_dump(mode="json"),
        sync.removal,
        sync.remove_departed,
        sync.restore_deleted,
        chosen.everyone,
        *(sorted(part) for part in (chosen.kinds, chosen.groups, chosen.segments)),
    )
    return blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=10).hexdigest()


class _Labels:
    """Groups and segments by everything an operator may call them."""

    def __init__(self, labels: Iterable[Label], source: str) -> None:
        self._source = source
        self._by_name: dict[tuple[str, str], set[str]] = {}
        for label in labels:
            for name in (label.id, *label.names):
                self._by_name.setdefault((label.what, name), set()).add(label.id)

    def ids(self, what: str, names: Iterable[str]) -> frozenset[str]:
        return frozenset(self._id(what, name) for name in names)

    def _id(self, what: str, name: str) -> str:
        found = self._by_name.get((what, name), set())
        if name in found:
            return name
        if len(found) > 1:
            raise Stop(
                "not_found",
                f"{self._source} has several {what}s called {name}: {', '.join(sorted(found))}. "
                "Write the id instead.",
            )
        if not found:
            raise Stop("not_found", f"{self._source} has no {what} {name}.{self._offer(what)}")
        return next(iter(found))

    def _offer(self, what: str) -> str:
        names = sorted({name for known, name in self._by_name if known == what})
        return f" It has: {', '.join(names[:20])}." if names else f" It has no {what}s at all."
