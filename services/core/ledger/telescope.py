"""The telescope's side of the ledger: the camera's disk, and the frames seen there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from services.core.ledger.rows import insert_new, upsert
from services.core.ledger.schema import files, frames
from services.core.ledger.states import advance, record


@dataclass(frozen=True)
class SeenFrame:
    """A whole frame on the camera's disk.

    Attributes
    ----------
    mtime : float
        Modification time, seconds since 1970 UTC.
    identity : mapping
        The fields of its `FrameIdentity`, as plain JSON values.
    """

    sha256: str
    name: str
    path: str
    size: int
    mtime: float
    identity: Mapping[str, Any]


def known_files(conn: Connection) -> dict[str, tuple[int, int]]:
    """Size (bytes) and mtime (ns) of every file on record, by path."""
    query = select(files.c.path, files.c.size, files.c.mtime_ns)
    return {path: (size, mtime_ns) for path, size, mtime_ns in conn.execute(query)}


def old_files(conn: Connection, before: float) -> list[str]:
    """Paths of the files that were taken in before a time, seconds since 1970 UTC; none that is in quarantine."""
    query = select(files.c.path).where(files.c.noticed_at < before, files.c.reason.is_(None))
    return list(conn.execute(query).scalars())


def record_file(
    conn: Connection, path: str, size: int, mtime_ns: int, *, sha256: str | None, reason: str | None, now: float
) -> None:
    """Remember what the watcher decided about a file, so that a rescan does not read it again."""
    row = {"path": path, "size": size, "mtime_ns": mtime_ns, "sha256": sha256, "reason": reason, "noticed_at": now}
    upsert(conn, files, row)
    if reason is not None:
        record(conn, "file", path[-200:], "quarantined", now=now, reason=reason)


def add_seen(conn: Connection, frame: SeenFrame, now: float) -> bool:
    """Record a frame as seen; False when the same content is already on record under some name.

    A frame that was moved on the camera's disk before it was packed is followed to its new place; one that was set
    aside because it could not be read is taken up again.
    """
    if insert_new(conn, frames, [frame_row(frame, "seen", now)]):
        record(conn, "frame", frame.sha256, "seen", now=now)
        return True
    known = conn.execute(select(frames.c.state, frames.c.path).where(frames.c.sha256 == frame.sha256)).one()
    moved = known.path != frame.path and not Path(known.path).exists()
    if known.state == "quarantined" or (known.state == "seen" and moved):
        place = {"path": frame.path, "name": frame.name, "mtime": frame.mtime}
        conn.execute(update(frames).where(frames.c.sha256 == frame.sha256).values(**place))
    if known.state == "quarantined":
        advance(conn, "frame", frame.sha256, "seen", now=now, reason="found again")
    return False


def set_aside(conn: Connection, sha256: str, reason: str, now: float) -> None:
    """A frame cannot be read any more; nothing happens when another route's thread has said so before."""
    state = conn.execute(select(frames.c.state).where(frames.c.sha256 == sha256)).scalar_one()
    if state in ("seen", "packed"):
        advance(conn, "frame", sha256, "quarantined", now=now, reason=reason)


def frame_row(frame: SeenFrame, state: str, now: float) -> dict[str, Any]:
    """The row of a new frame."""
    identity = dict(frame.identity)
    return {
        "sha256": frame.sha256,
        "name": frame.name,
        "path": frame.path,
        "size": frame.size,
        "mtime": frame.mtime,
        "instrument": identity["instrument"],
        "night": identity["night"],
        "expid": identity["expid"],
        "obstype": identity["obstype"],
        "identity": identity,
        "state": state,
        "created_at": now,
        "updated_at": now,
    }


def count_states(conn: Connection) -> dict[str, int]:
    """How many frames are in each state."""
    query = select(frames.c.state, func.count()).group_by(frames.c.state)
    return {state: count for state, count in conn.execute(query)}


def quarantined_files(conn: Connection) -> Sequence[Row]:
    """Files the watcher set aside, with the reason."""
    return conn.execute(select(files).where(files.c.reason.is_not(None)).order_by(files.c.path)).all()


def forget_file(conn: Connection, path: str) -> None:
    """The next walk shall look at this file again."""
    conn.execute(delete(files).where(files.c.path == path))


def forget_files(conn: Connection, sha256: str, path: str) -> list[str]:
    """The next walk shall look again at the files that held a frame: one that was moved or copied is found there."""
    held = conn.execute(select(files.c.path).where(files.c.sha256 == sha256)).scalars().all()
    paths = sorted({path, *held})
    for each in paths:
        forget_file(conn, each)
    return paths


def all_on_record(conn: Connection, names: Sequence[str]) -> bool:
    """Whether every one of these frames (sha256) is on record."""
    query = select(func.count()).select_from(frames).where(frames.c.sha256.in_(names))
    return conn.execute(query).scalar_one() == len(set(names))
