"""Whether a plan may be carried out: guards. Pure: figures in, the first guard that trips out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """A share of something or a number of people; one of the two is set."""

    share: float | None = None
    count: int | None = None

    def of(self, whole: int) -> int | None:
        """How many people that is; ``None`` for a share of nothing, which cannot be computed."""
        if self.count is not None:
            return self.count
        return int(round(whole * (self.share or 0.0), 6)) if whole else None  # 0.29 * 100 is 28.999…


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """The operator's limits; ``None`` switches a guard off."""

    max_removals: Limit | None = Limit(share=0.2)
    min_removals: int = 50
    max_source_drop: Limit | None = Limit(share=0.5)
    max_creates: Limit | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a plan would do, and what it is measured against.

    ``source_before``/``source_now`` count the contacts of complete reads, ``None`` where there was none.
    ``contacts`` counts the account's billable contacts, ``None`` where no limit is set.
    ``without_consent`` counts people who would be subscribed though they never agreed.
    """

    members: int = 0
    creates: int = 0
    removals: int = 0
    without_consent: int = 0
    without_consent_allowed: bool = False
    source_before: int | None = None
    source_now: int | None = None
    contacts: int | None = None
    contact_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """A guard that tripped: what the plan would do, and what is allowed."""

    name: str
    would: int
    allowed: int

    @property
    def sentence(self) -> str:
        """What a person reads."""
        return _SENTENCES[self.name].format(would=self.would, allowed=self.allowed)


_SENTENCES = {
    "max_source_drop": "The source holds only {would} contacts; below {allowed} it looks broken.",
    "max_removals": "The plan would remove {would} people; {allowed} are allowed.",
    "max_creates": "The plan would create {would} people; {allowed} are allowed.",
    "contact_limit": "The account would hold {would} contacts; its plan allows {allowed}.",
    "without_consent": "The plan would subscribe {would} people who have not agreed.",
}


def tripped(figures: Figures, settings: GuardSettings) -> Guard | None:
    """The first guard that the plan trips, in the order in which trouble shows: source, then plan."""
    guards = (
        _source_drop(figures, settings),
        _removals(figures, settings),
        _creates(figures, settings),
        _contact_limit(figures),
        _without_consent(figures),
    )
    return next((guard for guard in guards if guard is not None), None)


def _source_drop(figures: Figures, settings: GuardSettings) -> Guard | None:
    limit, before, now = settings.max_source_drop, figures.source_before, figures.source_now
    if limit is None or not before or now is None:
        return None
    least = max(before - (limit.of(before) or 0), 1)
    return Guard("max_source_drop", now, least) if now < least else None


def _removals(figures: Figures, settings: GuardSettings) -> Guard | None:
    if settings.max_removals is None:
        return None
    most = settings.max_removals.of(figures.members)
    allowed = 0 if most is None else max(most, settings.min_removals)
    return Guard("max_removals", figures.removals, allowed) if figures.removals > allowed else None


def _creates(figures: Figures, settings: GuardSettings) -> Guard | None:
    if settings.max_creates is None:
        return None
    allowed = settings.max_creates.of(figures.members) or 0
    return Guard("max_creates", figures.creates, allowed) if figures.creates > allowed else None


def _contact_limit(figures: Figures) -> Guard | None:
    if figures.contact_limit is None or figures.contacts is None or not figures.creates:
        return None
    would = figures.contacts + figures.creates
    return Guard("contact_limit", would, figures.contact_limit) if would > figures.contact_limit else None


def _without_consent(figures: Figures) -> Guard | None:
    if figures.without_consent_allowed or not figures.without_consent:
        return None
    return Guard("without_consent", figures.without_consent, 0)
