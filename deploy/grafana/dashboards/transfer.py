"""Transfer: from the camera's disk to the archive."""

from __future__ import annotations

from typing import Final

from deploy.grafana.board import SITE, Board, Row, Variable
from deploy.grafana.influxql import Target, by, by_tags, where
from deploy.grafana.panels import Limits, Panel, number

_ROUTE: Final = ("$site", "$route")
_LATE: Final[Limits] = ((None, "green"), (600, "orange"), (3600, "red"))


def _rate(field: str, measurement: str, *conditions: str, tags: tuple[str, ...]) -> str:
    """Sum per second of each interval."""
    return f'SELECT sum("{field}") * 1000 / $__interval_ms FROM "{measurement}"' + where(*conditions) + by(*tags)


_NUMBERS: Final = Row(
    "In numbers",
    (
        number(
            "Frames shipped",
            "Frames in bundles that went out over the chosen routes.",
            Target('SELECT sum("frames") FROM "bundle_sent"' + where(*_ROUTE) + by_tags("route"), "$tag_route"),
        ),
        number(
            "Bytes shipped",
            "Packed bytes that went out.",
            Target('SELECT sum("bytes") FROM "bundle_sent"' + where(*_ROUTE) + by_tags("route"), "$tag_route"),
            "bytes",
            1,
        ),
        number(
            "Packed to",
            "Packed bytes as a part of the raw bytes, by codec.",
            Target(
                'SELECT sum("bytes") / sum("raw_bytes") FROM "bundle_packed"' + where(*_ROUTE) + by_tags("codec"),
                "$tag_codec",
            ),
            "percentunit",
            1,
        ),
        number(
            "Waiting frames",
            "Frames that are not at the other end yet, as last counted.",
            Target('SELECT last("frames") FROM "backlog"' + where(*_ROUTE) + by_tags("route"), "$tag_route"),
            limits=((None, "green"), (100, "orange"), (1000, "red")),
        ),
        number(
            "Oldest waiting",
            "Age of the oldest frame that is not at the other end yet.",
            Target('SELECT last("oldest_s") FROM "backlog"' + where(*_ROUTE) + by_tags("route"), "$tag_route"),
            "s",
            0,
            _LATE,
        ),
        number(
            "Silence of the other site",
            "Seconds since the last heartbeat from each site, as last seen.",
            Target('SELECT last("age_s") FROM "heartbeat"' + where("$site") + by_tags("from"), "$tag_from"),
            "s",
            0,
            ((None, "green"), (300, "orange"), (900, "red")),
        ),
    ),
)

_RATES: Final = Row(
    "Rates",
    (
        Panel(
            "From the camera",
            "Bytes per second of new frames that the watcher took up, by kind.",
            [Target(_rate("bytes", "frame_seen", "$site", tags=("obstype",)), "$tag_obstype")],
            "bars",
            "Bps",
            low=0,
            every="1m",
        ),
        Panel(
            "Over the routes",
            "Packed bytes per second, averaged over each interval, idle time included.",
            [Target(_rate("bytes", "bundle_sent", *_ROUTE, tags=("route",)), "$tag_route")],
            unit="Bps",
            low=0,
            every="1m",
        ),
        Panel(
            "Speed while sending",
            "Bytes by the seconds of sending: what the line gives when it is used.",
            [
                Target(
                    'SELECT sum("bytes") / sum("seconds") FROM "bundle_sent"' + where(*_ROUTE) + by("route"),
                    "$tag_route",
                )
            ],
            "points",
            "Bps",
            low=0,
            every="1m",
        ),
        Panel(
            "From bundle to receipt",
            "Median and longest time from the closing of a bundle to its receipt.",
            [
                Target(
                    'SELECT median("seconds") AS "median", max("seconds") AS "longest" FROM "receipt"'
                    + where(*_ROUTE)
                    + by("route"),
                    "$tag_route $col",
                )
            ],
            unit="s",
            limits=((None, "green"), (300, "orange"), (1800, "red")),
            low=0,
            every="1m",
        ),
    ),
)

_WAITING: Final = Row(
    "Waiting",
    (
        Panel(
            "Backlog",
            "Frames that wait, by route. It should fall to nothing after the night.",
            [Target('SELECT max("frames") FROM "backlog"' + where(*_ROUTE) + by("route"), "$tag_route")],
            unit="short",
            low=0,
            width=8,
        ),
        Panel(
            "Bytes that wait",
            "Bytes that wait, by route.",
            [Target('SELECT max("bytes") FROM "backlog"' + where(*_ROUTE) + by("route"), "$tag_route")],
            unit="bytes",
            low=0,
            width=8,
        ),
        Panel(
            "Age of the oldest",
            "Age of the oldest frame that waits, by route.",
            [Target('SELECT max("oldest_s") FROM "backlog"' + where(*_ROUTE) + by("route"), "$tag_route")],
            unit="s",
            limits=_LATE,
            low=0,
            width=8,
        ),
        Panel(
            "Heartbeats",
            "Seconds since the last sign of life from each other site: a saw tooth that must come back to zero.",
            [
                Target(
                    'SELECT max("age_s") FROM "heartbeat"' + where("$site") + by("from", "site"),
                    "$tag_site ← $tag_from",
                )
            ],
            unit="s",
            limits=((None, "green"), (300, "orange"), (900, "red")),
            low=0,
            width=8,
        ),
        Panel(
            "Pressure at the receiver",
            "Tasks that the receiving host has in its queues, as it tells the senders.",
            [Target('SELECT max("queue_depth") FROM "receiver"' + where("$site") + by("site"), "$tag_site")],
            unit="short",
            low=0,
            width=8,
        ),
        Panel(
            "Free disk at the receiver",
            "Bytes free in the archive, as told with every receipt.",
            [Target('SELECT min("free_bytes") FROM "receipt"' + where(*_ROUTE) + by("route"), "$tag_route")],
            unit="bytes",
            low=0,
            width=8,
        ),
    ),
)

_WORDS: Final = Row(
    "Receipts and decisions",
    (
        Panel(
            "Receipts",
            "What the receiver said of the bundles. Anything but accepted and duplicate needs a look.",
            [
                Target(
                    'SELECT count("seconds") AS "bundles", sum("frames") AS "frames", median("seconds") AS "median_s", '
                    'max("seconds") AS "longest_s" FROM "receipt"' + where(*_ROUTE) + by_tags("route", "verdict")
                )
            ],
            "table",
            units={"median_s": "s", "longest_s": "s"},
            hide=("Time",),
            width=10,
        ),
        Panel(
            "Route log",
            "The newest bundles with their receipts, and what the routes met or decided: errors with the pause they "
            "brought, the receiver's pressure, the choices of mode auto.",
            [
                Target(
                    'SELECT "route", "verdict", "frames", "seconds" FROM "receipt"'
                    + where(*_ROUTE)
                    + " ORDER BY time DESC LIMIT 200"
                ),
                Target(
                    'SELECT "route", "error", "reason", "pause_s" FROM "route_error"'
                    + where(*_ROUTE)
                    + " ORDER BY time DESC LIMIT 200"
                ),
                Target(
                    'SELECT "route", "pause", "science_first", "mbit_s" FROM "route_pressure"'
                    + where(*_ROUTE)
                    + " ORDER BY time DESC LIMIT 200"
                ),
                Target(
                    'SELECT "route", "batch_frames", "streams", "reason" FROM "route_auto"'
                    + where(*_ROUTE)
                    + " ORDER BY time DESC LIMIT 200"
                ),
            ],
            "table",
            units={"seconds": "s", "pause_s": "s", "mbit_s": "Mbits"},
            merge=True,
            width=14,
        ),
    ),
)

BOARD: Final = Board(
    "nf-transfer",
    "Transfer",
    "The way of the frames from the camera's disk to the archive: rates, backlog, receipts, routes and heartbeats.",
    (_NUMBERS, _RATES, _WAITING, _WORDS),
    (SITE, Variable("route", "Route", "bundle_sent", ("site",))),
)
