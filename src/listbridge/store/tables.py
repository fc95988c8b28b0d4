"""The tables. What each row means is said here and nowhere else.

Keys of people are 16 bytes (:mod:`listbridge.identity`). Times are seconds since 1970. A *source* and an
*account* are names of connections; a *target* is one audience of one sync.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy import Text as PlainText

metadata = MetaData()


def storable(words: str) -> str:
    """Text that both databases take.

    PostgreSQL refuses NUL characters, both refuse halves of surrogate pairs; U+FFFD stands for either.
    """
    if words.isascii() and "\0" not in words:
        return words
    return words.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Text(TypeDecorator[str]):
    """Text in whatever state a platform gave it."""

    impl = PlainText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


class Bytes(LargeBinary):
    """Bytes as both drivers give and take them; a conversion of each value would cost more than its row."""

    def bind_processor(self, dialect: Dialect) -> None:
        return None

    def result_processor(self, dialect: Dialect, coltype: Any) -> None:
        return None


SCHEMA_VERSION = "0001"
"""The newest migration; a store that says otherwise is migrated, or refused if it is newer."""

version = Table(
    "listbridge_version",
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="listbridge_version_pkc"),
)
"""One row: the migration up to which the store has come. Alembic's, under a name of our own."""

_Big = BigInteger().with_variant(Integer, "sqlite")

source = Table(
    "source",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seq", _Big, nullable=False, server_default="0"),  # grows by one with each read
    Column("cursor", Text),
    Column("read_at", Float),  # start of the last read that went well
    Column("complete_at", Float),  # the last complete read, and what it held
    Column("complete_count", Integer),
)
"""One row a source: where its next read goes on."""

contact = Table(
    "contact",
    metadata,
    Column("n", _Big, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("key", Bytes, nullable=False),
    Column("fp", Bytes, nullable=False),  # of the row as the source gave it
    Column("seq", _Big, nullable=False),  # the read in which it changed last
    Column("word", Text, nullable=False),
    Column("consent_seq", _Big, nullable=False),  # the read in which the word was seen to change; 0 = never
    Column("deleted", SmallInteger, nullable=False),
    Column("problem", Text),  # why the row cannot be used
    Column("packed", Bytes, nullable=False),
    UniqueConstraint("source", "id"),
    Index("contact_key", "source", "key", "deleted"),
    Index("contact_seq", "source", "seq", "key"),
)
"""The mirror: what the source last said. A deleted contact stays as a row, so that its word is known."""

move = Table(
    "move",
    metadata,
    Column("n", _Big, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("seq", _Big, nullable=False),
    Column("old_key", Bytes, nullable=False),
    Column("new_key", Bytes, nullable=False),
    Index("move_seq", "source", "seq", "old_key"),
    Index("move_new_key", "source", "new_key"),
)
"""A contact whose address changed at the source."""

label = Table(
    "label",
    metadata,
    Column("source", Text, primary_key=True),
    Column("what", Text, primary_key=True),  # group or segment
    Column("id", Text, primary_key=True),
    Column("names", Bytes, nullable=False),
)
"""Every group and segment that a source ever named."""

target = Table(
    "target",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("sync", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("place", Text, nullable=False),  # list as the operator wrote it, and the tag after a newline
    Column("audience", Bytes),  # what the destination told of it
    Column("cursor", Text),  # from where changes are read there; NULL before the first contact
    Column("seen_at", Float),
    Column("wanted_seq", _Big),  # the source's read up to which wanted is worked out
    Column("version", Text),  # the rules under which wanted was worked out
    Column("source_count", Integer),  # contacts in the source at the last run that went well
    Column("without_consent", SmallInteger, nullable=False, server_default="0"),  # the operator's word
    UniqueConstraint("sync", "place"),
)

wanted = Table(
    "wanted",
    metadata,
    Column("target", Integer, primary_key=True),
    Column("key", Bytes, primary_key=True),
    Column("fp", Bytes, nullable=False),
    Column("taken", SmallInteger, nullable=False),
    Column("packed", Bytes, nullable=False),
    Index("wanted_diff", "target", "key", "fp", "taken"),
    sqlite_with_rowid=False,
)
"""What each target wants of each person of its source, whether taken or not."""

ledger = Table(
    "ledger",
    metadata,
    Column("target", Integer, primary_key=True),
    Column("key", Bytes, primary_key=True),
    Column("fp", Bytes),  # of the wanted row that was settled last; NULL = decide again
    Column("status", Text),  # NULL = never there
    Column("owned", SmallInteger, nullable=False),
    Column("taken_out", SmallInteger, nullable=False),
    Column("tagged", SmallInteger, nullable=False),
    Column("verdict", Text),  # why a taken person is left out
    Column("changed_at", Float),  # the platform's time of the last change there
    Column("opted_in_at", Float),
    Column("since_seq", _Big, nullable=False),
    Column("email", Text, nullable=False),
    Column("remote_id", Text),
    Column("sent", Bytes),  # fields sent by us, their values
    Column("found", Bytes),  # fields that were there before us
    Column("tags", Bytes),  # tags put on by us
    Column("found_tags", Bytes),
    Index("ledger_diff", "target", "key", "fp", "status", "owned"),
    Index("ledger_verdict", "target", "verdict"),
    Index("ledger_changed", "target", "changed_at"),
    sqlite_with_rowid=False,
)
"""What the destination was last known to hold, and what was decided about each person."""

sighting = Table(
    "sighting",
    metadata,
    Column("target", Integer, primary_key=True),
    Column("key", Bytes, primary_key=True),
    sqlite_with_rowid=False,
)
"""Who was seen by the full read of an audience that is under way."""

suppression = Table(
    "suppression",
    metadata,
    Column("account", Text, primary_key=True),
    Column("key", Bytes, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("origin", Text, nullable=False),  # "destination" or "source"
    sqlite_with_rowid=False,
)
"""Who must never be subscribed by a sync, shared by all syncs of one destination account."""

plan = Table(
    "plan",
    metadata,
    Column("target", Integer, primary_key=True),
    Column("key", Bytes, primary_key=True),
    Column("step", SmallInteger, nullable=False),
    Column("what", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("fp", Bytes),
    Column("email", Text, nullable=False),
    Column("packed", Bytes, nullable=False),
    Index("plan_step", "target", "step", "key"),
    sqlite_with_rowid=False,
)
"""The changes still to be made. A run ends when its targets have no rows left here."""

plan_tag = Table(
    "plan_tag",
    metadata,
    Column("target", Integer, primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("key", Bytes, primary_key=True),
    Column("adds", SmallInteger, nullable=False),
    Column("email", Text, nullable=False),
    Index("plan_tag_key", "target", "key"),
    sqlite_with_rowid=False,
)
"""The tags that a change still has to put on or take off."""

in_flight = Table(
    "in_flight",
    metadata,
    Column("target", Integer, primary_key=True),
    Column("first_key", Bytes, primary_key=True),
    Column("last_key", Bytes, nullable=False),
    Column("step", SmallInteger, nullable=False),
)
"""Batches that may have had their effect: what a killed process leaves behind."""

run = Table(
    "run",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sync", Text, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("state", Text, nullable=False),
    Column("summary", Bytes),
    Index("run_sync", "sync", "started_at"),
)

report_row = Table(
    "report_row",
    metadata,
    Column("n", _Big, primary_key=True, autoincrement=True),
    Column("run", Text, nullable=False),
    Column("target", Integer, nullable=False),
    Column("key", Bytes, nullable=False),
    Column("email", Text, nullable=False),
    Column("what", Text, nullable=False),  # created, updated, removed, rejected, feedback
    Column("reason", Text, nullable=False),
    Column("detail", Text),
    Column("at", Float, nullable=False),
    Column("before", Bytes),
    Column("after", Bytes),
    Index("report_row_run", "run", "what"),
    Index("report_row_key", "key"),
)
"""What a run did to each person; ``before`` and ``after`` are what undo needs."""

feedback = Table(
    "feedback",
    metadata,
    Column("source", Text, primary_key=True),
    Column("contact_id", Text, primary_key=True),
    Column("what", Text, primary_key=True),  # unsubscribed or bounced
    Column("key", Bytes, nullable=False),
    Column("email", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("origin", Text, nullable=False),
    Column("state", Text, nullable=False),  # waiting, done, unsupported, failed
    Column("detail", Text),
    Column("done_at", Float),
)
"""The way back: each piece of news for each source row, written once."""

pace = Table(
    "pace",
    metadata,
    Column("account", Text, primary_key=True),
    Column("free_at", Float, nullable=False),
)
"""Rate limits: when the next request of an account may go out, for all processes."""
