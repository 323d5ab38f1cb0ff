"""Reducing a frame: raw pixels and masters in, SCI, VAR and MASK planes with their provenance out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from processors.card_text import Card
from processors.catalogue.reference import Reference
from processors.errors import BadFrame
from processors.fits import Frame, ProductHDU, sha256_of, write_product
from processors.geometry import DetectorSetup
from processors.isr.signature import Calibrated
from processors.masters.build import Master
from processors.planes import MASK_CARDS
from processors.provenance import InputRef, kept_cards, provenance_cards, quick_look
from processors.reduction.detectors import Masters, ReducedDetector, reduce_detectors
from processors.reduction.inspect import Steps
from processors.reduction.measures import Measures


@dataclass(frozen=True, slots=True)
class Reduced:
    """A reduced frame on disk.

    `flags`: NOBIAS, NOFLAT, NODARK for a missing calibration (darks only where the instrument file says that they are
    needed), QUICKLOOK, and those of the frame.
    """

    path: Path
    inputs: tuple[InputRef, ...]
    flags: tuple[str, ...]
    measures: tuple[Measures, ...]

    @property
    def detectors(self) -> tuple[str, ...]:
        """Names of the detectors, in the product's order."""
        return tuple(each.detector for each in self.measures)

    @property
    def calibrations(self) -> tuple[InputRef, ...]:
        """The masters among the inputs."""
        return tuple(given for given in self.inputs if given.role != "frame")


def reduce_frame(
    frame: Frame,
    path: Path | str,
    bias: Master | None = None,
    flat: Master | None = None,
    *,
    dark: Master | None = None,
    fringe: Master | None = None,
    bad_pixels: Master | None = None,
    gains: Mapping[str, Mapping[str, float]] | None = None,
    steps: Steps | None = None,
    reference: Reference | None = None,
    threads: int = 1,
    software: str = "nightferry",
    sha256: str | None = None,
) -> Reduced:
    """Remove the instrument's signature from every detector of a frame and write the product to `path`.

    On images of the sky, cosmic rays are marked, seeing and sky are measured, and with a reference catalogue the
    solution on the sky is improved and the zero point found (`Measures`); spectra are left as they are.

    Planes per detector: SCI (e-, float32), VAR (e-², float32), MASK (uint16, bits of `planes.Mask`). Without a bias or
    flat (or dark, where the instrument needs one) the step is left out and flagged.

    Parameters
    ----------
    dark : e-/s; it is scaled by the frame's exposure time
    fringe : scaled to what is seen of it in the sky
    gains : e-/ADU by detector and amplifier, measured ones that stand in for those of the header or instrument file
    steps : what is done besides; all of it by default
    threads : detectors at once; the product is the same for any number
    sha256 : of the frame's bytes, where known; computed otherwise

    Raises
    ------
    BadFrame
        A section, card or pixel is impossible, or a master does not fit.
    NoCalibration
        A master lacks one of the frame's detectors.
    BadCatalogue
        The reference catalogue cannot be read.
    """
    path = Path(path)
    if not frame.setups:
        raise BadFrame("it holds none of the instrument's detectors")
    masters = Masters(bias=bias, dark=dark, flat=flat, fringe=fringe, badpix=bad_pixels)
    inputs = [InputRef(frame.path.name, sha256 or sha256_of(frame.path))]
    inputs += [InputRef(master.path.name, master.sha256, role) for role, master in masters.used()]
    approximation = quick_look(frame.headers[0])
    flags = _flags(frame, masters, approximation)
    cards = [
        *kept_cards(frame.headers[0], frame.identity),
        *provenance_cards("reduced", software, inputs, ()),
        ("NFFLAGS", " ".join(flags), "what is odd about it"),
    ]
    if approximation:
        cards.append(("NFQLOOK", approximation, "made from a quick look of the frame"))
    if gains:
        cards.append(("NFGAINS", " ".join(sorted(gains)), "detectors whose gains were given, not read"))
    if reference is not None:
        cards.append(("NFREFCAT", reference.place.name, "reference catalogue"))
    scale = frame.instrument.pixel_scale_arcsec(frame.headers)
    if scale is not None:
        cards.append(("PIXSCALE", scale, "arcsec per pixel"))
    measures: list[Measures] = []
    done = reduce_detectors(frame, masters, gains or {}, steps or Steps(), reference, threads)
    write_product(path, cards, _planes(done, measures))
    return Reduced(path, tuple(inputs), tuple(flags), tuple(measures))


def _flags(frame: Frame, masters: Masters, approximation: str) -> list[str]:
    flags = list(frame.identity.flags)
    if approximation:
        flags.append("QUICKLOOK")
    if masters.bias is None:
        flags.append("NOBIAS")
    if masters.flat is None:
        flags.append("NOFLAT")
    if masters.dark is None and frame.instrument.spec.needs_dark:
        flags.append("NODARK")
    return flags


def _planes(done: Iterator[ReducedDetector], measures: list[Measures]) -> Iterator[ProductHDU]:
    """The planes of each detector; what was measured on it goes into the list."""
    for each in done:
        name, made = each.setup.detector, each.made
        measures.append(each.measures)
        cards = (*_detector_cards(each.setup, made), *each.measures.cards(), *each.wcs)
        yield ProductHDU(f"{name}-SCI", made.sci, (("BUNIT", "electron", ""), *cards))
        yield ProductHDU(f"{name}-VAR", made.var, (("BUNIT", "electron2", ""), cards[0]))
        yield ProductHDU(f"{name}-MASK", made.mask, (cards[0], *MASK_CARDS))


def _detector_cards(setup: DetectorSetup, made: Calibrated) -> list[Card]:
    cards: list[Card] = [("NFDET", setup.detector, "detector")]
    for number, amplifier in enumerate(setup.amplifiers):
        cards += [
            (f"NF {amplifier.name} OVERSCAN", made.overscan_adu[number], "median overscan level, ADU"),
            (f"NF {amplifier.name} OSTEP", made.overscan_step_adu[number], "step along the overscan, ADU"),
            (f"NF {amplifier.name} GAIN", amplifier.gain_e_adu, "e-/ADU"),
            (f"NF {amplifier.name} RDNOISE", amplifier.read_noise_e, "e-"),
        ]
    if made.fringe_scale is not None:
        cards.append(("NFFRINGE", made.fringe_scale, "factor of the fringe frame, e-"))
    return cards
