"""What was lost or spoilt after everything went well, and settings that change under frames that are on their way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from services.core.ledger.alert_schema import alerts
from services.core.ledger.schema import frames
from tests.site import Site

DAEMONS = ("watch", "ship", "receive")


@pytest.fixture
def night(frames: list[Path]) -> list[Path]:
    return frames[:3]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site", receive={"poll_s": 0.1})
    yield made
    made.close()


def messages(site: Site, host: str) -> list[str]:
    with site.ledger(host).read() as conn:
        return list(conn.execute(select(alerts.c.message).where(alerts.c.open)).scalars())


def content(path: Path) -> bytes | None:
    """None between the rotten file's leaving and the good one's coming."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def shipped(site: Site, night: list[Path]) -> None:
    for path in night:
        shutil.copy(path, site.camera)
    for verb in DAEMONS:
        if verb not in site.daemons:
            site.start(verb)
    site.wait(lambda: site.count("summit", "shipped") == len(night), "frames")


def test_a_file_that_rots_in_the_archive_is_healed_by_shipping_again(site: Site, night: list[Path]) -> None:
    shipped(site, night)
    rotten = next(site.archive.rglob(night[0].name))
    data = bytearray(rotten.read_bytes())
    data[-5] ^= 1
    rotten.chmod(0o644)
    rotten.write_bytes(data)
    assert site.run("audit", "20260115", host="centre").returncode == 1
    assert site.run("ship", "--again", night[0].name).returncode == 0
    site.wait(lambda: content(rotten) == night[0].read_bytes(), "the good content")
    site.wait(lambda: site.count("summit", "shipped") == len(night), "its receipt")
    assert site.run("audit", "20260115", host="centre").returncode == 0
    assert [path.read_bytes() for path in (site.centre / "quarantine" / "rotten").iterdir()] == [bytes(data)]
    assert any("another content" in message for message in messages(site, "centre"))


def test_an_import_brings_back_what_the_archive_has_lost(site: Site, night: list[Path], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    settings = site.settings("summit")
    settings["routes"]["disk"] = {**settings["routes"]["centre"], "url": f"file://{disk}", "receipts": "readback"}
    site.write("summit", settings)
    shipped(site, night)
    site.stop("receive")
    first = site.run("receive", "--import", str(disk), host="centre")
    assert first.returncode == 0, first.stderr
    next(site.archive.rglob(night[1].name)).unlink()
    again = site.run("receive", "--import", str(disk), host="centre")
    assert again.returncode == 0, again.stderr
    assert site.archived() == {path.name: path.read_bytes() for path in night}


def test_a_packed_copy_that_may_be_the_last_one_is_never_thrown_away(site: Site, night: list[Path]) -> None:
    shutil.copy(night[0], site.camera)
    site.start("watch")
    outbox = site.state / "outbox"
    site.wait(lambda: bool(list(outbox.rglob("*.json"))), "bundle")
    site.stop("watch")
    (site.camera / night[0].name).unlink()
    bundle = next(outbox.rglob("*.nfb"))
    packed = bundle.read_bytes()
    with bundle.open("ab") as file:
        file.write(b"one byte too many")
    site.start("ship")
    site.wait(lambda: any("the packed copy is kept" in message for message in messages(site, "summit")), "the alert")
    kept = site.state / "quarantine" / "bundles" / bundle.name
    assert kept.read_bytes()[: len(packed)] == packed


def test_frames_follow_a_route_that_was_renamed(site: Site, night: list[Path]) -> None:
    for path in night:
        shutil.copy(path, site.camera)
    site.start("watch")
    site.wait(lambda: site.count("summit", "packed") == len(night), "bundles")
    site.stop("watch")
    settings = site.settings("summit")
    settings["routes"] = {"renamed": settings["routes"]["centre"]}
    site.write("summit", settings)
    for verb in DAEMONS:
        site.start(verb)
    site.wait(lambda: site.count("summit", "shipped") == len(night), "frames on the renamed route")
    assert site.archived() == {path.name: path.read_bytes() for path in night}


def test_a_quarantined_file_that_is_removed_needs_nobody(tmp_path: Path, night: list[Path]) -> None:
    site = Site(tmp_path / "site", incomplete_after_s=0.5)
    try:
        junk = site.camera / "junk.fits"
        junk.write_bytes(b"no FITS at all")
        site.start("watch")
        site.wait(lambda: "quarantined" in site.run("status").stdout, "quarantine")
        junk.unlink()
        site.wait(lambda: site.run("status").returncode == 0, "a clean status")
        assert not list((site.state / "quarantine").glob("*.txt"))
    finally:
        site.close()


def test_a_strange_letter_in_the_inbox_ends_nothing(site: Site, night: list[Path]) -> None:
    site.start("receive")
    site.wait((site.centre / "inbox").is_dir, "inbox")
    (site.centre / "inbox" / os.fsdecode(b"\xff.night")).write_bytes(b"{}")
    site.wait(lambda: any("refused" in message for message in messages(site, "centre")), "the refusal")
    shipped(site, night)
    with site.ledger("centre").read() as conn:
        assert len(conn.execute(select(frames.c.sha256)).all()) == len(night)


def test_two_shippers_on_one_outbox_are_one_too_many(site: Site) -> None:
    site.start("ship")
    site.wait(lambda: "ready" in site.log("ship"), "start")
    second = site.run("ship")
    assert second.returncode == 3 and "another `nightferry ship`" in second.stderr
