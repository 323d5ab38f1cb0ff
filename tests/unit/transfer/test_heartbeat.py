"""The heartbeat document: what is written is read, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.errors import BadDocument, Corrupt, TransferError
from transfer.heartbeat import (
    MAX_BYTES,
    MAX_NUMBER,
    STATES,
    AlertSaid,
    DaemonSaid,
    Heartbeat,
    file_name,
    open_heartbeat,
    seal,
    site_of,
)
from transfer.signature import load_private, load_public, write_key_pair

WHEN = datetime(2026, 1, 16, 3, 4, 5, 678901, tzinfo=UTC)
ONE = Heartbeat(
    "summit", "tolar", 7, WHEN, 60.0, "nightferry 1", (DaemonSaid("watch", "running", "12 settling"),),
    (AlertSaid("disk:tolar:state:full", "no room", WHEN),), tells=False,
)  # fmt: skip
times = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
heartbeats = st.builds(
    Heartbeat,
    site=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True),
    host=text,
    number=st.integers(1, MAX_NUMBER),
    written=times,
    every_s=st.floats(0, 1e6),
    software=text,
    daemons=st.lists(st.builds(DaemonSaid, st.text('abc-1', max_size=20), st.sampled_from(STATES), text)).map(tuple),
    alerts=st.lists(st.builds(AlertSaid, text, text, times), max_size=3).map(tuple),
    tells=st.booleans(),
)  # fmt: skip


@given(heartbeats)
def test_what_is_written_is_read(heartbeat: Heartbeat) -> None:
    assert open_heartbeat(seal(heartbeat, None), heartbeat.site, None) == heartbeat


def test_what_is_too_much_is_cut() -> None:
    long = replace(
        ONE,
        daemons=tuple(DaemonSaid(f"work-{n}", "running", "x" * 9999) for n in range(200)),
        alerts=tuple(AlertSaid(f"a{n}", "y" * 9999, WHEN) for n in range(200)),
    )
    read = open_heartbeat(seal(long, None), "summit", None)
    assert (len(read.daemons), len(read.alerts), len(read.alerts[0].message)) == (64, 50, 500)
    assert len(seal(long, None)) < MAX_BYTES


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"number": 0}, "number"),
        ({"number": MAX_NUMBER + 1}, "number"),
        ({"site": "../etc"}, "site"),
        ({"site": "other"}, "site"),
        ({"version": 2}, "version"),
        ({"more": 1}, "unknown key"),
        ({"daemons": [{"name": "a", "state": "fine", "status": ""}]}, r"daemons\[0\].state"),
        ({"alerts": [{}]}, r"alerts\[0\].alert"),
        ({"written": "yesterday"}, "written"),
        ({"tells": "yes"}, "tells"),
        ({"every_s": -1}, "every_s"),
    ],
)
def test_what_breaks_the_rules_is_refused_by_its_path(change: dict[str, object], where: str) -> None:
    document = {**json.loads(seal(ONE, None)), **change}
    with pytest.raises(BadDocument, match=where):
        open_heartbeat(json.dumps(document).encode(), "summit", None)


@given(st.binary(max_size=400))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(TransferError):
        open_heartbeat(data, "summit", None)


def test_a_file_that_is_too_large_is_not_parsed() -> None:
    with pytest.raises(BadDocument, match="expected at most"):
        open_heartbeat(b"[" * (3 * MAX_BYTES), "summit", None)


def test_with_a_key_only_what_is_signed_with_it_is_believed(tmp_path: Path) -> None:
    public = write_key_pair(tmp_path / "key", "summit")
    write_key_pair(tmp_path / "other", "other")
    key = load_private(tmp_path / "key")
    signed = seal(ONE, key)
    assert open_heartbeat(signed, "summit", public) == ONE
    # one who does not know the key reads it all the same
    assert open_heartbeat(signed, "summit", None) == ONE
    with pytest.raises(BadDocument):
        open_heartbeat(seal(ONE, None), "summit", public)
    with pytest.raises(Corrupt):
        open_heartbeat(signed, "summit", load_public(tmp_path / "other.pub"))
    with pytest.raises(TransferError):
        open_heartbeat(signed.replace(b"no room", b"no roof"), "summit", public)


@pytest.mark.parametrize(
    "name", ["Summit.heartbeat", ".heartbeat", "a/b.heartbeat", "summit.json", "x" * 33 + ".heartbeat"]
)
def test_names_that_are_none(name: str) -> None:
    assert site_of(name) is None
    assert site_of(file_name("summit")) == "summit"
