"""A night as lines for a terminal."""

from __future__ import annotations

import datetime as dt
from typing import Final

from rich.text import Text

from services.console.exposures import TROUBLE, Exposure
from services.console.layout import Column, cell, lay_out
from services.console.night_view import NightView
from services.console.words import lasting, number, sized

_STYLES: Final = {"error": "bold red", "warning": "yellow", "ok": "green"}
_SHORT: Final = {"error": "ERR", "warning": "warn"}
_COLUMNS: Final = (
    Column("UT", least=5, clean=True),
    Column("exp", right=True),
    Column("instrument", drop=9),
    Column("type", least=4, clean=True),
    Column("object", least=8, drop=1),
    Column("filt", least=2, clean=True),
    Column("s", right=True),
    Column("seeing", right=True, drop=2),
    Column("sky", right=True, drop=3),
    Column("zp", right=True, drop=4),
    Column("checks", least=5, drop=5),
    Column("where"),
    Column("delay", right=True),
    Column("flags", least=10, drop=8),
)


def night_lines(view: NightView, width: int, height: int | None = None) -> list[Text]:
    """The night in lines of at most `width` cells; with a height the log is cut to its newest exposures."""
    head = [_title(view, width)]
    alerts = _alerts(view, width)
    below = [*_routes(view, width), *_queues(view, width), *_daemons(view, width)]
    if height is not None and len(alerts) > max(2, height // 4):
        more = len(alerts) - max(2, height // 4) + 1
        alerts = [*alerts[: max(2, height // 4) - 1], cell(f"… and {more} more alerts", "red")]
    room = None if height is None else height - len(head) - len(alerts) - len(below) - 2
    return [*head, *alerts, *_log(view, width, room), *([cell("")] if below else []), *below]


def _title(view: NightView, width: int) -> Text:
    clock = dt.datetime.fromtimestamp(view.now, dt.UTC)
    states = ", ".join(f"{count} {state}" for state, count in view.frames.items())
    exposures = f"{view.total} exposure{'' if view.total == 1 else 's'}"
    line = cell(f"{view.site}  {view.night or 'no night yet'}  {exposures}  {clock:%H:%M:%S} UT", "bold")
    line.append_text(cell(f"  frames: {states}" if states else ""))
    line.truncate(width, overflow="ellipsis")
    return line


def _log(view: NightView, width: int, room: int | None) -> list[Text]:
    exposures = view.exposures
    shown = exposures if room is None else exposures[len(exposures) - max(0, room - 1) :]
    if not exposures:
        other = view.newest not in (None, view.night)
        said = f"no exposures of this night; the newest on record is {view.newest}" if other else "no exposures yet"
        return [cell(said, "dim")]
    several = len({exposure.instrument for exposure in exposures}) > 1
    keep = [index for index, column in enumerate(_COLUMNS) if several or column.title != "instrument"]
    rows = [_row(exposure) for exposure in shown]
    columns = [_COLUMNS[index] for index in keep]
    return lay_out(columns, [[row[index] for index in keep] for row in rows], width)


def _row(exposure: Exposure) -> list[Text]:
    style = "bold red" if exposure.place in TROUBLE else ("" if exposure.over else "cyan")
    missing = exposure.expected - exposure.detectors
    flags = ([f"{missing} detectors missing"] if missing > 0 else []) + list(exposure.flags)
    delay = "-" if exposure.delay_s is None else lasting(exposure.delay_s) + ("" if exposure.over else "…")
    return [
        cell(exposure.started[11:19] or "?"),
        cell(exposure.expid),
        cell(exposure.instrument),
        cell(exposure.obstype),
        cell(exposure.object or "-"),
        cell(exposure.filter or "-"),
        cell(f"{exposure.exptime_s:g}"),
        cell("-" if exposure.seeing is None else f"{exposure.seeing:.2f}"),
        cell(number(exposure.sky, 3)),
        cell("-" if exposure.zero_point is None else f"{exposure.zero_point:.2f}"),
        _checks(exposure),
        cell(exposure.place, style),
        cell(delay, "" if exposure.over else "dim"),
        cell(" ".join(flags), "yellow"),
    ]


def _checks(exposure: Exposure) -> Text:
    if exposure.verdict is None:
        return cell("-", "dim")
    words = "ok" if exposure.verdict == "ok" else f"{exposure.found} {_SHORT.get(exposure.verdict, exposure.verdict)}"
    return cell(words, _STYLES.get(exposure.verdict, ""))


def _alerts(view: NightView, width: int) -> list[Text]:
    lines = [cell(f"! {trouble}", "bold red") for trouble in view.troubles]
    for alert in view.alerts:
        known = f", {alert.acked_by} looks at it" if alert.acked_by else ""
        words = f"! {lasting(view.now - alert.raised_at)}{known}: {alert.message}  {alert.alert}"  # the name may be cut
        lines.append(cell(words, "yellow" if alert.acked_by or alert.severity < 2 else "bold red"))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _routes(view: NightView, width: int) -> list[Text]:
    if not view.routes:
        return []
    columns = (
        Column("route", least=6),
        Column("mode", drop=3),
        Column("frames waiting", right=True),
        Column("bundles under way", right=True),
        Column("oldest", right=True),
        Column("stuck", right=True),
    )
    rows = [
        [
            cell(line.route),
            cell("paused" if line.paused else line.mode, "yellow" if line.paused else ""),
            cell(f"{line.waiting} ({sized(line.waiting_bytes)})" if line.waiting else "-"),
            cell(f"{line.bundles} ({sized(line.bundle_bytes)})" if line.bundles else "-"),
            cell("-" if line.oldest_s is None else lasting(line.oldest_s)),
            cell(line.stuck or "-", "bold red" if line.stuck else ""),
        ]
        for line in view.routes
    ]
    return lay_out(columns, rows, width)


def _queues(view: NightView, width: int) -> list[Text]:
    if not view.queues:
        return []
    titles = ("waiting", "ready", "running", "failed", "oldest", "in Redis")
    columns = (Column("queue", least=6), *(Column(title, right=True) for title in titles))
    rows = [
        [
            cell(line.queue),
            *(cell(count or "-") for count in (line.waiting, line.ready, line.running)),
            cell(line.failed or "-", "bold red" if line.failed else ""),
            cell("-" if line.oldest_s is None else lasting(line.oldest_s)),
            cell("?" if line.in_redis is None else line.in_redis),
        ]
        for line in view.queues
    ]
    return lay_out(columns, rows, width)


def _daemons(view: NightView, width: int) -> list[Text]:
    if not view.daemons:
        return [cell("no daemon runs on this host", "yellow")]
    columns = (
        Column("daemon"),
        Column("state"),
        Column("up", right=True),
        Column("heard", right=True),
        Column("says", least=8, drop=1),
    )
    rows = [
        [
            cell(line.daemon, style := "bold red" if line.bad else ""),
            cell(line.state, style),
            cell("-" if line.uptime_s is None else lasting(line.uptime_s)),
            cell("-" if line.age_s is None else lasting(line.age_s), style),
            cell(line.status, style),
        ]
        for line in view.daemons
    ]
    return lay_out(columns, rows, width)
