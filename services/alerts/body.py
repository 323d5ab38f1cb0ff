"""What a message will say, as JSON in the queue: small, whatever the number of alerts in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from services.alerts.situation import Condition, Planned
from services.core.alert_settings import AlertSettings

_WITH_TREND: Final = 4  # alerts whose trend goes into a message; the others are a line each
_TREND: Final = ("trend", "limits")


def body_of(planned: Planned, settings: AlertSettings) -> dict[str, Any]:
    """The body of a message that was decided."""
    told = [_as_decided(need.what, need.condition) for need in planned.needs]
    flapping = f"comes and goes, {settings.flap_count} times within {_words_s(settings.flap_window_s)}"
    return {
        "alerts": slim(
            [
                document_of(
                    condition,
                    {"flapping": f"{flapping}, and is held quiet until it calms down: ", "worse": "got worse: "}.get(
                        need.what, ""
                    ),
                )
                for need, condition in zip(planned.needs, told, strict=True)
            ]
        )
    }


def _as_decided(what: str, condition: Condition) -> Condition:
    """What comes and goes is not told as over because it is away at this moment."""
    return condition if what == "resolved" else replace(condition, open=True)


def document_of(condition: Condition, before: str = "") -> dict[str, Any]:
    """One alert as a message tells it: the columns of the ledger's table, with words before its message."""
    times = condition.episode - condition.flapping + 1 if condition.flapping is not None else 1
    again = f" (came back {times} times meanwhile)" if times > 1 else ""
    return {
        "alert": condition.alert,
        "severity": condition.severity,
        "message": f"{before}{condition.message}{again}",
        "raised_at": condition.raised_at,
        "episode": condition.episode,
        "acked_by": condition.acked_by if condition.acked_at is not None else None,
        "resolved_at": None if condition.open else condition.resolved_at,
        "details": dict(condition.details),
    }


def slim(documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same without the trends of all but the first few."""
    return [
        {**document, "details": _without(document["details"])} if index >= _WITH_TREND else document
        for index, document in enumerate(documents)
    ]


def _without(details: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in details.items() if key not in _TREND}


def _words_s(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:g} s"
