"""From the ledger's rows to what planning looks at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection

from processors.masters.associate import CalibrationKey, MasterRef, Validity
from processors.night import shifted
from services.conductor.view import FrameView, Rules, TaskView, View
from services.core.ledger import planning, registry
from services.core.ledger.affected import spoilt
from services.core.ledger.identities import identity_of
from services.core.ledger.registry import StoredMaster

_ACTIVE_S: Final = 2 * 86_400.0  # nights in which nothing moved for longer are not planned until something does


def read_view(conn: Connection, rules: Rules, reviewed: Iterable[str], now: float) -> View:
    """What planning looks at: the nights in which something moved, and those that are reviewed."""
    production = rules.production
    nights = sorted({*planning.active_nights(conn, now - _ACTIVE_S), *reviewed})
    rows = planning.tasks_of(conn, production, nights)
    inputs = planning.inputs_of(conn, production, nights)
    days = rules.calibration_max_age_days + 1
    first, last = (shifted(nights[0], -days), shifted(nights[-1], days)) if nights else ("", "")
    return View(
        frames=tuple(
            FrameView(row.sha256, identity_of(row.identity), row.state, row.created_at)
            for row in planning.frames_of(conn, nights)
        ),
        tasks=tuple(
            TaskView(row.task, row.kind, row.state, dict(row.parameters), tuple(inputs.get(row.task, ())))
            for row in rows
        ),
        masters=tuple(master_ref(stored) for stored in registry.masters_of(conn, production, first, last)),
        being_built=frozenset(CalibrationKey(**key) for key in registry.masters_being_built(conn, production)),
        spoilt=frozenset(spoilt(conn, production)),
    )


def master_ref(stored: StoredMaster) -> MasterRef:
    """A master on record as `processors.masters.associate` chooses from."""
    validity = tuple(
        Validity(said.first, "" if said.last == registry.OPEN_END else said.last, said.copied)
        for said in stored.certified
    )
    return MasterRef(
        key=CalibrationKey(**stored.key),
        date_obs=stored.date_obs,
        path=stored.path,
        sha256=stored.sha256,
        validity=validity,
        temperature_c=stored.temperature_c,
        withdrawn=stored.withdrawn,
    )
