"""One suite for every remote: what `transfer.remotes.base.Remote` promises."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.sshd import PrivateSshd
from transfer.errors import BadDocument, Refused, TransferError
from transfer.remotes.base import Remote
from transfer.remotes.open import open_remote

BIG = 3_000_017


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "remote"
    path.mkdir()
    return path


@pytest.fixture(params=["file", "sftp"])
def remote(request: pytest.FixtureRequest, root: Path) -> Iterator[Remote]:
    if request.param == "file":
        with open_remote(root.as_uri(), key_file=None, known_hosts=None, timeout_s=10) as made:
            yield made
        return
    sshd: PrivateSshd = request.getfixturevalue("sshd")
    with open_remote(sshd.url(root), key_file=sshd.key_file, known_hosts=sshd.known_hosts, timeout_s=10) as made:
        yield made


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "local.bin"
    path.write_bytes(os.urandom(BIG))
    return path


def test_put_makes_directories_and_leaves_no_part(remote: Remote, root: Path, local: Path) -> None:
    told: list[int] = []
    remote.put(local, "inbox/deep/a.nfb", told.append)
    assert (root / "inbox/deep/a.nfb").read_bytes() == local.read_bytes()
    assert [path.name for path in (root / "inbox/deep").iterdir()] == ["a.nfb"]
    assert sum(told) == BIG


def test_put_of_an_empty_file(remote: Remote, root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    remote.put(tmp_path / "empty", "empty")
    assert (root / "empty").read_bytes() == b""


def test_put_again_replaces(remote: Remote, root: Path, local: Path) -> None:
    (root / "a").write_bytes(b"old and much longer than nothing")
    remote.put(local, "a")
    remote.put(local, "a")
    assert (root / "a").read_bytes() == local.read_bytes()


@pytest.mark.parametrize("there", [1, 70_000, BIG - 1, BIG])
def test_put_continues_a_part_that_fits(remote: Remote, root: Path, local: Path, there: int) -> None:
    (root / "a.part").write_bytes(local.read_bytes()[:there])
    inode = (root / "a.part").stat().st_ino
    told: list[int] = []
    remote.put(local, "a", told.append)
    assert (root / "a").read_bytes() == local.read_bytes()
    assert (root / "a").stat().st_ino == inode
    assert told[0] == there
    assert sum(told) == BIG


@pytest.mark.parametrize("junk", [b"x" * 100_000, b"y" * (BIG + 5), bytes(BIG)])
def test_put_writes_a_part_anew_that_does_not_fit(remote: Remote, root: Path, local: Path, junk: bytes) -> None:
    (root / "a.part").write_bytes(junk)
    remote.put(local, "a")
    assert (root / "a").read_bytes() == local.read_bytes()


def test_get_small(remote: Remote, root: Path) -> None:
    assert remote.get_small("receipts/none") is None
    (root / "small").write_bytes(b"text")
    assert remote.get_small("small") == b"text"
    with pytest.raises(BadDocument, match="larger"):
        remote.get_small("small", limit=3)


def test_list_stat_remove(remote: Remote, root: Path) -> None:
    assert remote.list("inbox") == ()
    assert remote.stat("inbox/b") is None
    (root / "inbox").mkdir()
    for name in "ba":
        (root / "inbox" / name).write_bytes(b"12345")
    assert remote.list("inbox") == ("a", "b")
    found = remote.stat("inbox/a")
    assert found is not None
    assert found.size == 5
    remote.remove("inbox/a")
    remote.remove("inbox/a")
    assert remote.list("inbox") == ("b",)


def test_free_bytes(remote: Remote, root: Path) -> None:
    free = remote.free_bytes()
    here = os.statvfs(root)
    assert free is not None
    assert 0 < free <= here.f_frsize * here.f_blocks


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a//b", "", "a/../../b", "a\0b", "."])
def test_names_stay_below_the_root(remote: Remote, local: Path, name: str) -> None:
    with pytest.raises(BadDocument):
        remote.put(local, name)


def test_a_directory_in_the_way_is_a_named_error(remote: Remote, root: Path, local: Path) -> None:
    (root / "a").mkdir()
    (root / "a" / "inside").touch()
    with pytest.raises(TransferError):
        remote.put(local, "a")
    assert (root / "a" / "inside").exists()


def test_a_file_as_directory_is_refused(remote: Remote, root: Path, local: Path) -> None:
    (root / "inbox").touch()
    with pytest.raises(Refused):
        remote.put(local, "inbox/a")


def test_usable_after_close(remote: Remote, root: Path, local: Path) -> None:
    remote.put(local, "a")
    remote.close()
    remote.close()
    assert remote.stat("a") is not None


def test_a_missing_local_file_is_the_callers_error(remote: Remote, root: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        remote.put(tmp_path / "none", "a")
    assert list(root.iterdir()) == []
