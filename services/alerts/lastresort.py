"""When the ledger is away: the one alert that cannot stand in it, told by the same policy from a file of our own.

`STATE_DIR/notify.json` holds what the ledger holds otherwise: the condition, what was told of it, messages that wait.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from services.alerts.body import body_of
from services.alerts.delivery import Job, Outcome, fields_after
from services.alerts.policy import RECENT_S, decide
from services.alerts.situation import Condition, Planned, Situation, Telling
from services.core.alert_settings import AlertSettings
from services.core.log import get_logger

ALERT: Final = "daemon:ledger"


class LastResort:
    """The alert about the ledger itself; every change is on the disk before a message goes out."""

    def __init__(self, path: Path, settings: AlertSettings) -> None:
        self._path = path
        self.use(settings)
        self._host = socket.gethostname()
        self._sending: set[str] = set()
        self._condition, self._tellings, self._waiting = _read(path)

    def use(self, settings: AlertSettings) -> None:
        """Other settings from now on."""
        self._settings = settings.model_copy(update={"group_s": 0.0})  # nothing else comes with it

    @property
    def open(self) -> bool:
        """Whether people were told, or are being told, that the ledger is away."""
        return self._condition is not None and self._condition.open

    def away(self, reason: str, since: float, now: float) -> list[Job]:
        """The ledger does not answer since `since`: messages to send now."""
        if self._condition is None or not self._condition.open:
            episode = 1 if self._condition is None else self._condition.episode + 1
            self._condition = Condition(ALERT, 2, "", True, since, episode)
            get_logger().error("ledger away, people are told without it", reason=reason)
        minutes = max(1, round((now - self._condition.raised_at) / 60))
        words = f"{self._host}: no answer from the ledger for {minutes} min, no alert can be decided: {reason}"
        self._condition = replace(self._condition, message=words[:500])
        return self._step(now)

    def back(self, now: float) -> list[Job]:
        """The ledger answers: messages to send now, if there are any left."""
        if self._condition is None:
            return []
        if self._condition.open:
            message = f"{self._host}: the ledger answers again, alerts are decided"
            self._condition = replace(self._condition, open=False, resolved_at=now, message=message)
        jobs = self._step(now)
        ended = self._condition.resolved_at or now
        if not self._waiting or now - ended >= RECENT_S:
            self._condition, self._tellings, self._waiting = None, [], {}
            self._path.unlink(missing_ok=True)
        return jobs

    def settle(self, outcome: Outcome, now: float) -> None:
        """What became of a message."""
        self._sending.discard(outcome.job.key)
        row = self._waiting.get(outcome.job.key)
        if row is None:
            return
        fields = fields_after(outcome, self._settings, now)
        if fields["state"] == "waiting":
            row["not_before"] = fields["not_before"]
        else:
            del self._waiting[outcome.job.key]
        if fields["state"] == "failed":
            self._tellings = [
                replace(item, failed=True) if item.at == row["created_at"] and item.person == row["person"] else item
                for item in self._tellings
            ]
        self._write()

    def _step(self, now: float) -> list[Job]:
        assert self._condition is not None
        situation = Situation(now, (self._condition,), tuple(self._tellings))
        planned = decide(situation, self._settings).messages
        for message in planned:
            self._add(message, now)
        due = [row for row in self._waiting.values() if row["not_before"] <= now and row["key"] not in self._sending]
        for row in due:
            row["attempts"] += 1
            self._sending.add(row["key"])
        if planned or due:
            self._write()
        return [
            Job(
                row["key"], row["what"], row["person"], row["kind"], row["attempts"], row["created_at"], (row["alert"],)
            )
            for row in due
        ]

    def _add(self, message: Planned, now: float) -> None:
        for need in message.needs:
            self._tellings.append(
                Telling(ALERT, need.episode, need.step, message.person, message.kind, need.condition.severity, now)
            )
        self._waiting[message.key] = {
            "key": message.key,
            "what": message.what,
            "person": message.person,
            "kind": message.kind,
            "attempts": 0,
            "not_before": now,
            "created_at": now,
            "alert": body_of(message, self._settings)["alerts"][0],
        }
        # Without network for hours one message of each kind waits, the newest.
        for key, row in list(self._waiting.items()):
            same = (row["person"], row["kind"]) == (message.person, message.kind)
            if same and key != message.key and key not in self._sending:
                del self._waiting[key]

    def _write(self) -> None:
        assert self._condition is not None
        document = {
            "condition": asdict(self._condition),
            "tellings": [asdict(telling) for telling in self._tellings[-500:]],
            "waiting": list(self._waiting.values()),
        }
        part = self._path.with_suffix(".part")
        try:
            with part.open("w", encoding="utf-8") as file:
                json.dump(document, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:  # a full disk may be why the ledger is away: people are told all the same
            get_logger().error("state of the last resort not written", reason=str(error))


def _read(path: Path) -> tuple[Condition | None, list[Telling], dict[str, dict[str, Any]]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        fields = document["condition"]
        condition = Condition(**{**fields, "raises": tuple(fields["raises"])})
        tellings = [Telling(**item) for item in document["tellings"]]
        return condition, tellings, {str(row["key"]): row for row in document["waiting"]}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        get_logger().error("state of the last resort not readable, begun anew", path=str(path), reason=str(error))
    return None, [], {}
