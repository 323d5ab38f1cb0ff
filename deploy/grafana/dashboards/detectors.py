"""Detector health: every amplifier's bias level, read noise and gain, night after night."""

from __future__ import annotations

from typing import Final

from deploy.grafana.board import INSTRUMENT, SITE, Board, Row, Variable
from deploy.grafana.dashboards.night_checks import OUT_OF_LIMITS
from deploy.grafana.influxql import Target, by, by_tags, known, where
from deploy.grafana.panels import PLAIN, Panel

_WHOLE: Final = ("$site", "$instrument", "$detector", "\"detector\" != ''", "\"production\" = 'live'")
_AMP: Final = ("$site", "$instrument", "$detector", "$amplifier", "\"production\" = 'live'")


def _check(name: str, *conditions: str) -> str:
    return where(*_AMP, f"\"check\" = '{name}'", known("value"), *conditions)


def _panel(title: str, text: str, check: str, unit: str, decimals: int, *conditions: str, width: int = 8) -> Panel:
    query = 'SELECT mean("value") FROM "qa"' + _check(check, *conditions) + by("detector", "amplifier", "kind")
    alias = "$tag_detector $tag_amplifier ($tag_kind)"
    return Panel(title, text, [Target(query, alias)], "points", unit, decimals, width=width, every="1m")


def _mean(check: str, name: str, *conditions: str) -> Target:
    query = f'SELECT mean("value") AS "{name}" FROM "qa"' + _check(check, *conditions)
    return Target(query + by_tags("instrument", "detector", "amplifier"))


_BIAS: Final = "\"obstype\" = 'bias'"

_AMPLIFIERS: Final = Row(
    "Amplifiers (by the time of the exposure)",
    (
        _panel(
            "Bias level",
            "Mean of the overscan of bias frames. A step is a reset or another voltage, a slope the temperature.",
            "overscan_level",
            "suffix: ADU",
            1,
            _BIAS,
        ),
        _panel(
            "Read noise",
            "Read noise of bias frames: from the overscan of each (check), and from pairs of them (bias). "
            "One amplifier that rises: its electronics; all: pick-up.",
            "read_noise",
            "suffix: e-",
            2,
            _BIAS,
        ),
        _panel(
            "Gain",
            "Gain from pairs of flats. It should not move by a per cent in a year.",
            "gain",
            "suffix: e-/ADU",
            3,
        ),
        _panel(
            "Pattern noise",
            "Noise that repeats along rows or columns of bias frames.",
            "pattern_noise",
            "suffix: e-",
            2,
            _BIAS,
        ),
        _panel(
            "Overscan step",
            "Difference of the overscan's level along a frame.",
            "overscan_step",
            "suffix: ADU",
            2,
        ),
        _panel(
            "Mean level of bias frames",
            "Mean of the light-sensitive area of bias frames.",
            "mean_level",
            "suffix: ADU",
            1,
            _BIAS,
        ),
        _panel("Saturated pixels", "Part of the pixels at the top of the converter.", "saturation", "percentunit", 3),
        _panel("Bad values", "Part of the pixels that are not a number, or stuck.", "bad_values", "percentunit", 4),
        _panel(
            "Ratio of amplifiers",
            "Level of an amplifier against its neighbours.",
            "amplifiers",
            "none",
            3,
        ),
    ),
)

_NOW: Final = Row(
    "Every amplifier",
    (
        Panel(
            "Amplifiers in this range of time",
            "Means over the chosen range of time, for each amplifier. Sort by a column to find the odd one.",
            [
                _mean("overscan_level", "bias level", _BIAS),
                _mean("read_noise", "read noise", _BIAS),
                _mean("gain", "gain"),
                _mean("pattern_noise", "pattern noise", _BIAS),
            ],
            "table",
            decimals=2,
            units={
                "bias level": "suffix: ADU",
                "read noise": "suffix: e-",
                "gain": "suffix: e-/ADU",
                "pattern noise": "suffix: e-",
            },
            merge=True,
            hide=("Time",),
            width=14,
            height=10,
        ),
        Panel(
            "Detectors in this range of time",
            "How many values were checked on each detector, how many of them were out of limits, and how far it went "
            "from its own history (standard deviations; empty while there is too little history).",
            [
                Target(
                    'SELECT count("value") AS "values" FROM "qa"' + where(*_WHOLE, known("value")) + by_tags("detector")
                ),
                Target(
                    'SELECT count("expid") AS "out of limits" FROM "qa"'
                    + where(*_WHOLE, OUT_OF_LIMITS)
                    + by_tags("detector")
                ),
                Target(
                    'SELECT max("value") AS "drift", count("value") AS "drifts" FROM "qa"'
                    + where(*_WHOLE, "\"check\" = 'drift'", known("value"))
                    + by_tags("detector")
                ),
            ],
            "table",
            decimals=1,
            limits=PLAIN,
            units={"values": "short", "out of limits": "short", "drift": "suffix: σ"},
            merge=True,
            hide=("Time", "drifts"),
            width=10,
            height=10,
        ),
    ),
)

BOARD: Final = Board(
    "nf-detectors",
    "Detector health",
    "Bias level, read noise and gain of every amplifier, from the checks of the raw frames.",
    (_AMPLIFIERS, _NOW),
    (
        SITE,
        INSTRUMENT,
        Variable("detector", "Detector", "qa", ("site", "instrument")),
        Variable("amplifier", "Amplifier", "qa", ("site", "instrument", "detector")),
    ),
    refresh="1m",
)
