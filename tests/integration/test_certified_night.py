"""Conductor, worker and the verbs of the registry together: frames wait, go without, and are done again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from processors.header import read_headers
from processors.instrument import load_instruments
from services.cli.reduce import reduce
from services.core.ledger import arrivals
from services.core.ledger.engine import now
from services.core.ledger.schema import events, tasks
from services.core.ledger.telescope import SeenFrame
from tests.site import Site, tiny_night
from transfer.checksum import sha256_file

FIRST, SECOND = "20260115", "20260118"


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Two nights of one camera by the names of their frames' kinds, such as `20260115 flat`."""
    found: dict[str, list[Path]] = {}
    for night in (FIRST, SECOND):
        for path in tiny_night(tmp_path_factory.mktemp("night"), night=night, darks=3):
            obstype = load_instruments().identify(read_headers(path), path.name).obstype
            found.setdefault(f"{night} {obstype}", []).append(path)
    return found


@pytest.fixture
def site(tmp_path: Path, valkey_url: str) -> Iterator[Site]:
    made = Site(tmp_path / "site", redis_url=valkey_url)
    yield made
    made.close()


def conduct(site: Site, **changes: Any) -> None:
    """Start the conductor and a worker."""
    settings = site.settings("centre")
    settings["conduct"] |= {"sequence_quiet_s": 1.0, "calibration_wait_s": 3.0, **changes}
    settings["work"]["preview"] = False
    site.write("centre", settings)
    for verb in ("conduct", "work"):
        site.start(verb)


def deliver(site: Site, paths: Iterable[Path]) -> None:
    """Put frames into the archive, as the receiver does."""
    instruments = load_instruments()
    for path in paths:
        (site.archive / path.name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, site.archive / path.name)
        identity = json.loads(json.dumps(asdict(instruments.identify(read_headers(path), path.name))))
        seen = SeenFrame(sha256_file(path), path.name, path.name, path.stat().st_size, 1.0, identity)
        with site.ledger("centre").begin() as conn:
            arrivals.add_arrival(conn, seen, now())


def reductions(site: Site) -> list[str]:
    with site.ledger("centre").read() as conn:
        return list(conn.execute(select(tasks.c.state).where(tasks.c.kind == "reduce")).scalars())


def flags(site: Site) -> list[str]:
    """Flags of every reduced frame, in order of their names."""
    paths = sorted((site.centre / "products").rglob("*-reduced.fits"))
    return [str(read_headers(path)[0].get("NFFLAGS")) for path in paths]


def wait_for(site: Site, expected: list[str], what: str) -> None:
    def there() -> bool:
        return all(state == "done" for state in reductions(site)) and flags(site) == expected

    site.wait(there, what, timeout_s=60.0)


def by_hand(frames: Iterable[Path], directory: Path, kind: str) -> list[str]:
    """Masters of a kind that `nightferry reduce` makes of frames."""
    reduce.main([*map(str, frames), "-o", str(directory), "--no-preview"], standalone_mode=False)
    return [str(path) for path in directory.glob(f"master_{kind}_*.fits")]


def verb(site: Site, *words: str, code: int = 0) -> list[dict[str, Any]]:
    """Run a verb with --json; its records."""
    done = site.run(*words, "--json", host="centre")
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_night_without_flats_goes_without_then_with_a_certified_one_and_without_again(
    site: Site, nights: dict[str, list[Path]], tmp_path: Path
) -> None:
    deliver(site, [*nights[f"{FIRST} bias"], *nights[f"{FIRST} science"]])
    conduct(site)
    site.wait(lambda: reductions(site) == ["waiting"] * 2, "frames that wait")
    wait_for(site, ["NOFLAT"] * 2, "the fallback")
    # when: a flat is made by hand and certified by its path
    (flat,) = by_hand(nights[f"{SECOND} bias"] + nights[f"{SECOND} flat"], tmp_path, "flat")
    (certified,) = verb(site, "certify", flat, "--from", FIRST, "--until", SECOND)
    # then
    assert (certified["registered"], certified["changed"], certified["nights"]) == (True, True, [FIRST])
    assert Path(certified["master"]).is_relative_to(site.centre / "products")
    wait_for(site, [""] * 2, "frames with the flat")
    name = certified["sha256"][:10]
    affected = verb(site, "affected", name)
    reduced = sorted(str(path) for path in (site.centre / "products").rglob("*-reduced.fits"))
    assert [(item["product"], item["role"], item["state"]) for item in affected] == [
        (p, "flat", "done") for p in reduced
    ]
    assert not verb(site, "certify", name, "--from", FIRST, "--until", SECOND)[0]["changed"]
    # when: it is withdrawn
    (withdrawn,) = verb(site, "decertify", name)
    assert (withdrawn["withdrawn"], withdrawn["affected"]) == (True, reduced)
    wait_for(site, ["NOFLAT"] * 2, "frames without it")
    assert verb(site, "affected", name) == []
    assert not verb(site, "decertify", name, code=1)[0]["changed"]
    with site.ledger("centre").read() as conn:
        query = select(events.c.reason).where(events.c.from_state == "done").order_by(events.c.id)
        reasons = list(conn.execute(query).scalars())
    flat_name = Path(certified["master"]).name
    assert reasons == [f"flat {flat_name} is certified for {FIRST}"] * 2 + [f"flat {flat_name} was withdrawn"] * 2


def test_copycals_lets_a_night_without_calibrations_go_on(site: Site, nights: dict[str, list[Path]]) -> None:
    frames = [*(path for kind in ("bias", "dark", "flat") for path in nights[f"{FIRST} {kind}"])]
    deliver(site, [*frames, *nights[f"{SECOND} science"]])
    needed = {"calibration_max_age_days": 1, "reduce_without": [], "calibrate": {"simcam": ["bias", "dark", "flat"]}}
    conduct(site, **needed)
    site.wait(lambda: len(list((site.centre / "products").rglob(f"live-*-{FIRST}-*.fits"))) == 3, "masters", 60.0)
    assert reductions(site) == ["waiting"] * 2
    assert verb(site, "copycals", "--from", "20260114", "--to", SECOND, code=1) == []
    lent = verb(site, "copycals", "--from", FIRST, "--to", SECOND)
    assert [(item["kind"], item["copied"]) for item in lent] == [("bias", True), ("dark", True), ("flat", True)]
    wait_for(site, [""] * 2, "the night with the calibrations of the other")
    (product, *_) = sorted((site.centre / "products").rglob("*-reduced.fits"))
    header = read_headers(product)[0]
    roles = [header.get(f"NF IN{n} ROLE") for n in range(1, int(str(header["NFNINP"])) + 1)]
    assert roles == ["frame", "bias", "dark", "flat"]
    bias = next(item for item in lent if item["kind"] == "bias")
    through = [item["through"] for item in verb(site, "affected", bias["master"])]
    assert sorted(map(len, through)) == [0, 0, 0, 0]  # dark, flat and two frames hold it themselves


def test_a_file_that_is_no_master_is_refused_with_its_reason(
    site: Site, nights: dict[str, list[Path]], tmp_path: Path
) -> None:
    site.ledger("centre")
    raw = str(nights[f"{FIRST} flat"][0])
    for words, code, said in (
        (("certify", raw, "--from", FIRST), 4, "is no master"),
        (("certify", "nothing.fits", "--from", FIRST), 1, "no such master on record in production live"),
        (("certify", raw, "--from", "2026-13-01"), 2, "a night is YYYYMMDD"),
        (("certify", raw, "--from", SECOND, "--until", FIRST), 2, "is before"),
        (("copycals", "--from", FIRST, "--to", FIRST), 2, "the same night"),
        (("affected", "abcdef"), 1, "no such master"),
    ):
        done = site.run(*words, host="centre")
        assert (done.returncode, said in done.stderr, done.stdout) == (code, True, ""), done.stderr
        assert "Traceback" not in done.stderr
    (bias,) = by_hand(nights[f"{FIRST} bias"], tmp_path, "bias")
    master = Path(bias)
    whole = master.read_bytes()
    master.write_bytes(whole[:-2000] + bytes([whole[-2000] ^ 1]) + whole[-1999:])
    spoilt = site.run("certify", str(master), "--from", FIRST, host="centre")
    assert (spoilt.returncode, "DATASUM" in spoilt.stderr) == (4, True), spoilt.stderr
