"""Nights in the ledger, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from services.core.ledger import nights, telescope
from services.core.ledger.engine import Ledger
from services.core.ledger.schema import events, received_frames
from services.core.ledger.states import record
from tests.builders import digest, seen_frame


def add(ledger: Ledger, stem: str, revision: int, created_at: float, night: str = "20260101") -> bool:
    with ledger.begin() as conn:
        return nights.add_manifest(
            conn,
            sha256=digest(stem),
            site="summit",
            night=night,
            revision=revision,
            document=f"{stem} – é",
            state="sealed",
            created_at=created_at,
            now=created_at,
        )


def test_frames_and_nights_are_told_by_instrument(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        for stem, night, expid in (("a", "20260101", 3), ("b", "20260101", 1), ("c", "20260102", 1)):
            telescope.add_seen(conn, seen_frame(stem, night=night, expid=expid), 1.0)
        telescope.add_seen(conn, seen_frame("d", night="20260102", instrument="decam"), 1.0)
    with ledger.begin() as conn:
        assert nights.nights_on_record(conn) == {"simcam": {"20260101", "20260102"}, "decam": {"20260102"}}
        assert [row.name for row in nights.frames_of_night(conn, "20260101")] == ["b.fits", "a.fits"]
        assert nights.frames_of_night(conn, "20260103") == []
        assert set(nights.frame_rows(conn, [digest("a"), digest("d"), digest("nobody")])) == {digest("a"), digest("d")}


def test_many_values_are_asked_for_in_parts(ledger: Ledger) -> None:
    rows = [
        {"bundle": f"B{n}", "sha256": digest(str(n)), "packed_sha256": "1" * 64, "verdict": "accepted"}
        for n in range(1200)
    ]
    with ledger.begin() as conn:
        conn.execute(received_frames.insert(), [{**row, "received_at": 1.0} for row in rows])
        again = {**rows[0], "bundle": "later", "received_at": 2.0}
        conn.execute(received_frames.insert().values(**again))
        found = nights.received_rows(conn, (digest(str(n)) for n in range(1200)))
    assert len(found) == 1200
    assert [row.bundle for row in found[digest("0")]] == ["B0", "later"]


def test_a_night_manifest_is_recorded_once_and_its_states_are_events(ledger: Ledger) -> None:
    assert add(ledger, "one", 1, 10.0)
    assert not add(ledger, "one", 1, 10.0)
    with ledger.begin() as conn:
        nights.settle_manifest(conn, digest("one"), "sent", 11.0)
        nights.settle_manifest(conn, digest("one"), "verified", 13.0, "the answer")
        nights.settle_manifest(conn, digest("one"), "verified", 14.0, "the answer again")
        row = nights.manifest_row(conn, digest("one"))
        moves = conn.execute(events.select().where(events.c.subject == "night").order_by(events.c.id)).all()
    assert row is not None
    assert (row.state, row.answer, row.document) == ("verified", "the answer again", "one – é")
    assert [(move.name, move.from_state, move.to_state) for move in moves] == [
        ("summit-20260101-1", None, "sealed"),
        ("summit-20260101-1", "sealed", "sent"),
        ("summit-20260101-1", "sent", "verified"),
    ]


def test_a_revision_has_one_content(ledger: Ledger) -> None:
    add(ledger, "one", 1, 10.0)
    assert not add(ledger, "other", 1, 11.0)
    with ledger.begin() as conn:
        assert nights.manifest_row(conn, digest("other")) is None


def test_the_chain_goes_by_time_over_all_nights(ledger: Ledger) -> None:
    add(ledger, "first", 1, 10.0)
    add(ledger, "next night", 1, 20.0, night="20260102")
    add(ledger, "first again", 2, 30.0)
    with ledger.begin() as conn:
        assert nights.newest_of_site(conn, "summit") == (digest("first again"), 30.0)
        assert nights.newest_of_site(conn, "summit", before=30.0) == (digest("next night"), 20.0)
        assert nights.newest_of_site(conn, "summit", before=10.0) is None
        assert nights.newest_of_site(conn, "elsewhere") is None
        newest = nights.newest_manifest(conn, "summit", "20260101")
        assert newest is not None and newest.revision == 2
        assert [row.revision for row in nights.manifests_of(conn, "20260101")] == [2]
        assert nights.revision_row(conn, "summit", "20260101", 3) is None


def test_a_route_answers_for_its_own_undone_bundles_only(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        record(conn, "bundle", f"summit-centre-a-20260101-{'0' * 16}", "undone", now=1.0)
        assert not nights.chain_of(conn, "summit", "centre")[1]
        assert not nights.chain_of(conn, "summit", "a")[1]
        assert nights.chain_of(conn, "summit", "centre-a")[1]
