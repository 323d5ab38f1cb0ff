"""Routes as their users meet them: modes switched while running, filters, quick looks, back-pressure, held bundles."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from services.core.ledger.schema import bundle_frames, bundles
from services.core.ledger.schema import frames as frames_table
from tests.fixtures.disk import small_disk_at
from tests.fixtures.sshd import PrivateSshd, new_key
from tests.site import Site
from tests.spooled import spooled

DAEMONS = ("watch", "ship", "receive")


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[list[Site]]:
    made: list[Site] = []
    yield made
    for site in made:
        site.close()


def new_site(sites: list[Site], tmp_path: Path, **more: Any) -> Site:
    sites.append(Site(tmp_path / "site", **more))
    return sites[-1]


def change_route(site: Site, name: str, **more: Any) -> None:
    """Edit the settings file and send SIGHUP to the daemons that read it."""
    settings = site.settings("summit")
    settings["routes"][name].update(more)
    site.write("summit", settings)
    for verb in ("watch", "ship"):
        if verb in site.daemons:
            site.daemons[verb].send_signal(signal.SIGHUP)


def sizes_of_bundles(site: Site) -> list[int]:
    """Number of frames of every bundle, in the order they were packed."""
    with site.ledger("summit").begin() as conn:
        names = conn.execute(select(bundles.c.bundle).order_by(bundles.c.created_at)).scalars().all()
        members = conn.execute(select(bundle_frames.c.bundle)).scalars().all()
    return [members.count(name) for name in names]


def metrics(site: Site, measurement: str) -> list[str]:
    return spooled(site.state / "metrics.sqlite", measurement)


def test_modes_are_switched_while_frames_come(sites: list[Site], tmp_path: Path, frames: list[Path]) -> None:
    site = new_site(sites, tmp_path, routes={"centre": {"batch_frames": 3, "flush_s": 60.0}})
    for verb in DAEMONS:
        site.start(verb)
    for path in frames[:3]:
        shutil.copy(path, site.camera)
    site.wait(lambda: site.count("summit", "shipped") == 3, "a full batch")
    done = site.run("route", "set", "centre", "mode=parallel", "streams=2", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mode"] == "parallel"
    for path in frames[3:5]:
        shutil.copy(path, site.camera)
    site.wait(lambda: site.count("summit", "shipped") == 5, "frames one by one")
    assert sizes_of_bundles(site) == [3, 1, 1]
    site.run("route", "unset", "centre")
    change_route(site, "centre", mode="serial")
    site.wait(lambda: "routes taken again" in site.log("watch") and "routes taken again" in site.log("ship"), "SIGHUP")
    for path in frames[5:]:
        shutil.copy(path, site.camera)
    site.wait(lambda: site.count("summit", "shipped") == len(frames), "the rest, without a full batch")
    assert site.archived() == {path.name: path.read_bytes() for path in frames}


def test_a_value_that_makes_no_sense_is_refused(sites: list[Site], tmp_path: Path) -> None:
    site = new_site(sites, tmp_path)
    site.start("ship")
    site.wait(lambda: "ready" in site.log("ship"), "start")
    for change, said in (("mode=fastest", "mode"), ("url=file:///x", "KEY=VALUE"), ("streams=99", "streams")):
        done = site.run("route", "set", "centre", change)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    done = site.run("route", "set", "nowhere", "mode=serial")
    assert done.returncode == 2 and "centre" in done.stderr


def test_a_route_that_is_down_slows_no_other(sites: list[Site], tmp_path: Path, frames: list[Path]) -> None:
    gone = tmp_path / "disk"
    routes = {"centre": {}, "disk": {"url": f"file://{gone}", "receipts": "readback"}}
    site = new_site(sites, tmp_path, routes=routes)
    for verb in DAEMONS:
        site.start(verb)
    for path in frames:
        shutil.copy(path, site.camera)
    site.wait(lambda: len(site.archived()) == len(frames), "frames on the route that is up")
    assert site.count("summit", "shipped") == 0
    gone.mkdir()
    site.wait(lambda: site.count("summit", "shipped") == len(frames), "frames on the disk")
    assert {path.suffix for path in (gone / "inbox").iterdir()} == {".json", ".nfb"}, "the disk keeps its bundles"
    outbox = site.state / "outbox"
    site.wait(lambda: not [path for path in outbox.rglob("*") if path.is_file()], "an empty outbox")


def test_a_spoilt_copy_on_a_disk_is_found_by_reading_it_back(
    sites: list[Site], tmp_path: Path, frames: list[Path]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    routes = {"disk": {"url": f"file://{disk}", "receipts": "readback"}}
    site = new_site(sites, tmp_path, routes=routes)
    shutil.copy(frames[0], site.camera)
    site.start("watch")
    site.wait(lambda: bool(list((site.state / "outbox").rglob("*.json"))), "bundle")
    packed = next((site.state / "outbox").rglob("*.nfb"))
    data = bytearray(packed.read_bytes())
    data[700] ^= 1
    (disk / "inbox").mkdir()
    (disk / "inbox" / packed.name).write_bytes(data)  # as long as it should be: it is not sent again
    site.start("ship")
    site.wait(lambda: "bundle undone" in site.log("ship"), "the spoilt copy")
    site.wait(lambda: site.count("summit", "shipped") == 1, "a good copy")
    assert bytes(data) not in [path.read_bytes() for path in disk.glob("inbox/*.nfb")]


def test_a_filtered_route_gets_what_it_asks_for(sites: list[Site], tmp_path: Path, frames: list[Path]) -> None:
    science = tmp_path / "science"
    science.mkdir()
    only = {"url": f"file://{science}", "receipts": "readback", "filter": {"obstype": ["science"]}, "mode": "parallel"}
    site = new_site(sites, tmp_path, routes={"science": only})
    for verb in ("watch", "ship"):
        site.start(verb)
    for path in frames:
        shutil.copy(path, site.camera)
    site.wait(lambda: site.count("summit", "shipped") + site.count("summit", "unrouted") == len(frames), "every frame")
    with site.ledger("summit").begin() as conn:
        kinds = {(row.obstype == "science", row.state) for row in conn.execute(select(frames_table))}
    assert kinds == {(True, "shipped"), (False, "unrouted")}


def test_a_quick_look_is_followed_by_its_lossless_twin(sites: list[Site], tmp_path: Path, frames: list[Path]) -> None:
    route = {"codec": "hcompress", "scale": 4.0, "mode": "parallel", "follow_up": "nfz"}
    site = new_site(sites, tmp_path, routes={"centre": route})
    chosen = frames[:3]
    for path in chosen:
        shutil.copy(path, site.camera)
    site.start("watch")
    site.wait(lambda: len(list((site.state / "outbox").rglob("*.json"))) == 3, "quick looks")
    site.run("route", "set", "centre", "follow_up=none")
    for verb in ("ship", "receive"):
        site.start(verb)
    quick = site.archive
    site.wait(lambda: len(list(quick.rglob("quicklook/*.fits"))) == 3, "quick looks in the archive")
    assert site.archived() == {}
    with site.ledger("centre").begin() as conn:
        assert [row.lossless for row in conn.execute(select(frames_table))] == [False] * 3
    site.run("route", "unset", "centre")
    asked = site.run("ship", "--again", *(path.name for path in chosen))
    assert asked.returncode == 0, asked.stderr
    site.wait(lambda: len(site.archived()) == 3, "the lossless twins")
    assert site.archived() == {path.name: path.read_bytes() for path in chosen}
    site.wait(lambda: not list(quick.rglob("quicklook/*.fits")), "quick looks to go")
    with site.ledger("centre").begin() as conn:
        assert [row.lossless for row in conn.execute(select(frames_table))] == [True] * 3


def test_the_receivers_word_pauses_the_sender_and_lets_it_go_on(
    sites: list[Site], tmp_path: Path, frames: list[Path]
) -> None:
    rule = {"measure": "free_gb", "below": 1e9, "action": "pause"}
    routes = {"centre": {"mode": "parallel", "streams": 1, "pressure": [rule]}}
    site = new_site(sites, tmp_path, routes=routes, receive={"status_s": 0.5})
    for verb in DAEMONS:
        site.start(verb)
    shutil.copy(frames[0], site.camera)
    site.wait(lambda: "back-pressure" in site.log("ship"), "the receiver's word")
    for path in frames[1:]:
        shutil.copy(path, site.camera)
    site.wait(lambda: len(list((site.state / "outbox").rglob("*.json"))) >= 5, "a full outbox")
    held_back = site.count("centre", "arrived")
    time.sleep(1.0)
    assert site.count("centre", "arrived") == held_back < len(frames)
    assert any("pause=true" in line for line in metrics(site, "route_pressure"))
    change_route(site, "centre", pressure=[{**rule, "below": 1e-6}])
    site.wait(lambda: site.count("summit", "shipped") == len(frames), "the rest")


def test_a_bundle_is_held_after_the_cap_and_a_person_lets_it_go(
    sites: list[Site], tmp_path: Path, frames: list[Path]
) -> None:
    site = new_site(sites, tmp_path, routes={"centre": {"max_attempts": 2}})
    (site.centre / "inbox").write_text("no directory")
    shutil.copy(frames[0], site.camera)
    site.start("watch")
    site.start("ship")
    site.wait(lambda: any(":held:" in alert for alert in site.open_alerts()), "the cap")
    shown = site.run("status", "--json")
    assert shown.returncode == 1 and "held" in shown.stdout
    assert list((site.state / "outbox").rglob("*.nfb")), "it waits in the outbox"
    (site.centre / "inbox").unlink()
    site.start("receive")
    done = site.run("retry", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["done"] == "to be shipped again"
    site.wait(lambda: site.count("summit", "shipped") == 1, "the held bundle")
    assert site.open_alerts() == {}
    again = site.run("retry", "no-such-bundle")
    assert again.returncode == 1 and "nothing to retry" in again.stderr


def test_a_changed_host_key_stops_the_route_until_it_is_mended(
    sites: list[Site], tmp_path: Path, frames: list[Path], sshd: PrivateSshd
) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{sshd.port} {new_key(tmp_path / 'other')}\n")
    centre = tmp_path / "site" / "centre"
    route = {**sshd.route(centre), "known_hosts": str(known)}
    site = new_site(sites, tmp_path, routes={"centre": route})
    shutil.copy(frames[0], site.camera)
    for verb in DAEMONS:
        site.start(verb)
    site.wait(lambda: "route:centre:host_key" in site.open_alerts(), "the alert")
    pauses = site.log("ship").count("route pauses")
    time.sleep(1.5)
    assert site.log("ship").count("route pauses") == pauses, "a stopped route does not try again"
    known.write_text(sshd.known_hosts.read_text())
    os.utime(known)
    site.wait(lambda: site.count("summit", "shipped") == 1, "the frame")
    site.wait(lambda: site.open_alerts() == {}, "the alert to be over")


def test_a_frame_lost_in_the_archive_is_shipped_again(sites: list[Site], tmp_path: Path, frames: list[Path]) -> None:
    site = new_site(sites, tmp_path)
    for path in frames[:3]:
        shutil.copy(path, site.camera)
    for verb in DAEMONS:
        site.start(verb)
    site.wait(lambda: site.count("summit", "shipped") == 3, "frames")
    lost = next(site.archive.rglob(frames[0].name))
    lost.unlink()
    done = site.run("ship", "--again", frames[0].name, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["frame"] == frames[0].name
    site.wait(lambda: len(site.archived()) == 3, "the lost frame")
    site.wait(lambda: site.count("summit", "shipped") == 3, "its receipt")
    assert site.archived() == {path.name: path.read_bytes() for path in frames[:3]}
    missing = site.run("ship", "--again", "no-such-frame.fits")
    assert missing.returncode == 1 and "no such frame" in missing.stderr


def test_a_full_disk_at_the_other_end_pauses_the_route(sites: list[Site], tmp_path: Path, frames: list[Path]) -> None:
    site = new_site(sites, tmp_path, routes={"centre": {"max_attempts": 1}})
    inbox = site.centre / "inbox"
    inbox.mkdir()
    with small_disk_at(inbox, "256k"), contextlib.closing(site):
        filler = inbox / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        for path in frames[:2]:
            shutil.copy(path, site.camera)
        for verb in DAEMONS:
            site.start(verb)
        site.wait(lambda: "route:centre:full" in site.open_alerts(), "the alert")
        assert not any(":held:" in alert for alert in site.open_alerts()), "a full disk is no bundle's fault"
        filler.unlink()
        site.wait(lambda: site.count("summit", "shipped") == 2, "the frames")
        site.wait(lambda: site.open_alerts() == {}, "the alert to be over")
        assert site.archived() == {path.name: path.read_bytes() for path in frames[:2]}
