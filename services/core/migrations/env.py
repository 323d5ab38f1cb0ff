"""Alembic's entry: runs on the connection that `services.core.ledger.engine` hands over."""

from __future__ import annotations

from alembic import context

from services.core.ledger import alert_schema, registry_schema
from services.core.ledger.schema import metadata

# These modules add their tables to the one metadata when they are imported.
assert {alert_schema.alerts.key, registry_schema.certifications.key} <= metadata.tables.keys()
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
