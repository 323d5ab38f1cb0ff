"""Throwing a packed copy away: the watcher packs its frames again from the raw files."""

from __future__ import annotations

from pathlib import Path

from services.core.ledger import shipping
from services.core.ledger.engine import now
from services.shipper.context import RouteContext
from services.watcher.recovery import UNDO
from transfer.durable import move


def undo(ctx: RouteContext, name: str, reason: str) -> None:
    """Throw a bundle away.

    The manifest is first renamed to a mark, so that a crash at any point is finished by `finish_undoing`. The
    ledger gives the frames back only when the old data are gone: from then on the watcher may write new ones.
    """
    ctx.log.error("bundle undone", bundle=name, reason=reason)
    mark = ctx.outbox / f"{UNDO}{name}"
    manifest = ctx.outbox / f"{name}.json"
    with ctx.undoing:
        if manifest.exists():
            manifest.rename(mark)
        finish_undoing(ctx, mark, reason)


def finish_undoing(ctx: RouteContext, mark: Path, reason: str = "undoing went on after a crash") -> None:
    """Do the rest of `undo` for a mark."""
    name = mark.name.removeprefix(UNDO)
    with ctx.ledger.read() as conn:
        pending = shipping.bundle_row(conn, name) is not None
        members = shipping.frames_in(conn, [name])[name]
    # With a manifest beside the mark the frames are packed anew already: the mark is what a crash left.
    if pending and not (ctx.outbox / f"{name}.json").exists():
        gone = [frame.name for frame in members if not Path(frame.path).is_file()]
        if gone:
            _keep(ctx, name, mark, gone)
        (ctx.outbox / f"{name}.nfb").unlink(missing_ok=True)
        with ctx.ledger.begin() as conn:
            shipping.unpack_bundle(conn, name, now(), reason)
    mark.unlink(missing_ok=True)


def _keep(ctx: RouteContext, name: str, mark: Path, gone: list[str]) -> None:
    """The camera's disk has lost some of the frames: the packed copy may be the last one, and a person decides."""
    ctx.kept.mkdir(parents=True, exist_ok=True)
    for path, kept in ((ctx.outbox / f"{name}.nfb", f"{name}.nfb"), (mark, f"{name}.json")):
        if path.exists() and path.stat().st_size:
            move(path, ctx.kept / kept)
    where = ctx.kept / f"{name}.nfb"
    words = f"the raw files of {', '.join(gone)} are gone; the packed copy is kept: nightferry unpack {where}"
    ctx.alert(f"kept:{name}", words, severity=2)


def finish_all(ctx: RouteContext) -> None:
    """Finish what a crash, or `nightferry retry`, left to be undone."""
    for mark in sorted(ctx.outbox.glob(f"{UNDO}*")):
        with ctx.undoing:
            if mark.exists():
                finish_undoing(ctx, mark)
