"""What `config check` says of housekeeping beyond the settings' own rules: the limits file, and whom it speaks of."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from services.core.errors import BadSettings
from services.core.housekeep_settings import HousekeepSettings
from services.housekeeping.limits.book import load_limits


def mistakes_in_limits(settings: HousekeepSettings) -> Iterator[str]:
    """Mistakes in the limits file, each as FILE:LINE, and sources in it that nobody follows."""
    if settings.limits is None or not settings.limits.is_file():
        return  # a file that is not there is told elsewhere
    try:
        book = load_limits(settings.limits)
    except BadSettings as error:
        yield from (f"housekeep.limits: {line}" for line in error.mistakes)
        return
    for name in book.sources:
        if not _is_pattern(name) and name not in settings.sources:
            close = difflib.get_close_matches(name, settings.sources, n=1)
            known = f"did you mean {close[0]}?" if close else f"sources here: {', '.join(settings.sources)}"
            stranger = f"{settings.limits} has limits of {name!r}, which is none of housekeep.sources"
            yield f"housekeep.limits: {stranger}; {known}"


def remarks_on_limits(settings: HousekeepSettings) -> Iterator[str]:
    """Sources that no limit watches."""
    if settings.limits is None:
        yield "housekeep.limits: no limits are given: values are recorded, and none raises an alert"
        return
    try:
        book = load_limits(settings.limits)
    except BadSettings:
        return
    yield from (
        f"housekeep.sources.{name}: {settings.limits} has no limits for it, not even of silence"
        for name in settings.sources
        if book.source(name) is None
    )


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")
