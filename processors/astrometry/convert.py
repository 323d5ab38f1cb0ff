"""Convert a solution between plain TAN, SIP and TPV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from processors.astrometry.plane import ImagePlane, Tangent
from processors.astrometry.represent import HIGHEST, Form, Written, represent
from processors.errors import NoSolution

if TYPE_CHECKING:
    from astropy.wcs import WCS

TOLERANCE_PX: Final = 0.01
_ENOUGH_PX: Final = 1e-6  # a higher degree is not tried below that


def convert_wcs(wcs: WCS, shape: tuple[int, int], form: Form, tolerance_px: float = TOLERANCE_PX) -> Written:
    """The same solution in another form.

    The tangent point stays, so that a polynomial remains one. The lowest degree that is exact is taken, else the best
    that the form can hold.

    Raises
    ------
    NoSolution
        The form cannot hold it within the tolerance anywhere on the image (plain TAN of a distorted image).
    """
    tangent, crpix = _reference(wcs, shape)

    def plane_of(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return tangent.project(*wcs.all_pix2world(x, y, 0))

    best: Written | None = None
    for order in range(1, HIGHEST[form] + 1):
        written = represent(plane_of, shape, tangent, crpix, form, order)
        if best is None or written.residual_px < best.residual_px:
            best = written
        if best.residual_px < _ENOUGH_PX:
            break
    assert best is not None
    if not best.residual_px <= tolerance_px:
        raise NoSolution(
            f"{form.upper()} cannot hold this solution: {best.residual_px:.3g} px at worst, {tolerance_px:g} px allowed"
        )
    return best


def _reference(wcs: WCS, shape: tuple[int, int]) -> tuple[Tangent, tuple[float, float]]:
    """The tangent point, and the pixel on it: CRPIX, unless the distortion moves the point to another one."""
    ra, dec = (float(value) for value in wcs.wcs.crval)
    if str(wcs.wcs.ctype[0])[5:8] not in {"TAN", "TPV"}:  # elsewhere CRVAL need not be the middle of the projection
        return ImagePlane.of(wcs, shape).tangent, ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    tangent = Tangent(ra, dec)
    x, y = (float(value) - 1 for value in wcs.wcs.crpix)
    inverse = np.linalg.inv(wcs.pixel_scale_matrix)
    for _ in range(50):
        xi, eta = tangent.project(*wcs.all_pix2world(np.array([x]), np.array([y]), 0))
        dx, dy = inverse @ np.array([xi[0], eta[0]])
        x, y = x - float(dx), y - float(dy)
        if np.hypot(dx, dy) < 1e-10:
            break
    return tangent, (x, y)
