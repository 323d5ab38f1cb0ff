"""Quarantine for a person's eyes: a note that says why. The raw file stays untouched where the camera put it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


class Notes:
    """One small text file per quarantined file, in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, path: str, reason: str) -> None:
        """Say why this file is set aside."""
        note = self._note(path)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_bytes(os.fsencode(path) + f"\n{reason}\n".encode())

    def remove(self, path: str) -> None:
        """The file is whole now: its note would only mislead."""
        self._note(path).unlink(missing_ok=True)

    def _note(self, path: str) -> Path:
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
        name = os.fsencode(Path(path).name)[:200].decode(errors="ignore")  # of the 255 bytes that a name may have
        return self._directory / f"{name}.{digest}.txt"
