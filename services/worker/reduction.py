"""The task `reduce`: one science frame, with the masters that the conductor chose, and its spectrum where it is one."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Row

from processors.check_frame import open_frame
from processors.errors import BadCatalogue
from processors.fits import Frame
from processors.instrument import Instruments
from processors.masters.build import Master
from processors.preview import write_preview
from processors.reduction.frame import Reduced, reduce_frame
from services.core.ledger import centre
from services.core.metrics.delay import delay_point
from services.core.settings import Settings, WorkSettings
from services.core.version import SOFTWARE
from services.worker.measured import measure_points, reference_of, steps_of
from services.worker.spectrum import spectrum
from services.worker.tasks import Input, Outcome, advance_if, open_masters, product, product_dir, tags_of

_EXTENSION: Final = re.compile(r"\.(fits?|fts)(\.(fz|gz))?$", re.IGNORECASE)


def reduction(
    row: Row, inputs: list[Input], settings: Settings, instruments: Instruments, log: logging.Logger
) -> Outcome:
    """Reduce one frame; the products' names are made from the frame's, so that a repetition replaces them."""
    assert settings.work is not None
    item = inputs[0]
    frame = open_frame(item.path, instruments)
    masters = open_masters(inputs)
    directory = product_dir(settings, row, frame.identity.instrument, frame.identity.night)
    stem = f"{_EXTENSION.sub('', item.path.name)}-{item.sha256[:8]}"
    path = directory / f"{stem}-reduced.fits"
    made = _reduced(frame, path, masters, item.sha256, settings.work, log)
    log.info("%s with %s", path.name, [f"{given.role} {given.name}" for given in made.calibrations])
    if made.flags:
        log.warning("flags: %s", " ".join(made.flags))
    products = [product(path, "reduced")]
    if settings.work.preview:
        write_preview(path, path.with_suffix(".png"))
        products.append(product(path.with_suffix(".png"), "preview"))
    extracted = spectrum(
        item, frame, directory / f"{stem}-spectrum.fits", masters, row.production, settings, instruments, log
    )

    points = measure_points(made.measures, frame, row.production)
    if extracted is not None:
        points.append(extracted.point)

    def settle(conn: Connection, now: float) -> None:
        centre.add_products(conn, row.task, products, now)
        if extracted is not None:
            extracted.settle(conn, row.task, now)
        if advance_if(conn, item.sha256, "checked", "reduced", now):
            points.append(delay_point(asdict(frame.identity), "reduced", now))

    return Outcome(settle, tags_of(frame), points)


def _reduced(
    frame: Frame, path: Path, masters: Mapping[str, Master], sha256: str, work: WorkSettings, log: logging.Logger
) -> Reduced:
    """The reduced frame; without the reference catalogue where that cannot be read, which is no fault of the frame."""
    reduce = partial(
        reduce_frame, frame, path, masters.get("bias"), masters.get("flat"), dark=masters.get("dark"),
        fringe=masters.get("fringe"), bad_pixels=masters.get("badpix"), steps=steps_of(work), threads=work.threads,
        software=SOFTWARE, sha256=sha256,
    )  # fmt: skip
    try:
        return reduce(reference=reference_of(work))
    except BadCatalogue as error:
        log.warning("NOCATALOGUE: no zero point, as the reference catalogue cannot be read: %s", error)
        return reduce()
