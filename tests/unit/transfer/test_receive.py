"""Receiving: verified, placed by the frame's own header, published read-only, answered, repeatable."""

from __future__ import annotations

import hashlib
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pytest

from tests.unit.transfer.bundles import bundle_of, camera
from transfer.codecs.rice import Rice
from transfer.errors import BadDocument, Refused, Unsupported
from transfer.manifest import FrameEntry, Receipt
from transfer.pack import Bundle
from transfer.receive import Accepted, accept, clear_inbox, receipt_for, waiting_bundles, write_receipt
from transfer.remotes.file import FileRemote
from transfer.ship import fetch_receipt, release, ship

NIGHT = PurePosixPath("toy/20260102")


def place(path: Path, entry: FrameEntry) -> PurePosixPath:
    assert path.read_bytes()[:6] == b"SIMPLE"
    return NIGHT


class Way:
    """A sender and a receiver on one disk."""

    def __init__(self, root: Path, count: int = 3) -> None:
        self.frames = camera(root / "camera", count)
        self.outbox, self.shipped = root / "outbox", root / "shipped"
        self.centre, self.archive = root / "centre", root / "archive"
        for each in (self.centre, self.archive):
            each.mkdir()
        self.remote = FileRemote(self.centre)

    def send(self, bundle: Bundle) -> None:
        ship(bundle, self.remote)

    def accept(self, bundle: str = "B-1") -> Accepted:
        return accept(self.centre, self.archive, bundle, place=place)

    def answer(self, accepted: Accepted) -> Receipt:
        receipt = receipt_for(accepted, received=datetime(2026, 1, 3, tzinfo=UTC), free_bytes=1, queue_depth=0)
        write_receipt(self.centre, receipt)
        clear_inbox(self.centre, accepted.bundle)
        return receipt

    def archived(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.archive)): p.read_bytes() for p in self.archive.rglob("*") if p.is_file()}


@pytest.fixture
def way(tmp_path: Path) -> Way:
    return Way(tmp_path)


def test_the_whole_way(way: Way) -> None:
    bundle = bundle_of(way.frames, way.outbox)
    way.send(bundle)
    assert waiting_bundles(way.centre) == ("B-1",)
    assert fetch_receipt(way.remote, "B-1") is None
    accepted = way.accept()
    assert [frame.verdict for frame in accepted.frames] == ["accepted"] * 3
    assert way.archived() == {f"{NIGHT}/{frame.name}": frame.path.read_bytes() for frame in way.frames}
    assert stat.S_IMODE((way.archive / NIGHT / "frame:0.fits").stat().st_mode) == 0o444
    way.answer(accepted)
    assert waiting_bundles(way.centre) == ()
    assert list((way.centre / "inbox").iterdir()) == []
    receipt = fetch_receipt(way.remote, "B-1")
    assert receipt is not None
    release(bundle, receipt, way.shipped)
    release(bundle, receipt, way.shipped)
    assert list(way.outbox.iterdir()) == []
    assert sorted(path.name for path in way.shipped.iterdir()) == ["B-1.json", "B-1.receipt.json"]


def test_again_is_duplicate_and_changes_nothing(way: Way) -> None:
    bundle = bundle_of(way.frames, way.outbox)
    way.send(bundle)
    way.accept()
    before = {path: path.stat().st_ino for path in way.archive.rglob("*")}
    again = way.accept()
    assert (again.verdict, again.reason) == ("duplicate", None)
    assert {path: path.stat().st_ino for path in way.archive.rglob("*")} == before
    way.answer(again)
    way.send(bundle)
    assert way.answer(way.accept()).verdict == "duplicate"


def test_the_same_name_with_another_content_lies_beside(way: Way) -> None:
    way.send(bundle_of(way.frames[:1], way.outbox))
    way.answer(way.accept())
    way.frames[0].path.write_bytes(way.frames[1].path.read_bytes())
    changed = type(way.frames[0]).of(way.frames[0].path)
    way.send(bundle_of([changed], way.outbox, bundle="B-2"))
    accepted = way.accept("B-2")
    digest = hashlib.sha256(changed.path.read_bytes()).hexdigest()
    assert accepted.frames[0].path == NIGHT / f"frame:0~{digest[:8]}.fits"
    assert len(way.archived()) == 2
    assert way.accept("B-2").verdict == "duplicate"


def test_rice_frames_are_verified_too(way: Way) -> None:
    way.send(bundle_of(way.frames, way.outbox, Rice()))
    assert way.accept().verdict == "accepted"
    assert set(way.archived().values()) == {frame.path.read_bytes() for frame in way.frames}


@pytest.mark.parametrize("damage", ["bundle", "short", "missing", "manifest"])
def test_a_corrupt_bundle_is_answered_and_quarantined(way: Way, damage: str) -> None:
    bundle = bundle_of(way.frames, way.outbox)
    way.send(bundle)
    inbox = way.centre / "inbox"
    data = bytearray((inbox / "B-1.nfb").read_bytes())
    if damage == "bundle":
        data[5000] ^= 1
        (inbox / "B-1.nfb").write_bytes(bytes(data))
    elif damage == "short":
        (inbox / "B-1.nfb").write_bytes(bytes(data[:-1]))
    elif damage == "missing":
        (inbox / "B-1.nfb").unlink()
    else:
        (inbox / "B-1.json").write_bytes(b"{}")
    accepted = way.accept()
    assert accepted.verdict == "corrupt"
    assert way.archived() == {}
    receipt = way.answer(accepted)
    assert receipt.verdict == "corrupt"
    assert len(receipt.frames) == (0 if damage == "manifest" else 3)
    assert list(inbox.iterdir()) == []
    kept = {path.name for path in (way.centre / "quarantine/B-1").iterdir()}
    assert {"reason.txt", "B-1.json"} <= kept
    assert Receipt.from_json(receipt.to_json()) == receipt
    with pytest.raises(Refused):
        release(bundle, receipt, way.shipped)
    assert bundle.path.exists()

    way.send(bundle)  # a good copy comes later
    assert way.answer(way.accept()).verdict == "accepted"


def test_one_refused_frame_does_not_stop_the_others(way: Way) -> None:
    def picky(path: Path, entry: FrameEntry) -> PurePosixPath:
        if entry.name == "frame:1.fits":
            raise Unsupported("unknown instrument")
        return NIGHT if entry.name == "frame:0.fits" else PurePosixPath("../outside")

    way.send(bundle_of(way.frames, way.outbox))
    accepted = accept(way.centre, way.archive, "B-1", place=picky)
    assert [frame.verdict for frame in accepted.frames] == ["accepted", "refused", "refused"]
    assert accepted.verdict == "refused"
    assert list(way.archived()) == [f"{NIGHT}/frame:0.fits"]
    way.answer(accepted)
    assert (way.centre / "quarantine/B-1/B-1.nfb").exists()


def test_the_inbox_is_not_cleared_without_its_receipt(way: Way) -> None:
    way.send(bundle_of(way.frames, way.outbox))
    accepted = way.accept()
    with pytest.raises(BadDocument):
        clear_inbox(way.centre, "B-1")
    receipt = receipt_for(accepted, received=datetime.now(UTC), free_bytes=1, queue_depth=None)
    write_receipt(way.centre, receipt)
    manifest = way.centre / "inbox/B-1.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"site": "here"', b'"site": "else"'))
    clear_inbox(way.centre, "B-1")  # answers another manifest: this one has come meanwhile
    assert waiting_bundles(way.centre) == ("B-1",)


def test_release_wants_every_frame_answered(way: Way) -> None:
    bundle = bundle_of(way.frames, way.outbox)
    way.send(bundle)
    good = receipt_for(way.accept(), received=datetime.now(UTC), free_bytes=1, queue_depth=None)
    import dataclasses

    for bad in (
        dataclasses.replace(good, frames=good.frames[:-1]),
        dataclasses.replace(good, manifest_sha256="0" * 64),
        dataclasses.replace(good, bundle="B-2"),
        dataclasses.replace(good, verdict="corrupt"),
    ):
        with pytest.raises(Refused):
            release(bundle, bad, way.shipped)
    assert bundle.path.exists()
    shutil.rmtree(way.archive)


def test_a_manifest_that_comes_again_after_its_answer_keeps_it(way: Way) -> None:
    bundle = bundle_of(way.frames, way.outbox)
    way.send(bundle)
    way.answer(way.accept())
    way.remote.put(bundle.manifest_path, "inbox/B-1.json")  # the sender saw the bundle just before it was cleared
    again = way.accept()
    assert [frame.verdict for frame in again.frames] == ["accepted"] * 3
    assert all(frame.path is None for frame in again.frames)
    assert way.answer(again).verdict == "accepted"


def test_a_bundle_that_lies_there_whole_is_not_sent_again(way: Way) -> None:
    bundle = bundle_of(way.frames, way.outbox)
    way.send(bundle)
    inode = (way.centre / "inbox/B-1.nfb").stat().st_ino
    way.send(bundle)
    assert (way.centre / "inbox/B-1.nfb").stat().st_ino == inode
    (way.centre / "inbox/B-1.nfb").write_bytes(b"short")
    way.send(bundle)
    assert way.accept().verdict == "accepted"


def test_strange_files_in_the_inbox_are_left_alone(way: Way) -> None:
    inbox = way.centre / "inbox"
    inbox.mkdir()
    for name in ("a b.json", "x.json.part", "B.nfb", ".hidden.json"):
        (inbox / name).touch()
    assert waiting_bundles(way.centre) == ()
    with pytest.raises(BadDocument):
        fetch_receipt(way.remote, "../x")
