"""Documents: what is written can be read, and nothing else can."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.transfer.bundles import bundle_of, camera
from transfer.documents import MAX_DOCUMENT, check_name
from transfer.errors import BadDocument
from transfer.manifest import Arrival, Fidelity, FrameEntry, FrameVerdict, Manifest, Receipt, worst

TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))
HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
NAMES = st.text(min_size=1, max_size=60).filter(lambda name: check_name(name) is None)
SIZES = st.integers(0, 2**62)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
FIDELITIES = st.one_of(
    st.builds(Fidelity, st.just(True), st.sampled_from(["bytes", "pixels"])),
    st.builds(Fidelity, st.just(False), st.just("approximation"), st.floats(0, 10)),
)
ENTRIES = st.builds(
    FrameEntry,
    name=NAMES,
    size=SIZES,
    sha256=HASHES,
    mtime=TIMES,
    datasums=st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple),
    identity=st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers(), st.none(), st.lists(TEXTS)), max_size=3),
    codec=st.sampled_from(["nfz", "raw"]),
    parameters=st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers(), st.booleans(), st.floats(0, 1)), max_size=2),
    fidelity=FIDELITIES,
    member=TEXTS,
    offset=SIZES,
    packed_size=SIZES,
    packed_sha256=HASHES,
)
MANIFESTS = st.builds(
    Manifest,
    bundle=st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True),
    site=TEXTS,
    route=TEXTS,
    created=TIMES,
    software=TEXTS,
    size=SIZES,
    sha256=HASHES,
    previous=st.none() | HASHES,
    frames=st.lists(ENTRIES, min_size=1, max_size=3).map(tuple),
)


@settings(max_examples=50)
@given(MANIFESTS)
def test_manifests_round(manifest: Manifest) -> None:
    document = manifest.to_json()
    assert Manifest.from_json(document) == manifest
    assert Manifest.from_json(document).to_json() == document


def receipt() -> Receipt:
    frames = (FrameVerdict("a", "0" * 64, "accepted"), FrameVerdict("b", "1" * 64, "corrupt", "broken"))
    return Receipt("B", "2" * 64, "corrupt", frames, datetime(2026, 1, 1, tzinfo=UTC), 10**12, None)


def arrival() -> Arrival:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return Arrival("0" * 64, "decam", "20260101", 7, ("N1", "S2"), "bias", "decam/20260101/a.fits", when)


def test_receipts_and_arrivals_round() -> None:
    assert Receipt.from_json(receipt().to_json()) == receipt()
    assert Arrival.from_json(arrival().to_json()) == arrival()


def test_the_worst_verdict() -> None:
    assert worst(["duplicate", "accepted"]) == "accepted"
    assert worst(["accepted", "corrupt", "refused"]) == "refused"


@pytest.fixture(scope="module")
def manifest_json(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("documents")
    made = bundle_of(camera(root / "camera", 1), root / "outbox").manifest
    parsed: dict[str, Any] = json.loads(made.to_json())
    return parsed


def frame(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda document: change(document["frames"][0])


BAD: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda d: d.update(kind="receipt"), r"manifest\.kind"),
    (lambda d: d.update(version=2), r"manifest\.version"),
    (lambda d: d.update(version=True), r"manifest\.version"),
    (lambda d: d.pop("sha256"), r"manifest\.sha256: missing"),
    (lambda d: d.update(surprise=1), "unknown key"),
    (lambda d: d.update(bundle="../x"), r"manifest\.bundle"),
    (lambda d: d.update(bundle="x\n"), r"manifest\.bundle"),
    (lambda d: d.update(size=-1), r"manifest\.size"),
    (lambda d: d.update(size=1.0), r"manifest\.size"),
    (lambda d: d.update(size=2**63), r"manifest\.size"),
    (lambda d: d.update(created="2026-02-30T00:00:00Z"), r"manifest\.created"),
    (lambda d: d.update(created="2026-02-03T00:00:00+01:00"), r"manifest\.created"),
    (lambda d: d.update(frames=[]), r"manifest\.frames"),
    (lambda d: d.update(frames={}), r"manifest\.frames"),
    (lambda d: d.update(frames=[3]), r"manifest\.frames\[0\]"),
    (frame(lambda f: f.update(name="../../etc/passwd")), r"manifest\.frames\[0\]\.name"),
    (frame(lambda f: f.update(name="..")), r"\.name"),
    (frame(lambda f: f.update(name="a\nb")), r"\.name"),
    (frame(lambda f: f.update(name="é" * 200)), r"\.name"),
    (frame(lambda f: f.update(name="\ud800")), r"\.name"),
    (frame(lambda f: f.update(sha256="A" * 64)), r"\.sha256"),
    (frame(lambda f: f.update(datasums=[2**32])), r"\.datasums"),
    (frame(lambda f: f.update(identity=[])), r"\.identity"),
    (frame(lambda f: f.update(parameters={"a": None})), r"\.parameters"),
    (frame(lambda f: f["fidelity"].update(lossless=False)), r"fidelity\.lossless"),
    (frame(lambda f: f["fidelity"].update(noise_added=0.1)), "unknown key"),
]


@pytest.mark.parametrize(("change", "where"), BAD)
def test_bad_manifests_are_refused_by_their_path(
    manifest_json: dict[str, Any], change: Callable[[dict[str, Any]], object], where: str
) -> None:
    document = json.loads(json.dumps(manifest_json))
    change(document)
    with pytest.raises(BadDocument, match=where):
        Manifest.from_json(json.dumps(document).encode())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b'{"kind": "manifest", "kind": "manifest", "version": 1}',
        b'{"kind": "manifest", "version": NaN}',
        b'{"kind": "manifest", "version": ' + b"9" * 5000 + b"}",
        b"[" * 200_000,
        b" " * (MAX_DOCUMENT + 1),
    ],
)
def test_other_texts_are_refused(text: bytes) -> None:
    for kind in (Manifest, Receipt, Arrival):
        with pytest.raises(BadDocument):
            kind.from_json(text)


@settings(max_examples=200)
@given(st.data())
def test_damaged_documents_raise_only_bad_document(manifest_json: dict[str, Any], data: st.DataObject) -> None:
    for text, kind in ((json.dumps(manifest_json).encode(), Manifest), (receipt().to_json(), Receipt)):
        broken = bytearray(text)
        broken[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
        try:
            kind.from_json(bytes(broken))
        except BadDocument:
            continue


def test_inconsistent_answers_are_refused() -> None:
    with pytest.raises(BadDocument, match="worst"):
        Receipt.from_json(
            receipt().to_json().replace(b'"verdict": "corrupt",\n "version"', b'"verdict": "accepted",\n "version"')
        )
    for path in (b"/etc/passwd", b"../x", b"a/../../b"):
        with pytest.raises(BadDocument, match="path"):
            Arrival.from_json(arrival().to_json().replace(b"decam/20260101/a.fits", path))


def test_nan_is_never_written(tmp_path: Path) -> None:
    frames = camera(tmp_path / "camera", 1)
    bad = [type(frames[0]).of(frames[0].path, {"seeing": float("nan")})]
    with pytest.raises(BadDocument):
        bundle_of(bad, tmp_path / "outbox")
    assert list((tmp_path / "outbox").iterdir()) == []
