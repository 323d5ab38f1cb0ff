"""The telescope's side of the ledger: the camera's disk, frames seen, bundles on their way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, insert, select, update

from services.core.ledger.rows import insert_new, upsert
from services.core.ledger.schema import bundle_frames, bundles, events, files, frames, receipts
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
    return {row.path: (row.size, row.mtime_ns) for row in conn.execute(select(files))}


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


def waiting_for_route(conn: Connection, route: str) -> Sequence[Row]:
    """Frames that no bundle of this route carries yet, exposure by exposure."""
    packed = exists().where(
        bundle_frames.c.sha256 == frames.c.sha256,
        bundle_frames.c.bundle == bundles.c.bundle,
        bundles.c.route == route,
    )
    query = select(frames).where(frames.c.state == "seen", ~packed)
    return conn.execute(query.order_by(frames.c.night, frames.c.expid, frames.c.name)).all()


def add_bundle(
    conn: Connection,
    *,
    bundle: str,
    route: str,
    manifest_sha256: str,
    size: int,
    raw_size: int,
    members: Iterable[str],
    routes: Sequence[str],
    now: float,
) -> None:
    """Record a bundle that lies whole in the outbox; frames that every route has packed become `packed`."""
    row = {"bundle": bundle, "route": route, "state": "packed", "manifest_sha256": manifest_sha256, "size": size}
    if not insert_new(conn, bundles, [{**row, "raw_size": raw_size, "created_at": now, "updated_at": now}]):
        return
    record(conn, "bundle", bundle, "packed", now=now)
    for sha256 in members:
        conn.execute(insert(bundle_frames).values(bundle=bundle, sha256=sha256))
        if _routes_of(conn, sha256, accepted_only=False) >= set(routes):
            advance(conn, "frame", sha256, "packed", now=now)


def bundle_states(conn: Connection, route: str) -> dict[str, str]:
    """State of every bundle of a route that is not finished."""
    query = select(bundles.c.bundle, bundles.c.state).where(bundles.c.route == route, bundles.c.state != "accepted")
    return {row.bundle: row.state for row in conn.execute(query)}


def bundle_row(conn: Connection, bundle: str) -> Row | None:
    """One bundle."""
    return conn.execute(select(bundles).where(bundles.c.bundle == bundle)).one_or_none()


def last_manifest(conn: Connection, route: str) -> str | None:
    """sha256 of the newest manifest of a route: what the next one chains to."""
    query = select(bundles.c.manifest_sha256).where(bundles.c.route == route)
    return conn.execute(query.order_by(bundles.c.created_at.desc(), bundles.c.bundle).limit(1)).scalar_one_or_none()


def settle_bundle(
    conn: Connection, bundle: str, verdict: str, document: str, routes: Sequence[str], now: float, reason: str | None
) -> None:
    """Write a receipt down: the bundle is accepted or refused; frames that every route has delivered are shipped."""
    row = {"bundle": bundle, "verdict": verdict, "document": document, "created_at": now}
    upsert(conn, receipts, row)
    if verdict not in ("accepted", "duplicate"):
        advance(conn, "bundle", bundle, "refused", now=now, reason=reason)
        return
    advance(conn, "bundle", bundle, "accepted", now=now)
    members = conn.execute(select(bundle_frames.c.sha256).where(bundle_frames.c.bundle == bundle)).scalars().all()
    for sha256 in members:
        state = conn.execute(select(frames.c.state).where(frames.c.sha256 == sha256)).scalar_one()
        if state == "packed" and _routes_of(conn, sha256, accepted_only=True) >= set(routes):
            advance(conn, "frame", sha256, "shipped", now=now)


def _routes_of(conn: Connection, sha256: str, *, accepted_only: bool) -> set[str]:
    query = select(bundles.c.route).join(bundle_frames).where(bundle_frames.c.sha256 == sha256)
    if accepted_only:
        query = query.where(bundles.c.state == "accepted")
    return set(conn.execute(query).scalars())


def count_states(conn: Connection) -> dict[str, int]:
    """How many frames are in each state."""
    query = select(frames.c.state, func.count()).group_by(frames.c.state)
    return {state: count for state, count in conn.execute(query)}


def quarantined_files(conn: Connection) -> Sequence[Row]:
    """Files the watcher set aside, with the reason."""
    return conn.execute(select(files).where(files.c.reason.is_not(None)).order_by(files.c.path)).all()


def receipt_document(conn: Connection, bundle: str) -> str | None:
    """The receipt of a bundle, as it came."""
    return conn.execute(select(receipts.c.document).where(receipts.c.bundle == bundle)).scalar_one_or_none()


def forget_file(conn: Connection, path: str) -> None:
    """The next walk shall look at this file again."""
    conn.execute(delete(files).where(files.c.path == path))


def refusals(conn: Connection, bundle: str) -> int:
    """How often a bundle was refused so far."""
    query = select(func.count()).select_from(events).where(events.c.subject == "bundle", events.c.name == bundle)
    return conn.execute(query.where(events.c.to_state == "refused")).scalar_one()


def unpack_bundle(conn: Connection, bundle: str, now: float, reason: str) -> None:
    """Undo a bundle that is of no use: its frames wait again, and will be packed again from the raw files."""
    members = conn.execute(select(bundle_frames.c.sha256).where(bundle_frames.c.bundle == bundle)).scalars().all()
    conn.execute(delete(bundle_frames).where(bundle_frames.c.bundle == bundle))
    conn.execute(delete(bundles).where(bundles.c.bundle == bundle))
    record(conn, "bundle", bundle, "undone", now=now, reason=reason)
    for sha256 in members:
        state = conn.execute(select(frames.c.state).where(frames.c.sha256 == sha256)).scalar_one()
        if state == "packed":
            advance(conn, "frame", sha256, "seen", now=now, reason=reason)


def all_on_record(conn: Connection, names: Sequence[str]) -> bool:
    """Whether every one of these frames (sha256) is on record."""
    query = select(func.count()).select_from(frames).where(frames.c.sha256.in_(names))
    return conn.execute(query).scalar_one() == len(set(names))
