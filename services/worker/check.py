"""The task `check`: every check of a frame, into the ledger and the metrics."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import Connection, Row

from processors.check_frame import check_open_frame, open_frame
from processors.checks.drift import LAST, WATCHED
from processors.errors import ProcessorError
from processors.fits import Frame
from processors.instrument import Instruments
from processors.masters.file import Master, read_master
from processors.masters.ref import ROLES, calibration_key, key_of
from services.core.ledger import centre, history
from services.core.ledger.engine import open_ledger
from services.core.metrics.delay import delay_point
from services.core.settings import Settings
from services.worker.quality import log_results, qa_points, qa_rows, withdrawn_points
from services.worker.tasks import Input, Outcome, advance_if, tags_of


def check(row: Row, inputs: list[Input], settings: Settings, instruments: Instruments, log: logging.Logger) -> Outcome:
    """Check one frame. A frame out of its limits is a result, not a failure of the task."""
    (item,) = inputs
    frame = open_frame(item.path, instruments)
    # in a transaction of its own that only reads: nobody waits while the pixels are looked at
    with closing(open_ledger(settings.ledger)) as ledger, ledger.read() as conn:
        before = history.values_before(conn, row.production, asdict(frame.identity), WATCHED, LAST)
        stored = _stored_masters(conn, row.production, frame)
    results = check_open_frame(frame, _opened(stored, log), before)
    log_results(results, log)
    log.info("%s: %s", item.path.name, dict(Counter(result.verdict for result in results)))

    points = qa_points(results, frame, row.production, row.kind)

    def settle(conn: Connection, now: float) -> None:
        gone = centre.set_qa(conn, row.task, qa_rows(results, item.sha256))
        points.extend(withdrawn_points(gone, frame, row.production, row.kind))
        if advance_if(conn, item.sha256, "arrived", "checked", now):
            points.append(delay_point(asdict(frame.identity), "checked", now))

    return Outcome(settle, tags_of(frame), points)


def _stored_masters(conn: Connection, production: str, frame: Frame) -> dict[str, tuple[str, str]]:
    """Path and sha256 of the last masters that a calibration frame is compared with, by role."""
    own = calibration_key(frame.identity)
    if own is None:
        return {}
    keys = [own] if own.kind == "bias" else [own, key_of("bias", frame.identity)]
    found: dict[str, tuple[str, str]] = {}
    for key in keys:
        master = history.newest_master(conn, production, asdict(key), frame.identity.date_obs)
        if master is not None:
            found[ROLES[key.kind]] = master
    return found


def _opened(stored: dict[str, tuple[str, str]], log: logging.Logger) -> dict[str, Master]:
    """Those that can be read; a master that is gone is no reason not to check a frame."""
    found = {}
    for role, (path, sha256) in stored.items():
        try:
            found[role] = read_master(Path(path), sha256)
        except (ProcessorError, OSError) as error:
            log.warning("not compared with the master %s: %s", path, error)
    return found
