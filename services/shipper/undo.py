"""Throwing a packed copy away: the watcher packs its frames again from the raw files."""

from __future__ import annotations

from pathlib import Path

from services.core.ledger import shipping
from services.core.ledger.engine import now
from services.shipper.context import RouteContext
from services.watcher.outbox import UNDO


def undo(ctx: RouteContext, name: str, reason: str) -> None:
    """Throw a bundle away.

    The manifest is first renamed to a mark, so that a crash at any point is finished by `finish_undoing`. The
    ledger gives the frames back only when the old data are gone: from then on the watcher may write new ones.
    """
    ctx.log.error("bundle undone", bundle=name, reason=reason)
    mark = ctx.outbox / f"{UNDO}{name}"
    manifest = ctx.outbox / f"{name}.json"
    if manifest.exists():
        manifest.rename(mark)
    finish_undoing(ctx, mark, reason)


def finish_undoing(ctx: RouteContext, mark: Path, reason: str = "undoing went on after a crash") -> None:
    """Do the rest of `undo` for a mark."""
    name = mark.name.removeprefix(UNDO)
    with ctx.ledger.begin() as conn:
        pending = shipping.bundle_row(conn, name) is not None
    if pending:
        (ctx.outbox / f"{name}.nfb").unlink(missing_ok=True)
        with ctx.ledger.begin() as conn:
            shipping.unpack_bundle(conn, name, now(), reason)
    mark.unlink(missing_ok=True)


def finish_all(ctx: RouteContext) -> None:
    """Finish what a crash, or `nightferry retry`, left to be undone."""
    for mark in sorted(ctx.outbox.glob(f"{UNDO}*")):
        finish_undoing(ctx, mark)
