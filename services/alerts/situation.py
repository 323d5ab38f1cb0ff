"""What the policy decides from, and what it decides: frozen, no database, no clock."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from services.core.ledger.alert_words import fits

What = Literal["raised", "worse", "flapping", "escalated", "repeat", "resolved", "summary", "test"]


@dataclass(frozen=True)
class Condition:
    """One row of `alerts`. Times are seconds since 1970; `raises` are the beginnings of its last episodes, in order."""

    alert: str
    severity: int
    message: str
    open: bool
    raised_at: float
    episode: int
    raises: tuple[float, ...] = ()
    flapping: int | None = None
    acked_at: float | None = None
    acked_by: str | None = None
    resolved_at: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Telling:
    """A step of an alert that a person was told (or will be, as soon as a channel takes the message)."""

    alert: str
    episode: int
    step: str
    person: str
    kind: str
    severity: int
    at: float
    failed: bool = False  # no channel takes it, for good


@dataclass(frozen=True)
class Mute:
    """Alerts whose name fits `pattern` are told to nobody from `created_at` until `until`."""

    pattern: str
    created_at: float
    until: float

    def holds(self, alert: str, at: float) -> bool:
        """Whether the alert was, or is, muted at a time."""
        return self.created_at <= at < self.until and fits(alert, self.pattern)


@dataclass(frozen=True)
class Situation:
    """Everything at one moment: open alerts, those that are over since a day, what was told about them, mutes."""

    now: float
    conditions: tuple[Condition, ...]
    tellings: tuple[Telling, ...] = ()
    mutes: tuple[Mute, ...] = ()


@dataclass(frozen=True)
class Need:
    """A person is to be told a step of an alert. `since` is when that became so; `early`: it may wait for others."""

    condition: Condition
    episode: int
    step: str
    what: What
    person: str
    kinds: tuple[str, ...]
    since: float
    early: bool = False


@dataclass(frozen=True)
class Planned:
    """One message to one person by one kind of channel, about one alert or several."""

    what: What
    person: str
    kind: str
    needs: tuple[Need, ...]

    @property
    def key(self) -> str:
        """Deterministic: the same message, decided again by anybody, has the same key."""
        told = sorted(f"{need.condition.alert}\n{need.episode}\n{need.step}" for need in self.needs)
        digest = hashlib.sha256("\n".join([self.person, self.kind, *told]).encode()).hexdigest()
        return f"{self.what}-{self.person}-{self.kind}-{digest[:20]}"


@dataclass(frozen=True)
class Flap:
    """An alert that began to come and go in `episode`, or calmed down (None)."""

    alert: str
    episode: int | None
    reason: str


@dataclass(frozen=True)
class Decision:
    """What the policy says: messages to make, and alerts that came to flap or calmed down."""

    messages: tuple[Planned, ...] = ()
    flaps: tuple[Flap, ...] = ()
