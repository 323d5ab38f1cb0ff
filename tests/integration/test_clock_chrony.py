"""The clock, as real chronyds tell of it."""

from __future__ import annotations

import re
import time

import pytest

from services.conditions.chrony import ask_chrony, quiet_s, tracking_of
from services.conditions.clock import decide, gather
from services.core.condition_settings import ClockConditions
from tests.fixtures.chrony import Chronies


def synchronised(told: str) -> bool:
    return re.search(r"^Leap status +: Normal$", told, re.MULTILINE) is not None


def said_offset(told: str) -> float:
    """What chronyc tells people, positive when the clock is ahead."""
    found = re.search(r"^System time +: ([0-9.]+) seconds (slow|fast) of NTP time$", told, re.MULTILINE)
    assert found is not None, told
    return float(found[1]) * (1 if found[2] == "fast" else -1)


def test_a_clock_that_chrony_holds_though_the_kernel_does_not_know_it(chronies: Chronies) -> None:
    """Without `rtcsync` chrony never tells the kernel: the clock was said to be held by nothing."""
    client = chronies.follow(chronies.make("local stratum 1"))
    chronies.answers(client)
    client.wait(synchronised)
    facts = gather({})
    assert facts.source == "chrony" and facts.unsynchronised_s is None
    assert facts.offset_s is not None and abs(facts.offset_s) < 0.1
    assert decide(facts, ClockConditions(), "h", time.time(), {}) == []


@pytest.mark.parametrize("lie_s", [5, -45])
def test_a_server_that_lies(chronies: Chronies, lie_s: int) -> None:
    liar = chronies.follow(chronies.make("local stratum 1"), f"offset {lie_s}")
    liar.wait(synchronised)
    client = chronies.follow(liar)
    chronies.answers(client)
    told = client.wait(synchronised)
    facts = gather({})
    assert facts.offset_s == pytest.approx(said_offset(told), abs=0.01) == pytest.approx(-lie_s, abs=0.5)
    (found,) = decide(facts, ClockConditions(), "h", time.time(), {})
    side = "behind" if lie_s > 0 else "ahead"
    assert f"the clock of h is {abs(lie_s)} s {side} of NTP (chrony), limit 0.5 s" in found.message
    assert found.severity == (1 if lie_s == 5 else 2)


@pytest.mark.parametrize("lines", [("server 127.0.0.1 port 9 iburst",), ("local stratum 10",)])
def test_chrony_that_follows_nobody_holds_nothing(chronies: Chronies, lines: tuple[str, ...]) -> None:
    """With `local` chrony says `Normal`, and follows its own clock."""
    client = chronies.make(*lines)
    chronies.answers(client)
    client.wait(bool if lines[0].startswith("server") else synchronised)
    facts = gather({"unsynchronised": time.clock_gettime(time.CLOCK_BOOTTIME) - 4000.0})
    assert facts.offset_s is None and facts.source == "chrony"
    (found,) = decide(facts, ClockConditions(), "h", time.time(), {})
    assert found.alert == "clock:h:unsynchronised" and "nothing has held the clock of h for 67 min" in found.message


def test_a_server_that_is_gone_is_told_though_chrony_goes_on_saying_normal(chronies: Chronies) -> None:
    server = chronies.make("local stratum 1")
    client = chronies.follow(server)
    chronies.answers(client)
    client.wait(synchronised)
    server.stop()
    steady = time.clock_gettime(time.CLOCK_BOOTTIME)
    told = ask_chrony()
    assert told is not None and told.offset_s is not None
    memory = {"chrony": (told.updated_s, steady)}
    assert quiet_s(told, memory, time.time(), steady + 1.0) is None
    assert quiet_s(told, memory, time.time(), steady + 4000.0) == pytest.approx(4000.0)
    # and a notify daemon that was started since
    assert quiet_s(told, {}, told.updated_s + 4000.0, steady) == pytest.approx(4000.0)


def test_without_chronyd_the_kernel_is_asked(chronies: Chronies) -> None:
    client = chronies.make()
    chronies.answers(client)
    client.wait(bool)
    assert ask_chrony() is not None
    client.stop()
    assert ask_chrony() is None and gather({}).source == "kernel"


def test_every_line_of_a_real_chronyc_is_read_and_nothing_else(chronies: Chronies) -> None:
    client = chronies.follow(chronies.make("local stratum 1"))
    client.wait(synchronised)
    line = client.ask("-c", "tracking")
    assert tracking_of(line) is not None
    for other in (
        "",
        "506 Cannot talk to daemon\n",
        line.replace("Normal", "Normale"),
        line.replace(",", ";"),
        line * 2,
    ):
        assert tracking_of(other) is None, other
