"""Alerts that reach a person: episodes, acknowledgements, mutes, the queue of messages, heartbeats."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("alerts") as batch_op:
        batch_op.add_column(sa.Column("episode", sa.Integer(), server_default=sa.text("1"), nullable=False))
        batch_op.add_column(sa.Column("details", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("raises", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("flapping", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("acked_at", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("acked_by", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("resolved_at", sa.Double(), nullable=True))
    op.create_table(
        "mutes",
        sa.Column("pattern", sa.String(length=200), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("pattern", name=op.f("pk_mutes")),
    )
    op.create_table(
        "notifications",
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("sender", sa.String(length=250), nullable=True),
        sa.Column("channel", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_notifications")),
    )
    op.create_index("ix_notifications_state", "notifications", ["state", "not_before"], unique=False)
    op.create_table(
        "tellings",
        sa.Column("alert", sa.String(length=200), nullable=False),
        sa.Column("episode", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=24), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("alert", "episode", "step", "person", "kind", name=op.f("pk_tellings")),
    )
    op.create_index("ix_tellings_key", "tellings", ["key"], unique=False)
    op.create_index("ix_tellings_at", "tellings", ["at"], unique=False)
    op.create_table(
        "heartbeats",
        sa.Column("who", sa.String(length=128), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("who", name=op.f("pk_heartbeats")),
    )
