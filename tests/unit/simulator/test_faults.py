"""Faults on demand: each does what it is called, from and to the moments that the truth tells, and nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from processors.simulator.faults import BadFault, parse_fault
from processors.simulator.housekeeping import PARAMETERS, Housekeeping
from processors.simulator.options import BadOptions, NightOptions
from processors.simulator.plan import plan_night
from services.cli.simulate import simulate

TEMPERATURE = "HK_temp_top_CCD1"
COLUMN = [parameter[0] for parameter in PARAMETERS].index(TEMPERATURE)
SMALL = {"biases": 2, "darks": 1, "flats": 1, "dithers": 1, "targets": 1, "filters": ("g",)}


def rows(directory: Path) -> list[tuple[str, list[float]]]:
    found = []
    for path in sorted(directory.glob("HK_*"), key=lambda path: int(path.name.split("_")[1])):
        for line in path.read_bytes().decode("ascii").split("\r\n")[1:-1]:
            clock, *fields = line.split("\t")
            found.append((clock, [float(field) for field in fields]))
    return found


@pytest.fixture
def played(tmp_path: Path) -> Callable[..., tuple[list[Any], list[Any], Any]]:
    """Rows of a night without and with a fault, and the fault's truth."""

    def play(fault: str) -> tuple[list[Any], list[Any], Any]:
        both = []
        for name, faults in (("good", ()), ("bad", (parse_fault(fault),))):
            options = NightOptions(seed=4, faults=faults, **SMALL)
            plan = plan_night(options)
            writer = Housekeeping(tmp_path / name, options, plan)
            for planned in plan:
                writer.advance(planned.end)
            writer.finish()
            both.append(rows(tmp_path / name))
        (truth,) = writer.faults
        return both[0], both[1], truth

    return play


def inside(good: list[Any], bad: list[Any], truth: Any) -> list[tuple[float, float]]:
    """Good and bad values of the temperature within the fault; outside of it not a letter has changed."""
    began, ended = truth["began"][11:], truth["ended"][11:]
    first = next(n for n, (clock, _) in enumerate(good) if clock == began)
    last = next(n for n, (clock, _) in enumerate(good) if clock == ended)
    assert (good[:first], good[last:]) == (bad[:first], bad[last:])
    assert all(
        a[1][:COLUMN] == b[1][:COLUMN] and a[0] == b[0] for a, b in zip(good[first:last], bad[first:last], strict=True)
    )
    return [(a[1][COLUMN], b[1][COLUMN]) for a, b in zip(good[first:last], bad[first:last], strict=True)]


@pytest.mark.parametrize(
    ("fault", "holds"),
    [
        (
            "step:HK_temp_top_CCD1,by=8,for=600",
            lambda pairs: all(b - a == pytest.approx(8, abs=0.011) for a, b in pairs),
        ),
        ("drift:HK_temp_top_CCD1,by=6,for=600", lambda pairs: 5.5 < max(b - a for a, b in pairs) < 6.1),
        ("railed:HK_temp_top_CCD1,for=600", lambda pairs: {b for _, b in pairs} == {-273.15}),
        ("nan:HK_temp_top_CCD1,for=600", lambda pairs: all(math.isnan(b) for _, b in pairs)),
        ("stuck:HK_temp_top_CCD1,for=600", lambda pairs: len({b for _, b in pairs}) == 1),
        ("flap:HK_temp_top_CCD1,for=600,value=-95,by=0.5,every=20", lambda p: {b for _, b in p} == {-95.5, -94.5}),
        ("flap:for=600", lambda p: all(5 < abs(b - a) + 0.3 < 5.6 for a, b in p)),  # about what it was
    ],
)
def test_a_sensor_fails_from_when_to_when_the_truth_says(played: Any, fault: str, holds: Any) -> None:
    pairs = inside(*played(fault))
    assert len(pairs) == 60
    assert holds(pairs)


def test_a_stale_source_writes_no_rows_for_a_while(played: Any) -> None:
    good, bad, truth = played("stale:at=50%,for=1200")
    gone = [row for row in good if row not in bad]
    assert len(gone) == 120
    assert (gone[0][0], gone[-1][0] < truth["ended"][11:]) == (truth["began"][11:], True)


def test_a_clock_that_jumps_moves_the_times_and_nothing_else(played: Any) -> None:
    good, bad, _ = played("clock:by=-7,for=100")
    assert [row[1] for row in good] == [row[1] for row in bad]
    assert sum(a[0] != b[0] for a, b in zip(good, bad, strict=True)) == 10


@pytest.mark.parametrize(("kind", "least"), [("truncate", 1), ("recreate", 2)])
def test_a_file_that_is_cut_or_made_anew_goes_on_with_whole_rows(played: Any, kind: str, least: int) -> None:
    good, bad, truth = played(f"{kind}:at=80%")
    assert [row for row in good if row in bad] == bad
    assert len(bad) + least <= len(good)
    assert good[-1] == bad[-1]
    assert truth["began"]


def test_frames_are_cut_doubled_and_incomplete_and_the_truth_says_which(tmp_path: Path) -> None:
    arguments = ["--width", "64", "--height", "64", "--detectors", "3", "--biases", "4", "--darks", "0", "--flats", "0"]
    arguments += ["--targets", "0", "--standards", "0", "--filters", "g", "--no-hk"]
    faults = ["cut:1,keep=0.5", "duplicate:2", "missing:3,detector=2", "slow:4,for=0.01"]
    arguments += [word for fault in faults for word in ("--fault", fault)]
    result = CliRunner().invoke(simulate, [str(tmp_path / "n"), *arguments])
    assert result.exit_code == 0, result.output
    good = CliRunner().invoke(simulate, [str(tmp_path / "good"), *arguments[:16], "--filters", "g", "--no-hk"])
    assert good.exit_code == 0, good.output
    cut, double, missing, slow = sorted((tmp_path / "good").glob("*.fits"))
    bad = tmp_path / "n"
    assert (bad / cut.name).read_bytes() == cut.read_bytes()[: cut.stat().st_size // 2]
    twin = bad / f"{double.stem}_copy.fits"
    assert twin.read_bytes() == (bad / double.name).read_bytes() == double.read_bytes()
    assert b"EXTNAME = 'S2" not in (bad / missing.name).read_bytes()
    assert (bad / missing.name).stat().st_size < missing.stat().st_size
    assert (bad / slow.name).read_bytes() == slow.read_bytes()
    truth = json.loads((tmp_path / "n-truth" / "truth.json").read_text())
    assert [fault["kind"] for fault in truth["faults"]] == ["cut", "duplicate", "missing", "slow"]
    assert truth["frames"][1]["twin"] == twin.name
    assert truth["frames"][2]["exposure"]["faults"] == [{"kind": "missing", "detector": 2}]
    assert truth["frames"][2]["identity"]["detectors"] == ["1", "3"]


@pytest.mark.parametrize(
    "words",
    [
        "fire",
        "step:X,by=many",
        "step:,colour=red",
        "stale:at=noon",
        "cut:1,keep=2",
        "cut:0",
        "step:for=-1",
        "nan:for=inf",
    ],
)
def test_a_fault_that_nobody_understands_is_refused(tmp_path: Path, words: str) -> None:
    with pytest.raises(BadFault):
        parse_fault(words)
    result = CliRunner().invoke(simulate, [str(tmp_path / "n"), "--fault", words])
    assert result.exit_code == 2
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize("words", ["step:HK_no_such", "step:at=12:00", "cut:999", "missing:1,detector=9"])
def test_a_fault_that_is_not_in_this_night_is_refused_before_anything_is_written(tmp_path: Path, words: str) -> None:
    result = CliRunner().invoke(simulate, [str(tmp_path / "n"), "--fault", words])
    assert isinstance(result.exception, BadFault | BadOptions)
    assert not (tmp_path / "n").exists()
