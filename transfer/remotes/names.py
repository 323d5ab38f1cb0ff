"""Names on a remote."""

from __future__ import annotations

from pathlib import PurePosixPath


def safe(name: str) -> PurePosixPath:
    """A relative name that stays below the remote's root.

    Raises
    ------
    ValueError
        Absolute, empty, or with `..` in it.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in name:
        raise ValueError(f"not a name below the remote's root: {name!r}")
    return path
