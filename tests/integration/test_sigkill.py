"""SIGKILL of a daemon at every named step of the data's way: after a restart every frame is archived exactly once."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from services.core.ledger.schema import bundle_frames, bundles
from services.core.ledger.schema import frames as frames_table
from tests.site import Site

DAEMONS = ("watch", "ship", "receive")

# step of the design, the daemon that dies there, the point in the code (see tests/crash.py)
STEPS = {
    "seen": ("watch", "services.watcher.recorder:take_in:before:2"),
    "settled": ("watch", "services.core.ledger.telescope:add_seen:before:2"),
    "on record": ("watch", "services.core.ledger.telescope:record_file:after:2"),
    "packed, not renamed": ("watch", "transfer.pack:publish:before:2"),
    "packed, no manifest": ("watch", "transfer.pack:write_whole:before:1"),
    "packed, not on record": ("watch", "services.core.ledger.shipping:add_bundle:before:2"),
    "half shipped": ("ship", "services.shipper.sender:Sender._moving:after:1"),
    "shipped, no manifest": ("ship", "transfer.remotes.file:publish:before:2"),
    "shipped, not on record": ("ship", "services.shipper.sender:Sender._sent:before:2"),
    "receipt not on record": ("ship", "services.core.ledger.shipping:settle_bundle:before:1"),
    "receipt on record, outbox full": ("ship", "services.shipper.settler:release:before:1"),
    "outbox half empty": ("ship", "transfer.ship:move:before:1"),
    "received, not published": ("receive", "transfer.receive:publish_new:before:2"),
    "published, not on record": ("receive", "services.core.ledger.arrivals:add_arrival:before:2"),
    "published, no receipt": ("receive", "services.receiver.filing:write_receipt:before:1"),
    "receipt written, inbox full": ("receive", "services.receiver.filing:clear_inbox:before:1"),
}


@pytest.fixture
def night(frames: list[Path]) -> list[Path]:
    return frames[:5]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    yield made
    made.close()


@pytest.mark.parametrize("step", STEPS)
def test_killed_at(step: str, site: Site, night: list[Path]) -> None:
    verb, point = STEPS[step]
    for path in night:
        shutil.copy(path, site.camera)
    for other in DAEMONS:
        if other != verb:
            site.start(other)
    victim = site.start(verb, crash_at=point)
    assert victim.wait(timeout=30) == -signal.SIGKILL, site.log(verb)
    del site.daemons[verb]
    site.start(verb)
    site.wait(lambda: site.count("summit", "shipped") == len(night), f"recovery after {step}", 60.0)
    assert site.archived() == {path.name: path.read_bytes() for path in night}
    assert set(site.states("centre")) == {path.name for path in night}
    with site.ledger("centre").begin() as conn:
        assert conn.execute(select(func.count()).select_from(frames_table)).scalar_one() == len(night)
    with site.ledger("summit").begin() as conn:
        assert set(conn.execute(select(bundles.c.state)).scalars()) == {"accepted"}
        assert conn.execute(select(func.count()).select_from(bundle_frames)).scalar_one() == len(night)
    site.wait(lambda: not left_over(site), "empty spool directories")


def left_over(site: Site) -> list[Path]:
    """Whatever is still in a place where nothing shall stay."""
    places = [site.state / "outbox", site.centre / "inbox", site.archive / ".incoming", site.centre / "quarantine"]
    lock = site.centre / "quarantine" / ".receiver.lock"
    return [path for place in places for path in place.rglob("*") if path.is_file() and path != lock]
