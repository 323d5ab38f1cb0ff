"""Sources of an image: found by sep, measured in Kron apertures and by adaptive moments."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.kernels import kernel
from processors.photometry.background import Background, measure_background, some_hidden
from processors.photometry.flags import SourceFlag
from processors.photometry.kron import kron_fluxes
from processors.photometry.moments import Shapes, measure_shapes
from processors.photometry.sky import NO_NOISE, check_planes
from processors.planes import Mask

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]
# sep's own buffers: pixels above the threshold at a time, and peaks in one outline. Larger ones cost a third of the
# time, so they are a second try, for a globular cluster or a bright nebula.
_BUFFERS: Final = (300_000, 1024)
_LARGE_BUFFERS: Final = (4_000_000, 8192)


@dataclass(frozen=True, slots=True)
class Sources:
    """Sources of an image, arrays of one length; without any, `reason` says why.

    Attributes
    ----------
    x, y : centre, pixels from 0, float64
    flux_e, flux_error_e : light in a Kron ellipse and its error from the variance, e-
    peak_e : brightest pixel above the sky, e-
    fwhm_px : full width at half maximum, geometric mean over the axes; NaN where it could not be measured
    a_px, b_px : rms of the profile along its axes: for a star 0.42 times the FWHM (somewhat more with broad wings)
    theta_rad : from x towards y, within ± π/2
    ellipticity : 1 - b/a
    flags : bits of `SourceFlag`, uint16
    npix : pixels above the threshold, int64
    """

    x: F8
    y: F8
    flux_e: F8
    flux_error_e: F8
    peak_e: F8
    fwhm_px: F8
    a_px: F8
    b_px: F8
    theta_rad: F8
    ellipticity: F8
    flags: NDArray[np.uint16]
    npix: NDArray[np.int64]
    reason: str = ""

    def __len__(self) -> int:
        return int(self.x.size)

    def take(self, which: NDArray[Any]) -> Sources:
        """Some of the sources, by index or by a bool array."""
        columns = {field.name: getattr(self, field.name)[which] for field in fields(self) if field.name != "reason"}
        return replace(self, **columns)


def find_sources(
    sci: F4,
    var: F4,
    mask: NDArray[np.uint16] | None = None,
    background: Background | None = None,
    *,
    threshold: float = 1.5,
    fewest_pixels: int = 5,
) -> Sources:
    """Find and measure sources: at least `fewest_pixels` connected pixels above `threshold` σ of the smoothed sky.

    Detection, outlines and deblending are SExtractor's (Bertin & Arnouts 1996, A&AS 117, 393) as sep has them, with
    the 3 x 3 filter and the local noise of the sky. Centre and shape are adaptive moments where these settle.
    Masked pixels (all bits but `SATURATED`) and pixels that are not finite are left out.

    Parameters
    ----------
    sci, var : (rows, columns) float32, e- and e-²
    mask : bits of `planes.Mask`
    background : that of this image, where it is known; measured otherwise

    Raises
    ------
    BadFrame
        The planes have different shapes.
    """
    check_planes(sci, variance=var, mask=mask)
    sky = background or measure_background(sci, mask)
    if sky.number == 0:
        return no_sources(sky.reason)
    if not sky.sigma_e > 0:
        return no_sources(NO_NOISE)
    image, hidden = sci - sky.level_map, some_hidden(sci, mask)
    if hidden is not None:
        image[hidden] = 0
    try:
        objects = _extract(image, sky.sigma_map, hidden, threshold, fewest_pixels)
    except BadFrame as error:
        return no_sources(str(error))
    if objects.size == 0:
        return no_sources(f"nothing above {threshold:g} sigma")
    fluxes = kron_fluxes(image, var, hidden, objects)
    if not np.isfinite(fluxes.error_e).any():
        return no_sources("the variance is not a number where sources are")
    flags = objects["flag"].astype(np.uint16) | fluxes.flags
    if mask is not None:
        saturated = np.zeros(objects.size, np.bool_)
        boxes = np.stack([objects[name] for name in ("xmin", "xmax", "ymin", "ymax")], axis=1).astype(np.int64)
        _mark(mask, np.uint16(Mask.SATURATED), boxes, saturated)
        flags[saturated] |= np.uint16(SourceFlag.SATURATED)
    return _sources(objects, fluxes.flux_e, fluxes.error_e, flags, _shapes(image, hidden, objects))


def no_sources(reason: str) -> Sources:
    """No sources, and why."""
    columns: dict[str, Any] = {field.name: np.empty(0) for field in fields(Sources)}
    return Sources(**columns | {"flags": np.empty(0, np.uint16), "npix": np.empty(0, np.int64), "reason": reason})


def _extract(
    image: F4,
    sigma: F4,
    hidden: NDArray[np.bool_] | None,
    threshold: float,
    fewest_pixels: int,
    buffers: tuple[tuple[int, int], ...] = (_BUFFERS, _LARGE_BUFFERS),
) -> Any:
    import sep

    pixels, peaks = buffers[0]
    sep.set_extract_pixstack(pixels)
    sep.set_sub_object_limit(peaks)
    try:
        return sep.extract(image, threshold, err=sigma, mask=hidden, minarea=fewest_pixels, filter_type="conv")
    except Exception as error:  # sep has no class of its own
        if len(buffers) == 1:
            raise BadFrame(f"crowded: {error}") from error
        return _extract(image, sigma, hidden, threshold, fewest_pixels, buffers[1:])


def _shapes(image: F4, hidden: NDArray[np.bool_] | None, objects: Any) -> Shapes:
    """Adaptive moments, started from the outline."""
    x, y = objects["x"], objects["y"]
    sigma = np.clip(np.sqrt(objects["a"] * objects["b"]), 0.8, 8.0)
    sigma[~np.isfinite(sigma)] = 1.5
    refused = np.zeros((0, 0), np.bool_) if hidden is None else hidden
    return measure_shapes(image, refused, x, y, sigma, np.zeros(x.size))


@kernel
def _mark(mask: Any, bits: Any, boxes: Any, marked: Any) -> None:
    """Which boxes, their ends included, hold a pixel with any of the bits."""
    none = np.uint16(0)
    for i in range(marked.size):
        left, right, low, high = boxes[i]
        for y in range(low, high + 1):
            for x in range(left, right + 1):
                if mask[y, x] & bits != none:
                    marked[i] = True
                    break
            if marked[i]:
                break


def _sources(objects: Any, flux: F8, error: F8, flags: NDArray[np.uint16], shapes: Shapes) -> Sources:
    fine = shapes.found
    flags[~fine] |= np.uint16(SourceFlag.COARSE_SHAPE)
    half, skew = 0.5 * (shapes.xx + shapes.yy), 0.5 * (shapes.xx - shapes.yy)
    root = np.hypot(skew, shapes.xy)
    a = np.where(fine, np.sqrt(half + root), objects["a"])
    b = np.where(fine, np.sqrt(np.maximum(half - root, 0)), objects["b"])
    theta = np.where(fine, 0.5 * np.arctan2(shapes.xy, skew), np.clip(objects["theta"], -np.pi / 2, np.pi / 2))
    return Sources(
        x=np.where(fine, shapes.x, objects["x"]),
        y=np.where(fine, shapes.y, objects["y"]),
        flux_e=flux,
        flux_error_e=error,
        peak_e=objects["peak"].astype(np.float64),
        fwhm_px=np.where(fine, shapes.fwhm_px, np.nan),
        a_px=a,
        b_px=b,
        theta_rad=theta,
        ellipticity=1 - b / np.maximum(a, 1e-9),
        flags=flags,
        npix=objects["npix"].astype(np.int64),
    )
