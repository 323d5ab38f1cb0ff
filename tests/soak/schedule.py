"""What happens when, in the soak's one thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Schedule:
    """Jobs in seconds since the begin. One that fails is noted and does not end the soak."""

    note: Callable[[str], None]
    begin: float = field(default_factory=time.time)
    _jobs: list[tuple[float, float, Callable[[], object]]] = field(default_factory=list)

    @property
    def now_s(self) -> float:
        """Seconds since the begin."""
        return time.time() - self.begin

    def every(self, period_s: float, action: Callable[[], object], first_s: float = 0.0) -> None:
        """Do something again and again."""
        self._jobs.append((first_s, period_s, action))

    def later(self, pause_s: float, action: Callable[[], object]) -> None:
        """Do something once."""
        self._jobs.append((self.now_s + pause_s, 0.0, action))

    def keep(self, *actions: Callable[[], object]) -> None:
        """Forget what is done again and again, but for these, and for what is to be done once."""
        self._jobs = [job for job in self._jobs if not job[1] or job[2] in actions]

    def run_for(self, seconds: float) -> None:
        """Do what is due until so much later."""
        end = self.now_s + seconds
        while self.now_s < end:
            for job in sorted(self._jobs, key=lambda job: job[0]):
                due, period_s, action = job
                if due > self.now_s:
                    break
                self._jobs.remove(job)
                if period_s:
                    self._jobs.append((max(due + period_s, self.now_s), period_s, action))
                try:
                    action()
                except Exception as error:  # noqa: BLE001  a job of the soak's own, not of what is tried
                    self.note(f"job failed: {error!r}")
            time.sleep(0.03)
