"""What a kind of characterisation is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from processors.characterise.result import Characterisation, Judge
from processors.characterise.sequence import DetectorSequence, Needs


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind: its name, what it is for, the frames it needs, and how one detector is measured.

    `options` is a frozen dataclass of plain numbers, texts and flags, each with a default and a `help` in its metadata;
    the command line makes its options from it. `needs` and `measure` are given an instance. `measure` raises BadFrame.
    """

    name: str
    title: str
    options: type
    needs: Callable[[Any], Needs]
    measure: Callable[[DetectorSequence, Any, Judge], Characterisation]
