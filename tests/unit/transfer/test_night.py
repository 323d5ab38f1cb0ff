"""Night manifests and answers: what is written can be read, what is signed cannot be changed."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.transfer.test_documents import HASHES, NAMES, SIZES, TEXTS, TIMES
from transfer.errors import BadDocument, Corrupt
from transfer.night import (
    Delivery,
    Gap,
    NightFrame,
    NightManifest,
    PartialExposure,
    Quarantined,
    night_stem,
    parse_stem,
)
from transfer.night_answer import Hole, NightAnswer
from transfer.signature import (
    fingerprint,
    load_private,
    load_public,
    open_signed,
    sign,
    signed_body,
    write_key_pair,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SITES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)
NIGHTS = st.from_regex(r"[0-9]{8}", fullmatch=True)
DELIVERIES = st.builds(
    Delivery,
    bundle=st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True),
    route=TEXTS,
    manifest_sha256=HASHES,
    packed_sha256=st.none() | HASHES,
    verdict=st.sampled_from(["accepted", "duplicate", "corrupt", "refused"]),
)
FRAMES = st.builds(
    NightFrame,
    name=NAMES,
    size=SIZES,
    sha256=HASHES,
    instrument=TEXTS,
    expid=SIZES,
    detectors=st.lists(TEXTS, max_size=3).map(tuple),
    obstype=TEXTS,
    deliveries=st.lists(DELIVERIES, max_size=2).map(tuple),
)
MANIFESTS = st.builds(
    NightManifest,
    site=SITES,
    night=NIGHTS,
    revision=st.integers(1, 999_999),
    created=TIMES,
    software=TEXTS,
    previous=st.none() | HASHES,
    frames=st.lists(FRAMES, max_size=3, unique_by=lambda frame: frame.order).map(
        lambda frames: tuple(sorted(frames, key=lambda frame: frame.order))
    ),
    manifests=st.dictionaries(TEXTS, HASHES, max_size=2).map(lambda heads: tuple(sorted(heads.items()))),
    gaps=st.lists(st.builds(Gap, TEXTS, st.integers(0, 10), st.integers(10, 20)), max_size=2).map(tuple),
    partial=st.lists(
        st.builds(PartialExposure, TEXTS, SIZES, st.lists(TEXTS, max_size=2).map(tuple), SIZES), max_size=2
    ).map(tuple),
    quarantined=st.lists(st.builds(Quarantined, TEXTS, TEXTS), max_size=2).map(tuple),
)
HOLES = st.lists(st.builds(Hole, NAMES, HASHES, TEXTS), max_size=3).map(tuple)


def a_manifest() -> NightManifest:
    delivery = Delivery("B-1", "centre", "1" * 64, "2" * 64, "accepted")
    frames = tuple(
        NightFrame(f"é{number}.fits", 2880, f"{number}" * 64, "simcam", number, ("1",), "bias", (delivery,))
        for number in (3, 4)
    )
    when = datetime(2026, 1, 16, 16, tzinfo=UTC)
    return NightManifest(
        site="summit",
        night="20260115",
        revision=1,
        created=when,
        software="nightferry test",
        previous=None,
        frames=frames,
        manifests=(("centre", "1" * 64),),
        gaps=(Gap("simcam", 1, 2),),
        partial=(),
        quarantined=(Quarantined("x.fits", "incomplete"),),
    )


@settings(max_examples=60)
@given(MANIFESTS)
def test_night_manifests_round_and_are_signed_the_same_way_each_time(manifest: NightManifest) -> None:
    document = manifest.to_json()
    assert NightManifest.from_json(document) == manifest
    envelope = sign(document, KEY)
    assert envelope == sign(NightManifest.from_json(document).to_json(), KEY)
    assert open_signed(envelope, KEY.public_key()) == document == signed_body(envelope)


@settings(max_examples=60)
@given(SITES, NIGHTS, st.integers(1, 99), HASHES, st.none() | TEXTS, st.lists(TEXTS, max_size=2), HOLES, SIZES, TIMES)
def test_answers_round(
    site: str,
    night: str,
    revision: int,
    sha: str,
    reason: Any,
    warnings: Any,
    holes: Any,
    frames: int,
    checked: datetime,
) -> None:
    verdict = "holes" if holes else "verified"
    answer = NightAnswer(site, night, revision, sha, verdict, reason, tuple(warnings), holes, frames, checked)
    assert NightAnswer.from_json(answer.to_json()) == answer


def test_every_flipped_bit_is_detected() -> None:
    envelope = sign(a_manifest().to_json(), KEY)
    public = KEY.public_key()
    assert open_signed(envelope, public)
    for position in range(len(envelope)):
        for bit in range(8):
            damaged = bytearray(envelope)
            damaged[position] ^= 1 << bit
            with pytest.raises((BadDocument, Corrupt)):
                open_signed(bytes(damaged), public)


@settings(max_examples=200)
@given(st.data())
def test_what_is_cut_added_or_replaced_is_detected(data: st.DataObject) -> None:
    envelope = sign(a_manifest().to_json(), KEY)
    start = data.draw(st.integers(0, len(envelope)))
    end = data.draw(st.integers(start, len(envelope)))
    changed = envelope[:start] + data.draw(st.binary(max_size=8)) + envelope[end:]
    if changed == envelope:
        return
    with pytest.raises((BadDocument, Corrupt)):
        open_signed(changed, KEY.public_key())


def test_another_key_is_named() -> None:
    other = Ed25519PrivateKey.generate()
    with pytest.raises(Corrupt, match="signed with the key SHA256:"):
        open_signed(sign(b"{}", other), KEY.public_key())
    # Signed by the other, but saying that it was signed by ours.
    forged = sign(b"{}", other).replace(
        fingerprint(other.public_key()).encode(), fingerprint(KEY.public_key()).encode()
    )
    with pytest.raises(Corrupt, match="does not fit"):
        open_signed(forged, KEY.public_key())


def first(change: Callable[[dict[str, Any]], object], key: str = "frames") -> Callable[[dict[str, Any]], object]:
    return lambda document: change(document[key][0])


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda d: d.update(kind="manifest"), r"night\.kind"),
        (lambda d: d.update(version=2), r"night\.version"),
        (lambda d: d.update(site="../x"), r"night\.site"),
        (lambda d: d.update(revision=0), r"night\.revision"),
        (lambda d: d.update(night="2026011"), r"night\.night"),
        (lambda d: d.update(surprise=1), "unknown key"),
        (lambda d: d.pop("gaps"), r"night\.gaps: missing"),
        (lambda d: d["frames"].reverse(), "sorted"),
        (lambda d: d["frames"].append(d["frames"][1]), "sorted"),
        (lambda d: d.update(manifests={"centre": "1"}), r"night\.manifests\.centre"),
        (first(lambda f: f.update(name="../../etc/passwd")), r"night\.frames\[0\]\.name"),
        (first(lambda f: f.update(detectors=[1])), r"night\.frames\[0\]\.detectors\[0\]"),
        (first(lambda f: f["deliveries"][0].update(verdict="fine")), r"night\.frames\[0\]\.deliveries\[0\]\.verdict"),
        (first(lambda g: g.update(first=3), "gaps"), r"night\.gaps\[0\]\.last"),
        (first(lambda q: q.update(reason=None), "quarantined"), r"night\.quarantined\[0\]\.reason"),
    ],
)
def test_bad_night_manifests_are_refused_by_their_path(change: Callable[[dict[str, Any]], object], where: str) -> None:
    document = json.loads(a_manifest().to_json())
    change(document)
    with pytest.raises(BadDocument, match=where):
        NightManifest.from_json(json.dumps(document).encode())


def test_an_answer_does_not_contradict_itself() -> None:
    answer = NightAnswer(
        "summit", "20260115", 1, "0" * 64, "verified", None, (), (Hole("a", "1" * 64, "gone"),), 2, datetime.now(UTC)
    )
    with pytest.raises(BadDocument, match="verdict"):
        NightAnswer.from_json(answer.to_json())


def test_the_same_night_is_told_from_another() -> None:
    manifest = a_manifest()
    assert manifest.same_night(replace(manifest, revision=7, previous="3" * 64, manifests=(), software="x"))
    assert not manifest.same_night(replace(manifest, gaps=()))
    assert not manifest.same_night(replace(manifest, frames=manifest.frames[:1]))


@given(SITES, NIGHTS, st.integers(1, 999_999))
def test_names_of_files_say_what_they_are(site: str, night: str, revision: int) -> None:
    assert parse_stem(night_stem(site, night, revision)) == (site, night, revision)


@pytest.mark.parametrize(
    "stem",
    [
        "",
        "x",
        "summit-20260115",
        "summit-20260115-0",
        "../x-20260115-1",
        "S-20260115-1",
        "summit-20260115-1\n",
        "summit-2026011x-1",
        "summit-20260115-01",
    ],
)
def test_other_names_are_none(stem: str) -> None:
    assert parse_stem(stem) is None


def test_key_pairs_are_openssh_s_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "night_key"
    key = write_key_pair(path, "nights of summit")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert fingerprint(load_private(path).public_key()) == fingerprint(load_public(tmp_path / "night_key.pub"))
    listed = subprocess.run(["ssh-keygen", "-lf", f"{path}.pub"], capture_output=True, text=True, check=True)
    assert fingerprint(key) in listed.stdout and "nights of summit" in listed.stdout
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        write_key_pair(path, "again")
    (tmp_path / "other.pub").write_text("mine")
    with pytest.raises(FileExistsError):
        write_key_pair(tmp_path / "other", "again")
    assert path.read_bytes() == before
    assert not (tmp_path / "other").exists()


def test_files_that_are_no_ed25519_keys_are_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    for data in (b"", b"rubbish", b"ssh-rsa AAAA x\n", b"\xff" * 100):
        bad.write_bytes(data)
        for load in (load_private, load_public):
            with pytest.raises(BadDocument, match="bad"):
                load(bad)
    with pytest.raises(BadDocument, match="cannot be read"):
        load_public(tmp_path / "missing")
    write_key_pair(tmp_path / "good", "x")
    with pytest.raises(BadDocument):
        load_public(tmp_path / "good")
