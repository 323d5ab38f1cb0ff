"""Which frames a characterisation takes, as what, and why it leaves others out: pure decisions on identities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from processors.characterise.result import FrameUse
from processors.fits import Frame
from processors.geometry import DetectorSetup
from processors.instrument_schema import Obstype

LIT: Final = frozenset({"flat", "skyflat"})


@dataclass(frozen=True, slots=True)
class Needs:
    """What a kind takes. `main` are the obstypes it measures and `least` how many of them it needs.

    `reference` are obstypes that help (biases for flats); they are shared by all groups of the same readout.
    `by_filter` keeps filters, modes and slits apart. `accept` may refuse a frame with a reason (empty: welcome).
    """

    main: frozenset[str]
    least: int
    reference: frozenset[str] = frozenset()
    by_filter: bool = False
    accept: Callable[[Frame], str] = lambda _: ""


@dataclass(frozen=True, slots=True)
class DetectorSequence:
    """Frames of one detector that belong together, in the order of time; `references` are of another obstype."""

    instrument: str
    detector: str
    group: str
    main: tuple[Frame, ...]
    references: tuple[Frame, ...]
    frames: tuple[FrameUse, ...]
    enough: bool

    def setup(self, frame: Frame) -> DetectorSetup:
        """The detector's amplifiers in one of the frames."""
        return next(setup for setup in frame.setups if setup.detector == self.detector)

    def of_type(self, *obstypes: str) -> tuple[Frame, ...]:
        """The frames of these obstypes, in the order of time."""
        return tuple(frame for frame in (*self.main, *self.references) if frame.identity.obstype in obstypes)


def sequences(frames: Sequence[Frame], needs: Needs) -> tuple[tuple[DetectorSequence, ...], tuple[FrameUse, ...]]:
    """Sort frames into sequences, one for each detector and group, and say of every frame what became of it.

    A group shares instrument and readout, and filter, mode and slit where the kind keeps these apart. An exposure that
    is given twice counts once. Groups with fewer than `needs.least` frames come too, with `enough` False.
    """
    uses: list[FrameUse] = []
    kept = _suitable(frames, needs, uses)
    main = [frame for frame in kept if frame.identity.obstype in needs.main]
    found = []
    for key in sorted({_key(frame, needs) for frame in main}):
        own = [frame for frame in main if _key(frame, needs) == key]
        shared = [
            frame
            for frame in kept
            if frame.identity.obstype not in needs.main
            and (frame.identity.instrument, frame.identity.readout) == key[:2]
        ]
        for detector in dict.fromkeys(setup.detector for frame in own for setup in frame.setups):
            mine, theirs, others = _alike(_holding(own, detector), _holding(shared, detector), detector)
            uses += others
            roles = [FrameUse(str(frame.path), frame.identity.obstype) for frame in (*mine, *theirs)]
            group = " ".join(part for part in key[1:] if part)
            enough = len(mine) >= needs.least
            found.append(DetectorSequence(key[0], detector, group, mine, theirs, tuple(roles), enough))
    placed = {use.file for sequence in found for use in sequence.frames} | {use.file for use in uses}
    uses += [
        FrameUse(str(frame.path), "", "no frame to measure shares its instrument and readout")
        for frame in kept
        if str(frame.path) not in placed
    ]
    return tuple(found), tuple(uses)


def renamed(frames: Iterable[Frame], rules: Sequence[tuple[str, Obstype]]) -> tuple[Frame, ...]:
    """Frames whose obstype is set by (file name pattern, obstype); the last rule that matches wins.

    For cameras whose headers do not say what a frame is (a laboratory's, say).
    """
    changed = []
    for frame in frames:
        obstypes = [obstype for pattern, obstype in rules if frame.path.match(pattern)]
        if obstypes:
            frame = replace(frame, identity=replace(frame.identity, obstype=obstypes[-1]))  # noqa: PLW2901
        changed.append(frame)
    return tuple(changed)


def _alike(
    mine: Sequence[Frame], theirs: Sequence[Frame], detector: str
) -> tuple[tuple[Frame, ...], tuple[Frame, ...], list[FrameUse]]:
    """The frames whose amplifiers have the shapes that most frames have, and why the others are left out."""
    shapes = {
        id(frame): tuple((a.name, a.data.shape) for s in frame.setups if s.detector == detector for a in s.amplifiers)
        for frame in (*mine, *theirs)
    }
    usual = Counter(shapes[id(frame)] for frame in mine).most_common(1)[0][0]
    reason = f"detector {detector}: another window than most"
    odd = [FrameUse(str(frame.path), "", reason) for frame in (*mine, *theirs) if shapes[id(frame)] != usual]
    fitting = [tuple(frame for frame in frames if shapes[id(frame)] == usual) for frames in (mine, theirs)]
    return fitting[0], fitting[1], odd


def _suitable(frames: Sequence[Frame], needs: Needs, uses: list[FrameUse]) -> list[Frame]:
    kept: list[Frame] = []
    seen: dict[tuple[object, ...], Frame] = {}
    for frame in sorted(frames, key=lambda f: (f.identity.date_obs, f.identity.expid, f.path.name)):
        identity = frame.identity
        exposure = (identity.instrument, identity.night, identity.expid, identity.detectors, identity.date_obs)
        reason = ""
        if identity.obstype not in needs.main | needs.reference:
            wanted = ", ".join(sorted(needs.main | needs.reference))
            reason = f"obstype {identity.obstype}, not {wanted}"
        elif exposure in seen:
            reason = f"the same exposure as {seen[exposure].path.name}"
        else:
            reason = needs.accept(frame)
        if reason:
            uses.append(FrameUse(str(frame.path), "", reason))
        else:
            seen[exposure] = frame
            kept.append(frame)
    return kept


def _key(frame: Frame, needs: Needs) -> tuple[str, ...]:
    identity = frame.identity
    shared = (identity.instrument, identity.readout)
    if not needs.by_filter:
        return shared
    return (*shared, identity.filter, "" if identity.mode == "imaging" else identity.mode, identity.slit)


def _holding(frames: Sequence[Frame], detector: str) -> tuple[Frame, ...]:
    return tuple(frame for frame in frames if any(setup.detector == detector for setup in frame.setups))
