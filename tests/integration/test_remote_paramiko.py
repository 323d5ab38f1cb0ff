"""The lean send path in paramiko's transport: with other ciphers, other versions, and keys that change on the way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import paramiko
import pytest

from tests.fixtures.sshd import PrivateSshd
from transfer.remotes.base import Put, Remote
from transfer.remotes.open import open_remote
from transfer.remotes.sftp import lean, login, paramiko_line
from transfer.remotes.sftp.lean import LeanSender


@pytest.fixture
def sent_lean(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Bytes that took the lean path."""
    sent: list[int] = []
    real = LeanSender.send

    def send(self: LeanSender, parts: Sequence[bytes]) -> None:
        real(self, parts)
        sent.append(sum(map(len, parts)))

    monkeypatch.setattr(LeanSender, "send", send)
    return sent


@pytest.fixture
def remote(sshd: PrivateSshd, tmp_path: Path) -> Iterator[Remote]:
    keys = {"key_file": sshd.key_file, "known_hosts": sshd.known_hosts, "timeout_s": 10.0}
    (tmp_path / "remote").mkdir()
    with open_remote(sshd.url(tmp_path / "remote"), **keys, streams=2) as made:
        yield made


def ship(remote: Remote, tmp_path: Path, size: int = 9_000_000, count: int = 3) -> None:
    local = tmp_path / "local"
    local.write_bytes(os.urandom(size))
    remote.put_all([Put(local, f"{number}") for number in range(count)])
    for number in range(count):
        assert (tmp_path / "remote" / str(number)).read_bytes() == local.read_bytes()


def test_data_goes_the_lean_way(remote: Remote, tmp_path: Path, sent_lean: list[int]) -> None:
    ship(remote, tmp_path)
    assert sum(sent_lean) > 27_000_000


def test_keys_change_on_the_way(
    remote: Remote, tmp_path: Path, sent_lean: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    exchanges: list[int] = []
    real = paramiko.Transport._activate_outbound

    def activate(self: paramiko.Transport) -> None:
        exchanges.append(1)
        real(self)

    monkeypatch.setattr(paramiko.Transport, "_activate_outbound", activate)
    monkeypatch.setattr(paramiko_line, "REKEY_BYTES", 2_000_000)
    ship(remote, tmp_path)
    ship(remote, tmp_path, 100_000, 40)
    assert len(exchanges) > 6
    assert sum(sent_lean) > 27_000_000


@pytest.mark.parametrize("cipher", ["aes128-ctr", "aes256-gcm@openssh.com"])
def test_other_ciphers(
    remote: Remote, tmp_path: Path, sent_lean: list[int], monkeypatch: pytest.MonkeyPatch, cipher: str
) -> None:
    monkeypatch.setattr(login, "FIRST_CIPHERS", (cipher,))
    ship(remote, tmp_path)
    assert bool(sent_lean) == ("gcm" in cipher)


def test_a_paramiko_whose_inside_is_unknown(
    remote: Remote, tmp_path: Path, sent_lean: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lean, "_INNER", (*lean._INNER, "attribute_of_another_version"))
    ship(remote, tmp_path)
    assert sent_lean == []


def test_a_cipher_library_that_cannot_encrypt_in_place(
    remote: Remote, tmp_path: Path, sent_lean: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lean, "IN_PLACE", "method_of_another_version")
    ship(remote, tmp_path)
    assert sum(sent_lean) > 27_000_000
