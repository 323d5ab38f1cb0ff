"""The peers: what people use today to bring files over SSH, as commands."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rig.server import Far

Commands = list[list[str]]


@dataclass(frozen=True)
class Job:
    """Files of one directory to a directory at the far side; `warm` uses the open ssh connections."""

    far: Far
    source: Path
    target: Path
    scratch: Path
    warm: bool

    def master(self, number: int = 0) -> int | None:
        """The open connection to use, if any."""
        return number if self.warm else None

    def shell(self, number: int = 0) -> str:
        """ssh as other programs are told of it."""
        return shlex.join(self.far.ssh(self.master(number)))

    def at(self, path: Path) -> str:
        """`user@host:path`, as scp and rsync have it."""
        return f"{self.far.user}@{self.far.address}:{path}"

    def names(self) -> list[str]:
        """Names of the files."""
        return sorted(path.name for path in self.source.iterdir())


def rsync(job: Job) -> Commands:
    """One rsync."""
    return [["rsync", "-a", "-e", job.shell(), f"{job.source}/", job.at(job.target) + "/"]]


def rsync_of(number: int) -> Callable[[Job], Commands]:
    """Several rsyncs side by side, each with a connection and a share of the files."""

    def commands(job: Job) -> Commands:
        names = job.names()
        made = []
        for share in range(min(number, len(names))):
            listed = job.scratch / f"share{share}"
            listed.write_text("".join(f"{name}\n" for name in names[share::number]), encoding="utf-8")
            words = ["rsync", "-a", f"--files-from={listed}", "-e", job.shell(share)]
            made.append([*words, f"{job.source}/", job.at(job.target) + "/"])
        return made

    return commands


def scp(job: Job) -> Commands:
    """scp with all files at once."""
    files = [str(job.source / name) for name in job.names()]
    options = [*job.far.options(job.master()), "-P", str(job.far.port)]
    return [["scp", "-q", *options, *files, job.at(job.target) + "/"]]


def sftp(job: Job) -> Commands:
    """sftp in batch mode."""
    batch = job.scratch / "batch"
    batch.write_text(f"put {job.source}/* {job.target}/\n", encoding="utf-8")
    options = [*job.far.options(job.master()), "-P", str(job.far.port)]
    return [["sftp", "-q", *options, "-b", str(batch), f"{job.far.user}@{job.far.address}"]]


def tar(job: Job) -> Commands:
    """tar on both sides of ssh."""
    pack = shlex.join(["tar", "-C", str(job.source), "-cf", "-", "."])
    unpack = shlex.join(["tar", "-C", str(job.target), "-xf", "-"])
    remote = shlex.join([*job.far.ssh(job.master()), job.far.address, unpack])
    return [["sh", "-c", f"{pack} | {remote}"]]


def lftp(job: Job) -> Commands:
    """lftp with four connections of its own."""
    far = job.far
    program = shlex.join(["ssh", "-a", "-x", *far.options()])
    script = "; ".join(
        (
            "set cmd:fail-exit yes",
            f'set sftp:connect-program "{program}"',
            f"open -p {far.port} -u {far.user}, sftp://{far.address}",
            f"mirror -R -P4 --no-perms {shlex.quote(str(job.source))} {shlex.quote(str(job.target))}",
        )
    )
    return [["lftp", "-c", script]]


def rclone(job: Job) -> Commands:
    """rclone as it comes (four transfers), with connections of its own."""
    far = job.far
    options = {
        "--config": "/dev/null",
        "--sftp-host": far.address,
        "--sftp-port": far.port,
        "--sftp-user": far.user,
        "--sftp-key-file": far.key_file,
        "--sftp-known-hosts-file": far.known_hosts,
        "--retries": 1,
    }
    words = [str(word) for option in options.items() for word in option]
    return [["rclone", "copy", "-q", *words, f"{job.source}/", f":sftp:{job.target}"]]


@dataclass(frozen=True)
class Peer:
    """A program to compare with, and the connections it shares when they are warm (0: it makes its own)."""

    name: str
    key: str
    needs: str
    commands: Callable[[Job], Commands]
    masters: int = 1

    @property
    def missing(self) -> str | None:
        """Why it cannot run here."""
        return None if shutil.which(self.needs) else "not installed"


RSYNC = Peer("rsync", "rsync", "rsync", rsync)
RSYNC4 = Peer("rsync ×4", "rsync4", "rsync", rsync_of(4), masters=4)
SCP = Peer("scp", "scp", "scp", scp)
SFTP = Peer("sftp", "sftp", "sftp", sftp)
OTHERS: Sequence[Peer] = (
    RSYNC4,
    SCP,
    SFTP,
    Peer("tar | ssh", "tar", "tar", tar),
    Peer("lftp -P4", "lftp", "lftp", lftp, masters=0),
    Peer("rclone", "rclone", "rclone", rclone, masters=0),
)
