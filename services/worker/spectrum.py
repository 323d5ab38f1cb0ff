"""The spectrum of a reduced long-slit frame: the arc on record that suits it, the product, its numbers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rq.timeouts import JobTimeoutException
from sqlalchemy import Connection

from processors.check_frame import open_frame
from processors.errors import ProcessorError
from processors.fits import Frame
from processors.instrument import Instruments
from processors.masters.associate import MAX_AGE_DAYS
from processors.masters.build import Master
from processors.publish import withdraw
from processors.reduction.spectrum import NUMBERS, SlitExposure, SpectrumProduct, spectrum_frame
from processors.spectra.choose_arc import choose_arc
from services.core.errors import ServiceError
from services.core.ledger import arcs, centre
from services.core.ledger.arcs import StoredArc
from services.core.ledger.engine import open_ledger
from services.core.metrics.delay import observed_ns
from services.core.metrics.line import Field
from services.core.metrics.spool import Point
from services.core.metrics.whole import whole
from services.core.settings import Settings
from services.core.version import SOFTWARE
from services.worker.tasks import Input, product, tags_of

_NO_SPECTRUM: Final = "NOSPECTRUM"


@dataclass(frozen=True)
class SpectrumOutcome:
    """What came of a spectrum: the product and its arc where there are any, and a point that tells of it."""

    path: Path
    made: centre.Product | None
    arc: StoredArc | None
    point: Point

    def settle(self, conn: Connection, task: str, now: float) -> None:
        """Record the product and what it was made from, or that an earlier one is no more."""
        if self.made is None:
            centre.drop_product(conn, str(self.path))
            return
        centre.add_products(conn, task, [self.made], now)
        if self.arc is not None:
            centre.add_made_from(conn, self.made.path, self.arc.sha256, "arc")


def spectrum(
    item: Input,
    frame: Frame,
    path: Path,
    masters: Mapping[str, Master],
    production: str,
    settings: Settings,
    instruments: Instruments,
    log: logging.Logger,
) -> SpectrumOutcome | None:
    """Write the spectrum of a frame, None where its instrument file has no spectrograph for it.

    A spectrum that cannot be made is told, and leaves none behind: the reduced frame is good without it.
    """
    if frame.identity.mode != "spectroscopy" or frame.instrument.spectrograph(frame.headers) is None:
        return None
    # in a transaction of its own that only reads, see services.worker.check
    with closing(open_ledger(settings.ledger)) as ledger, ledger.read() as conn:
        known = arcs.arcs_about(conn, frame.identity.instrument, frame.identity.night, int(MAX_AGE_DAYS) + 1)
    stored, arc = _arc(frame, known, settings, instruments, log)
    hashes = {frame.path: item.sha256}
    if stored is not None and arc is not None:
        hashes[arc.path] = stored.sha256
    exposure = SlitExposure(frame, arc, masters.get("bias"), masters.get("flat"), masters.get("badpix"), hashes)
    try:
        made = spectrum_frame(exposure, path, software=SOFTWARE)
    except (JobTimeoutException, MemoryError, ServiceError):  # the last: the task is another worker's by now
        raise
    except (ProcessorError, OSError) as error:
        log.warning("no spectrum: %s: %s", type(error).__name__, error)
        return _without(path, stored, frame, production, str(error))
    except Exception as error:
        log.exception("no spectrum: a defect")
        return _without(path, stored, frame, production, f"defect: {type(error).__name__}: {error}")
    _say(made, log)
    fields: dict[str, Field] = {"made": True, "flags": " ".join(made.flags), "reason": "", **made.numbers()}
    return SpectrumOutcome(path, product(path, "spectrum"), stored, _point(fields, frame, production))


def _arc(
    frame: Frame, known: list[StoredArc], settings: Settings, instruments: Instruments, log: logging.Logger
) -> tuple[StoredArc | None, Frame | None]:
    """The arc that suits the frame, opened; the next best one where it cannot be read."""
    assert settings.archive_dir is not None
    left = {stored.sha256: stored for stored in known}
    while choice := choose_arc(frame.identity, [(stored, stored.identity) for stored in left.values()]):
        stored = choice.arc
        try:
            arc = open_frame(settings.archive_dir / stored.path, instruments)
        except (ProcessorError, OSError) as error:
            log.warning("the arc %s is of no use: %s", stored.path, error)
            del left[stored.sha256]
        else:
            log.info("arc %s, %s", stored.path, choice.words)
            return stored, arc
    return None, None


def _without(path: Path, stored: StoredArc | None, frame: Frame, production: str, reason: str) -> SpectrumOutcome:
    withdraw(path)  # one of before, with other masters
    fields: dict[str, Field] = {"made": False, "flags": _NO_SPECTRUM, "reason": reason[:500]}
    return SpectrumOutcome(path, None, stored, _point(fields, frame, production))


def _say(made: SpectrumProduct, log: logging.Logger) -> None:
    numbers = ", ".join(f"{name} {value:.3g}" for name, value in made.numbers().items())
    log.info("%s: %s", made.path.name, numbers)
    if made.flags:
        log.warning("flags of the spectrum: %s", " ".join(made.flags))
    for reason in made.reasons:
        log.warning("%s", reason)


def _point(fields: dict[str, Field], frame: Frame, production: str) -> Point:
    identity = frame.identity
    tags = {**tags_of(frame), "production": production}
    return Point("spectrum", whole({**fields, "expid": identity.expid}, NUMBERS), tags, observed_ns(identity.date_obs))
