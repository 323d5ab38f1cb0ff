"""From a whole file to a frame: what is taken in, what is not and why, and that a stop ends the reading."""

from __future__ import annotations

import gzip
import hashlib
import threading
from pathlib import Path

import pytest

from processors.instrument import Instruments, load_instruments
from services.watcher.intake import NotYet, Stopped, look, take_in
from services.watcher.notes import Notes
from tests.site import tiny_night


@pytest.fixture(scope="module")
def known() -> Instruments:
    return load_instruments()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return tiny_night(tmp_path_factory.mktemp("night"))[0].read_bytes()


def stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def test_a_frame_is_known_by_its_content_and_its_headers(tmp_path: Path, original: bytes, known: Instruments) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(original)
    look(str(path))
    frame = take_in(str(path), stamp(path), known, threading.Event())
    assert frame.sha256 == hashlib.sha256(original).hexdigest()
    assert (frame.name, frame.path, frame.size) == ("a.fits", str(path), len(original))
    assert (frame.identity["instrument"], frame.identity["obstype"]) == ("simcam", "bias")
    assert frame.mtime == path.stat().st_mtime


def test_a_gzip_frame_is_hashed_as_it_is_and_checked_to_its_end(
    tmp_path: Path, original: bytes, known: Instruments
) -> None:
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(original))
    frame = take_in(str(path), stamp(path), known, threading.Event())
    assert frame.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes()[:-9])
    look(str(path))
    with pytest.raises(NotYet, match="incomplete: the gzip stream has no end yet"):
        take_in(str(path), stamp(path), known, threading.Event())


def test_a_datasum_is_compared_with_the_data(tmp_path: Path, original: bytes, known: Instruments) -> None:
    assert original.count(b"DATASUM = ") == 2
    path = tmp_path / "a.fits"
    path.write_bytes(original[:-4000] + bytes([original[-4000] ^ 1]) + original[-3999:])
    look(str(path))
    with pytest.raises(NotYet, match=r"DATASUM disagrees in 1 of 2 HDUs \(HDU 1:"):
        take_in(str(path), stamp(path), known, threading.Event())


@pytest.mark.parametrize(("cut", "reason"), [(-1, "incomplete: HDU 1 ends"), (100, "incomplete: the header of HDU 0")])
def test_a_cut_file_is_not_whole(tmp_path: Path, original: bytes, cut: int, reason: str) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(original[:cut])
    with pytest.raises(NotYet, match=reason):
        look(str(path))


def test_a_name_that_no_manifest_can_hold_is_not_taken(tmp_path: Path, original: bytes) -> None:
    path = tmp_path / "a\nb.fits"
    path.write_bytes(original)
    with pytest.raises(NotYet, match="no manifest can name it"):
        look(str(path))


def test_a_file_that_changed_since_the_decision_is_not_taken(
    tmp_path: Path, original: bytes, known: Instruments
) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(original)
    size, mtime_ns = stamp(path)
    with pytest.raises(NotYet, match="changed"):
        take_in(str(path), (size, mtime_ns - 1), known, threading.Event())


def test_a_stop_ends_the_reading(tmp_path: Path, original: bytes, known: Instruments) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(original)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        take_in(str(path), stamp(path), known, stop)


def test_a_note_takes_any_name(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "quarantine")
    path = f"/camera/{'é' * 125}.fits"
    notes.write(path, "incomplete")
    (note,) = (tmp_path / "quarantine").iterdir()
    assert note.read_text() == f"{path}\nincomplete\n"
    notes.remove(path)
    assert not list((tmp_path / "quarantine").iterdir())
