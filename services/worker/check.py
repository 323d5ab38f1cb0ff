"""The task `check`: every check of a frame, into the ledger and the metrics."""

from __future__ import annotations

import logging
from collections import Counter

from sqlalchemy import Connection, Row

from processors.check_frame import check_open_frame, open_frame
from processors.instrument import Instruments
from services.core.ledger import centre
from services.core.settings import Settings
from services.worker.quality import log_results, qa_points, qa_rows
from services.worker.tasks import Input, Outcome, advance_if, tags_of


def check(row: Row, inputs: list[Input], _: Settings, instruments: Instruments, log: logging.Logger) -> Outcome:
    """Check one frame. A frame out of its limits is a result, not a failure of the task."""
    (item,) = inputs
    frame = open_frame(item.path, instruments)
    results = check_open_frame(frame)
    log_results(results, log)
    log.info("%s: %s", item.path.name, dict(Counter(result.verdict for result in results)))

    def settle(conn: Connection, now: float) -> None:
        centre.set_qa(conn, row.task, qa_rows(results, item.sha256))
        advance_if(conn, item.sha256, "arrived", "checked", now)

    return Outcome(settle, tags_of(frame), qa_points(results, frame, row.production))
