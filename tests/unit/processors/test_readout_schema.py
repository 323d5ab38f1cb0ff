"""What an instrument file may say about the readout, and what it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from processors.errors import BadFrame, BadInstrument
from processors.instrument import load_instruments
from processors.section import Section, parse_place, parse_section
from tests.unit.processors import toy

AMPLIFIER = {"overscan_method": {"method": "savgol", "window": 31, "order": 2}, "first_read": "lower_left"}


def load(directory: Path, amplifier: dict[str, Any] | None = None, **top: Any) -> Any:
    document = yaml.safe_load(toy.YAML)
    for each in document["amplifiers"]:
        each.update(amplifier or {})
    detectors = top.pop("detectors", {})
    document["detectors"].update(detectors)
    document.update(top)
    return toy.instruments(directory, yaml.safe_dump(document)).named("toy").spec


def test_defaults_are_those_of_before(tmp_path: Path) -> None:
    spec = load(tmp_path)
    first = spec.amplifiers[0]
    assert (first.overscan_per, first.overscan_method.method, first.linearity) == ("row", "median", None)
    assert (spec.crosstalk, spec.detectors.bleed, spec.needs_dark) == ((), None, False)


def test_every_key_is_read(tmp_path: Path) -> None:
    spec = load(
        tmp_path,
        AMPLIFIER | {"overscan_per": "column", "linearity": {"polynomial": [0, 1.0, 1e-7]}},
        crosstalk=[{"victim": "A", "aggressor": "B", "coefficient": 1e-4, "detectors": ["1"]}],
        needs_dark=True,
        detectors={"bleed": {"run": 5, "grow": 3}},
    )
    assert spec.amplifiers[1].overscan_method.window == 31
    assert spec.crosstalk[0].coefficient == 1e-4
    assert (spec.detectors.bleed.run, spec.detectors.bleed.sides) == (5, 1)
    assert load(tmp_path, {"overscan_method": "clipped_mean"}).amplifiers[0].overscan_method.sigma == 3


BAD = [
    ({"overscan_method": "mode"}, {}, "overscan_method.method"),
    ({"overscan_method": {"method": "savgol", "window": 30}}, {}, "expected an odd window wider than the order"),
    ({"overscan_method": {"method": "savgol", "window": 3}}, {}, "expected an odd window wider than the order"),
    ({"overscan_method": {"method": "median", "with": 3}}, {}, "with"),
    ({"overscan_per": "frame", "overscan_method": "spline"}, {}, "overscan_per: frame"),
    ({"overscan_per": "amplifier"}, {}, "overscan_per"),
    ({"linearity": {}}, {}, "either polynomial or table"),
    ({"linearity": {"polynomial": [0, 1], "table": [[0, 0], [1, 1]]}}, {}, "either polynomial or table"),
    ({"linearity": {"polynomial": [3, 1]}}, {}, r"\[0, c1, …\]"),
    ({"linearity": {"polynomial": [0, -1]}}, {}, "c1 > 0"),
    ({"linearity": {"polynomial": [0, ".nan"]}}, {}, "polynomial"),
    ({"linearity": {"table": [[0, 0], [5, 5], [5, 6]]}}, {}, "both rising"),
    ({"linearity": {"table": [[1, 1], [5, 5]]}}, {}, r"from \[0, 0\] on"),
    ({"first_read": "left"}, {}, "first_read"),
    ({"hdu": "Segment00"}, {}, "expected both hdu and place, or neither"),
    ({"hdu": "X", "place": "[1:5,1:5]"}, {}, "expected layout single"),
    ({"hdu": "X", "place": "[1:5,0:5]"}, {}, "of whole numbers from 1"),
    ({}, {"crosstalk": [{"victim": "A", "aggressor": "B", "coefficient": 1e-4}]}, "expected first_read of amplifier"),
    (AMPLIFIER, {"crosstalk": [{"victim": "A", "aggressor": "A", "coefficient": 1e-4}]}, "two different amplifiers"),
    (AMPLIFIER, {"crosstalk": [{"victim": "A", "aggressor": "C", "coefficient": 1e-4}]}, "an amplifier of this file"),
    (AMPLIFIER, {"crosstalk": [{"victim": "A", "aggressor": "B", "coefficient": 1}]}, "less than 0.1"),
    ({}, {"detectors": {"bleed": {"run": 1, "grow": 3}}}, "detectors.bleed.run"),
    ({}, {"needs_dark": "sometimes"}, "needs_dark"),
]


@pytest.mark.parametrize(("amplifier", "top", "message"), BAD)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, amplifier: dict[str, Any], top: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInstrument, match=message):
        load(tmp_path, amplifier, **top)


def test_all_built_in_files_load() -> None:
    known = {instrument.name for instrument in load_instruments().known}
    assert {"decam", "efosc2", "euclid_vis", "lsst_ts", "msfc", "simcam"} <= known


EDGE = st.integers(1, 9999)


@given(EDGE, EDGE, EDGE, EDGE)
def test_a_section_is_what_it_says(x1: int, x2: int, y1: int, y2: int) -> None:
    text = f"[{x1}:{x2},{y1}:{y2}]"
    place, flip_x, flip_y = parse_place(text, "place")
    assert (flip_x, flip_y) == (x1 > x2, y1 > y2)
    assert place == Section(min(x1, x2) - 1, max(x1, x2), min(y1, y2) - 1, max(y1, y2))
    if flip_x or flip_y:
        with pytest.raises(BadFrame, match="an impossible section"):
            parse_section(text, "data")
    else:
        assert parse_section(text, "data") == place
        assert str(place) == text


@given(st.text(max_size=30))
def test_any_text_is_a_section_or_a_bad_frame(text: str) -> None:
    try:
        section = parse_section(text, "data")
    except BadFrame:
        return
    assert section.shape[0] >= 1
    assert section.shape[1] >= 1
