"""InfluxDB's line protocol, written with every escape it asks for.

Source: InfluxDB v2 documentation, 'Line protocol', sections 'Special characters' and 'Data types and format'.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

Field = float | int | bool | str

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def line(measurement: str, tags: Mapping[str, str], fields: Mapping[str, Field], time_ns: int) -> str | None:
    """One point as a line, or None when no field can be written (line protocol knows no NaN and no infinity).

    Parameters
    ----------
    measurement, tags, fields
        Names and values as they are; escaping is done here. Empty tag values are left out, as InfluxDB refuses them.
        Tags are sorted, so that the same point is always the same line.
    time_ns : int
        Nanoseconds since 1970 UTC.
    """
    written = [f"{_key(name)}={text}" for name, value in sorted(fields.items()) if (text := _field(value)) is not None]
    if not written:
        return None
    head = [_escape(measurement, ", ")]
    head += [f"{_key(name)}={_key(value)}" for name, value in sorted(tags.items()) if value]
    return f"{','.join(head)} {','.join(written)} {time_ns}"


def _field(value: Field) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else None
    text = _CONTROL.sub(" ", value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _key(text: str) -> str:
    return _escape(text, ",= ")


def _escape(text: str, special: str) -> str:
    clean = _CONTROL.sub(" ", text)
    # A backslash is a literal except before a special character or at the end: there it would swallow what follows.
    clean = clean.replace("\\", "/")
    for character in special:
        clean = clean.replace(character, f"\\{character}")
    return clean
