"""A ledger in memory and a notify daemon that polls it: what tests of the policy play with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from services.alerts.policy import ack_after, decide
from services.alerts.situation import Condition, Mute, Planned, Situation, Telling
from services.core.alert_settings import AlertSettings

PEOPLE: dict[str, Any] = {
    "anna": {"mail": "anna@example.org", "sms": "+56911111111"},
    "ben": {"mail": "ben@example.org", "sms": "+56922222222"},
    "carla": {"mail": "carla@example.org"},
}


def settings_of(**changes: Any) -> AlertSettings:
    """Settings with two channels, three people, Anna before Ben; `oncall` and others as given."""
    return AlertSettings.model_validate(
        {
            "channels": {
                "smtp": {"kind": "mail", "url": {"env": "SMTP_URL"}},
                "twilio": {"kind": "sms", "url": {"env": "TWILIO_URL"}},
            },
            "people": PEOPLE,
            "oncall": {"default": ["anna", "ben"]},
            **changes,
        }
    )


class World:
    """Conditions come and go as `services.core.ledger.alerts` keeps them; `tick` is a round of the daemon."""

    def __init__(self, settings: AlertSettings, now: float = 1_000_000.0) -> None:
        self.settings = settings
        self.now = now
        self.conditions: dict[str, Condition] = {}
        self.tellings: list[Telling] = []
        self.mutes: dict[str, Mute] = {}
        self.sent: list[tuple[float, Planned]] = []

    def raised(self, alert: str, severity: int = 1) -> None:
        known = self.conditions.get(alert)
        if known is None:
            self.conditions[alert] = Condition(alert, severity, f"{alert} is bad", True, self.now, 1, (self.now,))
        elif not known.open:
            again = replace(
                known, open=True, severity=severity, raised_at=self.now, episode=known.episode + 1, resolved_at=None
            )
            again = replace(again, raises=(*known.raises, self.now)[-32:])
            self.conditions[alert] = again if known.flapping is not None else replace(again, acked_at=None)
        else:
            worse = severity > known.severity
            self.conditions[alert] = replace(known, severity=severity, acked_at=None if worse else known.acked_at)

    def resolved(self, alert: str) -> None:
        known = self.conditions.get(alert)
        if known is not None and known.open:
            self.conditions[alert] = replace(known, open=False, resolved_at=self.now)

    def acked(self, alert: str) -> None:
        known = self.conditions.get(alert)
        if known is not None and known.open and known.acked_at is None:
            self.conditions[alert] = replace(known, acked_at=self.now, acked_by="anna")

    def mute(self, pattern: str, seconds: float) -> None:
        self.mutes[pattern] = Mute(pattern, self.now, self.now + seconds)

    def muted(self, alert: str) -> bool:
        return any(mute.holds(alert, self.now) for mute in self.mutes.values())

    def situation(self) -> Situation:
        return Situation(self.now, tuple(self.conditions.values()), tuple(self.tellings), tuple(self.mutes.values()))

    def tick(self, seconds: float = 0.0) -> list[Planned]:
        """Let time pass, then decide once; what was decided is on record."""
        self.now += seconds
        decision = decide(self.situation(), self.settings)
        for flap in decision.flaps:
            known = self.conditions[flap.alert]
            acked = ack_after(flap, known.acked_at, known.raised_at)
            self.conditions[flap.alert] = replace(known, flapping=flap.episode, acked_at=acked)
        for planned in decision.messages:
            self.sent.append((self.now, planned))
            for need in planned.needs:
                severity = need.condition.severity
                name, at = need.condition.alert, self.now
                told = Telling(name, need.episode, need.step, planned.person, planned.kind, severity, at)
                self.tellings.append(told)
        return list(decision.messages)

    def run(self, seconds: float, poll_s: float = 5.0) -> list[str]:
        """Rounds for some time; every message as `what person kind number`."""
        before = len(self.sent)
        for _ in range(max(1, round(seconds / poll_s))):
            self.tick(poll_s)
        return [f"{p.what} {p.person} {p.kind} {len(p.needs)}" for _, p in self.sent[before:]]
