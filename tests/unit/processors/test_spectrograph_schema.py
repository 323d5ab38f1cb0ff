"""What an instrument file says about a spectrograph, and what it may not say."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from processors.cards import Header
from processors.errors import BadInstrument
from processors.instrument import Instrument, load_instruments
from processors.spectra.setup import SpectrographSetup
from processors.spectrograph_schema import SpectrographSpec
from tests.unit.processors import toy

PLAIN: dict[str, Any] = {"dispersion_axis": "y", "lamps": ["He", "Ar"]}


def load(directory: Path, *entries: dict[str, Any]) -> Instrument:
    document = yaml.safe_load(toy.YAML) | {"spectrographs": list(entries)}
    return toy.instruments(directory, yaml.safe_dump(document, allow_unicode=True)).named("toy")


def test_a_plain_entry_has_the_setups_own_defaults() -> None:
    made = SpectrographSpec(dispersion_axis="x", lamps=("Ne",)).setup()
    assert made == SpectrographSetup("x", ("Ne",))
    required = {field.name for field in fields(SpectrographSetup) if field.default is MISSING}
    assert required == {"dispersion_axis", "lamps"}


def test_every_field_of_a_setup_can_be_said(tmp_path: Path) -> None:
    said = PLAIN | {
        "dispersion_a_px": -2.5, "dispersion_tolerance": 0.05, "blind_range_a_px": [1, 4], "centre_a": 5000,
        "centre_tolerance_a": 300, "order": 4, "rms_limit_px": 0.2, "slit": [20, 900],
    }  # fmt: skip
    assert set(said) == {field.name for field in fields(SpectrographSetup)}
    setup = load(tmp_path, said).spectrograph([Header.of({})])
    assert setup == SpectrographSetup("y", ("He", "Ar"), -2.5, 0.05, (1, 4), 5000, 300, 4, 0.2, (20, 900))


def test_the_first_entry_whose_cards_match_counts(tmp_path: Path) -> None:
    blue = PLAIN | {"when": {"GRISM": "b.*", "BIN": "2"}, "centre_a": 4000}
    known = load(tmp_path, blue, PLAIN | {"when": {"GRISM": ".*"}, "centre_a": 7000})

    def centre(**cards: str) -> float | None:
        setup = known.spectrograph([Header.of(dict(cards))])
        return None if setup is None else setup.centre_a

    assert centre(GRISM="B3", BIN="2") == 4000
    assert centre(GRISM="B3", BIN="1") == 7000
    assert centre(BIN="2") is None
    assert load(tmp_path).spectrograph([Header.of({"GRISM": "b"})]) is None


BAD = [
    ({"dispersion_axis": "z"}, r"spectrographs\.0\.dispersion_axis"),
    ({"lamps": []}, "no lamp is named"),
    ({"lamps": "He"}, r"spectrographs\.0\.lamps"),
    ({"lamps": ["He", "Hg(II)"]}, r"no lines of a lamp 'Hg\(II\)': there are Ar"),
    ({"dispersion_a_px": 0}, "rough dispersion is 0"),
    ({"dispersion_a_px": float("nan")}, r"spectrographs\.0\.dispersion_a_px"),
    ({"dispersion_tolerance": 1}, "tolerances of dispersion"),
    ({"blind_range_a_px": [8, 1]}, "range of dispersions is 8.0 to 1.0"),
    ({"blind_range_a_px": [1]}, r"spectrographs\.0\.blind_range_a_px"),
    ({"centre_a": -4500}, r"spectrographs\.0\.centre_a"),
    ({"centre_tolerance_a": 0}, "tolerances of dispersion"),
    ({"order": 7}, "order of the wavelength polynomial is 7"),
    ({"rms_limit_px": 0}, "tolerances of dispersion"),
    ({"slit": [900, 20]}, r"expected slit \[first, end\]"),
    ({"slit": [-1, 20]}, r"spectrographs\.0\.slit"),
    ({"when": {"GRISM": "("}}, "expected a regular expression"),
    ({"grating": "600"}, r"spectrographs\.0\.grating"),
]


@pytest.mark.parametrize(("entry", "message"), BAD)
def test_what_makes_no_sense_is_one_clear_line(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInstrument, match=message) as caught:
        load(tmp_path, PLAIN | entry)
    assert len(str(caught.value).splitlines()) == 1
    assert "toy.yaml: spectrographs.0" in str(caught.value)


def test_efosc2_has_its_grism_3_when_it_is_binned() -> None:
    known = load_instruments().named("efosc2")
    setup = known.spectrograph([Header.of({"ESO INS GRIS1 NAME": "Gr#3", "ESO DET WIN1 BINY": 2})])
    assert setup == SpectrographSetup("y", ("He", "Ar"), 3.0, centre_a=4500)
    assert known.spectrograph([Header.of({"ESO INS GRIS1 NAME": "Gr#3", "ESO DET WIN1 BINY": 1})]) is None
    assert known.spectrograph([Header.of({"ESO INS GRIS1 NAME": "Free", "ESO DET WIN1 BINY": 2})]) is None
