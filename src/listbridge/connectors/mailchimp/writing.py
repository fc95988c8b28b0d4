"""Bulk writes, renames, tags and removals, with one outcome for each row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from listbridge.changes import Outcome, Write
from listbridge.connectors.base import Audience, Member
from listbridge.connectors.mailchimp.access import Problem, Requests, together
from listbridge.connectors.mailchimp.words import (
    STATUSES,
    WRITABLE,
    changed_at,
    folded,
    member_path,
    refusal,
    sent_value,
    type_of,
)
from listbridge.errors import Misconfigured, Stop
from listbridge.model import Status

BATCH = 500  # members of one bulk write, and of one list in a tag's change

REMOVALS = ("archive", "unsubscribe", "delete")
FORMS = {
    "archive": ("DELETE", "", Status.ARCHIVED, (404, 405)),
    "delete": ("POST", "/actions/delete-permanent", Status.ABSENT, (404,)),
}
"""A form of removal: its request, the status that follows, and the answers that say "gone already"."""


@dataclass(slots=True)
class Draft:
    """One row on its way: values by merge tag, and what was left out of it, by the operator's names."""

    row: Write
    values: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)

    def drop(self, refused: Mapping[str, str]) -> bool:
        """Leave out the fields that were refused by name; false if none of them is here."""
        tags = {name.rpartition(".")[2].upper(): words for name, words in refused.items()}
        mine = tags.keys() & self.values.keys()
        for tag in mine:
            del self.values[tag]
            self.lost[self.names[tag]] = tags[tag]
        return bool(mine)

    def merge_fields(self) -> dict[str, Any]:
        return {"merge_fields": self.values} if self.values else {}

    def member(self) -> dict[str, Any]:
        return {"email_address": self.row.email, "status": WRITABLE[self.row.status], **self.merge_fields()}

    def taken(self, told: Mapping[str, Any]) -> Outcome:
        lost = "; ".join(f"{name}: {words}" for name, words in self.lost.items())
        return Outcome(
            self.row.email,
            rejected="invalid_field" if lost else None,
            detail=lost or None,
            status=STATUSES.get(told.get("status", ""), self.row.status),
            remote_id=told.get("contact_id"),
            changed_at=changed_at(told),
        )


class BulkAnswer:
    """The answer of a bulk write, by address as the platform takes addresses for the same."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        members = [*(told.get("new_members") or ()), *(told.get("updated_members") or ())]
        self._members = {folded(each["email_address"]): each for each in members}
        self._errors = {folded(each.get("email_address") or ""): each for each in told.get("errors") or ()}

    def outcome(self, draft: Draft) -> Outcome | None:
        """``None``: the row should go again, without the field that was refused."""
        email = draft.row.email
        if (member := self._members.get(folded(email))) is not None:
            return draft.taken(member)
        error = self._errors.get(folded(email))
        if error is None:
            words = "Mailchimp said nothing about this address, neither that it was taken nor why not."
            return Outcome(email, rejected="refused", detail=words)
        if draft.drop({str(error.get("field") or ""): str(error.get("field_message") or error.get("error"))}):
            return None
        return refusal(email, str(error.get("error")))


class Writer:
    """Writes to the members of an audience."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def write(self, audience: Audience, rows: Sequence[Write]) -> Sequence[Outcome]:
        """Renames go first and alone, everything else in one call."""
        drafts = [drafted(audience, row) for row in rows]
        special = [draft for draft in drafts if goes_alone(draft.row)]
        told = await together([self._alone(audience, draft) for draft in special])
        alone = {id(draft): outcome for draft, outcome in zip(special, told, strict=True) if outcome}
        bulk = iter(await self._bulk(audience, [draft for draft in drafts if id(draft) not in alone]))
        return [alone.get(id(draft)) or next(bulk) for draft in drafts]

    async def _alone(self, audience: Audience, draft: Draft) -> Outcome | None:
        """What cannot go with the others; ``None`` if the row goes on to the bulk write."""
        row = draft.row
        if row.status not in WRITABLE:
            words = f"Mailchimp has no way to write the status {row.status}."
            return Outcome(row.email, rejected="unsupported", detail=words)
        if row.email_before is not None:
            outcome = await self._rename(audience, draft, row.email_before)
            if outcome.rejected or not (draft.values or row.changes_status):
                return outcome
        if repeats_pending(row):
            return await self._patch(audience, draft)
        return None

    async def _rename(self, audience: Audience, draft: Draft, old: str) -> Outcome:
        """The entry keeps its history. Not to be repeated: the second time, the new address is taken."""
        body = {"email_address": draft.row.email, "status_if_new": WRITABLE[draft.row.status]}
        try:
            told = await self._member("PUT", audience, old, body, repeatable=False)
        except Problem as problem:
            return refusal(draft.row.email, problem.words)
        return draft.taken(told)

    async def _patch(self, audience: Audience, draft: Draft) -> Outcome:
        """Fields of somebody who is asked to confirm: the word ``pending`` again could ask once more, and
        would take back a confirmation that came in this moment."""
        if not draft.values:
            return draft.taken({})
        try:
            told = await self._member("PATCH", audience, draft.row.email, draft.merge_fields())
        except Problem as problem:
            if draft.drop(problem.fields):
                return await self._patch(audience, draft)
            return refusal(draft.row.email, problem.words)
        return draft.taken(told)

    async def _member(
        self, method: str, audience: Audience, email: str, body: dict[str, Any], *, repeatable: bool = True
    ) -> Any:
        return await self._requests.http.json(
            method,
            member_path(audience, email),
            writes=True,
            repeatable=repeatable,
            params={"skip_merge_validation": "true"},
            json=body,
        )

    async def _bulk(self, audience: Audience, drafts: Sequence[Draft]) -> list[Outcome]:
        """Rows whose fields are refused go again without those fields, so that the rest of them is stored."""
        settled: dict[int, Outcome] = {}
        todo = list(drafts)
        while todo:
            batch, todo = todo[:BATCH], todo[BATCH:]
            body = {"members": [draft.member() for draft in batch], "update_existing": True}
            # Excused is only what we do not send: a required field that the source does not hold.
            path = f"/lists/{audience.id}?skip_merge_validation=true"
            told = BulkAnswer(await self._requests.post(path, body, repeatable=False))
            for draft in batch:
                outcome = told.outcome(draft)
                if outcome is None:
                    todo.append(draft)
                else:
                    settled[id(draft)] = outcome
        return [settled[id(draft)] for draft in drafts]

    async def tag(
        self, audience: Audience, tag: str, add: Sequence[str], remove: Sequence[str]
    ) -> Sequence[Outcome]:
        if tag not in audience.tags:
            raise Stop(
                "not_found", f"The audience {audience.name} has no tag {tag}; make it, or set create: true."
            )
        path = f"/lists/{audience.id}/segments/{audience.tags[tag]}"
        outcomes: list[list[Outcome]] = [[], []]
        for start in range(0, max(len(add), len(remove)), BATCH):
            adding, removing = add[start : start + BATCH], remove[start : start + BATCH]
            body = {"members_to_add": list(adding), "members_to_remove": list(removing)}
            told = await self._requests.post(path, {key: emails for key, emails in body.items() if emails})
            outcomes[0] += tag_outcomes(adding, told.get("members_added"), told.get("errors"))
            outcomes[1] += tag_outcomes(removing, told.get("members_removed"), ())  # gone already is fine
        return outcomes[0] + outcomes[1]

    async def remove(self, audience: Audience, rows: Sequence[Member], form: str) -> Sequence[Outcome]:
        if form == "unsubscribe":
            drafts = [Draft(Write(row.email, Status.UNSUBSCRIBED, {}, exists=True)) for row in rows]
            told = await self._bulk(audience, drafts)
            return [Outcome(x.email, status=Status.ABSENT) if x.rejected == "erased" else x for x in told]
        if form not in FORMS:
            raise Misconfigured(f"Mailchimp cannot remove by {form}; use {', '.join(REMOVALS)}.")
        return await together([self._take_out(audience, row, form) for row in rows])

    async def _take_out(self, audience: Audience, row: Member, form: str) -> Outcome:
        method, action, status, gone = FORMS[form]
        try:
            await self._requests.http.json(method, member_path(audience, row.email) + action, writes=True)
        except Problem as problem:
            if problem.status not in gone or (row.status is Status.PENDING and problem.status == 405):
                return refusal(row.email, problem.words)
        return Outcome(row.email, status=status, remote_id=row.remote_id)


def goes_alone(row: Write) -> bool:
    return row.status not in WRITABLE or row.email_before is not None or repeats_pending(row)


def repeats_pending(row: Write) -> bool:
    return row.exists and row.status is Status.PENDING and not row.changes_status


def drafted(audience: Audience, row: Write) -> Draft:
    draft = Draft(row)
    for name, value in row.fields.items():
        tag, kind = audience.fields.get(name), type_of(audience, name)
        if tag is None:
            draft.lost[name] = "The audience has no such field."
        elif kind == "address" and value:
            draft.lost[name] = "An address field takes street, city and postcode apart; map to a text field."
        else:
            draft.values[tag] = sent_value(value, kind)
            draft.names[tag] = name
    return draft


def tag_outcomes(emails: Sequence[str], members: Any, errors: Any) -> list[Outcome]:
    changed = {folded(each["email_address"]): changed_at(each) for each in members or ()}
    refused = {folded(x): str(each.get("error")) for each in errors or () for x in each["email_addresses"]}
    return [
        Outcome(email, rejected="refused", detail=refused[folded(email)])
        if folded(email) in refused
        else Outcome(email, changed_at=changed.get(folded(email)))
        for email in emails
    ]
