"""Bundles for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.unit.transfer.frames import mosaic
from transfer.codecs.base import Codec
from transfer.codecs.nfz import Nfz
from transfer.pack import Bundle, RawFrame, pack

CREATED = datetime(2026, 1, 2, 3, 4, 5, 678900, UTC)


def camera(directory: Path, count: int = 3) -> list[RawFrame]:
    """Frames on a camera's disk."""
    directory.mkdir(exist_ok=True)
    frames = []
    for number in range(count):
        path = directory / f"frame:{number}.fits"
        path.write_bytes(mosaic(1, (30 + number, 40)))
        frames.append(RawFrame.of(path, {"expid": number}))
    return frames


def bundle_of(
    frames: list[RawFrame], outbox: Path, codec: Codec | None = None, bundle: str = "B-1", previous: str | None = None
) -> Bundle:
    return pack(
        frames,
        outbox,
        bundle=bundle,
        site="here",
        route="there",
        codec=codec or Nfz(),
        created=CREATED,
        previous=previous,
        software="nightferry test",
    )
