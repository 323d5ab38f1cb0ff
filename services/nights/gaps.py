"""What a night lacks by its own numbers: exposure numbers that never came, detectors that are missing. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

from transfer.night import Gap, PartialExposure

_SPARSE: Final = 10  # missing numbers per exposure: beyond this the numbers do not count exposures


def exposure_gaps(instrument: str, expids: Iterable[int]) -> tuple[Gap, ...]:
    """Numbers between the first and the last of a night that no frame has, as ranges.

    Numbers that start again every night are as good as those that never do. Numbers that do not count exposures (made
    from a time, say: more than ten missing for each that is there) have no gaps.
    """
    numbers = sorted(set(expids))
    gaps = tuple(Gap(instrument, one + 1, other - 1) for one, other in pairwise(numbers) if other - one > 1)
    missing = sum(gap.last - gap.first + 1 for gap in gaps)
    return gaps if missing <= _SPARSE * len(numbers) else ()


def night_gaps(frames: Iterable[Any]) -> tuple[Gap, ...]:
    """The gaps of every instrument; `frames` are rows of the ledger."""
    numbers: dict[str, list[int]] = {}
    for frame in frames:
        numbers.setdefault(frame.instrument, []).append(frame.expid)
    return tuple(gap for instrument in sorted(numbers) for gap in exposure_gaps(instrument, numbers[instrument]))


def partial_exposures(frames: Iterable[Any]) -> tuple[PartialExposure, ...]:
    """Exposures with fewer detectors than their frames' headers promise; `frames` are rows of the ledger."""
    there: dict[tuple[str, int], set[str]] = {}
    expected: dict[tuple[str, int], int] = {}
    for frame in frames:
        key = (frame.instrument, frame.expid)
        there.setdefault(key, set()).update(frame.identity.get("detectors", ()))
        expected[key] = max(expected.get(key, 0), int(frame.identity.get("expected_detectors", 0)))
    return tuple(
        PartialExposure(*key, tuple(sorted(found)), expected[key])
        for key, found in sorted(there.items())
        if len(found) < expected[key]
    )


def range_text(gaps: Iterable[Gap]) -> str:
    """Gaps for a person: `simcam 7, 12-15`."""
    by_instrument: dict[str, list[str]] = {}
    for gap in gaps:
        text = str(gap.first) if gap.first == gap.last else f"{gap.first}-{gap.last}"
        by_instrument.setdefault(gap.instrument, []).append(text)
    return "; ".join(f"{name} {', '.join(texts)}" for name, texts in by_instrument.items())
