"""Why one person is or is not in an audience: the rule that decided and the facts behind it."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from listbridge import rules
from listbridge.changes import Change
from listbridge.consent import Suppression
from listbridge.errors import Misconfigured
from listbridge.identity import key_of
from listbridge.look import remembered
from listbridge.model import Contact
from listbridge.planner import REASONS, Held, Rules, Settled, decide, is_member
from listbridge.selection import Shape, Wanted, kinds_of
from listbridge.session import Session
from listbridge.store import ledger, mirror, runs, targets
from listbridge.store.ledger import Entry
from listbridge.store.targets import Target


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer about one person; in a sync with several audiences, about the one named."""

    sync: str
    email: str
    present: bool
    rule: str
    because: list[str]
    source: dict[str, Any] = field(default_factory=dict)
    destination: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    audience: str = ""

    def line(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Facts:
    contacts: list[Contact]
    wanted: Wanted | None
    entry: Entry | None
    suppression: Suppression | None
    rules: Rules
    shape: Shape
    is_refused: bool  # by the platform, and nothing has changed since


def explain(session: Session, name: str, email: str) -> list[Explanation]:
    """One explanation for each audience of the sync, from what is stored; asks nobody.

    Raises ``Misconfigured`` if the sync has never been planned: then nothing is known yet.
    """
    store = session.store
    with store.read() as connection:
        lanes = targets.of_sync(connection, name)
    places = {place.key: place for place in rules.places(rules.audience_sync(session.config, name))}
    known = [target for target in lanes if target.place in places and target.version is not None]
    if not known:
        raise Misconfigured(f"{name} has not been planned yet. Run `listbridge plan {name}` first.")
    return [_explain(session, name, target, places[target.place], email) for target in known]


def _explain(session: Session, name: str, target: Target, place: rules.Place, email: str) -> Explanation:
    key = key_of(email)
    facts = _gather(session, name, target, place, key)
    held = facts.entry.held if facts.entry else None
    present = held is not None and is_member(held, facts.rules)
    answer: Change | Settled = Settled("rejected_before")
    if not facts.is_refused:
        answer = decide(facts.wanted, held, facts.suppression, facts.rules, key=key)
    with session.store.read() as connection:
        past = runs.history(connection, [target.id], key)
    return Explanation(
        sync=name,
        email=email,
        present=present,
        rule=_rule(answer, facts, present=present),
        because=_because(answer, facts, target, present=present),
        source=_source(facts),
        destination=_destination(facts, held),
        history=[
            {"at": shown(row.at), "run": row.run, "change": row.what, "reason": row.reason} for row in past
        ],
        audience=target.list_name,
    )


def _gather(session: Session, name: str, target: Target, place: rules.Place, key: bytes) -> _Facts:
    sync = rules.audience_sync(session.config, name)
    with session.store.read() as connection:
        labels = mirror.labels(connection, target.source)
        contacts = mirror.known_contacts(connection, target.source, [key]).get(key, [])
        wanted = ledger.wanted_of(connection, target.id, [key]).get(key)
        entry = ledger.entries(connection, target.id, [key]).get(key)
        barred = ledger.suppressions(connection, target.account, [key]).get(key)
    connector = session.config.connections[sync.source].connector
    shape = rules.shape(sync, place, rules.selection(sync, place, labels, sync.source), connector)
    audience = remembered(target) or rules.unknown_audience(place)
    able = session.destination(sync.destination).capabilities
    lane_rules = rules.rules(sync, place, shape, audience, able)
    refused = bool(entry and wanted and entry.verdict == "rejected_before" and entry.fp == wanted[0])
    return _Facts(contacts, wanted[1] if wanted else None, entry, barred, lane_rules, shape, refused)


def _rule(answer: Change | Settled, facts: _Facts, *, present: bool) -> str:
    if isinstance(answer, Change):
        return answer.reason
    if answer.skipped is not None:
        return answer.skipped
    if facts.wanted is not None and facts.wanted.taken:
        return "in_step" if present else "not_added"
    return "not_selected" if facts.contacts else "not_in_source"


_RULES = {
    "in_step": "is selected and in the audience; nothing differs",
    "not_added": "is selected, and the mode is subtract: nobody is added",
    "not_selected": "is known to the source and not selected",
    "not_in_source": "is not known to the source",
}


def _because(answer: Change | Settled, facts: _Facts, target: Target, *, present: bool) -> list[str]:
    rule = _rule(answer, facts, present=present)
    sentences = [f"This person {_RULES.get(rule) or REASONS.get(rule, rule)}."]
    if isinstance(answer, Change):
        sentences.append(f"The next run will {answer.what.value} them.")
    if facts.contacts:
        kinds = " and ".join(sorted(kinds_of(facts.contacts)))
        sentences.append(f"To {target.source} they are: {kinds}.")
    if facts.wanted is not None:
        said = facts.wanted
        when = f", said {shown(said.consent_at)}" if said.consent_at is not None else ", at a time not known"
        sentences.append(f"Their consent at {target.source} is {said.word.value}{when}.")
    if len(facts.contacts) > 1:
        sentences.append(
            f"{len(facts.contacts)} rows share this address; the most restrictive consent counts."
        )
    if facts.suppression is not None:
        barred = facts.suppression
        sentences.append(f"They are suppressed since {shown(barred.at)}: {barred.reason}.")
    return sentences


def _source(facts: _Facts) -> dict[str, Any]:
    if not facts.contacts:
        return {}
    return {
        "contacts": [
            {
                "id": one.id,
                "email": one.email,
                "consent": one.consent.word.value,
                "consent_at": shown(one.consent.at),
                "guest": one.guest,
                "groups": list(one.groups),
                "segments": list(one.segments),
                "orders_count": one.orders_count,
            }
            for one in facts.contacts
        ],
        "kinds": sorted(kinds_of(facts.contacts)),
        "selected": facts.wanted is not None and facts.wanted.taken,
    }


def _destination(facts: _Facts, held: Held | None) -> dict[str, Any]:
    if held is None or held.status is None:
        return {}
    return {
        "status": held.status.value,
        "added_by_us": held.owned,
        "opted_in_at": shown(held.opted_in_at),
        "changed_at": shown(facts.entry.changed_at if facts.entry else None),
        "fields": {**held.found, **held.sent},
        "tags": sorted(held.tags | held.found_tags),
    }


def shown(at: float | None) -> str | None:
    """A moment as people and scripts read it."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
