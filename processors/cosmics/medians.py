"""Medians of 3, 5, 7 and 9 numbers by exchanges alone: no branches, so that they run on vectors of pixels.

The networks are those of Smith (1996, "Implementing median filters in XC4000E FPGAs") and Paeth (1990, Graphics Gems).
"""

from __future__ import annotations

from typing import Any

from processors.kernels import inlined


@inlined
def median3(a: Any, b: Any, c: Any) -> Any:
    """Median of three."""
    return max(min(a, b), min(max(a, b), c))


@inlined
def median5(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    """Median of five: the smallest and the largest of the first four are out of the running."""
    low = max(min(a, b), min(c, d))
    high = min(max(a, b), max(c, d))
    return median3(e, low, high)


@inlined
def median7(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any) -> Any:
    """Median of seven, 13 exchanges."""
    a, f = min(a, f), max(a, f)
    a, d = min(a, d), max(a, d)
    b, g = min(b, g), max(b, g)
    c, e = min(c, e), max(c, e)
    b = max(a, b)
    d, f = min(d, f), max(d, f)
    c, g = min(c, g), max(c, g)
    c, d = min(c, d), max(c, d)
    d = min(d, g)
    e = min(e, f)
    b, e = min(b, e), max(b, e)
    d = max(b, d)
    return min(d, e)


@inlined
def median9(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, i: Any) -> Any:
    """Median of nine: three sorted triples, then the middle of their lowest, middle and highest ones."""
    low = max(min(a, b, c), min(d, e, f), min(g, h, i))
    high = min(max(a, b, c), max(d, e, f), max(g, h, i))
    p, q, r = median3(a, b, c), median3(d, e, f), median3(g, h, i)
    return median3(low, median3(p, q, r), high)
