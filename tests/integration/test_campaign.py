"""Random sequences of faults, restarts and mode switches: in the end every frame is there once, both audits agree."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from services.core.ledger.schema import frames
from tests.campaign import Campaign
from tests.fixtures.cutter import Cutter
from tests.fixtures.sshd import PrivateSshd
from tests.site import Site, tiny_night


@pytest.fixture
def cutter(sshd: PrivateSshd) -> Iterator[Cutter]:
    made = Cutter(sshd.port)
    yield made
    made.close()


def site_behind(cutter: Cutter, sshd: PrivateSshd, root: Path) -> Site:
    known = root / "known_hosts"
    known.write_text(sshd.known_hosts.read_text().replace(f":{sshd.port} ", f":{cutter.port} "))
    route = {
        "url": sshd.url(root / "site" / "centre").replace(f":{sshd.port}/", f":{cutter.port}/"),
        "key_file": str(sshd.key_file),
        "known_hosts": str(known),
        "timeout_s": 1.5,
        "receipt_overdue_s": 5.0,
    }
    return Site(root / "site", routes={"centre": route})


def run_campaign(tmp_path: Path, sshd: PrivateSshd, cutter: Cutter, seed: int, number: int, steps: int) -> None:
    dithers = max(1, (number - 6) // 2)
    night = tiny_night(tmp_path / "night", biases=3, flats=3, targets=2, dithers=dithers, science_s=2.0)[:number]
    site = site_behind(cutter, sshd, tmp_path)
    campaign = Campaign(site, cutter, night, seed)
    try:
        campaign.play(steps)
        campaign.end_well(180.0)
        found = {path.name: path.read_bytes() for path in site.archive_files()}
        # A doubled frame is archived under whichever of its names was seen first.
        assert sorted(map(digest, found.values())) == sorted(map(digest, campaign.sent.values())), campaign.story
        for host in ("summit", "centre"):
            with site.ledger(host).begin() as conn:
                assert conn.execute(select(func.count()).select_from(frames)).scalar_one() == len(night)
        for host in ("summit", "centre"):
            audit = site.run("audit", "20260115", host=host)
            assert audit.returncode == 0, (host, audit.stdout, audit.stderr, campaign.story)
    finally:
        site.close()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_short_campaign(tmp_path: Path, sshd: PrivateSshd, cutter: Cutter, seed: int) -> None:
    run_campaign(tmp_path, sshd, cutter, seed, number=40, steps=20)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(10, 15))
def test_a_long_campaign(tmp_path: Path, sshd: PrivateSshd, cutter: Cutter, seed: int) -> None:
    run_campaign(tmp_path, sshd, cutter, seed, number=300, steps=200)
