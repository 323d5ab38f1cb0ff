"""Read noise of every amplifier from pairs of biases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from processors.checks.result import CheckResult
from processors.checks.stack import groups_of, judge_stack, stacks
from processors.fits import Frame
from processors.ptc import read_noise


def check_pair_noise(frames: Sequence[Frame]) -> Iterator[CheckResult]:
    """Read noise in e- from the differences of biases that follow each other; it sees what an overscan does not."""
    for _, group in groups_of(frames, frozenset({"bias"})):
        for stack in stacks(group):
            noise = read_noise(stack.images)
            gain = stack.amplifier.gain_e_adu
            message = f"{noise.value:.2f} ± {noise.error:.2f} ADU from {noise.number} pairs of biases"
            yield judge_stack(stack, "read_noise", noise.value * gain, "e-", "RON_OOL", 1.0, message)
