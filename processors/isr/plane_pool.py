"""Planes that are filled again for detector after detector, by however many threads."""

from __future__ import annotations

from queue import Empty, SimpleQueue

from processors.geometry import DetectorSetup
from processors.isr.signature import Planes, empty_planes


class PlanePool:
    """Planes nobody uses at the moment; fresh ones would cost the system's zeroing of their memory."""

    def __init__(self) -> None:
        self._free: SimpleQueue[Planes] = SimpleQueue()

    def take(self, setup: DetectorSetup) -> Planes:
        """Planes of a detector's shape, with anything in them."""
        try:
            planes = self._free.get_nowait()
        except Empty:
            return empty_planes(setup)
        return planes if planes[0].shape == setup.shape else empty_planes(setup)

    def give_back(self, planes: Planes) -> None:
        """Nobody uses these any more."""
        self._free.put(planes)
