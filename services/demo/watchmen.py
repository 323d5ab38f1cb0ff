"""Who watches the demo's night: housekeeping with one fault in it, its limits, and the person who is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, func, select

from processors.simulator.faults import Fault
from services.core.ledger.alert_schema import alerts, notifications, tellings
from services.core.ledger.alerts import open_alerts
from services.core.ledger.engine import Ledger
from services.core.metrics.spool import open_spool
from services.core.settings import load_settings
from services.demo.layout import Layout
from services.housekeeping.store import STORE_NAME, StoreUnreachable, open_store

SOURCE: Final = "roe1"
PARAMETER: Final = "HK_temp_top_CCD1"
# From the darks until late in the science: long enough, at the demo's pace, for a person to be told before it is over.
FAULT: Final = Fault("step", PARAMETER, at="23:10", lasts_s=9600.0, by=8.0)
ALERT: Final = f"housekeeping:{SOURCE}:{PARAMETER}:high"
PERSON: Final = {"observer": {"mail": "observer@example.org"}}
_ALL_S: Final = 1e7  # more history than any night has

_UNITS: Final = {f"HK_temp_{end}_CCD{ccd}": "deg C" for ccd in (1, 2, 3) for end in ("top", "bottom")}
# The night is that of January, played at a thousand times its speed: by the clock of today every sensor has long been
# silent, so that silence is not asked about. A real site leaves `stale_s` as it is.
LIMITS: Final[dict[str, Any]] = {
    "defaults": {"stale_s": False, "persist": {"samples": 3}},
    "sources": {
        SOURCE: {
            "parameters": {
                "HK_temp_*_CCD*": {"unit": "deg C", "warning": [-105.0, -95.0], "error": [-115.0, -85.0]},
                "HK_OD_*": {"warning": [25.5, 26.5], "error": [25.0, 27.0]},
                "HK_RD_*": {"warning": [15.5, 16.5], "error": [15.0, 17.0]},
                "HK_28V_Pri_RPSU": {"warning": [27.0, 29.0], "error": [26.0, 30.0]},
                "HK_Temp?_RPSU": {"warning": [5.0, 40.0], "error": [0.0, 50.0]},
            }
        }
    },
}


def housekeep_section(layout: Layout) -> dict[str, Any]:
    """The housekeeper's part of the telescope's settings."""
    # The night that is played lies months in the past, and its alerts are told all the same: past_s.
    source = {"kind": "vison", "dir": str(layout.camera / "hk"), "units": _UNITS, "past_s": None}
    return {"sources": {SOURCE: source}, "limits": str(layout.limits), "poll_s": 0.3, "keep_s": 86_400.0}


def alerts_section(url_file: Path) -> dict[str, Any]:
    """Who is told, on either side: one person, by mail, at once."""
    return {
        "channels": {"smtp": {"kind": "mail", "url": {"file": str(url_file)}}},
        "people": PERSON,
        "oncall": {"default": list(PERSON)},
        "poll_s": 0.5,
        "group_s": 0.5,
    }


@dataclass(frozen=True)
class Told:
    """What became of housekeeping, alerts, messages and metrics.

    `messages` are those sent, by what they say; `about_fault` those of them that are about the injected fault.
    """

    rows_written: int = 0
    rows_taken: int = 0
    episodes: int = 0
    fault_open: bool = False
    alerts_raised: int = 0
    alerts_open: int = 0
    messages: tuple[tuple[str, int], ...] = ()
    about_fault: tuple[tuple[str, int], ...] = ()
    mails: int = 0
    points_waiting: int = 0
    points_rejected: int = 0

    def lines(self) -> list[tuple[str, str]]:
        """What the closing table and the report say of it."""
        messages = ", ".join(f"{number} {what}" for what, number in self.messages) or "none"
        return [
            ("rows of housekeeping written, taken", f"{self.rows_written}, {self.rows_taken}"),
            ("alerts raised, open at the end", f"{self.alerts_raised}, {self.alerts_open}"),
            ("messages sent", messages),
            ("mails in the mailbox", str(self.mails)),
            ("points of metrics waiting, set aside", f"{self.points_waiting}, {self.points_rejected}"),
        ]

    def faults(self, mailed: bool) -> list[str]:
        """What is wrong with it; `mailed` says whether messages could be sent."""
        wrong = []
        if self.rows_taken != self.rows_written:
            wrong.append(f"{self.rows_taken} of {self.rows_written} rows of housekeeping taken")
        if self.episodes != 1:
            wrong.append(f"{ALERT} was raised {self.episodes} times, expected once")
        elif self.fault_open:
            wrong.append(f"{ALERT} was not resolved")
        if mailed and dict(self.about_fault) != {"raised": 1, "resolved": 1}:
            said = ", ".join(f"{number} {step}" for step, number in self.about_fault) or "none"
            wrong.append(f"messages about {PARAMETER}: {said}; expected 1 raised, 1 resolved")
        return wrong


class AlertNews:
    """What was raised, and what is over, since the last look."""

    def __init__(self, ledgers: Mapping[str, Ledger]) -> None:
        self._ledgers = ledgers
        self._open: dict[str, set[str]] = {site: set() for site in ledgers}

    def read(self) -> list[str]:
        """One line per piece of news."""
        lines = []
        for site, ledger in self._ledgers.items():
            with ledger.read() as conn:
                now = {row.alert: row.message for row in open_alerts(conn)}
            lines += [f"alert at {site}: {now[name]}" for name in now if name not in self._open[site]]
            lines += [f"over at {site}: {name}" for name in sorted(self._open[site] - set(now))]
            self._open[site] = set(now)
        return lines


def fault_is_over(conn: Connection, mailed: bool) -> bool:
    """Whether the injected fault was raised, resolved and, where that is possible, told."""
    row = conn.execute(select(alerts.c.open).where(alerts.c.alert == ALERT)).one_or_none()
    return row is not None and not row.open and (not mailed or "resolved" in _steps(conn))


def rows_written(layout: Layout) -> int:
    """Rows in the files of housekeeping."""
    files = (layout.camera / "hk").glob("HK_*.txt")
    return sum(path.read_bytes().count(b"\n") - 1 for path in files)


def rows_taken(layout: Layout) -> int:
    """Rows that the housekeeper has in its history: read once each, if there are as many as were written."""
    try:
        store = open_store(layout.telescope_state / STORE_NAME, readonly=True)
    except StoreUnreachable:
        return 0
    try:
        return len(store.trend(SOURCE, PARAMETER, _ALL_S)[0])
    finally:
        store.close()


def settle_told(layout: Layout, summit: Ledger, centre: Ledger) -> Told:
    """Read ledgers, files and spools once more, when everything has come to rest."""
    messages: dict[str, int] = {}
    raised = still_open = 0
    for ledger in (summit, centre):
        with ledger.read() as conn:
            sent = select(notifications.c.what, func.count()).where(notifications.c.state == "sent")
            for what, number in conn.execute(sent.group_by(notifications.c.what)):
                messages[what] = messages.get(what, 0) + number
            raised += conn.execute(select(func.coalesce(func.sum(alerts.c.episode), 0))).scalar_one()
            still_open += conn.execute(select(func.count()).where(alerts.c.open)).scalar_one()
    with summit.read() as conn:
        fault = conn.execute(select(alerts.c.episode, alerts.c.open).where(alerts.c.alert == ALERT)).one_or_none()
        about = _steps(conn)
    spools = [_count(path) for path in (layout.telescope_config, layout.centre_config)]
    return Told(
        rows_written=rows_written(layout),
        rows_taken=rows_taken(layout),
        episodes=0 if fault is None else fault.episode,
        fault_open=fault is not None and fault.open,
        alerts_raised=raised,
        alerts_open=still_open,
        messages=tuple(sorted(messages.items())),
        about_fault=tuple(sorted(about.items())),
        mails=len(list(layout.mail.glob("*.eml"))),
        points_waiting=sum(waiting for waiting, _ in spools),
        points_rejected=sum(rejected for _, rejected in spools),
    )


def _steps(conn: Connection) -> dict[str, int]:
    """Messages sent about the injected fault, by step."""
    query = select(tellings.c.step, func.count(func.distinct(tellings.c.key))).join(
        notifications, notifications.c.key == tellings.c.key
    )
    query = query.where(tellings.c.alert == ALERT, notifications.c.state == "sent").group_by(tellings.c.step)
    return {step: number for step, number in conn.execute(query)}


def _count(config: Path) -> tuple[int, int]:
    settings = load_settings(config)
    spool = open_spool(settings)
    try:
        return spool.count()
    finally:
        spool.close()
