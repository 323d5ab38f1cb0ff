"""Files of text that grow, line by line: what `vison` and `csv` have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from services.housekeeping.directory import Directory
from services.housekeeping.follow import Followed, Follower
from services.housekeeping.samples import Samples
from services.housekeeping.sources.base import Bad, Batch, Position
from services.housekeeping.table import Clock, TableFormat, TableReader, Where

CHUNK: Final = 1 << 20  # bytes of one file at a time; a longer line is no row
_MOST_BYTES: Final = 4 << 20  # of one batch
_QUIET_NS: Final = 600 * 1_000_000_000
_HEADER: Final = ":header"

# (name of the file, our clock) → how its times are read
ClockOf = Callable[[str, int], Clock]


class TextFiles:
    """A `Source`: every file of a directory, from its first line on.

    A line is read when its end is there. Whole lines of a file that was renamed or deleted while it was open are read
    too. A file that is written anew with the same beginning (as rsync does) goes on where it was; with another one it
    is read from its start.
    """

    def __init__(
        self,
        name: str,
        directory: Directory,
        form: TableFormat,
        clock_of: ClockOf,
        positions: Mapping[str, Position],
        future_s: float,
        max_age_s: float | None,
    ) -> None:
        self._name = name
        self._form = form
        self._clock_of = clock_of
        self._future_ns = round(future_s * 1e9)
        self._headers = {key.removesuffix(_HEADER): value for key, value in positions.items() if _HEADER in key}
        self._follower = Follower(
            directory, {key: value for key, value in positions.items() if _HEADER not in key}, max_age_s
        )
        self._told: set[tuple[str, int]] = set()

    def poll(self, now_ns: int) -> Batch:
        """As `Source.poll`."""
        files, forgotten = self._follower.look(now_ns / 1e9)
        state = _Reading(now_ns)
        for key in forgotten:
            self._headers.pop(key, None)
            state.positions |= {key: None, key + _HEADER: None}
        for file in files:
            if state.bytes_left <= 0:
                state.more = True
                break
            self._read_file(file, state)
        if self._follower.too_old:
            state.notes["too_old"] = self._follower.too_old
        return Batch(
            tuple(state.samples),
            state.positions,
            tuple(state.bad.rows),
            state.bad.count,
            state.notes,
            state.more,
            self._follower.trouble,
        )

    def committed(self) -> None:
        """Nobody waits for a word."""

    def close(self) -> None:
        """Close the files."""
        self._follower.close()

    def _read_file(self, file: Followed, state: _Reading) -> None:
        was_nameless = file.nameless is not None
        if file.nameless is not None:
            while self._read_piece(file, file.nameless, state):
                pass
            os.close(file.nameless)
            file.nameless = None
        descriptor = self._follower.open(file) if file.gone_at is None else None
        if descriptor is not None:
            if not file.is_in(descriptor):
                file.begin_again()
                self._headers.pop(file.key, None)
                state.note("again", 1)
            stat = os.fstat(descriptor)
            if self._read_piece(file, descriptor, state):
                state.more = True
            else:
                file.seen = (stat.st_size, stat.st_mtime_ns)
                self._look_at_the_end(file, stat, state)
        elif file.gone_at is None and not was_nameless:
            return  # nothing has changed: it is not there, or must not be read
        state.positions[file.key] = file.position()

    def _read_piece(self, file: Followed, descriptor: int, state: _Reading) -> bool:
        """Read the next whole lines; True when there is more."""
        data = os.pread(descriptor, CHUNK, file.offset)
        state.bytes_left -= len(data)
        end = data.rfind(b"\n") + 1
        if not end and len(data) < CHUNK:
            return False
        if not end:  # far longer than any row: skip to where a line ends
            if not file.more.get("skip"):
                state.bad.add(file.path, file.line + 1, f"no end of line within {CHUNK} bytes", repr(data[:40]))
            file.more["skip"] = True
            file.reached(descriptor, file.offset + len(data))
            return True
        self._lines(file, data[:end], state)
        file.reached(descriptor, file.offset + end)
        return len(data) == CHUNK

    def _lines(self, file: Followed, data: bytes, state: _Reading) -> None:
        text = data.decode("utf-8", "replace")
        lines = text.split("\n")
        lines.pop()
        first = file.line + 1
        file.line += len(lines)
        if file.more.pop("skip", False):
            lines, first = lines[1:], first + 1
        if first == 1 and lines:
            lines[0] = lines[0].removeprefix("\ufeff")
        header = self._headers.get(file.key, {}).get("names")
        reader = TableReader(self._form, header, file.more.get("order"))
        where = Where(self._name, file.path, state.now_ns, self._future_ns)
        for samples in reader.read(lines, first, self._clock_of(file.named, state.now_ns), where, state.bad):
            file.rows += len(samples)
            state.samples.append(samples)
        if reader.header is not None and reader.header != header:
            self._headers[file.key] = state.positions[file.key + _HEADER] = {"names": reader.header}
        file.more["order"] = reader.sequencer.state()
        state.note("repeated", reader.sequencer.repeated)
        state.note("clock_back", reader.sequencer.clock_back)
        state.note("clock_ahead", reader.clock_ahead)

    def _look_at_the_end(self, file: Followed, stat: os.stat_result, state: _Reading) -> None:
        """A last line without its end may be cut in the middle of a number: it waits, and that is said once."""
        waiting = (file.key, file.offset)
        if stat.st_size > file.offset and state.now_ns - stat.st_mtime_ns > _QUIET_NS and waiting not in self._told:
            self._told.add(waiting)
            state.bad.add(file.path, file.line + 1, "the last line has no end yet; it waits", "")


class _Reading:
    """What one poll has gathered so far."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.samples: list[Samples] = []
        self.positions: dict[str, dict[str, Any] | None] = {}
        self.bad = Bad()
        self.notes: dict[str, int] = {}
        self.bytes_left = _MOST_BYTES
        self.more = False

    def note(self, what: str, count: int) -> None:
        if count:
            self.notes[what] = self.notes.get(what, 0) + count
