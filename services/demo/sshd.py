"""A private sshd on loopback: the real server, this user's own keys, sftp only."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from services.demo.ports import free_port
from transfer.remotes.open import open_remote

_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {root}/host_key
PidFile {root}/sshd.pid
AuthorizedKeysFile {root}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
ForceCommand internal-sftp
AllowTcpForwarding no
X11Forwarding no
PermitTTY no
LogLevel ERROR
"""


def find_sshd() -> Path | None:
    """The sshd of this host, or None. (sshd insists on being started by its whole path.)"""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


class PrivateSshd:
    """An sshd that runs as this user, for this user, on a free port."""

    def __init__(self, root: Path, binary: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.user = getpass.getuser()
        self.key_file = root / "client_key"
        self.known_hosts = root / "known_hosts"
        host = new_key(root / "host_key")
        client = new_key(self.key_file)
        (root / "authorized_keys").write_text(f"{client} nightferry\n", encoding="ascii")
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {host}\n", encoding="ascii")
        (root / "sshd_config").write_text(_CONFIG.format(port=self.port, root=root), encoding="utf-8")

    def start(self, timeout_s: float = 10.0) -> None:
        """Start, and wait until it answers.

        Raises
        ------
        OSError
            It ended at once, or did not answer in time; its own words are in the message.
        """
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # the privilege separation directory it insists on
        log = self.root / "sshd.log"
        command = [str(self._binary), "-D", "-f", str(self.root / "sshd_config"), "-E", str(log)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
                    return
            except OSError:
                time.sleep(0.05)
        words = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        self.stop()
        raise OSError(f"sshd does not answer on port {self.port}: {words.strip()}")

    def url(self, path: Path) -> str:
        """Address of a directory on this server."""
        return f"sftp://{self.user}@127.0.0.1:{self.port}{path}"

    def try_login(self, path: Path) -> None:
        """Log in once as a route would (`TransferError` when that fails)."""
        remote = open_remote(self.url(path), key_file=self.key_file, known_hosts=self.known_hosts, timeout_s=10.0)
        try:
            remote.list("inbox")
        finally:
            remote.close()

    def route(self, path: Path) -> dict[str, Any]:
        """The part of a route's settings that leads to `path` on this server."""
        return {
            "url": self.url(path),
            "key_file": str(self.key_file),
            "known_hosts": str(self.known_hosts),
        }

    def stop(self) -> None:
        """Stop it, by its process id."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=5)
        self._process = None


def new_key(path: Path) -> str:
    """Write a new ed25519 key (0600); its public half as one line."""
    key = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
