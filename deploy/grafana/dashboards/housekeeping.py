"""Housekeeping: every parameter with the bands of its limits."""

from __future__ import annotations

from typing import Any, Final

from deploy.grafana.board import SITE, Board, Row, Variable
from deploy.grafana.influxql import Target, by, by_tags, where
from deploy.grafana.panels import Panel, number

_ONE: Final = ("$site", "$source", "$parameter")
_BANDS: Final = ("warning_low", "warning_high", "error_low", "error_high")


def _line(colour: str) -> list[tuple[str, Any]]:
    return [
        ("color", {"mode": "fixed", "fixedColor": colour}),
        ("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
        ("custom.lineInterpolation", "stepAfter"),
        ("custom.fillOpacity", 0),
        ("custom.showPoints", "never"),
    ]


def _bands(call: str) -> str:
    return ", ".join(f'{call}("{name}") AS "{name.replace("_", " ")}"' for name in _BANDS)


_NUMBERS: Final = Row(
    "In numbers",
    (
        number(
            "Samples",
            "Samples read from each source in this range of time.",
            Target(
                'SELECT sum("samples") FROM "housekeeper"' + where("$site", "$source") + by_tags("source"),
                "$tag_source",
            ),
            width=6,
        ),
        number(
            "Lag",
            "Age of the newest sample when it was read, as last seen.",
            Target(
                'SELECT last("lag_s") FROM "housekeeper"' + where("$site", "$source") + by_tags("source"),
                "$tag_source",
            ),
            "s",
            1,
            ((None, "green"), (60, "orange"), (300, "red")),
            width=6,
        ),
        number(
            "Bad rows",
            "Rows that could not be read, by source.",
            Target(
                'SELECT sum("bad_rows") FROM "housekeeper"' + where("$site", "$source") + by_tags("source"),
                "$tag_source",
            ),
            limits=((None, "green"), (1, "orange")),
            width=6,
        ),
        number(
            "Alerts of housekeeping",
            "Alerts raised about housekeeping in this range of time.",
            Target(
                'SELECT count("episode") FROM "alert"'
                + where("$site", "\"about\" = 'housekeeping'", "\"what\" = 'raised'"),
                "raised",
            ),
            limits=((None, "green"), (1, "red")),
            width=6,
        ),
    ),
)

_TABLE: Final = Row(
    "Every parameter",
    (
        Panel(
            "Last values and limits",
            "The last value of every parameter beside the limits in force; an empty cell is an open side. "
            "Values are in the unit that the source gives and the limits name.",
            [
                Target(
                    'SELECT last("value") AS "value", min("value") AS "smallest", max("value") AS "largest", '
                    'count("value") AS "samples" FROM "housekeeping"' + where(*_ONE) + by_tags("source", "parameter")
                ),
                Target(
                    f'SELECT {_bands("last")} FROM "housekeeping_limit"' + where(*_ONE) + by_tags("source", "parameter")
                ),
            ],
            "table",
            merge=True,
            hide=("Time",),
            width=24,
            height=10,
        ),
        Panel(
            "Samples per second",
            "How fast each source is read. Nothing: the source stands still, or the housekeeper does.",
            [
                Target(
                    'SELECT sum("samples") * 1000 / $__interval_ms FROM "housekeeper"'
                    + where("$site", "$source")
                    + by("source"),
                    "$tag_source",
                )
            ],
            unit="suffix: samples/s",
            low=0,
        ),
        Panel(
            "Lag of the sources",
            "Age of the newest sample when it was read.",
            [
                Target(
                    'SELECT max("lag_s") FROM "housekeeper"' + where("$site", "$source") + by("source"), "$tag_source"
                )
            ],
            unit="s",
            limits=((None, "green"), (60, "orange"), (300, "red")),
            low=0,
        ),
    ),
)

_PARAMETERS: Final = Row(
    "Parameters with their limits",
    (
        Panel(
            "$parameter",
            "Mean of each interval; orange and red lines are the limits of warnings and errors in force, the shaded "
            "band is the allowed range. Unit as given by the source.",
            [
                Target(
                    'SELECT mean("value") AS "value" FROM "housekeeping"' + where(*_ONE) + by("source"),
                    "$tag_source",
                ),
                Target(
                    f'SELECT {_bands("last")} FROM "housekeeping_limit"' + where(*_ONE) + by(fill="previous"),
                    "$col",
                ),
            ],
            styles={
                "^warning": _line("orange"),
                "^error": _line("red"),
                "^warning high$": [("custom.fillBelowTo", "warning low"), ("custom.fillOpacity", 8)],
            },
            width=8,
            height=7,
            repeat="parameter",
        ),
    ),
)

BOARD: Final = Board(
    "nf-housekeeping",
    "Housekeeping",
    "Every parameter that the housekeeper follows, with its limits.",
    (_NUMBERS, _TABLE, _PARAMETERS),
    (
        SITE,
        Variable("source", "Source", "housekeeping", ("site",)),
        Variable("parameter", "Parameter", "housekeeping", ("site", "source")),
    ),
)
