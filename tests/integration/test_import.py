"""Disks that arrive by courier: filed as if they had come over the link, whether a receiver runs or not."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from services.cli.endofnight import endofnight
from services.cli.importing import run_import
from services.receiver.importing import survey
from services.receiver.lock import inbox_lock
from tests.night_site import NIGHT, NightSite
from transfer.receive import waiting_bundles


@pytest.fixture
def disk(site: NightSite, frames: list[Path], tmp_path: Path) -> Path:
    """A copy of the outbox with two bundles, and the signed night, some directories down; read-only."""
    site.write(frames)
    site.take_in()
    for count in (4, 4):
        site.pack(count=count)
    site.run(endofnight, "--no-wait")
    (site.centre / "inbox" / f"summit-{NIGHT}-1.night").unlink()
    root = tmp_path / "disk" / "from" / "summit"
    shutil.copytree(site.state / "outbox", root / "outbox")
    shutil.copytree(site.state / "nights", root / "nights", ignore=shutil.ignore_patterns(".lock"))
    return tmp_path / "disk"


def imported(site: NightSite, disk: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]]]:
    capsys.readouterr()
    before = {str(path): path.stat().st_mtime_ns for path in disk.rglob("*")}
    code = run_import(site.root / "centre.yaml", disk, True)
    assert {str(path): path.stat().st_mtime_ns for path in disk.rglob("*")} == before
    *records, summary = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert summary["files"] == len(records)
    return code, records


def verdicts(records: list[dict[str, Any]]) -> list[str]:
    return [record["verdict"] for record in records]


def test_a_disk_is_filed_and_its_night_verified(
    site: NightSite, disk: Path, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, records = imported(site, disk, capsys)
    assert (code, verdicts(records)) == (0, ["accepted", "accepted", "verified"])
    assert site.site.archived() == {path.name: path.read_bytes() for path in frames}
    assert not [path for path in (site.centre / "inbox").iterdir()]
    again, records = imported(site, disk, capsys)
    assert (again, verdicts(records)) == (0, ["duplicate", "duplicate", "verified"])
    assert run_import(site.root / "centre.yaml", disk, False) == 0
    assert "2 duplicate, 1 verified" in capsys.readouterr().err


def test_bad_ones_are_named_and_the_others_filed(
    site: NightSite, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outbox = disk / "from" / "summit" / "outbox" / "centre"
    first, second = sorted(outbox.glob("*.nfb"))
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes(data)
    shutil.copy(second, outbox / "alone.nfb")
    shutil.copy(second.with_suffix(".json"), outbox / "elsewhere.json")
    (outbox / "notes.json").write_text("{}")
    (outbox / "half.nfb.part").write_text("half")
    (outbox / "link.nfb").symlink_to(second)
    (outbox / "odd.nfb").write_text("x")
    (outbox / "odd.json").write_text("not a manifest")
    (disk / "from" / "summit" / "nights" / f"summit-{NIGHT}-7.night").write_text("rubbish")
    code, records = imported(site, disk, capsys)
    assert code == 4
    found = {record["name"]: record["verdict"] for record in records}
    assert found == {
        "alone": "bad",
        "odd": "bad",
        first.stem: "corrupt",
        second.stem: "accepted",
        f"summit-{NIGHT}-1": "holes",
        f"summit-{NIGHT}-7": "refused",
    }


def test_a_manifest_without_its_bundle_is_bad_unless_it_was_delivered(
    site: NightSite, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outbox = disk / "from" / "summit" / "outbox" / "centre"
    first, second = sorted(outbox.glob("*.nfb"))
    first.unlink()
    second.unlink()
    (outbox / f"{second.stem}.receipt.json").write_text("{}")
    cargo = survey(disk)
    assert [(each.name, each.reason) for each in cargo.bad] == [(first.stem, "a manifest without its bundle")]
    assert cargo.bundles == ()


def test_a_disk_that_was_cut_short_is_tried_again(
    site: NightSite, disk: Path, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    outbox = disk / "from" / "summit" / "outbox" / "centre"
    first = min(outbox.glob("*.nfb"))
    data = first.read_bytes()
    first.write_bytes(data[: len(data) // 2])
    code, records = imported(site, disk, capsys)
    assert (code, verdicts(records)) == (4, ["bad", "accepted", "holes"])
    assert "bytes" in records[0]["reason"]
    first.write_bytes(data)
    code, records = imported(site, disk, capsys)
    assert (code, verdicts(records)) == (0, ["accepted", "duplicate", "verified"])


def test_a_crash_in_the_middle_of_copying_goes_on(
    site: NightSite, disk: Path, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = sorted((disk / "from" / "summit" / "outbox" / "centre").glob("*.nfb"))
    inbox = site.centre / "inbox"
    (inbox / f"{first.name}.part").write_bytes(first.read_bytes()[:1000])
    shutil.copy(second, inbox)  # its manifest never came
    code, records = imported(site, disk, capsys)
    assert (code, verdicts(records)) == (0, ["accepted", "accepted", "verified"])
    assert list(inbox.iterdir()) == []


def test_a_running_receiver_takes_what_is_imported(
    site: NightSite, disk: Path, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    held, done = threading.Event(), threading.Event()

    def receiver() -> None:
        with inbox_lock(site.centre) as mine:
            assert mine
            held.set()
            nights = site.nights()
            while not done.is_set():
                for bundle in waiting_bundles(site.centre):
                    site.file(bundle)
                nights.take_all()
                done.wait(0.05)

    thread = threading.Thread(target=receiver)
    thread.start()
    try:
        assert held.wait(10.0)
        code, records = imported(site, disk, capsys)
    finally:
        done.set()
        thread.join(10.0)
    assert (code, verdicts(records)) == (0, ["accepted", "accepted", "verified"])
    assert site.site.archived() == {path.name: path.read_bytes() for path in frames}


def test_a_receiver_that_ends_meanwhile_leaves_the_rest_to_the_import(
    site: NightSite, disk: Path, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    held = threading.Event()

    def receiver() -> None:
        with inbox_lock(site.centre):
            held.set()
            site.site.wait(lambda: bool(waiting_bundles(site.centre)), "first bundle")

    thread = threading.Thread(target=receiver)
    thread.start()
    assert held.wait(10.0)
    code, records = imported(site, disk, capsys)
    thread.join(10.0)
    assert (code, verdicts(records)) == (0, ["accepted", "accepted", "verified"])
    assert len(site.site.archived()) == len(frames)


def test_an_empty_directory_is_said(site: NightSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert run_import(site.root / "centre.yaml", tmp_path / "empty", False) == 0
    assert "no bundle and no night manifest" in capsys.readouterr().err
