"""What earlier frames of a kind were like, and the last master of it: what a check compares a new frame with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from services.core.ledger.affected import spoilt
from services.core.ledger.schema import calibrations, frames, qa, tasks

History = dict[tuple[str, str, str], list[float]]


def values_before(
    conn: Connection, production: str, identity: Mapping[str, Any], checks: Iterable[str], last: int
) -> History:
    """Values of checks by check, detector and amplifier in the last frames before this one, the newest first.

    These are the frames of its instrument, obstype, filter, readout and (where a camera writes a file per detector)
    detector. Values that are none, or in error, are left out. The index over instrument, night and exposure gives the
    frames in order, so that a long history costs nothing.
    """
    before = or_(
        frames.c.night < identity["night"],
        and_(frames.c.night == identity["night"], frames.c.expid < identity["expid"]),
    )
    query = select(frames.c.sha256).where(frames.c.instrument == identity["instrument"], before, *_alike(identity))
    query = query.order_by(frames.c.night.desc(), frames.c.expid.desc())
    names = list(conn.execute(query.limit(last)).scalars())
    place = {name: number for number, name in enumerate(names)}
    wanted = (
        select(qa.c.sha256, qa.c.check, qa.c.detector, qa.c.amplifier, qa.c.value)
        .join(tasks, tasks.c.task == qa.c.task)
        .where(qa.c.sha256.in_(names), qa.c.check.in_(list(checks)), tasks.c.kind == "check")
        .where(tasks.c.production == production, qa.c.value.is_not(None), qa.c.verdict != "error")
    )
    found: History = {}
    for row in sorted(conn.execute(wanted), key=lambda row: place[row.sha256]):
        found.setdefault((row.check, row.detector, row.amplifier), []).append(row.value)
    return found


def newest_master(conn: Connection, production: str, key: Mapping[str, Any], date_obs: str) -> tuple[str, str] | None:
    """Path and sha256 of the last master of a key, whatever its night, from before a time (ISO, UTC).

    Masters that were withdrawn, or made with one that was, do not count.
    """
    query = select(calibrations).where(
        calibrations.c.production == production,
        calibrations.c.kind == key["kind"],
        calibrations.c.withdrawn_at.is_(None),
        calibrations.c.date_obs < date_obs,
    )
    spoiled = spoilt(conn, production)
    for row in conn.execute(query.order_by(calibrations.c.date_obs.desc(), calibrations.c.created_at.desc())):
        same = all(row.key.get(name, "") == value for name, value in key.items() if name != "night")
        if same and row.sha256 not in spoiled:
            return row.path, row.sha256
    return None


def _alike(identity: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    stored = frames.c.identity
    return [
        frames.c.obstype == identity["obstype"],
        stored["filter"].as_string() == identity["filter"],
        stored["readout"].as_string() == identity["readout"],
        stored[("detectors", 0)].as_string() == identity["detectors"][0],
    ]
