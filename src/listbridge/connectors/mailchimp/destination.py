"""Mailchimp as a destination: its audiences, fields and tags; reading and writing are beside it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from listbridge.changes import Outcome, Write
from listbridge.connectors.base import Audience, Capabilities, Context, Finding, Look, Member, MemberPage
from listbridge.connectors.mailchimp.access import (
    CONNECTIONS,
    PAGE,
    MailchimpOptions,
    Requests,
    nothing,
    together,
)
from listbridge.connectors.mailchimp.reading import Reader
from listbridge.connectors.mailchimp.words import (
    BILLABLE_WORDS,
    INHERITED,
    UNMAPPABLE,
    audience_of,
    chosen_list,
    from_account,
    mapped_fields,
    merge_tag,
    missing,
    refuse_email,
    sent_value,
    text_of,
    type_of,
)
from listbridge.connectors.mailchimp.writing import BATCH, REMOVALS, Writer
from listbridge.errors import Stop, Unknown


class Mailchimp:
    """See :class:`listbridge.connectors.base.Destination`."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        batch_size=BATCH,
        page_size=PAGE,
        connections=CONNECTIONS,
        removals=REMOVALS,
        transactional=True,
        pending=True,
        tags=True,
        renames=True,
    )

    def __init__(self, options: MailchimpOptions, context: Context) -> None:
        self._requests = Requests(options, context)
        self._reader = Reader(self._requests)
        self._writer = Writer(self._requests)

    async def close(self) -> None:
        await self._requests.http.close()

    async def check(self) -> Finding:
        account = await self._requests.get("/", fields="account_name,role,pricing_plan_type")
        lists = await self._requests.get("/lists", count=1, fields="lists.id,total_items,constraints")
        rights = f"role {account.get('role')}, plan {account.get('pricing_plan_type')}"
        can = (
            f"act in the account {account.get('account_name')} with the rights of the key's user ({rights})",
            f"see {lists.get('total_items', 0)} audiences",
        )
        if (lists.get("constraints") or {}).get("may_create", True):
            return Finding((*can, "make another audience"))
        return Finding(can, ("make another audience: the account's plan has no room for one",))

    async def find(self, name: str, fields: Sequence[str], tags: Sequence[str]) -> Audience | None:
        refuse_email(fields)
        chosen = chosen_list(await self._lists(), name)
        return await self._filled(audience_of(chosen), fields, tags) if chosen else None

    async def create(self, name: str) -> Audience:
        """Sender and postal address come from an audience that exists, otherwise from the account."""
        account = await self._requests.get("/", fields="account_name,email,contact")
        told = await self._requests.get("/lists", count=1, fields=",".join(f"lists.{x}" for x in INHERITED))
        lists = told.get("lists") or [{}]
        body = {**from_account(account), **{x: lists[0][x] for x in INHERITED if x in lists[0]}, "name": name}
        try:
            return audience_of(await self._requests.post("/lists", body, repeatable=False))
        except Unknown as cut:
            made = chosen_list(await self._lists(), name)
            if made is None:
                raise Stop("unreachable", f"The audience {name} could not be made. {cut} Run again.") from cut
            return audience_of(made)

    async def _lists(self) -> list[dict[str, Any]]:
        return await self._requests.all("/lists", "lists", "id,name,double_optin")

    async def prepare(self, audience: Audience, fields: Sequence[str], tags: Sequence[str]) -> Audience:
        refuse_email(fields)
        if not missing(audience, fields, tags):
            return audience
        audience = await self._filled(audience, fields, tags)
        taken = {UNMAPPABLE, *audience.facts["types"]}
        for name in fields:
            if name not in audience.fields:
                body = {"name": name, "tag": merge_tag(name, taken), "type": "text"}
                await self._make(f"/lists/{audience.id}/merge-fields", body)
        for name in tags:
            if name not in audience.tags:
                await self._make(f"/lists/{audience.id}/segments", {"name": name, "static_segment": []})
        audience = await self._filled(audience, fields, tags)
        if lost := missing(audience, fields, tags):
            raise Stop(
                "unreachable", f"{self._requests.name} did not keep the new {', '.join(lost)}. Run again."
            )
        return audience

    async def _make(self, path: str, body: dict[str, Any]) -> None:
        """Whether a request that was cut off had its effect is told by the reading that follows."""
        try:
            await self._requests.post(path, body, repeatable=False)
        except Unknown:
            return

    async def _filled(self, audience: Audience, fields: Sequence[str], tags: Sequence[str]) -> Audience:
        path = f"/lists/{audience.id}"
        merge_fields, segments = await together(
            [
                self._requests.all(f"{path}/merge-fields", "merge_fields", "tag,name,type")
                if fields
                else nothing(),
                self._requests.all(f"{path}/segments", "segments", "id,name", type="static")
                if tags
                else nothing(),
            ]
        )
        ids = {each["name"]: str(each["id"]) for each in segments}
        types = {each["tag"]: each["type"] for each in merge_fields}
        return replace(
            audience,
            fields=mapped_fields(fields, merge_fields),
            tags={name: ids[name] for name in tags if name in ids},
            facts={"types": types, "asked_fields": bool(fields), "asked_tags": bool(tags)},
        )

    def canonical(self, audience: Audience, field: str, value: str) -> str:
        """Texts are cut as the platform cuts them, numbers written as it gives them back."""
        return text_of(sent_value(value, type_of(audience, field)))

    async def contacts(self) -> int:
        """Subscribed, unsubscribed and non-subscribed people of every audience, each audience for itself.

        Counted anew: the figures in a list's ``stats`` may be old, and hold no non-subscribed people.
        """
        lists = await self._requests.all("/lists", "lists", "id")
        counts = [self._count(each["id"], word) for each in lists for word in BILLABLE_WORDS]
        return sum(await together(counts))

    async def _count(self, list_id: str, word: str) -> int:
        told = await self._requests.get(
            f"/lists/{list_id}/members", status=word, count=1, fields="total_items"
        )
        return int(told["total_items"])

    # Members: see reading and writing

    def members(self, audience: Audience) -> AsyncIterator[MemberPage]:
        return self._reader.members(audience)

    def changed(self, audience: Audience, look: Look, *, thorough: bool) -> AsyncIterator[MemberPage]:
        return self._reader.changed(audience, look, thorough=thorough)

    async def write(self, audience: Audience, rows: Sequence[Write]) -> Sequence[Outcome]:
        return await self._writer.write(audience, rows)

    async def tag(
        self, audience: Audience, tag: str, add: Sequence[str], remove: Sequence[str]
    ) -> Sequence[Outcome]:
        return await self._writer.tag(audience, tag, add, remove)

    async def remove(self, audience: Audience, rows: Sequence[Member], form: str) -> Sequence[Outcome]:
        return await self._writer.remove(audience, rows, form)
