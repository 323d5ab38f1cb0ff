"""What goes wrong on the way: keys, cut lines, silence, permissions, a disk that is not mounted."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.sshd import PrivateSshd, free_port, new_key
from transfer.errors import NoSpace, Refused, Unreachable
from transfer.remotes.base import Remote
from transfer.remotes.open import open_remote


class Cutter:
    """A TCP relay to sshd that cuts the line after so many bytes to the server, or falls silent."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.limit: int | None = None
        self.silent = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            self.open += [client, server]
            threading.Thread(target=self._relay, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._relay, args=(server, client, False), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket, upward: bool) -> None:
        sent = 0
        try:
            while data := source.recv(65536):
                while self.silent:
                    time.sleep(0.05)
                if upward and self.limit is not None and sent + len(data) > self.limit:
                    break
                sink.sendall(data)
                sent += len(data)
        except OSError:
            pass
        for each in (source, sink):
            with_shutdown(each)

    def close(self) -> None:
        self.silent = False
        self.listener.close()
        for each in self.open:
            with_shutdown(each)
            each.close()


def with_shutdown(each: socket.socket) -> None:
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


@pytest.fixture
def cutter(sshd: PrivateSshd) -> Iterator[Cutter]:
    made = Cutter(sshd.port)
    yield made
    made.close()


def reach(sshd: PrivateSshd, root: Path, port: int | None = None, **changed: object) -> Remote:
    known = sshd.root / f"known-{port or sshd.port}"
    known.write_text(sshd.known_hosts.read_text().replace(f":{sshd.port} ", f":{port or sshd.port} "))
    settings: dict = {"key_file": sshd.key_file, "known_hosts": known, "timeout_s": 10.0} | changed
    return open_remote(f"sftp://{sshd.user}@127.0.0.1:{port or sshd.port}{root}", **settings)


def test_an_unknown_host_key_is_refused(sshd: PrivateSshd, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    empty.touch()
    with reach(sshd, tmp_path, known_hosts=empty) as remote, pytest.raises(Refused, match="does not have"):
        remote.stat("a")


def test_a_changed_host_key_is_refused(sshd: PrivateSshd, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{sshd.port} {new_key(tmp_path / 'other')}\n")
    with reach(sshd, tmp_path, known_hosts=known) as remote, pytest.raises(Refused, match="another host key"):
        remote.stat("a")


def test_missing_known_hosts_is_refused(sshd: PrivateSshd, tmp_path: Path) -> None:
    with reach(sshd, tmp_path, known_hosts=tmp_path / "none") as remote, pytest.raises(Refused, match="trust"):
        remote.stat("a")


def test_a_key_that_is_not_let_in_is_refused(sshd: PrivateSshd, tmp_path: Path) -> None:
    new_key(tmp_path / "stranger")
    with (
        reach(sshd, tmp_path, key_file=tmp_path / "stranger") as remote,
        pytest.raises(Refused, match="does not let"),
    ):
        remote.stat("a")


def test_a_key_file_that_is_none_is_refused(sshd: PrivateSshd, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("nothing")
    with reach(sshd, tmp_path, key_file=tmp_path / "key") as remote, pytest.raises(Refused, match="private key"):
        remote.stat("a")


def test_nobody_listening_is_unreachable(sshd: PrivateSshd, tmp_path: Path) -> None:
    with reach(sshd, tmp_path, port=free_port()) as remote, pytest.raises(Unreachable):
        remote.stat("a")


def test_a_server_that_says_nothing_is_unreachable_in_time(sshd: PrivateSshd, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        port = dumb.getsockname()[1]
        begun = time.monotonic()
        with reach(sshd, tmp_path, port=port, timeout_s=1.0) as remote, pytest.raises(Unreachable):
            remote.stat("a")
        assert time.monotonic() - begun < 6


def test_a_cut_line_is_unreachable_and_the_next_put_continues(
    sshd: PrivateSshd, cutter: Cutter, tmp_path: Path
) -> None:
    root, local = tmp_path / "remote", tmp_path / "local"
    root.mkdir()
    local.write_bytes(os.urandom(6_000_000))
    with reach(sshd, root, cutter.port) as remote:
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


def test_silence_in_mid_put_ends_in_time(sshd: PrivateSshd, cutter: Cutter, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(bytes(40_000_000))
    with reach(sshd, tmp_path, cutter.port, timeout_s=1.5) as remote:
        remote.stat("a")
        begun = time.monotonic()

        def fall_silent(_: int) -> None:
            cutter.silent = True

        with pytest.raises(Unreachable):
            remote.put(local, "a", fall_silent)
        assert time.monotonic() - begun < 15


@pytest.mark.parametrize("kind", ["file", "sftp"])
def test_a_full_disk_is_no_space(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    full = Path("/dev/full")
    local = tmp_path / "local"
    local.write_bytes(b"x" * 100_000)
    (tmp_path / "a.part").symlink_to(full)
    if kind == "file":
        with (
            open_remote(tmp_path.as_uri(), key_file=None, known_hosts=None, timeout_s=10) as remote,
            pytest.raises(NoSpace),
        ):
            remote.put(local, "a")
        return
    # SFTP has one code for every failure; only a disk without room is told apart, and this one has room
    with reach(request.getfixturevalue("sshd"), tmp_path) as remote, pytest.raises(Unreachable):
        remote.put(local, "a")


def test_a_root_that_is_not_mounted_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "local").touch()
    with (
        open_remote((tmp_path / "usb").as_uri(), key_file=None, known_hosts=None, timeout_s=10) as remote,
        pytest.raises(Unreachable, match="mounted"),
    ):
        remote.put(tmp_path / "local", "a")
    assert not (tmp_path / "usb").exists()


def test_permission_denied_is_refused(sshd: PrivateSshd, tmp_path: Path) -> None:
    # /sys refuses new files even from root
    (tmp_path / "local").write_bytes(b"x")
    with reach(sshd, Path("/sys")) as remote, pytest.raises(Refused):
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
