"""The ledger's tables (SQLAlchemy Core). Times are seconds since 1970 UTC; lists and mappings are JSON.

A frame is known by the sha256 of the file as the camera wrote it. Exposures and sequences are not tables: they are
groups of frames, and a group that is derived cannot disagree with its members.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
    true,
)

# Names of constraints are fixed, so that a migration can find them on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# The camera's disk, as the watcher last saw it: what spares a rescan from reading a file again.
files = Table(
    "files",
    metadata,
    Column("path", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("sha256", String(64), index=True),
    Column("reason", Text),  # why the file was quarantined; null when it was not
    Column("noticed_at", Double, nullable=False),
)

frames = Table(
    "frames",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("path", Text, nullable=False),  # telescope: on the camera's disk; centre: below the archive
    Column("size", BigInteger, nullable=False),
    Column("mtime", Double, nullable=False),
    Column("instrument", String(64), nullable=False),
    Column("night", String(8), nullable=False),
    Column("expid", BigInteger, nullable=False),
    Column("obstype", String(32), nullable=False),
    Column("identity", JSON, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("reason", Text),
    # What lies at `path`: false when it is a quick-look approximation whose lossless twin has not come yet.
    Column("lossless", Boolean, nullable=False, server_default=true()),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False, index=True),
    Index("ix_frames_night", "instrument", "night", "expid"),
)

bundles = Table(
    "bundles",
    metadata,
    Column("bundle", String(128), primary_key=True),
    Column("route", String(64), nullable=False, index=True),
    Column("state", String(16), nullable=False, index=True),
    Column("manifest_sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("raw_size", BigInteger, nullable=False),
    Column("lossless", Boolean, nullable=False, server_default=true()),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("reason", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)

bundle_frames = Table(
    "bundle_frames",
    metadata,
    Column("bundle", String(128), ForeignKey("bundles.bundle"), primary_key=True),
    Column("sha256", String(64), ForeignKey("frames.sha256"), primary_key=True, index=True),
    Column("packed_sha256", String(64)),
)

# What is said about a route while the daemons run: `nightferry route set`, and what `auto` has chosen.
route_values = Table(
    "route_values",
    metadata,
    Column("route", String(64), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("updated_at", Double, nullable=False),
)

# Data centre: which bundle brought which frame, and what was filed of it.
received_frames = Table(
    "received_frames",
    metadata,
    Column("bundle", String(128), primary_key=True),
    Column("sha256", String(64), primary_key=True, index=True),
    Column("packed_sha256", String(64), nullable=False),
    Column("archived_sha256", String(64)),  # of the file in the archive; the frame's own where bytes are restored
    Column("verdict", String(16), nullable=False),
    Column("received_at", Double, nullable=False),
)

# Signed end-of-night manifests: at the telescope those that it wrote, at the data centre those that came.
night_manifests = Table(
    "night_manifests",
    metadata,
    Column("sha256", String(64), primary_key=True),  # of the document
    Column("site", String(64), nullable=False),
    Column("night", String(8), nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Column("state", String(16), nullable=False),  # sealed, sent, verified, holes, refused
    Column("answer", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("site", "night", "revision"),
)

receipts = Table(
    "receipts",
    metadata,
    Column("bundle", String(128), primary_key=True),
    Column("verdict", String(16), nullable=False),
    Column("document", Text, nullable=False),
    Column("manifest", Text),  # data centre: the manifest that was answered
    Column("created_at", Double, nullable=False),
)

tasks = Table(
    "tasks",
    metadata,
    Column("task", String(200), primary_key=True),
    Column("production", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("queue", String(32), nullable=False),
    Column("night", String(8), nullable=False, index=True),
    Column("state", String(16), nullable=False, index=True),
    Column("parameters", JSON, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("lease_until", Double),
    Column("worker", String(200)),
    Column("reason", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)

task_inputs = Table(
    "task_inputs",
    metadata,
    Column("task", String(200), ForeignKey("tasks.task"), primary_key=True),
    Column("sha256", String(64), primary_key=True, index=True),
    Column("role", String(16), nullable=False),  # frame, reference, or the role of a master
)

products = Table(
    "products",
    metadata,
    Column("path", Text, primary_key=True),
    Column("sha256", String(64), nullable=False, index=True),
    Column("kind", String(32), nullable=False),
    Column("task", String(200), ForeignKey("tasks.task"), nullable=False, index=True),
    Column("created_at", Double, nullable=False),
)

qa = Table(
    "qa",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("task", String(200), ForeignKey("tasks.task"), nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("check", String(64), nullable=False),
    Column("detector", String(32), nullable=False),
    Column("amplifier", String(32), nullable=False),
    Column("value", Double),
    Column("unit", String(32), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("flag", String(64), nullable=False),
    Column("limits", JSON),
    Column("message", Text, nullable=False),
    UniqueConstraint("task", "sha256", "check", "detector", "amplifier"),
)

calibrations = Table(
    "calibrations",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("production", String(32), primary_key=True),  # two productions may make, or certify, the same bytes
    Column("path", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("night", String(8), nullable=False, index=True),
    Column("date_obs", String(40), nullable=False),  # the middle of its inputs' times, ISO, UTC
    Column("key", JSON, nullable=False),
    Column("task", String(200), ForeignKey("tasks.task")),  # null: made outside of the daemons
    Column("temperature_c", Double),  # of the detector, the median of its inputs
    Column("withdrawn_at", Double),  # a person has said that it is not to be used
    Column("created_at", Double, nullable=False),
)

# Append-only: who moved from which state to which, when, and how long it had been there.
events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Double, nullable=False, index=True),
    Column("subject", String(16), nullable=False),
    Column("name", String(200), nullable=False, index=True),
    Column("from_state", String(16)),
    Column("to_state", String(16), nullable=False),
    Column("seconds", Double),
    Column("reason", Text),
)
