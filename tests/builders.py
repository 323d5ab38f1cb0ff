"""Small real objects that tests are built from."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from processors.identity import FrameIdentity, SequenceRef
from services.core.ledger.telescope import SeenFrame


def identity(**changes: Any) -> FrameIdentity:
    """A plain bias frame of a one-detector camera, with changes."""
    fields: dict[str, Any] = {
        "instrument": "simcam",
        "night": "20260101",
        "expid": 1,
        "detectors": ("1",),
        "obstype": "bias",
        "exptime_s": 0.0,
        "filter": "",
        "object": "bias",
        "date_obs": "2026-01-01T20:00:00",
        "sequence": None,
        "mode": "imaging",
        "readout": "normal",
        "expected_detectors": 1,
    }
    return FrameIdentity(**{**fields, **changes})


def sequence(num: int, total: int, name: str = "S1") -> SequenceRef:
    """A place in a sequence."""
    return SequenceRef(name, num, total)


def digest(name: str) -> str:
    """A sha256 that stands for a file of this name."""
    return hashlib.sha256(name.encode()).hexdigest()


def seen_frame(stem: str, name: str | None = None, **changes: Any) -> SeenFrame:
    """A frame as the ledger records it."""
    return SeenFrame(
        sha256=digest(stem),
        name=name or f"{stem}.fits",
        path=f"/camera/{name or stem}",
        size=2880,
        mtime=1.0,
        identity=asdict(identity(**changes)),
    )
