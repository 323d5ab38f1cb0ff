"""Routes that can be changed while running, lossy twins, attempts, night manifests, alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply."""
    _columns()
    op.create_table(
        "route_values",
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("route", "key", name=op.f("pk_route_values")),
    )
    op.create_table(
        "received_frames",
        sa.Column("bundle", sa.String(length=128), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("packed_sha256", sa.String(length=64), nullable=False),
        sa.Column("archived_sha256", sa.String(length=64), nullable=True),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("bundle", "sha256", name=op.f("pk_received_frames")),
    )
    op.create_index(op.f("ix_received_frames_sha256"), "received_frames", ["sha256"], unique=False)
    op.create_table(
        "night_manifests",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("night", sa.String(length=8), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_night_manifests")),
        sa.UniqueConstraint("site", "night", "revision", name=op.f("uq_night_manifests_site")),
    )
    op.create_index(op.f("ix_night_manifests_night"), "night_manifests", ["night"], unique=False)
    op.create_table(
        "alerts",
        sa.Column("alert", sa.String(length=200), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("open", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("raised_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("alert", name=op.f("pk_alerts")),
    )


def _columns() -> None:
    """New columns, with defaults that are true of the rows that are there."""
    with op.batch_alter_table("frames") as batch_op:
        batch_op.add_column(sa.Column("lossless", sa.Boolean(), server_default=sa.true(), nullable=False))
    with op.batch_alter_table("bundles") as batch_op:
        batch_op.add_column(sa.Column("lossless", sa.Boolean(), server_default=sa.true(), nullable=False))
        batch_op.add_column(sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False))
    with op.batch_alter_table("bundle_frames") as batch_op:
        batch_op.add_column(sa.Column("packed_sha256", sa.String(length=64), nullable=True))
    with op.batch_alter_table("receipts") as batch_op:
        batch_op.add_column(sa.Column("manifest", sa.Text(), nullable=True))
