"""Sources by the kind of their settings; libraries are loaded by the sources that need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.core.housekeep_settings import (
    CsvSource,
    FitsSource,
    HousekeepingSource,
    InfluxSource,
    MqttSource,
    VisonSource,
)
from services.housekeeping.sources.base import Position, Source


def make_source(
    name: str, settings: HousekeepingSource, positions: Mapping[str, Position], wake: Callable[[], None]
) -> Source:
    """The source of the settings, where it stood; `wake` is called when there is news that need not wait for a poll."""
    if isinstance(settings, VisonSource):
        from services.housekeeping.sources.vison import make_vison

        return make_vison(name, settings, positions)
    if isinstance(settings, CsvSource):
        from services.housekeeping.sources.csvfiles import make_csv

        return make_csv(name, settings, positions)
    if isinstance(settings, FitsSource):
        from services.housekeeping.sources.fits import FitsFiles

        return FitsFiles(name, settings, positions)
    if isinstance(settings, InfluxSource):
        from services.housekeeping.sources.influxdb import InfluxPolled

        return InfluxPolled(name, settings, positions)
    if isinstance(settings, MqttSource):
        from services.housekeeping.sources.mqtt import MqttMessages

        return MqttMessages(name, settings, positions, wake)
    from services.housekeeping.sources.push import PushedRows

    return PushedRows(name, settings, positions, wake)
