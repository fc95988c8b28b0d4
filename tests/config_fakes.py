"""Two small connectors, a way to look them up, and a file that uses them, for the tests of config."""

from pathlib import Path

from pydantic import Field, field_validator

from listbridge.config import Config, Faulty, load
from listbridge.connectors.base import Capabilities, Connector, DestinationOptions, Options
from listbridge.errors import Misconfigured

ENVIRON = {"SHOP_KEY": "s3cret-shop", "MAIL_KEY": "s3cret-mail-us1"}


class ShopOptions(Options):
    """Options of a shop."""

    url: str = Field(description="Root of the shop.")
    api_key: str = Field(description="Key of the shop's API.")
    contacts: str | None = Field(default=None, description="Where the contacts are.", examples=["customers"])
    orders: str | None = Field(default=None, description="Where the orders are.")
    strict: bool = Field(default=False, description="Take nothing that is odd.")


class MailOptions(DestinationOptions):
    """Options of an e-mail platform."""

    api_key: str = Field(description="Key that ends in the data centre.")
    url: str | None = Field(default=None, description="Base URL.")

    @field_validator("api_key")
    @classmethod
    def _ends_in_data_centre(cls, key: str) -> str:
        if not key.endswith("-us1"):
            raise ValueError(f"{key} must end in the data centre")
        return key

    @field_validator("url")
    @classmethod
    def _has_no_port_nine(cls, url: str | None) -> str | None:
        if url is not None and ":9/" in url:
            raise ValueError(f"{url} cannot be right")
        return url


class ShopSource:
    """A source by name only."""


class RichMail:
    """A destination that can do everything."""

    capabilities = Capabilities(
        500, 1000, 10, ("archive", "unsubscribe", "delete"), transactional=True, pending=True, tags=True
    )


class PoorMail:
    """A destination that can do next to nothing."""

    capabilities = Capabilities(1, 1, 1, ("delete",))


CONNECTORS = {
    "shop": Connector("shop", "Shop", ShopOptions, source=ShopSource),
    "rich": Connector("rich", "Rich Mail", MailOptions, destination=RichMail),
    "poor": Connector("poor", "Poor Mail", MailOptions, destination=PoorMail),
}

CONNECTIONS = """\
connections:
  store: {connector: shop, url: https://acme.example, api_key: "${SHOP_KEY}", contacts: c}
  mail: {connector: rich, api_key: "${MAIL_KEY}"}
  plain: {connector: poor, api_key: "${MAIL_KEY}x-us1"}
"""

VIP = "type: audience, source: store, destination: mail, select: {everyone: true}, audience: {list: L}"

FULL = (
    CONNECTIONS
    + """\
syncs:
  vip:
    type: audience
    source: store
    destination: mail
    select:
      everyone: true
      kinds: [subscriber, buyer]
      groups: [wholesale, 0123]
      segments: [57e96172]
    audience: {list: 57e96172, tag: VIP, create: true}
    mode: merge
    fields: {FNAME: first_name}
    tags: [newsletter]
    kind_tags: true
    origin: Shopify
    consent:
      always_opt_in: true
      on_source_optout: ignore
      without_consent: transactional
      double_opt_in: false
    removal: archive
    remove_departed: true
    restore_deleted: true
    guards: {max_removals: 12.5%, min_removals: 7, max_source_drop: null, max_creates: 1000}
    full_every: 2d
    feedback: false
    schedule: "0 */4 * * *"
  groups:
    type: audience
    source: store
    destination: mail
    map: {retail: Newsletter, wholesale: Newsletter, staff: null}
    create: true
  data:
    type: commerce
    source: store
    destination: mail
    audience: {list: L}
    objects: [customers, products]
    store: {id: my-shop, currency: NZD}
    schedule: none
  mailings: {type: campaigns, source: mail, schedule: every 90 s}
"""
)


def fake_connector(name: str) -> Connector:
    """The lookup that the tests give to ``load``."""
    if name not in CONNECTORS:
        raise Misconfigured(f"There is no connector {name}; there are {', '.join(CONNECTORS)}.")
    return CONNECTORS[name]


def loaded(folder: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    """The configuration of a file with this text."""
    path = folder / "listbridge.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, ENVIRON if environ is None else environ, fake_connector)


def with_syncs(folder: Path, *syncs: str) -> Config:
    """The configuration with the usual connections and these syncs, each as ``name: {…}``."""
    return loaded(folder, CONNECTIONS + "syncs:\n" + "".join(f"  {sync}\n" for sync in syncs))


def complaints(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """What is wrong with a file of this text."""
    try:
        loaded(folder, text, environ)
    except Faulty as error:
        return [str(problem) for problem in error.problems]
    return []


def sync_complaints(folder: Path, *syncs: str) -> list[str]:
    """What is wrong with these syncs, lines left out."""
    text = CONNECTIONS + "syncs:\n" + "".join(f"  {sync}\n" for sync in syncs)
    return [complaint.split(", ", 1)[-1] for complaint in complaints(folder, text)]
