"""What each connector can do, from its own capabilities and card: for the screen and for the docs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from listbridge.connectors.base import Capabilities, Connector, Options
from listbridge.connectors.registry import all_names, connector_named


@dataclass(frozen=True, slots=True)
class Card:
    """One connector: what it is, its ends (``None``: it has no such end), its options, how it was verified."""

    name: str
    title: str
    about: str
    source: Mapping[str, bool] | None
    destination: Capabilities | None
    options: Mapping[str, str]
    verified: Sequence[str]
    unsure: Sequence[str]

    def line(self) -> dict[str, Any]:
        """The JSON line."""
        return {
            "connector": self.name,
            "title": self.title,
            "about": self.about,
            "source": self.source,
            "destination": self.destination and asdict(self.destination),
            "options": self.options,
            "verified": self.verified,
            "unsure": self.unsure,
        }

    def sections(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Titles with their sentences."""
        if self.source is not None:
            yield "as a source", source_words(self.source)
        if self.destination is not None:
            yield "as a destination", destination_words(self.destination)
        yield "options", [f"{name}: {words}" if words else name for name, words in self.options.items()]
        yield "verified", self.verified or ("not yet",)
        yield "unsure", self.unsure or ("nothing that is known",)


def card(name: str) -> Card:
    """The card of one connector. Raises ``Misconfigured`` with the nearest name."""
    return _card(connector_named(name))


def cards() -> list[Card]:
    """The cards of all connectors, by name."""
    return [card(name) for name in all_names()]


def source_words(able: Mapping[str, bool]) -> list[str]:
    """What a source can do."""
    if able["always_full"]:
        return ["is compared as a whole on every run"]
    if able["tells_deletions"]:
        return ["tells what changed and what was deleted since the last run"]
    return ["tells what changed since the last run; deletions are found by a full comparison (full_every)"]


def destination_words(able: Capabilities) -> list[str]:
    """What a destination can do."""
    has = {
        "transactional contacts": able.transactional,
        "double opt-in": able.pending,
        "tags": able.tags,
        "change of an address": able.renames,
    }
    lacking = [name for name, there in has.items() if not there]
    return [
        f"removes by: {', '.join(able.removals)} (the first one if nothing else is said)",
        f"has: {', '.join(name for name, there in has.items() if there) or 'none of the extras'}",
        *([f"has no: {', '.join(lacking)}"] if lacking else []),
        f"writes up to {able.batch_size:,} people a call, reads {able.page_size:,}, "
        f"{able.connections} calls at a time",
    ]


def _card(connector: Connector) -> Card:
    return Card(
        connector.name,
        connector.title,
        _about(connector.options),
        _source(connector.source),
        connector.destination.capabilities if connector.destination else None,
        _options(connector.options),
        connector.verified,
        connector.unsure,
    )


def _about(options: type[Options]) -> str:
    return (options.__doc__ or "").strip().partition("\n")[0]


def _source(source: type[Any] | None) -> Mapping[str, bool] | None:
    if source is None:
        return None
    return {"tells_deletions": source.tells_deletions, "always_full": source.always_full}


def _options(options: type[Options]) -> dict[str, str]:
    return {
        name: field.description or "" for name, field in options.model_fields.items() if name != "connector"
    }
