"""Reducing a frame: raw pixels and masters in, SCI, VAR and MASK planes with their provenance out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from processors.card_text import Card
from processors.cards import Header
from processors.errors import BadFrame
from processors.fits import Frame, ProductHDU, sha256_of, write_product
from processors.geometry import DetectorSetup, with_gains
from processors.isr import Calibrated, Planes, empty_planes, remove_signature
from processors.masters import Master
from processors.planes import MASK_CARDS
from processors.provenance import InputRef, identity_cards, provenance_cards, quick_look

# Cards of the raw header that a reduced frame keeps; sections, checksums and structure no longer hold.
_KEPT = (
    "TELESCOP",
    "INSTRUME",
    "OBJECT",
    "RA",
    "DEC",
    "EQUINOX",
    "RADESYS",
    "MJD-OBS",
    "DATE-OBS",
    "AIRMASS",
    "PROPID",
)
_WCS = ("WCSAXES", "CTYPE1", "CTYPE2", "CUNIT1", "CUNIT2", "CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")


@dataclass(frozen=True, slots=True)
class Reduced:
    """A reduced frame on disk.

    `flags`: NOBIAS, NOFLAT, NODARK for a missing calibration (darks only where the instrument file says that they are
    needed), QUICKLOOK, and those of the frame.
    """

    path: Path
    inputs: tuple[InputRef, ...]
    detectors: tuple[str, ...]
    flags: tuple[str, ...]

    @property
    def calibrations(self) -> tuple[InputRef, ...]:
        """The masters among the inputs."""
        return tuple(given for given in self.inputs if given.role != "frame")


@dataclass(frozen=True, slots=True)
class _Masters:
    """The masters of one reduction, by role."""

    bias: Master | None
    flat: Master | None
    dark: Master | None
    fringe: Master | None
    badpix: Master | None

    def used(self) -> Iterator[tuple[str, Master]]:
        """Those that are there, with their roles."""
        for role in ("bias", "dark", "flat", "fringe", "badpix"):
            master = getattr(self, role)
            if master is not None:
                yield role, master


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
    software: str = "nightferry",
    sha256: str | None = None,
) -> Reduced:
    """Remove the instrument's signature from every detector of a frame and write the product to `path`.

    Planes per detector: SCI (e-, float32), VAR (e-², float32), MASK (uint16, bits of `planes.Mask`). Without a bias or
    flat (or dark, where the instrument needs one) the step is left out and flagged.

    Parameters
    ----------
    dark : e-/s; it is scaled by the frame's exposure time
    fringe : scaled to what is seen of it in the sky
    gains : e-/ADU by detector and amplifier, measured ones that stand in for those of the header or instrument file
    sha256 : of the frame's bytes, where known; computed otherwise

    Raises
    ------
    BadFrame
        A section, card or pixel is impossible, or a master does not fit.
    NoCalibration
        A master lacks one of the frame's detectors.
    """
    path = Path(path)
    if not frame.setups:
        raise BadFrame("it holds none of the instrument's detectors")
    masters = _Masters(bias, flat, dark, fringe, bad_pixels)
    inputs = [InputRef(frame.path.name, sha256 or sha256_of(frame.path))]
    inputs += [InputRef(master.path.name, master.sha256, role) for role, master in masters.used()]
    approximation = quick_look(frame.headers[0])
    flags = _flags(frame, masters, approximation)
    cards = [
        *_kept(frame.headers[0], _KEPT),
        *[card for card in identity_cards(frame.identity) if card[0] not in _KEPT],
        *provenance_cards("reduced", software, inputs, ()),
        ("NFFLAGS", " ".join(flags), "what is odd about it"),
    ]
    if approximation:
        cards.append(("NFQLOOK", approximation, "made from a quick look of the frame"))
    if gains:
        cards.append(("NFGAINS", " ".join(sorted(gains)), "detectors whose gains were given, not read"))
    scale = frame.instrument.pixel_scale_arcsec(frame.headers)
    if scale is not None:
        cards.append(("PIXSCALE", scale, "arcsec per pixel"))
    write_product(path, cards, _planes(frame, masters, gains or {}))
    return Reduced(path, tuple(inputs), tuple(setup.detector for setup in frame.setups), tuple(flags))


def _flags(frame: Frame, masters: _Masters, approximation: str) -> list[str]:
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


def _planes(frame: Frame, masters: _Masters, gains: Mapping[str, Mapping[str, float]]) -> Iterator[ProductHDU]:
    planes: Planes | None = None  # a product is written detector by detector, so that all of them can share these
    for given in frame.setups:
        setup = with_gains(given, gains.get(given.detector, {}))
        if planes is None or planes[0].shape != setup.shape:
            planes = empty_planes(setup)
        detector, used = setup.detector, dict(masters.used())
        made = remove_signature(
            frame.image(setup),
            setup,
            used["bias"].plane(detector) if "bias" in used else None,
            used["flat"].plane(detector) if "flat" in used else None,
            used["badpix"].mask(detector) if "badpix" in used else None,
            dark_e_s=used["dark"].plane(detector) if "dark" in used else None,
            exptime_s=frame.identity.exptime_s,
            fringe=used["fringe"].plane(detector) if "fringe" in used else None,
            out=planes,
        )
        names = _detector_cards(setup, made)
        wcs = _wcs(frame.headers[setup.hdu], setup)
        yield ProductHDU(f"{detector}-SCI", made.sci, (("BUNIT", "electron", ""), *names, *wcs))
        yield ProductHDU(f"{detector}-VAR", made.var, (("BUNIT", "electron2", ""), names[0]))
        yield ProductHDU(f"{detector}-MASK", made.mask, (names[0], *MASK_CARDS))


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


def _kept(header: Header, keywords: tuple[str, ...]) -> list[Card]:
    return [(keyword, header[keyword], "") for keyword in keywords if keyword in header]


def _wcs(header: Header, setup: DetectorSetup) -> list[Card]:
    """The header's WCS with its reference pixel moved by what was trimmed, where the trimming is a mere shift."""
    shifts = {(a.data.x0 - a.trimmed.x0, a.data.y0 - a.trimmed.y0) for a in setup.amplifiers}
    if len(shifts) != 1 or not str(header.get("CTYPE1", "")).startswith("RA--"):
        return []
    dx, dy = next(iter(shifts))
    cards = _kept(header, _WCS)
    cards += [card for card in ((k, header[k], "") for k in header if k[:2] in {"PV", "LO"} and k[2:3].isdigit())]
    for keyword, shift in (("CRPIX1", dx), ("CRPIX2", dy)):
        value = header.get(keyword)
        if not isinstance(value, int | float):
            return []
        cards.append((keyword, float(value) - shift, ""))
    return cards
