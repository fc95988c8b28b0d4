"""One day in the demo: what people do on both sides, and what must have come of it in the evening."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from listbridge.demo import shop
from listbridge.demo.stage import CLUB, NEWSLETTER, Stage

EDITS = 40
NEWCOMERS = 5
LEAVERS = 3


@dataclass(frozen=True, slots=True)
class Day:
    """Who did what."""

    renamed: list[str]
    newcomers: list[str]
    deleted: str
    opted_out: str
    left: list[str]
    bounced: str
    archived: str
    edited: str
    confirmed: str

    def sentences(self) -> Iterator[str]:
        """What happened, side by side."""
        yield f"in the shop: {len(self.renamed)} people get another last name, {len(self.newcomers)} sign up,"
        yield f"             {self.deleted} deletes the account,"
        yield f"             {self.opted_out} refuses the newsletter"
        yield f"at the platform: {', '.join(self.left)} unsubscribe,"
        yield f"             mail to {self.bounced} bounces,"
        yield f"             somebody archives {self.archived} by hand,"
        yield f"             somebody changes the first name of {self.edited} by hand,"
        yield f"             {self.confirmed} confirms the club's mail"


def live(stage: Stage) -> Day:
    """Let the day happen."""
    platform = stage.platform
    free = _quiet_people(stage)
    left = [next(free) for _ in range(LEAVERS)]
    bounced, archived, edited = next(free), next(free), next(free)
    confirmed = next(iter(platform.members(CLUB, "pending")))
    for email in left:
        platform.unsubscribe_by_person(NEWSLETTER, email)
    platform.bounce(NEWSLETTER, bounced)
    platform.archive_by_hand(NEWSLETTER, archived)
    platform.edit_field_by_hand(NEWSLETTER, edited, "FNAME", "Edited by hand")
    platform.confirm(CLUB, confirmed)
    return Day(
        shop.edit_names(stage.shop, min(EDITS, stage.facts.people // 50)),
        shop.add_customers(stage.shop, NEWCOMERS),
        shop.delete_account(stage.shop),
        shop.opt_out(stage.shop),
        left,
        bounced,
        archived,
        edited,
        confirmed,
    )


def _quiet_people(stage: Stage) -> Iterator[str]:
    """On the newsletter's list alone, and left alone by what happens in the shop: the latest ones first."""
    with closing(sqlite3.connect(stage.shop)) as database:
        rows = database.execute(
            f"SELECT email {shop.SUBSCRIBED} AND orders_count > 0 ORDER BY updated_at DESC, id DESC LIMIT 2000"
        ).fetchall()
    for row in rows:
        if stage.status_of(row[0]) == "subscribed" and stage.status_of(row[0], CLUB) is None:
            yield str(row[0])


def faults(stage: Stage, day: Day) -> Iterator[str]:
    """What is not as it must be in the evening; nothing, if all is well."""
    gone = {**dict.fromkeys(day.left, "unsubscribed"), day.bounced: "cleaned", day.archived: "archived"}
    gone |= {day.opted_out: "unsubscribed", day.deleted: "archived"}
    for email, wanted in gone.items():
        found = stage.status_of(email)
        if found != wanted:
            yield f"{email} must be {wanted} at the platform, and is {found}"
    for email in day.newcomers:
        if stage.status_of(email) != "subscribed":
            yield f"{email} signed up and is not subscribed at the platform"
    for email in (*day.left, day.opted_out):
        if stage.consent_of(email) != "denied":
            yield f"{email} unsubscribed, and the shop does not know it"
    names = stage.platform.members(NEWSLETTER)
    for email, last_name in _last_names(stage, day.renamed):
        if names[email]["status"] == "subscribed" and names[email]["merge_fields"].get("LNAME") != last_name:
            yield f"{email} has another last name at the platform than in the shop"
    if stage.status_of(day.confirmed, CLUB) != "subscribed":
        yield f"{day.confirmed} confirmed and is not subscribed to the club"


def _last_names(stage: Stage, emails: list[str]) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(stage.shop)) as database:
        found = [
            database.execute("SELECT email, last_name FROM customers WHERE email = ?", (email,)).fetchone()
            for email in emails
        ]
    return [(str(row[0]), str(row[1])) for row in found if row]
