"""The calibration registry: certified nights, what products were made from, nights to be looked at again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("calibrations") as batch_op:
        batch_op.alter_column("task", existing_type=sa.String(length=200), nullable=True)
        batch_op.add_column(sa.Column("temperature_c", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("withdrawn_at", sa.Double(), nullable=True))
        batch_op.drop_constraint("pk_calibrations", type_="primary")
        batch_op.create_primary_key("pk_calibrations", ["sha256", "production"])
    op.create_table(
        "certifications",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("production", sa.String(length=32), nullable=False),
        sa.Column("first_night", sa.String(length=8), nullable=False),
        sa.Column("last_night", sa.String(length=8), nullable=False),
        sa.Column("copied", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sha256", "production"],
            ["calibrations.sha256", "calibrations.production"],
            name=op.f("fk_certifications_sha256"),
        ),
        sa.PrimaryKeyConstraint("sha256", "production", "first_night", "last_night", name=op.f("pk_certifications")),
    )
    op.create_table(
        "made_from",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("path", "sha256", name=op.f("pk_made_from")),
    )
    op.create_index(op.f("ix_made_from_sha256"), "made_from", ["sha256"], unique=False)
    # Until now no task was planned again with other inputs before its product was replaced.
    op.execute(
        "INSERT INTO made_from (path, sha256, role) SELECT products.path, task_inputs.sha256, task_inputs.role "
        "FROM products JOIN task_inputs ON task_inputs.task = products.task"
    )
    op.create_table(
        "reviews",
        sa.Column("production", sa.String(length=32), nullable=False),
        sa.Column("night", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("added_at", sa.Double(), nullable=False),
        sa.Column("looked_at", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("production", "night", name=op.f("pk_reviews")),
    )
