"""What a refusal says: which lines of a batch the server will never take.

Sources, for the words: InfluxDB 1.6 `tsdb/shard.go` and `models/points.go` (field type conflicts, points dropped, lines
that cannot be parsed), InfluxDB 2.7 API 'POST /api/v2/write' (400, 413, 422), InfluxDB 3 'Troubleshoot issues writing
data' (a list of rejected lines by number).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.core.metrics.line import escaped_key, escaped_measurement

_DROPPED: Final = re.compile(r"\bdropped=(\d+)")
_CONFLICT: Final = re.compile(
    r'input field "(?P<field>.*?)" on measurement "(?P<measurement>.*?)" is type (?P<type>\w+), already exists'
)
_OF_POINTS: Final = re.compile(
    r"partial write|unable to parse|cannot parse|field type conflict|line protocol|dropped=|beyond retention",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Refusal:
    """Why a batch was not taken as it is.

    Attributes
    ----------
    reason : str
        In the server's words.
    of_points : bool
        The words speak of points. Else they may as well speak of our settings.
    data : sequence
        Lines named by the server (InfluxDB 3): pairs of line number from 1 and reason.
    """

    reason: str
    of_points: bool
    data: tuple[tuple[int, str], ...] = ()


def refusal_of(body: bytes) -> Refusal | None:
    """What the body of a 400 or 422 says, or None when no InfluxDB speaks (a proxy's page, nothing at all)."""
    try:
        told: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    reason = told.get("error") or told.get("message")
    if not isinstance(reason, str):
        return None
    named = []
    for item in told["data"] if isinstance(told.get("data"), list) else ():
        if isinstance(item, dict) and isinstance(item.get("line_number"), int):
            named.append((item["line_number"], str(item.get("error_message", reason))[:500]))
    return Refusal(reason[:500], bool(named) or _OF_POINTS.search(reason) is not None, tuple(named))


def culprits(refusal: Refusal, lines: Sequence[str]) -> dict[int, str]:
    """The lines that are certain to be refused again, by index from 0, with the reason; empty when that is not said."""
    if refusal.data:
        return {number - 1: reason for number, reason in refusal.data if 1 <= number <= len(lines)}
    if len(lines) == 1:
        return {0: refusal.reason}
    dropped = _DROPPED.search(refusal.reason)
    if dropped is None:
        return {}
    count = int(dropped[1])
    if count == len(lines):
        return dict.fromkeys(range(count), refusal.reason)
    found = suspects(refusal, lines)
    return dict.fromkeys(found, refusal.reason) if len(found) == count else {}


def suspects(refusal: Refusal, lines: Sequence[str]) -> list[int]:
    """Lines of the measurement that have the field in the type that the server speaks of, as far as is seen."""
    conflict = _CONFLICT.search(refusal.reason)
    if conflict is None:
        return []
    measurement = escaped_measurement(conflict["measurement"])
    starts = (f"{measurement},", f"{measurement} ")
    field = re.compile(rf"[ ,]{re.escape(escaped_key(conflict['field']))}=({_VALUES.get(conflict['type'], '.')})")
    return [index for index, text in enumerate(lines) if text.startswith(starts) and field.search(text)]


# How the value of a field of each type begins and ends in a line.
_VALUES: Final = {
    "string": '"',
    "boolean": r"[tTfF]\w*[, ]",
    "integer": r"-?\d+i[, ]",
    "float": r"-?\d[-+.\deE]*[, ]",
}
