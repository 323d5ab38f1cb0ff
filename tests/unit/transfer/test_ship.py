"""Bundles to a remote and receipts back, several at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.transfer.bundles import bundle_of, camera
from transfer.errors import BadDocument, Corrupt, Incomplete
from transfer.manifest import Receipt
from transfer.receive import accept, receipt_for, write_receipt
from transfer.remotes.file import FileRemote
from transfer.ship import Bundle, fetch_receipts, ship, ship_all


@pytest.fixture
def bundles(tmp_path: Path) -> list[Bundle]:
    frames = camera(tmp_path / "camera", 4)
    return [bundle_of([frame], tmp_path / "outbox", bundle=f"B-{n}") for n, frame in enumerate(frames)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "centre"
    path.mkdir()
    return path


def test_every_bundle_is_done_when_its_manifest_is_there(bundles: list[Bundle], root: Path) -> None:
    done: list[Bundle] = []

    def on_done(bundle: Bundle) -> None:
        name = bundle.manifest.bundle
        assert (root / f"inbox/{name}.json").read_bytes() == bundle.manifest_path.read_bytes()
        assert (root / f"inbox/{name}.nfb").read_bytes() == bundle.path.read_bytes()
        done.append(bundle)

    ship_all(iter(bundles), FileRemote(root), on_done=on_done)
    assert done == bundles


def test_a_bundle_that_is_there_is_not_sent_again(bundles: list[Bundle], root: Path) -> None:
    ship_all(bundles, FileRemote(root))
    inode = (root / "inbox/B-0.nfb").stat().st_ino
    told: list[int] = []
    ship(bundles[0], FileRemote(root), told.append)
    assert (root / "inbox/B-0.nfb").stat().st_ino == inode
    assert sum(told) == bundles[0].path.stat().st_size + bundles[0].manifest_path.stat().st_size


def test_spoilt_bundles_do_not_stop_the_others(bundles: list[Bundle], root: Path) -> None:
    bundles[0].path.unlink()
    bundles[2].path.write_bytes(b"short")
    spoilt: list[tuple[Bundle, type]] = []
    done: list[Bundle] = []
    ship_all(bundles, FileRemote(root), None, done.append, lambda bundle, error: spoilt.append((bundle, type(error))))
    assert done == [bundles[1], bundles[3]]
    assert spoilt == [(bundles[0], Incomplete), (bundles[2], Corrupt)]
    assert sorted(path.name for path in (root / "inbox").iterdir()) == ["B-1.json", "B-1.nfb", "B-3.json", "B-3.nfb"]


def test_a_spoilt_bundle_is_raised_when_nobody_asks(bundles: list[Bundle], root: Path) -> None:
    bundles[1].path.write_bytes(b"short")
    pulled: list[Bundle] = []
    done: list[Bundle] = []

    def asked() -> Iterator[Bundle]:
        for bundle in bundles:
            pulled.append(bundle)
            yield bundle

    with pytest.raises(Corrupt):
        ship_all(asked(), FileRemote(root), on_done=done.append)
    assert pulled == bundles[:2]
    assert done == bundles[:1]


def test_receipts_of_many(bundles: list[Bundle], root: Path, tmp_path: Path) -> None:
    ship_all(bundles, FileRemote(root))
    (tmp_path / "archive").mkdir()
    for name in ("B-0", "B-1"):
        accepted = accept(root, tmp_path / "archive", name, place=lambda path, entry: Path("toy"))
        write_receipt(root, receipt_for(accepted, received=datetime.now(UTC), free_bytes=1, queue_depth=None))
    (root / "receipts/B-2.receipt.json").write_bytes(b"{nonsense")
    (root / "receipts/B-9.receipt.json").write_bytes((root / "receipts/B-0.receipt.json").read_bytes())
    found = fetch_receipts(FileRemote(root), ["B-0", "B-1", "B-2", "B-3", "B-9"])
    assert sorted(found) == ["B-0", "B-1", "B-2", "B-9"]
    assert isinstance(found["B-0"], Receipt)
    assert found["B-0"].verdict == "accepted"
    assert isinstance(found["B-2"], BadDocument)
    assert isinstance(found["B-9"], BadDocument)
    with pytest.raises(BadDocument):
        fetch_receipts(FileRemote(root), ["../B-0"])
