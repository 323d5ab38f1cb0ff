"""What becomes of a message after an attempt to send it: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from services.core.alert_settings import AlertSettings

Answer = Literal["sent", "unreachable", "refused"]
KINDS: Final = ("mail", "sms")


@dataclass(frozen=True)
class Job:
    """One message to send now: a row of the queue that is ours. `documents` are its alerts, as JSON."""

    key: str
    what: str
    person: str
    kind: str
    attempt: int
    created_at: float
    documents: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Try:
    """What one channel answered. `seconds` is how long it took."""

    channel: str
    answer: Answer
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Outcome:
    """A job with what every channel answered that was asked, in order; `sent` by the last one or by none."""

    job: Job
    tries: tuple[Try, ...]

    @property
    def channel(self) -> str | None:
        """The channel that took the message."""
        return next((item.channel for item in self.tries if item.answer == "sent"), None)

    @property
    def reason(self) -> str | None:
        """What the channels said that did not take it."""
        said = [f"{item.channel}: {item.reason}" for item in self.tries if item.answer != "sent"]
        return "; ".join(said)[:2000] or None

    @property
    def refused(self) -> bool:
        """Every channel said no: trying again would say the same."""
        return all(item.answer == "refused" for item in self.tries)


def fields_after(outcome: Outcome, settings: AlertSettings, now: float) -> dict[str, Any]:
    """Columns of the message's row: sent, failed for good, or waiting for the next attempt."""
    if outcome.channel is not None:
        return {"state": "sent", "channel": outcome.channel, "reason": outcome.reason}
    if outcome.refused:
        return {"state": "failed", "reason": outcome.reason or "there is no channel of this kind, or no address"}
    if now - outcome.job.created_at >= settings.give_up_s:
        return {"state": "failed", "reason": f"given up after {settings.give_up_s:g} s: {outcome.reason}"}
    pause = min(settings.retry_max_s, settings.retry_s * 2.0 ** min(outcome.job.attempt - 1, 30))
    return {"state": "waiting", "not_before": now + pause, "reason": outcome.reason}


def lease_s(settings: AlertSettings) -> float:
    """How long a claimed message stays its sender's: every channel may take its whole time, and then some."""
    return settings.send_timeout_s * (len(settings.channels) + 1) + 30.0


def summary_of(rows: Sequence[Any]) -> list[list[Any]]:
    """Waiting messages that are to become one, by person and kind: those behind one that could not be sent before."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        if row.what != "test":
            groups.setdefault((row.person, row.kind), []).append(row)
    return [group for group in groups.values() if len(group) > 1 and any(row.attempts for row in group)]
