"""Bundles, routes, quick looks and alerts in the ledger, on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, select

from services.core.errors import IllegalMove
from services.core.ledger import arrivals, centre, shipping, telescope
from services.core.ledger.alerts import open_alerts, raise_alert, resolve_alert
from services.core.ledger.arrivals import Received
from services.core.ledger.centre import NewTask
from services.core.ledger.engine import Ledger
from services.core.ledger.route_values import drop_values, set_value, values
from services.core.ledger.schema import bundles, events, frames, received_frames
from services.core.ledger.shipping import NewBundle, Wanting
from services.core.ledger.states import advance
from tests.builders import seen_frame


def wanted_by(**routes: bool) -> Wanting:
    """Every frame is wanted by these routes; the value says whether losslessly."""
    return lambda _: routes


def bundle(name: str, *members: Any, route: str = "centre", lossless: bool = True) -> NewBundle:
    pairs = tuple((frame.sha256, "p" * 64) for frame in members)
    return NewBundle(name, route, name.ljust(64, "m"), 5, 10, lossless, pairs)


def settle(conn: Connection, name: str, verdict: str, wanting: Wanting, reason: str | None = None) -> None:
    shipping.settle_bundle(conn, name, verdict, "{}", wanting, 4.0, reason)


def waiting(conn: Connection, route: str = "centre", *, lossless: bool = False) -> list[str]:
    return [row.name for row in shipping.waiting_for_route(conn, route, lossless=lossless)]


def test_a_bundle_goes_from_packed_to_accepted_and_takes_its_frames_along(ledger: Ledger) -> None:
    a, b, wanting = seen_frame("a"), seen_frame("b"), wanted_by(centre=True)
    with ledger.begin() as conn:
        for frame in (a, b):
            telescope.add_seen(conn, frame, 1.0)
        assert waiting(conn) == ["a.fits", "b.fits"]
        shipping.add_bundle(conn, bundle("B1", a, b), wanting, 2.0)
        shipping.add_bundle(conn, bundle("B1", a, b), wanting, 2.5)
        assert waiting(conn) == []
        assert shipping.last_manifest(conn, "centre") == "B1".ljust(64, "m")
        assert telescope.count_states(conn) == {"packed": 2}
        assert [row.name for row in shipping.frames_in(conn, ["B1"])["B1"]] == ["a.fits", "b.fits"]
        advance(conn, "bundle", "B1", "sent", now=3.0)
        settle(conn, "B1", "accepted", wanting)
        assert telescope.count_states(conn) == {"shipped": 2}
        assert shipping.bundles_of(conn, "centre", "packed", "sent", "refused") == []


def test_a_frame_is_shipped_only_when_every_route_that_wants_it_has_delivered_it(ledger: Ledger) -> None:
    frame, wanting = seen_frame("a"), wanted_by(centre=True, disk=True)
    with ledger.begin() as conn:
        telescope.add_seen(conn, frame, 1.0)
        for route in ("centre", "disk"):
            assert telescope.count_states(conn) == {"seen": 1}
            shipping.add_bundle(conn, bundle(route, frame, route=route), wanting, 2.0)
        settle(conn, "centre", "accepted", wanting)
        assert telescope.count_states(conn) == {"packed": 1}
        settle(conn, "disk", "duplicate", wanting)
        assert telescope.count_states(conn) == {"shipped": 1}


def test_a_quick_look_is_not_the_delivery_where_the_pixels_are_wanted(ledger: Ledger) -> None:
    frame, wanting = seen_frame("a"), wanted_by(centre=True, partner=False)
    with ledger.begin() as conn:
        telescope.add_seen(conn, frame, 1.0)
        shipping.add_bundle(conn, bundle("P", frame, route="partner", lossless=False), wanting, 2.0)
        shipping.add_bundle(conn, bundle("L", frame, lossless=False), wanting, 2.0)
        assert waiting(conn) == [] and waiting(conn, lossless=True) == ["a.fits"]
        assert telescope.count_states(conn) == {"seen": 1}
        shipping.add_bundle(conn, bundle("T", frame), wanting, 3.0)
        assert telescope.count_states(conn) == {"packed": 1}
        for name in ("P", "L"):
            settle(conn, name, "accepted", wanting)
        assert telescope.count_states(conn) == {"packed": 1}
        settle(conn, "T", "accepted", wanting)
        assert telescope.count_states(conn) == {"shipped": 1}


def test_an_exposure_that_was_begun_is_known(ledger: Ledger) -> None:
    frame = seen_frame("a")
    with ledger.begin() as conn:
        telescope.add_seen(conn, frame, 1.0)
        row = conn.execute(select(frames)).one()
        key = (row.instrument, row.night, row.expid)
        assert shipping.started_exposures(conn, "centre", [key]) == set()
        shipping.add_bundle(conn, bundle("B", frame), wanted_by(centre=True), 2.0)
        assert shipping.started_exposures(conn, "centre", [key, ("other", "20260101", 1)]) == {key}
        assert shipping.started_exposures(conn, "disk", [key]) == set()


def test_a_bundle_of_no_use_gives_its_frames_back(ledger: Ledger) -> None:
    frame, wanting = seen_frame("a"), wanted_by(centre=True)
    with ledger.begin() as conn:
        telescope.add_seen(conn, frame, 1.0)
        shipping.add_bundle(conn, bundle("B", frame), wanting, 2.0)
        settle(conn, "B", "corrupt", wanting, "spoilt")
        assert shipping.refusals(conn, "B") == 1
        shipping.unpack_bundle(conn, "B", 4.0, "once more")
        assert telescope.count_states(conn) == {"seen": 1}
        assert waiting(conn) == ["a.fits"]


def test_attempts_are_counted_up_to_the_cap_and_a_held_bundle_is_released(ledger: Ledger) -> None:
    frame, wanting = seen_frame("a"), wanted_by(centre=True)
    with ledger.begin() as conn:
        telescope.add_seen(conn, frame, 1.0)
        shipping.add_bundle(conn, bundle("B", frame), wanting, 2.0)
        assert [shipping.count_attempt(conn, "B", 3, 3.0, "cut") for _ in range(3)] == [False, False, True]
        assert not shipping.count_attempt(conn, "B", 3, 3.0, "cut"), "a held bundle is not tried"
        assert shipping.count_bundles(conn, "centre", "held") == 1
        assert shipping.release_held(conn, 5.0, ["other"]) == 0
        assert shipping.release_held(conn, 5.0) == 1
        row = shipping.bundle_row(conn, "B")
        assert row is not None and (row.state, row.attempts) == ("packed", 0)


def test_frames_are_shipped_again_unless_they_are_on_their_way(ledger: Ledger) -> None:
    a, b, wanting = seen_frame("a"), seen_frame("b"), wanted_by(centre=True)
    with ledger.begin() as conn:
        for frame in (a, b):
            telescope.add_seen(conn, frame, 1.0)
        shipping.add_bundle(conn, bundle("B", a, b), wanting, 2.0)
        assert shipping.ship_again(conn, a.sha256, ["centre"], 3.0) == ["B"]
        settle(conn, "B", "accepted", wanting)
        assert shipping.ship_again(conn, a.sha256, ["centre"], 5.0) == []
        assert waiting(conn) == ["a.fits"]
        assert conn.execute(select(bundles.c.bundle)).scalars().all() == ["B"]
        shipping.ship_again(conn, b.sha256, ["centre"], 6.0)
        assert conn.execute(select(bundles.c.bundle)).scalars().all() == [], "the same frames may make it anew"
        assert waiting(conn) == ["a.fits", "b.fits"]


def test_values_of_routes(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        set_value(conn, "centre", "mode", "serial", 1.0)
        set_value(conn, "centre", "mode", "parallel", 2.0)
        set_value(conn, "centre", "streams", 8, 2.0)
        set_value(conn, "disk", "paused", True, 2.0)
        assert values(conn) == {"centre": {"mode": "parallel", "streams": 8}, "disk": {"paused": True}}
        assert drop_values(conn, "centre", ["mode"], 3.0) == 1
        assert drop_values(conn, "disk", None, 3.0) == 1
        assert values(conn) == {"centre": {"streams": 8}}
        said = conn.execute(select(events.c.reason).where(events.c.subject == "route")).scalars().all()
        assert said[0] == "mode=serial"


def test_an_alert_is_one_row_per_condition(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        assert raise_alert(conn, "route:centre:host_key", "another key", 1.0, severity=2)
        assert not raise_alert(conn, "route:centre:host_key", "still another key", 2.0, severity=2)
        raise_alert(conn, "route:disk:full", "full", 3.0)
        assert [(row.alert, row.raised_at) for row in open_alerts(conn)] == [
            ("route:centre:host_key", 1.0),
            ("route:disk:full", 3.0),
        ]
        assert resolve_alert(conn, "route:centre:host_key", 4.0)
        assert not resolve_alert(conn, "route:centre:host_key", 5.0)
        assert raise_alert(conn, "route:centre:host_key", "again", 6.0)
        assert [row.raised_at for row in open_alerts(conn)] == [3.0, 6.0]


def test_the_lossless_twin_takes_the_place_of_a_quick_look(ledger: Ledger) -> None:
    frame = seen_frame("a")
    task = NewTask("t1", "check", "checks", "20260101", "ready", {}, ((frame.sha256, "frame"),))
    with ledger.begin() as conn:
        assert arrivals.add_arrival(conn, frame, 1.0, lossless=False)
        assert not arrivals.add_arrival(conn, frame, 1.5, lossless=False)
        assert arrivals.quick_looks(conn, [frame.sha256]) == {frame.sha256: frame.path}
        centre.add_task(conn, task, "live", 2.0)
        for state in ("running", "done"):
            advance(conn, "task", "t1", state, now=3.0)
        advance(conn, "frame", frame.sha256, "checked", now=4.0)
        assert arrivals.add_arrival(conn, frame, 5.0, lossless=True)
        assert centre.frame_state(conn, frame.sha256) == "arrived"
        assert centre.task_row(conn, "t1").state == "ready"  # type: ignore[union-attr]
        assert arrivals.is_lossless(conn, frame.sha256) and arrivals.quick_looks(conn, [frame.sha256]) == {}
        assert not arrivals.add_arrival(conn, frame, 6.0, lossless=False), "a quick look never replaces the pixels"
        assert arrivals.is_lossless(conn, frame.sha256)


def test_what_a_bundle_brought_is_not_forgotten_when_it_comes_again(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        arrivals.add_received(conn, "B", [Received("a" * 64, "p" * 64, "f" * 64, "accepted")], 1.0)
        arrivals.add_received(conn, "B", [Received("a" * 64, "p" * 64, None, "duplicate")], 2.0)
        row = conn.execute(select(received_frames)).one()
        assert (row.archived_sha256, row.verdict) == ("f" * 64, "duplicate")
        arrivals.add_received(conn, "B", [Received("a" * 64, "p" * 64, None, "corrupt")], 2.5)
        assert conn.execute(select(received_frames.c.verdict)).scalar_one() == "duplicate"
        arrivals.add_received(conn, "C", [Received("a" * 64, "p" * 64, None, "corrupt")], 2.5)
        kept = select(received_frames.c.verdict).order_by(received_frames.c.bundle)
        assert conn.execute(kept).scalars().all() == ["duplicate", "corrupt"]
        arrivals.add_receipt(conn, "B", "accepted", "{}", 3.0, "{manifest}")
        arrivals.add_receipt(conn, "B", "duplicate", "{}", 4.0)


def test_a_held_bundle_cannot_be_sent_without_a_person(ledger: Ledger) -> None:
    frame = seen_frame("a")
    with ledger.begin() as conn:
        telescope.add_seen(conn, frame, 1.0)
        shipping.add_bundle(conn, bundle("B", frame), wanted_by(centre=True), 2.0)
        shipping.count_attempt(conn, "B", 1, 3.0, "cut")
    with pytest.raises(IllegalMove), ledger.begin() as conn:
        advance(conn, "bundle", "B", "sent", now=4.0)
