"""Night manifests at the data centre: only what a known key has signed is believed, and every frame is read again."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from services.cli.endofnight import endofnight
from services.core.ledger import nights
from services.core.ledger.schema import frames as frames_table
from services.core.ledger.schema import received_frames
from tests.night_site import NIGHT, NightSite
from transfer.checksum import sha256_file
from transfer.documents import MAX_DOCUMENT
from transfer.night import Delivery, NightManifest
from transfer.night_answer import NightAnswer
from transfer.signature import load_private, load_public, open_signed, sign, write_key_pair

STEM = f"summit-{NIGHT}-1"


@pytest.fixture
def site(site: NightSite, frames: list[Path]) -> NightSite:
    """Three frames delivered, and the night manifest in the inbox."""
    site.write(frames[:3])
    site.take_in()
    site.carry(site.pack())
    assert site.run(endofnight, "--no-wait") == 3
    return site


def letter(site: NightSite, stem: str = STEM) -> Path:
    return site.centre / "inbox" / f"{stem}.night"


def manifest(site: NightSite) -> NightManifest:
    return NightManifest.from_json(open_signed(letter(site).read_bytes(), load_public(site.root / "night_key.pub")))


def post(site: NightSite, made: NightManifest, key: str = "night_key", name: str | None = None) -> Path:
    path = letter(site, name or made.stem)
    path.write_bytes(sign(made.to_json(), load_private(site.root / key)))
    return path


def answer(site: NightSite, stem: str = STEM) -> NightAnswer:
    return NightAnswer.from_json((site.centre / "receipts" / f"{stem}.night.json").read_bytes())


def quarantined(site: NightSite) -> dict[str, str]:
    """What was set aside, with its reason."""
    return {
        path.name.split("~")[0]: (path / "reason.txt").read_text().strip()
        for path in (site.centre / "quarantine").iterdir()
    }


def test_every_frame_is_read_again_and_the_answer_is_written_last(site: NightSite) -> None:
    answers = site.nights().take_all()
    assert answers[STEM] == answer(site)
    assert (answer(site).verdict, answer(site).frames, answer(site).warnings) == ("verified", 3, ())
    assert not letter(site).exists()
    with site.site.ledger("centre").begin() as conn:
        row = nights.newest_manifest(conn, "summit", NIGHT)
    assert row is not None and (row.state, row.answer) == ("verified", answer(site).to_json().decode())
    assert site.nights().take_all() == {}


def test_the_same_manifest_again_is_verified_again(site: NightSite, frames: list[Path]) -> None:
    data = letter(site).read_bytes()
    site.nights().take_all()
    victim = next(site.site.archive.rglob(frames[2].name))
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    letter(site).write_bytes(data)
    site.nights().take_all()
    (hole,) = answer(site).holes
    assert hole.name == frames[2].name and "other content" in hole.reason
    with site.site.ledger("centre").begin() as conn:
        row = nights.newest_manifest(conn, "summit", NIGHT)
    assert row is not None and row.state == "holes"


def test_a_changed_byte_is_refused_answered_and_set_aside(site: NightSite) -> None:
    data = bytearray(letter(site).read_bytes())
    data[data.index(b"simcam")] ^= 1
    letter(site).write_bytes(bytes(data))
    assert site.nights().take_all()[STEM].verdict == "refused"
    assert "signature" in str(answer(site).reason)
    assert quarantined(site)[f"{STEM}.night"] == answer(site).reason
    assert not letter(site).exists()


@pytest.mark.parametrize("key", ["other_key", "night_key"])
def test_a_site_signs_for_itself_only(site: NightSite, key: str) -> None:
    write_key_pair(site.root / "other_key", "other")
    keys = {"summit": str(site.root / "night_key.pub"), "other": str(site.root / "other_key.pub")}
    site.edit("centre", receive={"night_keys": keys})
    made = replace(manifest(site), site="other" if key == "night_key" else "summit")
    letter(site).unlink()
    post(site, made, key)
    site.nights().take_all()
    assert answer(site, made.stem).verdict == "refused"
    assert "signed with the key" in str(answer(site, made.stem).reason)


def test_unknown_sites_other_names_and_other_contents_are_refused(site: NightSite) -> None:
    made = manifest(site)
    post(site, made, name=f"stranger-{NIGHT}-1")
    post(site, made, name=f"summit-{NIGHT}-2")
    post(site, made, name="summit")
    letter(site, f"summit-{NIGHT}-3").write_bytes(b"rubbish")
    letter(site, f"summit-{NIGHT}-4").write_bytes(b" " * (MAX_DOCUMENT + 1))
    answers = site.nights().take_all()
    assert answers.pop(STEM).verdict == "verified"
    assert {each.verdict for each in answers.values()} == {"refused"} and len(answers) == 4
    assert "no key of site stranger" in quarantined(site)[f"stranger-{NIGHT}-1.night"]
    assert "not what its file is called" in quarantined(site)[f"summit-{NIGHT}-2.night"]
    assert "not named" in quarantined(site)["summit.night"]
    assert "not JSON" in quarantined(site)[f"summit-{NIGHT}-3.night"]
    assert "larger" in quarantined(site)[f"summit-{NIGHT}-4.night"]


def test_links_pipes_and_directories_are_never_opened(site: NightSite) -> None:
    letter(site).rename(site.root / "real.night")
    (site.centre / "inbox" / f"summit-{NIGHT}-1.night").symlink_to(site.root / "real.night")
    os.mkfifo(letter(site, f"summit-{NIGHT}-2"))
    letter(site, f"summit-{NIGHT}-3").mkdir()
    assert site.nights().take_all() == {}
    assert list(quarantined(site).values()) == 3 * ["not a regular file"]
    assert list((site.centre / "inbox").glob("*.night")) == []
    assert (site.root / "real.night").exists()


def test_a_revision_with_two_contents_is_refused(site: NightSite) -> None:
    made = manifest(site)
    site.nights().take_all()
    post(site, replace(made, gaps=(), created=made.created + timedelta(hours=1), software="another"))
    site.nights().take_all()
    assert answer(site).verdict == "refused" and "came before with other contents" in str(answer(site).reason)


def test_a_broken_chain_is_flagged_and_an_unbroken_one_is_not(site: NightSite) -> None:
    made = manifest(site)
    site.nights().take_all()
    head = answer(site).night_sha256
    second = replace(made, revision=2, previous=head, created=made.created + timedelta(hours=1))
    fourth = replace(made, revision=4, previous="4" * 64, created=made.created + timedelta(hours=3))
    for each in (fourth, second):
        post(site, each)
    answers = site.nights().take_all()
    assert answers[second.stem].warnings == ()
    (warning,) = answers[fourth.stem].warnings
    assert answers[second.stem].night_sha256 in warning
    assert {each.verdict for each in answers.values()} == {"verified"}


def test_a_quick_look_copy_is_a_hole(site: NightSite, frames: list[Path]) -> None:
    mine = frames_table.c.name == frames[0].name
    with site.site.ledger("centre").begin() as conn:
        conn.execute(update(frames_table).where(mine).values(lossless=False))
    site.nights().take_all()
    (hole,) = answer(site).holes
    assert hole.reason == "only a quick-look copy is here"


def test_a_frame_that_was_set_aside_or_never_came_is_a_hole(site: NightSite, frames: list[Path]) -> None:
    made = manifest(site)
    with site.site.ledger("centre").begin() as conn:
        mine = frames_table.c.name == frames[0].name
        conn.execute(update(frames_table).where(mine).values(state="quarantined", reason="no header"))
    extra = replace(made.frames[-1], name="zz.fits", sha256="9" * 64, expid=99_999_999, deliveries=())
    post(site, replace(made, frames=(*made.frames, extra)))
    site.nights().take_all()
    assert [hole.reason for hole in answer(site).holes] == [
        "set aside here: no header",
        "never arrived: not on record here",
    ]


@pytest.mark.parametrize("key", ["packed_sha256", "manifest_sha256"])
def test_a_bundle_that_the_sender_describes_otherwise_is_a_hole(site: NightSite, key: str) -> None:
    made = manifest(site)
    (delivery,) = made.frames[0].deliveries
    other = Delivery(**{**{name: getattr(delivery, name) for name in Delivery.__slots__}, key: "9" * 64})
    post(site, replace(made, frames=(replace(made.frames[0], deliveries=(other,)), *made.frames[1:])))
    site.nights().take_all()
    (hole,) = answer(site).holes
    assert delivery.bundle in hole.reason


def test_another_file_than_was_filed_does_not_pass_as_a_restored_one(site: NightSite, frames: list[Path]) -> None:
    """A hash in the ledger is believed only where a lossless bundle restored it."""
    victim = next(site.site.archive.rglob(frames[0].name))
    victim.chmod(0o644)
    victim.write_bytes(b"an approximation")
    with site.site.ledger("centre").begin() as conn:
        row = {"bundle": "quick", "sha256": sha256_file(frames[0]), "packed_sha256": "1" * 64, "verdict": "accepted"}
        row |= {"archived_sha256": sha256_file(victim), "received_at": 1.0}
        conn.execute(received_frames.insert().values(**row))
    site.nights().take_all()
    (hole,) = answer(site).holes
    assert "other content" in hole.reason


def test_the_thread_stops_in_the_middle_and_begins_again(site: NightSite) -> None:
    stop = threading.Event()
    stop.set()
    assert site.nights(stop).take_all() == {}
    assert letter(site).exists()
    with site.verifying():
        site.site.wait(lambda: not letter(site).exists(), "answer")
    assert answer(site).verdict == "verified"
