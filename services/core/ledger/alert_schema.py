"""The tables of alerts: conditions, what was sent about them, who is silent."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Double, Index, Integer, String, Table, Text, false, text

from services.core.ledger.schema import metadata

# What a person must look at, one row per condition. An episode begins each time that the condition comes back.
alerts = Table(
    "alerts",
    metadata,
    Column("alert", String(200), primary_key=True),
    Column("severity", Integer, nullable=False),  # 1 a person by day, 2 a person now
    Column("message", Text, nullable=False),
    Column("open", Boolean, nullable=False, server_default=false()),
    Column("raised_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("episode", Integer, nullable=False, server_default=text("1")),
    Column("details", JSON),  # value, limit, unit, trend: what a message shows beside its words
    Column("acked_at", Double),  # in this episode
    Column("acked_by", String(64)),
    Column("resolved_at", Double),
)

# Alerts whose name fits the pattern (as in a shell) are told to nobody until a time.
mutes = Table(
    "mutes",
    metadata,
    Column("pattern", String(200), primary_key=True),
    Column("until", Double, nullable=False),
    Column("by", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)

# The queue of messages, and the record of what was sent. `key` is deterministic: one message is one row.
notifications = Table(
    "notifications",
    metadata,
    Column("key", String(250), primary_key=True),
    Column("what", String(16), nullable=False),  # raised, repeat, escalated, resolved, acknowledged, test
    Column("person", String(64), nullable=False),
    Column("kind", String(8), nullable=False),  # mail, sms
    Column("alerts", JSON, nullable=False),  # [[alert, episode], …]: several when they were grouped
    Column("body", JSON, nullable=False),
    Column("state", String(16), nullable=False),  # waiting, sending, sent, failed, dropped
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("not_before", Double, nullable=False),
    Column("lease_until", Double),
    Column("channel", String(64)),  # that took it
    Column("reason", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index("ix_notifications_state", "state", "not_before"),
)

# The last word of every site and host that is to be heard of regularly.
heartbeats = Table(
    "heartbeats",
    metadata,
    Column("who", String(128), primary_key=True),  # site:NAME, notify:SITE:HOST
    Column("at", Double, nullable=False),  # when we heard it, on our clock
    Column("document", JSON, nullable=False),
)
