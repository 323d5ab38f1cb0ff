"""From a quiet file to a frame: whole by its own headers, known by its content, identified by its instrument."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from transfer.checksum import sha256_file
from transfer.structure import is_fits_container, scan, verify_datasums

from processors.errors import ProcessorError
from processors.header import read_headers
from processors.instrument import Instruments
from services.core.ledger.telescope import SeenFrame
from transfer.errors import Corrupt, Incomplete


class NotYet(Exception):
    """The file is not a whole, known frame: try again when it changes."""


def take_in(path: Path, instruments: Instruments) -> SeenFrame:
    """Read a quiet file once, check its structure, its DATASUMs and its identity, and take its sha256.

    Raises
    ------
    NotYet
        Truncated, not FITS, a wrong checksum, or no instrument knows it; the message is the reason.
    OSError
        The disk does not answer.
    """
    before = path.stat()
    try:
        if is_fits_container(path):
            layout = scan(path)
            verify_datasums(path, layout)
        identity = instruments.identify(read_headers(path), path.name)
    except Incomplete as error:
        raise NotYet(f"incomplete: {error}") from error
    except Corrupt as error:
        raise NotYet(f"wrong checksum: {error}") from error
    except ProcessorError as error:
        raise NotYet(str(error)) from error
    sha256 = sha256_file(path)
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise NotYet("it changed while it was read")
    return SeenFrame(
        sha256=sha256,
        name=path.name,
        path=str(path),
        size=after.st_size,
        mtime=after.st_mtime,
        identity=dataclasses.asdict(identity),
    )
