"""What goes wrong on the way: keys, cut lines, silence, permissions, a disk that is not mounted."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.demo.ports import free_port
from tests.fixtures.cutter import Cutter
from tests.fixtures.disk import small_disk_at
from tests.fixtures.sshd import PrivateSshd, new_key
from transfer.errors import HostKeyMismatch, NoSpace, Refused, Unreachable
from transfer.remotes.base import Put, Remote
from transfer.remotes.open import open_remote


@pytest.fixture
def cutter(sshd: PrivateSshd) -> Iterator[Cutter]:
    made = Cutter(sshd.port)
    yield made
    made.close()


Reach = Callable[..., Remote]


@pytest.fixture(params=["paramiko-1", "paramiko-3", "openssh-1", "openssh-2"])
def reach(request: pytest.FixtureRequest, sshd: PrivateSshd) -> Reach:
    """Makes remotes on the server, or on a port that leads to it."""
    transport, streams = request.param.split("-")

    def make(root: Path, port: int | None = None, **changed: object) -> Remote:
        known = sshd.root / f"known-{port or sshd.port}"
        known.write_text(sshd.known_hosts.read_text().replace(f":{sshd.port} ", f":{port or sshd.port} "))
        settings: dict = {"key_file": sshd.key_file, "known_hosts": known, "timeout_s": 10.0, "transport": transport}
        settings |= {"streams": int(streams)} | changed
        return open_remote(f"sftp://{sshd.user}@127.0.0.1:{port or sshd.port}{root}", **settings)

    return make


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("sftp", "ssh-stderr"))]


def test_an_unknown_host_key_is_refused(reach: Reach, sshd: PrivateSshd, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    empty.touch()
    with reach(tmp_path, known_hosts=empty) as remote, pytest.raises(HostKeyMismatch, match="does not have"):
        remote.stat("a")


def test_a_changed_host_key_is_refused(reach: Reach, sshd: PrivateSshd, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{sshd.port} {new_key(tmp_path / 'other')}\n")
    with reach(tmp_path, known_hosts=known) as remote, pytest.raises(HostKeyMismatch, match="another host key"):
        remote.stat("a")


def test_missing_known_hosts_is_refused(reach: Reach, sshd: PrivateSshd, tmp_path: Path) -> None:
    with reach(tmp_path, known_hosts=tmp_path / "none") as remote, pytest.raises(Refused, match="trust"):
        remote.stat("a")


def test_a_key_that_is_not_let_in_is_refused(reach: Reach, sshd: PrivateSshd, tmp_path: Path) -> None:
    new_key(tmp_path / "stranger")
    with (
        reach(tmp_path, key_file=tmp_path / "stranger") as remote,
        pytest.raises(Refused, match="does not let"),
    ):
        remote.stat("a")


def test_a_key_file_that_is_none_is_refused(reach: Reach, sshd: PrivateSshd, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("nothing")
    with reach(tmp_path, key_file=tmp_path / "key") as remote, pytest.raises(Refused, match="private key"):
        remote.stat("a")


def test_nobody_listening_is_unreachable(reach: Reach, sshd: PrivateSshd, tmp_path: Path) -> None:
    with reach(tmp_path, port=free_port()) as remote, pytest.raises(Unreachable):
        remote.stat("a")


def test_a_server_that_says_nothing_is_unreachable_in_time(reach: Reach, sshd: PrivateSshd, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        port = dumb.getsockname()[1]
        begun = time.monotonic()
        with reach(tmp_path, port=port, timeout_s=1.0) as remote, pytest.raises(Unreachable):
            remote.stat("a")
        assert time.monotonic() - begun < 6


def test_a_cut_line_is_unreachable_and_the_next_put_continues(reach: Reach, cutter: Cutter, tmp_path: Path) -> None:
    root, local = tmp_path / "remote", tmp_path / "local"
    root.mkdir()
    local.write_bytes(os.urandom(6_000_000))
    with reach(root, cutter.port) as remote:
        cutter.limit = 4_000_000
        with pytest.raises(Unreachable):
            remote.put(local, "a")
        assert not (root / "a").exists()
        part = (root / "a.part").stat().st_size
        assert 0 < part < 6_000_000

        cutter.limit = None
        told: list[int] = []
        remote.put(local, "a", told.append)
    assert told[0] >= part
    assert (root / "a").read_bytes() == local.read_bytes()


def test_silence_in_mid_put_ends_in_time(reach: Reach, sshd: PrivateSshd, cutter: Cutter, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(bytes(40_000_000))
    with reach(tmp_path, cutter.port, timeout_s=1.5) as remote:
        remote.stat("a")
        begun = time.monotonic()

        def fall_silent(_: int) -> None:
            cutter.silent = True

        with pytest.raises(Unreachable):
            remote.put(local, "a", fall_silent)
        assert time.monotonic() - begun < 15


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    with small_disk_at(path, "4m"):
        yield path


@pytest.mark.parametrize("size", [3_000_000, 30_000_000])
def test_a_full_disk_is_no_space_until_there_is_room(reach: Reach, small_disk: Path, tmp_path: Path, size: int) -> None:
    local, small = tmp_path / "local", tmp_path / "small"
    local.write_bytes(os.urandom(size))
    small.write_bytes(b"small")
    (small_disk / "old").write_bytes(bytes(2_000_000))
    with reach(small_disk) as remote:
        remote.put(small, "first")
        with pytest.raises(NoSpace):
            remote.put_all([Put(local, "a", then=Put(small, "a.json"))])
        assert sorted(path.name for path in small_disk.glob("a*")) in (["a.part"], ["a.striped.part"])
        if size < 4_000_000:
            (small_disk / "old").unlink()
            remote.put(local, "a")
            assert (small_disk / "a").read_bytes() == local.read_bytes()


def test_a_full_mounted_disk_is_no_space(small_disk: Path, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(os.urandom(6_000_000))
    with (
        open_remote(small_disk.as_uri(), key_file=None, known_hosts=None, timeout_s=10) as remote,
        pytest.raises(NoSpace),
    ):
        remote.put(local, "a")


def test_a_failure_that_is_no_full_disk_is_unreachable(reach: Reach, tmp_path: Path) -> None:
    # SFTP has one code for every failure; only a disk without room is told apart, and this one has room
    (tmp_path / "local").write_bytes(b"x" * 100_000)
    (tmp_path / "a.part").symlink_to("/dev/full")
    with reach(tmp_path) as remote, pytest.raises(Unreachable):
        remote.put(tmp_path / "local", "a")


# Where a connection breaks: in the TCP, SSH and SFTP handshakes, in the first requests, in the data, at the very end.
CUTS = [10, 2_300, 3_300, 270_000, 5_999_000]
MORE_CUTS = [
    0,
    900,
    1_800,
    2_900,
    3_700,
    4_300,
    50_000,
    1_000_003,
    4_444_444,
    6_001_000,
    6_002_000,
    6_003_000,
    6_004_000,
]


@pytest.mark.parametrize("cut", [*CUTS, *(pytest.param(cut, marks=pytest.mark.slow) for cut in MORE_CUTS)])
def test_cut_at_a_byte(reach: Reach, cutter: Cutter, tmp_path: Path, cut: int) -> None:
    root, local, small = tmp_path / "remote", tmp_path / "local", tmp_path / "small"
    root.mkdir()
    local.write_bytes(os.urandom(6_000_000))
    small.write_bytes(b"manifest")
    puts = [Put(local, "inbox/a", then=Put(small, "inbox/a.json")), Put(small, "inbox/b")]
    with reach(root, cutter.port, timeout_s=5.0) as remote:
        cutter.limit = cut
        done: list[str] = []
        try:
            remote.put_all(puts, on_done=lambda put: done.append(put.name))
        except Unreachable:
            assert len(done) < 3
        for name in done:
            assert (root / name).exists()
        if not (root / "inbox/a").exists():
            assert not (root / "inbox/a.json").exists()
        cutter.limit = None
        remote.put_all(puts)
    assert (root / "inbox/a").read_bytes() == local.read_bytes()
    assert (root / "inbox/a.json").read_bytes() == (root / "inbox/b").read_bytes() == b"manifest"
    assert not list((root / "inbox").glob("*.part"))


def test_a_striped_file_goes_on_where_it_was_cut(reach: Reach, cutter: Cutter, tmp_path: Path) -> None:
    root, local = tmp_path / "remote", tmp_path / "local"
    root.mkdir()
    local.write_bytes(os.urandom(30_000_000))
    with reach(root, cutter.port) as remote:
        cutter.limit = 7_000_000  # of each connection
        sent: list[int] = []
        with pytest.raises(Unreachable):
            remote.put(local, "a", sent.append)
        cutter.limit = None
        told: list[int] = []
        remote.put(local, "a", told.append)
    assert (root / "a").read_bytes() == local.read_bytes()
    assert [path.name for path in root.iterdir()] == ["a"]
    assert told[0] > 1_000_000  # what was acknowledged is not sent again, within this process even behind holes
    assert sum(told) == 30_000_000


@pytest.mark.parametrize("where", [0, 40_000, 5_900_000])
def test_wrong_bytes_in_a_part_are_found_where_they_are_compared(reach: Reach, tmp_path: Path, where: int) -> None:
    """The last 64 KiB are compared; what lies before is for the receiver to find, against the manifest."""
    root, local = tmp_path / "remote", tmp_path / "local"
    root.mkdir()
    local.write_bytes(os.urandom(6_000_000))
    part = bytearray(local.read_bytes()[: where + 60_000])
    part[where] ^= 1
    (root / "a.part").write_bytes(part)
    with reach(root) as remote:
        remote.put(local, "a")
    assert (root / "a").read_bytes() == local.read_bytes()


def test_a_local_file_that_becomes_short_is_the_callers_error(reach: Reach, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(bytes(60_000_000))

    def cut(_: int) -> None:
        os.truncate(local, 1_000_000)

    with reach(tmp_path) as remote, pytest.raises(OSError, match="shorter"):
        remote.put(local, "a", cut)
    assert not (tmp_path / "a").exists()


def test_a_stranger_that_speaks_no_ssh_is_unreachable(reach: Reach, tmp_path: Path) -> None:
    def talk(listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.sendall(b"220 mail.example.com ESMTP\r\n" * 300)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk, args=(listener,))
        thread.start()
        with reach(tmp_path, listener.getsockname()[1], timeout_s=2.0) as remote, pytest.raises(Unreachable):
            remote.stat("a")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_root_that_is_not_mounted_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "local").touch()
    with (
        open_remote((tmp_path / "usb").as_uri(), key_file=None, known_hosts=None, timeout_s=10) as remote,
        pytest.raises(Unreachable, match="mounted"),
    ):
        remote.put(tmp_path / "local", "a")
    assert not (tmp_path / "usb").exists()


def test_permission_denied_is_refused(reach: Reach, sshd: PrivateSshd, tmp_path: Path) -> None:
    # /sys refuses new files even from root
    (tmp_path / "local").write_bytes(b"x")
    with reach(Path("/sys")) as remote, pytest.raises(Refused):
        remote.put(tmp_path / "local", "a")
    if os.geteuid():
        (tmp_path / "closed").mkdir(mode=0o500)
        with (
            open_remote((tmp_path / "closed").as_uri(), key_file=None, known_hosts=None, timeout_s=10) as remote,
            pytest.raises(Refused),
        ):
            remote.put(tmp_path / "local", "a")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "sftp://host/x",
        "sftp://user:secret@host/x",
        "sftp://user@host",
        "sftp://user@host:99999/x",
        "file://other/x",
        "nonsense",
    ],
)
def test_urls_that_are_none(url: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        open_remote(url, key_file=tmp_path, known_hosts=tmp_path, timeout_s=1)
    assert "secret" not in str(caught.value)


def test_sftp_needs_its_files() -> None:
    with pytest.raises(Refused, match="known_hosts"):
        open_remote("sftp://user@host/x", key_file=None, known_hosts=None, timeout_s=1)
