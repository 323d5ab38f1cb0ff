"""Trouble that a person must hear of, and what goes on by itself when it is over."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from services.core.ledger.schema import bundles
from services.core.ledger.schema import frames as frames_table
from tests.fixtures.cutter import Cutter
from tests.fixtures.sshd import PrivateSshd, new_key
from tests.site import Site, tiny_night


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    yield made
    made.close()


def change(site: Site, **route: Any) -> None:
    """Edit the route in the settings file; no daemon is told."""
    settings = site.settings("summit")
    settings["routes"]["centre"].update(route)
    site.write("summit", settings)


def sent(site: Site) -> list[str]:
    """Bundles that wait for their receipts."""
    with site.ledger("summit").read() as conn:
        return list(conn.execute(select(bundles.c.bundle).where(bundles.c.state == "sent")).scalars())


def test_a_receipt_that_cannot_be_read_is_told_and_its_bundle_goes_on(site: Site, frames: list[Path]) -> None:
    shutil.copy(frames[0], site.camera)
    site.start("watch")
    site.start("ship")
    site.wait(lambda: len(sent(site)) == 1, "the bundle")
    (name,) = sent(site)
    receipt = site.centre / "receipts" / f"{name}.receipt.json"
    receipt.parent.mkdir(exist_ok=True)
    receipt.write_text('{"verdict": "accep')
    site.wait(lambda: f"route:centre:receipt:{name}" in site.open_alerts(), "the alert")
    assert "not readable" in site.open_alerts()[f"route:centre:receipt:{name}"]
    assert site.run("status").returncode == 1
    site.start("receive")
    site.wait(lambda: site.count("summit", "shipped") == 1, "the receipt that the receiver writes")
    site.wait(lambda: site.open_alerts() == {}, "the alert to be over")
    assert site.archived() == {frames[0].name: frames[0].read_bytes()}


def test_a_changed_host_key_is_told_where_only_receipts_are_asked_for(
    site: Site, frames: list[Path], sshd: PrivateSshd, tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(sshd.known_hosts.read_text())
    change(site, **{**sshd.route(site.centre), "known_hosts": str(known)})
    shutil.copy(frames[0], site.camera)
    site.start("watch")
    site.start("ship")
    site.wait(lambda: len(sent(site)) == 1, "the bundle")
    site.stop("ship")
    known.write_text(f"[127.0.0.1]:{sshd.port} {new_key(tmp_path / 'other')}\n")
    change(site, paused=True)  # the sender asks nobody for anything
    site.start("ship")
    site.wait(lambda: "route:centre:host_key" in site.open_alerts(), "the alert")
    known.write_text(sshd.known_hosts.read_text())
    site.start("receive")
    site.wait(lambda: site.count("summit", "shipped") == 1, "the receipt")
    site.wait(lambda: site.open_alerts() == {}, "the alert to be over")


def test_a_second_watcher_of_the_same_site_ends_at_once(site: Site, frames: list[Path]) -> None:
    site.start("watch")
    shutil.copy(frames[0], site.camera)
    site.wait(lambda: site.count("summit", "packed") == 1, "the first watcher's work")
    second = site.run("watch")
    assert second.returncode != 0
    assert "another `nightferry watch` works on" in second.stderr.splitlines()[-1]
    shutil.copy(frames[1], site.camera)
    site.wait(lambda: site.count("summit", "packed") == 2, "the first watcher to go on")


def test_a_half_sent_bundle_goes_on_where_the_line_was_cut(site: Site, sshd: PrivateSshd, tmp_path: Path) -> None:
    large = tiny_night(tmp_path / "night", biases=1, flats=0, dithers=1, width=4096, height=2048)[0]
    size = large.stat().st_size
    cutter = Cutter(sshd.port)
    try:
        known = tmp_path / "known_hosts"
        known.write_text(sshd.known_hosts.read_text().replace(f":{sshd.port} ", f":{cutter.port} "))
        route = {**sshd.route(site.centre), "known_hosts": str(known)}
        route["url"] = route["url"].replace(f":{sshd.port}/", f":{cutter.port}/")
        change(site, **route, codec="raw", streams=2)
        cutter.limit = size // 3  # of each of the two connections
        shutil.copy(large, site.camera)
        for verb in ("watch", "receive", "ship"):
            site.start(verb)
        site.wait(lambda: "route pauses" in site.log("ship"), "the cut")
        cutter.limit = None
        site.wait(lambda: site.count("summit", "shipped") == 1, "the frame", 60.0)
        assert size < cutter.carried < 1.4 * size, "what had arrived is not sent again"
    finally:
        site.close()
        cutter.close()
    assert site.archived() == {large.name: large.read_bytes()}


def test_a_quick_look_goes_whenever_the_receiver_dies_while_its_twin_is_filed(site: Site, frames: list[Path]) -> None:
    change(site, codec="hcompress", follow_up="nfz", batch_frames=1)
    shutil.copy(frames[-1], site.camera)
    site.start("watch")
    site.start("ship")
    victim = site.start("receive", crash_at="services.receiver.filing:fsync_dir:after:1")
    victim.wait(timeout=60)
    assert not list(site.archive.rglob("quicklook/*.fits*"))
    del site.daemons["receive"]
    site.start("receive")
    site.wait(lambda: site.states("centre") == {frames[-1].name: "arrived"}, "the twin")
    site.wait(lambda: site.archived() == {frames[-1].name: frames[-1].read_bytes()}, "the frame")
    site.wait(lambda: not sent(site), "receipts")
    with site.ledger("centre").read() as conn:
        (row,) = conn.execute(select(frames_table)).all()
    assert row.lossless and (site.archive / row.path).is_file()


def test_a_paused_route_and_one_that_does_not_want_a_frame_are_said(site: Site, frames: list[Path]) -> None:
    change(site, filter={"obstype": ["flat"]})
    shutil.copy(frames[0], site.camera)  # a bias
    site.start("watch")
    site.wait(lambda: site.count("summit", "unrouted") == 1, "the frame")
    again = site.run("ship", "--again", frames[0].name)
    assert again.returncode == 1 and "no route that was asked for wants it" in again.stderr
    assert "paused" not in site.run("status").stdout
    assert site.run("route", "set", "centre", "paused=true").returncode == 0
    assert "route centre is paused" in site.run("status").stdout
    assert json.loads(site.run("status", "--json", "--night", "20260115").stdout)["routes_paused"] == ["centre"]


def test_the_bundles_of_a_night_are_counted_alone(site: Site, frames: list[Path]) -> None:
    for path in frames[:2]:
        shutil.copy(path, site.camera)
    site.start("watch")
    site.wait(lambda: site.count("summit", "packed") == 2, "the bundle")
    site.stop("watch")
    for night, counted in (("20260115", {"packed": 1}), ("20260116", {})):
        assert json.loads(site.run("status", "--json", "--night", night).stdout)["bundles"] == counted
