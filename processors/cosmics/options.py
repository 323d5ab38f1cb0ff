"""How cosmic rays are looked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from processors.planes import Mask

EVERY_BIT: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class CosmicOptions:
    """Thresholds of the Laplacian search and of the two tests of objects after it.

    `sigma_clip`, `sigma_fraction`, `object_limit`, `iterations`: the four numbers of L.A.Cosmic (van Dokkum 2001, PASP
    113, 1420, §3 and 4). `least_significance`: signal-to-noise an object must have in all, which noise peaks do not
    (`processors.cosmics.significance`); 0 leaves the test out. `psf_fwhm_px`: the sharpest seeing to be expected in the
    frame, pixels; what is not steeper than such a star is then no cosmic ray (`processors.cosmics.gradient`); None
    leaves the test out. `avoid`: mask bits of pixels that are never called cosmic rays, by default all but COSMIC
    itself. `threads`: bands of rows worked on at the same time; the result does not depend on it.

    Raises:
        ValueError: a threshold that is not a number, a seeing that is not positive, no iteration or no thread.
    """

    sigma_clip: float = 4.0
    sigma_fraction: float = 0.3
    object_limit: float = 5.0
    iterations: int = 4
    least_significance: float = 6.0
    psf_fwhm_px: float | None = None
    avoid: int = EVERY_BIT & ~int(Mask.COSMIC)
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse what would leave every test unpassed, or passed, without a word."""
        thresholds = (self.sigma_clip, self.sigma_fraction, self.object_limit, self.least_significance)
        if not all(0 <= each < math.inf for each in thresholds):
            raise ValueError(f"thresholds for cosmic rays are impossible: {thresholds}")
        if self.psf_fwhm_px is not None and not 0 < self.psf_fwhm_px < math.inf:
            raise ValueError(f"a seeing of {self.psf_fwhm_px} pixels is impossible")
        if self.iterations < 1 or self.threads < 1:
            raise ValueError("at least one iteration and one thread are needed to look for cosmic rays")


PUBLISHED: Final = CosmicOptions(sigma_clip=4.5, least_significance=0.0)  # L.A.Cosmic alone, with its usual thresholds
