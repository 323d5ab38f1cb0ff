"""What lies in a directory, cheaply: called every second, for hundreds of files."""

from __future__ import annotations

import os
import re
from collections.abc import Container
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path

from services.housekeeping.sources.base import SourceUnreachable


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: its name in the directory, whether the pattern fits it, and what the file system says of it."""

    name: str
    fits: bool
    device: int
    inode: int
    size: int
    mtime_ns: int


class Directory:
    """One directory and a pattern of names."""

    def __init__(self, path: Path, pattern: str) -> None:
        self.path = path
        self._hidden = pattern.startswith(".")
        self._pattern = re.compile(translate(pattern))
        self._fits: dict[str, bool] = {}
        self.unreadable = ""  # a file that could not be looked at last time, and why

    def look(self, known_inodes: Container[int]) -> list[Entry]:
        """Files whose name fits the pattern, and files under any name whose inode is known (they were renamed).

        Raises
        ------
        SourceUnreachable
            The directory cannot be read.
        """
        found: list[Entry] = []
        self.unreadable = ""
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    fits = self._matches(entry.name)
                    if not fits and entry.inode() not in known_inodes:
                        continue
                    try:
                        if not entry.is_file():
                            continue
                        stat = entry.stat()
                    except FileNotFoundError:  # gone since the directory was read
                        continue
                    except OSError as error:  # a loop of links, a stale file of NFS: the other files are there
                        self.unreadable = f"{self.path / entry.name}: {error.strerror or error}"
                        continue
                    found.append(Entry(entry.name, fits, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns))
        except OSError as error:
            raise SourceUnreachable(f"{self.path}: {error.strerror or error}") from None
        return found

    def _matches(self, name: str) -> bool:
        known = self._fits.get(name)
        if known is None:
            if len(self._fits) > 100_000:
                self._fits.clear()
            known = self._pattern.match(name) is not None and (self._hidden or not name.startswith("."))
            self._fits[name] = known
        return known
