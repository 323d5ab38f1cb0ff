"""From the ledger's rows to what a night manifest says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.core.version import SOFTWARE
from services.nights.disk import Unrecorded
from services.nights.gaps import night_gaps, partial_exposures
from transfer.errors import BadDocument
from transfer.manifest import Receipt
from transfer.night import Delivery, NightFrame, NightManifest, Quarantined


def night_frames(frames: Iterable[Any], carried: Iterable[Any], receipts: Mapping[str, Any]) -> tuple[NightFrame, ...]:
    """The frames of a night with the lossless bundles that a receiver has answered.

    Parameters
    ----------
    frames, carried, receipts
        Rows of the ledger: `frames_of_night`, `carried`, and the receipts by bundle.
    """
    verdicts = {bundle: _verdicts(row.document) for bundle, row in receipts.items()}
    found: dict[str, list[Delivery]] = {}
    for row in carried:
        verdict = verdicts.get(row.bundle, {}).get((row.manifest_sha256, row.sha256))
        if row.lossless and verdict is not None:
            delivery = Delivery(row.bundle, row.route, row.manifest_sha256, row.packed_sha256, verdict)
            found.setdefault(row.sha256, []).append(delivery)
    made = [
        NightFrame(
            name=frame.name,
            size=frame.size,
            sha256=frame.sha256,
            instrument=frame.instrument,
            expid=frame.expid,
            detectors=tuple(frame.identity.get("detectors", ())),
            obstype=frame.obstype,
            deliveries=tuple(sorted(found.get(frame.sha256, ()), key=lambda d: (d.route, d.bundle))),
        )
        for frame in frames
    ]
    return tuple(sorted(made, key=lambda frame: frame.order))


def _verdicts(document: str) -> dict[tuple[str, str], str]:
    """The word on every frame of a receipt, by (sha256 of the manifest that it answers, sha256 of the frame)."""
    try:
        receipt = Receipt.from_json(document.encode())
    except BadDocument:
        return {}
    return {(receipt.manifest_sha256, frame.sha256): frame.verdict for frame in receipt.frames}


def draft(
    site: str,
    night: str,
    frames: Sequence[Any],
    made: tuple[NightFrame, ...],
    heads: tuple[tuple[str, str], ...],
    broken: Iterable[Unrecorded],
    now: float,
) -> NightManifest:
    """The night manifest as its first revision, with nothing before it.

    Frames that were set aside are in the list of frames, since they are on record, and again among the quarantined.
    """
    aside = [Quarantined(frame.name, frame.reason or "set aside") for frame in frames if frame.state == "quarantined"]
    aside += [Quarantined(Path(file.path).name, file.reason) for file in broken]
    return NightManifest(
        site=site,
        night=night,
        revision=1,
        created=datetime.fromtimestamp(now, UTC),
        software=SOFTWARE,
        previous=None,
        frames=made,
        manifests=heads,
        gaps=night_gaps(frames),
        partial=partial_exposures(frames),
        quarantined=tuple(sorted(set(aside), key=lambda each: (each.name, each.reason))),
    )
