"""A camera's disk that is away when the watcher starts, and one that goes and comes: found by walks, then by events."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.core.settings import WatchSettings
from services.watcher.events import Events
from services.watcher.inotify import Kind
from tests.site import Site

FOR_EVER = 3600.0


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Events]:
    events = Events(WatchSettings(dirs=(tmp_path / "camera", tmp_path / "guider")), lambda: None)
    (tmp_path / "guider").mkdir()
    events.start()
    yield events
    events.stop()


def heard(events: Events) -> tuple[Kind, str]:
    deadline = time.monotonic() + 20
    while (news := events.take()) is None:
        assert time.monotonic() < deadline, "no event"
        time.sleep(0.005)
    return news.kind, news.path


def test_what_is_there_is_heard_while_another_directory_is_away(listening: Events, tmp_path: Path) -> None:
    assert listening.polled
    (tmp_path / "guider" / "a.fits").write_bytes(b"")
    assert heard(listening) == (Kind.CLOSED, str(tmp_path / "guider" / "a.fits"))


def test_events_are_heard_again_as_often_as_the_directory_comes_back(listening: Events, tmp_path: Path) -> None:
    camera = tmp_path / "camera"
    for name in ("a.fits", "b.fits"):
        # when it comes, and a walk looks at it
        camera.mkdir()
        listening.listen(str(camera))

        # then no more walks are needed
        assert not listening.polled
        (camera / name).write_bytes(b"")
        assert heard(listening) == (Kind.CLOSED, str(camera / name))

        # when it goes, and a walk does not find it
        shutil.rmtree(camera)
        listening.listen(str(camera))
        assert listening.polled


@pytest.mark.parametrize("trouble", [True, OSError(errno.ESTALE, "Stale file handle")], ids=["network", "stale"])
def test_a_directory_of_which_the_kernel_tells_nothing_is_polled_until_another_is_mounted(
    listening: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: bool | OSError
) -> None:
    def is_network(path: Path) -> bool:  # no server of such a kind can be had in a test
        if isinstance(trouble, OSError):
            raise trouble
        return trouble

    camera, below = tmp_path / "camera", tmp_path / "camera" / "20260115"
    below.mkdir(parents=True)
    with monkeypatch.context() as mounted:
        mounted.setattr("services.watcher.events.is_network", is_network)
        for directory in (camera, below):
            listening.listen(str(directory))
        assert listening.polled
        (below / "a.fits").write_bytes(b"")
    # when a local disk is there
    for directory in (camera, below):
        listening.listen(str(directory))
    # then events are heard, and there was none before
    assert not listening.polled
    (below / "b.fits").write_bytes(b"")
    assert heard(listening) == (Kind.CLOSED, str(below / "b.fits"))


def test_a_watcher_that_starts_without_the_disk_hears_its_events_later(tmp_path: Path, frames: list[Path]) -> None:
    site = Site(tmp_path / "site", rescan_s=FOR_EVER, incomplete_after_s=FOR_EVER, poll_s=0.2)
    try:
        # given a watcher that was started while the disk was away
        site.camera.rmdir()
        site.start("watch")
        site.wait(lambda: "polling" in site.log("watch"), "the word that it is away")

        # when the disk comes, with a frame
        aside = tmp_path / "aside"
        aside.mkdir()
        shutil.copy(frames[0], aside)
        aside.rename(site.camera)
        site.wait(lambda: len(site.states("summit")) == 1, "the frame that it had")
        site.wait(lambda: "are heard" in site.log("watch"), "the word that it is back")

        # then the next frame makes an event: no walk is due for an hour
        shutil.copy(frames[1], site.camera)
        site.wait(lambda: len(site.states("summit")) == 2, "the frame that an event tells of")
    finally:
        site.close()
