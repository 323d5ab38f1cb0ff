"""Seconds since the shutter closed: every step of a host lands in one point."""

from __future__ import annotations

from services.core.metrics.delay import delay_point, observed_ns

IDENTITY = {
    "instrument": "simcam",
    "obstype": "science",
    "filter": "B",
    "date_obs": "2026-01-15T03:00:00.250000",
    "exptime_s": 30.0,
}
START = 1_768_446_000.25


def test_steps_of_one_frame_have_one_time_and_one_set_of_tags() -> None:
    seen = delay_point(IDENTITY, "seen", START + 31.5)
    reduced = delay_point(IDENTITY, "reduced", START + 90.0)
    assert seen.fields == {"seen_s": 1.5} and reduced.fields == {"reduced_s": 60.0}
    assert (seen.tags, seen.time_ns) == (reduced.tags, reduced.time_ns)
    assert seen.time_ns == 1_768_446_000_250_000_000 == observed_ns("2026-01-15T03:00:00.250000+00:00")
    assert seen.tags == {"instrument": "simcam", "obstype": "science", "filter": "B"}
