"""One compile policy for all numba kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

# Serial, as RQ forks and OpenMP does not survive a fork; without the fast-math flags that assume there is no NaN.
_OPTIONS: Final[dict[str, Any]] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "reassoc"},
}


def kernel(function: F) -> F:
    """Compile a function of arrays and scalars at its first call (or load it from numba's cache)."""
    compiled: F = numba.njit(**_OPTIONS)(function)
    return compiled


def inlined(function: F) -> F:
    """Compile a helper into every kernel that calls it."""
    compiled: F = numba.njit(inline="always", **_OPTIONS)(function)
    return compiled
