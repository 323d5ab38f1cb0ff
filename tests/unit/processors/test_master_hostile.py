"""Inputs and masters that are wrong in ways that a night brings: nothing good is lost for them, nothing bad is used."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from processors.check_frame import open_frame
from processors.errors import BadFrame
from processors.fits import Frame, ProductHDU, write_product
from processors.masters.build import build_master
from processors.masters.cosmetics import hot_pixels
from processors.masters.file import Master, key_cards, read_master
from processors.masters.inputs import Level, choose_inputs
from processors.masters.ref import CalibrationKey
from processors.masters.sound import ensure_sound
from processors.provenance import InputRef, provenance_cards
from tests.unit.processors import toy


def rejected(kind: str, levels: Sequence[Level]) -> dict[str, str]:
    return {rejection.name: rejection.reason for rejection in choose_inputs(kind, levels)[1]}


@pytest.mark.parametrize(("kind", "usual"), [("bias", 0.0), ("dark", 3.0), ("flat", 20000.0)])
def test_an_amplifier_without_a_number_costs_its_own_frame_only(kind: str, usual: float) -> None:
    good = [Level(f"f{n}", usual, 0.0, "", 60.0 * (kind != "bias"), (("1 A", usual), ("1 B", usual))) for n in range(4)]
    odd = replace(good[0], name="odd", amplifiers=(("1 A", usual), ("1 B", math.nan)))
    assert list(rejected(kind, [*good, odd])) == ["odd"]


@pytest.mark.parametrize("dead", [0.0, 0.3, -2.0])
def test_an_amplifier_that_is_dead_in_every_flat_spoils_none(dead: float) -> None:
    flats = [Level(f"f{n}", 20000.0, 0.0, "", 3.0, (("1 A", 20000.0), ("1 B", dead * (-1) ** n))) for n in range(4)]
    assert rejected("flat", flats) == {}
    alive = replace(flats[0], name="alive", amplifiers=(("1 A", 20000.0), ("1 B", 20000.0)))
    assert list(rejected("flat", [*flats, alive])) == ["alive"]


def test_a_frame_of_another_shape_is_left_out() -> None:
    good = [Level(f"f{n}", 0.0, 0.0, shapes=(("1", (24, 40)),)) for n in range(3)]
    odd = replace(good[0], name="window", shapes=(("1", (12, 40)),))
    assert rejected("bias", [*good, odd]) == {"window": "detector 1: (12, 40) pixels, the others (24, 40)"}
    assert rejected("bias", [good[0], odd]) == {}  # of two nobody can say which one is wrong


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Frame]:
    known = toy.instruments(tmp_path, toy.YAML.replace("expected: 2", "expected: 3"))
    count = 0

    def frame(*detectors: str, **cards: Any) -> Frame:
        nonlocal count
        count += 1
        rng = np.random.default_rng(count)
        images = {name: toy.raw_image(0.0, rng) for name in detectors or ("1", "2", "3")}
        return open_frame(toy.write(tmp_path / f"raw{count}.fits", images, EXPNUM=count, **cards), known)

    return frame


def test_a_detector_that_the_first_frame_lacks_is_in_the_master(make: Callable[..., Frame], tmp_path: Path) -> None:
    master = build_master("bias", [make("1", "2"), make(), make()], tmp_path / "bias.fits")
    assert master.detectors == ("1", "2", "3")
    assert [int(master.plane(name, "COUNT").max()) for name in master.detectors] == [3, 3, 2]


def test_two_frames_of_different_shapes_make_no_master(make: Callable[..., Frame], tmp_path: Path) -> None:
    one, other = make(), make()
    setup = replace(other.setups[0], shape=(12, 40))
    with pytest.raises(BadFrame, match=r"detector 1: raw2.fits has \(12, 40\) pixels, raw1.fits \(24, 40\)"):
        build_master("bias", [one, replace(other, setups=(setup, *other.setups[1:]))], tmp_path / "bias.fits")


def test_scratch_files_have_no_name_that_a_killed_process_would_leave(
    make: Callable[..., Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processors.masters.planes._ALL_IN_MEMORY", 0.0)
    seen: list[Path] = []

    def look(images: Sequence[Any], *arguments: Any, **named: Any) -> Any:
        from processors.masters.combine import combine

        assert all(isinstance(image, np.memmap) for image in images)
        seen.extend((tmp_path / "scratch").rglob("*.npy"))
        return combine(images, *arguments, **named)

    monkeypatch.setattr("processors.masters.planes.combine", look)
    (tmp_path / "scratch").mkdir()
    build_master("bias", [make(), make(), make()], tmp_path / "bias.fits", scratch=tmp_path / "scratch")
    assert seen == []


def test_a_pixel_that_is_saturated_in_every_dark_is_hot() -> None:
    dark = np.random.default_rng(1).normal(0.01, 0.005, (60, 50)).astype(np.float32)
    variance = np.full_like(dark, 0.005**2)
    dark[7, 9] = variance[7, 9] = np.nan
    assert np.argwhere(hot_pixels(dark, variance)).tolist() == [[7, 9]]


def brought(path: Path, value: float = 1.0, planes: bool = True, inputs: Sequence[InputRef] = (), **words: str) -> Path:
    """A master as somebody else's program might write it."""
    night, date = words.get("night", "20250101"), words.get("date", "2025-01-01T21:00:00Z")
    key = CalibrationKey("bias", "toy", night, "normal", detector="1")
    hdus = [ProductHDU("1-VALUE", np.full((4, 4), value, np.float32), ())] if planes else []
    write_product(path, [*key_cards(key, date), *provenance_cards("bias", "by hand", inputs, ())], hdus)
    return path


def read(path: Path) -> Master:
    master = read_master(path)
    ensure_sound(master)
    return master


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"date": "yesterday"}, "NFDATE: time of observation 'yesterday'"),
        ({"date": ""}, "NFDATE"),
        ({"night": "2025-01-01"}, "night '2025-01-01' is no YYYYMMDD"),
        ({"night": "../../x"}, "is no YYYYMMDD"),
        ({"value": math.nan}, "detector 1: no pixel of it is known"),
        ({"planes": False}, "holds no plane"),
        ({"inputs": [InputRef("a", "hello")]}, "input 'a' has no sha256 and role"),
        ({"inputs": [InputRef("a", "0" * 64, "x" * 17)]}, "input 'a' has no sha256 and role"),
    ],
)
def test_a_master_that_nobody_could_use_is_refused(tmp_path: Path, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(BadFrame, match=words):
        read(brought(tmp_path / "m.fits", **wrong))


def test_a_sound_master_is_taken_with_its_time_in_our_form(tmp_path: Path) -> None:
    assert read(brought(tmp_path / "m.fits")).date_obs == "2025-01-01T21:00:00.000"


def test_a_master_that_hides_its_inputs_is_a_named_error(tmp_path: Path) -> None:
    path = brought(tmp_path / "m.fits")
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["NFNINP"] = 5
    with pytest.raises(BadFrame, match="no card NF IN1 NAME"):
        read_master(path)
