"""An SFTP server with none of OpenSSH's extensions: plain version 3, as other servers are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.demo.sshd import find_sshd
from tests.fixtures.sshd import PrivateSshd
from transfer.remotes.base import Put, Remote
from transfer.remotes.open import open_remote

EXTENSIONS = "posix-rename,fsync,statvfs,fstatvfs,hardlink,lsetstat,limits,expand-path,copy-data,home-directory"


@pytest.fixture(scope="module")
def plain_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSshd]:
    binary = find_sshd()
    assert binary is not None
    server = PrivateSshd(tmp_path_factory.mktemp("sshd"), binary)
    config = server.root / "sshd_config"
    config.write_text(config.read_text().replace("internal-sftp", f"internal-sftp -P {EXTENSIONS}"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["paramiko", "openssh"])
def remote(request: pytest.FixtureRequest, plain_sshd: PrivateSshd, tmp_path: Path) -> Iterator[Remote]:
    (tmp_path / "remote").mkdir()
    keys = {"key_file": plain_sshd.key_file, "known_hosts": plain_sshd.known_hosts, "timeout_s": 10.0}
    with open_remote(plain_sshd.url(tmp_path / "remote"), **keys, transport=request.param, streams=2) as made:
        yield made


def test_put_replaces_and_continues(remote: Remote, tmp_path: Path) -> None:
    root, local = tmp_path / "remote", tmp_path / "local"
    local.write_bytes(os.urandom(9_000_000))
    (root / "a").write_bytes(b"old")
    (root / "b.part").write_bytes(local.read_bytes()[:5_000_000])
    told: list[int] = []
    remote.put_all([Put(local, "a"), Put(local, "new/c")])
    remote.put(local, "b", told.append)
    assert told[0] == 5_000_000
    for name in ("a", "b", "new/c"):
        assert (root / name).read_bytes() == local.read_bytes()
    assert sorted(path.name for path in root.iterdir()) == ["a", "b", "new"]
    assert remote.free_bytes() is None
