"""Mailchimp as a destination: audiences, their members and tags. Marketing API 3.0.

Compared on 2026-11-22 with the vendor's description (label 3.0.55, requests of the end of 2025), the
vendor's documentation pages and answers of the live API recorded in 2021 and 2022; with no live account.
How a look proves with one call that nothing changed: docs/connectors/mailchimp.md.
"""

from listbridge.connectors.base import Connector
from listbridge.connectors.mailchimp.access import MailchimpOptions
from listbridge.connectors.mailchimp.destination import Mailchimp

__all__ = ["Mailchimp", "MailchimpOptions", "connector"]

connector = Connector(
    name="mailchimp",
    title="Mailchimp",
    options=MailchimpOptions,
    destination=Mailchimp,
    verified=(
        "2026-11-22: requests against the vendor's machine-readable description (3.0.55, and of late 2025)",
        "2026-11-22: statuses, renames and errors against answers of the live API recorded in 2021 and 2022",
        "2026-11-22: all of it against the sandbox, which was made from the same facts",
    ),
    unsure=(
        "no live account was used",
        "how a complaint shows in unsubscribe_reason: the words abuse and spam are taken for one",
        "the bulk write's words for a permanently deleted address",
        "the error of an account whose plan is full: a 402 or 403 that names plan or limit is taken for it",
        "whether the bulk write's answer has contact_id: without it the next look tells it",
        "whether since_last_changed honours parts of a second; if not, a look may read more, never less",
    ),
)
