"""The one way in which `transfer` compiles kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a kernel: without the GIL, serial (RQ workers fork), cached where a cache directory can be written."""
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no writable place for the cache: compile in every process rather than fail
        return numba.njit(**options)(function)  # type: ignore[no-any-return]
