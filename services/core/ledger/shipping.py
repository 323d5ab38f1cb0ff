"""The telescope's side of the ledger: which frames wait for which route, and the bundles on their way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, exists, func, insert, select, tuple_

from services.core.ledger.alerts import resolve_alert
from services.core.ledger.rows import insert_new, upsert
from services.core.ledger.schema import bundle_frames, bundles, events, frames, receipts
from services.core.ledger.states import advance, record

# The routes that want a frame (its row), and whether each of them needs it losslessly.
Wanting = Callable[[Any], Mapping[str, bool]]
ExposureKey = tuple[str, str, int]  # instrument, night, expid


def waiting_for_route(conn: Connection, route: str, *, lossless: bool) -> Sequence[Row]:
    """Frames that no bundle of this route carries yet (with `lossless`: none that brings their very pixels)."""
    carried = and_(
        bundle_frames.c.sha256 == frames.c.sha256,
        bundle_frames.c.bundle == bundles.c.bundle,
        bundles.c.route == route,
    )
    if lossless:
        carried = and_(carried, bundles.c.lossless)
    query = select(frames).where(frames.c.state == "seen", ~exists().where(carried))
    return conn.execute(query.order_by(frames.c.night, frames.c.expid, frames.c.name)).all()


def leave_out(conn: Connection, sha256: str, now: float) -> None:
    """No route wants this frame; nothing happens when it has moved on meanwhile (another route's thread said so)."""
    state = conn.execute(select(frames.c.state).where(frames.c.sha256 == sha256)).scalar_one()
    if state == "seen":
        advance(conn, "frame", sha256, "unrouted", now=now, reason="the filter of every route leaves it out")


def started_exposures(conn: Connection, route: str, keys: Sequence[ExposureKey]) -> set[ExposureKey]:
    """Those exposures of which a bundle of this route carries some frames already."""
    found: set[ExposureKey] = set()
    columns = (frames.c.instrument, frames.c.night, frames.c.expid)
    for start in range(0, len(keys), 200):
        query = (
            select(*columns)
            .distinct()
            .join(bundle_frames, bundle_frames.c.sha256 == frames.c.sha256)
            .join(bundles, bundles.c.bundle == bundle_frames.c.bundle)
            .where(bundles.c.route == route, tuple_(*columns).in_(keys[start : start + 200]))
        )
        found.update((row.instrument, row.night, row.expid) for row in conn.execute(query))
    return found


@dataclass(frozen=True)
class NewBundle:
    """A bundle that lies whole in the outbox. `members` are (sha256 of the frame, sha256 of its packed form)."""

    bundle: str
    route: str
    manifest_sha256: str
    size: int
    raw_size: int
    lossless: bool
    members: tuple[tuple[str, str], ...]


def add_bundle(conn: Connection, new: NewBundle, wanting: Wanting, now: float) -> None:
    """Record a bundle; frames that every route that wants them has packed become `packed`."""
    row = {"bundle": new.bundle, "route": new.route, "state": "packed", "manifest_sha256": new.manifest_sha256}
    sizes = {"size": new.size, "raw_size": new.raw_size, "lossless": new.lossless}
    if not insert_new(conn, bundles, [{**row, **sizes, "created_at": now, "updated_at": now}]):
        return
    record(conn, "bundle", new.bundle, "packed", now=now)
    for sha256, packed_sha256 in new.members:
        conn.execute(insert(bundle_frames).values(bundle=new.bundle, sha256=sha256, packed_sha256=packed_sha256))
        settle_frame(conn, sha256, wanting, now)


def settle_frame(conn: Connection, sha256: str, wanting: Wanting, now: float) -> None:
    """Move a frame on as far as its bundles allow: packed for, and then delivered on, every route that wants it."""
    frame = conn.execute(select(frames).where(frames.c.sha256 == sha256)).one()
    state, wanted = frame.state, wanting(frame)
    if state == "seen" and wanted and _covers(conn, sha256, wanted, accepted_only=False):
        advance(conn, "frame", sha256, "packed", now=now)
        state = "packed"
    if state == "packed" and wanted and _covers(conn, sha256, wanted, accepted_only=True):
        advance(conn, "frame", sha256, "shipped", now=now)


def reconsider(conn: Connection, wanting: Wanting, now: float) -> None:
    """Routes came, went or changed: frames that are under way stand as the routes of now want them."""
    for frame in conn.execute(
        select(frames).where(frames.c.state.in_(("seen", "packed"))).order_by(frames.c.sha256)
    ).all():
        wanted = wanting(frame)
        if frame.state == "packed" and not (wanted and _covers(conn, frame.sha256, wanted, accepted_only=False)):
            advance(conn, "frame", frame.sha256, "seen", now=now, reason="the routes have changed")
        settle_frame(conn, frame.sha256, wanting, now)


def _covers(conn: Connection, sha256: str, wanted: Mapping[str, bool], *, accepted_only: bool) -> bool:
    query = select(bundles.c.route, bundles.c.lossless).join(bundle_frames).where(bundle_frames.c.sha256 == sha256)
    if accepted_only:
        query = query.where(bundles.c.state == "accepted")
    carried = {(row.route, row.lossless) for row in conn.execute(query)}
    return all(
        (route, True) in carried or (not lossless and (route, False) in carried) for route, lossless in wanted.items()
    )


def bundles_of(conn: Connection, route: str, *states: str) -> Sequence[Row]:
    """The bundles of a route in these states, the oldest first."""
    query = select(bundles).where(bundles.c.route == route, bundles.c.state.in_(states))
    return conn.execute(query.order_by(bundles.c.created_at, bundles.c.bundle)).all()


def frames_in(conn: Connection, names: Sequence[str]) -> dict[str, list[Row]]:
    """The frames of bundles, by bundle."""
    found: dict[str, list[Row]] = {name: [] for name in names}
    for start in range(0, len(names), 500):
        query = select(bundle_frames.c.bundle, frames).join(frames, frames.c.sha256 == bundle_frames.c.sha256)
        query = query.where(bundle_frames.c.bundle.in_(names[start : start + 500])).order_by(
            frames.c.name, frames.c.sha256
        )
        for row in conn.execute(query):
            found[row.bundle].append(row)
    return found


def count_bundles(conn: Connection, route: str, *states: str) -> int:
    """How many bundles of a route are in these states."""
    query = select(func.count()).select_from(bundles).where(bundles.c.route == route, bundles.c.state.in_(states))
    return conn.execute(query).scalar_one()


def bundle_row(conn: Connection, bundle: str) -> Row | None:
    """One bundle."""
    return conn.execute(select(bundles).where(bundles.c.bundle == bundle)).one_or_none()


def last_manifest(conn: Connection, route: str) -> str | None:
    """sha256 of the newest manifest of a route: what the next one chains to."""
    query: Select[Any] = select(bundles.c.manifest_sha256).where(bundles.c.route == route)
    return conn.execute(query.order_by(bundles.c.created_at.desc(), bundles.c.bundle).limit(1)).scalar_one_or_none()


def settle_bundle(
    conn: Connection, bundle: str, verdict: str, document: str, wanting: Wanting, now: float, reason: str | None
) -> None:
    """Write a receipt down: the bundle is accepted or refused, and its frames move on with it."""
    upsert(conn, receipts, {"bundle": bundle, "verdict": verdict, "document": document, "created_at": now})
    if verdict not in ("accepted", "duplicate"):
        advance(conn, "bundle", bundle, "refused", now=now, reason=reason)
        return
    advance(conn, "bundle", bundle, "accepted", now=now)
    for sha256 in members_of(conn, bundle):
        settle_frame(conn, sha256, wanting, now)


def members_of(conn: Connection, bundle: str) -> Sequence[str]:
    """sha256 of every frame of a bundle."""
    query = select(bundle_frames.c.sha256).where(bundle_frames.c.bundle == bundle)
    return conn.execute(query.order_by(bundle_frames.c.sha256)).scalars().all()


def receipt_document(conn: Connection, bundle: str) -> str | None:
    """The receipt of a bundle, as it came."""
    return conn.execute(select(receipts.c.document).where(receipts.c.bundle == bundle)).scalar_one_or_none()


def refusals(conn: Connection, bundle: str) -> int:
    """How often a bundle was refused since a person last asked for it again."""
    mine = select(func.max(events.c.id)).where(events.c.subject == "bundle", events.c.name == bundle)
    asked = conn.execute(mine.where(events.c.to_state == "asked_again")).scalar_one() or 0
    query = select(func.count()).select_from(events).where(events.c.subject == "bundle", events.c.name == bundle)
    return conn.execute(query.where(events.c.to_state == "refused", events.c.id > asked)).scalar_one()


def count_attempt(conn: Connection, bundle: str, limit: int, now: float, reason: str) -> bool:
    """An attempt at a packed bundle was in vain; True when it is now `held`, until a person or the end of night."""
    row = bundle_row(conn, bundle)
    if row is None or row.state != "packed":
        return False
    conn.execute(bundles.update().where(bundles.c.bundle == bundle).values(attempts=row.attempts + 1))
    if row.attempts + 1 < limit:
        return False
    advance(conn, "bundle", bundle, "held", now=now, reason=reason)
    return True


def release_held(conn: Connection, now: float, names: Iterable[str] | None = None) -> int:
    """Held bundles (all, or these) go into the outbox's queue again; how many."""
    query = select(bundles.c.bundle, bundles.c.route).where(bundles.c.state == "held")
    if names is not None:
        query = query.where(bundles.c.bundle.in_(list(names)))
    found = conn.execute(query.order_by(bundles.c.bundle)).all()
    for bundle, route in found:
        advance(conn, "bundle", bundle, "packed", now=now, reason="asked again", attempts=0)
        resolve_alert(conn, f"route:{route}:held:{bundle}", now)
    return len(found)


def unpack_bundle(conn: Connection, bundle: str, now: float, reason: str) -> None:
    """Undo a bundle that is of no use: its frames wait again, and will be packed again from the raw files."""
    members = members_of(conn, bundle)
    conn.execute(delete(bundle_frames).where(bundle_frames.c.bundle == bundle))
    conn.execute(delete(bundles).where(bundles.c.bundle == bundle))
    record(conn, "bundle", bundle, "undone", now=now, reason=reason)
    for sha256 in members:
        _wait_again(conn, sha256, now, reason)


def ship_again(conn: Connection, sha256: str, routes: Sequence[str], now: float) -> list[str]:
    """Let a frame wait again on these routes; the bundles that still carry it on one of them, which go by themselves.

    A bundle that has no frame left is forgotten (the events keep its story), so that the same frames may make it anew.
    """
    carried = select(bundles.c.bundle, bundles.c.state).join(bundle_frames)
    carried = carried.where(bundle_frames.c.sha256 == sha256, bundles.c.route.in_(routes))
    on_their_way = []
    for bundle, state in conn.execute(carried.order_by(bundles.c.bundle)).all():
        if state in ("packed", "sent", "held"):
            on_their_way.append(bundle)
            continue
        mine = (bundle_frames.c.bundle == bundle) & (bundle_frames.c.sha256 == sha256)
        conn.execute(delete(bundle_frames).where(mine))
        record(conn, "bundle", bundle, "asked_again", now=now, reason=f"frame {sha256}")
        if not members_of(conn, bundle):
            conn.execute(delete(bundles).where(bundles.c.bundle == bundle))
    _wait_again(conn, sha256, now, "to be shipped again")
    return on_their_way


def refused_with(conn: Connection, names: Sequence[str], routes: Sequence[str]) -> list[tuple[str, str]]:
    """Route and id of the refused bundles of these routes that carry any of these frames (sha256)."""
    query = select(bundles.c.route, bundles.c.bundle, bundle_frames.c.sha256).join(bundle_frames)
    query = query.where(bundles.c.state == "refused", bundles.c.route.in_(routes))
    wanted = set(names)
    return sorted({(row.route, row.bundle) for row in conn.execute(query) if row.sha256 in wanted})


def _wait_again(conn: Connection, sha256: str, now: float, reason: str) -> None:
    state = conn.execute(select(frames.c.state).where(frames.c.sha256 == sha256)).scalar_one()
    if state in ("packed", "shipped", "unrouted"):
        advance(conn, "frame", sha256, "seen", now=now, reason=reason)
