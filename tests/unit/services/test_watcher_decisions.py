"""The watcher's pure decisions: settling, batching, which names are frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.watcher.batches import due_batches
from services.watcher.events import Matcher, walk
from services.watcher.settle import Verdict, faulty, judge, observed

PATH = Path("/camera/a.fits")


def test_a_file_is_looked_at_when_it_has_been_quiet() -> None:
    candidate = observed(None, PATH, 10, 1, now=100.0)
    assert judge(candidate, 100.5, settle_s=1.0, incomplete_after_s=60.0) is Verdict.WAIT
    assert judge(candidate, 101.0, settle_s=1.0, incomplete_after_s=60.0) is Verdict.LOOK


def test_a_change_starts_the_quiet_time_again_and_forgets_the_fault() -> None:
    candidate = faulty(observed(None, PATH, 10, 1, now=100.0), "incomplete")
    assert judge(candidate, 150.0, 1.0, 60.0) is Verdict.WAIT
    grown = observed(candidate, PATH, 20, 2, now=150.0)
    assert (grown.fault, grown.changed_at) == (None, 150.0)
    assert judge(grown, 151.0, 1.0, 60.0) is Verdict.LOOK


def test_a_file_that_never_becomes_whole_is_given_up() -> None:
    candidate = faulty(observed(None, PATH, 10, 1, now=100.0), "incomplete")
    assert observed(candidate, PATH, 10, 1, now=159.0) is candidate
    assert judge(candidate, 160.0, 1.0, 60.0) is Verdict.GIVE_UP


@dataclass
class Frame:
    created_at: float


def test_full_batches_go_at_once_and_the_rest_waits_for_the_flush() -> None:
    frames = [Frame(float(n)) for n in range(6)]
    assert [len(b) for b in due_batches(frames, 4, 30.0, now=10.0)] == [4]
    assert [len(b) for b in due_batches(frames, 4, 30.0, now=34.0)] == [4, 2]
    assert due_batches([], 4, 30.0, now=1e9) == []


def test_hidden_files_and_other_names_are_no_frames(tmp_path: Path) -> None:
    for name in ("a.fits", "B.FITS", ".a.fits.Xy12", ".hidden.fits", "notes.txt", "c:d.fits.fz"):
        (tmp_path / name).touch()
    (tmp_path / "night" / "deep").mkdir(parents=True)
    (tmp_path / "night" / "deep" / "e.fits").touch()
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp" / "f.fits").touch()
    (tmp_path / "link.fits").symlink_to(tmp_path / "a.fits")
    found = {entry.name for entry in walk(tmp_path, Matcher(["*.fits", "*.fits.fz"]))}
    assert found == {"a.fits", "B.FITS", "c:d.fits.fz", "e.fits"}
