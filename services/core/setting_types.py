"""Kinds of values that sections of the settings share, each with the words for who wrote another."""

from __future__ import annotations

import re
import zoneinfo
from typing import Annotated

from pydantic import AfterValidator, Field


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", text):
        raise ValueError("expected a short name of lower-case letters, digits, '_' and '-'")
    return text


def _clock(text: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError("expected a time of day, 'HH:MM' in quotes")
    return text


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # an unknown zone is a KeyError, a strange name one of the others
        raise ValueError("expected a time zone such as UTC or America/Santiago") from None
    return name


Name = Annotated[str, AfterValidator(_name)]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400 * 30, allow_inf_nan=False)]
TimeOfDay = Annotated[str, AfterValidator(_clock)]
TimeZone = Annotated[str, AfterValidator(_zone)]
