"""A sending process that keeps its connections: our remote, or plain paramiko's `put`; steered by JSON lines.

Run as `python rig/sender.py '{…}'` at the near end. It says `{"ready": true}` when its modules are loaded. Commands:
`{"do": "open"}`, `{"do": "send", "files": [[local, name], …]}`, `{"do": "close"}`; each answer is
`{"seconds": …, "cpu_s": …}` or `{"error": …}`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))


class Sender(Protocol):
    """Something that sends files and keeps what it has opened until `close`."""

    def send(self, files: list[tuple[Path, str]]) -> None:
        """Send files to names below the destination; returns when all are there under their names."""
        ...

    def close(self) -> None:
        """Drop the connections."""
        ...


class Ours:
    """Our remote, as the shipper uses it."""

    def __init__(self, asked: dict[str, Any]) -> None:
        from transfer.remotes.open import open_remote

        self._remote = open_remote(
            asked["url"],
            key_file=Path(asked["key_file"]),
            known_hosts=Path(asked["known_hosts"]),
            timeout_s=60.0,
            **{name: asked[name] for name in ("transport", "streams") if name in asked},
        )

    def send(self, files: list[tuple[Path, str]]) -> None:
        """See `Sender.send`."""
        from transfer.remotes.base import Put

        self._remote.put_all([Put(local, name) for local, name in files], lambda _: None, lambda _: None)

    def close(self) -> None:
        """See `Sender.close`."""
        self._remote.close()


class Paramiko:
    """Plain `SFTPClient.put`, one file after the other."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self._asked = asked
        self._ssh: Any = None
        self._sftp: Any = None

    def send(self, files: list[tuple[Path, str]]) -> None:
        """See `Sender.send`."""
        if self._sftp is None:
            self._connect()
        for local, name in files:
            self._sftp.put(str(local), f"{self._asked['directory']}/{name}")

    def _connect(self) -> None:
        import paramiko

        self._ssh = paramiko.SSHClient()
        self._ssh.load_host_keys(self._asked["known_hosts"])
        self._ssh.connect(
            self._asked["address"],
            self._asked["port"],
            self._asked["user"],
            key_filename=self._asked["key_file"],
            allow_agent=False,
            look_for_keys=False,
            banner_timeout=60,
        )
        self._sftp = self._ssh.open_sftp()

    def close(self) -> None:
        """See `Sender.close`."""
        if self._ssh is not None:
            self._ssh.close()
        self._ssh = self._sftp = None


def cpu_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


def answer(**words: Any) -> None:
    """One line to the one who steers."""
    print(json.dumps(words), flush=True)


def main() -> None:
    """Obey until the standard input ends."""
    asked = json.loads(sys.argv[1])
    import paramiko  # noqa: F401  # a daemon has it loaded long before a frame comes

    sender: Sender = Ours(asked) if asked["kind"] == "ours" else Paramiko(asked)
    answer(ready=True)
    for line in sys.stdin:
        command = json.loads(line)
        begun, spent = time.perf_counter(), cpu_s()
        try:
            if command["do"] == "close":
                sender.close()
            else:
                sender.send([(Path(local), name) for local, name in command["files"]])
        except Exception as error:  # noqa: BLE001  # whatever it is, the row says so
            answer(error=f"{type(error).__name__}: {error}")
            continue
        answer(seconds=time.perf_counter() - begun, cpu_s=cpu_s() - spent)


if __name__ == "__main__":
    main()
