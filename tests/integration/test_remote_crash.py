"""A receiver that is killed with SIGKILL at any named point, then started again: every frame once, nothing half."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.transfer.bundles import bundle_of, camera
from transfer.manifest import Receipt
from transfer.remotes.file import FileRemote
from transfer.ship import ship

RECEIVER = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from transfer import durable, receive, unpack
from transfer.codecs import nfz

root, archive, point, count = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])

def die_at(module, name, before):
    real = getattr(module, name)
    calls = [0]
    def call(*args, **more):
        calls[0] += 1
        if before and calls[0] == count:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **more)
        if not before and calls[0] == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(module, name, call)

if point != "never":
    where, name, when = point.split(":")
    die_at({"durable": durable, "receive": receive, "nfz": nfz, "os": os}[where], name, when == "before")
for bundle in receive.waiting_bundles(root):
    accepted = receive.accept(root, archive, bundle, place=lambda path, entry: PurePosixPath("toy/20260102"))
    receipt = receive.receipt_for(accepted, received=datetime.now(UTC), free_bytes=1, queue_depth=None)
    receive.write_receipt(root, receipt)
    receive.clear_inbox(root, bundle)
"""

POINTS = [
    ("nfz:_decode_section:before", 2),
    ("receive:restore:after", 2),
    ("receive:publish_new:before", 2),
    ("receive:publish_new:after", 1),
    ("os:link:after", 2),
    ("os:link:before", 1),
    ("receive:write_whole:before", 1),
    ("receive:write_whole:after", 1),
    ("receive:remove:before", 1),
    ("receive:remove:after", 1),
]


def receive(root: Path, archive: Path, point: str, count: int) -> int:
    command = [sys.executable, "-c", RECEIVER, str(root), str(archive), point, str(count)]
    return subprocess.run(command, check=False, timeout=60, cwd=Path(__file__).parents[2]).returncode


@pytest.mark.parametrize(("point", "count"), POINTS)
def test_killed_and_started_again(tmp_path: Path, point: str, count: int) -> None:
    root, archive = tmp_path / "centre", tmp_path / "archive"
    root.mkdir()
    archive.mkdir()
    frames = camera(tmp_path / "camera", 3)
    ship(bundle_of(frames, tmp_path / "outbox"), FileRemote(root))

    assert receive(root, archive, point, count) == -signal.SIGKILL
    sent = {frame.name: hashlib.sha256(frame.path.read_bytes()).hexdigest() for frame in frames}
    for path in (archive / "toy").rglob("*") if (archive / "toy").exists() else ():
        if path.is_file():  # what is there is whole
            assert hashlib.sha256(path.read_bytes()).hexdigest() == sent[path.name]

    assert receive(root, archive, "never", 0) == 0
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in archive.rglob("*") if path.is_file()}
    assert found == sent
    receipt = Receipt.from_json((root / "receipts/B-1.receipt.json").read_bytes())
    assert receipt.verdict in {"accepted", "duplicate"}
    assert len(receipt.frames) == 3
    assert not list((root / "inbox").glob("*.json"))
