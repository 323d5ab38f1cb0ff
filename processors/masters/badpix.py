"""The bad-pixel master: what masters of one detector say about its pixels, as mask planes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.card_text import Card
from processors.errors import BadFrame, NoCalibration
from processors.fits import ProductHDU, write_product
from processors.masters.cosmetics import dead_pixels, grow_columns, hot_pixels, unstable_pixels
from processors.masters.file import Master, key_cards, read_master
from processors.masters.inputs import LIT_KINDS
from processors.masters.ref import CalibrationKey
from processors.planes import MASK_CARDS, Mask
from processors.provenance import InputRef, provenance_cards

SOURCES: Final = frozenset({"bias", "dark", "flat", "skyflat"})  # kinds of masters that say something of pixels
_FEWEST_DARKS: Final = 10  # that tell a pixel that flickers from one that cosmic rays hit
_BITS: Final = {"hot": Mask.HOT, "unstable": Mask.HOT, "dead": Mask.BAD}


@dataclass(frozen=True, slots=True)
class Limits:
    """What is bad: dark current by so many σ and so many e-/s above the surroundings, response against them."""

    hot_sigmas: float = 8.0
    hot_e_s: float = 0.1
    low_response: float = 0.5
    high_response: float = 2.0


def build_badpix(
    masters: Sequence[Master], path: Path | str, limits: Limits | None = None, *, software: str = "nightferry"
) -> Master:
    """Find the bad pixels in masters of one instrument and readout, and write a master of kind `badpix` to `path`.

    From darks: hot pixels, and with ten inputs or more unstable ones (bit HOT). From biases, five or more: unstable
    ones (HOT). From flats: pixels of a wrong response, or of none that is known (BAD). Columns that are bad in
    stretches are bad all along these. A plane MASK (uint16, bits of `planes.Mask`) for each detector of the earliest
    master; a detector that another master lacks is judged by the rest.

    Raises
    ------
    NoCalibration
        No master is given, or one says nothing of pixels.
    BadFrame
        They are not of one instrument, readout, and detector, or their planes have different shapes.
    """
    path, limits = Path(path), limits or Limits()
    key = _common_key(masters)
    ordered = sorted(masters, key=lambda master: (master.date_obs, master.path.name))
    inputs = [InputRef(master.path.name, master.sha256, master.key.kind) for master in ordered]
    cards = [
        *key_cards(key, ordered[len(ordered) // 2].date_obs),
        *provenance_cards("badpix", software, inputs, ()),
        ("NFHOTSIG", limits.hot_sigmas, "hot: sigma above the surroundings"),
        ("NFHOTMIN", limits.hot_e_s, "hot: e-/s above the surroundings"),
        ("NFRESPLO", limits.low_response, "lowest response of a sound pixel"),
        ("NFRESPHI", limits.high_response, "highest response of a sound pixel"),
    ]
    write_product(path, cards, _planes(ordered, limits))
    return read_master(path)


def judge(master: Master, detector: str, limits: Limits) -> dict[str, NDArray[np.bool_]]:
    """What a master finds on a detector: `hot`, `unstable`, `dead` pixels, whichever its kind can tell."""
    value = master.plane(detector)
    if master.key.kind in LIT_KINDS:
        return {"dead": grow_columns(dead_pixels(value, limits.low_response, limits.high_response))}
    variance, count = master.plane(detector, "VAR"), master.plane(detector, "COUNT")
    if master.key.kind == "bias":
        return {"unstable": unstable_pixels(variance, count)}
    shot = value / np.float32(master.exptime_s) if master.exptime_s > 0 else 0.0
    return {
        "hot": grow_columns(hot_pixels(value, variance, limits.hot_sigmas, limits.hot_e_s)),
        "unstable": unstable_pixels(variance, count, shot, _FEWEST_DARKS),
    }


def _planes(masters: Sequence[Master], limits: Limits) -> Iterator[ProductHDU]:
    for detector in masters[0].detectors:
        found: dict[str, NDArray[np.bool_]] = {}
        for master in masters:
            if detector in master.detectors:
                for what, pixels in judge(master, detector, limits).items():
                    if what in found and found[what].shape != pixels.shape:
                        raise BadFrame(f"{master.path.name}, detector {detector}: another shape than the other masters")
                    found[what] = found.get(what, False) | pixels
        if len({pixels.shape for pixels in found.values()}) != 1:
            raise BadFrame(f"detector {detector}: the masters have different shapes")
        mask = np.zeros(next(iter(found.values())).shape, np.uint16)
        counts: list[Card] = []
        for what, pixels in found.items():
            mask |= np.where(pixels, np.uint16(_BITS[what]), np.uint16(0))
            counts.append((f"NF{what.upper()[:6]}", int(np.count_nonzero(pixels)), f"{what} pixels"))
        yield ProductHDU(f"{detector}-MASK", mask, (("NFDET", detector, "detector"), *counts, *MASK_CARDS))


def _common_key(masters: Sequence[Master]) -> CalibrationKey:
    useless = [m for m in masters if m.key.kind not in SOURCES or m.key.mode == "spectroscopy"]
    if useless or not masters:
        which = f"{useless[0].path.name} says nothing" if useless else "there is no master to say anything"
        raise NoCalibration(f"{which} of bad pixels: give masters of biases, darks or flats of images")
    keys = [_bare(master.key) for master in masters]
    if len({replace(key, night="") for key in keys}) != 1:
        raise BadFrame("the masters are not of one instrument, readout and detector")
    return sorted(keys)[len(keys) // 2]


def _bare(key: CalibrationKey) -> CalibrationKey:
    """The key of a bad-pixel mask: no light, no filter."""
    return replace(key, kind="badpix", filter="", mode="", slit="")
