"""Arcs in the archive, for the spectra that get their wavelengths from them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from processors.identity import FrameIdentity
from processors.night import shifted
from services.core.ledger.identities import identity_of
from services.core.ledger.schema import frames


@dataclass(frozen=True)
class StoredArc:
    """An arc on record; `path` is below the archive."""

    sha256: str
    path: str
    identity: FrameIdentity


def arcs_about(conn: Connection, instrument: str, night: str, days: int) -> list[StoredArc]:
    """Arcs of an instrument that were taken at most so many nights before or after this one, in order of exposures.

    Those that were quarantined are left out. The index over instrument and night finds them.
    """
    query = select(frames.c.sha256, frames.c.path, frames.c.identity).where(
        frames.c.instrument == instrument,
        frames.c.night.between(shifted(night, -days), shifted(night, days)),
        frames.c.obstype == "arc",
        frames.c.state != "quarantined",
    )
    rows = conn.execute(query.order_by(frames.c.night, frames.c.expid, frames.c.sha256))
    return [StoredArc(row.sha256, row.path, identity_of(row.identity)) for row in rows]
