"""What the tests of file sources share: a directory of files, and everything that a source says of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from services.housekeeping.samples import Samples
from services.housekeeping.sources.base import Batch, Source

NOW = 1_800_000_000 * 10**9
Make = Callable[[Mapping[str, Any]], Source]


class Reader:
    """Polls a source and keeps what it said; `restart` makes it anew from its stored positions."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self.stored: dict[str, Any] = {}
        self.source = make({})
        self.samples: list[Samples] = []
        self.bad: list[tuple[str, int, str]] = []
        self.notes: dict[str, int] = {}

    def poll(self, now_ns: int = NOW) -> Batch:
        """Look until there is no more, and commit."""
        while (batch := self._look(now_ns)).more:
            pass
        return batch

    def _look(self, now_ns: int) -> Batch:
        batch = self.source.poll(now_ns)
        self.samples += batch.samples
        self.bad += [(row.origin, row.line, row.reason) for row in batch.bad]
        for name, number in batch.notes.items():
            self.notes[name] = self.notes.get(name, 0) + number
        for key, value in batch.positions.items():
            if value is None:
                self.stored.pop(key, None)
            else:
                self.stored[key] = json.loads(json.dumps(value))
        self.source.committed()
        return batch

    def restart(self) -> None:
        """As a process that was killed and started again."""
        self.source.close()
        self.source = self._make(json.loads(json.dumps(self.stored)))

    def rows(self) -> list[tuple[int, dict[str, float | str]]]:
        """Every row said so far: its time and what was in it."""
        return rows_of(self.samples)


def rows_of(samples: list[Samples]) -> list[tuple[int, dict[str, float | str]]]:
    """Time and values of every row."""
    found: list[tuple[int, dict[str, float | str]]] = []
    for one in samples:
        for row, when in enumerate(one.times_ns.tolist()):
            values: dict[str, float | str] = dict(zip(one.parameters, one.values[row].tolist(), strict=True))
            found.append((when, values | {name: words[row] for name, words in one.texts.items()}))
    return found


def append(path: Path, data: bytes) -> None:
    """Append bytes, as a program that logs does."""
    with path.open("ab") as file:
        file.write(data)
