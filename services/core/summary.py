"""The ledger in numbers, and what in it needs a person."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from services.core.ledger.alerts import open_alerts
from services.core.ledger.schema import bundle_frames, bundles, files, frames, tasks


def summarise(conn: Connection, night: str | None = None) -> dict[str, Any]:
    """Frames, bundles and tasks by state, and one line for everything that waits for a person.

    Parameters
    ----------
    night : str or None
        YYYYMMDD: count frames, the bundles that carry them, and tasks of this night only.
    """
    frame_states = select(frames.c.state, func.count()).group_by(frames.c.state).order_by(frames.c.state)
    bundle_states = select(bundles.c.state, func.count()).group_by(bundles.c.state).order_by(bundles.c.state)
    kinds = (tasks.c.kind, tasks.c.state)
    task_states = select(*kinds, func.count()).group_by(*kinds).order_by(*kinds)
    failed = select(tasks.c.task, tasks.c.reason).where(tasks.c.state == "failed")
    if night is not None:
        frame_states = frame_states.where(frames.c.night == night)
        carried = select(bundle_frames.c.bundle).join(frames, frames.c.sha256 == bundle_frames.c.sha256)
        bundle_states = bundle_states.where(bundles.c.bundle.in_(carried.where(frames.c.night == night)))
        task_states = task_states.where(tasks.c.night == night)
        failed = failed.where(tasks.c.night == night)
    quarantined = select(files.c.path, files.c.reason).where(files.c.reason.is_not(None))
    set_aside = select(frames.c.path, frames.c.reason).where(frames.c.state == "quarantined")
    stuck = select(bundles.c.bundle, bundles.c.state, bundles.c.reason).where(bundles.c.state.in_(("refused", "held")))
    return {
        "frames": {state: number for state, number in conn.execute(frame_states)},
        "bundles": {state: number for state, number in conn.execute(bundle_states)},
        "tasks": {f"{kind} {state}": number for kind, state, number in conn.execute(task_states)},
        "needs_a_person": [
            *(f"quarantined {path}: {reason}" for path, reason in conn.execute(quarantined)),
            *(f"frame {path} set aside: {reason}" for path, reason in conn.execute(set_aside)),
            *(f"bundle {bundle} {state}: {reason}" for bundle, state, reason in conn.execute(stuck)),
            *(f"alert {row.alert}: {row.message}" for row in open_alerts(conn)),
            *(f"task {task} failed: {reason}" for task, reason in conn.execute(failed)),
        ],
    }
