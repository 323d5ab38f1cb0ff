"""Master calibrations: which inputs, how scaled, how combined, what is written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from processors.card_text import Card
from processors.errors import BadFrame, NoCalibration
from processors.fits import Frame, sha256_of, write_product
from processors.masters.associate import REDUCED
from processors.masters.file import Master, MasterKind, key_cards, read_master
from processors.masters.inputs import LIT_KINDS, SKY_KINDS, Level, choose_inputs, measure_level
from processors.masters.planes import Calibrations, Recipe, master_planes
from processors.masters.ref import CalibrationKey, key_of
from processors.night import iso
from processors.provenance import InputRef, provenance_cards

__all__ = ["Calibrations", "Master", "MasterKind", "Recipe", "build_master", "read_master"]

_FEWEST_OF_SKY: Final = 3  # frames: among fewer a star cannot be told from the sky


def build_master(
    kind: MasterKind,
    frames: Sequence[Frame],
    path: Path | str,
    bias: Master | None = None,
    *,
    dark: Master | None = None,
    flat: Master | None = None,
    recipe: Recipe | None = None,
    software: str = "nightferry",
    hashes: Mapping[Path, str] | None = None,
    scratch: Path | None = None,
    threads: int = 1,
    tick: Callable[[], None] = lambda: None,
) -> Master:
    """Combine frames that belong together into a master and write it to `path`.

    - `bias`: overscan-subtracted, trimmed, in ADU.
    - `dark`: reduced to electrons with `bias`, divided by the exposure time: e-/s.
    - `flat`, `skyflat`: reduced to electrons with `bias` (and `dark`), divided by the exposure's level over all its
      detectors, so that those of one file keep their relative sensitivity.
    - `superflat`: the same of science frames, with sources masked; with `flat` it is what that flat has left over.
    - `fringe`: a superflat less its smooth part, as a fraction of the sky.

    Without a calibration its step is left out. Per pixel, values outside the recipe's σ are rejected, and saturated
    ones do not count. Inputs that spoil the master are left out, with the reason in the product (`choose_inputs`).
    Frames may be of several nights; the master is of the night of the middle one. Planes per detector: VALUE, VAR,
    COUNT; VAR is without the noise of the calibrations, which all inputs share. Bad-pixel masks are built by
    `badpix.build_badpix`.

    Parameters
    ----------
    hashes : sha256 of the frames' bytes by path, where known; others are computed
    scratch : directory for calibrated images that do not fit into 256 MB; by default the system's for temporary files
    threads : how many share the work
    tick : called for every frame that was looked at, and for every image of a detector that was calibrated

    Raises
    ------
    BadFrame
        The frames do not belong together or cannot be read.
    NoCalibration
        No usable input is left, too few for a superflat or fringe frame, or a calibration lacks a detector.
    """
    path, recipe = Path(path), recipe or Recipe(method="median" if kind in SKY_KINDS else "mean")
    key = _common_key(kind, frames)
    levels = _levels(kind, frames, threads, tick)
    chosen, rejected = choose_inputs(kind, levels)
    if not chosen:
        why = "; ".join(f"{r.name}: {r.reason}" for r in rejected)
        raise NoCalibration(f"no usable input for a master {kind} ({why})")
    if kind in SKY_KINDS and len(chosen) < _FEWEST_OF_SKY:
        raise NoCalibration(
            f"a master {kind} of {len(chosen)} frames would keep their stars: {_FEWEST_OF_SKY} dithered ones are needed"
        )
    used = [frames[number] for number in chosen]
    kept_levels = [levels[number] for number in chosen]
    calibrations = Calibrations(
        None if kind == "bias" else bias,
        dark if kind in LIT_KINDS else None,
        flat if kind in SKY_KINDS else None,
    )
    known = hashes or {}
    inputs = [InputRef(frame.path.name, known.get(frame.path) or sha256_of(frame.path)) for frame in used]
    inputs += [InputRef(master.path.name, master.sha256, role) for role, master in calibrations.used]
    cards = [*key_cards(key, _middle(used)), *provenance_cards(kind, software, inputs, rejected), *recipe.cards]
    cards += _level_cards(kind, used, kept_levels, recipe)
    write_product(path, cards, master_planes(kind, used, kept_levels, calibrations, recipe, scratch, threads, tick))
    return read_master(path)


def _levels(kind: str, frames: Sequence[Frame], threads: int, tick: Callable[[], None]) -> list[Level]:
    def measured(frame: Frame) -> Level:
        level = measure_level(frame, kind)
        tick()
        return level

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(measured, frames))


def _common_key(kind: MasterKind, frames: Sequence[Frame]) -> CalibrationKey:
    """What all the frames share, the night aside."""
    wanted = REDUCED if kind in SKY_KINDS else {kind}
    ordered = sorted(frames, key=lambda frame: frame.identity.date_obs)
    keys = [key_of(kind, frame.identity) for frame in ordered]
    if len({replace(key, night="") for key in keys}) != 1 or any(f.identity.obstype not in wanted for f in frames):
        raise BadFrame(f"the frames are not those of one master {kind}")
    return keys[len(keys) // 2]


def _middle(frames: Sequence[Frame]) -> str:
    times = sorted(dt.datetime.fromisoformat(frame.identity.date_obs) for frame in frames)
    return iso(times[0] + (times[-1] - times[0]) / 2)


def _level_cards(kind: str, frames: Sequence[Frame], levels: Sequence[Level], recipe: Recipe) -> list[Card]:
    """Level, exposure time and temperature of the inputs, where they say something."""
    cards: list[Card] = [
        ("NFLEVEL", float(np.median([level.median for level in levels])), "median level of the inputs")
    ]
    times = [level.exptime_s for level in levels]
    if kind == "dark" or len(set(times)) == 1:
        cards.append(("NFEXPT", float(np.median(times)), "exposure time of the inputs, s"))
    known = [t for frame in frames if (t := frame.identity.temperature_c) is not None]
    if known:
        cards.append(("NFTEMP", float(np.median(known)), "median temperature of the detectors, deg C"))
    if kind in LIT_KINDS:
        cards.append(("NFILLUM", recipe.illumination, "illumination: keep or remove"))
    return cards
