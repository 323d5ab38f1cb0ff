"""Alembic's entry: runs on the connection that `services.core.ledger.engine` hands over."""

from __future__ import annotations

from alembic import context

from services.core.ledger import registry_schema

metadata = registry_schema.certifications.metadata  # of all tables: that module imports the others
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
