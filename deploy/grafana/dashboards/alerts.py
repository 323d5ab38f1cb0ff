"""Alerts: what is open, what was, who was told, and how soon somebody took it."""

from __future__ import annotations

from typing import Final

from deploy.grafana.board import SITE, Board, Row, Variable
from deploy.grafana.influxql import Target, by, by_tags, where
from deploy.grafana.panels import Limits, Panel, number

_ALERT: Final = ("$site", "$about")
_NONE: Final[Limits] = ((None, "green"), (1, "red"))


def _open(field: str, title: str, text: str, limits: Limits) -> Panel:
    query = f'SELECT last("{field}") FROM "alerts_open"' + where("$site") + by_tags("site")
    return Panel(title, text, [Target(query, "$tag_site")], "stat", "short", limits=limits, width=4, height=4)


_NUMBERS: Final = Row(
    "Now",
    (
        _open("total", "Open", "Alerts that are not resolved.", _NONE),
        _open("severity2", "Severity 2", "Open alerts that also go out as SMS.", _NONE),
        _open("severity1", "Severity 1", "Open alerts that go out by mail only.", ((None, "green"), (1, "orange"))),
        _open("acked", "Acknowledged", "Open alerts that a person has taken.", ((None, "text"),)),
        _open("muted", "Muted", "Open alerts that are silenced until a time.", ((None, "text"), (1, "orange"))),
        number(
            "Messages sent",
            "Messages that a channel took in this range of time.",
            Target(
                'SELECT sum("sent") FROM "notification"' + where("$site") + by_tags("channel"),
                "$tag_channel",
            ),
            limits=((None, "text"),),
        ),
    ),
)


def _after(what: str) -> Target:
    query = f'SELECT max("open_s") AS "{what} after", count("open_s") AS "{what}" FROM "alert"'
    return Target(query + where(*_ALERT, f"\"what\" = '{what}'") + by_tags("about", "alert"))


_HISTORY: Final = Row(
    "History",
    (
        Panel(
            "Open alerts",
            "Open alerts over time, each minute.",
            [
                Target(
                    'SELECT max("severity1") AS "severity 1", max("severity2") AS "severity 2", max("acked") AS '
                    '"acknowledged", max("muted") AS "muted" FROM "alerts_open"' + where("$site") + by("site"),
                    "$tag_site $col",
                )
            ],
            unit="short",
            low=0,
            every="1m",
        ),
        Panel(
            "Raised",
            "Alerts raised in each interval, by what they are about.",
            [
                Target(
                    'SELECT count("episode") FROM "alert"' + where(*_ALERT, "\"what\" = 'raised'") + by("about"),
                    "$tag_about",
                )
            ],
            "bars",
            "short",
            low=0,
            every="10m",
        ),
        Panel(
            "Alert log",
            "What happened to the alerts: raised, repeated, escalated, acknowledged, muted, resolved. The newest 500.",
            [
                Target(
                    'SELECT "what", "severity", "about", "alert", "title", "text", "episode", "site" FROM "alert"'
                    + where(*_ALERT)
                    + " ORDER BY time DESC LIMIT 500"
                )
            ],
            "table",
            words={
                "raised": ("raised", "red"),
                "escalated": ("escalated", "orange"),
                "acknowledged": ("acknowledged", "blue"),
                "resolved": ("resolved", "green"),
            },
            width=24,
            height=10,
        ),
        Panel(
            "By alert",
            "How often each alert was raised, its severity, and the longest time until a person took it and until its"
            " end.",
            [
                Target(
                    'SELECT count("episode") AS "times", max("severity") AS "severity" FROM "alert"'
                    + where(*_ALERT, "\"what\" = 'raised'")
                    + by_tags("about", "alert")
                ),
                _after("acknowledged"),
                _after("resolved"),
            ],
            "table",
            units={"acknowledged after": "s", "resolved after": "s"},
            merge=True,
            hide=("Time", "acknowledged", "resolved"),
            width=24,
        ),
    ),
)

_MESSAGES: Final = Row(
    "Messages",
    (
        Panel(
            "Sent and not sent",
            "Attempts of each channel. Failed ones are tried again, or by the next channel.",
            [
                Target(
                    'SELECT sum("sent") AS "sent", count("sent") AS "tried" FROM "notification"'
                    + where("$site")
                    + by("channel"),
                    "$tag_channel $col",
                )
            ],
            "bars",
            "short",
            low=0,
            every="10m",
            width=8,
        ),
        Panel(
            "Seconds to send",
            "Longest time a message took to be taken by its channel.",
            [Target('SELECT max("seconds") FROM "notification"' + where("$site") + by("channel"), "$tag_channel")],
            "points",
            "s",
            2,
            low=0,
            width=8,
        ),
        Panel(
            "Message log",
            "Who was told, over which channel, in how many attempts; and why not.",
            [
                Target(
                    'SELECT "person", "channel", "kind", "sent", "attempts", "seconds", "reason" FROM "notification"'
                    + where("$site")
                    + " ORDER BY time DESC LIMIT 500"
                )
            ],
            "table",
            units={"seconds": "s"},
            width=8,
        ),
    ),
)

BOARD: Final = Board(
    "nf-alerts",
    "Alerts",
    "Open alerts, their history, and the messages that people were sent. `nightferry alerts` acknowledges and mutes.",
    (_NUMBERS, _HISTORY, _MESSAGES),
    (SITE, Variable("about", "About", "alert", ("site",))),
)
