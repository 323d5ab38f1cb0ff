"""The watcher's pure decisions: settling, committing, which names are frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.watcher.events import Matcher, walk
from services.watcher.recorder import LARGE, MOST_FILES, MOST_WAIT_S, commit_due
from services.watcher.settle import Verdict, faulty, judge, observed

PATH = "/camera/a.fits"


def test_a_file_is_looked_at_when_it_has_been_quiet() -> None:
    candidate = observed(None, PATH, (10, 1), now=100.0)
    assert judge(candidate, 100.5, settle_s=1.0, incomplete_after_s=60.0) is Verdict.WAIT
    assert judge(candidate, 101.0, settle_s=1.0, incomplete_after_s=60.0) is Verdict.LOOK


def test_a_file_that_was_closed_is_looked_at_at_once() -> None:
    candidate = observed(None, PATH, (10, 1), now=100.0, closed=True)
    assert judge(candidate, 100.0, settle_s=1.0, incomplete_after_s=60.0) is Verdict.LOOK


def test_a_change_after_the_close_waits_for_quiet_or_for_the_next_close() -> None:
    candidate = faulty(observed(None, PATH, (10, 1), now=100.0, closed=True), "incomplete")
    grown = observed(candidate, PATH, (20, 2), now=101.0)
    assert judge(grown, 101.0, 1.0, 60.0) is Verdict.WAIT
    closed = observed(grown, PATH, (20, 2), now=101.1, closed=True)
    assert judge(closed, 101.1, 1.0, 60.0) is Verdict.LOOK


def test_a_close_without_another_size_or_time_is_looked_at_again() -> None:
    candidate = faulty(observed(None, PATH, (10, 1), now=100.0, closed=True), "incomplete")
    assert judge(candidate, 100.0, 1.0, 60.0) is Verdict.WAIT
    assert judge(observed(candidate, PATH, (10, 1), now=100.0, closed=True), 100.0, 1.0, 60.0) is Verdict.LOOK


def test_a_change_starts_the_quiet_time_again_and_forgets_the_fault() -> None:
    candidate = faulty(observed(None, PATH, (10, 1), now=100.0), "incomplete")
    assert judge(candidate, 150.0, 1.0, 60.0) is Verdict.WAIT
    grown = observed(candidate, PATH, (20, 2), now=150.0)
    assert (grown.fault, grown.changed_at) == (None, 150.0)
    assert judge(grown, 151.0, 1.0, 60.0) is Verdict.LOOK


def test_a_file_that_never_becomes_whole_is_given_up() -> None:
    candidate = faulty(observed(None, PATH, (10, 1), now=100.0), "incomplete")
    assert observed(candidate, PATH, (10, 1), now=159.0) is candidate
    assert judge(candidate, 160.0, 1.0, 60.0) is Verdict.GIVE_UP


@pytest.mark.parametrize(
    ("files", "waited_s", "next_size", "due"),
    [
        (0, 9.0, None, False),  # nothing to commit
        (1, 0.0, None, True),  # nothing else to wait for
        (1, 0.0, 2880, False),
        (1, 0.0, LARGE, True),  # reading it takes long
        (1, MOST_WAIT_S, 2880, True),
        (MOST_FILES, 0.0, 2880, True),
    ],
)
def test_files_wait_for_each_other_but_not_for_long(
    files: int, waited_s: float, next_size: int | None, due: bool
) -> None:
    assert commit_due(files, waited_s, next_size) is due


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


def test_a_walk_says_which_directory_it_is_about_to_read(tmp_path: Path) -> None:
    (tmp_path / "night" / "deep").mkdir(parents=True)

    def enter(directory: str) -> None:
        (Path(directory) / "late.fits").touch()  # what is there after the call must be found

    found = {Path(entry.path) for entry in walk(tmp_path, Matcher(["*.fits"]), enter)}
    assert found == {folder / "late.fits" for folder in (tmp_path, tmp_path / "night", tmp_path / "night" / "deep")}
