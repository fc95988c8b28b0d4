"""A destination, a ledger and a source in memory, as small as can be: what happens to decisions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from core.people import as_sent
from listbridge.changes import Change, What
from listbridge.consent import Suppression
from listbridge.identity import key_of
from listbridge.model import WITHDRAWN_STATUSES, Status
from listbridge.planner import UNTAG, Held, Rules, Settled, decide, is_member
from listbridge.selection import Shape, Statement, Wanted, wanted_of

AFTER_REMOVAL = {"archive": Status.ARCHIVED, "delete": Status.ABSENT, "unsubscribe": Status.UNSUBSCRIBED}
NOW = 1000.0


@dataclass
class World:
    """``source`` has the rows of each address, ``ledger`` what is at the destination."""

    rules: Rules
    shape: Shape
    source: Mapping[str, list[Statement]]
    ledger: dict[str, Held]
    suppressions: dict[str, Suppression] = field(default_factory=dict)

    def people(self) -> list[str]:
        return sorted({*self.source, *self.ledger, *self.suppressions})

    def wanted(self, email: str) -> Wanted | None:
        rows = self.source.get(email)
        return wanted_of(rows, self.shape, as_sent) if rows else None

    def decide(self, email: str) -> Change | Settled:
        barred = self.suppressions.get(email)
        return decide(self.wanted(email), self.ledger.get(email), barred, self.rules, key=key_of(email))

    def plan(self) -> dict[str, Change]:
        answers = {email: self.decide(email) for email in self.people()}
        return {email: answer for email, answer in answers.items() if isinstance(answer, Change)}

    def apply(self, plan: Mapping[str, Change]) -> None:
        for email, change in plan.items():
            before = self.ledger.get(email, Held(email))
            carried_out = removed if change.what is What.REMOVE else written
            self.ledger[email] = tagged(carried_out(before, change), change, self.rules.tag)
            if change.reason == "source_optout":
                said = self.wanted(email)
                at = said.consent_at if said and said.consent_at is not None else NOW
                self.suppressions[email] = Suppression("unsubscribed", at)

    def members(self) -> set[str]:
        return {email for email, held in self.ledger.items() if is_member(held, self.rules)}

    def selected(self) -> set[str]:
        return {email for email in self.source if self.wanted(email).taken}

    def outside(self) -> set[str]:
        """Suppressed people: held against them here, or anywhere else in the account."""
        left = {email for email, held in self.ledger.items() if held.status in WITHDRAWN_STATUSES}
        return left | set(self.suppressions)


def written(held: Held, change: Change) -> Held:
    brought_back = change.what is What.CREATE and held.status is not None
    return replace(
        held,
        status=change.status or held.status,
        owned=held.owned or change.what is What.CREATE,
        taken_out=False,
        sent={**held.sent, **change.fields},
        found={name: value for name, value in held.found.items() if name not in change.fields},
        tags=frozenset() if brought_back else held.tags,
        found_tags=frozenset() if brought_back else held.found_tags,
        tagged=held.tagged and not brought_back,
    )


def removed(held: Held, change: Change) -> Held:
    if change.form == UNTAG:
        return replace(held, taken_out=True)
    return replace(held, status=AFTER_REMOVAL[change.form or ""], taken_out=True, tagged=False)


def tagged(held: Held, change: Change, own: str | None) -> Held:
    held = replace(held, tags=(held.tags | set(change.tags_added) - {own}) - set(change.tags_removed))
    if own in change.tags_added:
        held = replace(held, tagged=True, owned=True)
    if own in change.tags_removed:
        held = replace(held, tagged=False)
    return held


def reversed_rows(source: Mapping[str, Iterable[Statement]]) -> dict[str, list[Statement]]:
    return {email: list(rows)[::-1] for email, rows in source.items()}
