"""One suite for every remote: what `transfer.remotes.base.Remote` promises."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures.sshd import PrivateSshd
from transfer.errors import BadDocument, Refused, TransferError
from transfer.remotes.base import Put, Remote
from transfer.remotes.open import open_remote

BIG = 3_000_017
HUGE = 42_000_021  # more than is striped, and more than may be on its way
WINDOW = 32 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "remote"
    path.mkdir()
    return path


KINDS = {
    "file": {},
    "paramiko-1": {"transport": "paramiko", "streams": 1},
    "paramiko-4": {"transport": "paramiko", "streams": 4},
    "openssh-1": {"transport": "openssh", "streams": 1},
    "openssh-2": {"transport": "openssh", "streams": 2},
}

Reach = Callable[..., Remote]


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reach(kind: str, request: pytest.FixtureRequest, root: Path) -> Iterator[Reach]:
    """Makes remotes of one kind, and closes them."""
    made: list[Remote] = []

    def make(throttle: Callable[[int], None] | None = None) -> Remote:
        if kind == "file":
            remote = open_remote(root.as_uri(), key_file=None, known_hosts=None, timeout_s=10, throttle=throttle)
        else:
            sshd: PrivateSshd = request.getfixturevalue("sshd")
            keys = {"key_file": sshd.key_file, "known_hosts": sshd.known_hosts, "timeout_s": 10.0}
            remote = open_remote(sshd.url(root), **keys, throttle=throttle, **KINDS[kind])
        made.append(remote)
        return remote

    yield make
    for remote in made:
        remote.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("sftp", "ssh-stderr"))]


@pytest.fixture
def remote(reach: Reach) -> Remote:
    return reach()


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


def many(directory: Path, sizes: list[int]) -> list[Path]:
    directory.mkdir()
    paths = []
    for number, size in enumerate(sizes):
        path = directory / f"{number}.bin"
        path.write_bytes(os.urandom(size))
        paths.append(path)
    return paths


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    path = tmp_path / "huge.bin"
    path.write_bytes(os.urandom(HUGE))
    return path


def test_put_all_brings_every_file_and_says_so(remote: Remote, root: Path, tmp_path: Path) -> None:
    paths = many(tmp_path / "many", [0, 1, 100_000, BIG, 12_000_000, 300_000, 9_000_001, *[5000] * 40])
    done: list[Put] = []
    told: list[int] = []
    puts = [Put(path, f"inbox/{path.name}") for path in paths]
    remote.put_all(iter(puts), told.append, done.append)
    assert sorted(put.name for put in done) == sorted(put.name for put in puts)
    assert sum(told) == sum(path.stat().st_size for path in paths)
    for path in paths:
        assert (root / "inbox" / path.name).read_bytes() == path.read_bytes()
    assert len(list((root / "inbox").iterdir())) == len(paths)


def test_then_begins_when_the_first_has_its_name(remote: Remote, root: Path, tmp_path: Path) -> None:
    pairs = 12
    paths = many(tmp_path / "many", [200_000, 300] * pairs)
    puts = [Put(paths[2 * n], f"{n}.nfb", then=Put(paths[2 * n + 1], f"{n}.json")) for n in range(pairs)]
    done: list[str] = []

    def on_done(put: Put) -> None:
        if put.name.endswith(".json"):
            assert put.name.replace(".json", ".nfb") in done
        assert (root / put.name).read_bytes() == put.local.read_bytes()
        done.append(put.name)

    def watched() -> Iterator[Put]:
        for put in puts:
            yield put
            for path in root.glob("*.json*"):  # not even begun before
                assert path.with_name(path.name.split(".")[0] + ".nfb").exists()

    remote.put_all(watched(), on_done=on_done)
    assert len(done) == 2 * pairs


def test_skip_same_size(remote: Remote, root: Path, local: Path) -> None:
    (root / "same").write_bytes(bytes(BIG))
    (root / "same.part").write_bytes(b"left over")
    (root / "other").write_bytes(bytes(BIG - 1))
    told: list[int] = []
    puts = [Put(local, name, skip_same_size=skip) for name, skip in (("same", True), ("other", True), ("new", False))]
    remote.put_all(puts, told.append)
    assert (root / "same").read_bytes() == bytes(BIG)
    assert (root / "other").read_bytes() == local.read_bytes()
    assert (root / "new").read_bytes() == local.read_bytes()
    assert sum(told) == 3 * BIG


def test_puts_are_pulled_when_needed(remote: Remote, root: Path, tmp_path: Path) -> None:
    large, small = many(tmp_path / "many", [12_000_000, 2000])
    told: list[int] = []
    done: list[Put] = []
    ahead: list[int] = []

    def pulled() -> Iterator[Put]:
        for number in range(8):
            ahead.append(number * 12_000_000 - sum(told))
            yield Put(large, f"{number}")
        done.clear()
        for number in range(300):
            assert number - len(done) <= 64 + 8
            yield Put(small, f"{number}")

    remote.put_all(pulled(), told.append, done.append)
    assert max(ahead) <= 33 << 20


def test_an_error_in_the_middle(remote: Remote, root: Path, tmp_path: Path) -> None:
    paths = many(tmp_path / "many", [200_000] * 30)
    paths[20].unlink()
    pulled: list[Path] = []
    done: list[str] = []

    def puts() -> Iterator[Put]:
        for path in paths:
            pulled.append(path)
            yield Put(path, path.name)

    with pytest.raises(FileNotFoundError):
        remote.put_all(puts(), on_done=lambda put: done.append(put.name))
    assert pulled == paths[:21]
    assert sorted(done) == sorted(path.name for path in paths[:20])
    paths[20].write_bytes(b"back again")
    remote.put_all([Put(path, path.name, skip_same_size=True) for path in paths])
    for path in paths:
        assert (root / path.name).read_bytes() == path.read_bytes()


def test_an_exception_of_the_caller_abandons(remote: Remote, root: Path, huge: Path) -> None:
    class Stop(Exception):
        pass

    def stop(_: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        remote.put(huge, "a", stop)
    assert not (root / "a").exists()
    remote.put(huge, "a")
    assert (root / "a").read_bytes() == huge.read_bytes()


def test_the_same_name_twice_at_once(remote: Remote, root: Path, tmp_path: Path) -> None:
    first, second = many(tmp_path / "many", [400_000, 300_000])
    remote.put_all([Put(first, "a"), Put(second, "a")])
    assert (root / "a").read_bytes() == second.read_bytes()


def test_get_many(remote: Remote, root: Path) -> None:
    (root / "receipts").mkdir()
    expected = {}
    for number in range(50):
        data = os.urandom(number * 4000)
        (root / f"receipts/{number}").write_bytes(data)
        expected[f"receipts/{number}"] = data
    (root / "receipts/large").write_bytes(bytes(300_000))
    names = [*expected, "receipts/none", "nowhere/none", "receipts/large"]
    found = remote.get_many(names, limit=200_000)
    assert len(found.pop("receipts/large")) == 200_001
    assert found == expected
    assert remote.get_many([]) == {}


def test_every_byte_is_throttled(reach: Reach, root: Path, tmp_path: Path) -> None:
    paths = many(tmp_path / "many", [0, 17, BIG, 12_000_000])
    counts: list[int] = []
    reach(throttle=counts.append).put_all([Put(path, path.name) for path in paths])
    assert sum(counts) == sum(path.stat().st_size for path in paths)
    assert max(counts) <= 4 << 20


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "file"], indirect=True)  # a disk has no stripes
@pytest.mark.parametrize("there", [1_000_000, 40_000_000])
def test_a_striped_part_is_continued_before_its_holes(remote: Remote, root: Path, huge: Path, there: int) -> None:
    good = max(0, there - WINDOW)
    (root / "a.striped.part").write_bytes(huge.read_bytes()[:good] + bytes(there - good))
    told: list[int] = []
    remote.put(huge, "a", told.append)
    assert (root / "a").read_bytes() == huge.read_bytes()
    assert [path.name for path in root.iterdir()] == ["a"]
    if good:
        assert told[0] == good
    assert sum(told) == HUGE


@pytest.mark.parametrize("name", ["a.part", "a.striped.part"])
def test_a_large_part_of_something_else_is_written_anew(remote: Remote, root: Path, huge: Path, name: str) -> None:
    (root / name).write_bytes(os.urandom(41_000_000))
    remote.put(huge, "a")
    assert (root / "a").read_bytes() == huge.read_bytes()
    assert list(root.glob("a.part")) == []


def test_a_sequential_part_goes_on_at_its_end(remote: Remote, root: Path, huge: Path) -> None:
    (root / "a.part").write_bytes(huge.read_bytes()[:40_000_000])
    told: list[int] = []
    remote.put(huge, "a", told.append)
    assert told[0] == 40_000_000
    assert (root / "a").read_bytes() == huge.read_bytes()
    assert [path.name for path in root.iterdir()] == ["a"]


def test_streams_come_and_go(remote: Remote, root: Path, local: Path, kind: str) -> None:
    if kind == "file":
        assert remote.link() is None
        remote.set_streams(3)
        remote.put(local, "a")
        return
    assert remote.link() is None
    for streams in (3, 1, 2):
        remote.set_streams(streams)
        remote.put(local, "a")
        deadline = time.monotonic() + 20  # of a test that hangs; they join when they are up
        while (state := remote.link()) is None or state.streams != streams:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert 0 <= state.loss <= 1
        assert 0 < state.round_trip_s < 10
    assert (root / "a").read_bytes() == local.read_bytes()
    remote.close()
    assert remote.link() is None
