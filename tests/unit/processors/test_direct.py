"""Large files past the page cache: the same bytes, whatever the file system can do."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from processors.direct import DirectWriter
from processors.publish import publish_large

MEGABYTE = 1 << 20


@pytest.fixture(params=["disk", "memory"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A directory on the disk, and one in memory, where there is no page cache to go past."""
    if request.param == "disk":
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else tmp_path) as name:
        yield Path(name)


@pytest.mark.parametrize("size", [0, 1, 2880, 4 * MEGABYTE - 1, 4 * MEGABYTE, 4 * MEGABYTE + 1, 9 * MEGABYTE + 2880])
def test_what_was_written_is_there(directory: Path, size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    with publish_large(directory / "file") as file:
        for start in range(0, size, 1_000_003):
            part = data[start : start + 1_000_003]
            assert file.write(part) == len(part)
    assert (directory / "file").read_bytes() == data
    assert [path.name for path in directory.iterdir()] == ["file"]


def test_an_error_leaves_what_was_there(directory: Path) -> None:
    (directory / "file").write_text("old")
    with pytest.raises(KeyError), publish_large(directory / "file") as file:
        file.write(bytes(5 * MEGABYTE))
        raise KeyError
    assert [(path.name, path.read_text()) for path in directory.iterdir()] == [("file", "old")]


def test_a_file_system_that_cannot_is_written_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.open

    def refusing(path: object, flags: int, *more: int) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "no direct I/O here")
        return whole(path, flags, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refusing)
    with (tmp_path / "a").open("xb") as file:
        assert DirectWriter.on(tmp_path / "a", file) is None
    with publish_large(tmp_path / "b") as out:
        out.write(b"b" * 5_000_000)
    assert (tmp_path / "b").read_bytes() == b"b" * 5_000_000


def test_a_full_disk_is_an_error_and_leaves_nothing() -> None:
    if not os.access("/dev/full", os.W_OK):
        raise AssertionError("Linux has /dev/full")
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        writer = DirectWriter(descriptor)
        with pytest.raises(OSError, match="No space left"):
            writer.write(bytes(4 * MEGABYTE))
    finally:
        os.close(descriptor)
