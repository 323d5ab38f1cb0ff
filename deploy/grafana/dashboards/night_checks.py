"""Night overview, the row of checks: how many were out of limits, and which."""

from __future__ import annotations

from typing import Final

from deploy.grafana.board import Row
from deploy.grafana.influxql import Target, by, by_tags, known, where
from deploy.grafana.panels import Panel, Styles

_LIVE: Final = ("$site", "$instrument", "\"production\" = 'live'")
OUT_OF_LIMITS: Final = '"verdict" =~ /^(warning|error)$/'
VERDICTS: Final = {"ok": ("ok", "green"), "warning": ("warning", "orange"), "error": ("error", "red")}
VERDICT_COLOURS: Final[Styles] = {
    f"^{name}$": [("color", {"mode": "fixed", "fixedColor": colour})] for name, (_, colour) in VERDICTS.items()
}


def verdict(name: str, group: str = "") -> Target:
    """How many checks had this verdict, those that found no number among them."""
    query = f'SELECT count("expid") AS "{name}" FROM "qa"' + where(*_LIVE, "$filter", f"\"verdict\" = '{name}'")
    return Target(query + group, name)


_LOGGED: Final = (
    'SELECT "expid", "check", "verdict", "value", "unit", "flag", "obstype", "filter", "detector", "amplifier", '
    '"missing" '
    'FROM "qa"'
)
_EACH: Final = by_tags("instrument", "obstype", "check")  # of other exposures it may be in another unit
ROW: Final = Row(
    "Checks",
    (
        Panel(
            "Verdicts",
            "Checks in each interval, by verdict.",
            [verdict(name, by()) for name in VERDICTS],
            "bars",
            "short",
            styles=VERDICT_COLOURS,
            low=0,
            every="10m",
        ),
        Panel(
            "Checks by name",
            "How often each check was made of each kind of exposure, its smallest, median and largest value, and how "
            "often it was out of limits.",
            [
                Target(
                    'SELECT count("value") AS "values", min("value") AS "smallest", median("value") AS "median", '
                    'max("value") AS "largest", last("unit") AS "unit" FROM "qa"'
                    + where(*_LIVE, "$filter", known("value"))
                    + _EACH
                ),
                verdict("warning", _EACH),
                verdict("error", _EACH),
            ],
            "table",
            decimals=3,
            units={"values": "short", "warning": "short", "error": "short"},
            merge=True,
            hide=("Time",),
        ),
        Panel(
            "Check log",
            "The newest 500 values out of limits: which check, where on the camera, and which flag the frame bears. "
            "The completeness of the newest exposures stands among them: without it nothing is checked. "
            "Where 'missing' names the value, the last check found no number, and an earlier one's may stand there.",
            [
                Target(
                    _LOGGED + where(*_LIVE, "$filter", "\"check\" = 'completeness'") + " ORDER BY time DESC LIMIT 50"
                ),
                Target(_LOGGED + where(*_LIVE, "$filter", OUT_OF_LIMITS) + " ORDER BY time DESC LIMIT 500"),
            ],
            "table",
            decimals=3,
            words=VERDICTS,
            merge=True,
            width=24,
            height=10,
        ),
    ),
)
