"""What ``listbridge.yaml`` may say. Descriptions are the help texts of schema, docs and web forms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from listbridge.config.problems import Place
from listbridge.config.values import DoubleOptIn, MaybeLimit, MaybeSchedule, Seconds, Text
from listbridge.connectors.base import Connector, Options
from listbridge.model import Kind

DEFAULT_STORE = "sqlite:///listbridge.db"

Mode = Literal["exact", "merge", "subtract"]
ObjectName = Literal["customers", "products", "orders", "carts", "promotions"]


class Section(BaseModel):
    """A part of the file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, defer_build=True)


class Select(Section):
    """Whom a sync takes: the union of all that is named."""

    everyone: bool = Field(default=False, description="Take everybody the source knows.")
    kinds: tuple[Kind, ...] = Field(
        default=(),
        description="Take whoever is a subscriber (agreed to the newsletter), a buyer (has at least one "
        "order) or a contact (neither).",
    )
    groups: tuple[Text, ...] = Field(
        default=(), description="Customer groups of the source, by id or exact name."
    )
    segments: tuple[Text, ...] = Field(default=(), description="Segments of the source, by id or exact name.")


class CommerceTarget(Section):
    """The list whose members the shop's customers are."""

    list: Text = Field(description="The list (group, mailing list) by id or exact name.")
    create: bool = Field(default=False, description="Make what is missing there under the name given.")


class Target(CommerceTarget):
    """Where the people go: a list, or a tag or static segment inside one."""

    tag: Text | None = Field(
        default=None, description="The audience is the members of this tag or static segment in the list."
    )


class CommerceConsent(Section):
    """How the source's word on marketing e-mail is taken."""

    always_opt_in: bool = Field(
        default=False, description="Take an unknown consent of a new contact for granted."
    )
    double_opt_in: DoubleOptIn = Field(
        default="auto",
        description="Ask new subscribers to confirm: auto as the audience is set, or true or false.",
    )


class ConsentRules(CommerceConsent):
    """How consent is taken, and what happens to those who gave none."""

    on_source_optout: Literal["unsubscribe", "ignore"] = Field(
        default="unsubscribe", description="What a withdrawal at the source does at the destination."
    )
    without_consent: Literal["skip", "transactional", "subscribe"] = Field(
        default="skip",
        description="What becomes of new contacts without consent: skip them, make them transactional, or "
        "subscribe them all the same (asks for confirmation on the first run).",
    )


class Guards(Section):
    """Limits that stop a sync before anything is written; null takes a guard away."""

    max_removals: MaybeLimit = Field(
        default="20%",
        validate_default=True,
        description="Most removals in one run: a share of the audience like 20%, or a number.",
    )
    min_removals: int = Field(
        default=50, ge=0, description="So many removals are let through whatever the share."
    )
    max_source_drop: MaybeLimit = Field(
        default="50%",
        validate_default=True,
        description="How much smaller than last time the source may be: a share like 50%, or a number.",
    )
    max_creates: MaybeLimit = Field(
        default=None, description="Most new contacts in one run: a number, or a share of the audience."
    )


class StoreIdentity(Section):
    """How the shop is called at the e-mail platform."""

    id: Text | None = Field(
        default=None, description="Id of the store there; made from the names of sync and list if left out."
    )
    name: Text | None = Field(default=None, description="Name of the store; the source's name if left out.")
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")] | None = Field(
        default=None,
        description="Currency, three capitals like EUR; that of most orders if left out.",
    )
    domain: Text | None = Field(default=None, description="Domain of the shop; not sent if left out.")
    url: Text | None = Field(
        default=None, description="Address for promo codes and carts that have none of their own."
    )


_SOURCE = Field(description="Name of the connection that is read.")
_DESTINATION = Field(description="Name of the connection that is written to.")
_SCHEDULE = Field(
    default="every 4h",
    validate_default=True,
    description='When it runs by itself: "every 4h" (s, m, h, d), cron like "0 */4 * * *", or none.',
)
_FULL_EVERY = Field(
    default="24h",
    validate_default=True,
    description="How often everything is compared where the source does not tell deletions, like 24h.",
)
_GUARDS = Field(default=Guards(), description="Limits that stop a sync before anything is written.")


class AudienceSync(Section):
    """People of a source into an audience of a destination."""

    type: Literal["audience"] = Field(description="What is synchronised: people into an audience.")
    source: Text = _SOURCE
    destination: Text = _DESTINATION
    select: Select | None = Field(default=None, description="Whom to take: the union of all that is named.")
    audience: Target | None = Field(default=None, description="Where they go.")
    map: Mapping[Text, Text | None] | None = Field(
        default=None,
        description="Instead of select and audience: customer group to list; null takes a group out.",
    )
    create: bool = Field(default=False, description="With map: make lists that are missing.")
    mode: Mode = Field(
        default="merge",
        description="exact: the audience is the selection. merge: the selection is added, nobody is removed. "
        "subtract: the selection is taken out, nobody is added.",
    )
    fields: Mapping[Text, Text] = Field(
        default={}, description="What is sent of each person: destination field to source field."
    )
    tags: tuple[Text, ...] = Field(default=(), description="Tags for everybody taken, spelled as given.")
    kind_tags: bool = Field(
        default=False, description="A tag for each selected kind as well, like Shopify-Buyer."
    )
    origin: Text | None = Field(
        default=None,
        description="What kind tags begin with; the title of the source's connector, such as Shopify, if left out.",
    )
    consent: ConsentRules = Field(default=ConsentRules(), description="Who may be mailed.")
    removal: Text | None = Field(
        default=None,
        description="What removing means: archive, unsubscribe, delete or untag, as far as the destination "
        "can; its mildest form if left out.",
    )
    remove_departed: bool = Field(
        default=False,
        description="merge only: remove whom this sync added and the selection no longer holds.",
    )
    restore_deleted: bool = Field(
        default=False, description="Bring back people who were archived or deleted at the destination."
    )
    guards: Guards = _GUARDS
    full_every: Seconds = _FULL_EVERY
    feedback: bool = Field(
        default=True, description="Write unsubscribes and hard bounces back to the source."
    )
    schedule: MaybeSchedule = _SCHEDULE

    @property
    def lists(self) -> tuple[str, ...]:
        """The lists that this sync feeds, each once."""
        if self.audience is not None:
            return (self.audience.list,)
        return tuple(dict.fromkeys(name for name in (self.map or {}).values() if name is not None))


class CommerceSync(Section):
    """Customers, products, orders, carts and promotions of a shop into a store of a destination."""

    type: Literal["commerce"] = Field(description="What is synchronised: the shop's data.")
    source: Text = _SOURCE
    destination: Text = _DESTINATION
    audience: CommerceTarget = Field(description="The list whose members the customers are.")
    objects: tuple[ObjectName, ...] | None = Field(
        default=None, description="What is sent; whatever the source holds if left out."
    )
    consent: CommerceConsent = Field(default=CommerceConsent(), description="Who may be mailed.")
    store: StoreIdentity = Field(default=StoreIdentity(), description="How the shop is called there.")
    guards: Guards = _GUARDS
    full_every: Seconds = _FULL_EVERY
    schedule: MaybeSchedule = _SCHEDULE


class CampaignsSync(Section):
    """Campaigns of an e-mail platform, read only."""

    type: Literal["campaigns"] = Field(description="What is synchronised: the platform's campaigns.")
    source: Text = Field(description="Name of the connection, an e-mail platform, that is read.")
    schedule: MaybeSchedule = _SCHEDULE


Sync = AudienceSync | CommerceSync | CampaignsSync

SYNC_TYPES: Mapping[str, type[AudienceSync | CommerceSync | CampaignsSync]] = {
    "audience": AudienceSync,
    "commerce": CommerceSync,
    "campaigns": CampaignsSync,
}


class Document(Section):
    """The file as a whole, before its connections and syncs are looked into."""

    version: Text = Field(default="1", description="Version of this format: 1.")
    store: Text = Field(
        default=DEFAULT_STORE,
        description="Where Listbridge keeps what it knows: sqlite:///file beside this file, or postgresql://…",
    )
    connections: Mapping[str, Any] = Field(default={}, description="Accounts at platforms, by name.")
    syncs: Mapping[str, Any] = Field(default={}, description="What is kept in step, by name.")


@dataclass(frozen=True, slots=True)
class Connection:
    """One account at one platform, its options checked by the connector's own class.

    ``given`` holds the options as written, with ``${NAME}`` left as it stands.
    """

    name: str
    connector: Connector
    options: Options = field(repr=False)
    retry_for_seconds: int
    given: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reference:
    """A text with ``${NAME}`` in it, as written, and the value that it gives with the environment."""

    written: str
    value: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration that has passed every check.

    ``folder`` is where the file lies: relative paths in it start there. ``references`` tells by path
    (``("syncs", "vip", "audience", "list")``) which values came out of the environment.
    """

    path: Path = field(compare=False)
    folder: Path
    store: str = field(repr=False)
    store_given: str | None
    connections: Mapping[str, Connection]
    syncs: Mapping[str, Sync]
    references: Mapping[Place, Reference] = field(default_factory=dict)
