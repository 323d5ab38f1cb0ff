"""Reducing a frame: raw pixels and masters in, SCI, VAR and MASK planes with their provenance out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from processors.card_text import Card
from processors.cards import Header
from processors.errors import BadFrame
from processors.fits import Frame, ProductHDU, sha256_of, write_product
from processors.geometry import DetectorSetup
from processors.isr import remove_signature
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
    """A reduced frame on disk. `flags`: NOBIAS, NOFLAT for a missing calibration, QUICKLOOK, and those of the frame."""

    path: Path
    inputs: tuple[InputRef, ...]
    detectors: tuple[str, ...]
    flags: tuple[str, ...]

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
    software: str = "nightferry",
    sha256: str | None = None,
) -> Reduced:
    """Remove the instrument's signature from every detector of a frame and write the product to `path`.

    Planes per detector: SCI (e-, float32), VAR (e-², float32), MASK (uint16, bits of `planes.Mask`). Without a bias or
    flat the step is left out and flagged.

    Parameters
    ----------
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
    inputs = [InputRef(frame.path.name, sha256 or sha256_of(frame.path))]
    flags = list(frame.identity.flags)
    approximation = quick_look(frame.headers[0])
    if approximation:
        flags.append("QUICKLOOK")
    for master, role, flag in ((bias, "bias", "NOBIAS"), (flat, "flat", "NOFLAT")):
        if master is None:
            flags.append(flag)
        else:
            inputs.append(InputRef(master.path.name, master.sha256, role))
    cards = [
        *_kept(frame.headers[0], _KEPT),
        *[card for card in identity_cards(frame.identity) if card[0] not in _KEPT],
        *provenance_cards("reduced", software, inputs, ()),
        ("NFFLAGS", " ".join(flags), "what is odd about it"),
    ]
    if approximation:
        cards.append(("NFQLOOK", approximation, "made from a quick look of the frame"))
    scale = frame.instrument.pixel_scale_arcsec(frame.headers)
    if scale is not None:
        cards.append(("PIXSCALE", scale, "arcsec per pixel"))
    write_product(path, cards, _planes(frame, bias, flat))
    return Reduced(path, tuple(inputs), tuple(setup.detector for setup in frame.setups), tuple(flags))


def _planes(frame: Frame, bias: Master | None, flat: Master | None) -> Iterator[ProductHDU]:
    for setup in frame.setups:
        made = remove_signature(
            frame.image(setup),
            setup,
            None if bias is None else bias.plane(setup.detector),
            None if flat is None else flat.plane(setup.detector),
        )
        names: list[Card] = [("NFDET", setup.detector, "detector")]
        for amplifier, level in zip(setup.amplifiers, made.overscan_adu, strict=True):
            names += [
                (f"NF {amplifier.name} OVERSCAN", level, "median overscan level, ADU"),
                (f"NF {amplifier.name} GAIN", amplifier.gain_e_adu, "e-/ADU"),
                (f"NF {amplifier.name} RDNOISE", amplifier.read_noise_e, "e-"),
            ]
        wcs = _wcs(frame.headers[setup.hdu], setup)
        yield ProductHDU(f"{setup.detector}-SCI", made.sci, (("BUNIT", "electron", ""), *names, *wcs))
        yield ProductHDU(f"{setup.detector}-VAR", made.var, (("BUNIT", "electron2", ""), names[0]))
        yield ProductHDU(f"{setup.detector}-MASK", made.mask, (names[0], *MASK_CARDS))


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
