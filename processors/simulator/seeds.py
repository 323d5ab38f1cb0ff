"""Independent streams of random numbers, one per thing that is random, so that frames can be made in any order."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a stream is for. The numbers are part of what a seed means: never change or reuse one."""

    CAMERA = 1
    PATTERN = 2
    PLAN = 3
    WEATHER = 4
    FIELD = 5
    BIAS = 6
    PHOTONS = 7
    COSMICS = 8
    READ = 9
    HOUSEKEEPING = 10


def generator(stream: Stream, seed: int, *key: int) -> np.random.Generator:
    """A generator that depends on the seed, the stream and a key (night, exposure, detector, …) and on nothing else."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, int(stream), *key])))
