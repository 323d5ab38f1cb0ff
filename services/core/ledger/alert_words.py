"""What the ledger keeps of an alert, in a form that every database takes: names may be long, words may be bytes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

NAME_LENGTH: Final = 200
_DIGEST_LENGTH: Final = 16


def name_of(alert: str) -> str:
    """An alert's name as the ledger keeps it: 200 characters; of a longer one the rest is told apart by its digest."""
    name = plain(alert)
    if len(name) <= NAME_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{name[: NAME_LENGTH - _DIGEST_LENGTH - 1]}~{digest}"


def plain(text: str) -> str:
    """Text that every database keeps: PostgreSQL has no NUL, and none has the halves of UTF-16 of a file's odd name."""
    return text.replace("\0", "").encode(errors="replace").decode()


def storable(value: Any) -> Any:
    """The same as JSON in which every number is finite (PostgreSQL refuses another one); `nan` is a word then."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {plain(str(key)): storable(item) for key, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, list | tuple) else value


def fits(alert: str, pattern: str) -> bool:
    """Whether a pattern as in a shell, or the very name, is an alert's: names may hold `[` and `*`."""
    return alert == pattern or fnmatchcase(alert, pattern)
