"""Quick-look codecs: near the original, honest about it, the same bytes every time, readable by others."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from tests.unit.transfer.bundles import bundle_of
from tests.unit.transfer.frames import card, header, image_hdu, mosaic, padded, sky
from tests.unit.transfer.test_cli_pack import nightferry, records
from transfer.codecs.base import Encoded
from transfer.codecs.hcompress import Hcompress
from transfer.codecs.jpeg2000 import Jpeg2000
from transfer.codecs.quicklook_headers import original_of
from transfer.codecs.quicklook_noise import noise_added, sky_sigma
from transfer.codecs.registry import LOSSLESS, LOSSY, codec_named
from transfer.errors import Corrupt, Unsupported
from transfer.pack import RawFrame
from transfer.unpack import unpack

Lossy = Hcompress | Jpeg2000
both = pytest.mark.parametrize("codec", [Hcompress(4.0), Jpeg2000(10.0)], ids=LOSSY)


def field(shape: tuple[int, ...] = (300, 400), *, level: float = 1500, sigma: float = 12, seed: int = 3) -> np.ndarray:
    """A sky with a slope, stars, a saturated one, and an overscan at the left, as 16-bit integers behind BZERO."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    values = level + 0.1 * x + rng.normal(0, sigma, shape)
    for _ in range(30):
        row, column = rng.uniform(0, shape[-2]), rng.uniform(0, shape[-1])
        values += 20_000 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 8)
    values[..., 100:105, 200:204] = 65535
    values[..., :40] = 300 + rng.normal(0, 3, (*shape[:-1], 40))
    return (np.clip(values, 0, 65535).round() - 32768).astype("i2")


def frame(*detectors: np.ndarray) -> bytes:
    parts = [image_hdu(None, card("INSTRUME", "toy"), card("CHECKSUM", "stale"), card("DATASUM", "0"))]
    for number, pixels in enumerate(detectors):
        extras = (card("EXTNAME", f"S{number}"), card("BZERO", 32768), card("BSCALE", 1), card("DATASUM", "12"))
        parts.append(image_hdu(pixels, *extras, extension=True))
    return b"".join(parts)


def encode(path: Path, codec: Lossy) -> tuple[bytes, Encoded]:
    out = io.BytesIO()
    encoded = codec.encode(path, out, scratch=path.parent)
    return out.getvalue(), encoded


def decode(packed: bytes, codec: Lossy, size: int, scratch: Path) -> bytes:
    out = io.BytesIO()
    codec_named(codec.name).decode(io.BytesIO(packed), out, size=size, scratch=scratch)
    return out.getvalue()


def there_and_back(path: Path, codec: Lossy) -> tuple[Encoded, Path]:
    packed, encoded = encode(path, codec)
    back = path.with_name("back.fits")
    back.write_bytes(decode(packed, codec, encoded.size, path.parent))
    return encoded, back


@both
def test_a_mosaic_comes_back_near_itself_and_says_how_near(tmp_path: Path, codec: Lossy) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(frame(field(seed=1), field(sigma=30, seed=2)))
    encoded, back = there_and_back(path, codec)
    assert encoded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert encoded.size == path.stat().st_size
    assert len(encoded.datasums) == 3
    noise = encoded.fidelity.noise_added
    assert (encoded.fidelity.lossless, encoded.fidelity.restores) == (False, "approximation")
    with fitsio.FITS(str(back)) as ours, fitsio.FITS(str(path)) as original:
        for number, sigma in ((1, 12), (2, 30)):
            change = ours[number].read().astype(float) - original[number].read()
            rms = np.sqrt(np.median(change[:, 60:] ** 2) / 0.4549)  # of a normal distribution
            assert 0.1 < rms / sigma < 1.2 * noise
    assert 0.2 < noise < 1.0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.fits", "back.fits"]


@both
def test_the_primary_header_says_that_it_is_no_original(tmp_path: Path, codec: Lossy) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(frame(field()))
    encoded, back = there_and_back(path, codec)
    cards = fitsio.read_header(str(back), ext=0)
    assert cards["NFCODEC"] == codec.name
    assert cards["NFNOISE"] == encoded.fidelity.noise_added
    assert cards["NFSHA256"] == encoded.sha256
    assert cards["NFSCALE" if codec.name == "hcompress" else "NFRATIO"] == next(iter(codec.parameters.values()))
    assert cards["INSTRUME"] == "toy"
    assert "CHECKSUM" not in cards
    assert cards["DATASUM"] == "0"  # nothing changed in an empty data unit
    image = fitsio.read_header(str(back), ext=1)
    assert (image["EXTNAME"], image["BZERO"]) == ("S0", 32768)
    assert "DATASUM" not in image


@both
def test_an_image_in_the_primary_hdu_and_what_stands_behind_it(tmp_path: Path, codec: Lossy) -> None:
    path = tmp_path / "a.fits"
    table = header(
        *(card("XTENSION", "BINTABLE"), card("BITPIX", 8), card("NAXIS", 2), card("NAXIS1", 2), card("NAXIS2", 3)),
        *(card("PCOUNT", 0), card("GCOUNT", 1), card("TFIELDS", 1), card("TFORM1", "1I")),
    ) + padded(b"abcdef")
    tiny = image_hdu(sky((5, 70)), card("EXTNAME", "TINY"), extension=True)
    odd = header(card("XTENSION", "STRANGE"), card("BITPIX", 8), card("NAXIS", 0), b"no = card".ljust(80))
    first = image_hdu(field(), card("OBJECT", "M13"), b"COMMENT a comment".ljust(80), b" " * 80, card("OBJECT", "M13"))
    path.write_bytes(first + table + tiny + odd + b"special records")
    _, back = there_and_back(path, codec)
    original, restored = path.read_bytes(), back.read_bytes()
    assert restored.endswith(table + tiny + odd + b"special records")
    ours = [restored[i : i + 80] for i in range(0, 2880, 80)]
    theirs = [original[i : i + 80] for i in range(0, 2880, 80)]
    end = theirs.index(b"END".ljust(80))
    assert ours[:end] == theirs[:end]
    assert [each[:8] for each in ours[end : end + 4]] == [
        b"NFCODEC ",
        b"NFSCALE " if codec.name == "hcompress" else b"NFRATIO ",
        b"NFNOISE ",
        b"NFSHA256",
    ]


@both
def test_the_same_frame_gives_the_same_bytes(tmp_path: Path, codec: Lossy) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(frame(field()))
    assert encode(path, codec)[0] == encode(path, codec)[0]


@both
@pytest.mark.parametrize("shape", [(8, 8), (9, 300), (131, 8), (65, 67), (3, 70, 50)])
def test_shapes(tmp_path: Path, codec: Lossy, shape: tuple[int, ...]) -> None:
    path = tmp_path / "a.fits"
    pixels = sky(shape) + np.int16(1000)
    path.write_bytes(image_hdu(pixels))
    _, back = there_and_back(path, codec)
    restored = fitsio.read(str(back))
    assert restored.shape == shape
    assert np.abs(restored - pixels).max() < 200


@both
def test_a_constant_image_comes_back_as_it_was(tmp_path: Path, codec: Lossy) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(image_hdu(np.full((200, 100), -32000, "i2")))
    encoded, back = there_and_back(path, codec)
    assert encoded.fidelity.noise_added == 0.0
    assert (fitsio.read(str(back)) == -32000).all()


@both
@pytest.mark.parametrize(("dtype", "level"), [("u1", 120), ("i4", 2_000_000_000), ("i4", -2_147_483_000)])
def test_other_integers(tmp_path: Path, codec: Lossy, dtype: str, level: int) -> None:
    path = tmp_path / "a.fits"
    noise = np.random.default_rng(9).normal(0, 9, (150, 160)).round().astype("i8")
    path.write_bytes(image_hdu((level + noise).astype(dtype)))
    encoded, back = there_and_back(path, codec)
    change = fitsio.read(str(back)).astype("i8") - level - noise
    assert 0.1 < np.std(change) / 9 < 1.1 * encoded.fidelity.noise_added + 0.05


@both
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no FITS", "not whole FITS"),
        (image_hdu(sky((80, 80)))[:-1], "not whole FITS"),
        (image_hdu(sky((80, 80), "f4")), "not of 8, 16 or 32-bit integers"),
        (image_hdu(sky((80, 80), "i8")), "not of 8, 16 or 32-bit integers"),
        (image_hdu(sky((5, 80))), "no image"),
        (image_hdu(None), "no image"),
        (image_hdu(sky((80, 80)), card("NFCODEC", "jpeg2000")), "approximation already"),
    ],
)
def test_what_they_cannot_carry_is_unsupported(tmp_path: Path, codec: Lossy, data: bytes, reason: str) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(data)
    with pytest.raises(Unsupported, match=reason):
        encode(path, codec)


def test_what_would_leave_its_range_is_unsupported(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    rng = np.random.default_rng(4)
    path.write_bytes(image_hdu(np.clip(rng.normal(3, 30, (64, 64)), 0, 255).astype("u1")))
    with pytest.raises(Unsupported, match="does not come back"):
        encode(path, Hcompress(8.0))
    path.write_bytes(image_hdu(rng.choice([-(2**31), 2**31 - 1, 0], (64, 64)).astype("i4")))
    with pytest.raises(Unsupported):
        encode(path, Hcompress(8.0))
    with pytest.raises(Unsupported, match="spanning more than 65536 values"):
        encode(path, Jpeg2000())


def test_already_compressed_is_unsupported(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(mosaic(1))
    path.write_bytes(encode(path, Hcompress())[0])
    with pytest.raises(Unsupported, match="already"):
        encode(path, Hcompress())


def test_funpack_and_astropy_open_hcompress(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(frame(field(seed=5), field(seed=6)))
    packed, encoded = encode(path, Hcompress())
    (tmp_path / "b.fits.fz").write_bytes(packed)
    (tmp_path / "c.fits").write_bytes(decode(packed, Hcompress(), encoded.size, tmp_path))
    subprocess.run(["funpack", str(tmp_path / "b.fits.fz")], check=True, capture_output=True)
    with fitsio.FITS(str(tmp_path / "b.fits")) as theirs, fitsio.FITS(str(tmp_path / "c.fits")) as ours:
        assert theirs[0].read_header()["NFSHA256"] == encoded.sha256
        for number in (1, 2):
            np.testing.assert_array_equal(theirs[number].read(), ours[number].read())
    with fits.open(tmp_path / "b.fits.fz") as theirs, fits.open(tmp_path / "c.fits") as ours:
        ours.verify("exception")
        for number in (1, 2):
            inside = np.abs(ours[number].data.astype(int) - 32768) < 32000  # astropy wraps what overshoots
            np.testing.assert_array_equal(theirs[number].data[inside], ours[number].data[inside])


def test_any_reader_gets_at_the_jpeg2000_codestreams(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(frame(field((2000, 400))))
    packed, encoded = encode(path, Jpeg2000(5.0))
    (tmp_path / "b.fits").write_bytes(packed)
    (tmp_path / "c.fits").write_bytes(decode(packed, Jpeg2000(), encoded.size, tmp_path))
    with fits.open(tmp_path / "b.fits") as hdus, fits.open(tmp_path / "c.fits") as ours:
        hdus.verify("exception")
        ours.verify("exception")
        table = hdus["S0"]
        strips = [np.asarray(Image.open(io.BytesIO(bytes(each)))) for each in table.data["CODESTREAM"]]
        whole = np.concatenate(strips).astype(int) + table.header["NFOFFSET"] + table.header["BZERO"]
        np.testing.assert_array_equal(whole, ours["S0"].data)
    assert len(strips) == 2


@pytest.mark.parametrize("ratio", [4.0, 10.0, 20.0])
def test_jpeg2000_keeps_the_ratio(tmp_path: Path, ratio: float) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(frame(field((600, 800))))
    packed, encoded = encode(path, Jpeg2000(ratio))
    images = 600 * 800 * 2
    assert len(packed) - 4 * 2880 <= 1.02 * images / ratio
    assert len(packed) >= 0.9 * images / ratio
    assert encoded.fidelity.noise_added > 0


def test_more_loss_is_more_noise(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(frame(field((400, 600))))
    for codecs in ([Hcompress(1.0), Hcompress(3.0), Hcompress(8.0)], [Jpeg2000(4), Jpeg2000(10), Jpeg2000(30)]):
        results = [encode(path, codec) for codec in codecs]
        sizes = [len(packed) for packed, _ in results]
        noise = [encoded.fidelity.noise_added or 0 for _, encoded in results]
        assert sizes == sorted(sizes, reverse=True)
        assert noise == sorted(noise)


@pytest.mark.parametrize("sigma", [0.4, 1.5, 4.0, 40.0])
def test_sky_sigma_and_noise_of_a_known_field(sigma: float) -> None:
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:500, :600]
    values = 1000 + 0.3 * x + 500 * (x > 300) + rng.normal(0, sigma, (500, 600)) + 3e4 * ((x % 97 < 4) & (y % 89 < 4))
    pixels = np.clip(values.round(), 0, 65535).astype("u2")
    expected = np.hypot(sigma, 12**-0.5)
    assert sky_sigma(pixels) == pytest.approx(expected, rel=0.04 if sigma > 1 else 0.3)
    added = np.where(values > 20_000, 4000, rng.normal(0, 20, values.shape)).round().astype("i8")
    assert noise_added(pixels, pixels + added) == pytest.approx(20 / sky_sigma(pixels), rel=0.02)
    assert noise_added(pixels, pixels) == 0.0
    assert sky_sigma(np.full((9, 9), 7, "i2")) == 12**-0.5


def test_codecs_by_name_and_parameter() -> None:
    assert codec_named("hcompress", scale=2).parameters == {"scale": 2.0}
    assert codec_named("jpeg2000", ratio=20).parameters == {"ratio": 20.0}
    assert {codec_named(name).name for name in (*LOSSLESS, *LOSSY)} == {*LOSSLESS, *LOSSY}
    for name, wrong, said in (
        ("hcompress", {"ratio": 4.0}, "no parameter 'ratio': its only parameter is 'scale'"),
        ("nfz", {"scale": 4.0}, "no parameter 'scale': it has none"),
        ("jpeg2000", {"ratio": 1.0}, "a ratio above 1"),
        ("jpeg2000", {"ratio": float("nan")}, "a ratio above 1"),
        ("hcompress", {"scale": -1.0}, "a scale above 0"),
    ):
        with pytest.raises(Unsupported, match=said):
            codec_named(name, **wrong)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unsupported, match=r"pip install 'nightferry\[quicklook\]'"):
        codec_named("jpeg2000", ratio=10)


@both
def test_a_bundle_of_approximations_and_what_they_cannot_carry(tmp_path: Path, codec: Lossy) -> None:
    camera = tmp_path / "camera"
    camera.mkdir()
    (camera / "a.fits").write_bytes(frame(field()))
    (camera / "b.txt").write_bytes(b"a log")
    frames = [RawFrame.of(path) for path in sorted(camera.iterdir())]
    bundle = bundle_of(frames, tmp_path / "outbox", codec)
    first, second = bundle.manifest.frames
    assert (first.codec, first.parameters, first.fidelity.restores) == (codec.name, codec.parameters, "approximation")
    assert (second.codec, second.fidelity.restores) == ("nfz", "bytes")
    restored = unpack(bundle.path, tmp_path / "out")
    assert restored[0].sha256 != first.sha256
    assert original_of(tmp_path / "out/a.fits") == first.sha256
    assert original_of(camera / "a.fits") == ""
    assert (tmp_path / "out/b.txt").read_bytes() == b"a log"


def test_the_commands(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(frame(field()))
    packed = nightferry("pack", path, "-o", tmp_path, "--codec", "jpeg2000", "--ratio", 5, "--bundle", "B", "--json")
    assert packed.returncode == 0, packed.stderr
    entry = records(packed.stdout)[0]
    assert (entry["codec"], entry["restores"]) == ("jpeg2000", "approximation")
    said = json.loads((tmp_path / "B.json").read_text())["frames"][0]
    assert said["parameters"] == {"ratio": 5.0}
    assert said["fidelity"]["noise_added"] == entry["noise_added"] > 0
    done = nightferry("unpack", tmp_path / "B.nfb", "-o", tmp_path / "back")
    assert done.returncode == 0
    assert "APPROXIMATIONS" in done.stderr
    assert "never the only copy" in " ".join(nightferry("pack", "--help").stdout.split())
    wrong = nightferry("pack", path, "-o", tmp_path, "--codec", "hcompress", "--ratio", 5)
    assert (wrong.returncode, "no parameter 'ratio'" in wrong.stderr) == (2, True)


@both
def test_real_frames(shared_data: Path, tmp_path: Path, codec: Lossy) -> None:
    path = shared_data / "raw/efosc2_ntt/EFOSC.2022-01-27T04:46:29.093.fits"
    out = io.BytesIO()
    encoded = codec.encode(path, out, scratch=tmp_path)
    assert encoded.size / len(out.getvalue()) > 8
    back = tmp_path / "back.fits"
    back.write_bytes(decode(out.getvalue(), codec, encoded.size, tmp_path))
    original, restored = fitsio.read(str(path)), fitsio.read(str(back))
    assert restored.dtype == original.dtype
    assert noise_added(original, restored) == pytest.approx(encoded.fidelity.noise_added, abs=1e-4)
    assert 0.4 < (encoded.fidelity.noise_added or 0) < 0.7


@both
def test_damage_is_corrupt(tmp_path: Path, codec: Lossy) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(frame(field()))
    packed, encoded = encode(path, codec)
    for old, new in (
        (b"ZNAXIS1 =                  400", b"ZNAXIS1 =               400000"),
        (b"ZNAXIS2 =                  300", b"ZNAXIS2 =                  301"),
        (b"ZBITPIX =                   16", b"ZBITPIX =                   64"),
        (b"NFCODEC = ", b"XFCODEC = "),
        (b"NFCODEC = 'hcompress'" if codec.name == "hcompress" else b"NFCODEC = 'jpeg2000'", b"NFCODEC = 'another' "),
        (b"NAXIS2  = ", b"XAXIS2  = "),
    ):
        assert old in packed
        with pytest.raises(Corrupt):
            decode(packed.replace(old, new.ljust(len(old))[: len(old)]), codec, encoded.size, tmp_path)
    for junk in (b"", b"junk", packed[:-2880], packed[:5000]):
        with pytest.raises(Corrupt):
            decode(junk, codec, encoded.size, tmp_path)
    with pytest.raises(Corrupt, match=r"more than the manifest allows|larger than"):
        decode(packed + bytes(3 << 20), codec, encoded.size, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.fits"]
