"""Archived files that are no longer what was filed make place for a good copy that comes again."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Connection, select

from services.core.ledger.schema import frames, received_frames
from transfer.checksum import sha256_file
from transfer.durable import make_dirs, move


def is_filed(conn: Connection, archive: Path, sha256: str) -> bool:
    """Whether the archive holds a frame losslessly, read to the last byte."""
    path = _path(conn, archive, sha256)
    return path is not None and path.is_file() and sha256_file(path) in _filed_as(conn, sha256)


def set_rotten_aside(conn: Connection, archive: Path, quarantine: Path, sha256: str) -> Path | None:
    """Move a frame's archived file into the quarantine when its content is another than was filed; where it is now.

    None when it is good, gone, or was never there: then nothing is in the way.
    """
    path = _path(conn, archive, sha256)
    if path is None or path.is_symlink() or not path.is_file() or sha256_file(path) in _filed_as(conn, sha256):
        return None
    directory = quarantine / "rotten"
    make_dirs(directory)
    aside = directory / f"{secrets.token_hex(4)}-{path.name}"[:255]
    move(path, aside)
    return aside


def all_filed(conn: Connection, archive: Path, names: Iterable[str]) -> bool:
    """`is_filed` for every one of these frames (sha256)."""
    return all(is_filed(conn, archive, sha256) for sha256 in names)


def _path(conn: Connection, archive: Path, sha256: str) -> Path | None:
    row = conn.execute(select(frames.c.path, frames.c.lossless).where(frames.c.sha256 == sha256)).one_or_none()
    return archive / row.path if row is not None and row.lossless else None


def _filed_as(conn: Connection, sha256: str) -> set[str]:
    """What its file may hash to: the camera's bytes, or what was restored of its pixels."""
    query = select(received_frames.c.archived_sha256).where(
        received_frames.c.sha256 == sha256, received_frames.c.archived_sha256.is_not(None)
    )
    return {sha256, *conn.execute(query).scalars()}
