"""Nights in the ledger: what was taken, how it was delivered, what arrived, and the signed night manifests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Column, Connection, Row, func, select, update

from services.core.ledger.rows import insert_new
from services.core.ledger.schema import (
    bundle_frames,
    bundles,
    events,
    files,
    frames,
    night_manifests,
    receipts,
    received_frames,
)
from services.core.ledger.states import record

_CHUNK: Final = 500  # values in one IN (…): SQLite takes at least 999


def nights_on_record(conn: Connection) -> dict[str, set[str]]:
    """Nights of which there are frames, by instrument."""
    found: dict[str, set[str]] = {}
    for row in conn.execute(select(frames.c.instrument, frames.c.night).distinct()):
        found.setdefault(row.instrument, set()).add(row.night)
    return found


def frames_of_night(conn: Connection, night: str) -> Sequence[Row]:
    """Every frame of a night, whatever its state, in the order of a night manifest."""
    query = select(frames).where(frames.c.night == night)
    return conn.execute(query.order_by(frames.c.instrument, frames.c.expid, frames.c.name, frames.c.sha256)).all()


# -- telescope --------------------------------------------------------------------------------------------------------


def file_rows(conn: Connection) -> dict[str, Row]:
    """What is on record of the camera's disk, by path."""
    return {row.path: row for row in conn.execute(select(files))}


def carried(conn: Connection, night: str) -> Sequence[Row]:
    """Every bundle of every frame of a night: `sha256`, `packed_sha256`, and the bundle's columns."""
    query = (
        select(bundle_frames.c.sha256, bundle_frames.c.packed_sha256, bundles)
        .join(bundles, bundles.c.bundle == bundle_frames.c.bundle)
        .join(frames, frames.c.sha256 == bundle_frames.c.sha256)
        .where(frames.c.night == night)
    )
    return conn.execute(query.order_by(bundles.c.created_at, bundles.c.bundle, bundle_frames.c.sha256)).all()


def receipt_rows(conn: Connection, names: Iterable[str]) -> dict[str, Row]:
    """The receipts of these bundles, by bundle."""
    return {row.bundle: row for row in _rows_in(conn, receipts.c.bundle, names)}


def chain_of(conn: Connection, site: str, route: str) -> tuple[set[str], bool]:
    """sha256 of every bundle manifest of a route, and whether the chain has lost a link for a reason on record."""
    known = set(conn.execute(select(bundles.c.manifest_sha256).where(bundles.c.route == route)).scalars())
    prefix = f"{site}-{route}-"  # then the night, and 16 digits of a hash
    mine = events.c.name.startswith(prefix, autoescape=True) & (func.length(events.c.name) == len(prefix) + 25)
    undone = select(func.count()).select_from(events).where(events.c.subject == "bundle", mine)
    undone = undone.where(events.c.to_state.in_(("undone", "asked_again")))
    return known, bool(conn.execute(undone).scalar_one())


def route_heads(conn: Connection, routes: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The newest bundle manifest of every route that has one."""
    heads = []
    for route in sorted(routes):
        query = select(bundles.c.manifest_sha256).where(bundles.c.route == route)
        newest = query.order_by(bundles.c.created_at.desc(), bundles.c.bundle).limit(1)
        if (head := conn.execute(newest).scalar_one_or_none()) is not None:
            heads.append((route, head))
    return tuple(heads)


def event_count(conn: Connection) -> int:
    """Number of the newest event: nothing has moved while it stays the same."""
    return conn.execute(select(func.max(events.c.id))).scalar_one() or 0


# -- data centre ------------------------------------------------------------------------------------------------------


def frame_rows(conn: Connection, names: Iterable[str]) -> dict[str, Row]:
    """These frames (sha256), by sha256."""
    return {row.sha256: row for row in _rows_in(conn, frames.c.sha256, names)}


def received_rows(conn: Connection, names: Iterable[str]) -> dict[str, list[Row]]:
    """What came of these frames (sha256), by sha256, the oldest first."""
    found: dict[str, list[Row]] = {}
    for row in sorted(_rows_in(conn, received_frames.c.sha256, names), key=lambda row: row.received_at):
        found.setdefault(row.sha256, []).append(row)
    return found


# -- night manifests --------------------------------------------------------------------------------------------------


def newest_manifest(conn: Connection, site: str, night: str) -> Row | None:
    """The newest revision of a site's night."""
    mine = (night_manifests.c.site == site) & (night_manifests.c.night == night)
    query = select(night_manifests).where(mine)
    return conn.execute(query.order_by(night_manifests.c.revision.desc()).limit(1)).one_or_none()


def manifest_row(conn: Connection, sha256: str) -> Row | None:
    """One night manifest, by the sha256 of its document."""
    return conn.execute(select(night_manifests).where(night_manifests.c.sha256 == sha256)).one_or_none()


def revision_row(conn: Connection, site: str, night: str, revision: int) -> Row | None:
    """One revision of a site's night."""
    mine = (night_manifests.c.site == site) & (night_manifests.c.night == night)
    return conn.execute(select(night_manifests).where(mine, night_manifests.c.revision == revision)).one_or_none()


def newest_of_site(conn: Connection, site: str, before: float | None = None) -> tuple[str, float] | None:
    """sha256 and time of a site's newest night manifest, of those written before a time (seconds since 1970 UTC)."""
    query = select(night_manifests.c.sha256, night_manifests.c.created_at).where(night_manifests.c.site == site)
    if before is not None:
        query = query.where(night_manifests.c.created_at < before)
    newest = query.order_by(night_manifests.c.created_at.desc(), night_manifests.c.revision.desc()).limit(1)
    row = conn.execute(newest).one_or_none()
    return None if row is None else (row.sha256, row.created_at)


def manifests_of(conn: Connection, night: str) -> Sequence[Row]:
    """The night manifests of a night, of every site, the newest revision of each."""
    query = select(night_manifests).where(night_manifests.c.night == night)
    rows = conn.execute(query.order_by(night_manifests.c.site, night_manifests.c.revision)).all()
    return list({row.site: row for row in rows}.values())


def add_manifest(
    conn: Connection,
    *,
    sha256: str,
    site: str,
    night: str,
    revision: int,
    document: str,
    state: str,
    created_at: float,
    now: float,
) -> bool:
    """Record a night manifest; False when it, or another one as the same revision, is on record already.

    `created_at` is when its site wrote it, seconds since 1970 UTC.
    """
    row = {"sha256": sha256, "site": site, "night": night, "revision": revision, "document": document, "state": state}
    if not insert_new(conn, night_manifests, [{**row, "created_at": created_at, "updated_at": now}]):
        return False
    record(conn, "night", f"{site}-{night}-{revision}", state, now=now)
    return True


def settle_manifest(conn: Connection, sha256: str, state: str, now: float, answer: str | None = None) -> None:
    """A night manifest was sent, or answered."""
    row = manifest_row(conn, sha256)
    assert row is not None
    values: dict[str, Any] = {"state": state, "updated_at": now}
    if answer is not None:
        values["answer"] = answer
    conn.execute(update(night_manifests).where(night_manifests.c.sha256 == sha256).values(**values))
    if row.state != state:
        name = f"{row.site}-{row.night}-{row.revision}"
        seconds = round(now - row.updated_at, 3)
        record(conn, "night", name, state, now=now, came_from=row.state, seconds=seconds)


def _rows_in(conn: Connection, column: Column[Any], names: Iterable[str]) -> Iterator[Row]:
    """The rows of a column's table whose value is one of many."""
    wanted = sorted(set(names))
    for start in range(0, len(wanted), _CHUNK):
        yield from conn.execute(select(column.table).where(column.in_(wanted[start : start + _CHUNK])))
