"""Queues and workers: what waits, what is done, and who is alive."""

from __future__ import annotations

from typing import Final

from deploy.grafana.board import SITE, Board, Row, Variable
from deploy.grafana.influxql import Target, by, by_tags, where
from deploy.grafana.panels import Limits, Panel

_QUEUE: Final = ("$site", "$queue")
_WAIT: Final[Limits] = ((None, "green"), (600, "orange"), (3600, "red"))

_QUEUES: Final = Row(
    "Queues",
    (
        Panel(
            "Depth",
            "Tasks that wait in each queue.",
            [Target('SELECT max("depth") FROM "queue"' + where(*_QUEUE) + by("queue"), "$tag_queue")],
            unit="short",
            low=0,
            width=8,
        ),
        Panel(
            "Oldest task",
            "Age of the oldest task in each queue: this grows when no worker serves it.",
            [Target('SELECT max("oldest_s") FROM "queue_age"' + where(*_QUEUE) + by("queue"), "$tag_queue")],
            unit="s",
            limits=_WAIT,
            low=0,
            width=8,
        ),
        Panel(
            "Waited before the start",
            "Median seconds between a task being ready and a worker taking it, by kind.",
            [Target('SELECT median("waited_s") FROM "task_done"' + where("$site") + by("kind"), "$tag_kind")],
            unit="s",
            limits=_WAIT,
            low=0,
            every="1m",
            width=8,
        ),
    ),
)

_TASKS: Final = Row(
    "Tasks",
    (
        Panel(
            "Tasks done",
            "Tasks that ended well in each interval, by kind.",
            [Target('SELECT count("seconds") FROM "task_done"' + where("$site") + by("kind"), "$tag_kind")],
            "bars",
            "short",
            low=0,
            every="1m",
            width=8,
        ),
        Panel(
            "Seconds of work",
            "Median seconds a task took, by kind.",
            [Target('SELECT median("seconds") FROM "task_done"' + where("$site") + by("kind"), "$tag_kind")],
            unit="s",
            low=0,
            every="1m",
            width=8,
        ),
        Panel(
            "Rounds of the conductor",
            "Seconds of one look over the ledger for tasks that are ready.",
            [Target('SELECT max("seconds") FROM "conductor_plan"' + where("$site") + by("site"), "$tag_site")],
            unit="s",
            low=0,
            width=8,
        ),
        Panel(
            "Kinds of tasks",
            "What was done: how often, how long the work and the waiting took, and in how many attempts at most.",
            [
                Target(
                    'SELECT count("seconds") AS "done", median("seconds") AS "median_s", max("seconds") AS '
                    '"longest_s", median("waited_s") AS "waited_s", max("attempt") AS "attempts" FROM "task_done"'
                    + where("$site")
                    + by_tags("kind", "production")
                ),
                Target(
                    'SELECT count("reason") AS "failed" FROM "task_failed"' + where("$site") + by_tags("kind"),
                ),
            ],
            "table",
            units={"median_s": "s", "longest_s": "s", "waited_s": "s"},
            merge=True,
            hide=("Time",),
        ),
        Panel(
            "Log of daemons and failures",
            "Starts of daemons, their errors, and tasks that failed: the newest first.",
            [
                Target(
                    'SELECT "daemon", "started" FROM "daemon_start"' + where("$site") + " ORDER BY time DESC LIMIT 100"
                ),
                Target(
                    'SELECT "daemon", "error", "reason" FROM "daemon_error"'
                    + where("$site")
                    + " ORDER BY time DESC LIMIT 200"
                ),
                Target(
                    'SELECT "kind", "attempt", "again", "reason" FROM "task_failed"'
                    + where("$site")
                    + " ORDER BY time DESC LIMIT 200"
                ),
            ],
            "table",
            merge=True,
        ),
    ),
)

_DAEMONS: Final = Row(
    "Daemons and hosts",
    (
        Panel(
            "Alive",
            "Green while the daemon's heart beats, red when it fell silent, nothing before it was first seen.",
            [
                Target(
                    'SELECT min("up") FROM "daemon"' + where("$site") + by("site", "host", "daemon", fill="null"),
                    "$tag_site $tag_daemon",
                )
            ],
            "states",
            every="2m",
            words={"0": ("silent", "red"), "1": ("alive", "green")},
            limits=((None, "red"), (1, "green")),
            low=0,
            high=1,
        ),
        Panel(
            "Daemons now",
            "Each daemon as last seen: how long it runs, how long ago its heart beat, and what it takes.",
            [
                Target(
                    'SELECT last("up") AS "up", last("uptime_s") AS "uptime_s", last("age_s") AS "age_s", '
                    'last("rss_bytes") AS "memory", last("cpu_s") AS "cpu_s" FROM "daemon"'
                    + where("$site")
                    + by_tags("site", "host", "daemon")
                )
            ],
            "table",
            units={"uptime_s": "s", "age_s": "s", "memory": "bytes", "cpu_s": "s"},
            hide=("Time",),
        ),
        Panel(
            "Memory",
            "Resident memory of each daemon. A line that only climbs is a leak.",
            [
                Target(
                    'SELECT max("rss_bytes") FROM "daemon"' + where("$site") + by("site", "daemon"),
                    "$tag_site $tag_daemon",
                )
            ],
            unit="bytes",
            low=0,
            width=8,
        ),
        Panel(
            "Disks",
            "How full each watched place is.",
            [
                Target(
                    'SELECT max("used_fraction") FROM "disk"' + where("$site") + by("site", "host", "place"),
                    "$tag_host $tag_place",
                )
            ],
            unit="percentunit",
            limits=((None, "green"), (0.8, "orange"), (0.9, "red")),
            low=0,
            high=1,
            width=8,
        ),
        Panel(
            "Hosts now",
            "The watched places of each host, and how far its clock is off NTP, where something keeps it: file times "
            "and nights depend on it.",
            [
                Target(
                    'SELECT last("used_fraction") AS "used", last("free_bytes") AS "free" FROM "disk"'
                    + where("$site")
                    + by_tags("site", "host", "place")
                ),
                Target(
                    'SELECT last("offset_s") AS "clock off", count("offset_s") AS "readings" FROM "clock"'
                    + where("$site")
                    + by_tags("site", "host")
                ),
            ],
            "table",
            units={"used": "percentunit", "free": "bytes", "clock off": "s"},
            merge=True,
            hide=("Time", "readings"),
            width=8,
        ),
    ),
)

_METRICS: Final = Row(
    "The metrics themselves",
    (
        Panel(
            "Points delivered",
            "Points that left the spool for InfluxDB in each interval.",
            [Target('SELECT sum("points") FROM "metrics_writer"' + where("$site") + by("site"), "$tag_site")],
            unit="short",
            low=0,
        ),
        Panel(
            "Points that wait or were set aside",
            "Points in the spool. Waiting ones climb while InfluxDB is away; InfluxDB refused those set aside.",
            [
                Target(
                    'SELECT max("waiting") AS "waiting", max("set_aside") AS "set aside" FROM "metrics_writer"'
                    + where("$site")
                    + by("site"),
                    "$tag_site $col",
                )
            ],
            unit="short",
            low=0,
        ),
    ),
)

BOARD: Final = Board(
    "nf-queues",
    "Queues and workers",
    "What waits and what is done in the data centre; which daemons are alive; disks, clocks and the metrics' own way.",
    (_QUEUES, _TASKS, _DAEMONS, _METRICS),
    (SITE, Variable("queue", "Queue", "queue", ("site",))),
)
