"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "bundles",
        sa.Column("bundle", sa.String(length=128), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("raw_size", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("bundle", name=op.f("pk_bundles")),
    )
    with op.batch_alter_table("bundles", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_bundles_route"), ["route"], unique=False)
        batch_op.create_index(batch_op.f("ix_bundles_state"), ["state"], unique=False)

    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("subject", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("from_state", sa.String(length=16), nullable=True),
        sa.Column("to_state", sa.String(length=16), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_events_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_events_name"), ["name"], unique=False)

    op.create_table(
        "files",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("noticed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_files")),
    )
    with op.batch_alter_table("files", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_files_sha256"), ["sha256"], unique=False)

    op.create_table(
        "frames",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime", sa.Double(), nullable=False),
        sa.Column("instrument", sa.String(length=64), nullable=False),
        sa.Column("night", sa.String(length=8), nullable=False),
        sa.Column("expid", sa.BigInteger(), nullable=False),
        sa.Column("obstype", sa.String(length=32), nullable=False),
        sa.Column("identity", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_frames")),
    )
    with op.batch_alter_table("frames", schema=None) as batch_op:
        batch_op.create_index("ix_frames_night", ["instrument", "night", "expid"], unique=False)
        batch_op.create_index(batch_op.f("ix_frames_state"), ["state"], unique=False)
        batch_op.create_index(batch_op.f("ix_frames_updated_at"), ["updated_at"], unique=False)

    op.create_table(
        "receipts",
        sa.Column("bundle", sa.String(length=128), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("bundle", name=op.f("pk_receipts")),
    )
    op.create_table(
        "tasks",
        sa.Column("task", sa.String(length=200), nullable=False),
        sa.Column("production", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("queue", sa.String(length=32), nullable=False),
        sa.Column("night", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("worker", sa.String(length=200), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("task", name=op.f("pk_tasks")),
    )
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tasks_night"), ["night"], unique=False)
        batch_op.create_index(batch_op.f("ix_tasks_state"), ["state"], unique=False)

    op.create_table(
        "bundle_frames",
        sa.Column("bundle", sa.String(length=128), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["bundle"], ["bundles.bundle"], name=op.f("fk_bundle_frames_bundle")),
        sa.ForeignKeyConstraint(["sha256"], ["frames.sha256"], name=op.f("fk_bundle_frames_sha256")),
        sa.PrimaryKeyConstraint("bundle", "sha256", name=op.f("pk_bundle_frames")),
    )
    with op.batch_alter_table("bundle_frames", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_bundle_frames_sha256"), ["sha256"], unique=False)

    op.create_table(
        "calibrations",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("production", sa.String(length=32), nullable=False),
        sa.Column("night", sa.String(length=8), nullable=False),
        sa.Column("date_obs", sa.String(length=40), nullable=False),
        sa.Column("key", sa.JSON(), nullable=False),
        sa.Column("task", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["task"], ["tasks.task"], name=op.f("fk_calibrations_task")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_calibrations")),
    )
    with op.batch_alter_table("calibrations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_calibrations_night"), ["night"], unique=False)

    op.create_table(
        "products",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("task", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["task"], ["tasks.task"], name=op.f("fk_products_task")),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_products")),
    )
    with op.batch_alter_table("products", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_products_sha256"), ["sha256"], unique=False)
        batch_op.create_index(batch_op.f("ix_products_task"), ["task"], unique=False)

    op.create_table(
        "qa",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task", sa.String(length=200), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("check", sa.String(length=64), nullable=False),
        sa.Column("detector", sa.String(length=32), nullable=False),
        sa.Column("amplifier", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("unit", sa.String(length=32), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("flag", sa.String(length=64), nullable=False),
        sa.Column("limits", sa.JSON(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["task"], ["tasks.task"], name=op.f("fk_qa_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qa")),
        sa.UniqueConstraint("task", "sha256", "check", "detector", "amplifier", name=op.f("uq_qa_task")),
    )
    with op.batch_alter_table("qa", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_qa_sha256"), ["sha256"], unique=False)

    op.create_table(
        "task_inputs",
        sa.Column("task", sa.String(length=200), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["task"], ["tasks.task"], name=op.f("fk_task_inputs_task")),
        sa.PrimaryKeyConstraint("task", "sha256", name=op.f("pk_task_inputs")),
    )
    with op.batch_alter_table("task_inputs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_task_inputs_sha256"), ["sha256"], unique=False)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("task_inputs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_task_inputs_sha256"))

    op.drop_table("task_inputs")
    with op.batch_alter_table("qa", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_qa_sha256"))

    op.drop_table("qa")
    with op.batch_alter_table("products", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_products_task"))
        batch_op.drop_index(batch_op.f("ix_products_sha256"))

    op.drop_table("products")
    with op.batch_alter_table("calibrations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_calibrations_night"))

    op.drop_table("calibrations")
    with op.batch_alter_table("bundle_frames", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_bundle_frames_sha256"))

    op.drop_table("bundle_frames")
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tasks_state"))
        batch_op.drop_index(batch_op.f("ix_tasks_night"))

    op.drop_table("tasks")
    op.drop_table("receipts")
    with op.batch_alter_table("frames", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_frames_updated_at"))
        batch_op.drop_index(batch_op.f("ix_frames_state"))
        batch_op.drop_index("ix_frames_night")

    op.drop_table("frames")
    with op.batch_alter_table("files", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_files_sha256"))

    op.drop_table("files")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_events_name"))
        batch_op.drop_index(batch_op.f("ix_events_at"))

    op.drop_table("events")
    with op.batch_alter_table("bundles", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_bundles_state"))
        batch_op.drop_index(batch_op.f("ix_bundles_route"))

    op.drop_table("bundles")
