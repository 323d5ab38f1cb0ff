"""Settings of the housekeeper: where housekeeping comes from, and its limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.core.route_settings import PositiveSeconds
from services.core.secret import AbsolutePath, Section


class HousekeepingSource(Section):
    """One source of housekeeping."""

    kind: Literal["vison", "csv", "fits", "influxdb", "mqtt", "push"]
    dir: AbsolutePath | None = None
    pattern: str | None = None


class HousekeepSettings(Section):
    """The housekeeper: sources by name, and the file of their limits."""

    sources: Annotated[dict[str, HousekeepingSource], Field(min_length=1)]
    limits: AbsolutePath | None = None
    poll_s: PositiveSeconds = 1.0
    keep_s: PositiveSeconds = 7200.0
