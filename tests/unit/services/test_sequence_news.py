"""Sequences that completed or fell quiet, as points in time."""

from __future__ import annotations

from dataclasses import replace

from processors.identity import FrameIdentity, SequenceRef
from services.conductor.sequences import sequence_news
from services.conductor.view import FrameView


def frame(num: int, total: int = 3, name: str = "s1", arrived_at: float = 100.0, detector: str = "1") -> FrameView:
    identity = FrameIdentity(
        instrument="simcam",
        night="20260115",
        expid=num,
        detectors=(detector,),
        obstype="flat",
        exptime_s=1.0,
        filter="B",
        object="",
        date_obs="2026-01-15T20:00:00",
        sequence=SequenceRef(name, num, total),
        mode="imaging",
        readout="",
        expected_detectors=1,
    )
    return FrameView(f"{name}{num}{detector}", identity, "arrived", arrived_at + num)


def test_a_sequence_completes_when_its_last_exposure_is_there() -> None:
    assert sequence_news([frame(1), frame(2)], 600.0, now=200.0) == []
    (news,) = sequence_news([frame(3), frame(1), frame(2)], 600.0, now=200.0)
    assert (news.what, news.exposures, news.expected, news.at) == ("complete", 3, 3, 103.0)
    point = news.point
    assert point.tags == {"instrument": "simcam", "obstype": "flat", "what": "complete"}
    assert point.fields["title"] == "flat complete: 3 of 3"
    assert point.time_ns is not None and point.time_ns // 1000 == 103_000_000


def test_one_that_falls_quiet_is_told_as_incomplete_at_that_time() -> None:
    (news,) = sequence_news([frame(1), frame(3)], 600.0, now=704.0)
    assert (news.what, news.exposures, news.expected, news.at) == ("incomplete", 2, 3, 703.0)
    assert sequence_news([frame(1), frame(3)], 600.0, now=9e9) == [news]


def test_an_exposure_counts_when_all_its_detectors_are_there() -> None:
    def of_two(num: int, detector: str) -> FrameView:
        found = frame(num, total=1, detector=detector)
        return replace(found, identity=replace(found.identity, expected_detectors=2))

    assert sequence_news([of_two(1, "1")], 600.0, now=110.0) == []
    (news,) = sequence_news([of_two(1, "1"), of_two(1, "2")], 600.0, now=110.0)
    assert news.what == "complete"


def test_what_comes_after_the_completion_tells_nothing_new() -> None:
    whole = [frame(1), frame(2), frame(3)]
    (news,) = sequence_news(whole, 600.0, now=200.0)
    again = [*whole, frame(2, arrived_at=900.0), frame(4, arrived_at=950.0)]
    (later,) = sequence_news(again, 600.0, now=960.0)
    assert later.point == news.point


def test_sequences_that_end_together_are_two_points_and_frames_without_one_are_none() -> None:
    alone = replace(frame(1), identity=replace(frame(1).identity, sequence=None))
    news = sequence_news([alone, frame(1, 1, "a"), frame(1, 1, "b")], 600.0, now=110.0)
    assert len({item.point.time_ns for item in news}) == 2
