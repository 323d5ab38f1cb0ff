"""The data centre's side of the ledger: what came in which bundle, and what the archive holds of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from services.core.ledger.rows import insert_new, upsert
from services.core.ledger.schema import frames, receipts, received_frames, task_inputs, tasks
from services.core.ledger.states import advance, record
from services.core.ledger.telescope import SeenFrame, frame_row
from transfer.receipt import GOOD


@dataclass(frozen=True)
class Received:
    """A frame as it came in a bundle; `archived_sha256` is of the file in the archive, None when nothing was filed."""

    sha256: str
    packed_sha256: str
    archived_sha256: str | None
    verdict: str


def is_lossless(conn: Connection, sha256: str) -> bool | None:
    """Whether the archive holds a frame losslessly; None when it does not hold it at all."""
    return conn.execute(select(frames.c.lossless).where(frames.c.sha256 == sha256)).scalar_one_or_none()


def add_arrival(conn: Connection, frame: SeenFrame, now: float, *, lossless: bool = True) -> bool:
    """Record a frame in the archive; False when the archive had it already, as good or better.

    The lossless form of a frame that came as a quick look takes its place: the frame is `arrived` again, and every task
    that used the quick look is to be done again.
    """
    if insert_new(conn, frames, [{**frame_row(frame, "arrived", now), "lossless": lossless}]):
        record(conn, "frame", frame.sha256, "arrived", now=now)
        return True
    if not lossless or is_lossless(conn, frame.sha256):
        return False
    better = {"path": frame.path, "name": frame.name, "mtime": frame.mtime, "size": frame.size, "lossless": True}
    conn.execute(update(frames).where(frames.c.sha256 == frame.sha256).values(**better))
    state = conn.execute(select(frames.c.state).where(frames.c.sha256 == frame.sha256)).scalar_one()
    if state in ("checked", "reduced"):
        advance(conn, "frame", frame.sha256, "arrived", now=now, reason="its lossless form has come")
    _do_again(conn, frame.sha256, now)
    return True


def _do_again(conn: Connection, sha256: str, now: float) -> None:
    using = select(task_inputs.c.task).where(task_inputs.c.sha256 == sha256)
    used = select(tasks.c.task).where(tasks.c.task.in_(using), tasks.c.state.not_in(("waiting", "ready")))
    for task in conn.execute(used.order_by(tasks.c.task)).scalars().all():
        advance(conn, "task", task, "ready", now=now, reason="its lossless input has come", attempts=0, not_before=0.0)


def quick_looks(conn: Connection, names: Sequence[str]) -> dict[str, str]:
    """Path below the archive of those frames of which it holds only a quick look."""
    query = select(frames.c.sha256, frames.c.path).where(frames.c.sha256.in_(names), ~frames.c.lossless)
    return {row.sha256: row.path for row in conn.execute(query)}


def add_received(conn: Connection, bundle: str, came: Sequence[Received], now: float) -> None:
    """Remember what a bundle brought.

    A bundle that comes again, perhaps spoilt, does not make us forget what was filed from it before.
    """
    for frame in came:
        known = conn.execute(
            select(received_frames.c.archived_sha256).where(
                received_frames.c.bundle == bundle, received_frames.c.sha256 == frame.sha256
            )
        ).scalar_one_or_none()
        if known is not None and frame.archived_sha256 is None and frame.verdict not in GOOD:
            continue
        row = {
            "bundle": bundle,
            "sha256": frame.sha256,
            "packed_sha256": frame.packed_sha256,
            "archived_sha256": frame.archived_sha256 or known,
            "verdict": frame.verdict,
            "received_at": now,
        }
        upsert(conn, received_frames, row)


def add_receipt(
    conn: Connection, bundle: str, verdict: str, document: str, now: float, manifest: str | None = None
) -> None:
    """Keep a copy of what was answered, and of the manifest that was."""
    row = {"bundle": bundle, "verdict": verdict, "document": document, "created_at": now}
    upsert(conn, receipts, row if manifest is None else {**row, "manifest": manifest})
