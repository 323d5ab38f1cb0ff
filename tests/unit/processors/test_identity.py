"""Identity by instrument files, and the mistakes that such files can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from processors.cards import Header, Value
from processors.errors import BadFrame, BadInstrument, UnknownInstrument
from processors.instrument import FrameIdentity, load_instruments
from tests.unit.processors import toy

INSTRUMENTS = load_instruments()
DECAM: dict[str, Value] = {
    "SIMPLE": True, "NAXIS": 0, "INSTRUME": "DECam", "EXPNUM": 229350, "DATE-OBS": "2013-09-01T04:41:51.123",
    "EXPTIME": 90, "OBJECT": "DES survey hex", "OBSTYPE": "object", "PROPID": "2012B-0001",
    "FILTER": "g DECam SDSS c0001 4720.0 1520.0", "SEQID": "hex 1", "SEQNUM": 2, "SEQTOT": 3,
}  # fmt: skip
CCD: dict[str, Value] = {
    "XTENSION": "IMAGE", "NAXIS": 2, "DATASECA": "[1081:2104,51:4146]", "BIASSECA": "[2105:2154,51:4146]", "GAINA": 4.0,
    "RDNOISEA": 6.0, "SATURATA": 45000.0, "DATASECB": "[57:1080,51:4146]", "BIASSECB": "[7:56,51:4146]", "GAINB": 4.3,
    "RDNOISEB": 6.1, "SATURATB": 44000.0,
}  # fmt: skip


def decam(ccds: range = range(1, 63), **changes: Any) -> tuple[Header, ...]:
    cards = {**DECAM, **{key.replace("_", "-"): value for key, value in changes.items()}}
    primary = Header.of({key: value for key, value in cards.items() if value != "gone"})
    return primary, *[Header.of({**CCD, "CCDNUM": n}, n) for n in ccds]


def identity(**changes: Any) -> FrameIdentity:
    return INSTRUMENTS.identify(decam(**changes), "DECam_00229350.fits.fz")


def test_a_decam_frame() -> None:
    found = identity()
    assert (found.instrument, found.night, found.expid, found.obstype) == ("decam", "20130831", 229350, "science")
    assert found.filter == "g"
    assert found.detectors == tuple(str(n) for n in range(1, 63))
    assert found.expected_detectors == 62
    assert found.sequence is not None
    assert (found.sequence.id, found.sequence.num, found.sequence.total) == ("hex 1", 2, 3)
    assert found.flags == ()


def test_decam_amplifiers_lie_side_by_side_once_trimmed() -> None:
    setup = INSTRUMENTS.named("decam").setups(decam(range(5, 6)), "")[0]
    assert setup.shape == (4096, 2048)
    places = {amplifier.name: amplifier.trimmed.x0 for amplifier in setup.amplifiers}
    assert places == {"A": 1024, "B": 0}


@pytest.mark.parametrize(
    ("obstype", "ours"),
    [("zero", "bias"), ("dome flat", "flat"), ("sky flat", "skyflat"), ("standard", "standard"), ("what", "unknown")],
)
def test_decam_obstypes(obstype: str, ours: str) -> None:
    assert identity(OBSTYPE=obstype).obstype == ours


def test_guide_chips_are_no_detectors_and_a_twin_is_refused() -> None:
    assert "63" not in INSTRUMENTS.identify(decam(range(60, 70)), "").detectors
    with pytest.raises(BadFrame, match="detector 3 is in HDU 3 and again"):
        INSTRUMENTS.identify((*decam(range(1, 4)), Header.of({**CCD, "CCDNUM": 3}, 4)), "")


def test_a_night_card_or_a_clock_that_disagrees_is_a_flag() -> None:
    assert identity(NIGHT="2013-09-01").flags == ("NIGHT_MISMATCH",)
    assert identity(NIGHT="20130831").flags == ()
    assert identity(MJD_OBS=56536.5).flags == ("TIME_MISMATCH",)
    assert identity(NIGHT="20130901").night == "20130831"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"EXPNUM": "gone"}, "no exposure number .EXPNUM"),
        ({"EXPNUM": 1.5}, "not a whole number"),
        ({"DATE_OBS": "gone"}, "no time of observation"),
        ({"DATE_OBS": "0001-01-01T00:00:00"}, "in the year 1"),
        ({"DATE_OBS": "gone", "MJD_OBS": "soon"}, "not a time"),
        ({"EXPTIME": -3}, "exposure time is '-3'"),
        ({"SEQNUM": "second"}, "sequence number"),
    ],
)
def test_what_identity_needs_and_misses_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadFrame, match=reason):
        identity(**changes)


def test_without_date_obs_the_mjd_tells_the_time() -> None:
    assert identity(DATE_OBS="gone", MJD_OBS=56536.2).date_obs == "2013-09-01T04:48:00.000"


def test_unknown_instruments_and_our_own_products_are_refused() -> None:
    with pytest.raises(UnknownInstrument, match="INSTRUME='ACS'"):
        INSTRUMENTS.identify((Header.of({"INSTRUME": "ACS"}),), "a.fits")
    with pytest.raises(UnknownInstrument, match="nightferry product"):
        INSTRUMENTS.identify(decam(NFKIND="reduced"), "a.fits")


def test_euclid_vis_by_its_file_name() -> None:
    headers = (Header.of({"NAXIS": 0}), Header.of({"XTENSION": "IMAGE", "NAXIS": 2, "EXPTIME": 0.0}, 1))
    found = INSTRUMENTS.identify(headers, "EUC_191_251116D150614T_ROE1_CCD2.fits")
    assert (found.instrument, found.expid, found.night) == ("euclid_vis", 191, "20161125")
    assert (found.detectors, found.obstype, found.expected_detectors) == (("CCD2",), "bias", 3)
    setup = INSTRUMENTS.named("euclid_vis").setups(headers, "EUC_191_251116D150614T_ROE1_CCD2.fits")[0]
    assert setup.shape == (4132, 4096)
    assert [amplifier.name for amplifier in setup.amplifiers] == ["E", "F", "G", "H"]


@pytest.mark.parametrize(
    ("card", "value", "reason"),
    [
        ("DATASECA", "[1:0,1:10]", "impossible section"),
        ("DATASECA", "everything", "not a section"),
        ("GAINA", None, "no GAINA card"),
        ("GAINB", 0.0, "gain is 0.0"),
        ("GAINB", float("nan"), "gain is nan"),
        ("RDNOISEA", "six", "read noise is 'six'"),
        ("BIASSECA", "[2000:2154,51:4146]", "lies in the data"),
        ("BIASSECB", "[7:56,100:4146]", "does not span the rows"),
        ("DATASECB", "[57:1100,51:4146]", "overlap in part"),
        ("DATASECB", "[57:1080,51:4000]", "overlap"),
    ],
)
def test_impossible_geometry_is_a_bad_frame(card: str, value: Value, reason: str) -> None:
    headers = (Header.of(DECAM), Header.of({**CCD, "CCDNUM": 1, card: value}, 1))
    with pytest.raises(BadFrame, match=reason):
        INSTRUMENTS.named("decam").setups(headers, "")


def test_all_mistakes_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(toy.YAML.replace("layout: mosaic", "layout: heap").replace("[3:22,1:24]", "[3:2"))
    (tmp_path / "b.yaml").write_text("name: B!\nsite: {}\nfoo: 1\n")
    (tmp_path / "c.yaml").write_text("name: [")
    (tmp_path / "d.yaml").write_text(toy.YAML.replace("site: {longitude_deg: 0}", "site: {timezone: Moon/Sea}"))
    with pytest.raises(BadInstrument) as caught:
        load_instruments([tmp_path, tmp_path / "nowhere"])
    text = str(caught.value)
    for place in (
        "a.yaml: detectors.layout", "a.yaml: amplifiers.0.data: expected a section", "b.yaml: name", "b.yaml: foo",
        "b.yaml: site: expected either", "b.yaml: identity", "c.yaml: not YAML", "d.yaml: site.timezone", "nowhere",
    ):  # fmt: skip
        assert place in text, place


def test_a_site_may_replace_a_built_in_instrument(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(toy.YAML.replace("name: toy", "name: decam"))
    known = load_instruments([tmp_path])
    assert [instrument.name for instrument in known.known].count("decam") == 1
    assert known.recognise((Header.of({"INSTRUME": "toy"}),), "").name == "decam"
