"""Housekeeping as numbers: some rows of one source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Samples:
    """Rows of one source, in the order in which they were written.

    Attributes
    ----------
    source : str
        Name of the source in the settings (`housekeep.sources`).
    parameters : tuple of str
        The columns, named as the source names them.
    times_ns : int64 array (rows,)
        Nanoseconds since 1970 UTC.
    values : float64 array (rows, parameters)
        NaN where the source wrote no number.
    texts : mapping of parameter to tuple of str (rows,)
        Columns that are words (a mode, a version), by parameter; such a column is not in `parameters`.
    units : mapping of parameter to str
        Units, where the source says them.
    origin : str
        File or address, for messages.
    """

    source: str
    parameters: tuple[str, ...]
    times_ns: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""

    def __len__(self) -> int:
        return len(self.times_ns)
