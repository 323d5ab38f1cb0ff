"""A calibrated image of the sky looked at: seeing, sky, and cosmic rays into its mask."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from processors.cosmics.find import find_cosmics
from processors.cosmics.options import CosmicOptions
from processors.isr.signature import Calibrated
from processors.photometry.quick import quick_look
from processors.planes import Mask
from processors.reduction.measures import Measures

_SHARPER: Final = 0.85  # the sharpest stars of an image against their median


@dataclass(frozen=True, slots=True)
class Steps:
    """What a reduction does after the instrument's signature is gone; an image of the sky is looked at, no spectrum."""

    cosmics: bool = True
    quality: bool = True


def inspect_detector(
    made: Calibrated,
    detector: str,
    read_noise_e: float,
    scale_arcsec: float | None,
    steps: Steps,
) -> Measures:
    """Look at a calibrated image of the sky. The mask of `made` gets COSMIC where a cosmic ray struck.

    What cannot be measured is NaN, with its reason among the measures; that is no error. The seeing comes first: what
    is sharper than the stars can be a cosmic ray.

    Raises
    ------
    BadFrame
        Values that are no numbers outside the mask.
    """
    measures = Measures(detector)
    look = quick_look(made.sci, made.mask, scale_arcsec) if steps.quality or steps.cosmics else None
    if steps.quality and look is not None:
        sky, seeing = look.sky, look.seeing
        measures = replace(
            measures,
            sky_e=sky.level_e,
            sky_sigma_e=sky.sigma_e,
            sky_gradient_e=sky.gradient_e,
            seeing_arcsec=seeing.fwhm_arcsec,
            fwhm_px=seeing.fwhm_px,
            fwhm_scatter_px=seeing.scatter_px,
            ellipticity=seeing.ellipticity,
            angle_rad=seeing.angle_rad,
            stars=seeing.number,
            reasons=tuple(dict.fromkeys(reason for reason in (sky.reason, seeing.reason) if reason)),
        )
    if steps.cosmics and look is not None:
        fwhm = look.seeing.fwhm_px
        options = CosmicOptions(psf_fwhm_px=_SHARPER * fwhm if math.isfinite(fwhm) else None)
        struck = find_cosmics(made.sci, read_noise_e, made.mask, options)
        made.mask[struck.mask] |= np.uint16(Mask.COSMIC)
        measures = replace(measures, cosmics=struck.count, cosmic_pixels=int(np.count_nonzero(struck.mask)))
    return measures
