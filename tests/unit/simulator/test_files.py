"""Files: the same arguments give the same bytes, other programs read them, and the truth names every one of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from processors.check_frame import check_frame
from processors.fits import read_frame, sha256_of
from processors.header import read_headers
from processors.instrument import load_instruments
from processors.simulator import night as night_module
from processors.simulator.night import simulate_night
from processors.simulator.options import BadOptions, NightOptions
from processors.simulator.render import render
from tests.unit.simulator.conftest import OPTIONS, Night

TINY = NightOptions(
    seed=4,
    detectors=4,
    width=64,
    height=96,
    biases=2,
    darks=1,
    flats=1,
    standards=1,
    targets=1,
    dithers=1,
    filters=("r",),
)


def tree(root: Path) -> dict[str, str]:
    """sha256 of every file below a directory."""
    return {str(p.relative_to(root)): sha256_of(p) for p in sorted(root.rglob("*")) if p.is_file()}


def play(root: Path, options: NightOptions, jobs: int = 1) -> dict[str, str]:
    """Simulate a night with its truth and return what is on the disk."""
    for _ in simulate_night(root, options, truth=root / "truth", jobs=jobs):
        pass
    return tree(root)


@pytest.mark.parametrize("layout", ["mosaic", "detectors"])
def test_the_same_arguments_give_the_same_bytes(tmp_path: Path, layout: str) -> None:
    options = replace(TINY, layout=layout)  # type: ignore[arg-type]
    first = play(tmp_path / "a", options)
    assert first == play(tmp_path / "b", options)
    assert len(first) == 6 * (1 if layout == "mosaic" else 4) + 2 + sum("HK_" in name for name in first) + 1
    assert len({digest for name, digest in first.items() if name.endswith(".fits")}) == sum(".fits" in n for n in first)


def test_another_seed_gives_other_pixels(tmp_path: Path) -> None:
    first, second = (play(tmp_path / str(seed), replace(TINY, seed=seed)) for seed in (4, 5))
    assert first.keys() == second.keys() or any("HK_" in name for name in first.keys() ^ second.keys())
    assert all(second[name] != digest for name, digest in first.items() if name.startswith("simcam"))


def test_frames_do_not_depend_on_processes_or_order(tmp_path: Path) -> None:
    expected = play(tmp_path / "one", TINY)
    assert play(tmp_path / "two", TINY, jobs=2) == expected
    alone = render(TINY, 4).files[0]
    assert hashlib.sha256(b"".join(alone.hdus)).hexdigest() == expected[alone.name]


@pytest.mark.parametrize("layout", ["mosaic", "detectors"])
def test_astropy_and_fitsio_read_the_files_and_agree_with_their_checksums(tmp_path: Path, layout: str) -> None:
    import fitsio
    from astropy.io import fits

    options = replace(TINY, layout=layout, biases=1, darks=0, flats=0, standards=0)  # type: ignore[arg-type]
    for frame in simulate_night(tmp_path, options):
        assert frame.path.stat().st_size == frame.size
        with fits.open(frame.path, checksum=True) as hdus, fitsio.FITS(str(frame.path)) as ours:
            hdus.verify("exception")
            for index, hdu in enumerate(hdus):
                ours[index].verify_checksum()
                assert len(hdu.header) > 20
                if hdu.data is not None:
                    assert hdu.data.dtype == np.uint16
                    assert np.array_equal(hdu.data, ours[index].read())
            assert len(hdus[0].header) >= 100
            assert len(hdus) == (5 if layout == "mosaic" else 1)


def test_every_frame_is_identified_as_what_it_is(tmp_path: Path) -> None:
    instruments = load_instruments()
    for layout in ("mosaic", "detectors"):
        options = replace(TINY, layout=layout)  # type: ignore[arg-type]
        for frame in simulate_night(tmp_path / layout, options):
            headers = read_headers(frame.path)
            found = instruments.identify(headers, frame.path.name)
            assert found.flags == ()
            assert found.expected_detectors == 4
            told = dict(frame.identity)
            sequence = told.pop("sequence")
            assert found.sequence is not None
            assert (found.sequence.id, found.sequence.num, found.sequence.total) == tuple(sequence.values())
            assert list(found.detectors) == told.pop("detectors")
            assert {name: getattr(found, name) for name in told} == told
            read_frame(frame.path, instruments.named("simcam"), headers, found)


def test_truth_names_every_frame_with_its_hash(night: Night) -> None:
    entries = {entry["file"]: entry for entry in night.truth["frames"]}
    assert {path.name for path in night.root.glob("*.fits")} == entries.keys()
    for frame in night.frames:
        assert sha256_of(frame.path) == frame.sha256 == entries[frame.path.name]["sha256"]
        assert entries[frame.path.name]["identity"]["expid"] == frame.planned.expid
    assert night.truth["options"]["seed"] == OPTIONS.seed


def test_frames_appear_one_by_one_and_housekeeping_with_them(tmp_path: Path) -> None:
    frames = simulate_night(tmp_path, TINY)
    first = next(frames)
    assert [path.name for path in tmp_path.glob("*.fits")] == [first.path.name]
    assert not list(tmp_path.glob(".*"))
    log = next((tmp_path / "hk").glob("EXP_LOG*"))
    assert len(log.read_bytes().splitlines()) == 1 + TINY.detectors
    rows = sum(len(path.read_bytes().splitlines()) for path in (tmp_path / "hk").glob("HK_*"))
    frames.close()
    assert 3 < rows < 40
    assert len(list(tmp_path.glob("*.fits"))) == 1


def test_a_plain_writer_lets_the_file_grow_under_its_name(tmp_path: Path) -> None:
    sizes: list[int] = []
    options = replace(TINY, biases=1, darks=0, flats=0, standards=0, targets=0, hk=False)

    def look() -> None:
        sizes.extend(path.stat().st_size for path in tmp_path.iterdir())

    frames = list(simulate_night(tmp_path, options, write="plain", between_hdus=look))
    assert len(sizes) == 4
    assert sizes == sorted(set(sizes))
    assert sizes[-1] < frames[0].size == frames[0].path.stat().st_size
    assert sha256_of(frames[0].path) == frames[0].sha256


def test_frames_that_are_there_are_not_replaced_unasked(tmp_path: Path) -> None:
    options = replace(TINY, hk=False)
    before = play(tmp_path, options)
    with pytest.raises(BadOptions, match="there already"):
        next(simulate_night(tmp_path, replace(options, biases=1)))
    assert tree(tmp_path) == before
    assert len(list(simulate_night(tmp_path, options, overwrite=True))) == 6


def test_an_error_while_writing_leaves_no_half_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(render(TINY, 0).files[0], hdus=(b"x" * 2880, None))  # type: ignore[arg-type]
    monkeypatch.setattr(night_module, "render", lambda options, index: replace(render(options, index), files=(broken,)))
    with pytest.raises(TypeError):
        list(simulate_night(tmp_path, TINY))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_a_healthy_night_passes_every_check(tmp_path: Path) -> None:
    instruments = load_instruments()
    options = replace(OPTIONS, detectors=4, hk=False)
    for frame in simulate_night(tmp_path, options):
        bad = [result for result in check_frame(frame.path, instruments) if result.verdict != "ok"]
        assert bad == []
