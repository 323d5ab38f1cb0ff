"""The end of night: what nobody recorded is taken in, what is delivered is signed, sent, verified and answered."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import click
import pytest

from services.cli.endofnight import endofnight
from services.cli.keygen import keygen
from services.core.errors import BadSettings
from services.core.ledger import nights, shipping
from services.core.ledger.alerts import open_alerts
from services.core.ledger.engine import now
from services.core.ledger.route_values import values
from tests.night_site import NIGHT, NightSite
from transfer.night import NightManifest
from transfer.signature import load_public, open_signed, write_key_pair


def manifest(site: NightSite, revision: int) -> NightManifest:
    """The night manifest of a revision, verified with the site's key."""
    data = (site.state / "nights" / f"summit-{NIGHT}-{revision}.night").read_bytes()
    return NightManifest.from_json(open_signed(data, load_public(site.root / "night_key.pub")))


def record(site: NightSite, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = site.run(endofnight, *arguments, "--json")
    return code, json.loads(capsys.readouterr().out)


def states(site: NightSite, host: str) -> list[tuple[int, str]]:
    with site.site.ledger(host).begin() as conn:
        rows = conn.execute(nights.select(nights.night_manifests)).all()
    return sorted((row.revision, row.state) for row in rows)


def alerts(site: NightSite, host: str) -> list[str]:
    with site.site.ledger(host).begin() as conn:
        return [row.alert for row in open_alerts(conn)]


def test_a_night_that_is_delivered_is_signed_verified_and_not_signed_again(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(frames)
    site.take_in()
    site.carry(site.pack(count=4))
    site.carry(site.pack(codec="rice"))  # restores the pixels; its file in the archive is another one
    with site.verifying():
        code, first = record(site, capsys)
        again, second = record(site, capsys, NIGHT)
    assert (code, again) == (0, 0)
    assert first["night"] == NIGHT and first["routes"] == {"centre": {"delivered": 8}}
    assert first["answers"]["centre"]["verdict"] == "verified"
    assert first["manifest"]["new"] and not second["manifest"]["new"]
    assert first["manifest"]["sha256"] == second["manifest"]["sha256"]
    sealed = manifest(site, 1)
    assert [frame.name for frame in sealed.frames] == [path.name for path in sorted(frames)]
    assert all(len(frame.deliveries) == 1 for frame in sealed.frames)
    assert sealed.previous is None and dict(sealed.manifests)
    assert states(site, "summit") == states(site, "centre") == [(1, "verified")]
    assert not list((site.centre / "inbox").glob("*.night*"))


def test_frames_that_nobody_recorded_are_taken_in_and_the_next_revision_names_them(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(frames[:4])
    site.take_in()
    site.carry(site.pack())
    with site.verifying():
        assert record(site, capsys)[0] == 0
        site.write(frames[4:])
        (site.camera / "half.fits").write_bytes(frames[0].read_bytes()[:-2880])
        code, late = record(site, capsys, "--no-wait")
        assert code == 1  # a file of the night is broken
        assert sorted(late["taken_in"]) == [path.name for path in sorted(frames[4:])]
        assert [each["name"] for each in late["quarantined"]] == ["half.fits"]
        assert {each["state"] for each in late["undelivered"]} == {"moving"} and len(late["undelivered"]) == 4
        (site.camera / "half.fits").unlink()
        site.carry(site.pack())
        code, whole = record(site, capsys)
    assert (code, whole["manifest"]["revision"]) == (0, 3)
    first, second, third = (manifest(site, revision) for revision in (1, 2, 3))
    assert first.previous is None
    with site.site.ledger("summit").begin() as conn:
        chain = [nights.revision_row(conn, "summit", NIGHT, revision) for revision in (1, 2)]
    assert [second.previous, third.previous] == [row.sha256 for row in chain if row is not None]
    assert first.created < second.created < third.created
    assert whole["answers"]["centre"]["warnings"] == []


def test_without_a_receiver_the_night_is_signed_sent_and_not_finished(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(frames)
    site.take_in()
    site.carry(site.pack())
    code, sent = record(site, capsys, "--no-wait")
    assert code == 3 and sent["answers"]["centre"] == {"sent": True, "trouble": None}
    assert states(site, "summit") == [(1, "sent")]
    inbox = site.centre / "inbox" / f"summit-{NIGHT}-1.night"
    before = inbox.stat().st_ino
    assert record(site, capsys, "--no-wait")[0] == 3
    assert inbox.stat().st_ino == before  # it waits there: not sent again
    assert site.nights().take_all()[inbox.stem].verdict == "verified"
    assert record(site, capsys, "--no-wait")[0] == 0
    assert not inbox.exists()


def test_a_receiver_that_is_away_is_told_in_one_line(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(frames[:2])
    site.take_in()
    site.carry(site.pack())
    shutil.move(site.centre, site.root / "away")
    code, away = record(site, capsys, "--no-wait")
    assert code == 3 and "Unreachable" in away["answers"]["centre"]["trouble"]
    assert states(site, "summit") == [(1, "sealed")]
    assert site.run(endofnight, "--no-wait") == 3
    printed = capsys.readouterr().out
    assert "not mounted" in printed and "run it again" in printed
    shutil.move(site.root / "away", site.centre)
    with site.verifying():
        assert record(site, capsys)[0] == 0
    assert states(site, "summit") == [(1, "verified")]


def test_a_hole_at_the_data_centre_is_a_hole_here(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(frames[:3])
    site.take_in()
    site.carry(site.pack())
    lost = next(site.site.archive.rglob(frames[1].name))
    lost.unlink()
    with site.verifying():
        code, answer = record(site, capsys)
        assert code == 1
        (hole,) = answer["answers"]["centre"]["holes"]
        assert (hole["name"], hole["reason"]) == (frames[1].name, "gone from the archive")
        assert states(site, "summit") == [(1, "holes")]
        assert alerts(site, "summit") == [f"night:{NIGHT}"] and alerts(site, "centre") == [f"night:summit-{NIGHT}"]
        shutil.copy2(frames[1], lost)  # a person has mended it
        assert record(site, capsys)[0] == 0
    assert states(site, "summit") == states(site, "centre") == [(1, "verified")]
    assert alerts(site, "summit") == alerts(site, "centre") == []


def test_gaps_in_the_numbers_are_listed_and_no_hole(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    site.write([*frames[:2], *frames[5:]])
    site.take_in()
    site.carry(site.pack())
    with site.verifying():
        code, found = record(site, capsys)
        assert site.run(endofnight) == 0
    assert code == 0
    (gap,) = found["gaps"]
    assert gap["last"] - gap["first"] == 2
    assert f"simcam {gap['first']}-{gap['last']}" in capsys.readouterr().out


def test_held_bundles_are_released_and_routes_of_the_end_of_night_may_go(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(frames[:2])
    site.take_in()
    bundle = site.pack()
    with site.site.ledger("summit").begin() as conn:
        shipping.count_attempt(conn, bundle.manifest.bundle, 1, now(), "the link is down")
    code, found = record(site, capsys, "--no-wait")
    assert code == 3 and found["released"] == 1
    with site.site.ledger("summit").begin() as conn:
        assert values(conn)["centre"]["drain"] > 0
    site.carry(bundle)
    with site.verifying():
        assert record(site, capsys)[0] == 0


def test_a_refused_bundle_is_not_waited_for(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(frames[:2])
    site.take_in()
    bundle = site.pack()
    with site.site.ledger("summit").begin() as conn:
        shipping.advance(conn, "bundle", bundle.manifest.bundle, "refused", now=now(), reason="no")
    with site.verifying():
        code, found = record(site, capsys)
    assert code == 1
    assert {(each["state"], each["route"]) for each in found["undelivered"]} == {("stuck", "centre")}
    assert found["answers"]["centre"]["verdict"] == "holes"


def test_a_ledger_that_was_lost_does_not_sign_a_revision_twice(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(frames[:2])
    site.take_in()
    site.carry(site.pack())
    with site.verifying():
        assert record(site, capsys)[0] == 0
        site.site.ledger("summit").close()
        del site.site._ledgers["summit"]
        for path in site.state.glob("ledger.sqlite*"):
            path.unlink()
        shutil.rmtree(site.state / "shipped")
        site.take_in()
        site.carry(site.pack())
        code, found = record(site, capsys)
    assert (code, found["manifest"]["revision"]) == (0, 2)
    (warning,) = found["answers"]["centre"]["warnings"]
    assert "chain is broken" in warning


def test_another_key_is_refused_and_the_right_one_heals_it(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    write_key_pair(site.root / "other_key", "other")
    site.edit("centre", receive={"night_keys": {"summit": str(site.root / "other_key.pub")}})
    site.write(frames[:2])
    site.take_in()
    site.carry(site.pack())
    with site.verifying():
        code, found = record(site, capsys)
    assert code == 1 and "signed with the key SHA256:" in found["answers"]["centre"]["reason"]
    assert states(site, "summit") == [(1, "refused")] and states(site, "centre") == []
    site.edit("centre", receive={"night_keys": {"summit": str(site.root / "night_key.pub")}})
    with site.verifying():
        assert record(site, capsys)[0] == 0
    assert states(site, "summit") == states(site, "centre") == [(1, "verified")]


def test_a_crash_between_the_ledger_and_the_file_is_mended(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(frames[:2])
    site.take_in()
    site.carry(site.pack())
    record(site, capsys, "--no-wait")
    (site.state / "nights" / f"summit-{NIGHT}-1.night").unlink()
    (site.centre / "inbox" / f"summit-{NIGHT}-1.night").unlink()
    with site.verifying():
        code, found = record(site, capsys)
    assert code == 0 and not found["manifest"]["new"]
    assert manifest(site, 1).frames


def test_it_runs_once_at_a_time_and_waits_for_the_daemons(site: NightSite, frames: list[Path]) -> None:
    site.write(frames[:2])
    site.take_in()
    bundle = site.pack()
    codes: list[int] = []

    def begun() -> bool:
        with site.site.ledger("summit").begin() as conn:
            return "drain" in values(conn).get("centre", {})

    def daemons() -> None:
        site.site.wait(begun, "end of night")
        codes.append(site.run(endofnight))  # a second one, meanwhile
        site.carry(bundle)

    with site.verifying():
        thread = threading.Thread(target=daemons)
        thread.start()
        code = site.run(endofnight)
        thread.join(timeout=30.0)
    assert code == 0 and codes == [3]


def test_unknown_nights_and_missing_settings_are_said(
    site: NightSite, frames: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.run(endofnight, "20260101") == 1
    assert "no frame of night 20260101" in capsys.readouterr().err
    assert site.run(endofnight) == 1
    with pytest.raises(click.UsageError, match="YYYYMMDD"):
        site.run(endofnight, "yesterday")
    with pytest.raises(BadSettings, match="watch: is missing"):
        site.run(endofnight, host="centre")


def test_keygen_prints_what_the_settings_need(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "night_key"
    assert keygen.main([str(path), "--site", "summit"], standalone_mode=False) == 0
    printed = capsys.readouterr()
    assert f"key_file: {path}" in printed.out and "summit: " in printed.out
    assert "SHA256:" in printed.err
    with pytest.raises(click.UsageError, match="never overwritten"):
        keygen.main([str(path)], standalone_mode=False)
