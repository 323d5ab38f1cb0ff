"""Whole files or none."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import numba
import pytest

from transfer import durable, jit
from transfer.errors import NoSpace


def test_write_whole_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "a"
    durable.write_whole(path, b"one")
    durable.write_whole(path, b"two", mode=0o444)
    assert path.read_bytes() == b"two"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_publish_new_never_replaces(tmp_path: Path) -> None:
    tmp, final = durable.temporary(tmp_path / "a"), tmp_path / "a"
    tmp.write_bytes(b"new")
    durable.publish_new(tmp, final)
    assert not tmp.exists()
    tmp.write_bytes(b"other")
    with pytest.raises(FileExistsError):
        durable.publish_new(tmp, final)
    assert (final.read_bytes(), tmp.read_bytes()) == (b"new", b"other")


def test_publish_new_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    test_publish_new_never_replaces(tmp_path)


def test_a_full_disk_is_no_space(tmp_path: Path) -> None:
    with pytest.raises(NoSpace), durable.space_checked("here"), Path("/dev/full").open("wb") as file:
        file.write(b"x" * 100_000)
    with pytest.raises(PermissionError), durable.space_checked("here"):
        raise PermissionError(errno.EACCES, "no")


def test_directories_are_made_with_their_parents(tmp_path: Path) -> None:
    durable.make_dirs(tmp_path / "a/b/c")
    durable.make_dirs(tmp_path / "a/b/c")
    durable.write_whole(tmp_path / "a/b/c/x", b"")
    durable.move(tmp_path / "a/b/c/x", tmp_path / "a/y")
    durable.remove(tmp_path / "a/y")
    durable.remove(tmp_path / "a/y")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_kernels_compile_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    real = numba.njit

    def njit(**options: object) -> object:
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available for file")
        return real(**options)

    monkeypatch.setattr(jit, "numba", SimpleNamespace(njit=njit))

    def twice(x: int) -> int:
        return 2 * x

    assert jit.kernel(twice)(21) == 42
