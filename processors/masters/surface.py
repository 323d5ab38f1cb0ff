"""The smooth part of an image: illumination, glow, sky."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

F4 = NDArray[np.float32]
_ROUNDS: Final = 5
_FEWEST_BOXES: Final = 4  # for each coefficient of the polynomial


def smooth_surface(image: F4, boxes: int = 32, degree: int = 4) -> F4:
    """A two-dimensional Chebyshev polynomial through the medians of boxes, the odd ones clipped at 3 σ.

    Neither pixels nor columns that differ from their surroundings matter, nor do edges between amplifiers, which a
    polynomial cannot follow. Small images are fitted to a lower degree, as few boxes bear.

    Parameters
    ----------
    image : (rows, columns) float32; NaN is left out
    boxes : number of boxes along the longer side
    degree : largest sum of the powers of x and y

    Returns
    -------
    array (rows, columns) float32; NaN everywhere where nothing is known of the image
    """
    rows, columns = image.shape
    side = max(4, -(-max(rows, columns) // boxes))
    y, x, values = _box_medians(image, side)
    if values.size == 0:
        return np.full(image.shape, np.nan, np.float32)
    while degree > 0 and values.size < _FEWEST_BOXES * (degree + 1) * (degree + 2) // 2:
        degree -= 1
    u, v = _unit(x, columns), _unit(y, rows)
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    design = np.stack([_term(v, i) * _term(u, j) for i, j in powers], axis=1)
    used = np.ones(values.size, np.bool_)
    for _ in range(_ROUNDS):
        solution = np.linalg.lstsq(design[used], values[used], rcond=None)[0]
        residual = np.abs(values - design @ solution)
        inside = residual <= 3 * 1.4826 * np.median(residual[used]) + 1e-6 * np.abs(values).max()
        if (inside == used).all() or inside.sum() < len(powers):
            break
        used = inside
    coefficients = np.zeros((degree + 1, degree + 1))
    for (i, j), value in zip(powers, solution, strict=True):
        coefficients[i, j] = value
    along_y = chebyshev.chebvander(_unit(np.arange(rows), rows), degree)
    along_x = chebyshev.chebvander(_unit(np.arange(columns), columns), degree)
    surface: F4 = (along_y.astype(np.float32) @ coefficients.astype(np.float32)) @ along_x.T.astype(np.float32)
    return surface


def _box_medians(image: F4, side: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Centres y, x and medians of the boxes of which at least half is known."""
    rows, columns = image.shape
    found = []
    for y0 in range(0, rows, side):
        for x0 in range(0, columns, side):
            box = image[y0 : y0 + side, x0 : x0 + side]
            known = box[np.isfinite(box)]
            if 2 * known.size >= box.size:
                found.append((y0 + (box.shape[0] - 1) / 2, x0 + (box.shape[1] - 1) / 2, float(np.median(known))))
    y, x, values = np.array(found, np.float64).reshape(-1, 3).T
    return y, x, values


def _unit(position: NDArray[Any], length: int) -> NDArray[Any]:
    """Positions of pixels, -1 at the first and 1 at the last."""
    return 2 * np.asarray(position, np.float64) / max(length - 1, 1) - 1


def _term(position: NDArray[Any], power: int) -> NDArray[Any]:
    return np.asarray(chebyshev.chebval(position, np.eye(power + 1)[power]))
