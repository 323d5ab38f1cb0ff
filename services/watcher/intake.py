"""From a file that is whole by its own headers to a frame: checksums and hash in one pass, then identity."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, cast

from processors.errors import ProcessorError
from processors.header import read_headers
from processors.instrument import Instruments
from services.core.ledger.telescope import SeenFrame
from services.core.log import get_logger
from transfer.checksum import CHUNK, Meter
from transfer.documents import check_name
from transfer.errors import Corrupt, Incomplete, NotFits
from transfer.gzipped import check_gzip
from transfer.structure import FitsLayout, scan_file
from transfer.verify import verify_datasums

# A file system stamps changes with the time of its last tick, at most 10 ms ago; a change within the tick of the one
# before leaves size and mtime as they were. A file is read when its tick is over, so that a later change shows.
_TICK_S: Final = 0.01


class NotYet(Exception):
    """The file is not a whole, known frame: try again when it changes."""


class Stopped(Exception):
    """The daemon shall stop: nothing is known of this file."""


def explain(path: str, error: NotYet | OSError) -> str:
    """The reason why a file is not a frame now, said in the log too."""
    if isinstance(error, NotYet):
        get_logger().info("not a frame yet", path=path, reason=str(error))
        return str(error)
    get_logger().warning("not readable", path=path, error=str(error))
    return f"not readable: {error.strerror}"


def look(path: str) -> None:
    """Whether a file is whole by its own headers: the quick decision, which reads no data unit.

    What a gzip file holds shows only when all of it is read; here it passes.

    Raises
    ------
    NotYet
        Bytes are missing, it is not FITS, or its name cannot be shipped; the message is the reason.
    OSError
        The disk does not answer.
    """
    if wrong := check_name(Path(path).name):
        raise NotYet(f"no manifest can name it: expected {wrong}")
    with Path(path).open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            return
        _whole(lambda: scan_file(file, os.fstat(file.fileno()).st_size))


def take_in(path: str, stamp: tuple[int, int], instruments: Instruments, stop: threading.Event) -> SeenFrame:
    """Read a whole file once: structure, DATASUMs and sha256; then its identity.

    Parameters
    ----------
    stamp
        Size (bytes) and mtime (ns) that the file must have, before and after.
    stop
        When it is set, the reading ends within a moment.

    Raises
    ------
    NotYet
        Truncated, not FITS, a wrong checksum, no instrument knows it, or it changed; the message is the reason.
    Stopped
        `stop` was set.
    OSError
        The disk does not answer.
    """
    file_path = Path(path)
    stop.wait(_young_for_s(stamp[1]))
    with file_path.open("rb") as raw:
        _unchanged(os.fstat(raw.fileno()), stamp)
        file = cast(BinaryIO, _Stoppable(raw, stop))
        layout = _whole(lambda: _layout(file, stamp[0]))
        meter = _measure(file, layout)
    try:
        if layout is not None:
            verify_datasums(layout, meter.datasums)
        identity = instruments.identify(read_headers(file_path), file_path.name)
    except (Corrupt, ProcessorError) as error:
        raise NotYet(str(error)) from error
    mtime = _unchanged(file_path.stat(), stamp)
    return SeenFrame(
        sha256=meter.sha256,
        name=file_path.name,
        path=path,
        size=stamp[0],
        mtime=mtime,
        identity=dataclasses.asdict(identity),
    )


class _Stoppable:
    """A file for reading that raises Stopped instead of reading on."""

    def __init__(self, file: BinaryIO, stop: threading.Event) -> None:
        self._file = file
        self._stop = stop
        self.seek = file.seek

    def read(self, size: int) -> bytes:
        if self._stop.is_set():
            raise Stopped
        return self._file.read(size)


def _young_for_s(mtime_ns: int) -> float:
    return max(0.0, _TICK_S - abs(time.time() - mtime_ns / 1e9))


def _whole(check: Callable[[], FitsLayout | None]) -> FitsLayout | None:
    try:
        return check()
    except Incomplete as error:
        raise NotYet(f"incomplete: {error}") from error
    except (NotFits, Corrupt) as error:
        raise NotYet(str(error)) from error


def _layout(file: BinaryIO, size: int) -> FitsLayout | None:
    magic = file.read(2)
    file.seek(0)
    if magic != b"\x1f\x8b":
        return scan_file(file, size)
    check_gzip(file)
    return None


def _measure(file: BinaryIO, layout: FitsLayout | None) -> Meter:
    # Sums are taken only where a card can be compared with them.
    summed = layout is not None and any(span.datasum_card is not None for span in layout.hdus)
    meter = Meter(layout if summed else None)
    file.seek(0)
    while chunk := file.read(CHUNK):
        meter.update(chunk)
    return meter


def _unchanged(found: os.stat_result, stamp: tuple[int, int]) -> float:
    """The modification time, seconds since 1970 UTC, of a file that is as it was."""
    if (found.st_size, found.st_mtime_ns) != stamp:
        raise NotYet("it changed while it was read")
    return found.st_mtime
