"""Reading the file: values, environment, lines, and every problem at once."""

from pathlib import Path

import pytest

from config_fakes import CONNECTIONS, ENVIRON, FULL, VIP, complaints, fake_connector, loaded, with_syncs
from listbridge.config import AudienceSync, CommerceSync, Faulty, Limit, load
from listbridge.errors import Misconfigured
from listbridge.model import Kind
from listbridge.schedule import Schedule


def audience(folder: Path, extra: str = "") -> AudienceSync:
    """The one audience sync of a file."""
    sync = with_syncs(folder, f"vip: {{{VIP}{extra}}}").syncs["vip"]
    assert isinstance(sync, AudienceSync)
    return sync


def test_every_key_of_an_audience_sync_is_read(tmp_path: Path) -> None:
    sync = loaded(tmp_path, FULL).syncs["vip"]
    assert isinstance(sync, AudienceSync)
    assert sync.select is not None
    assert sync.audience is not None
    assert sync.select.kinds == (Kind.SUBSCRIBER, Kind.BUYER)
    assert (sync.select.everyone, sync.select.groups) == (True, ("wholesale", "0123"))
    assert (sync.audience.list, sync.audience.tag, sync.audience.create) == ("57e96172", "VIP", True)
    assert sync.fields == {"FNAME": "first_name"}
    assert (sync.tags, sync.kind_tags, sync.origin) == (("newsletter",), True, "Shopify")
    assert (sync.consent.always_opt_in, sync.consent.on_source_optout) == (True, "ignore")
    assert (sync.consent.without_consent, sync.consent.double_opt_in) == ("transactional", False)
    assert (sync.removal, sync.remove_departed, sync.restore_deleted) == ("archive", True, True)
    assert sync.guards.max_removals == Limit(share=0.125)
    assert (sync.guards.min_removals, sync.guards.max_source_drop) == (7, None)
    assert sync.guards.max_creates == Limit(count=1000)
    assert (sync.full_every, sync.feedback) == (172_800, False)
    assert sync.schedule == Schedule(cron="0 */4 * * *")


def test_other_syncs_are_read(tmp_path: Path) -> None:
    syncs = loaded(tmp_path, FULL).syncs
    groups, data = syncs["groups"], syncs["data"]
    assert isinstance(groups, AudienceSync)
    assert isinstance(data, CommerceSync)
    assert (groups.lists, groups.create) == (("Newsletter",), True)
    assert groups.map == {"retail": "Newsletter", "wholesale": "Newsletter", "staff": None}
    assert (data.objects, data.store.id, data.schedule) == (("customers", "products"), "my-shop", None)
    assert syncs["mailings"].schedule == Schedule(every_seconds=90)


def test_what_is_left_out_has_the_documented_default(tmp_path: Path) -> None:
    sync = audience(tmp_path)
    assert (sync.mode, sync.kind_tags, sync.origin, sync.removal) == ("merge", False, None, None)
    assert (sync.remove_departed, sync.restore_deleted, sync.feedback) == (False, False, True)
    assert (sync.consent.always_opt_in, sync.consent.double_opt_in) == (False, "auto")
    assert (sync.consent.on_source_optout, sync.consent.without_consent) == ("unsubscribe", "skip")
    assert sync.guards.max_removals == Limit(share=0.2)
    assert sync.guards.max_source_drop == Limit(share=0.5)
    assert (sync.guards.min_removals, sync.guards.max_creates) == (50, None)
    assert (sync.full_every, sync.schedule) == (86_400, Schedule(every_seconds=14_400))
    assert (sync.fields, sync.tags, sync.create) == ({}, (), False)
    assert sync.audience is not None
    assert not sync.audience.create


def test_values_never_change_after_loading(tmp_path: Path) -> None:
    sync = audience(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        sync.mode = "exact"  # type: ignore[misc]


def test_connections_have_their_connector_options_and_patience(tmp_path: Path) -> None:
    text = CONNECTIONS.replace("contacts: c", "contacts: c, retry_for: 3m, strict: true")
    shop = loaded(tmp_path, text).connections["store"]
    assert (shop.name, shop.connector.title, shop.retry_for_seconds) == ("store", "Shop", 180)
    assert dict(shop.options)["api_key"] == "s3cret-shop"
    assert dict(shop.options)["strict"] is True


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite:///state.db", "sqlite:///{folder}/state.db"),
        ("sqlite:///sub/state.db?mode=rwc", "sqlite:///{folder}/sub/state.db?mode=rwc"),
        ("sqlite:////var/state.db", "sqlite:////var/state.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql+psycopg://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
    ],
)
def test_a_relative_store_lies_beside_the_file(tmp_path: Path, given: str, expected: str) -> None:
    config = loaded(tmp_path, f"store: '{given}'\n")
    assert config.store == expected.format(folder=tmp_path)
    assert config.folder == tmp_path


def test_the_store_is_beside_the_file_if_left_out(tmp_path: Path) -> None:
    assert loaded(tmp_path, "version: 1\n").store == f"sqlite:///{tmp_path}/listbridge.db"


def test_a_relative_file_name_gives_an_absolute_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("version: 1\n")
    assert load(Path("a.yaml"), {}, fake_connector).folder == tmp_path


def test_environment_variables_are_put_in_anywhere_in_a_text(tmp_path: Path) -> None:
    text = CONNECTIONS + f"syncs: {{v: {{{VIP}, tags: ['a ${{B}} c ${{B}}', '$${{B}}', $B]}}}}\n"
    sync = loaded(tmp_path, text, {**ENVIRON, "B": "${SHOP_KEY}"}).syncs["v"]
    assert isinstance(sync, AudienceSync)
    assert sync.tags == ("a ${SHOP_KEY} c ${SHOP_KEY}", "${B}", "$B")


def test_environment_variables_may_be_numbers_and_true_or_false(tmp_path: Path) -> None:
    text = CONNECTIONS.replace('"${MAIL_KEY}"}', '"${MAIL_KEY}", contact_limit: "${N}"}')
    text += f"syncs: {{v: {{{VIP}, kind_tags: '${{YES}}'}}}}\n"
    config = loaded(tmp_path, text, {**ENVIRON, "N": "25", "YES": "true"})
    assert dict(config.connections["mail"].options)["contact_limit"] == 25
    assert config.syncs["v"].kind_tags is True  # type: ignore[union-attr]


def test_a_missing_variable_is_named_with_its_place_and_nothing_else_is_said_of_it(tmp_path: Path) -> None:
    text = CONNECTIONS + f"syncs:\n  v: {{{VIP}, mode: '${{MODE}}', schedule: '${{WHEN}}'}}\n"
    found = complaints(tmp_path, text, {"SHOP_KEY": "x"})
    assert [line.split(";")[0] for line in found] == [
        "line 3, connections.mail.api_key: the environment variable MAIL_KEY is not set",
        "line 4, connections.plain.api_key: the environment variable MAIL_KEY is not set",
        "line 6, syncs.v.mode: the environment variable MODE is not set",
        "line 6, syncs.v.schedule: the environment variable WHEN is not set",
    ]


@pytest.mark.parametrize("text", ["${A-B}", "${}", "${A"])
def test_a_malformed_reference_is_told(tmp_path: Path, text: str) -> None:
    [found] = complaints(tmp_path, f"store: 'sqlite:///{text}'\n")
    assert "names no environment variable; write ${NAME}" in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stroe: x\n", "line 1, stroe: there is no such key; did you mean store?"),
        ("x: 1\n", "line 1, x: there is no such key; there is connections, store, syncs and version."),
        (
            "connections:\n  s: {connector: shop, url: u, api_key: k,\n     contact: x}\n",
            "line 3, connections.s.contact: there is no such key; did you mean contacts?",
        ),
        (
            f"{CONNECTIONS}syncs:\n  v: {{{VIP}, guards: {{max_removal: 3}}}}\n",
            "line 6, syncs.v.guards.max_removal: there is no such key; did you mean max_removals?",
        ),
        (
            f"{CONNECTIONS}syncs:\n  v:\n    {{{VIP},\n    Modee: exact}}\n",
            "line 8, syncs.v.Modee: there is no such key; did you mean mode?",
        ),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_known_one(tmp_path: Path, text: str, expected: str) -> None:
    assert complaints(tmp_path, text) == [expected]


def test_a_key_that_stands_twice_is_told_with_both_lines(tmp_path: Path) -> None:
    text = f"{CONNECTIONS}syncs:\n  v: {{{VIP}}}\n  w: {{{VIP}}}\n  v: {{{VIP}}}\n"
    assert complaints(tmp_path, text) == [
        "line 8, syncs.v: this key stands here twice, first in line 6; keep one."
    ]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("mode: mergee", "mode: must be exact, merge or subtract, not mergee; did you mean merge?"),
        ("mode: 7", "mode: must be exact, merge or subtract, not 7."),
        ("tags: x", "tags: must be a list, like [one, two]."),
        ("tags: [a, '']", "tags[2]: must not be empty."),
        ("tags: [true]", "tags[1]: must be text; put it in quotes."),
        ("kind_tags: maybe", "kind_tags: must be true or false."),
        ("fields: [a]", "fields: must hold keys with values, each on a line of its own."),
        ("fields: {A: ' '}", "fields.A: must not be empty."),
        ("guards: 5", "guards: must hold keys with values, each on a line of its own."),
        ("guards: {min_removals: few}", "guards.min_removals: must be a whole number."),
        ("guards: {min_removals: -1}", "guards.min_removals: must be at least 0."),
        (
            "guards: {max_removals: 0.2}",
            "guards.max_removals: must be a share like 20%, a whole number of people, or null for no limit.",
        ),
        ("guards: {max_removals: 120%}", "guards.max_removals: must be a share from 0% to 100%."),
        ("consent: {double_opt_in: perhaps}", "consent.double_opt_in: must be auto, true or false."),
        (
            "full_every: 5",
            "full_every: must be a number with its unit s, m, h or d, like 90s or 4h, and longer than nothing.",
        ),
        ("full_every: 0h", "full_every: must be a number with its unit s, m, h or d, like 90s or 4h, and "
         "longer than nothing."),
    ],
)  # fmt: skip
def test_a_bad_value_is_told_in_plain_words(tmp_path: Path, extra: str, expected: str) -> None:
    found = complaints(tmp_path, f"{CONNECTIONS}syncs:\n  v: {{{VIP}, {extra}}}\n")
    assert found == [f"line 6, syncs.v.{expected}"]


def test_what_is_missing_is_told_with_its_meaning(tmp_path: Path) -> None:
    found = complaints(tmp_path, "connections:\n  s:\n    connector: shop\n    url: u\n")
    assert found == ["line 2, connections.s.api_key: this is missing: Key of the shop's API."]


def test_a_sync_without_type_or_with_an_unknown_one_is_told(tmp_path: Path) -> None:
    assert complaints(tmp_path, "syncs:\n  a: {}\n  b: {type: comerce}\n  c: 5\n  d: {type: [x]}\n") == [
        "line 2, syncs.a.type: this is missing: audience, commerce or campaigns.",
        "line 3, syncs.b.type: must be audience, commerce or campaigns; did you mean commerce?",
        "line 4, syncs.c: must hold keys with values, each on a line of its own.",
        "line 5, syncs.d.type: must be audience, commerce or campaigns; there is audience, campaigns and "
        "commerce.",
    ]


def test_a_connection_without_connector_or_with_an_unknown_one_is_told(tmp_path: Path) -> None:
    assert complaints(tmp_path, "connections:\n  a: {url: x}\n  b: {connector: shap}\n  c:\n") == [
        "line 2, connections.a.connector: this is missing: the name of a connector, as `listbridge "
        "connectors` lists them.",
        "line 3, connections.b.connector: There is no connector shap; there are shop, rich, poor.",
        "line 4, connections.c: must hold keys with values, each on a line of its own.",
    ]


def test_retry_for_must_be_a_duration(tmp_path: Path) -> None:
    text = "connections:\n  m: {connector: rich, api_key: a-us1, retry_for: 90}\n"
    [found] = complaints(tmp_path, text)
    assert found.startswith("line 2, connections.m.retry_for: must be a number with its unit")


def test_every_problem_is_told_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    text = f"version: 2\nstroe: x\n{CONNECTIONS}syncs:\n  v: {{{VIP}, mode: x}}\n  w: {{type: y}}\n"
    found = complaints(tmp_path, text)
    assert [line.split(":")[0] for line in found] == [
        "line 1, version",
        "line 2, stroe",
        "line 8, syncs.v.mode",
        "line 9, syncs.w.type",
    ]


def test_the_message_names_the_file_and_the_kind_is_configuration(tmp_path: Path) -> None:
    with pytest.raises(Faulty) as caught:
        loaded(tmp_path, "version: 2\n")
    assert isinstance(caught.value, Misconfigured)
    assert caught.value.kind == "configuration"
    assert caught.value.message == (
        f"{tmp_path}/listbridge.yaml has a problem:\n"
        "  line 1, version: must be 1; newer versions need a newer Listbridge."
    )


def test_no_message_and_no_representation_shows_a_secret(tmp_path: Path) -> None:
    text = (
        "store: mysql://me:hunter2@host/db\nconnections:\n"
        "  a: {connector: rich, api_key: hunter2-key}\n"
        "  b: {connector: rich, api_key: '${K}', contact_limit: hunter2}\n"
        "  c: {connector: rich, api_key: a-us1, url: 'https://me:hunter2@host', contact_limit: -5}\n"
    )
    found = complaints(tmp_path, text, {"K": "hunter2-env"})
    assert len(found) == 5
    assert "hunter2" not in "\n".join(found)
    assert "line 3, connections.a.api_key: … must end in the data centre." in found
    assert "s3cret" not in repr(loaded(tmp_path, FULL))


def test_a_password_inside_an_address_is_not_repeated(tmp_path: Path) -> None:
    text = "connections: {m: {connector: rich, api_key: a-us1, url: 'https://me:hunter2@host:9/'}}\n"
    assert complaints(tmp_path, text) == ["line 1, connections.m.url: https://me:…@host:9/ cannot be right."]


def test_a_file_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"no configuration file .*gone\.yaml.*listbridge init.*-c FILE"):
        load(tmp_path / "gone.yaml", {})


def test_a_folder_or_a_binary_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read: Is a directory"):
        load(tmp_path, {})
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Misconfigured, match="is not UTF-8"):
        load(tmp_path / "b", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty; `listbridge init` writes a first one."),
        ("# nothing\n", "the file is empty; `listbridge init` writes a first one."),
        ("- a\n", "line 1: the file must hold keys with values; `listbridge init` writes a first one."),
        ("a: b: c\n", "line 1: this is no valid YAML: mapping values are not allowed in this context."),
        ("a: [\n", "line 2: this is no valid YAML: did not find expected node content."),
        ("a: 1\n---\nb: 1\n", "line 2: this is no valid YAML: but found another document."),
        ("connections: 5\n", "line 1, connections: must hold keys with values, each on a line of its own."),
        ("syncs:\n  <<: {}\n", "line 2, syncs: << is not understood; write the keys out."),
        ("syncs:\n  ? [a]\n  : b\n", "line 2, syncs: a key must be plain text."),
        ("store: !env X\n", "line 1, store: the YAML tag !env is not understood; leave it out."),
    ],
)
def test_a_text_that_is_no_configuration_is_told(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in complaints(tmp_path, text)


def test_an_alias_that_contains_itself_ends(tmp_path: Path) -> None:
    found = complaints(tmp_path, "syncs: &a\n  x: *a\n")
    assert "line 1, syncs: this is nested too deeply or too long." in found


def test_aliases_that_multiply_end(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert any("too long" in found for found in complaints(tmp_path, "\n".join(lines)))


def test_an_anchor_may_be_used_again(tmp_path: Path) -> None:
    text = CONNECTIONS + f"syncs:\n  a: {{{VIP}, fields: &f {{X: first_name}}}}\n  b: {{{VIP}, fields: *f}}\n"
    syncs = loaded(tmp_path, text).syncs
    assert syncs["b"].fields == {"X": "first_name"}  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["a/b", "-a", "''"])
def test_names_that_cannot_be_typed_or_linked_are_told(tmp_path: Path, name: str) -> None:
    found = complaints(tmp_path, f"{CONNECTIONS}syncs:\n  {name}: {{{VIP}}}\n")
    assert len(found) == 1
    assert "a name must not be empty" in found[0]


def test_blanks_around_keys_and_values_are_cut(tmp_path: Path) -> None:
    text = f"{CONNECTIONS}syncs:\n  ' v ': {{{VIP}, origin: ' ${{O}} '}}\n"
    config = loaded(tmp_path, text, {**ENVIRON, "O": "here"})
    assert config.syncs["v"].origin == "here"  # type: ignore[union-attr]


def test_words_that_other_readers_take_for_true_or_false_stay_text(tmp_path: Path) -> None:
    assert audience(tmp_path, ", tags: [no, on, 1_000, 0755, 1e5, 12:30]").tags == (
        "no", "on", "1_000", "0755", "1e5", "12:30",
    )  # fmt: skip


def test_empty_sections_of_the_file_are_empty(tmp_path: Path) -> None:
    config = loaded(tmp_path, "version: 1\nconnections:\nsyncs:\n")
    assert (config.connections, config.syncs) == ({}, {})


def test_a_limit_tells_how_many_it_allows() -> None:
    assert Limit(share=0.2).allowed(50) == 10
    assert Limit(share=0.2).allowed(None) is None
    assert Limit(count=7).allowed(None) == 7
