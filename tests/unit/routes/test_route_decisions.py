"""Back-pressure, bandwidth by time of day, the throttle, mode `auto`, values set while running."""

from __future__ import annotations

import datetime as dt
import threading
import time

import pytest
from pydantic import ValidationError

from services.core.errors import BadSettings, LedgerUnreachable
from services.core.route_settings import Bandwidth, Hours, Match, PressureRule, RouteSettings
from services.routes.auto import Choice, Sight, choose
from services.routes.book import effective
from services.routes.pressure import Word, judge
from services.routes.throttle import Throttle
from services.shipper.attempts import in_vain
from transfer.errors import NoSpace, Refused, Unreachable

RULES = (
    PressureRule(measure="free_gb", below=50, action="pause"),
    PressureRule(measure="queue_depth", above=500, action="science_first"),
    PressureRule(measure="oldest_task_s", above=3600, action="slow", mbit_s=20),
)


def test_pressure_of_every_kind() -> None:
    assert judge(RULES, Word(0.0, 10**12, 10, 5.0), 1.0, 900.0).reasons == ()
    full = judge(RULES, Word(0.0, 49 * 10**9, 501, 4000.0), 1.0, 900.0)
    assert (full.pause, full.science_first, full.mbit_s) == (True, True, 20)
    assert full.reasons[0] == "pause: free_gb is 49, below 50"
    assert not judge(RULES, Word(0.0, 0, None, None), 1000.0, 900.0).pause, "a stale word counts no more"
    assert not judge(RULES, None, 1.0, 900.0).pause


def test_a_rule_must_make_sense() -> None:
    for wrong in (
        {"measure": "free_gb", "action": "pause"},
        {"measure": "free_gb", "below": 1, "above": 2, "action": "pause"},
        {"measure": "free_gb", "below": 1, "action": "slow"},
        {"measure": "free_gb", "below": float("nan"), "action": "pause"},
    ):
        with pytest.raises(ValidationError):
            PressureRule.model_validate(wrong)


def test_bandwidth_by_time_of_day_in_its_own_zone() -> None:
    limits = Bandwidth(
        mbit_s=100,
        time_zone="America/Santiago",
        hours=(Hours(start="08:00", end="18:00", mbit_s=10), Hours(start="22:00", end="04:00")),
    )

    def at(hour: int) -> float | None:
        return limits.limit_mbit_s(dt.datetime(2026, 1, 15, hour, 30, tzinfo=dt.UTC))  # Santiago is at UTC-3 then

    assert at(12) == 10
    assert at(22) == 100
    assert at(2) is None
    assert at(6) is None
    assert at(8) == 100
    with pytest.raises(ValidationError, match="time zone"):
        Bandwidth(time_zone="Mars/Olympus")
    with pytest.raises(ValidationError, match="HH:MM"):
        Hours(start="8:00", end="18:00")


def test_the_throttle_counts_across_threads_and_lets_go_at_the_stop() -> None:
    stop = threading.Event()
    throttle = Throttle(lambda: 1e6, stop)
    started = time.monotonic()
    threads = [threading.Thread(target=lambda: [throttle(100_000) for _ in range(3)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started > 0.2  # 0.6 MB at 1 MB/s with a burst of a quarter second
    slow = Throttle(lambda: 1.0, stop)
    thread = threading.Thread(target=lambda: slow(10_000))
    thread.start()
    stop.set()
    thread.join(5.0)
    assert not thread.is_alive()
    free = Throttle(lambda: None, threading.Event())
    free(10**15)


def sight(**more: object) -> Sight:
    values = {"round_trip_s": 0.25, "loss": 0.0, "bytes_s": 8e6, "frames": 40, "oldest_s": 300.0, "frame_bytes": 2e6}
    return Sight(**{**values, **more})  # type: ignore[arg-type]


def test_auto_tries_more_streams_while_that_helps() -> None:
    first = choose(sight(bytes_s=4e6), Choice(4, 2), 32)
    assert first.streams == 4 and "round trip 250 ms" in first.reason and "40 frames waiting" in first.reason
    second = choose(sight(bytes_s=8e6), first, 32)
    assert second.streams == 8
    third = choose(sight(bytes_s=8.1e6), second, 32)
    assert third.streams == 4, "it brought nothing: back"
    assert choose(sight(bytes_s=8.1e6), third, 32).streams == 4, "and it stays so while the backlog lasts"
    idle = choose(sight(frames=0, bytes_s=None), third, 32)
    assert (idle.batch_frames, idle.streams, idle.fewer) == (1, 2, 0)


def test_auto_makes_bundles_that_fit_the_link() -> None:
    assert choose(sight(frames=1), Choice(), 32).batch_frames == 1
    assert choose(sight(), Choice(), 32).batch_frames == 16
    assert choose(sight(frame_bytes=4e8), Choice(), 32).batch_frames == 1
    assert choose(sight(frame_bytes=1e4), Choice(), 32).batch_frames == 32
    lossy = choose(sight(loss=0.01, bytes_s=4e6, round_trip_s=0.5), Choice(4, 1), 32)
    assert lossy.streams == 2


def test_what_is_set_while_running_is_checked() -> None:
    route = RouteSettings(url="file:///backup")
    assert effective(route, {"mode": "serial", "streams": 8}).streams == 8
    assert effective(route, {"drain": 12.0}) == route
    assert effective(route, {"mode": "auto", "auto_streams": 6, "auto_batch_frames": 2}).streams == 6
    assert effective(route, {"auto_streams": 6}).streams == 4, "what auto chose counts in auto only"
    with pytest.raises(BadSettings, match="mode"):
        effective(route, {"mode": "fastest"})


def test_a_filter_matches_by_patterns_in_any_case() -> None:
    match = Match(obstype=("science", "standard"), program=("2012B-*",))
    assert match.holds({"obstype": "science", "program": "2012b-0001"})
    assert not match.holds({"obstype": "bias", "program": "2012B-0001"})
    assert not match.holds({"obstype": "science"})
    with pytest.raises(ValidationError, match="at least one"):
        Match()


def test_the_settings_and_the_codecs_agree_on_what_is_lossy() -> None:
    from services.core import route_settings
    from transfer.codecs import registry

    assert frozenset(registry.LOSSY) == route_settings.LOSSY
    assert {*registry.LOSSLESS, *registry.LOSSY} == set(
        RouteSettings.model_fields["codec"].annotation.__args__  # type: ignore[union-attr]
    )


@pytest.mark.parametrize(
    ("error", "moved", "through", "counts"),
    [
        (Unreachable("no answer"), 0, False, False),
        (Unreachable("cut"), 5_000, False, True),
        (Unreachable("cut"), 5_000, True, False),
        (NoSpace("full"), 5_000, False, False),
        (LedgerUnreachable("away"), 5_000, False, False),
        (Refused("no"), 0, False, True),
        (Refused("no"), 5_000, True, True),
        (OSError("local"), 0, False, True),
    ],
)
def test_which_failures_count_against_a_bundle(error: Exception, moved: int, through: bool, counts: bool) -> None:
    assert in_vain(error, moved=moved, through=through) is counts


@pytest.mark.parametrize(
    ("more", "complete"),
    [
        ({}, True),
        ({"codec": "jpeg2000"}, True),
        ({"codec": "jpeg2000", "follow_up": "none"}, False),
        ({"filter": {"obstype": ["science"]}}, False),
        ({"filter": {"obstype": ["science"]}, "night_manifest": True}, True),
    ],
)
def test_which_routes_get_the_night_manifest(more: dict[str, object], complete: bool) -> None:
    assert RouteSettings.model_validate({"url": "file:///b", **more}).complete is complete
