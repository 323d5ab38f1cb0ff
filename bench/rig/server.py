"""The far side: a real sshd with keys of its own, behind a link or on loopback, and warm ssh masters to it."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rig.link import Link
from rig.processes import start, stop
from services.demo.ports import free_port
from services.demo.sshd import find_sshd, new_key

CIPHER = "aes128-gcm@openssh.com"  # the fastest with AES instructions; OpenSSH's first choice would slow the peers
CONFIG = """\
Port {port}
ListenAddress {address}
HostKey {root}/host_key
PidFile {root}/sshd.pid
AuthorizedKeysFile {root}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PubkeyAuthentication yes
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
MaxStartups 100
MaxSessions 100
LogLevel ERROR
"""


@dataclass(frozen=True)
class Far:
    """How to get to the far side. `near` goes before every command that talks to it."""

    near: tuple[str, ...]
    user: str
    address: str
    port: int
    key_file: Path
    known_hosts: Path
    root: Path

    def url(self, path: Path) -> str:
        """Address of a directory there, as a route has it."""
        return f"sftp://{self.user}@{self.address}:{self.port}{path}"

    def options(self, master: int | None = None) -> list[str]:
        """Options for ssh, scp and sftp; with a master, an open connection is used."""
        words = [
            "StrictHostKeyChecking=yes", "BatchMode=yes", "IdentitiesOnly=yes", "ConnectTimeout=30",
            f"UserKnownHostsFile={self.known_hosts}", f"Ciphers={CIPHER}",
        ]  # fmt: skip
        if master is not None:
            words += [f"ControlPath={self.control(master)}", "ControlMaster=no"]
        return ["-F", "none", "-i", str(self.key_file), *(word for option in words for word in ("-o", option))]

    def ssh(self, master: int | None = None) -> list[str]:
        """The ssh command up to the host."""
        return ["ssh", *self.options(master), "-p", str(self.port), "-l", self.user]

    def control(self, number: int) -> Path:
        """Socket of a master."""
        return self.root / f"m{number}"


@contextlib.contextmanager
def far_side(root: Path, link: Link | None) -> Iterator[Far]:
    """An sshd at the far end of a link, or on loopback.

    Raises
    ------
    SystemExit
        There is no sshd, or it does not start.
    """
    binary = find_sshd()
    if binary is None:
        raise SystemExit("sshd is not installed (apt install openssh-server)")
    root.mkdir(parents=True)
    address, port = (link.address, 2222) if link else ("127.0.0.1", free_port())
    host, client = new_key(root / "host_key"), new_key(root / "client_key")
    (root / "authorized_keys").write_text(client + "\n", encoding="ascii")
    (root / "known_hosts").write_text(f"[{address}]:{port} {host}\n", encoding="ascii")
    (root / "sshd_config").write_text(CONFIG.format(port=port, address=address, root=root), encoding="utf-8")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # the privilege separation directory it insists on
    log = root / "sshd.log"
    command = [*(link.far if link else ()), binary, "-D", "-f", root / "sshd_config", "-E", log]
    far = Far(
        link.near if link else (), getpass.getuser(), address, port, root / "client_key", root / "known_hosts", root
    )
    with contextlib.ExitStack() as undo:
        process = start(command, stderr=subprocess.DEVNULL)
        undo.callback(stop, process)
        _wait_for(far, link, log)
        yield far


def _wait_for(far: Far, link: Link | None, log: Path, timeout_s: float = 15.0) -> None:
    """Until the server lets us in."""
    deadline = time.monotonic() + timeout_s
    words = ""
    while time.monotonic() < deadline:
        command = [*(link.far if link else ()), *far.ssh(), far.address, "true"]  # from beside it: that is quick
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            break
        if done.returncode == 0:
            return
        words = done.stderr.strip()
        time.sleep(0.1)
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    raise SystemExit(f"the benchmark's sshd does not let us in: {words} {said}".strip())


@contextlib.contextmanager
def masters(far: Far, numbers: Sequence[int], timeout_s: float = 60.0) -> Iterator[Callable[[], None]]:
    """Connections that ssh, scp, sftp and rsync share, so that peers need not connect either.

    They are begun at once; calling what comes out waits until all are open.
    """
    with contextlib.ExitStack() as undo:
        for number in numbers:
            command = [*far.near, *far.ssh(), "-M", "-N", "-S", far.control(number), far.address]
            undo.callback(stop, start(command, stderr=subprocess.DEVNULL))
        deadline = time.monotonic() + timeout_s

        def wait() -> None:
            while not all(_listens(far.control(number)) for number in numbers):
                if time.monotonic() > deadline:
                    raise SystemExit("ssh does not open its shared connections")
                time.sleep(0.05)

        yield wait


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.connect(str(path))
        return True
    return False
