"""What kind of file system a path lies on: events and file locks do not work over the network."""

from __future__ import annotations

from pathlib import Path
from typing import Final

NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "lustre", "glusterfs"}
)


def filesystem_type(path: Path) -> str:
    """Type of the file system that holds `path` (or its nearest existing parent), as /proc/self/mounts names it."""
    here = path
    while not here.exists() and here != here.parent:
        here = here.parent
    here = here.resolve()
    best, kind = -1, "unknown"
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        _, mount, fstype, *_ = line.split(" ")
        point = Path(mount.encode().decode("unicode_escape"))
        if (here == point or point in here.parents) and len(point.parts) > best:
            best, kind = len(point.parts), fstype
    return kind


def is_network(path: Path) -> bool:
    """True when `path` lies on a network file system, where inotify sees nothing and SQLite's locks may lie."""
    return filesystem_type(path) in NETWORK
