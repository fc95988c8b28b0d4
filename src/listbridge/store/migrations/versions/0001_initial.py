"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make everything; an index stands with its table."""
    _source()
    _contact()
    _move()
    _label()
    _target()
    _wanted()
    _ledger()
    _sighting()
    _suppression()
    _plan()
    _plan_tag()
    _in_flight()
    _run()
    _report_row()
    _feedback()
    _pace()


def _source() -> None:
    op.create_table(
        "source",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("seq", _BIG, nullable=False, server_default="0"),
        sa.Column("cursor", sa.Text()),
        sa.Column("read_at", sa.Float()),
        sa.Column("complete_at", sa.Float()),
        sa.Column("complete_count", sa.Integer()),
    )


def _contact() -> None:
    op.create_table(
        "contact",
        sa.Column("n", _BIG, primary_key=True, autoincrement=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("fp", sa.LargeBinary(), nullable=False),
        sa.Column("seq", _BIG, nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("consent_seq", _BIG, nullable=False),
        sa.Column("deleted", sa.SmallInteger(), nullable=False),
        sa.Column("problem", sa.Text()),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.UniqueConstraint("source", "id"),
    )
    op.create_index("contact_key", "contact", ["source", "key", "deleted"])
    op.create_index("contact_seq", "contact", ["source", "seq", "key"])


def _move() -> None:
    op.create_table(
        "move",
        sa.Column("n", _BIG, primary_key=True, autoincrement=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("seq", _BIG, nullable=False),
        sa.Column("old_key", sa.LargeBinary(), nullable=False),
        sa.Column("new_key", sa.LargeBinary(), nullable=False),
    )
    op.create_index("move_new_key", "move", ["source", "new_key"])
    op.create_index("move_seq", "move", ["source", "seq", "old_key"])


def _label() -> None:
    op.create_table(
        "label",
        sa.Column("source", sa.Text(), primary_key=True),
        sa.Column("what", sa.Text(), primary_key=True),
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("names", sa.LargeBinary(), nullable=False),
    )


def _target() -> None:
    op.create_table(
        "target",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("audience", sa.LargeBinary()),
        sa.Column("cursor", sa.Text()),
        sa.Column("seen_at", sa.Float()),
        sa.Column("wanted_seq", _BIG),
        sa.Column("version", sa.Text()),
        sa.Column("source_count", sa.Integer()),
        sa.Column("without_consent", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.UniqueConstraint("sync", "place"),
    )


def _wanted() -> None:
    op.create_table(
        "wanted",
        sa.Column("target", sa.Integer(), primary_key=True),
        sa.Column("key", sa.LargeBinary(), primary_key=True),
        sa.Column("fp", sa.LargeBinary(), nullable=False),
        sa.Column("taken", sa.SmallInteger(), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("wanted_diff", "wanted", ["target", "key", "fp", "taken"])


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("target", sa.Integer(), primary_key=True),
        sa.Column("key", sa.LargeBinary(), primary_key=True),
        sa.Column("fp", sa.LargeBinary()),
        sa.Column("status", sa.Text()),
        sa.Column("owned", sa.SmallInteger(), nullable=False),
        sa.Column("taken_out", sa.SmallInteger(), nullable=False),
        sa.Column("tagged", sa.SmallInteger(), nullable=False),
        sa.Column("verdict", sa.Text()),
        sa.Column("changed_at", sa.Float()),
        sa.Column("opted_in_at", sa.Float()),
        sa.Column("since_seq", _BIG, nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("remote_id", sa.Text()),
        sa.Column("sent", sa.LargeBinary()),
        sa.Column("found", sa.LargeBinary()),
        sa.Column("tags", sa.LargeBinary()),
        sa.Column("found_tags", sa.LargeBinary()),
        sqlite_with_rowid=False,
    )
    op.create_index("ledger_changed", "ledger", ["target", "changed_at"])
    op.create_index("ledger_diff", "ledger", ["target", "key", "fp", "status", "owned"])
    op.create_index("ledger_verdict", "ledger", ["target", "verdict"])


def _sighting() -> None:
    op.create_table(
        "sighting",
        sa.Column("target", sa.Integer(), primary_key=True),
        sa.Column("key", sa.LargeBinary(), primary_key=True),
        sqlite_with_rowid=False,
    )


def _suppression() -> None:
    op.create_table(
        "suppression",
        sa.Column("account", sa.Text(), primary_key=True),
        sa.Column("key", sa.LargeBinary(), primary_key=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )


def _plan() -> None:
    op.create_table(
        "plan",
        sa.Column("target", sa.Integer(), primary_key=True),
        sa.Column("key", sa.LargeBinary(), primary_key=True),
        sa.Column("step", sa.SmallInteger(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("fp", sa.LargeBinary()),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("plan_step", "plan", ["target", "step", "key"])


def _plan_tag() -> None:
    op.create_table(
        "plan_tag",
        sa.Column("target", sa.Integer(), primary_key=True),
        sa.Column("tag", sa.Text(), primary_key=True),
        sa.Column("key", sa.LargeBinary(), primary_key=True),
        sa.Column("adds", sa.SmallInteger(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("plan_tag_key", "plan_tag", ["target", "key"])


def _in_flight() -> None:
    op.create_table(
        "in_flight",
        sa.Column("target", sa.Integer(), primary_key=True),
        sa.Column("first_key", sa.LargeBinary(), primary_key=True),
        sa.Column("last_key", sa.LargeBinary(), nullable=False),
        sa.Column("step", sa.SmallInteger(), nullable=False),
    )


def _run() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("summary", sa.LargeBinary()),
    )
    op.create_index("run_sync", "run", ["sync", "started_at"])


def _report_row() -> None:
    op.create_table(
        "report_row",
        sa.Column("n", _BIG, primary_key=True, autoincrement=True),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("target", sa.Integer(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("before", sa.LargeBinary()),
        sa.Column("after", sa.LargeBinary()),
    )
    op.create_index("report_row_key", "report_row", ["key"])
    op.create_index("report_row_run", "report_row", ["run", "what"])


def _feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("source", sa.Text(), primary_key=True),
        sa.Column("contact_id", sa.Text(), primary_key=True),
        sa.Column("what", sa.Text(), primary_key=True),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.Column("done_at", sa.Float()),
    )


def _pace() -> None:
    op.create_table(
        "pace",
        sa.Column("account", sa.Text(), primary_key=True),
        sa.Column("free_at", sa.Float(), nullable=False),
    )
