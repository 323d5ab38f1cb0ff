"""From the camera's disk to the archive, with real daemons: whole, once, or quarantined with the reason."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.core.ledger import telescope
from tests.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    yield made
    made.close()


def shipped(site: Site, number: int) -> bool:
    return site.count("summit", "shipped") == number


def test_frames_of_before_the_start_and_in_new_directories_arrive_once(site: Site, frames: list[Path]) -> None:
    shutil.copy(frames[0], site.camera)
    for verb in ("watch", "ship", "receive"):
        site.start(verb)
    site.wait(lambda: shipped(site, 1), "frame of before the start")
    deep = site.camera / "20260115" / "deep"
    deep.mkdir(parents=True)
    shutil.copy(frames[1], deep)
    hidden = site.camera / f".{frames[2].name}.Xy12Zw"  # as rsync writes it
    shutil.copy(frames[2], hidden)
    hidden.rename(site.camera / frames[2].name)
    site.wait(lambda: shipped(site, 3), "new frames")
    assert site.archived() == {path.name: path.read_bytes() for path in frames[:3]}
    assert not any(path.stat().st_mode & 0o222 for path in site.archive.rglob("*.fits"))
    assert set(site.states("centre").values()) == {"arrived"}
    site.wait(lambda: not list((site.state / "outbox").rglob("*.nfb")), "empty outbox")
    assert list((site.state / "shipped").rglob("*.receipt.json"))
    for verb in ("watch", "ship", "receive"):
        started = time.monotonic()
        assert site.stop(verb) == 0, site.log(verb)
        assert time.monotonic() - started < 5


def test_a_half_written_file_is_shipped_once_whole(site: Site, frames: list[Path]) -> None:
    for verb in ("watch", "ship", "receive"):
        site.start(verb)
    data = frames[0].read_bytes()
    target = site.camera / frames[0].name
    target.write_bytes(data[: len(data) // 2])  # written and closed: the event says that it is finished
    site.wait(lambda: "not a frame yet" in site.log("watch"), "look at the half file")
    assert site.states("summit") == {}
    with target.open("ab") as file:
        file.write(data[len(data) // 2 :])
    site.wait(lambda: shipped(site, 1), "whole frame")
    assert site.archived() == {target.name: data}


def test_a_file_that_is_never_completed_is_quarantined_with_its_reason(tmp_path: Path, frames: list[Path]) -> None:
    site = Site(tmp_path / "site", incomplete_after_s=1.5)
    try:
        data = frames[0].read_bytes()
        target = site.camera / frames[0].name
        target.write_bytes(data[:-1000])
        (site.camera / "notes.fits").write_text("version https://git-lfs.github.com/spec/v1\n")
        for verb in ("watch", "ship", "receive"):
            site.start(verb)

        def reasons() -> dict[str, str]:
            with site.ledger("summit").begin() as conn:
                return {Path(row.path).name: row.reason for row in telescope.quarantined_files(conn)}

        site.wait(lambda: len(reasons()) == 2, "quarantine")
        assert "incomplete" in reasons()[target.name]
        assert target.read_bytes() == data[:-1000]  # the raw file itself is never touched
        notes = [path.read_text() for path in (site.state / "quarantine").iterdir()]
        assert len(notes) == 2 and any(str(target) in note and "incomplete" in note for note in notes)
        target.write_bytes(data)
        site.wait(lambda: shipped(site, 1), "the file that was completed after all")
        assert list(reasons()) == ["notes.fits"]
        assert len(list((site.state / "quarantine").iterdir())) == 1
    finally:
        site.close()


def test_another_content_under_the_same_name_is_another_frame(site: Site, frames: list[Path]) -> None:
    for verb in ("watch", "ship", "receive"):
        site.start(verb)
    target = site.camera / "frame.fits"
    shutil.copy(frames[0], target)
    site.wait(lambda: shipped(site, 1), "first content")
    shutil.copy(frames[1], target)
    site.wait(lambda: shipped(site, 2), "second content")
    assert sorted(site.archived().values()) == sorted(path.read_bytes() for path in frames[:2])


def test_a_bundle_spoilt_on_the_way_is_not_published_and_not_let_go(site: Site, frames: list[Path]) -> None:
    shutil.copy(frames[0], site.camera)
    site.start("watch")
    site.wait(lambda: "bundle packed" in site.log("watch"), "bundle")
    site.start("ship")
    inbox = site.centre / "inbox"
    site.wait(lambda: inbox.is_dir() and any(inbox.glob("*.json")), "bundle in the inbox")
    bundle = next(inbox.glob("*.nfb"))
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 0x10
    bundle.write_bytes(data)
    site.start("receive")
    site.wait(lambda: "bundle undone" in site.log("ship"), "corrupt receipt")
    assert list((site.centre / "quarantine").rglob("reason.txt"))
    # Packed again from the raw file, and this time nobody spoils it.
    site.wait(lambda: shipped(site, 1), "the frame, shipped again")
    assert site.archived() == {frames[0].name: frames[0].read_bytes()}


def test_a_spoilt_bundle_in_the_outbox_is_packed_again_and_stops_nobody(site: Site, frames: list[Path]) -> None:
    for path in frames[:4]:
        shutil.copy(path, site.camera)
    site.start("watch")
    outbox = site.state / "outbox" / "centre"
    site.wait(lambda: len(list(outbox.glob("*.json"))) == 2, "bundles")
    first = min(outbox.glob("*.nfb"))
    first.write_bytes(first.read_bytes()[:-1])
    for verb in ("ship", "receive"):
        site.start(verb)
    site.wait(lambda: shipped(site, 4), "all frames")
    assert site.archived() == {path.name: path.read_bytes() for path in frames[:4]}


def test_a_lost_ledger_is_no_lost_night(site: Site, frames: list[Path]) -> None:
    for path in frames[:2]:
        shutil.copy(path, site.camera)
    site.start("watch")
    site.wait(lambda: "bundle packed" in site.log("watch"), "bundle")
    site.stop("watch")
    for path in site.state.glob("ledger.sqlite*"):
        path.unlink()
    for verb in ("watch", "ship", "receive"):
        site.start(verb)
    site.wait(lambda: shipped(site, 2), "both frames")
    assert site.archived() == {path.name: path.read_bytes() for path in frames[:2]}
    assert len(list((site.state / "quarantine" / "bundles").iterdir())) == 2


def test_undoing_a_bundle_goes_on_after_a_crash(site: Site, frames: list[Path]) -> None:
    shutil.copy(frames[0], site.camera)
    site.start("watch")
    outbox = site.state / "outbox" / "centre"
    site.wait(lambda: len(list(outbox.glob("*.json"))) == 1, "bundle")
    (manifest,) = outbox.glob("*.json")
    manifest.rename(outbox / f".undo-{manifest.stem}")  # and here the shipper died
    for verb in ("ship", "receive"):
        site.start(verb)
    site.wait(lambda: shipped(site, 1), "the frame, packed again")
    assert site.archived() == {frames[0].name: frames[0].read_bytes()}
    assert not list(outbox.glob(".undo-*"))


def test_a_frame_moved_before_it_was_packed_is_not_lost(tmp_path: Path, frames: list[Path]) -> None:
    site = Site(tmp_path / "site")
    try:
        site.start("watch")
        shutil.copy(frames[0], site.camera)
        site.wait(lambda: site.count("summit", "seen") == 1, "frame")
        (site.camera / "night").mkdir()
        (site.camera / frames[0].name).rename(site.camera / "night" / frames[0].name)
        for verb in ("ship", "receive"):
            site.start(verb)
        site.wait(lambda: shipped(site, 1), "the moved frame")
        assert site.archived() == {frames[0].name: frames[0].read_bytes()}
    finally:
        site.close()


def test_sudden_deaths_at_any_moment_lose_and_double_nothing(site: Site, frames: list[Path]) -> None:
    rng = random.Random(20260115)
    verbs = ("watch", "ship", "receive")
    for verb in verbs:
        site.start(verb)
    for path in frames:
        shutil.copy(path, site.camera)
        time.sleep(rng.uniform(0.0, 0.4))
        victim = rng.choice(verbs)
        site.stop(victim, signal.SIGKILL)
        site.start(victim)
    site.wait(lambda: shipped(site, len(frames)), "frames after the deaths", timeout_s=60.0)
    assert site.archived() == {path.name: path.read_bytes() for path in frames}
    assert site.states("centre") == {path.name: "arrived" for path in frames}


def test_odd_files_are_quarantined_one_line_each_and_frames_go_on(
    tmp_path: Path, frames: list[Path], shared_data: Path
) -> None:
    site = Site(tmp_path / "site", incomplete_after_s=1.0)
    try:
        odd = [path for path in sorted((shared_data / "odd").rglob("*")) if path.is_file()]
        names = set()
        for number, path in enumerate(odd):
            name = f"{number:03d}-{path.name}"
            shutil.copyfile(path, site.camera / name)
            if name.lower().endswith((".fits", ".fits.fz", ".fits.gz")):
                names.add(name)
        for verb in ("watch", "ship", "receive"):
            site.start(verb)
        shutil.copy(frames[0], site.camera)

        def reasons() -> dict[str, str]:
            with site.ledger("summit").begin() as conn:
                return {Path(row.path).name: row.reason for row in telescope.quarantined_files(conn)}

        site.wait(lambda: set(reasons()) == names and shipped(site, 1), "every odd file quarantined", timeout_s=60.0)
        assert all(reason and "\n" not in reason for reason in reasons().values())
        assert "Traceback" not in site.log("watch")
        assert site.archived() == {frames[0].name: frames[0].read_bytes()}
    finally:
        site.close()


def test_a_pipe_among_the_frames_is_never_opened(site: Site, frames: list[Path]) -> None:
    os.mkfifo(site.camera / "pipe.fits")
    (site.camera / "link.fits").symlink_to(frames[1])
    for verb in ("watch", "ship", "receive"):
        site.start(verb)
    site.wait(lambda: "ready" in site.log("watch"), "watcher")
    (site.camera / "pipe.fits").rename(site.camera / "moved.fits")  # an event names it now
    shutil.copy(frames[0], site.camera)
    site.wait(lambda: shipped(site, 1), "the frame beside it")
    assert site.archived() == {frames[0].name: frames[0].read_bytes()}
