"""The end of night killed at every step, on both sides: the next run mends it, and one chain comes out."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.endofnight import endofnight
from services.core.ledger import nights
from tests.night_site import NIGHT, NightSite
from transfer.night_answer import NightAnswer

STEM = f"summit-{NIGHT}-1"
# Where the process dies: module, function, and whether the function is done before.
POINTS = {
    "a file taken in": ("services.core.ledger.telescope", "record_file", False),
    "bundles released, routes not told": ("services.nights.endofnight", "set_value", False),
    "routes told": ("services.nights.endofnight", "set_value", True),
    "in the ledger, not on the disk": ("services.nights.seal", "write_whole", False),
    "on the disk, not sent": ("services.nights.endofnight", "exchange", False),
    "sent, not on record as sent": ("services.nights.endofnight", "exchange", True),
    "answered, not on record": ("services.core.ledger.nights", "settle_manifest", False),
}
SCRIPT = """
import importlib, os, signal, sys
module, name, after, config = sys.argv[1:]
home = importlib.import_module(module)
done = getattr(home, name)
def dies(*args, **kwargs):
    if after == "True":
        done(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(home, name, dies)
from services.cli.endofnight import endofnight
endofnight.main(["-c", config, "--no-wait"], standalone_mode=False)
"""


@pytest.fixture
def site(site: NightSite, frames: list[Path]) -> NightSite:
    site.write(frames[:2])
    site.take_in()
    site.carry(site.pack())
    return site


def answer(site: NightSite) -> NightAnswer:
    return NightAnswer.from_json((site.centre / "receipts" / f"{STEM}.night.json").read_bytes())


@pytest.mark.parametrize("point", POINTS)
def test_a_telescope_killed_at_any_step_goes_on(site: NightSite, frames: list[Path], point: str) -> None:
    module, name, after = POINTS[point]
    if point == "a file taken in":
        site.write(frames[2:3])
    command = [sys.executable, "-c", SCRIPT, module, name, str(after), str(site.root / "summit.yaml")]
    with site.verifying():
        killed = subprocess.run(command, timeout=60, check=False, capture_output=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        if point == "a file taken in":
            site.take_in()
            site.carry(site.pack())
        assert site.run(endofnight) == 0
    with site.site.ledger("summit").begin() as conn:
        row = nights.newest_manifest(conn, "summit", NIGHT)
    assert row is not None and (row.revision, row.state) == (1, "verified")
    assert (answer(site).night_sha256, answer(site).warnings) == (row.sha256, ())
    assert not list((site.centre / "inbox").iterdir())


@pytest.mark.parametrize("step", ["_record", "_answer", "remove"])
def test_a_receiver_that_dies_at_any_step_verifies_again(
    site: NightSite, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    assert site.run(endofnight, "--no-wait") == 3

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        home = "services.receiver.nights" if step == "remove" else "services.receiver.nights.Nights"
        patch.setattr(f"{home}.{step}", dies)
        with pytest.raises(KeyboardInterrupt):
            site.nights().take_all()
    assert (site.centre / "inbox" / f"{STEM}.night").exists()
    site.nights().take_all()
    assert (answer(site).verdict, answer(site).warnings) == ("verified", ())
    assert not list((site.centre / "inbox").iterdir())
