"""Housekeeping and the exposure log: Euclid's format, one row after the other through the whole night."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from processors.simulator.explog import COLUMNS as LOG_COLUMNS
from processors.simulator.housekeeping import COLUMNS, PARAMETERS, Housekeeping
from processors.simulator.options import NightOptions
from processors.simulator.plan import plan_night
from tests.unit.simulator.conftest import Night

NAME = re.compile(r"HK_(\d+)_(\d{6}D\d{6}T)_ROE1\.txt")


def read(path: Path) -> tuple[list[str], list[tuple[dt.datetime, list[float]]]]:
    """Header and rows; the date is that of the file's name, and one more after midnight."""
    match = NAME.fullmatch(path.name)
    assert match is not None
    begin = dt.datetime.strptime(match.group(2), "%d%m%yD%H%M%ST")
    text = path.read_bytes().decode("ascii")
    assert text.endswith("\r\n")
    header, *lines = text.split("\r\n")[:-1]
    rows = []
    for line in lines:
        clock, *fields = line.split("\t")
        when = dt.datetime.combine(begin.date(), dt.time.fromisoformat(clock))
        if when < begin:
            when += dt.timedelta(days=1)
        rows.append((when, [float(field) for field in fields]))
    return header.split("\t"), rows


def test_rows_cover_the_night_without_a_gap_even_over_midnight(night: Night) -> None:
    times: list[dt.datetime] = []
    for path in sorted((night.root / "hk").glob("HK_*"), key=lambda p: int(p.name.split("_")[1])):
        header, rows = read(path)
        assert [name.rstrip() for name in header] == list(COLUMNS)
        assert all(len(values) == len(PARAMETERS) for _, values in rows)
        times += [when for when, _ in rows]
    steps = {(b - a).total_seconds() for a, b in itertools.pairwise(times)}
    assert steps == {night.options.hk_every_s}
    assert times[0] <= night.frames[0].planned.start.replace(tzinfo=None)
    assert times[-1] >= night.frames[-1].planned.end.replace(tzinfo=None)
    assert len({when.date() for when in times}) == 2


def test_a_file_begins_with_every_sequence(night: Night) -> None:
    firsts = {frame.planned.expid for frame in night.frames if frame.planned.num == 1}
    assert {int(path.name.split("_")[1]) for path in (night.root / "hk").glob("HK_*")} == firsts


def test_values_drift_a_little_about_what_they_should_be(night: Night) -> None:
    rows = [values for path in (night.root / "hk").glob("HK_*") for _, values in read(path)[1]]
    table = np.array(rows)
    for column, (name, usual, drift, noise, step) in zip(table.T, PARAMETERS, strict=True):
        assert np.abs(column - usual).max() < 5 * (drift + noise) + step, name
        assert drift < 0.01 or column.std() > 0, name


@pytest.mark.parametrize("pauses", [1, 7])
def test_the_files_do_not_depend_on_how_often_they_are_advanced(tmp_path: Path, pauses: int) -> None:
    options = NightOptions(seed=2, biases=2, darks=1, flats=1, dithers=1, hk_every_s=30)
    plan = plan_night(options)
    whole, steps = (Housekeeping(tmp_path / name, options, plan) for name in ("whole", "steps"))
    whole.finish()
    for planned in plan[::pauses]:
        steps.advance(planned.end)
    steps.finish()
    assert [p.name for p in whole.written] == [p.name for p in steps.written]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(whole.written, steps.written, strict=True))


def test_the_columns_are_those_of_the_real_files(shared_data: Path) -> None:
    real = shared_data / "housekeeping" / "vison_roe"
    header = (real / "HK_191_050800D000000T_ROE1.txt").read_bytes().split(b"\r\n")[0].decode("ascii").split("\t")
    assert [name.rstrip() for name in header] == list(COLUMNS)
    log = (real / "EXP_LOG_050800.txt").read_bytes().split(b"\r\n")[0].decode("ascii").split("\t")
    assert log == [*LOG_COLUMNS, ""]


def test_the_exposure_log_has_a_row_per_detector_of_every_exposure(night: Night) -> None:
    text = (night.root / "hk" / "EXP_LOG_150126.txt").read_bytes().decode("ascii")
    header, *lines = text.split("\r\n")[:-1]
    assert header.split("\t") == [*LOG_COLUMNS, ""]
    rows = [dict(zip(LOG_COLUMNS, line.split("\t"), strict=False)) for line in lines]
    assert len(rows) == 2 * len(night.frames)
    for frame, row in zip(night.frames, rows[1::2], strict=True):
        assert (int(row["ObsID"]), row["CCD"], row["File_name"]) == (frame.planned.expid, "CCD2", frame.path.stem)
        assert float(row["Exptime"]) == frame.planned.exptime_s
        assert row["DATE"] == f"{frame.planned.start:%d%m%yD%H%M%ST}"
