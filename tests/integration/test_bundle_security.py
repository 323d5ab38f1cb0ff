"""Hostile bundles, documents and inboxes against the way that every bundle goes: waiting, accept, receipt, clear.

Whatever comes, the receiver answers it and goes on: nothing outside of the archive is written or read, nothing that is
not what its manifest says is published, nothing hangs, nothing eats the memory. (The layouts of a tar archive that the
reader refuses, and bombs within one `nfz` section, are in tests/unit/transfer.)
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from processors.errors import ProcessorError
from processors.header import read_headers
from tests.unit.transfer.bundles import bundle_of, camera
from tests.unit.transfer.frames import card, header, mosaic
from transfer.bundle import Bundle, open_bundle
from transfer.codecs.base import Codec
from transfer.codecs.nfz import Nfz
from transfer.codecs.raw import Raw
from transfer.documents import MAX_DOCUMENT
from transfer.errors import BadDocument, Corrupt
from transfer.manifest import FrameEntry, Manifest, Receipt
from transfer.pack import RawFrame
from transfer.receive import Accepted, accept, clear_inbox, receipt_for, waiting_bundles, write_receipt
from transfer.remotes.file import FileRemote
from transfer.ship import ship

pytestmark = pytest.mark.timeout(30)  # what hangs is a failure, not a long night

NIGHT = PurePosixPath("toy/20260102")
REPOSITORY = Path(__file__).resolve().parents[2]


def place(path: Path, entry: FrameEntry) -> PurePosixPath:
    """By its own header, as the receiver does it."""
    try:
        read_headers(path)
    except ProcessorError as error:
        raise Corrupt(f"{entry.name}: {error}") from error
    return NIGHT


class Centre:
    """The receiving side, and beside it a secret that no bundle may reach."""

    def __init__(self, root: Path) -> None:
        self.tmp = root
        self.root, self.archive = root / "centre", root / "archive"
        self.inbox = self.root / "inbox"
        self.inbox.mkdir(parents=True)
        self.archive.mkdir()
        self.secret = root / "secret.json"
        self.secret.write_bytes(b"never read")

    def send(self, *frames: bytes | RawFrame, codec: Codec | None = None, bundle: str = "B-1") -> Bundle:
        """An honest bundle of some frames."""
        directory = self.tmp / f"camera-{bundle}"
        directory.mkdir()
        raws = []
        for number, frame in enumerate(frames):
            if isinstance(frame, bytes):
                path = directory / f"frame{number}.fits"
                path.write_bytes(frame)
                raws.append(RawFrame.of(path))
            else:
                raws.append(frame)
        sent = bundle_of(raws or camera(directory), self.tmp / "outbox", codec, bundle=bundle)
        ship(sent, FileRemote(self.root))
        return open_bundle(self.inbox / f"{bundle}.json")

    def forge(self, bundle: Bundle, tar: bytes | None = None, **changes: Any) -> None:
        """Other bytes and other words, in agreement with each other."""
        if tar is not None:
            bundle.path.write_bytes(tar)
            changes = {"size": len(tar), "sha256": hashlib.sha256(tar).hexdigest(), **changes}
        bundle.manifest_path.write_bytes(dataclasses.replace(bundle.manifest, **changes).to_json())

    def take(self, bundle: str = "B-1", on_frame: Callable[[], None] = lambda: None) -> Receipt:
        """What the receiver does with a bundle."""
        accepted = accept(self.root, self.archive, bundle, place=place, on_frame=on_frame)
        return self.answer(accepted)

    def answer(self, accepted: Accepted) -> Receipt:
        receipt = receipt_for(accepted, received=datetime(2026, 1, 3, tzinfo=UTC), free_bytes=1, queue_depth=0)
        write_receipt(self.root, receipt)
        clear_inbox(self.root, accepted.bundle)
        return Receipt.from_json((self.root / "receipts" / f"{accepted.bundle}.receipt.json").read_bytes())

    def published(self) -> dict[str, bytes]:
        found = {str(path.relative_to(self.archive)): path for path in self.archive.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items()}

    def assert_goes_on(self) -> None:
        """Nothing was touched, and an honest bundle is taken."""
        assert self.secret.read_bytes() == b"never read"
        assert self.published() == {}
        self.send(mosaic(1, (30, 40)), bundle="HONEST")
        assert "HONEST" in waiting_bundles(self.root)
        assert self.take("HONEST").verdict == "accepted"
        assert list(self.published()) == [f"{NIGHT}/frame0.fits"]


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    return Centre(tmp_path)


# -- the tar archive ---------------------------------------------------------------------------------------------------


def _member(name: str, data: bytes = b"", **fields: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fields.pop("format", tarfile.PAX_FORMAT)) as tar:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o444
        for key, value in fields.items():
            setattr(info, key, value)
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


TARS: dict[str, bytes] = {
    "a pax header with another path": _member("0000-frame0.fits.nfz", pax_headers={"path": "../../escape"}),
    "a pax header with a link's target": _member("x", type=tarfile.SYMTYPE, pax_headers={"linkpath": "/etc/passwd"}),
    "a pax header with another size": _member("0000-frame0.fits.nfz", b"x", pax_headers={"size": "9" * 18}),
    "a global pax header": _member("g", type=b"g"),
    "a GNU long name": _member("../" * 60 + "escape", format=tarfile.GNU_FORMAT),
    "a sparse member": _member("0000-frame0.fits.nfz", type=tarfile.GNUTYPE_SPARSE, format=tarfile.GNU_FORMAT),
    "a pax sparse member": _member("s", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.realsize": str(1 << 50)}),
    "a block device": _member("sda", type=tarfile.BLKTYPE, devmajor=8),
    "a contiguous file": _member("0000-frame0.fits.nfz", type=tarfile.CONTTYPE),
    "a set-user-id member": _member("0000-frame0.fits.nfz", mode=0o4755),
    "a hidden second member": _member(".hidden", b"data"),
}


@pytest.mark.parametrize("evil", TARS.values(), ids=TARS)
@pytest.mark.parametrize("where", ["before", "instead", "after"])
def test_tar_tricks_are_corrupt(centre: Centre, evil: bytes, where: str) -> None:
    bundle = centre.send()
    good = bundle.path.read_bytes()
    body, end = evil[: -(-len(evil.rstrip(b"\0")) // 512) * 512], bytes(1024)
    tars = {"before": body + good, "instead": body + end, "after": good + body + end}
    centre.forge(bundle, tars[where])
    receipt = centre.take()
    assert receipt.verdict == "corrupt"
    assert all(frame.verdict == "corrupt" for frame in receipt.frames)
    assert list(centre.inbox.iterdir()) == []
    centre.assert_goes_on()


# -- sizes and counts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1 << 41, 1 << 62])
@pytest.mark.parametrize("key", ["size", "packed_size", "offset"])
def test_huge_frames_are_refused_before_anything_is_written(centre: Centre, key: str, size: int) -> None:
    bundle = centre.send()
    first, *others = bundle.manifest.frames
    centre.forge(bundle, frames=(dataclasses.replace(first, **{key: size}), *others))  # type: ignore[arg-type]
    assert centre.take().verdict == "corrupt"
    centre.assert_goes_on()


def test_a_bundle_of_holes_is_not_read_to_its_end(centre: Centre) -> None:
    """A file of 8 TiB costs its sender one byte; reading it would take hours."""
    size = 8 << 40
    bundle = centre.send()
    first, *others = bundle.manifest.frames
    os.truncate(bundle.path, size)
    frames = (dataclasses.replace(first, packed_size=size - (1 << 20), size=size), *others)
    centre.forge(bundle, size=size, frames=frames)
    receipt = centre.take()
    assert receipt.verdict == "corrupt"
    assert "larger" in str(receipt.frames[0].reason)
    centre.assert_goes_on()


def test_a_manifest_of_holes_is_not_read_to_its_end(centre: Centre) -> None:
    centre.inbox.joinpath("B-1.json").touch()
    os.truncate(centre.inbox / "B-1.json", 8 << 40)
    receipt = centre.take()
    assert (receipt.verdict, receipt.frames) == ("corrupt", ())
    assert list(centre.inbox.iterdir()) == []
    centre.assert_goes_on()


def test_10001_frames_are_refused(centre: Centre) -> None:
    bundle = centre.send(mosaic(1, (30, 40)))
    centre.forge(bundle, frames=bundle.manifest.frames * 10_001)
    receipt = centre.take()
    assert (receipt.verdict, receipt.frames) == ("corrupt", ())
    centre.assert_goes_on()


def test_the_caller_can_say_that_it_is_alive_while_a_large_frame_is_read(centre: Centre) -> None:
    """A watchdog must not take a large frame for a hanging receiver."""
    centre.send(os.urandom(64 << 20), codec=Raw())
    beats: list[None] = []
    centre.take(on_frame=lambda: beats.append(None))
    assert len(beats) > 20


# -- documents ---------------------------------------------------------------------------------------------------------


def test_nesting_of_any_depth_is_a_bad_document() -> None:
    """At some depth the parser still follows and whoever quotes the value does not."""
    for depth in range(850, 1100):
        for value in ("[" * depth + "]" * depth, '{"a":' * depth + "0" + "}" * depth):
            with pytest.raises(BadDocument):
                Manifest.from_json(b'{"kind":%s}' % value.encode())
            with pytest.raises(BadDocument):
                Manifest.from_json(b'{"kind":"manifest","version":1,"bundle":%s}' % value.encode())


@pytest.mark.parametrize(
    "text", ["[" * 1_000_000, '{"kind":' * 1_000_000, '{"kind":"manifest","version":1' + "0" * 5000 + "}"]
)
def test_deep_and_long_documents_are_answered(centre: Centre, text: str) -> None:
    (centre.inbox / "B-1.json").write_text(text, encoding="ascii")
    assert centre.take().verdict == "corrupt"
    centre.assert_goes_on()


@pytest.mark.parametrize("unit", ["[],", "{},", '{"":0},', "1.5,", '{"a":[1e9,{}]},'])
def test_a_document_of_small_values_does_not_eat_the_memory(tmp_path: Path, unit: str) -> None:
    """64 MiB of empty lists would be 1.5 GB of objects."""
    path = tmp_path / "B-1.json"
    start, end = b'{"kind":"manifest","version":1,"frames":[', b"0]}"
    path.write_bytes(start + unit.encode() * ((MAX_DOCUMENT - 100) // len(unit)) + end)
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (MOST, MOST))\n"
        "from pathlib import Path\n"
        "from transfer.errors import BadDocument\n"
        "from transfer.bundle import open_bundle\n"
        "try:\n    open_bundle(Path(sys.argv[1]))\n"
        "except BadDocument as error:\n    print('refused', str(error)[:100])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code.replace("MOST", str(700 << 20)), str(path)],
        check=False,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=50,
    )
    assert done.stdout.startswith("refused"), done.stderr[-500:]


def test_a_manifest_as_large_as_honest_ones_get_is_read(centre: Centre) -> None:
    """10,000 frames of 62 HDUs each, with all that a camera's header says of them."""
    bundle = centre.send(mosaic(1, (30, 40)))
    identity = {f"card {number}": "value, with [brackets]" for number in range(10)}
    frame = dataclasses.replace(bundle.manifest.frames[0], datasums=tuple(range(62)), identity=identity)
    manifest = dataclasses.replace(bundle.manifest, frames=(frame,) * 10_000)
    assert len(Manifest.from_json(manifest.to_json()).frames) == 10_000


def test_numbers_that_are_none_are_refused(centre: Centre) -> None:
    bundle = centre.send()
    for old, new in ((b'"offset": 512', b'"offset": 1e999'), (b'"offset": 512', b'"offset": ' + b"9" * 4400)):
        document = bundle.manifest.to_json().replace(old, new, 1)
        assert document != bundle.manifest.to_json()
        bundle.manifest_path.write_bytes(document)
        with pytest.raises(BadDocument):
            open_bundle(bundle.manifest_path)
    assert centre.take().verdict == "corrupt"
    centre.assert_goes_on()


# -- frames ------------------------------------------------------------------------------------------------------------


def _claims(axes: list[int]) -> bytes:
    cards = [card(f"NAXIS{number}", axis) for number, axis in enumerate(axes, 1)]
    return header(card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", len(axes)), *cards)


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("axes", [[int("9" * 20)] * 999, [10**15] * 4, [2 * 10**9] * 2], ids=["999", "4", "2"])
def test_headers_that_claim_a_universe_are_corrupt(centre: Centre, axes: list[int], zipped: bool) -> None:
    frame = _claims(axes)
    centre.send(gzip.compress(frame) if zipped else frame)
    receipt = centre.take()
    assert receipt.verdict == "corrupt"
    assert len(str(receipt.frames[0].reason)) < 500
    centre.assert_goes_on()


def test_a_gzip_bomb_is_not_blown_up_to_read_a_header(centre: Centre) -> None:
    """The header claims 1 PB of pixels; the stream behind it would go on as long as its sender likes."""
    bomb = gzip.compress(_claims([10**9, 10**6]) + bytes(64 << 20), 9)
    assert len(bomb) < 200_000
    centre.send(bomb)
    receipt = centre.take()
    assert receipt.verdict == "corrupt"
    assert "larger" in str(receipt.frames[0].reason)  # said by the header alone, not at the end of the stream
    centre.assert_goes_on()


def test_a_frame_that_restores_to_more_than_it_says_is_corrupt(centre: Centre) -> None:
    bundle = centre.send(bytes(40 << 20), mosaic(1, (30, 40)), codec=Nfz())
    first, second = bundle.manifest.frames
    assert first.packed_size < 40_000
    centre.forge(bundle, frames=(dataclasses.replace(first, size=1000), second))
    receipt = centre.take()
    assert [frame.verdict for frame in receipt.frames] == ["corrupt", "accepted"]
    assert list(centre.published()) == [f"{NIGHT}/frame1.fits"]


def test_names_that_differ_by_case_or_by_unicode_form_stay_apart(centre: Centre) -> None:
    names = ["a.fits", "A.fits", unicodedata.normalize("NFC", "é.fits"), unicodedata.normalize("NFD", "é.fits")]
    bundle = centre.send(*(mosaic(1, (30 + number, 40)) for number in range(4)))
    frames = [dataclasses.replace(frame, name=name) for frame, name in zip(bundle.manifest.frames, names, strict=True)]
    centre.forge(bundle, frames=tuple(frames))
    receipt = centre.take()
    assert receipt.verdict == "accepted"
    hashes = {frame.sha256 for frame in bundle.manifest.frames}
    assert {hashlib.sha256(data).hexdigest() for data in centre.published().values()} == hashes


def test_one_name_for_all_frames_overwrites_none(centre: Centre) -> None:
    bundle = centre.send(*(mosaic(1, (30 + number, 40)) for number in range(4)))
    frames = tuple(dataclasses.replace(frame, name="same.fits") for frame in bundle.manifest.frames)
    centre.forge(bundle, frames=frames)
    assert centre.take().verdict == "accepted"
    assert len(centre.published()) == 4


def test_a_bundle_that_changes_while_it_is_taken_publishes_nothing_wrong(centre: Centre) -> None:
    bundle = centre.send(codec=Raw())
    originals = {frame.sha256 for frame in bundle.manifest.frames}

    def change() -> None:
        if centre.published():
            bundle.path.write_bytes(bytes(bundle.manifest.size))

    receipt = centre.take(on_frame=change)
    assert receipt.verdict == "corrupt"
    assert {hashlib.sha256(data).hexdigest() for data in centre.published().values()} < originals


# -- what else an account could put into its inbox ---------------------------------------------------------------------


def _pipe(path: Path, _: Centre) -> None:
    os.mkfifo(path)


def _directory(path: Path, _: Centre) -> None:
    path.mkdir()
    (path / "inside").touch()


def _link(path: Path, centre: Centre) -> None:
    path.symlink_to(centre.secret)


def _loop(path: Path, _: Centre) -> None:
    path.symlink_to(path)


def _nowhere(path: Path, centre: Centre) -> None:
    path.symlink_to(centre.tmp / "nowhere")


def _endless(path: Path, _: Centre) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path, _: Centre) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(path))


STRANGE = [_pipe, _directory, _link, _loop, _nowhere, _endless, _socket]


@pytest.mark.parametrize("make", STRANGE)
def test_a_manifest_that_is_no_file_does_not_wait(centre: Centre, make: Callable[[Path, Centre], None]) -> None:
    make(centre.inbox / "B-1.json", centre)
    assert waiting_bundles(centre.root) == ()
    with pytest.raises(BadDocument):
        open_bundle(centre.inbox / "B-1.json")
    centre.assert_goes_on()


@pytest.mark.parametrize("make", STRANGE)
def test_a_manifest_that_becomes_no_file_meanwhile_is_answered(
    centre: Centre, make: Callable[[Path, Centre], None]
) -> None:
    make(centre.inbox / "B-1.json", centre)
    receipt = centre.take()
    assert (receipt.verdict, receipt.frames) == ("corrupt", ())
    assert receipt.manifest_sha256 == hashlib.sha256().hexdigest()  # nothing of what a link leads to is told
    centre.assert_goes_on()


@pytest.mark.parametrize("make", STRANGE)
def test_a_bundle_that_is_no_file_is_answered(centre: Centre, make: Callable[[Path, Centre], None]) -> None:
    bundle = centre.send()
    bundle.path.unlink()
    make(bundle.path, centre)
    receipt = centre.take()
    assert receipt.verdict == "corrupt"
    assert waiting_bundles(centre.root) == ()
    kept = {path.name for path in (centre.root / "quarantine" / "B-1").iterdir()}
    assert kept == {"B-1.json", "reason.txt"}  # no link and no pipe lies about for a person to open
    centre.assert_goes_on()


def test_a_link_to_another_bundle_is_not_followed(centre: Centre) -> None:
    """It would be right byte for byte, but it is not the account's to give."""
    bundle = centre.send()
    bundle.path.rename(centre.tmp / "elsewhere.nfb")
    bundle.path.symlink_to(centre.tmp / "elsewhere.nfb")
    assert centre.take().verdict == "corrupt"
    assert (centre.tmp / "elsewhere.nfb").is_file()
    centre.assert_goes_on()


def test_a_flood_of_nonsense_is_answered_one_by_one(centre: Centre) -> None:
    for number in range(200):
        (centre.inbox / f"N-{number}.json").write_text(json.dumps({"kind": number}), encoding="ascii")
    for bundle in waiting_bundles(centre.root):
        assert centre.take(bundle).verdict == "corrupt"
    assert list(centre.inbox.iterdir()) == []
    centre.assert_goes_on()
