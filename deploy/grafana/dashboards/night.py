"""Night overview: what was exposed, how fast it came home, and how good it is."""

from __future__ import annotations

from typing import Final

from deploy.grafana.board import INSTRUMENT, SITE, Board, Row, Variable
from deploy.grafana.dashboards import night_checks
from deploy.grafana.dashboards.night_checks import VERDICT_COLOURS, VERDICTS, verdict
from deploy.grafana.influxql import Target, by, by_tags, known, where
from deploy.grafana.panels import Limits, Panel, number

_WHO: Final = ("$site", "$instrument")
_SKY: Final = (*_WHO, "$filter", "\"production\" = 'live'")
_LIVE: Final = (*_WHO, "\"production\" = 'live'")
_SLOW: Final[Limits] = ((None, "green"), (300, "orange"), (900, "red"))


def _median(field: str, title: str, text: str, unit: str, decimals: int, **more: object) -> Panel:
    query = f'SELECT median("{field}") FROM "reduced"' + where(*_SKY, known(field)) + by("filter")
    return Panel(title, text, [Target(query, "$tag_filter")], "points", unit, decimals, width=8, **more)  # type: ignore[arg-type]


_NUMBERS: Final = Row(
    "The night in numbers",
    (
        number(
            "Exposures",
            "Exposures that were checked, by instrument: each number of an exposure counts once.",
            Target(
                'SELECT count(distinct("expid")) FROM "qa"'
                + where(*_LIVE, "\"check\" = 'completeness'")
                + by_tags("instrument"),
                "$tag_instrument",
            ),
        ),
        number(
            "Frames reduced",
            "Reductions that ended well in this range of time (by the clock, not by the time of the exposure).",
            Target('SELECT count("seconds") FROM "task_done"' + where(*_WHO, "\"kind\" = 'reduce'"), "reduced"),
        ),
        number(
            "Shutter to reduced",
            "Median of the seconds from the closing of the shutter to the reduced frame.",
            Target('SELECT median("reduced_s") FROM "delay"' + where(*_WHO), "delay"),
            "s",
            1,
            _SLOW,
        ),
        number(
            "Seeing",
            "Median full width at half maximum of the stars, over all detectors and filters.",
            Target('SELECT median("seeing_arcsec") FROM "reduced"' + where(*_SKY, known("seeing_arcsec")), "seeing"),
            "suffix: arcsec",
            2,
        ),
        Panel(
            "Checks",
            "Checks by verdict; the tables below name those out of limits.",
            [verdict(name) for name in VERDICTS],
            "stat",
            "short",
            styles=VERDICT_COLOURS,
            width=4,
            height=4,
        ),
        number(
            "Alerts open",
            "Alerts that nobody has resolved yet, as each site counted them last.",
            Target('SELECT last("total") FROM "alerts_open"' + where("$site") + by_tags("site"), "$tag_site"),
            limits=((None, "green"), (1, "red")),
        ),
    ),
)

# Both sites write of an exposure, each what it sees: lines of one start, instrument, kind and filter become one.
_EXPOSURE: Final = 'SELECT "instrument", "obstype", "filter", '
_LIMIT: Final = " ORDER BY time DESC LIMIT 500"
_EXPOSURES: Final = Row(
    "Exposures",
    (
        Panel(
            "Exposures by kind",
            "How many exposures of each kind began in each interval. A gap is a closed dome or a camera that stopped.",
            [
                Target(
                    'SELECT count(distinct("expid")) FROM "qa"'
                    + where(*_LIVE, "$filter", "\"check\" = 'completeness'")
                    + by("instrument", "obstype"),
                    "$tag_instrument $tag_obstype",
                )
            ],
            "bars",
            "short",
            low=0,
            every="10m",
        ),
        Panel(
            "Delay since the shutter closed",
            "Median seconds until a frame was seen on the camera's disk, arrived in the archive, checked and reduced. "
            "Lines that draw apart show which part of the chain is slow.",
            [
                Target(
                    'SELECT median("seen_s") AS "seen", median("arrived_s") AS "arrived", '
                    'median("checked_s") AS "checked", median("reduced_s") AS "reduced" FROM "delay"'
                    + where(*_WHO, "$filter")
                    + by(),
                    "$col",
                )
            ],
            unit="s",
            limits=_SLOW,
            low=0,
            every="1m",
        ),
        Panel(
            "Exposure log",
            "The newest 500 exposures with the seconds that each step took since the shutter closed; an empty cell is "
            "a step that has not happened yet. Time is the start of the exposure.",
            [
                Target(
                    _EXPOSURE + '"expid" FROM "qa"' + where(*_LIVE, "$filter", "\"check\" = 'completeness'") + _LIMIT
                ),
                Target(_EXPOSURE + '"seen_s" FROM "delay"' + where(*_WHO, "$filter", '"seen_s" > -1') + _LIMIT),
                Target(
                    _EXPOSURE
                    + '"arrived_s", "checked_s", "reduced_s" FROM "delay"'
                    + where(*_WHO, "$filter", '"arrived_s" > -1')
                    + _LIMIT
                ),
            ],
            "table",
            units={"seen_s": "s", "arrived_s": "s", "checked_s": "s", "reduced_s": "s"},
            merge=True,
            width=24,
            height=10,
        ),
    ),
)

_SKY_ROW: Final = Row(
    "Sky and image quality (by the time of the exposure)",
    (
        _median(
            "seeing_arcsec",
            "Seeing",
            "Median over the detectors of an exposure, one point an exposure and filter.",
            "suffix: arcsec",
            2,
            limits=((None, "green"), (1.5, "orange"), (2.5, "red")),
            low=0,
            every="1m",
        ),
        _median(
            "zero_point",
            "Zero point",
            "Magnitude of a star that gives one electron per second. A drop of all filters together is cloud.",
            "suffix: mag",
            3,
            every="1m",
        ),
        _median(
            "sky_mag_arcsec2",
            "Sky brightness",
            "Magnitude of a square arcsecond of sky: smaller is brighter (Moon, twilight).",
            "suffix: mag/arcsec²",
            2,
            every="1m",
        ),
        _median(
            "sky_e",
            "Sky background",
            "Electrons per pixel of sky in the reduced frames.",
            "suffix: e-",
            0,
            low=0,
            every="1m",
        ),
        _median(
            "ellipticity",
            "Ellipticity",
            "1 − minor/major axis of the stars. High in all filters: tracking, wind or focus.",
            "none",
            3,
            limits=((None, "green"), (0.15, "orange"), (0.3, "red")),
            low=0,
            every="1m",
        ),
        _median(
            "limiting_mag",
            "Limiting magnitude",
            "Magnitude of the faintest point source, as processing.md defines it.",
            "suffix: mag",
            2,
            every="1m",
        ),
    ),
)

BOARD: Final = Board(
    "nf-night",
    "Night overview",
    "Exposures, delays, sky and checks of a night. Sky and checks stand at the time of the exposure, the rest at the "
    "time it happened.",
    (_NUMBERS, _EXPOSURES, _SKY_ROW, night_checks.ROW),
    (SITE, INSTRUMENT, Variable("filter", "Filter", "qa", ("site", "instrument"))),
)
