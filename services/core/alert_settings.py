"""Settings of alerts: people, channels, who is on call, how often a message is repeated."""

from __future__ import annotations

from pydantic import Field

from services.core.route_settings import PositiveSeconds
from services.core.secret import Section


class Person(Section):
    """A person and where they are reached."""

    mail: str | None = None
    sms: str | None = None


class AlertSettings(Section):
    """Who hears of alerts, and how."""

    people: dict[str, Person] = Field(default_factory=dict)
    poll_s: PositiveSeconds = 5.0
