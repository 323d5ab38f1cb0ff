"""What `ssh` is told, and what its complaints mean."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from transfer.errors import HostKeyMismatch, Refused, TransferError, Unreachable
from transfer.remotes.sftp.line import Address
from transfer.remotes.sftp.openssh_line import complaint, ssh_arguments

ADDRESS = Address("example.org", 2222, "ferry", Path("/keys/my key%h"), Path('/keys/known "hosts"'), 10.0)


def test_ssh_understands_every_option() -> None:
    told = subprocess.run(["ssh", "-G", *ssh_arguments(ADDRESS)], check=True, capture_output=True, text=True)
    settings = dict(line.split(" ", 1) for line in told.stdout.splitlines() if " " in line)
    assert settings["user"] == "ferry"
    assert settings["port"] == "2222"
    assert settings["batchmode"] == "yes"
    assert settings["stricthostkeychecking"] in {"true", "yes"}
    assert settings["identitiesonly"] == "yes"
    assert settings["ciphers"].startswith("aes128-gcm@openssh.com,")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", HostKeyMismatch),
        ("No ED25519 host key is known for x and you have requested\nHost key verification failed.", HostKeyMismatch),
        ("ferry@example.org: Permission denied (publickey).", Refused),
        ('Load key "/k": invalid format\nferry@example.org: Permission denied (publickey).', Refused),
        ("subsystem request failed on channel 0", Refused),
        ("ssh: connect to host example.org port 2222: Connection refused", Unreachable),
        ("Connection closed by 10.0.0.1 port 22", Unreachable),
        ("kex_exchange_identification: read: Connection reset by peer", Unreachable),
    ],
)
def test_complaints(said: str, error: type[TransferError]) -> None:
    assert type(complaint(ADDRESS, said)) is error


def test_silence_is_no_complaint() -> None:
    assert complaint(ADDRESS, "\n") is None
