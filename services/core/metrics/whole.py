"""Points that may be written again: what the newer result does not know must not keep the older one's number.

InfluxDB merges the fields of points of one measurement, tag set and time. A field that is left out keeps what it had,
and a number cannot be taken back (line protocol has no null). So such a point says by name what it lacks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from services.core.metrics.line import Field

MISSING: Final = "missing"


def whole(fields: Mapping[str, Field], optional: Iterable[str]) -> dict[str, Field]:
    """The fields, and a text `missing` with the names of the optional ones that are not there or no numbers.

    Empty when none is missing: it is always written. Whoever reads an optional field asks for points whose `missing`
    does not name it (`deploy.grafana.influxql.known`).
    """
    missing = [name for name in optional if name not in fields or _no_number(fields[name])]
    return {**fields, MISSING: " ".join(missing)}


def _no_number(value: Field) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
