"""A worker whose reference catalogue cannot be read reduces without it, and says so."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from processors.check_frame import open_frame
from processors.instrument import load_instruments
from services.core.settings import CatalogueSettings, WorkSettings
from services.worker.reduction import _reduced
from tests.site import tiny_night


def test_the_frame_is_reduced_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = next(
        frame
        for frame in (open_frame(path, load_instruments()) for path in tiny_night(tmp_path / "night"))
        if frame.identity.obstype == "science"
    )
    catalogue = CatalogueSettings(place=tmp_path / "gone.fits")
    work = WorkSettings(products_dir=tmp_path, log_dir=tmp_path, catalogue=catalogue)
    with caplog.at_level(logging.WARNING):
        made = _reduced(frame, tmp_path / "out.fits", {}, "0" * 64, work, logging.getLogger("task"))
    assert made.path.is_file()
    assert "NOCATALOGUE" in caplog.text
    assert "gone.fits" in caplog.text
