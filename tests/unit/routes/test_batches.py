"""Which frames go into bundles, in which order, in which mode."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.core.route_settings import Match
from services.routes.batches import Batching, due_batches
from services.routes.order import PackedBundle, Turn, ship_order
from tests.unit.routes.frames import Row, grouped, mosaic, names, single

LIVE = 1000.0


def due(
    rows: list[Row], how: Batching, turn: Turn | None = None, now: float = 1.0, started: tuple = ()
) -> list[list[str]]:
    return names(due_batches(grouped(*rows, started=started), how, turn or Turn(), now))


def test_batch_fills_bundles_and_flushes_the_last() -> None:
    rows = [mosaic(number, created_at=number / 10) for number in range(1, 6)]
    how = Batching("batch", 2, None, 30.0)
    assert due(rows, how) == [["m001", "m002"], ["m003", "m004"]]
    assert due(rows, how, now=31.0) == [["m001", "m002"], ["m003", "m004"], ["m005"]]


def test_batch_by_exposures_keeps_detectors_together() -> None:
    rows = [single(expid, detector, expid) for expid in (1, 2, 3) for detector in (1, 2, 3)]
    how = Batching("batch", 4, 2, 30.0)
    assert due(rows, how, now=4.0) == [["s001-1", "s001-2", "s001-3", "s002-1", "s002-2", "s002-3"]]
    assert len(due(rows, how, now=33.0)) == 2


def test_an_exposure_waits_for_its_detectors_but_not_for_ever() -> None:
    rows = [single(1, 1, 0.0), single(1, 2, 0.5), *(single(2, each, 1.0) for each in (1, 2, 3))]
    how = Batching("batch", 1, None, 30.0)
    assert due(rows, how, now=2.0) == [["s002-1"], ["s002-2"], ["s002-3"]]
    assert due(rows, how, now=31.0)[:2] == [["s001-1"], ["s001-2"]]


def test_an_exposure_that_was_begun_is_finished_first() -> None:
    rows = [mosaic(1, 0.0), single(2, 3, 0.9)]
    begun = (("cam", "20260115", 2),)
    assert due(rows, Batching("batch", 1), started=begun) == [["s002-3"], ["m001"]]


def test_serial_sends_the_newest_complete_exposure_first() -> None:
    rows = [mosaic(1, 0.0), mosaic(2, 1.0), *(single(3, each, 2.0) for each in (1, 2))]
    assert due(rows, Batching("serial", 4), Turn(newest_first=True), now=3.0) == [["m002"], ["m001"]]


def test_parallel_sends_every_frame_at_once_and_alone() -> None:
    rows = [single(1, 1, 0.0), mosaic(2, 0.5)]
    assert due(rows, Batching("parallel", 4)) == [["s001-1"], ["m002"]]


def test_endofnight_sends_what_was_seen_up_to_the_drain() -> None:
    rows = [mosaic(1, 10.0), mosaic(2, 20.0)]
    assert due(rows, Batching("endofnight", 4, None, 30.0, 0.0), now=100.0) == []
    assert due(rows, Batching("endofnight", 4, None, 30.0, 15.0), now=16.0) == [["m001"]]


def test_live_frames_go_before_the_backlog_and_priorities_before_both() -> None:
    old, new = mosaic(1, 0.0), mosaic(2, LIVE)
    bias = mosaic(3, 0.0, obstype="bias")
    alert = mosaic(4, 0.0, identity={"object": "GW250114 field 3"})
    turn = Turn((Match(object=("gw*",)),), live_s=600.0)
    assert due([old, new, bias, alert], Batching("batch", 1), turn, now=LIVE) == [
        ["m004"],
        ["m002"],
        ["m001"],
        ["m003"],
    ]
    behind = Turn(science_first=True)
    assert due([old, bias], Batching("batch", 1), behind, now=1.0) == [["m001"], ["m003"]]


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.integers(1, 3), st.floats(0, 100)), unique_by=lambda item: item[:2], max_size=18
    ),
    st.sampled_from(["batch", "serial", "parallel", "endofnight"]),
    st.integers(1, 7),
    st.none() | st.integers(1, 3),
)
def test_nothing_is_lost_or_doubled_and_exposures_stay_together(
    given_frames: list[tuple[int, int, float]], mode: str, size: int, by_exposures: int | None
) -> None:
    rows = [single(expid, detector, seen) for expid, detector, seen in given_frames]
    how = Batching(mode, size, by_exposures, 30.0, drain=1e9)
    batches = due_batches(grouped(*rows), how, Turn(), now=1000.0)
    flat = [row.name for batch in batches for row in batch]
    assert sorted(flat) == sorted(row.name for row in rows)
    expids = [row.expid for batch in batches for row in batch]
    assert [each for each, before in zip(expids, [None, *expids], strict=False) if each != before] == list(
        dict.fromkeys(expids)
    )


def test_bundles_of_one_exposure_are_shipped_together_follow_ups_last() -> None:
    bundles = [
        PackedBundle("a1", 1.0, (single(1, 1, 0.0),)),
        PackedBundle("b", 2.0, (mosaic(2, 0.5),)),
        PackedBundle("a2", 3.0, (single(1, 2, 0.9),)),
        PackedBundle("twin", 0.0, (mosaic(9, 0.0),), follow_up=True),
    ]
    assert ship_order(bundles, Turn(), 1.0) == ["a1", "a2", "b", "twin"]
    assert ship_order(bundles, Turn(newest_first=True), 1.0) == ["a1", "a2", "b", "twin"]
    assert ship_order([*bundles[1:2], PackedBundle("c", 0.0, (mosaic(3, 5.0),))], Turn(newest_first=True), 6.0) == [
        "c",
        "b",
    ]
