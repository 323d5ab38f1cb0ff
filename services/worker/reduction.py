"""The task `reduce`: one science frame, with the masters that the conductor chose, and its spectrum where it is one."""

from __future__ import annotations

import logging
import re
from typing import Final

from sqlalchemy import Connection, Row

from processors.check_frame import open_frame
from processors.instrument import Instruments
from processors.preview import write_preview
from processors.reduce_frame import reduce_frame
from services.core.ledger import centre
from services.core.settings import Settings
from services.core.version import SOFTWARE
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
    made = reduce_frame(
        frame,
        path,
        masters.get("bias"),
        masters.get("flat"),
        dark=masters.get("dark"),
        fringe=masters.get("fringe"),
        bad_pixels=masters.get("badpix"),
        software=SOFTWARE,
        sha256=item.sha256,
    )
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

    def settle(conn: Connection, now: float) -> None:
        centre.add_products(conn, row.task, products, now)
        if extracted is not None:
            extracted.settle(conn, row.task, now)
        advance_if(conn, item.sha256, "checked", "reduced", now)

    return Outcome(settle, tags_of(frame), [] if extracted is None else [extracted.point])
