"""The tables of the calibration registry, beside `calibrations` (in `schema`, as its tasks and products are)."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, ForeignKeyConstraint, String, Table, Text, false, text

from services.core.ledger.schema import metadata

# For which nights (YYYYMMDD, both included) a person has certified a master; `last_night` 99999999 has no end.
certifications = Table(
    "certifications",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("production", String(32), primary_key=True),
    Column("first_night", String(8), primary_key=True),
    Column("last_night", String(8), primary_key=True),
    Column("copied", Boolean, nullable=False, server_default=false()),  # lent to a night, and taken from none
    Column("created_at", Double, nullable=False),
    ForeignKeyConstraint(["sha256", "production"], ["calibrations.sha256", "calibrations.production"]),
)

# What a product on disk was made from, whatever its task is planned with meanwhile.
made_from = Table(
    "made_from",
    metadata,
    Column("path", Text, primary_key=True),
    Column("sha256", String(64), primary_key=True, index=True),
    Column("role", String(16), nullable=False),
)

# Nights whose finished reductions are to be compared with the registry again.
reviews = Table(
    "reviews",
    metadata,
    Column("production", String(32), primary_key=True),
    Column("night", String(8), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("added_at", Double, nullable=False),
    Column("looked_at", Double, nullable=False, server_default=text("0")),  # and found that a master is being rebuilt
)
