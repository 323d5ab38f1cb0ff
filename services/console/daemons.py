"""The daemons of this host, judged as the alerts judge them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.conditions.daemons import BAD, gather, judge
from services.core.condition_settings import DaemonConditions
from services.core.settings import Settings


@dataclass(frozen=True)
class DaemonLine:
    """A daemon: how it stands, its last words, and the seconds since its start and since it was last heard."""

    daemon: str
    state: str
    status: str
    pid: int | None
    age_s: float | None
    uptime_s: float | None

    @property
    def bad(self) -> bool:
        """Whether it does not do its work."""
        return self.state in BAD

    def record(self) -> dict[str, Any]:
        """The line as an object."""
        return {"what": "daemon", **{name: getattr(self, name) for name in self.__dataclass_fields__}}


def daemons_of(settings: Settings, now: float) -> list[DaemonLine]:
    """Every daemon that has left a heartbeat on this host, and those that the settings miss."""
    rules = settings.conditions.daemons or DaemonConditions()
    return [
        DaemonLine(
            daemon=word.instance,
            state=word.state,
            status=word.status,
            pid=word.pid,
            age_s=word.age_s,
            uptime_s=None if word.started_at is None else max(0.0, now - word.started_at),
        )
        for word in judge(gather(settings.state_dir / "run"), rules)
    ]
