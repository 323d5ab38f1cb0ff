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
    return _compiled(function)


def inlined(function: F) -> F:
    """Compile a helper into every kernel that calls it."""
    return _compiled(function, inline="always")


def _compiled(function: F, **more: Any) -> F:
    compiled: F
    try:
        compiled = numba.njit(**_OPTIONS, **more)(function)
    except RuntimeError:  # nowhere to keep a cache: a read-only installation and no home
        compiled = numba.njit(**{**_OPTIONS, "cache": False}, **more)(function)
    return compiled
