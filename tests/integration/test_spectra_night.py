"""A real long-slit night through every daemon: from the camera's disk to a first spectrum with its wavelengths."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from sqlalchemy import select

from services.core.ledger.registry_schema import made_from
from services.core.ledger.schema import calibrations, frames, products, tasks
from tests.site import Site
from tests.spooled import spooled

BIASES, FLATS, ARC, SCIENCE = slice(0, 5), slice(5, 8), slice(8, 9), slice(9, 11)


@pytest.fixture(scope="module")
def night(shared_data: Path) -> list[Path]:
    """EFOSC2, 26 January 2022, grism 3."""
    return sorted((shared_data / "raw/efosc2_ntt").iterdir())


@pytest.fixture
def site(tmp_path: Path, valkey_url: str) -> Iterator[Site]:
    made = Site(tmp_path / "site", redis_url=valkey_url)
    settings = made.settings("centre")
    settings["conduct"] |= {"sequence_quiet_s": 2.0, "calibration_wait_s": 3.0}
    settings["work"]["preview"] = False
    made.write("centre", settings)
    yield made
    made.close()


def observe(site: Site, paths: Iterable[Path]) -> None:
    """Put frames onto the camera's disk and wait until the archive has them."""
    for path in paths:
        shutil.copy(path, site.camera)
    there = len(list(site.camera.iterdir()))
    site.wait(lambda: len(site.states("centre")) == there, "frames in the archive", 60.0)


def masters(site: Site) -> list[str]:
    with site.ledger("centre").read() as conn:
        return sorted(conn.execute(select(calibrations.c.kind)).scalars())


def reduced(site: Site, count: int) -> list[tuple[str, str]]:
    """Path and kind of what was made of science frames, when so many are done."""

    def states() -> list[str]:
        with site.ledger("centre").read() as conn:
            return list(conn.execute(select(tasks.c.state).where(tasks.c.kind == "reduce")).scalars())

    site.wait(lambda: states() == ["done"] * count, "reduced frames", 60.0)
    query = select(products.c.path, products.c.kind).where(products.c.kind.in_(("reduced", "spectrum")))
    with site.ledger("centre").read() as conn:
        return sorted((row.path, row.kind) for row in conn.execute(query))


def points(site: Site) -> list[str]:
    """Points of measurement `spectrum` in the metrics' spool."""
    return spooled(site.centre / "state/metrics.sqlite", "spectrum")


def logs(site: Site) -> str:
    return "".join(path.read_text() for path in (site.centre / "tasklogs").rglob("*.log"))


def test_a_long_slit_night_gets_its_first_spectra(site: Site, night: list[Path]) -> None:
    for verb in ("watch", "ship", "receive", "conduct", "work"):
        site.start(verb)
    observe(site, [*night[BIASES], *night[FLATS], *night[ARC]])
    site.wait(lambda: masters(site) == ["bias", "flat"], "masters", 60.0)
    observe(site, night[SCIENCE])
    made = reduced(site, 2)
    # then: every frame has its reduced planes and its spectrum
    assert [kind for _, kind in made] == ["reduced", "spectrum"] * 2
    for path in (path for path, kind in made if kind == "spectrum"):
        header = fits.getheader(path, "SPECTRUM")
        assert header["NFWRMS"] < 1
        assert header["NFWLINES"] >= 9
        with fits.open(path, checksum=True) as hdus:
            hdus.verify("exception")
            primary = hdus[0].header
        assert primary["NFFLAGS"] == ""
        assert [primary[f"NF IN{n} ROLE"] for n in range(1, 5)] == ["frame", "arc", "bias", "flat"]
        assert primary["NF IN2 NAME"] == night[ARC][0].name
        assert oi_5577(path) == pytest.approx(5577.34, abs=1.5)
        with site.ledger("centre").read() as conn:
            arc = select(frames.c.sha256).where(frames.c.obstype == "arc")
            used = select(made_from.c.role).where(made_from.c.path == path, made_from.c.sha256.in_(arc))
            assert list(conn.execute(used).scalars()) == ["arc"]
    told = points(site)
    assert len(told) == 2
    delays = " ".join(spooled(site.centre / "state/metrics.sqlite", "delay"))
    assert [delays.count(f" {step}_s=") for step in ("arrived", "checked", "reduced")] == [11, 11, 2]
    for point in told:
        assert "filter=Gr#3,instrument=efosc2,obstype=science,production=live" in point
        for name in ("wavelength_rms_a=", "lines=10", "signal_to_noise=", "sky_residual_a=", "made=true"):
            assert name in point
    assert "6.9 h before the frame" in logs(site)


def test_without_an_arc_nobody_waits_and_an_empty_slit_fails_nothing(
    site: Site, night: list[Path], tmp_path: Path
) -> None:
    # given: a frame with no arc, and one whose slit shows no object
    empty = tmp_path / "empty.fits"
    with fits.open(night[SCIENCE][1]) as hdus:
        header = hdus[0].header
        header["HIERARCH ESO DET EXP NO"] = 17951
        for card in ("DATASUM", "CHECKSUM"):
            header.remove(card, ignore_missing=True)
        level = np.random.default_rng(1).normal(230, 10, hdus[0].data.shape)
        fits.PrimaryHDU(np.rint(level).astype(np.uint16), header).writeto(empty)
    for verb in ("watch", "ship", "receive", "conduct", "work"):
        site.start(verb)
    observe(site, [night[SCIENCE][0], empty])
    made = reduced(site, 2)
    # then
    assert sorted(kind for _, kind in made) == ["reduced", "reduced", "spectrum"]
    path = next(path for path, kind in made if kind == "spectrum")
    assert fits.getheader(path)["NFFLAGS"] == "NOBIAS NOFLAT NOARC"
    assert "PIXEL" in Table.read(path, hdu="SPECTRUM").colnames
    told = points(site)
    assert sorted("made=true" in point for point in told) == [False, True]
    assert sum('flags="NOSPECTRUM"' in point for point in told) == 1
    assert "no spectrum: BadFrame: no object" in logs(site)


def oi_5577(path: str) -> float:
    """Å: centre of the light above the sky's level about the line, in the product itself."""
    table = Table.read(path, hdu="SPECTRUM")
    wave, sky = np.asarray(table["WAVE"], float), np.asarray(table["SKY"], float)
    near, beside = np.abs(wave - 5577.34) < 16, (np.abs(wave - 5577.34) > 25) & (np.abs(wave - 5577.34) < 60)
    light = sky[near] - np.median(sky[beside])
    return float((wave[near] * light).sum() / light.sum())
