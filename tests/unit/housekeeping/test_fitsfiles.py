"""FITS tables that grow: rows below those that were read, whatever the writer does to the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from services.core.housekeep_settings import FitsSource
from services.housekeeping.sources.fits import FitsFiles
from tests.unit.housekeeping.files import Reader, append

T0 = 1_700_000_000


def fits_reader(directory: Path, **more: Any) -> Reader:
    wanted = FitsSource(kind="fits", dir=directory, **more)
    return Reader(lambda positions: FitsFiles("drive", wanted, positions))


def table(rows: int, first: int = 0, **cards: Any) -> fits.BinTableHDU:
    seconds = np.arange(first, first + rows, dtype=np.float64)
    raw = np.array([5, -99, 7, 8], dtype=np.int16)[np.arange(first, first + rows) % 4]
    columns = [
        fits.Column("Time", "D", unit="s", array=T0 + seconds),
        fits.Column("Temp", "E", unit="K", array=np.where(seconds == 1, np.nan, seconds).astype(np.float32)),
        fits.Column("Counts", "I", null=-99, array=raw),
        fits.Column("Open", "L", array=seconds % 2 == 0),
        fits.Column("Pair", "2J", array=np.stack([seconds, -seconds], axis=1).astype(np.int32)),
        fits.Column("Mode", "8A", array=np.where(seconds > 1, "park", "track")),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="DRIVE")
    hdu.header.update(cards)
    return hdu


def write(path: Path, hdu: fits.BinTableHDU) -> None:
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def test_units_nulls_truth_vectors_and_words(tmp_path: Path) -> None:
    write(tmp_path / "a.fits", table(3))
    reader = fits_reader(tmp_path)
    reader.poll()
    (samples,) = reader.samples
    assert samples.parameters == ("Temp", "Counts", "Open", "Pair_0", "Pair_1")
    assert samples.units == {"Temp": "K"} and samples.texts == {"Mode": ("track", "track", "park")}
    np.testing.assert_equal(samples.values, [[0, 5, 1, 0, 0], [np.nan, np.nan, 0, 1, -1], [2, 7, 1, 2, -2]])
    assert (samples.times_ns == (T0 + np.arange(3)) * 10**9).all()


def test_scaled_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    counts = fits.Column("V", "I", array=np.array([1, 3], dtype=np.int16))
    write(path, fits.BinTableHDU.from_columns([fits.Column("Time", "D", array=[T0 + 0.0, T0 + 1.0]), counts]))
    fits.setval(path, "TSCAL2", value=0.5, ext=1)
    fits.setval(path, "TZERO2", value=1.0, ext=1)
    reader = fits_reader(tmp_path)
    reader.poll()
    assert reader.samples[0].values[:, 0].tolist() == [1.5, 2.5]


def test_a_table_written_anew_with_more_rows_goes_on(tmp_path: Path) -> None:
    reader = fits_reader(tmp_path)
    for rows in (2, 2, 5, 6):
        write(tmp_path / "a.fits", table(rows))
        reader.poll()
        reader.restart()
    assert [when // 10**9 - T0 for when, _ in reader.rows()] == [0, 1, 2, 3, 4, 5]
    write(tmp_path / "a.fits", table(3, first=100))
    reader.poll()
    assert [when // 10**9 - T0 for when, _ in reader.rows()][6:] == [100, 101, 102]
    assert reader.notes["again"] == 1


def test_rows_that_are_not_there_yet_wait(tmp_path: Path) -> None:
    write(tmp_path / "whole", table(40))
    data = (tmp_path / "whole").read_bytes()
    reader = fits_reader(tmp_path)
    for begin in range(0, len(data), 997):  # header and rows come in pieces; NAXIS2 promises all 40 from the first
        append(tmp_path / "a.fits", data[begin : begin + 997])
        reader.poll()
        if begin % 2:
            reader.restart()
    assert [when // 10**9 - T0 for when, _ in reader.rows()] == list(range(40))


def test_a_table_that_is_no_use_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "a.fits").write_bytes(b"no fits at all" * 400)
    write(tmp_path / "b.fits", table(1, TIMESYS="TT"))
    reader = fits_reader(tmp_path)
    reader.poll()
    append(tmp_path / "a.fits", b"more")
    reader.poll()
    reasons = sorted(reason for _, _, reason in reader.bad)
    assert len(reasons) == 2 and "SIMPLE" in reasons[0] and "TIMESYS is TT" in reasons[1]


@pytest.mark.parametrize(
    ("unit", "cards", "value", "form"),
    [
        ("s", {}, T0, "auto"),
        ("d", {"MJDREF": 40587}, T0 / 86400, "auto"),
        ("MJD", {}, T0 / 86400 + 40587, "auto"),
        ("d", {"MJDREFI": 51544, "MJDREFF": 0.5, "TIMEUNIT": "d"}, T0 / 86400 + 40587 - 51544.5, "auto"),
        ("", {}, T0 / 86400 + 2440587.5, "jd"),
        ("", {}, T0 * 1000, "unix_ms"),
    ],
)
def test_times_as_headers_say_them(tmp_path: Path, unit: str, cards: dict[str, Any], value: float, form: str) -> None:
    hdu = fits.BinTableHDU.from_columns([fits.Column("Time", "D", unit=unit, array=[value])])
    hdu.header.update(cards)
    write(tmp_path / "a.fits", hdu)
    reader = fits_reader(tmp_path, time_format=form)
    reader.poll()
    assert abs(reader.rows()[0][0] - T0 * 10**9) < (50_000 if form == "jd" else 2000)  # ns


def test_the_real_tables_of_a_telescope_drive(shared_data: Path) -> None:
    reader = fits_reader(shared_data / "housekeeping" / "fact_drive")
    reader.poll()
    assert [samples.values.shape for samples in reader.samples] == [(32, 7), (12113, 9)]
    tracking = reader.samples[1]
    assert str(tracking.times_ns.astype("M8[ns]").astype("M8[ms]")[0]) == "2013-01-02T20:08:05.020"
    assert tracking.units["dev"] == "arcsec"
    assert reader.samples[0].texts["Name"][1] == "Crab"
    assert not reader.bad
