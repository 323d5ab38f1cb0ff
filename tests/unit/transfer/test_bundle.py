"""Bundles: there and back, the same bytes every time, and nothing a stranger wrote."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.transfer.bundles import CREATED, bundle_of, camera
from tests.unit.transfer.frames import image_hdu, mosaic, sky
from transfer.bundle import member_header, member_name, name_apart, open_bundle, padding, verify_bundle
from transfer.codecs.nfz import Nfz
from transfer.codecs.raw import Raw
from transfer.codecs.registry import CODECS
from transfer.codecs.rice import Rice
from transfer.errors import BadDocument, Corrupt, Incomplete, Refused, TransferError
from transfer.manifest import Manifest
from transfer.pack import Bundle, RawFrame, pack
from transfer.unpack import unpack


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_there_and_back(tmp_path: Path, codec: Nfz | Rice | Raw) -> None:
    frames = camera(tmp_path / "camera")
    bundle = bundle_of(frames, tmp_path / "outbox", codec)
    assert sorted(files(tmp_path / "outbox")) == ["B-1.json", "B-1.nfb"]
    assert [entry.codec for entry in bundle.manifest.frames] == [codec.name] * 3
    restored = unpack(bundle.path, tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "camera")
    assert not any(each.present for each in restored)
    assert all(each.present for each in unpack(bundle.manifest_path, tmp_path / "out"))


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    frames = camera(tmp_path / "camera")
    bundle_of(frames, tmp_path / "one")
    bundle_of(frames, tmp_path / "two", Nfz(threads=2))
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_any_tar_can_open_it(tmp_path: Path) -> None:
    long = "é" + "n" * 240 + ".fits"
    camera(tmp_path / "camera", 1)
    (tmp_path / "camera" / long).write_bytes(mosaic(1))
    frames = [RawFrame.of(path) for path in sorted((tmp_path / "camera").iterdir())]
    bundle = bundle_of(frames, tmp_path / "outbox", Raw())
    with tarfile.open(bundle.path) as tar:
        for member, entry in zip(tar, bundle.manifest.frames, strict=True):
            assert (member.name, member.size, member.offset_data) == (entry.member, entry.size, entry.offset)
            assert (member.mode, member.uid, member.gid, member.mtime) == (0o444, 0, 0, 0)
            held = tar.extractfile(member)
            assert held is not None
            assert hashlib.sha256(held.read()).hexdigest() == entry.sha256
    listed = subprocess.run(["tar", "tf", str(bundle.path)], check=True, capture_output=True).stdout
    assert listed.count(b"\n") == 2


def test_tar_headers_of_any_size_and_name() -> None:
    for index, name in ((0, "a"), (7, "x" * 100), (8, "x" * 101), (9, "ü.fits"), (10, "y" * 255)):
        data = member_header(index, name, 5) + b"12345" + padding(5) + bytes(1024)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            assert [(each.name, each.size) for each in tar] == [(name, 5)]
    with tarfile.open(fileobj=io.BytesIO(member_header(0, "big", 9 << 30))) as tar:
        assert tar.next().size == 9 << 30  # type: ignore[union-attr]
    assert len(member_name(3, "é" * 127, ".nfz").encode()) <= 255


def test_what_a_codec_cannot_carry_goes_by_nfz(tmp_path: Path) -> None:
    (tmp_path / "f.fits").write_bytes(image_hdu(sky((30, 40), "f4")))
    (tmp_path / "g.fits").write_bytes(image_hdu(sky((30, 40), "i2")))
    frames = [RawFrame.of(tmp_path / name) for name in ("f.fits", "g.fits")]
    bundle = bundle_of(frames, tmp_path / "outbox", Rice())
    assert [entry.codec for entry in bundle.manifest.frames] == ["nfz", "rice"]
    assert [entry.member for entry in bundle.manifest.frames] == ["0000-f.fits.nfz", "0001-g.fits.fz"]
    unpack(bundle.path, tmp_path / "out")
    assert (tmp_path / "out/f.fits").read_bytes() == (tmp_path / "f.fits").read_bytes()


def test_frames_of_the_same_name_both_come_back(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "a.fits.gz").write_bytes(bytes([number]))
    frames = [RawFrame.of(tmp_path / str(number) / "a.fits.gz") for number in range(2)]
    bundle = bundle_of(frames, tmp_path / "outbox")
    unpack(bundle.path, tmp_path / "out")
    unpack(bundle.path, tmp_path / "out")
    apart = name_apart("a.fits.gz", hashlib.sha256(b"\1").hexdigest())
    assert files(tmp_path / "out") == {"a.fits.gz": b"\0", apart: b"\1"}
    assert apart.startswith("a~")
    assert apart.endswith(".fits.gz")


def test_another_file_of_that_name_is_never_overwritten(tmp_path: Path) -> None:
    bundle = bundle_of(camera(tmp_path / "camera", 1), tmp_path / "outbox")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/frame:0.fits").write_bytes(b"mine")
    with pytest.raises(Refused):
        unpack(bundle.path, tmp_path / "out")
    assert files(tmp_path / "out") == {"frame:0.fits": b"mine"}
    (tmp_path / "out/frame:0.fits").unlink()
    (tmp_path / "out/frame:0.fits").symlink_to("/tmp/elsewhere")
    with pytest.raises(Refused):
        unpack(bundle.path, tmp_path / "out")


def test_a_frame_that_changed_since_it_was_seen(tmp_path: Path) -> None:
    (frame,) = camera(tmp_path / "camera", 1)
    with pytest.raises(Incomplete, match="changed"):
        bundle_of([dataclasses.replace(frame, sha256="0" * 64)], tmp_path / "outbox")
    frame.path.write_bytes(b"longer" * 10_000)
    with pytest.raises(Incomplete, match="changed"):
        bundle_of([frame], tmp_path / "outbox")
    assert files(tmp_path / "outbox") == {}


def test_a_frame_that_changes_while_it_is_packed(tmp_path: Path) -> None:
    frames = camera(tmp_path / "camera", 1)

    class Touching(Raw):
        def encode(self, source: Path, *args: object, **more: object):  # type: ignore[no-untyped-def]
            done = Raw.encode(self, source, *args, **more)  # type: ignore[arg-type]
            os.utime(source, ns=(1, 1))
            return done

    with pytest.raises(Incomplete, match="while it was packed"):
        bundle_of(frames, tmp_path / "outbox", Touching())


def test_bad_frames_can_be_left_out(tmp_path: Path) -> None:
    frames = camera(tmp_path / "camera")
    frames[1].path.unlink()
    skipped = []
    bundle = pack(
        frames,
        tmp_path / "outbox",
        bundle="B",
        site="s",
        route="r",
        codec=Nfz(),
        created=CREATED,
        previous=None,
        software="x",
        on_skip=lambda frame, error: skipped.append((frame.name, type(error))),
    )
    assert skipped == [("frame:1.fits", FileNotFoundError)]
    assert [entry.member[:4] for entry in bundle.manifest.frames] == ["0000", "0001"]
    verify_bundle(bundle)


def test_packing_again_returns_what_is_there_or_refuses(tmp_path: Path) -> None:
    frames = camera(tmp_path / "camera")
    first = bundle_of(frames, tmp_path / "outbox")
    assert bundle_of(frames, tmp_path / "outbox").manifest_sha256 == first.manifest_sha256
    with pytest.raises(Refused):
        bundle_of(frames[:2], tmp_path / "outbox")
    first.manifest_path.unlink()  # a crash before the manifest: the bundle alone is nothing
    assert bundle_of(frames, tmp_path / "outbox").manifest_sha256 == first.manifest_sha256


@pytest.mark.parametrize("name", ["a/b", "..", "", "x\0", "n" * 256, "\udcff"])
def test_names_a_manifest_cannot_carry(tmp_path: Path, name: str) -> None:
    (frame,) = camera(tmp_path / "camera", 1)
    with pytest.raises(BadDocument):
        bundle_of([dataclasses.replace(frame, name=name)], tmp_path / "outbox")
    with pytest.raises(BadDocument):
        bundle_of([frame], tmp_path / "outbox", bundle="../x")


def rewritten(bundle: Bundle, tar: bytes, **changes: object) -> Bundle:
    """The bundle with other bytes, its manifest's size and hash made to fit."""
    manifest = dataclasses.replace(
        bundle.manifest,
        size=len(tar),
        sha256=hashlib.sha256(tar).hexdigest(),
        **changes,  # type: ignore[arg-type]
    )
    bundle.path.write_bytes(tar)
    bundle.manifest_path.write_bytes(manifest.to_json())
    return open_bundle(bundle.path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
@pytest.mark.parametrize("name", ["0000-frame:0.fits.nfz", "../../escape", "/etc/cron.d/x"])
def test_malicious_tars_are_corrupt(tmp_path: Path, kind: bytes, name: str) -> None:
    bundle = bundle_of(camera(tmp_path / "camera", 1), tmp_path / "outbox")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        evil = tarfile.TarInfo(name)
        evil.type, evil.linkname = kind, "/etc/passwd"
        tar.addfile(evil)
    with pytest.raises(Corrupt):
        unpack(rewritten(bundle, out.getvalue()).path, tmp_path / "out")
    good = bundle.path.read_bytes()
    with pytest.raises(Corrupt):
        unpack(rewritten(bundle, out.getvalue()[:512] + good).path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_lies_in_the_manifest_are_corrupt(tmp_path: Path) -> None:
    bundle = bundle_of(camera(tmp_path / "camera", 2), tmp_path / "outbox")
    tar, (first, second) = bundle.path.read_bytes(), bundle.manifest.frames
    lies = [
        (second, first),
        (first,),
        (dataclasses.replace(first, offset=first.offset + 512), second),
        (dataclasses.replace(first, packed_size=first.packed_size - 1), second),
        (dataclasses.replace(first, packed_size=2**60), second),
        (dataclasses.replace(first, packed_sha256="0" * 64), second),
        (dataclasses.replace(first, member="../x"), second),
        (dataclasses.replace(first, size=first.size + 1), second),
        (dataclasses.replace(first, sha256="0" * 64), second),
        (dataclasses.replace(first, datasums=(1, 2)), second),
        (dataclasses.replace(first, codec="raw"), second),
        (dataclasses.replace(first, codec="rice"), second),
    ]
    for frames in lies:
        with pytest.raises(Corrupt):
            unpack(rewritten(bundle, tar, frames=frames).path, tmp_path / "out")
        assert not (tmp_path / "out").exists() or files(tmp_path / "out") == {}
    with pytest.raises(Corrupt):
        unpack(rewritten(bundle, tar + bytes(512)).path, tmp_path / "out")
    with pytest.raises(TransferError, match="zip"):
        unpack(rewritten(bundle, tar, frames=(dataclasses.replace(first, codec="zip"), second)).path, tmp_path / "out")


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    bundle = bundle_of(camera(tmp_path / "camera", 1), tmp_path / "outbox")
    other = bundle.manifest_path.with_name("other.json")
    other.write_bytes(bundle.manifest_path.read_bytes())
    with pytest.raises(BadDocument, match="other"):
        open_bundle(other)
    with pytest.raises(BadDocument):
        unpack(tmp_path / "none.nfb", tmp_path / "out")
    with pytest.raises(BadDocument):
        unpack(tmp_path / "camera/frame:0.fits", tmp_path / "out")
    bundle.path.unlink()
    with pytest.raises(Incomplete):
        unpack(bundle.manifest_path, tmp_path / "out")


@settings(max_examples=80)
@given(st.data())
def test_damaged_bundles_raise_only_named_errors(tmp_path: Path, data: st.DataObject) -> None:
    bundle = bundle_of(camera(tmp_path / "camera", 1), tmp_path / "outbox")
    tar, document = bundle.path.read_bytes(), bundle.manifest_path.read_bytes()
    target, original = data.draw(st.sampled_from([(bundle.path, tar), (bundle.manifest_path, document)]))
    broken = bytearray(original)
    broken[data.draw(st.integers(0, len(broken) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    target.write_bytes(bytes(broken))
    try:
        unpack(bundle.path, tmp_path / "out")
        assert target == bundle.manifest_path  # a flipped bit in a comment field of the manifest, nowhere else
        restored = files(tmp_path / "out")
        assert list(restored.values()) == list(files(tmp_path / "camera").values())
    except TransferError:
        pass
    finally:
        bundle.path.write_bytes(tar)
        bundle.manifest_path.write_bytes(document)
        for path in (tmp_path / "out").glob("*"):
            path.unlink()


def test_manifests_form_a_chain(tmp_path: Path) -> None:
    frames = camera(tmp_path / "camera", 2)
    first = bundle_of(frames[:1], tmp_path / "outbox", bundle="B-1")
    second = bundle_of(frames[1:], tmp_path / "outbox", bundle="B-2", previous=first.manifest_sha256)
    assert second.manifest.previous == hashlib.sha256(first.manifest_path.read_bytes()).hexdigest()
    assert Manifest.from_json(first.manifest_path.read_bytes()) == first.manifest
