"""InfluxDB's line protocol, read: what `push` is sent.

Source: InfluxDB v2 documentation, 'Line protocol'.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

_FLOAT: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_INT: Final = re.compile(r"([+-]?\d{1,20})[iu]")
_BOOLS: Final = {**dict.fromkeys(("t", "T", "true", "True", "TRUE"), 1.0)} | dict.fromkeys(
    ("f", "F", "false", "False", "FALSE"), 0.0
)
_ESCAPED: Final = re.compile(r"\\([,= \\])")


@dataclass(frozen=True)
class PushedPoint:
    """A point: numbers (truth is 1 or 0) and words by field; `time` as it was written, None when it was not."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, float | str]
    time: int | None


def parse_line(line: str) -> PushedPoint:
    """One line; `ValueError` says what is wrong with it."""
    head, rest = _cut(line)
    fields_text, time_text = _cut(rest.lstrip(" "), quotes=True)
    measurement, *tag_texts = _split(head, ",")
    if not measurement:
        raise ValueError("no measurement")
    tags = {name: _plain(value) for name, value in map(_pair, tag_texts)}
    fields: dict[str, float | str] = {}
    for text in _split(fields_text, ",", quotes=True):
        name, value = _pair(text)
        fields[name] = _value(value, text)
    time_text = time_text.strip()
    if time_text and not re.fullmatch(r"-?\d{1,19}", time_text):
        raise ValueError(f"{time_text[:40]!r} is no time")
    return PushedPoint(_plain(measurement), tags, fields, int(time_text) if time_text else None)


def _pair(text: str) -> tuple[str, str]:
    parts = _split(text, "=", 1)
    if len(parts) != 2 or not parts[0] or not parts[1]:
        raise ValueError(f"{text[:40]!r} is no NAME=VALUE")
    return _plain(parts[0]), parts[1]


def _value(text: str, whole: str) -> float | str:
    if text.startswith('"'):
        if len(text) < 2 or not text.endswith('"'):
            raise ValueError(f"{whole[:40]!r}: the text has no end")
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if text in _BOOLS:
        return _BOOLS[text]
    whole_number = _INT.fullmatch(text)
    if whole_number is not None:
        return float(whole_number[1])
    if not _FLOAT.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError(f"{whole[:40]!r} has no value that line protocol knows")
    return float(text)


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _cut(text: str, *, quotes: bool = False) -> tuple[str, str]:
    parts = _split(text, " ", 1, quotes=quotes)
    return parts[0], parts[1] if len(parts) > 1 else ""


def _split(text: str, at: str, most: int = -1, *, quotes: bool = False) -> list[str]:
    """Split where the character is not escaped; `quotes`: nor within the quotes of a field's text."""
    if "\\" not in text and not (quotes and '"' in text):
        return text.split(at, most)
    parts, start, index = [], 0, 0
    quoted = after_equals = False
    while index < len(text):
        character = text[index]
        if character == "\\" and index + 1 < len(text):
            index, after_equals = index + 2, False
            continue
        if quotes and character == '"' and (quoted or after_equals):
            quoted = not quoted
        elif character == at and not quoted and most != 0:
            parts.append(text[start:index])
            start, most = index + 1, most - 1
        after_equals = character == "="
        index += 1
    return [*parts, text[start:]]
