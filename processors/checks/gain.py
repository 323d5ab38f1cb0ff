"""Gain of every amplifier from pairs of flats: is the header's true?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.checks.result import CheckResult
from processors.checks.stack import groups_of, judge_stack, stacks
from processors.fits import Frame
from processors.masters.combine import combine
from processors.ptc import gain, read_noise

_FLATS: Final = frozenset({"flat", "skyflat"})
_BOX: Final = 50  # pixels; small against gradients, large enough for a variance


def check_gain(frames: Sequence[Frame]) -> Iterator[CheckResult]:
    """Photon-transfer gain in e-/ADU against the header's; the instrument file's limits are for measured over header.

    Read noise and bias structure come from biases of the same readout among the frames; without them the header's read
    noise is taken.
    """
    biases = _biases(frames)
    for key, group in groups_of(frames, _FLATS):
        for stack in stacks(group):
            amplifier = stack.amplifier
            bias, noise_adu = biases.get(
                (key.instrument, key.readout, stack.detector, amplifier.name),
                (np.float32(0), amplifier.read_noise_e / amplifier.gain_e_adu),
            )
            flats = [image - bias for image in stack.images]
            box = min(_BOX, *(side // 2 for side in flats[0].shape))
            measured = gain(flats, noise_adu, box, 0.95 * amplifier.saturation_adu)
            if measured.number == 0:
                continue  # too faint or too bright to tell anything
            message = (
                f"{measured.value:.3f} ± {measured.error:.3f} e-/ADU from {len(flats)} flats, "
                f"the header says {amplifier.gain_e_adu:g}"
            )
            yield judge_stack(stack, "gain", measured.value, "e-/adu", "GAIN_OOL", amplifier.gain_e_adu, message)


def _biases(
    frames: Sequence[Frame],
) -> Mapping[tuple[str, str, str, str], tuple[NDArray[np.float32], float]]:
    """Median bias and read noise in ADU by instrument, readout, detector, amplifier."""
    found = {}
    for key, group in groups_of(frames, frozenset({"bias"})):
        for stack in stacks(group):
            structure = combine(stack.images, "median").value
            noise = read_noise(stack.images).value
            found[key.instrument, key.readout, stack.detector, stack.amplifier.name] = (structure, noise)
    return found
