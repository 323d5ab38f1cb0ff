"""Position, shape and width of single sources by adaptive moments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.kernels import kernel

F8 = NDArray[np.float64]
_ITERATIONS: Final = 40
_REACH2: Final = 16.0  # the weight ends at four of its own σ
_CORE2: Final = 3.2  # half widths are taken from pixels within 1.8 σ: above a fifth of a Gaussian's peak
_SMALLEST2: Final = 0.16  # σ² of an axis, px²
_LARGEST2: Final = 400.0
_TWICE_LN2: Final = 2 * math.log(2)


@dataclass(frozen=True, slots=True)
class Shapes:
    """Shapes of sources, arrays of one length, float64; NaN where the moments did not settle.

    `x`, `y`: centre, pixels from 0. `xx`, `xy`, `yy`: second moments of the Gaussian that fits best, px². `fwhm_px`:
    full width at half maximum, geometric mean over the axes, of the profile itself.
    """

    x: F8
    y: F8
    xx: F8
    xy: F8
    yy: F8
    fwhm_px: F8

    @property
    def found(self) -> NDArray[np.bool_]:
        """Sources whose moments settled."""
        return np.isfinite(self.xx)


def measure_shapes(
    image: NDArray[np.float32],
    refused: NDArray[Any],
    x: F8,
    y: F8,
    sigma_px: F8,
    level: F8,
    bits: int | np.uint16 = 0xFFFF,
) -> Shapes:
    """Adaptive moments of sources, from a first guess of their centre and σ.

    The weight is an elliptical Gaussian that is matched to the source until it no longer changes: the Gaussian that
    fits best (Bernstein & Jarvis 2002, AJ 123, 583, section 3; Hirata & Seljak 2003, MNRAS 343, 459, section 2).
    The full width at half maximum is that of a curve ln I = c0 + c1 s + c2 s² over the squared elliptical radius s,
    fitted with the weight I² to the pixels within 1.8 σ, so no profile need be assumed: exact for a Gaussian, 0.8 % too
    large for a Moffat profile of β = 2.5, 0.1 % for β = 5. It is that of the pixels, which are wider than the light:
    at a FWHM of 2 px by 6 to 9 % (Gaussian to Moffat of β = 3), at 3 px by 3 to 4 %, at 4 px by 2 %; below 2 px the
    moments do not settle. A source gets NaN when more than 2 % of the weight falls on refused pixels or beyond the
    edge, or when its σ shrinks below 0.4 px, grows over 20 px, or the centre wanders off.

    Parameters
    ----------
    image : (rows, columns) float32
    refused : the same shape, bool or uint16, or empty; pixels that have any of `bits` are not used
    x, y, sigma_px : first guesses in pixels
    level : the sky under each source, taken off
    """
    out = np.full((x.size, 6), np.nan)
    if x.size:
        _shapes(
            image,
            refused.view(np.uint8) if refused.dtype == np.bool_ else refused,
            np.uint16(bits),
            x,
            y,
            sigma_px,
            level,
            out,
        )
    return Shapes(*(np.ascontiguousarray(column) for column in out.T))


@kernel
def _bad(refused: Any, bits: Any, row: Any, column: Any) -> Any:
    return refused.size > 0 and refused[row, column] & bits != 0


@kernel
def _shapes(image: Any, refused: Any, bits: Any, x: Any, y: Any, sigma: Any, level: Any, out: Any) -> None:
    for i in range(x.size):
        if np.isfinite(x[i]) and np.isfinite(y[i]) and np.isfinite(level[i]):
            _shape(image, refused, bits, x[i], y[i], sigma[i], level[i], out[i])


@kernel
def _shape(image: Any, refused: Any, bits: Any, x0: Any, y0: Any, sigma: Any, level: Any, out: Any) -> None:
    """Fill out with x, y, xx, xy, yy and the width, or leave it."""
    x, y, far = x0, y0, 2.0 + 2.0 * sigma
    xx, xy, yy = sigma * sigma, 0.0, sigma * sigma
    for _ in range(_ITERATIONS):
        flux, sx, sy, sxx, sxy, syy, lost = _sums(image, refused, bits, x, y, xx, xy, yy, level)
        # also NaN ends here
        if not (flux > 0.0 and lost < 0.02):
            return
        dx, dy = sx / flux, sy / flux
        cxx, cxy, cyy = sxx / flux - dx * dx, sxy / flux - dx * dy, syy / flux - dy * dy
        nxx, nxy, nyy = _unweighted(cxx, cxy, cyy, xx, xy, yy)
        half, root = 0.5 * (nxx + nyy), math.sqrt(0.25 * (nxx - nyy) ** 2 + nxy * nxy)
        if not (half - root > _SMALLEST2 and half + root < _LARGEST2):
            return
        # the weight halves the shift
        x += min(max(2.0 * dx, -1.0), 1.0)
        y += min(max(2.0 * dy, -1.0), 1.0)
        if (x - x0) ** 2 + (y - y0) ** 2 > far * far:
            return
        change = abs(nxx - xx) + abs(nxy - xy) + abs(nyy - yy)
        xx, xy, yy = nxx, nxy, nyy
        if change < 1e-3 * (xx + yy) and abs(dx) + abs(dy) < 1e-3:
            width = _width(image, refused, bits, x, y, xx, xy, yy, level)
            out[0], out[1], out[2], out[3], out[4], out[5] = x, y, xx, xy, yy, width
            return


@kernel
def _unweighted(cxx: Any, cxy: Any, cyy: Any, xx: Any, xy: Any, yy: Any) -> Any:
    """Moments M of a Gaussian whose weighted moments are C: M⁻¹ = C⁻¹ - W⁻¹; or 2 C where that is no ellipse."""
    c, w = cxx * cyy - cxy * cxy, xx * yy - xy * xy
    if c > 0.0:
        ixx, ixy, iyy = cyy / c - yy / w, xy / w - cxy / c, cxx / c - xx / w
        i = ixx * iyy - ixy * ixy
        # at most twice as large at a step
        if ixx > 0.0 and i > 0.0 and i * w > 0.0625:
            return iyy / i, -ixy / i, ixx / i
    return 2.0 * cxx, 2.0 * cxy, 2.0 * cyy


@kernel
def _sums(image: Any, refused: Any, bits: Any, x: Any, y: Any, xx: Any, xy: Any, yy: Any, level: Any) -> Any:
    """Weighted sums of light, first and second moments, and the share of the weight that was lost."""
    rows, columns = image.shape
    determinant = xx * yy - xy * xy
    ixx, ixy, iyy = yy / determinant, -xy / determinant, xx / determinant
    reach_x, reach_y = math.sqrt(_REACH2 * xx), math.sqrt(_REACH2 * yy)
    flux, sx, sy, sxx, sxy, syy, weights, lost = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for row in range(math.ceil(y - reach_y), math.floor(y + reach_y) + 1):
        dy = row - y
        for column in range(math.ceil(x - reach_x), math.floor(x + reach_x) + 1):
            dx = column - x
            r2 = ixx * dx * dx + 2.0 * ixy * dx * dy + iyy * dy * dy
            if r2 > _REACH2:
                continue
            weight = math.exp(-0.5 * r2)
            weights += weight
            if row < 0 or row >= rows or column < 0 or column >= columns or _bad(refused, bits, row, column):
                lost += weight
                continue
            light = weight * (image[row, column] - level)
            flux += light
            sx += light * dx
            sy += light * dy
            sxx += light * dx * dx
            sxy += light * dx * dy
            syy += light * dy * dy
    return flux, sx, sy, sxx, sxy, syy, lost / max(weights, 1e-30)


@kernel
def _width(image: Any, refused: Any, bits: Any, x: Any, y: Any, xx: Any, xy: Any, yy: Any, level: Any) -> Any:
    """Full width at half maximum from a parabola through ln I over s; NaN where the core has none."""
    rows, columns = image.shape
    determinant = xx * yy - xy * xy
    ixx, ixy, iyy = yy / determinant, -xy / determinant, xx / determinant
    reach_x, reach_y = math.sqrt(_CORE2 * xx), math.sqrt(_CORE2 * yy)
    moments, sums, number = np.zeros(5), np.zeros(3), 0
    for row in range(max(0, math.ceil(y - reach_y)), min(rows - 1, math.floor(y + reach_y)) + 1):
        dy = row - y
        for column in range(max(0, math.ceil(x - reach_x)), min(columns - 1, math.floor(x + reach_x)) + 1):
            dx = column - x
            s = ixx * dx * dx + 2.0 * ixy * dx * dy + iyy * dy * dy
            value = image[row, column] - level
            if s > _CORE2 or _bad(refused, bits, row, column) or not value > 0.0:
                continue
            number += 1
            power, logarithm = value * value, math.log(value)
            for k in range(5):
                moments[k] += power
                if k < 3:
                    sums[k] += power * logarithm
                power *= s
    if number < 6:
        return math.nan
    c1, c2 = _parabola(moments, sums)
    root = c1 * c1 - 2.0 * c2 * _TWICE_LN2
    if not (c1 < 0.0 and root >= 0.0):
        return math.nan
    half2 = _TWICE_LN2 / (math.sqrt(root) - c1)
    return 2.0 * math.sqrt(half2) * math.sqrt(math.sqrt(determinant))


@kernel
def _parabola(m: Any, b: Any) -> Any:
    """Linear and quadratic coefficient of the least-squares parabola with sums m of w s^k and b of w y s^k."""
    a11, a12, a22 = m[2] - m[1] * m[1] / m[0], m[3] - m[1] * m[2] / m[0], m[4] - m[2] * m[2] / m[0]
    b1, b2 = b[1] - m[1] * b[0] / m[0], b[2] - m[2] * b[0] / m[0]
    determinant = a11 * a22 - a12 * a12
    return (b1 * a22 - b2 * a12) / determinant, (b2 * a11 - b1 * a12) / determinant
