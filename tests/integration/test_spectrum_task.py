"""The spectrum part of a reduction: which arcs it finds on record, and what it leaves when it fails."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from processors.errors import NoSolution
from processors.fits import Frame, sha256_of
from processors.identity import FrameIdentity
from processors.instrument import Instruments
from processors.publish import asking
from services.core.errors import LeaseLost, LedgerUnreachable
from services.core.ledger import arcs, arrivals, centre
from services.core.ledger.engine import Ledger, open_ledger
from services.core.ledger.registry_schema import made_from
from services.core.ledger.schema import products
from services.core.ledger.states import advance
from services.core.ledger.telescope import SeenFrame
from services.core.settings import Settings
from services.worker import spectrum as module
from services.worker.spectrum import SpectrumOutcome, spectrum
from services.worker.tasks import Input
from tests.unit.processors import slit_camera
from tests.unit.processors.slit_scene import COLUMNS, ROWS, SlitScene

LOG = logging.getLogger("task")


def record(ledger: Ledger, path: Path, identity: FrameIdentity, sha256: str = "") -> str:
    """Put a frame on record as an arrival; its sha256."""
    name = sha256 or sha256_of(path)
    stored = json.loads(json.dumps(asdict(identity)))
    with ledger.begin() as conn:
        arrivals.add_arrival(conn, SeenFrame(name, path.name, path.name, 1, 1.0, stored), 1.0)
    return name


@pytest.fixture(scope="module")
def scene() -> SlitScene:
    return SlitScene(2)


class Archive:
    """An archive with a spectrum in it, and its ledger."""

    def __init__(self, root: Path, scene: SlitScene) -> None:
        self.scene, self.root = scene, root / "archive"
        self.root.mkdir()
        self.known: Instruments = slit_camera.instruments(root, scene)
        self.settings = Settings.model_validate(
            {
                "site": "centre", "state_dir": str(root / "state"), "archive_dir": str(self.root),
                "ledger": {"url": f"sqlite:///{root}/ledger.sqlite"},
            }
        )  # fmt: skip
        self.ledger = open_ledger(self.settings.ledger)
        self.frame = self.take("s.fits", scene.science().sci)
        self.path = root / "s-spectrum.fits"

    def take(self, name: str, electrons: np.ndarray, **cards: object) -> Frame:
        frame = slit_camera.expose(self.root / name, self.known, electrons, **cards)
        record(self.ledger, frame.path, frame.identity)
        return frame

    def arc(self, name: str, hour: int) -> Frame:
        return self.take(name, self.scene.arc().sci, OBSTYPE="arc", DATE_OBS=f"2022-01-26T{hour}:00:00")

    def spectrum(self) -> SpectrumOutcome | None:
        item = Input(sha256_of(self.frame.path), "frame", self.frame.path)
        return spectrum(item, self.frame, self.path, {}, "live", self.settings, self.known, LOG)


@pytest.fixture
def archive(tmp_path: Path, scene: SlitScene) -> Iterator[Archive]:
    made = Archive(tmp_path, scene)
    with closing(made.ledger):
        yield made


def test_arcs_on_record_are_those_of_the_instrument_and_of_the_nights(ledger: Ledger, archive: Archive) -> None:
    one = replace(archive.frame.identity, obstype="arc", night="20220126")
    changes = [
        {}, {"night": "20220124"}, {"night": "20220129"}, {"night": "20220123"}, {"night": "20220131"},
        {"instrument": "other"}, {"obstype": "flat"}, {},
    ]  # fmt: skip
    for number, change in enumerate(changes):
        record(ledger, Path(f"{number}.fits"), replace(one, expid=number, **change), f"{number}" * 64)
    with ledger.begin() as conn:
        advance(conn, "frame", "7" * 64, "quarantined", now=2.0, reason="spoilt")
        found = arcs.arcs_about(conn, "toy", "20220127", 3)
    assert [arc.path for arc in found] == ["1.fits", "0.fits", "2.fits"]
    assert found[1].identity == replace(one, expid=0)


def test_the_nearest_arc_that_can_be_read_is_taken(archive: Archive, caplog: pytest.LogCaptureFixture) -> None:
    near, far = archive.arc("near.fits", 22), archive.arc("far.fits", 20)
    near.path.write_bytes(near.path.read_bytes()[:80])
    # when
    with caplog.at_level(logging.INFO):
        made = archive.spectrum()
    assert made is not None and made.made is not None and made.arc is not None
    # then
    assert made.arc.path == "far.fits"
    assert "the arc near.fits is of no use" in caplog.text
    assert "arc far.fits, 3.0 h before the frame" in caplog.text
    assert made.point.fields["flags"] == "NOBIAS NOFLAT"
    assert float(made.point.fields["wavelength_rms_a"]) < 1
    assert made.point.measurement == "spectrum"
    with archive.ledger.begin() as conn:
        new = centre.NewTask("t", "reduce", "q", "20220126", "ready", {}, ((sha256_of(archive.frame.path), "frame"),))
        centre.add_task(conn, new, "live", 1.0)
        made.settle(conn, "t", 2.0)
        made.settle(conn, "t", 3.0)
        of_path = select(made_from.c.sha256, made_from.c.role).where(made_from.c.path == str(archive.path))
        assert {tuple(row) for row in conn.execute(of_path)} == {
            (sha256_of(archive.frame.path), "frame"),
            (sha256_of(far.path), "arc"),
        }
        assert list(conn.execute(select(products.c.kind)).scalars()) == ["spectrum"]


@pytest.mark.parametrize("fault", [ZeroDivisionError("of ours"), OSError(28, "No space left on device")], ids=type)
def test_what_fails_leaves_no_spectrum_of_before(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    made = archive.spectrum()
    assert made is not None
    assert made.point.fields["flags"] == "NOBIAS NOFLAT NOARC"
    with archive.ledger.begin() as conn:
        centre.add_task(conn, centre.NewTask("t", "reduce", "q", "20220126", "ready", {}, ()), "live", 1.0)
        made.settle(conn, "t", 2.0)

    def fails(*args: object, **kwargs: object) -> None:
        raise fault

    monkeypatch.setattr(module, "spectrum_frame", fails)
    # when it is done again
    again = archive.spectrum()
    assert again is not None
    with archive.ledger.begin() as conn:
        again.settle(conn, "t", 3.0)
        assert conn.execute(select(products.c.path)).all() == []
    # then
    assert not archive.path.exists()
    assert (again.point.fields["made"], again.point.fields["flags"]) == (False, "NOSPECTRUM")
    assert str(fault) in str(again.point.fields["reason"])
    assert "no spectrum" in caplog.text


@pytest.mark.parametrize("fault", [LeaseLost("another has it"), LedgerUnreachable("away")], ids=type)
@pytest.mark.parametrize("spoilt", [False, True])
def test_who_lost_the_task_neither_replaces_nor_removes_a_spectrum(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, fault: Exception, spoilt: bool
) -> None:
    archive.path.write_text("the other's")

    def lost() -> None:
        raise fault

    def fails(*args: object, **kwargs: object) -> None:
        raise NoSolution("no object on the slit")

    if spoilt:
        monkeypatch.setattr(module, "spectrum_frame", fails)
    with asking(lost), pytest.raises(type(fault)):
        archive.spectrum()
    assert archive.path.read_text() == "the other's"
    assert list(archive.path.parent.glob(".*")) == []


def test_a_frame_without_a_spectrograph_has_none(archive: Archive) -> None:
    image = np.zeros((ROWS, COLUMNS))
    for name, cards in (("i.fits", {"GRISM": None}), ("h.fits", {"GRISM": "h"})):
        archive.frame = archive.take(name, image, **cards)
        assert archive.spectrum() is None
