"""FITS files made by hand, so that their tests owe nothing to a library."""

from __future__ import annotations

import numpy as np


def card(key: str, value: object, comment: str = "") -> bytes:
    text = ("T" if value else "F") if isinstance(value, bool) else f"'{value:8s}'" if isinstance(value, str) else value
    return f"{key:8s}= {text!s:>20s} / {comment}".encode()[:80].ljust(80)


def header(*cards: bytes) -> bytes:
    text = b"".join(cards) + b"END".ljust(80)
    return text.ljust(-(-len(text) // 2880) * 2880)


def padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // 2880) * 2880, b"\0")


def image_hdu(pixels: np.ndarray | None, *extra: bytes, extension: bool = False) -> bytes:
    """An image HDU of an array (big-endian written), or an empty one."""
    axes = [] if pixels is None else list(reversed(pixels.shape))
    bitpix = 8 if pixels is None else pixels.itemsize * (-8 if pixels.dtype.kind == "f" else 8)
    first = card("XTENSION", "IMAGE") if extension else card("SIMPLE", True)
    cards = [first, card("BITPIX", bitpix), card("NAXIS", len(axes))]
    cards += [card(f"NAXIS{i + 1}", axis) for i, axis in enumerate(axes)]
    cards += [card("PCOUNT", 0), card("GCOUNT", 1)] if extension else [card("EXTEND", True)]
    data = b"" if pixels is None else padded(pixels.astype(pixels.dtype.newbyteorder(">")).tobytes())
    return header(*cards, *extra) + data


def sky(shape: tuple[int, ...], dtype: str = "i2", seed: int = 1) -> np.ndarray:
    """Noise on a slope with a few bright spots, as integers or floats."""
    rng = np.random.default_rng(seed)
    values = 100 + 0.05 * np.arange(int(np.prod(shape))).reshape(shape) % 50 + rng.normal(0, 5, shape)
    values[rng.random(shape) < 0.001] = 250
    return values.astype(dtype) if np.dtype(dtype).kind == "f" else np.clip(values, 0, 255).astype(dtype)


def mosaic(detectors: int = 3, shape: tuple[int, int] = (60, 70), dtype: str = "i2") -> bytes:
    """A primary HDU without data and one image extension per detector."""
    parts = [image_hdu(None, card("NEXTEND", detectors), card("INSTRUME", "toy"))]
    for number in range(detectors):
        extras = (card("EXTNAME", f"CCD{number}"), card("BZERO", 32768), card("BSCALE", 1))
        parts.append(image_hdu(sky(shape, dtype, number), *extras, extension=True))
    return b"".join(parts)
