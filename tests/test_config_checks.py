"""What the parts of a file must not say about each other."""

from pathlib import Path

import pytest

from config_fakes import CONNECTIONS, VIP, complaints, sync_complaints, with_syncs

BASE = "type: audience, source: store, destination: mail"
SELECT = "select: {everyone: true}"
INTO = "audience: {list: L}"
COMMERCE = "type: commerce, source: store, destination: mail, audience: {list: L}"


@pytest.mark.parametrize(
    ("sync", "expected"),
    [
        (
            f"type: audience, source: stroe, destination: mail, {SELECT}, {INTO}",
            "syncs.v.source: there is no connection stroe; did you mean store?",
        ),
        (
            f"type: audience, source: store, destination: xyz, {SELECT}, {INTO}",
            "syncs.v.destination: there is no connection xyz; there is mail, plain and store.",
        ),
        (
            f"type: audience, source: mail, destination: mail, {SELECT}, {INTO}",
            "syncs.v.source: Rich Mail (mail) can only be written to; name a shop, CRM, database or file.",
        ),
        (
            f"type: audience, source: store, destination: store, {SELECT}, {INTO}",
            "syncs.v.destination: Shop (store) can only be read; name an e-mail platform.",
        ),
        (
            "type: campaigns, source: store",
            "syncs.v.source: Shop (store) has no campaigns; name the e-mail platform.",
        ),
        ("type: campaigns, source: mall", "syncs.v.source: there is no connection mall; did you mean mail?"),
        (
            f"{BASE}, {SELECT}, {INTO}, map: {{a: b}}",
            "syncs.v.select: select and map exclude one another; keep one of them.",
        ),
        (
            f"{BASE}, {INTO}, map: {{a: b}}",
            "syncs.v.audience: audience and map exclude one another; keep one of them.",
        ),
        (f"{BASE}, map: {{a: null}}", "syncs.v.map: this maps no group to a list; name at least one."),
        (f"{BASE}, map: {{}}", "syncs.v.map: this maps no group to a list; name at least one."),
        (
            f"{BASE}, {INTO}",
            "syncs.v.select: this is missing: whom to take, or map instead of select and audience.",
        ),
        (
            f"{BASE}, {INTO}, select: {{everyone: false, kinds: []}}",
            "syncs.v.select: this selects nobody; name kinds, groups or segments, or write everyone: true.",
        ),
        (
            f"{BASE}, {SELECT}",
            "syncs.v.audience: this is missing: where the people go, like audience: {list: Newsletter}.",
        ),
        (
            f"{BASE}, {SELECT}, {INTO}, create: true",
            "syncs.v.create: this belongs inside audience; here it goes with map only.",
        ),
        (
            f"{VIP}, mode: exact, remove_departed: true",
            "syncs.v.remove_departed: this goes with mode: merge only; exact removes them anyway.",
        ),
        (
            f"{VIP}, mode: subtract, remove_departed: true",
            "syncs.v.remove_departed: this goes with mode: merge only; subtract removes only who is "
            "selected.",
        ),
        (
            f"{VIP}, removal: untag",
            "syncs.v.removal: untag needs a tag: name one as audience.tag, or choose another removal.",
        ),
        (
            f"{VIP}, removal: shred",
            "syncs.v.removal: Rich Mail cannot remove by shred; it can archive, unsubscribe, delete or "
            "untag.",
        ),
        (
            f"{COMMERCE}, objects: [orders]",
            "syncs.v.objects[1]: store does not say where its orders are; add the option orders to the "
            "connection, or leave orders out here.",
        ),
        (
            f"{COMMERCE}, objects: []",
            "syncs.v.objects: this names nothing; name objects, or leave the key out to send them all.",
        ),
        (
            f"{COMMERCE}, objects: [order]",
            "syncs.v.objects[1]: must be customers, products, orders, carts or promotions, not order; did "
            "you mean orders?",
        ),
        (
            f"{COMMERCE}, store: {{currency: eur}}",
            "syncs.v.store.currency: is not written as it must be: Currency, three capitals like EUR; that "
            "of most orders if left out.",
        ),
    ],
)
def test_a_contradiction_is_told(tmp_path: Path, sync: str, expected: str) -> None:
    assert expected in sync_complaints(tmp_path, f"v: {{{sync}}}")


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("tags: [a]", "tags: Poor Mail has no tags; leave them out, or use a list of its own"),
        ("kind_tags: true", "kind_tags: Poor Mail has no tags; use one list for each kind"),
        ("audience: {list: L, tag: T}", "audience.tag: Poor Mail has no tags; use a list of its own"),
        (
            "consent: {without_consent: transactional}",
            "consent.without_consent: Poor Mail has no transactional contacts; write skip or subscribe.",
        ),
        (
            "consent: {double_opt_in: true}",
            "consent.double_opt_in: Poor Mail cannot ask for a confirmation",
        ),
        ("removal: archive", "removal: Poor Mail cannot remove by archive; it can delete."),
    ],
)
def test_what_the_destination_cannot_do_is_told(tmp_path: Path, extra: str, expected: str) -> None:
    into = "" if "audience:" in extra else f", {INTO}"
    [found] = sync_complaints(
        tmp_path, f"v: {{type: audience, source: store, destination: plain, {SELECT}{into}, {extra}}}"
    )
    assert found.startswith(f"syncs.v.{expected}")


def test_what_the_destination_can_do_is_let_through(tmp_path: Path) -> None:
    sync = (
        f"v: {{{BASE}, {SELECT}, audience: {{list: L, tag: T}}, removal: untag, tags: [a], kind_tags: true, "
        "consent: {without_consent: transactional, double_opt_in: true}, remove_departed: true}"
    )
    poor = f"w: {{type: audience, source: store, destination: plain, {SELECT}, {INTO}, removal: delete}}"
    assert set(with_syncs(tmp_path, sync, poor).syncs) == {"v", "w"}


def test_commerce_may_ask_for_what_the_source_says(tmp_path: Path) -> None:
    config = with_syncs(tmp_path, f"v: {{{COMMERCE}, objects: [customers, products]}}")
    assert "v" in config.syncs


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (f"{VIP}, mode: exact", f"{VIP}, mode: exact"),
        (
            f"{BASE}, {SELECT}, audience: {{list: L, tag: T}}, mode: exact",
            f"{BASE}, {SELECT}, audience: {{list: L, tag: T}}, mode: exact",
        ),
        (f"{VIP}, mode: exact", f"{BASE}, map: {{a: M, b: L}}, mode: exact"),
    ],
)
def test_two_exact_syncs_on_one_audience_are_told(tmp_path: Path, first: str, second: str) -> None:
    [found] = sync_complaints(tmp_path, f"v: {{{first}}}", f"w: {{{second}}}")
    assert found.startswith("syncs.w: v and w are both exact on the ")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (f"{VIP}, mode: exact", f"{VIP}, mode: merge"),
        (f"{VIP}, mode: exact", f"{BASE}, {SELECT}, audience: {{list: M}}, mode: exact"),
        (f"{VIP}, mode: exact", f"{BASE}, {SELECT}, audience: {{list: L, tag: T}}, mode: exact"),
        (f"{BASE}, map: {{a: L, b: L}}, mode: exact", f"{VIP}, mode: subtract"),
        (f"{VIP}, mode: exact", f"{VIP.replace('mail', 'plain')}, mode: exact"),
    ],
)
def test_syncs_that_do_not_fight_are_let_through(tmp_path: Path, first: str, second: str) -> None:
    assert sync_complaints(tmp_path, f"v: {{{first}}}", f"w: {{{second}}}") == []


def test_two_connections_to_one_account_are_one_account(tmp_path: Path) -> None:
    twin = "  again: {connector: rich, api_key: '${MAIL_KEY}', contact_limit: 5, retry_for: 9s}\n"
    syncs = f"syncs:\n  v: {{{VIP}, mode: exact}}\n  w: {{{VIP.replace('mail', 'again')}, mode: exact}}\n"
    [found] = complaints(tmp_path, CONNECTIONS + twin + syncs)
    assert "v and w are both exact on the list L" in found


def test_two_stores_of_one_id_are_told(tmp_path: Path) -> None:
    shared = f"{{{COMMERCE}, store: {{id: s}}}}"
    other = f"{{{COMMERCE}, store: {{id: t}}}}"
    assert sync_complaints(tmp_path, f"v: {shared}", f"w: {shared}", f"x: {other}", f"y: {{{COMMERCE}}}") == [
        "syncs.w: v and w share the store s; give each an id of its own."
    ]


def test_a_connection_with_a_problem_of_its_own_is_not_told_as_missing(tmp_path: Path) -> None:
    text = (
        f"connections:\n  store: {{connector: nope}}\n  mail: {{connector: rich}}\nsyncs: {{v: {{{VIP}}}}}\n"
    )
    assert [found.split(": ")[0] for found in complaints(tmp_path, text)] == [
        "line 2, connections.store.connector",
        "line 3, connections.mail.api_key",
    ]
