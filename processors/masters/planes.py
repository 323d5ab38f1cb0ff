"""The pixels of a master: every input calibrated and scaled, all of them combined, detector by detector."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from processors.card_text import Card
from processors.errors import BadFrame
from processors.fits import Frame, ProductHDU
from processors.geometry import DetectorSetup
from processors.isr.signature import remove_signature
from processors.masters.combine import Combined, Method, combine
from processors.masters.file import Master
from processors.masters.inputs import LIT_KINDS, SKY_KINDS, Level
from processors.masters.source_mask import source_mask
from processors.masters.surface import smooth_surface
from processors.planes import Mask

F4 = NDArray[np.float32]
_ALL_IN_MEMORY: Final = 256e6  # bytes of calibrated images; beyond it they wait in scratch files
_UNITS: Final = {"bias": "adu", "dark": "electron/s"}
_LOWEST_FLAT: Final = np.float32(0.02)
_UNUSABLE: Final = np.uint16(Mask.SATURATED | Mask.BLEED | Mask.CROSSTALK | Mask.NOT_A_NUMBER)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How inputs become a master.

    `method` mean or median of what is within `low` and `high` σ (see `combine`). `illumination`: of flats, whether the
    large-scale shape of the light stays in (`keep`), or only the pixels' own response (`remove`).
    """

    method: Method = "mean"
    low: float = 3.0
    high: float = 3.0
    illumination: Literal["keep", "remove"] = "keep"

    @property
    def cards(self) -> list[Card]:
        """What the product says of it."""
        return [
            ("NFMETHOD", self.method, "of what was kept"),
            ("NFCLIPLO", self.low, "clipped below the median, sigma"),
            ("NFCLIPHI", self.high, "clipped above the median, sigma"),
        ]


@dataclass(frozen=True, slots=True)
class Calibrations:
    """Masters that the inputs are calibrated with before they are combined."""

    bias: Master | None = None
    dark: Master | None = None
    flat: Master | None = None

    @property
    def used(self) -> tuple[tuple[str, Master], ...]:
        """Role and master of those that there are."""
        given = (("bias", self.bias), ("dark", self.dark), ("flat", self.flat))
        return tuple((role, master) for role, master in given if master is not None)


def master_planes(
    kind: str,
    frames: Sequence[Frame],
    levels: Sequence[Level],
    calibrations: Calibrations,
    recipe: Recipe,
    scratch: Path | None = None,
    threads: int = 1,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[ProductHDU]:
    """VALUE, VAR and COUNT of each detector, one detector at a time in memory (see `masters.build_master`).

    Raises
    ------
    BadFrame
        An input cannot be read or calibrated.
    NoCalibration
        A calibration lacks a detector.
    """
    with tempfile.TemporaryDirectory(prefix="nightferry-", dir=scratch) as directory:
        for setup in _detectors(frames):
            planes = {role: master.plane(setup.detector) for role, master in calibrations.used}
            images = _images(kind, setup.detector, frames, levels, planes, directory, threads, tick)
            noise = _noise(kind, setup, levels)
            made = combine(images, recipe.method, recipe.low, recipe.high, noise, threads=threads)
            images.clear()
            yield from _extensions(setup.detector, _finished(kind, made, recipe), _UNITS.get(kind, ""))


def _detectors(frames: Sequence[Frame]) -> list[DetectorSetup]:
    """Every detector that a frame has, in order: one that the first frame lacks is in the others.

    Raises
    ------
    BadFrame
        The images of a detector have different shapes.
    """
    found: dict[str, tuple[str, DetectorSetup]] = {}
    for frame in frames:
        for setup in frame.setups:
            name, first = found.setdefault(setup.detector, (frame.path.name, setup))
            if setup.shape != first.shape:
                raise BadFrame(
                    f"detector {setup.detector}: {frame.path.name} has {setup.shape} pixels, {name} {first.shape}"
                )
    return [setup for _, setup in found.values()]


def _images(
    kind: str,
    detector: str,
    frames: Sequence[Frame],
    levels: Sequence[Level],
    planes: dict[str, F4],
    directory: str,
    threads: int,
    tick: Callable[[], None],
) -> list[F4]:
    """The calibrated image of every frame that has the detector."""

    def image(number: int) -> F4:
        made = _calibrated(kind, frames[number], detector, levels[number], planes)
        tick()
        return _spooled(made, len(frames), directory, number)

    having = [n for n, frame in enumerate(frames) if any(setup.detector == detector for setup in frame.setups)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(image, having))


def _extensions(detector: str, made: Combined, unit: str) -> Iterator[ProductHDU]:
    cards: tuple[Card, ...] = (("BUNIT", unit, ""), ("NFDET", detector, "detector"))
    yield ProductHDU(f"{detector}-VALUE", made.value, cards)
    yield ProductHDU(f"{detector}-VAR", made.variance, cards[1:])
    yield ProductHDU(f"{detector}-COUNT", made.count, cards[1:])


def _calibrated(kind: str, frame: Frame, detector: str, level: Level, planes: dict[str, F4]) -> F4:
    """An input in the master's units: bias ADU, dark e-/s, all others 1 on average; NaN where it is not to be used."""
    setup = next(setup for setup in frame.setups if setup.detector == detector)
    made = remove_signature(frame.image(setup), setup, planes.get("bias"))
    image = made.sci
    image[(made.mask & _UNUSABLE) != 0] = np.nan
    if kind == "bias":
        for amplifier in setup.amplifiers:
            image[amplifier.trimmed.slices] /= np.float32(amplifier.gain_e_adu)
        return image
    if "dark" in planes:
        image -= planes["dark"] * np.float32(level.exptime_s)
    if "flat" in planes:
        image /= np.where(planes["flat"] > _LOWEST_FLAT, planes["flat"], np.float32(np.nan))
    image /= np.float32(level.exptime_s if kind == "dark" else level.median)
    if kind in SKY_KINDS:
        image[source_mask(image)] = np.nan
    return image


def _spooled(image: F4, images: int, directory: str, number: int) -> F4:
    """The image itself, or a memory map of its copy in a scratch file when all of them are too much for the memory."""
    if image.nbytes * images <= _ALL_IN_MEMORY:
        return image
    path = Path(directory) / f"{number}.npy"
    np.save(path, image)
    mapped: F4 = np.load(path, mmap_mode="r")
    path.unlink()  # its pixels stay while they are mapped, and are gone with a process that is killed
    return mapped


def _noise(kind: str, setup: DetectorSetup, levels: Sequence[Level]) -> tuple[float, float]:
    """Variance expected of an input at zero signal and per unit of signal, in the units that are combined."""
    if kind == "bias":
        return max(amplifier.read_noise_e / amplifier.gain_e_adu for amplifier in setup.amplifiers) ** 2, 0.0
    # of inputs that differ the noisiest is expected: nothing good is clipped
    per_unit_e = min(level.exptime_s if kind == "dark" else level.median for level in levels)
    read_noise_e = max(amplifier.read_noise_e for amplifier in setup.amplifiers)
    return (read_noise_e / per_unit_e) ** 2, 1.0 / per_unit_e


def _finished(kind: str, made: Combined, recipe: Recipe) -> Combined:
    """Without the illumination, where that is asked for: a flat is divided by it, fringes stand upon it."""
    if kind == "fringe":
        return Combined(made.value - smooth_surface(made.value), made.variance, made.count)
    if kind not in LIT_KINDS or recipe.illumination == "keep":
        return made
    shape = smooth_surface(made.value)
    shape /= np.float32(np.nanmean(shape))  # the detector's own mean level stays
    return Combined(made.value / shape, made.variance / shape**2, made.count)
