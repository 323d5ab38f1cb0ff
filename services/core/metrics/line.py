"""InfluxDB's line protocol, written with every escape it asks for.

Source: InfluxDB v2 documentation, 'Line protocol', sections 'Special characters' and 'Data types and format'.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache

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
    written = [
        f"{escaped_key(name)}={text}" for name, value in sorted(fields.items()) if (text := _field(value)) is not None
    ]
    if not written:
        return None
    return f"{head(measurement, tags)} {','.join(written)} {time_ns}"


def head(measurement: str, tags: Mapping[str, str]) -> str:
    """Measurement and tags of a line, what stands before its first space."""
    found = [f"{escaped_key(name)}={escaped_key(value)}" for name, value in sorted(tags.items()) if value]
    return ",".join([escaped_measurement(measurement), *found])


def escaped_text(text: str) -> str:
    """A string field's value, without its quotes."""
    return _CONTROL.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"')


@lru_cache(maxsize=4096)
def escaped_key(text: str) -> str:
    """A tag's name or value, or a field's name."""
    return _escape(text, ",= ")


@lru_cache(maxsize=1024)
def escaped_measurement(text: str) -> str:
    """A measurement's name. A line that begins with '#' would be a comment, which the server drops without a word."""
    name = _escape(text, ", ")
    return f"_{name[1:]}" if name.startswith("#") else name


def _field(value: Field) -> str | None:
    if hasattr(value, "item"):
        value = value.item()  # one of numpy's
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else None
    return f'"{escaped_text(value)}"'


def _escape(text: str, special: str) -> str:
    clean = _CONTROL.sub(" ", text)
    # A backslash is a literal except before a special character or at the end: there it would swallow what follows.
    clean = clean.replace("\\", "/")
    for character in special:
        clean = clean.replace(character, f"\\{character}")
    return clean
