"""From a quiet file to a frame: whole by its own headers, known by its content, identified by its instrument."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from processors.errors import ProcessorError
from processors.header import read_headers
from processors.instrument import Instruments
from services.core.ledger.telescope import SeenFrame
from transfer.checksum import sha256_file
from transfer.errors import Corrupt, Incomplete, NotFits
from transfer.structure import check_complete
from transfer.verify import verify_datasums


class NotYet(Exception):
    """The file is not a whole, known frame: try again when it changes."""


def take_in(path: Path, instruments: Instruments) -> SeenFrame:
    """Check a quiet file's structure, its DATASUMs and its identity, and take its sha256.

    Raises
    ------
    NotYet
        Truncated, not FITS, a wrong checksum, or no instrument knows it; the message is the reason.
    OSError
        The disk does not answer.
    """
    before = path.stat()
    try:
        layout = check_complete(path)
        if layout is not None:
            verify_datasums(path, layout)
        identity = instruments.identify(read_headers(path), path.name)
    except Incomplete as error:
        raise NotYet(f"incomplete: {error}") from error
    except (NotFits, Corrupt, ProcessorError) as error:
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
