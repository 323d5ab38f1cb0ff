"""The watcher and the kernel: closed files at once, bursts, lost events, directories that come and move, the stop."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.core.ledger import telescope
from tests.site import Site
from tests.spooled import spooled
from tests.unit.transfer.frames import card, header

BURST = 20_000
EVENTS_PER_FILE = 2  # made, closed
FOR_EVER = 3600.0
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")

WRITER = """
import os, sys
root, number = sys.argv[1], int(sys.argv[2])
for i in range(number):
    os.close(os.open(f"{root}/d{i % 50:02d}/f{i:05d}.fits", os.O_WRONLY | os.O_CREAT))
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Starts a watcher that nothing but events (and what they ask for) tells of files; keywords change that."""
    sites: list[Site] = []

    def make(prepare: Callable[[Path], object] = lambda _: None, **watch: float) -> Site:
        site = Site(tmp_path / "site", **{"rescan_s": FOR_EVER, "incomplete_after_s": FOR_EVER, **watch})
        sites.append(site)
        prepare(site.camera)
        site.start("watch")
        site.wait(lambda: len(points(site, "watcher_walk")) == 1, "first walk")
        return site

    yield make
    for site in sites:
        site.close()


def points(site: Site, measurement: str) -> list[str]:
    """Points of a measurement in the metrics spool."""
    return spooled(site.state / "metrics.sqlite", measurement)


def folders(camera: Path) -> None:
    for number in range(50):
        (camera / f"d{number:02d}").mkdir()


def looked_at(site: Site) -> set[str]:
    """Names of the files that the watcher found not to be whole."""
    lines = (json.loads(line) for line in site.log("watch").splitlines() if '"not a frame yet"' in line)
    return {Path(line["path"]).name for line in lines}


def test_a_closed_frame_needs_no_quiet_time_and_one_found_by_a_walk_does(
    start: Callable[..., Site], frames: list[Path]
) -> None:
    site = start(lambda camera: shutil.copy(frames[0], camera), settle_s=FOR_EVER)
    shutil.copyfile(frames[1], site.camera / "written.fits")
    hidden = site.camera / ".renamed"
    shutil.copyfile(frames[2], hidden)
    hidden.rename(site.camera / "renamed.fits")
    site.wait(lambda: len(site.states("summit")) == 2, "closed frames")
    assert set(site.states("summit")) == {"written.fits", "renamed.fits"}


def test_a_file_closed_in_pieces_is_taken_once_it_is_whole(start: Callable[..., Site], frames: list[Path]) -> None:
    site = start(settle_s=FOR_EVER)
    data, target = frames[0].read_bytes(), site.camera / "a.fits"
    for cut in (0, 100, len(data) // 2, len(data)):
        with target.open("ab") as file:
            file.write(data[target.stat().st_size : cut])
    site.wait(lambda: set(site.states("summit")) == {"a.fits"}, "whole frame")
    assert len(site.states("summit")) == 1


def test_a_frame_that_is_changed_after_its_close_is_another_frame(
    start: Callable[..., Site], frames: list[Path]
) -> None:
    site = start(settle_s=FOR_EVER)
    target = site.camera / "a.fits"
    shutil.copyfile(frames[0], target)
    site.wait(lambda: site.log("watch").count('"frame seen"') == 1, "first content")
    shutil.copyfile(frames[1], target)
    site.wait(lambda: site.log("watch").count('"frame seen"') == 2, "second content")


def test_directories_that_come_and_move_are_heard(start: Callable[..., Site], frames: list[Path]) -> None:
    site = start(settle_s=0.1)
    deep = site.camera / "20260115" / "deep"
    deep.mkdir(parents=True)
    shutil.copyfile(frames[0], deep / "first.fits")
    site.wait(lambda: set(site.states("summit")) == {"first.fits"}, "frame in a new directory")
    shutil.copytree(site.camera / "20260115", site.root / "elsewhere")
    (site.root / "elsewhere" / "deep" / "first.fits").unlink()
    shutil.copyfile(frames[1], site.root / "elsewhere" / "deep" / "second.fits")
    (site.root / "elsewhere").rename(site.camera / "20260116")
    site.wait(lambda: "second.fits" in site.states("summit"), "frame in a directory that was moved here")
    (site.camera / "20260116").rename(site.camera / "20260117")
    site.wait(lambda: "20260117" in " ".join(known(site)), "walk of the directory that was renamed")
    shutil.copyfile(frames[2], site.camera / "20260117" / "deep" / "third.fits")
    site.wait(lambda: "third.fits" in site.states("summit"), "frame in the directory under its new name")


def known(site: Site) -> set[str]:
    with site.ledger("summit").begin() as conn:
        return set(telescope.known_files(conn))


@pytest.mark.parametrize("stopped", [False, True], ids=["awake", "asleep"])
def test_a_burst_loses_none(start: Callable[..., Site], frames: list[Path], stopped: bool) -> None:
    """Asleep, the watcher cannot read the kernel's queue, which must overflow."""
    site = start(folders, settle_s=0.1)
    if stopped:
        os.kill(site.daemons["watch"].pid, signal.SIGSTOP)
    subprocess.run([sys.executable, "-c", WRITER, str(site.camera), str(BURST)], check=True)
    for number, path in enumerate(frames):
        shutil.copyfile(path, site.camera / f"d{number:02d}" / path.name)
    os.kill(site.daemons["watch"].pid, signal.SIGCONT)
    site.wait(lambda: len(site.states("summit")) == len(frames), "frames among the burst", timeout_s=120.0)
    names = {f"f{number:05d}.fits" for number in range(BURST)}
    site.wait(lambda: looked_at(site) == names, "every file of the burst", timeout_s=120.0)
    if stopped and int(QUEUE.read_text()) < EVENTS_PER_FILE * BURST:
        assert "events were lost, walking" in site.log("watch")
        assert points(site, "watcher_overflow")


def test_names_that_are_not_utf8_are_passed_over_and_frames_go_on(
    start: Callable[..., Site], frames: list[Path]
) -> None:
    site = start(settle_s=FOR_EVER)
    Path(os.fsdecode(os.fsencode(site.camera) + b"/\xff.fits")).write_bytes(frames[0].read_bytes())
    shutil.copyfile(frames[1], site.camera / "good.fits")
    site.wait(lambda: set(site.states("summit")) == {"good.fits"}, "frame beside it")
    assert "passed over, its name is not UTF-8" in site.log("watch")


def test_the_watcher_stops_in_the_middle_of_a_large_frame(start: Callable[..., Site]) -> None:
    site = start()
    size = 2880 * 10_000_000  # a hole in the file; hashing it takes many seconds
    cards = (card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 1), card("NAXIS1", size))
    with (site.camera / "large.fits").open("wb") as file:
        file.write(header(*cards))
        file.truncate(2880 + size)

    def reading() -> bool:
        for fd in Path(f"/proc/{site.daemons['watch'].pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if fd.readlink().name == "large.fits":
                    return True
        return False

    site.wait(reading, "reading of the frame")
    assert site.stop("watch") == 0
    assert site.states("summit") == {}
