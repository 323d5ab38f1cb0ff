"""Unfinished files in the inbox go when nobody has written to them for long; nothing else does."""

from __future__ import annotations

import os
import time
from pathlib import Path

from services.receiver.leftovers import remove_old_parts


def aged(path: Path, seconds: float) -> Path:
    path.write_bytes(b"half")
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def test_only_old_unfinished_regular_files_go(tmp_path: Path) -> None:
    outside = aged(tmp_path / "outside.part", 1e6)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    old = [aged(inbox / name, 1e6) for name in ("a.nfb.part", "b.nfb.striped.part", "c.json.part")]
    stays = [aged(inbox / "d.nfb.part", 10.0), aged(inbox / "e.nfb", 1e6), aged(inbox / "e.json", 1e6)]
    (inbox / "link.part").symlink_to(outside)
    (inbox / "directory.part").mkdir()
    assert remove_old_parts(inbox, 3600.0) == len(old)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in [*stays, outside, inbox / "link.part", inbox / "directory.part"])
    assert remove_old_parts(inbox, 3600.0) == 0
