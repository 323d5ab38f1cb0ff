"""The detectors of a frame, one after the other or several at once, from raw pixels to planes and measures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from processors.astrometry.epoch import epoch_of
from processors.astrometry.header_wcs import read_wcs
from processors.astrometry.plane import ImagePlane
from processors.card_text import Card
from processors.cards import Header
from processors.catalogue.catalogue import Catalogue
from processors.catalogue.reference import Reference
from processors.errors import BadFrame
from processors.fits import Frame
from processors.geometry import DetectorSetup, with_gains
from processors.isr.plane_pool import PlanePool
from processors.isr.signature import Calibrated, Planes, remove_signature
from processors.masters.build import Master
from processors.ordered import in_order
from processors.reduction.inspect import Steps, inspect_detector
from processors.reduction.measures import Measures
from processors.reduction.place import Place, place_detector
from processors.reduction.trimmed_wcs import trimmed_wcs


@dataclass(frozen=True, slots=True)
class Masters:
    """The masters of one reduction, by role."""

    bias: Master | None = None
    dark: Master | None = None
    flat: Master | None = None
    fringe: Master | None = None
    badpix: Master | None = None

    def used(self) -> Iterator[tuple[str, Master]]:
        """Those that are there, with their roles."""
        for role in ("bias", "dark", "flat", "fringe", "badpix"):
            master = getattr(self, role)
            if master is not None:
                yield role, master


@dataclass(frozen=True, slots=True)
class ReducedDetector:
    """A detector that is done: its planes, what was measured on them, the cards of its solution on the sky."""

    setup: DetectorSetup
    made: Calibrated
    measures: Measures
    wcs: tuple[Card, ...]


def reduce_detectors(
    frame: Frame,
    masters: Masters,
    gains: Mapping[str, Mapping[str, float]],
    steps: Steps,
    reference: Reference | None,
    threads: int = 1,
) -> Iterator[ReducedDetector]:
    """Reduce the detectors of a frame, in their order. The planes hold until the next one is asked for.

    Raises
    ------
    BadFrame
        A section, card or pixel is impossible, or a master does not fit.
    NoCalibration
        A master lacks one of the frame's detectors.
    BadCatalogue
        The reference catalogue cannot be read.
    """
    scale = frame.instrument.pixel_scale_arcsec(frame.headers)
    sky = frame.identity.mode == "imaging"
    catalogue = _catalogue(frame, reference) if reference is not None and sky else None
    pool = PlanePool()

    def reduced(given: DetectorSetup) -> ReducedDetector:
        setup = with_gains(given, gains.get(given.detector, {}))
        made = _calibrated(frame, setup, masters, pool.take(setup))
        cards = tuple(trimmed_wcs(frame.headers[setup.hdu], setup))
        if not sky:
            return ReducedDetector(setup, made, Measures(setup.detector), cards)
        read_noise_e = max(amplifier.read_noise_e for amplifier in setup.amplifiers)
        measures = inspect_detector(made, setup.detector, read_noise_e, scale, steps)
        if reference is not None and catalogue is None:
            measures = replace(measures, reasons=(*measures.reasons, "no header has a solution on the sky"))
        elif reference is not None and catalogue is not None:
            place = Place(catalogue, reference.band(frame.identity.filter), reference.search_arcsec)
            measures, cards = place_detector(made, measures, scale, frame.identity.exptime_s, cards, place)
        return ReducedDetector(setup, made, measures, cards)

    for done in in_order(reduced, frame.setups, threads):
        yield done
        pool.give_back((done.made.sci, done.made.var, done.made.mask))


def _calibrated(frame: Frame, setup: DetectorSetup, masters: Masters, out: Planes) -> Calibrated:
    detector, used = setup.detector, dict(masters.used())
    return remove_signature(
        frame.image(setup),
        setup,
        used["bias"].plane(detector) if "bias" in used else None,
        used["flat"].plane(detector) if "flat" in used else None,
        used["badpix"].mask(detector) if "badpix" in used else None,
        dark_e_s=used["dark"].plane(detector) if "dark" in used else None,
        exptime_s=frame.identity.exptime_s,
        fringe=used["fringe"].plane(detector) if "fringe" in used else None,
        out=out,
    )


def _catalogue(frame: Frame, reference: Reference) -> Catalogue | None:
    """Stars around all detectors that have a solution; None without one."""
    cones = []
    for setup in frame.setups:
        cards = trimmed_wcs(frame.headers[setup.hdu], setup)
        try:
            wcs = read_wcs(Header.of({keyword: value for keyword, value, _ in cards}))
        except BadFrame:
            continue
        if wcs is not None:
            cones.append(ImagePlane.of(wcs, setup.shape).cone(reference.search_arcsec / 3600))
    return reference.around(cones, epoch_of(frame.headers)) if cones else None
