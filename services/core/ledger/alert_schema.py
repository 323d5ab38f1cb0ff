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
    Column("raises", JSON),  # when the last episodes began, the newest last; at most RAISES_KEPT
    Column("flapping", Integer),  # the episode in which it began to come and go; null when it does not
    Column("acked_at", Double),  # in this episode
    Column("acked_by", String(64)),
    Column("resolved_at", Double),
)

# Alerts whose name fits the pattern (as in a shell) are told to nobody until a time. A mute that is over stays on
# record: what is still open then is told at that moment.
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
    Column("what", String(16), nullable=False),  # raised, worse, flapping, escalated, repeat, resolved, summary, test
    Column("person", String(64), nullable=False),
    Column("kind", String(8), nullable=False),  # mail, sms
    Column("body", JSON, nullable=False),  # {"alerts": [view, …]}
    Column("state", String(16), nullable=False),  # waiting, sending, sent, failed, dropped
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("not_before", Double, nullable=False),
    Column("lease_until", Double),
    Column("sender", String(250)),  # the daemon that has, or had, the lease
    Column("channel", String(64)),  # that took it
    Column("reason", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index("ix_notifications_state", "state", "not_before"),
)

# Which step of which alert a message tells: the key of this table is the promise that nobody is told a step twice.
tellings = Table(
    "tellings",
    metadata,
    Column("alert", String(200), primary_key=True),
    Column("episode", Integer, primary_key=True),
    Column("step", String(24), primary_key=True),  # raised, worse, escalated, flapping, repeat-3, resolved
    Column("person", String(64), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("severity", Integer, nullable=False),  # of the alert when it was told
    Column("key", String(250), nullable=False, index=True),  # of the message
    Column("at", Double, nullable=False, index=True),
)

# The last word of every site and host that is to be heard of regularly.
heartbeats = Table(
    "heartbeats",
    metadata,
    Column("who", String(128), primary_key=True),  # site:NAME, notify:SITE:HOST
    Column("at", Double, nullable=False),  # when we heard it, on our clock
    Column("document", JSON, nullable=False),
)
