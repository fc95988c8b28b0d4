"""The contract of destinations, for each connector over its stand-in."""

from pathlib import Path

import pytest

from listbridge.connectors import mailchimp
from listbridge.connectors.base import Destination
from listbridge.model import Status
from listbridge.sandbox.mailchimp import KEY, MailchimpSandbox
from listbridge.testing import context
from listbridge.testing.destination import FIELD, LIST, DestinationContract

_STATUSES = {"cleaned": Status.BOUNCED}


class MailchimpBench:
    """An account of the sandbox."""

    refused = "someone@example.com"

    def __init__(self, folder: Path) -> None:
        self._folder, self._now = folder, 1_750_000_000.0
        self._platform = MailchimpSandbox(clock=lambda: self._now)
        self._id = self._platform.add_list(LIST)

    def open(self) -> Destination:
        given = {"connector": "mailchimp", "api_key": KEY}
        options = mailchimp.connector.options.model_validate(given)
        assert mailchimp.connector.destination is not None
        there: Destination = mailchimp.connector.destination(
            options, context(self._folder, self._platform.transport())
        )
        return there

    def audience_id(self) -> str:
        return self._id

    def second_of_the_same_name(self) -> str:
        return self._platform.add_list(LIST)

    def status(self, email: str) -> Status:
        member = self._platform.audience(self._id).find(email)
        if member is None:
            return Status.ABSENT
        return _STATUSES.get(member.status) or Status(member.status)

    def field(self, email: str) -> str:
        return str(self._platform.member(self._id, email).merge.get(FIELD, ""))

    def tags(self, email: str) -> set[str]:
        members = self._platform.members(self._id)
        return set(members[email]["tags"])

    def leave(self, email: str, status: Status) -> None:
        if status is Status.BOUNCED:
            self._platform.bounce(self._id, email)
        else:
            self._platform.unsubscribe_by_person(self._id, email)

    def edit(self, email: str, value: str) -> None:
        self._platform.edit_field_by_hand(self._id, email, FIELD, value)

    def later(self) -> None:
        self._now += 3600.0

    def fault(self, do: str, *, writes: bool = False) -> None:
        self._platform.faults.add(do, method="POST" if writes else None)

    def calls(self) -> int:
        return self._platform.calls.total


class TestMailchimp(DestinationContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> MailchimpBench:
        return MailchimpBench(tmp_path)
