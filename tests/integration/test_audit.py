"""The audit: a whole chain is clean on both sides, and every way to break it shows."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from services.cli.audit import audit
from services.cli.endofnight import endofnight
from services.core.ledger.schema import bundle_frames, bundles, night_manifests, receipts, received_frames
from services.core.ledger.schema import frames as frames_table
from tests.night_site import NIGHT, NightSite


@pytest.fixture
def site(site: NightSite, frames: list[Path]) -> NightSite:
    """Four frames in two bundles, delivered, signed and verified."""
    site.write(frames[:4])
    site.take_in()
    site.carry(site.pack(count=2))
    site.carry(site.pack(codec="rice"))
    with site.verifying():
        assert site.run(endofnight) == 0
    return site


def audited(
    site: NightSite, capsys: pytest.CaptureFixture[str], host: str, *options: str
) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """Exit code, the records that are not ok, and the summary."""
    capsys.readouterr()
    code = site.run(audit, NIGHT, "--json", *options, host=host)
    *records, summary = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert summary["clean"] == (code == 0)
    return code, [record for record in records if not record["ok"]], summary


def broken(record: dict[str, Any]) -> list[str]:
    return [step["step"] for step in record["steps"] if step["ok"] is False]


@pytest.mark.parametrize("options", [(), ("--quick",)])
def test_a_whole_night_is_clean_on_both_sides(
    site: NightSite, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    for host, side in (("summit", "telescope"), ("centre", "centre")):
        code, bad, summary = audited(site, capsys, host, *options)
        assert (code, bad, summary["frames"], summary["side"]) == (0, [], 4, side)
    site.run(audit, NIGHT, "--all")
    printed = capsys.readouterr().out
    assert "4 frames, clean" in printed and printed.count("ok") == 16


def test_an_audit_changes_nothing(site: NightSite, capsys: pytest.CaptureFixture[str]) -> None:
    def listing() -> dict[str, int]:
        return {str(p): p.stat().st_mtime_ns for p in site.root.rglob("*") if p.is_file() and "sqlite" not in p.name}

    before = listing()
    for host in ("summit", "centre"):
        audited(site, capsys, host)
    assert listing() == before


def spoil(path: Path) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    stat = path.stat()
    path.write_bytes(bytes(data))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def shipped(site: NightSite) -> Path:
    return min((site.state / "shipped" / "centre").glob("*[0-9a-f].json"))


TELESCOPE: list[tuple[Callable[[NightSite, Path], object], str, int]] = [
    (lambda site, raw: spoil(raw), "raw", 1),
    (lambda site, raw: shipped(site).unlink(), "packed", 2),
    (lambda site, raw: shipped(site).write_text(shipped(site).read_text() + " "), "packed", 2),
]


@pytest.mark.parametrize(("harm", "step", "frames_hit"), TELESCOPE)
def test_harm_at_the_telescope_shows(
    site: NightSite,
    frames: list[Path],
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[NightSite, Path], object],
    step: str,
    frames_hit: int,
) -> None:
    harm(site, site.camera / frames[0].name)
    code, bad, summary = audited(site, capsys, "summit")
    assert code == 1 and [broken(record) for record in bad] == frames_hit * [[step]]
    assert summary["holes"] == frames_hit


SUMMIT_LEDGER: list[tuple[Any, str]] = [
    (update(bundle_frames).values(packed_sha256="9" * 64), "packed"),
    (update(bundles).values(manifest_sha256="9" * 64), "packed"),
    (delete(receipts), "received"),
    (update(night_manifests).values(answer=None), ""),
    (delete(night_manifests), ""),
]


@pytest.mark.parametrize(("statement", "step"), SUMMIT_LEDGER)
def test_a_ledger_that_disagrees_at_the_telescope_shows(
    site: NightSite, capsys: pytest.CaptureFixture[str], statement: Any, step: str
) -> None:
    with site.site.ledger("summit").begin() as conn:
        conn.execute(statement)
    code, bad, _ = audited(site, capsys, "summit")
    assert code == (1 if step else 0)  # a night that is not answered yet is no hole
    assert all(step in broken(record) for record in bad) and len(bad) == (4 if step else 0)


def test_raw_files_that_are_gone_are_no_hole_and_unrecorded_ones_are(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (site.camera / frames[0].name).unlink()
    assert audited(site, capsys, "summit")[0] == 0
    shutil.copy2(frames[5], site.camera)
    (site.camera / "half.fits").write_bytes(frames[6].read_bytes()[:-2880])
    code, bad, summary = audited(site, capsys, "summit")
    assert code == 1 and summary["odd_files"] == 2
    assert {Path(record["file"]).name for record in bad} == {frames[5].name, "half.fits"}


def test_a_frame_that_came_after_the_night_manifest_shows(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(frames[4:5])
    site.take_in()
    site.carry(site.pack())
    _, (bad,), _ = audited(site, capsys, "summit")
    assert bad["name"] == frames[4].name and broken(bad) == ["archived"]
    assert "endofnight" in bad["steps"][-1]["detail"]


def test_quick_reads_no_pixels(site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    spoil(site.camera / frames[0].name)
    spoil(next(site.site.archive.rglob(frames[0].name)))
    assert audited(site, capsys, "summit", "--quick")[0] == 0
    assert audited(site, capsys, "centre", "--quick")[0] == 0
    assert audited(site, capsys, "centre")[0] == 1
    next(site.site.archive.rglob(frames[0].name)).write_bytes(b"short")
    assert audited(site, capsys, "centre", "--quick")[0] == 1


CENTRE_LEDGER: list[tuple[Any, str]] = [
    (update(received_frames).values(packed_sha256="9" * 64), "packed"),
    (delete(received_frames), "packed"),
    (update(received_frames).values(verdict="corrupt"), "received"),
    (update(receipts).values(manifest=None), "packed"),
    (update(receipts).values(manifest="rubbish"), "packed"),
    (update(frames_table).values(lossless=False), "archived"),
    (delete(frames_table), "received"),
]


@pytest.mark.parametrize(("statement", "step"), CENTRE_LEDGER)
def test_a_ledger_that_disagrees_at_the_centre_shows(
    site: NightSite, capsys: pytest.CaptureFixture[str], statement: Any, step: str
) -> None:
    with site.site.ledger("centre").begin() as conn:
        conn.execute(statement)
    code, bad, summary = audited(site, capsys, "centre")
    assert code == 1 and summary["holes"] == 4
    assert all(step in broken(record) for record in bad if "steps" in record)


def test_strays_and_what_was_left_unfinished_show(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    directory = next(site.site.archive.rglob(frames[0].name)).parent
    (directory / "stray.fits").write_text("whose is it?")
    shutil.copy2(frames[0], directory / "again.fits")  # a frame on record: explained
    old = site.centre / "inbox" / f"summit-centre-{NIGHT}-0123456789abcdef.nfb.part"
    young = site.centre / "inbox" / f"summit-centre-{NIGHT}-fedcba9876543210.nfb.part"
    for path in (old, young):
        path.write_text("half")
    os.utime(old, (1e9, 1e9))
    code, bad, summary = audited(site, capsys, "centre")
    assert code == 1 and summary["holes"] == 0
    assert {Path(record["file"]).name for record in bad} == {"stray.fits", old.name}


def test_unknown_nights_are_said(site: NightSite, capsys: pytest.CaptureFixture[str]) -> None:
    for host in ("summit", "centre"):
        assert site.run(audit, "20260101", host=host) == 1
        assert "no frame of night 20260101 on record" in capsys.readouterr().err
