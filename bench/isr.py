"""Reduction of a DECam-size CCD (2160 x 4146, uint16) on one core: ours, what memory allows, numpy and ccdproc.

Run as `python bench/isr.py [--quick] [--json]`. Milliseconds, alternately in every round.

Rows
----
isr.copy
    Raw to SCI, VAR and MASK with overscan, bias, flat and bad-pixel mask, against a pass over the same arrays that only
    moves their bytes: `ratio` 0.67 would be 1.5 times its time. Both fill arrays that are used again.
isr.copy.plain, isr.copy.dark
    The same without a bad-pixel mask, and with dark and mask too.
isr.fresh
    Into arrays made anew each time, against arrays used again: what the system's zeroing of fresh memory costs.
isr.numpy
    Plain numpy float32, the same planes (`most_apart` is the largest difference of SCI, e-).
isr.ccdproc
    ccdproc, amplifier by amplifier: overscan, trim, uncertainty, bias, gain, flat; it makes no mask.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from numpy.typing import NDArray

from bench.rig.command import parser, show_all
from bench.rig.decam import GAINS, OVERSCAN, PRESCAN, READ_NOISE, detector
from bench.rig.rows import Row, row
from processors.geometry import Amplifier, DetectorSetup, Section
from processors.isr.signature import Planes, empty_planes, remove_signature
from processors.kernels import kernel

HEIGHT, WIDTH, SATURATION = 4096, 2048, 60000.0
HALF, EDGE = WIDTH // 2, OVERSCAN + PRESCAN
Array = NDArray[Any]


def decam() -> DetectorSetup:
    """Two amplifiers, each with its overscan at its outer edge."""
    overscans = PRESCAN, EDGE + WIDTH
    amplifiers = []
    for number, name in enumerate("AB"):
        first = EDGE + number * HALF
        amplifiers.append(
            Amplifier(
                name,
                Section(first, first + HALF, 0, HEIGHT),
                Section(overscans[number], overscans[number] + OVERSCAN, 0, HEIGHT),
                True,
                GAINS[number],
                READ_NOISE,
                SATURATION,
                Section(number * HALF, (number + 1) * HALF, 0, HEIGHT),
            )
        )
    return DetectorSetup("1", 0, tuple(amplifiers), (HEIGHT, WIDTH), ())


class Scene:
    """A raw CCD and its calibrations."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self.setup = decam()
        self.raw = detector(1000.0, rng)
        self.bias = rng.normal(0, 1, self.setup.shape).astype(np.float32)
        self.flat = rng.normal(1, 0.01, self.setup.shape).astype(np.float32)
        self.dark = rng.normal(0.01, 0.001, self.setup.shape).astype(np.float32)
        self.bad = (rng.random(self.setup.shape) < 1e-3).astype(np.uint16)
        self.out = empty_planes(self.setup)

    def ours(self, out: Planes | None = None, **more: Any) -> Any:
        """Our reduction."""
        return remove_signature(self.raw, self.setup, self.bias, self.flat, out=out, **more)


@kernel
def _moved(raw: Any, bias: Any, flat: Any, dark: Any, bad: Any, sci: Any, var: Any, mask: Any) -> None:
    """Read and write every byte of the same arrays, overscans aside; the additions keep the reads alive."""
    for y in range(sci.shape[0]):
        R, B, F = raw[y, EDGE : EDGE + WIDTH], bias[y], flat[y]
        S, V, M = sci[y], var[y], mask[y]
        if dark is not None:
            D = dark[y]
        if bad is not None:
            K = bad[y]
        for x in range(WIDTH):
            S[x] = np.float32(R[x]) + B[x]
            if dark is not None:
                V[x] = F[x] + D[x]
            else:
                V[x] = F[x]
            if bad is not None:
                M[x] = K[x]
            else:
                M[x] = R[x]


def plain_numpy(scene: Scene) -> Planes:
    """The same formulae as whole-array operations, float32."""
    sci, mask = np.empty(scene.setup.shape, np.float32), scene.bad.copy()
    noise2 = np.empty(WIDTH, np.float32)
    for a in scene.setup.amplifiers:
        assert a.overscan is not None
        place, data = a.trimmed.slices, scene.raw[a.data.slices]
        level = np.median(scene.raw[a.overscan.slices], axis=1).astype(np.float32)
        mask[place][data >= a.saturation_adu] |= np.uint16(2)
        sci[place] = (data.astype(np.float32) - level[:, None] - scene.bias[place]) * np.float32(a.gain_e_adu)
        noise2[place[1]] = a.read_noise_e**2
    usable = np.isfinite(scene.flat) & (scene.flat > 0.02)
    mask[~usable] |= np.uint16(4)
    divisor = np.where(usable, scene.flat, np.float32(1))
    var = (np.maximum(sci, 0) + noise2) / divisor**2
    sci /= divisor
    mask[~np.isfinite(sci)] |= np.uint16(8)
    return sci, var, mask


def by_ccdproc(scene: Scene) -> list[Any]:
    """ccdproc's steps of the same reduction."""
    import astropy.units as u
    import ccdproc
    from astropy.nddata import CCDData

    made = []
    for a in scene.setup.amplifiers:
        assert a.overscan is not None
        gain = a.gain_e_adu * u.electron / u.adu
        image = CCDData(scene.raw[:HEIGHT], unit="adu")
        over = image[:, a.overscan.x0 : a.overscan.x1]
        image = ccdproc.subtract_overscan(image, overscan=over, overscan_axis=1, median=True)
        image = ccdproc.trim_image(image[:, a.data.x0 : a.data.x1])
        image = ccdproc.create_deviation(image, gain=gain, readnoise=READ_NOISE * u.electron, disregard_nan=True)
        image = ccdproc.subtract_bias(image, CCDData(scene.bias[a.trimmed.slices], unit="adu"))
        image = ccdproc.gain_correct(image, gain)
        made.append(ccdproc.flat_correct(image, CCDData(scene.flat[a.trimmed.slices], unit="")))
    return made


def alternate(steps: Mapping[str, Callable[[], Any]], rounds: int, inner: int = 3) -> dict[str, list[float]]:
    """Milliseconds of each step by round, the best of `inner` in a row; each has run once before."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            best = np.inf
            for _ in range(inner):
                begun = time.perf_counter()
                step()
                best = min(best, time.perf_counter() - begun)
            times[name].append(1e3 * best)
    return times


def measure(*, quick: bool) -> Iterator[Row]:
    """All rows."""
    scene = Scene()
    out, other = scene.out, empty_planes(scene.setup)
    masked: dict[str, Any] = {"bad": scene.bad}
    dark: dict[str, Any] = {**masked, "dark_e_s": scene.dark, "exptime_s": 90.0}

    def moved(with_dark: bool, with_bad: bool) -> None:
        plane, bits = scene.dark if with_dark else None, scene.bad if with_bad else None
        _moved(scene.raw, scene.bias, scene.flat, plane, bits, *other)

    steps: dict[str, Callable[[], Any]] = {
        "masked": lambda: scene.ours(out, **masked),
        "masked moved": lambda: moved(False, True),
        "plain": lambda: scene.ours(out),
        "plain moved": lambda: moved(False, False),
        "dark": lambda: scene.ours(out, **dark),
        "dark moved": lambda: moved(True, True),
        "fresh": lambda: scene.ours(**masked),
    }
    fast = alternate(steps, 5 if quick else 15)
    size = {"megapixels": round(scene.raw.size / 1e6, 2)}
    yield row("isr.copy", fast["masked"], fast["masked moved"], "bytes moved", "ms", less=True, **size)
    yield row("isr.copy.plain", fast["plain"], fast["plain moved"], "bytes moved", "ms", less=True, **size)
    yield row("isr.copy.dark", fast["dark"], fast["dark moved"], "bytes moved", "ms", less=True, **size)
    yield row("isr.fresh", fast["masked"], fast["fresh"], "fresh arrays", "ms", less=True, **size)
    apart = float(np.abs(plain_numpy(scene)[0] - scene.ours(**masked).sci).max())
    slow: dict[str, Callable[[], Any]] = {"numpy": lambda: plain_numpy(scene), "ccdproc": lambda: by_ccdproc(scene)}
    for name, step in slow.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ccdproc: divisions by the zeros of others
            times = alternate({"ours": steps["masked"], name: step}, 2 if quick else 5, 1)
        more = {"most_apart": round(apart, 4)} if name == "numpy" else {}
        yield row(f"isr.{name}", times["ours"], times[name], name, "ms", less=True, **size, **more)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, "fewer rounds; below 45 s").parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    show_all(measure(quick=options.quick), options)


if __name__ == "__main__":
    main()
