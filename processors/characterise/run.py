"""Characterise detectors from lists of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from processors.characterise.kind import Kind
from processors.characterise.result import MISSING, Characterisation, FrameUse, Judge
from processors.characterise.sequence import DetectorSequence, sequences
from processors.fits import Frame

Given = tuple[tuple[str, tuple[float | None, float | None]], ...]


def characterise(
    kind: Kind, frames: Sequence[Frame], options: Any = None, limits: Given = ()
) -> list[Characterisation]:
    """Every detector and group of the frames, one after the other.

    Raises
    ------
    BadFrame
        A frame cannot be read or holds NaN.
    """
    options = kind.options() if options is None else options
    found, left_out = sequences(frames, kind.needs(options))
    return [characterise_detector(kind, sequence, options, left_out, limits) for sequence in found]


def characterise_detector(
    kind: Kind, sequence: DetectorSequence, options: Any, left_out: tuple[FrameUse, ...] = (), limits: Given = ()
) -> Characterisation:
    """One detector (BadFrame); with too few frames the result holds the flag MISSDATA and no numbers."""
    if not sequence.enough:
        least, kinds = kind.needs(options).least, " or ".join(sorted(kind.needs(options).main))
        message = f"{kind.name} needs {least} frames of obstype {kinds}, there are {len(sequence.main)}"
        return Characterisation(
            kind.name,
            sequence.instrument,
            sequence.detector,
            sequence.group,
            (),
            (MISSING,),
            frames=sequence.frames + left_out,
            messages=(message,),
        )
    result = kind.measure(sequence, options, Judge(sequence.main[0], limits))
    own = {use.file for use in result.frames}
    frames = (*result.frames, *(use for use in sequence.frames if use.file not in own), *left_out)
    return replace(result, frames=frames)
