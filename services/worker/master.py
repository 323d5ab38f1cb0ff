"""The tasks `bias`, `dark`, `flat` and `skyflat`: one group of calibration frames, one master."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import asdict

from sqlalchemy import Connection, Row

from processors.check_frame import check_sequence, open_frame
from processors.instrument import Instruments
from processors.masters.build import build_master
from processors.preview import write_preview
from services.core.ledger import centre
from services.core.settings import Settings
from services.core.version import SOFTWARE
from services.worker.quality import log_results, qa_points, qa_rows, withdrawn_points
from services.worker.tasks import Input, Outcome, open_masters, plain, product, product_dir, tags_of


def master(row: Row, inputs: list[Input], settings: Settings, instruments: Instruments, log: logging.Logger) -> Outcome:
    """Build a master and register it.

    Its name says what it was made from: building it again of the same inputs replaces it by the same bytes, building it
    of others leaves the old one for who still uses it.
    """
    assert settings.work is not None
    frames = [open_frame(item.path, instruments) for item in inputs if item.role == "frame"]
    hashes = {item.path: item.sha256 for item in inputs if item.role == "frame"}
    masters = open_masters(inputs)
    directory = product_dir(settings, row, frames[0].identity.instrument, row.night)
    made_of = hashlib.sha256(" ".join(item.sha256 for item in inputs).encode()).hexdigest()[:8]
    path = directory / f"{row.task}-{made_of}.fits"
    made = build_master(
        row.kind,
        frames,
        path,
        masters.get("bias"),
        dark=masters.get("dark"),
        software=SOFTWARE,
        hashes=hashes,
        scratch=directory,
    )
    used = ", ".join(f"{role} {given.path.name}" for role, given in masters.items()) or "no calibrations"
    log.info("%s from %d of %d frames with %s", path.name, len(frames) - len(made.rejected), len(frames), used)
    for rejection in made.rejected:
        log.warning("left out: %s: %s", rejection.name, rejection.reason)
    references = [open_frame(item.path, instruments) for item in inputs if item.role == "reference"]
    own = {str(frame.path) for frame in frames}
    results = [result for result in check_sequence([*references, *frames]) if result.file in own]
    log_results(results, log)
    recorded = centre.Product(str(path), made.sha256, row.kind)
    products = [recorded]
    if settings.work.preview:
        write_preview(path, path.with_suffix(".png"))
        products.append(product(path.with_suffix(".png"), "preview"))

    points = qa_points(results, frames[0], row.production, row.kind)

    def settle(conn: Connection, now: float) -> None:
        gone = centre.set_qa(conn, row.task, qa_rows(results, inputs[0].sha256))
        points.extend(withdrawn_points(gone, frames[0], row.production, row.kind))
        centre.add_products(conn, row.task, products, now)
        centre.add_calibration(
            conn,
            recorded,
            production=row.production,
            night=row.night,
            date_obs=made.date_obs,
            key=plain(asdict(made.key)),
            task=row.task,
            now=now,
            temperature_c=made.temperature_c,
        )

    return Outcome(settle, tags_of(frames[0]), points)
