"""Where the demo plays: a shop's database, an e-mail platform on this machine, and their configuration."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from listbridge.demo import shop
from listbridge.sandbox.mailchimp import KEY, MailchimpSandbox

NEWSLETTER = "Newsletter"
CLUB = "Club"

CONFIGURATION = """\
# The demo's own configuration: a shop's database and a stand-in for Mailchimp on this machine.
version: 1

connections:
  shop:
    connector: sql
    url: sqlite:///shop.db
    contacts: {contacts}
    unsubscribe: UPDATE customers SET newsletter = 'denied', newsletter_at = :at WHERE id = :id
  mailchimp:
    connector: mailchimp
    url: {url}
    api_key: {key}

syncs:
  customers:                            # everybody who bought or agreed, as far as consent allows
    type: audience
    source: shop
    destination: mailchimp
    select:
      kinds: [subscriber, buyer]
    audience: {{list: Newsletter, create: true}}
    mode: merge
    remove_departed: true               # whoever deletes the account leaves the list
    fields:
      FNAME: first_name
      LNAME: last_name
      ORDERS: orders_count
    kind_tags: true                     # Shop-Subscriber, Shop-Buyer
    origin: Shop
    tags: [cdnow]

  club:                                 # the best customers; this list asks each to confirm
    type: audience
    source: shop
    destination: mailchimp
    select:
      segments: [champions, big-spenders]
    audience: {{list: Club, create: true}}
    mode: exact                         # whoever is no longer one of the best leaves the club
    fields:
      FNAME: first_name
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that the demo plays with."""

    folder: Path
    platform: MailchimpSandbox
    facts: shop.ShopFacts

    @property
    def shop(self) -> Path:
        return self.folder / "shop.db"

    @property
    def file(self) -> Path:
        return self.folder / "listbridge.yaml"

    def consent_of(self, email: str) -> str | None:
        """The shop's word on somebody now; ``None`` if the shop does not know them."""
        with closing(sqlite3.connect(self.shop)) as database:
            row = database.execute("SELECT newsletter FROM customers WHERE email = ?", (email,)).fetchone()
        return str(row[0]) if row else None

    def status_of(self, email: str, audience: str = NEWSLETTER) -> str | None:
        """The platform's word on somebody now; ``None`` if the platform does not know them."""
        found = self.platform.audience(audience).find(email)
        return found.status if found else None


def build(folder: Path, size: int | None) -> Stage:
    """A shop, and a platform where some of its customers already are."""
    facts = shop.build_shop(folder / "shop.db", size)
    stage = Stage(folder, MailchimpSandbox(keep_bodies=False), facts)
    stage.platform.add_list(NEWSLETTER)
    stage.platform.add_list(CLUB, double_optin=True)
    _earlier_times(stage)
    return stage


def configure(stage: Stage, url: str) -> None:
    """Write ``listbridge.yaml``."""
    text = CONFIGURATION.format(contacts=json.dumps(" ".join(shop.CONTACTS.split())), url=url, key=KEY)
    stage.file.write_text(text, encoding="utf-8")


def _earlier_times(stage: Stage) -> None:
    """What came before Listbridge: some subscribed at the platform themselves, some have left there."""
    for person, email in enumerate(_some_subscribers(stage.shop, 12)):
        status = "subscribed" if person < 8 else "unsubscribed"
        stage.platform.add_member(NEWSLETTER, email, status)
    stage.platform.add_member(NEWSLETTER, "stranger@elsewhere.example", "subscribed")


def _some_subscribers(path: Path, people: int) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            "SELECT email FROM customers WHERE newsletter = 'granted' AND NOT is_guest AND orders_count > 0"
            " ORDER BY id DESC LIMIT ?",
            (people,),
        )
        return [str(row[0]) for row in rows]
