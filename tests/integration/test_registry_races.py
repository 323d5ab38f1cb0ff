"""Persons, conductors and productions at the same registry at the same moment; SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert, inspect, select

from processors.fits import ProductHDU, write_product
from processors.masters.file import key_cards
from processors.masters.ref import CalibrationKey
from processors.provenance import provenance_cards
from services import registry as masters
from services.conductor import rounds
from services.conductor.plan import plan
from services.core.ledger import centre, registry
from services.core.ledger.affected import spoilt
from services.core.ledger.centre import Product
from services.core.ledger.engine import Ledger, open_ledger
from services.core.ledger.registry import StoredMaster
from services.core.ledger.schema import calibrations
from services.core.settings import LedgerSettings, Settings, WorkSettings
from services.worker.tasks import Input, inputs_of, open_masters
from tests.integration.test_registry import (
    DAYS_LATER,
    NIGHTS,
    RULES,
    Workers,
    find,
    products_dir,
    reduction,
    used,
    workers,
)

__all__ = ["products_dir", "workers"]


def test_two_productions_have_the_same_master_each_for_itself(ledger: Ledger, workers: Workers) -> None:
    with ledger.begin() as conn:
        flat = find(conn, "flat", NIGHTS[0])
        about: dict[str, Any] = {"night": flat.night, "date_obs": flat.date_obs, "key": flat.key, "task": None}
        made = Product("/again/flat.fits", flat.sha256, "flat")
        centre.add_calibration(conn, made, production="again", now=1.0, **about)
        registry.certify(conn, masters.find_master(conn, "again", flat.sha256), NIGHTS[0], NIGHTS[0], 2.0)
        registry.decertify(conn, masters.find_master(conn, "again", flat.sha256), 3.0)
        assert find(conn, "flat", NIGHTS[0]) == flat
        assert masters.find_master(conn, "again", flat.sha256).withdrawn
        assert registry.due_reviews(conn, "live", 9) == []
        settings = Settings.model_construct(archive_dir=Path("/archive"))
        paths = {item.role: str(item.path) for item in inputs_of(conn, reduction(NIGHTS[0]), settings)}
        assert paths["flat"] == flat.path


def test_what_is_withdrawn_while_the_conductor_decides_is_given_to_nobody(
    ledger: Ledger, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.begin() as conn:
        first, second = find(conn, "bias", NIGHTS[0]), find(conn, "bias", NIGHTS[1])
        assert used(conn, NIGHTS[2])["bias"] == second.sha256
        registry.decertify(conn, second, DAYS_LATER)  # so that the third night gets the first one's

    def slowly(*arguments: Any) -> Any:
        made = plan(*arguments)
        with ledger.begin() as conn:
            registry.decertify(conn, find(conn, "bias", NIGHTS[0]), DAYS_LATER)
        return made

    monkeypatch.setattr(rounds, "plan", slowly)
    made = rounds.plan_round(ledger, RULES, DAYS_LATER)
    assert (first.sha256, "bias") in {given for item in made.made.freed for given in item.inputs}
    monkeypatch.setattr(rounds, "plan", plan)
    workers.rest(DAYS_LATER)
    with ledger.read() as conn:
        assert "bias" not in used(conn, NIGHTS[2])


def test_a_master_that_is_withdrawn_while_copycals_verifies_it_stays_withdrawn(
    ledger: Ledger, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(master: StoredMaster) -> StoredMaster:
        with ledger.begin() as conn:
            registry.decertify(conn, master, 7.0)
        return master

    monkeypatch.setattr(masters, "verified", slowly)
    lent = masters.lend(ledger, "live", NIGHTS[0], NIGHTS[2])
    assert {(item.lent, item.why) for item in lent} == {(False, "withdrawn meanwhile")}
    with ledger.read() as conn:
        assert find(conn, "flat", NIGHTS[0]).withdrawn


def test_certifying_goes_by_what_is_said_now(ledger: Ledger, workers: Workers) -> None:
    with ledger.begin() as conn:
        registry.certify(conn, find(conn, "flat", NIGHTS[0]), NIGHTS[0], NIGHTS[1], 1.0)
        seen = find(conn, "flat", NIGHTS[0])
    with ledger.begin() as conn:
        registry.decertify(conn, find(conn, "flat", NIGHTS[0]), 2.0)
    with ledger.begin() as conn:
        assert registry.certify(conn, seen, NIGHTS[0], NIGHTS[1], 3.0) is not None
        assert not find(conn, "flat", NIGHTS[0]).withdrawn


def test_a_flat_made_with_a_dark_made_with_a_withdrawn_bias_is_spoilt(ledger: Ledger, workers: Workers) -> None:
    with ledger.begin() as conn:
        bias, flat = find(conn, "bias", NIGHTS[0]), find(conn, "flat", NIGHTS[0])
        dark: dict[str, Any] = {"sha256": "d" * 64, "path": "/dark.fits", "kind": "dark", "production": "live"}
        dark |= {"night": bias.night, "date_obs": bias.date_obs, "key": dict(bias.key), "created_at": 1.0}
        registry.add_outside_master(conn, dark)
        centre.set_made_from(conn, "/dark.fits", [{"sha256": bias.sha256, "role": "bias"}])
        centre.set_made_from(conn, flat.path, [{"sha256": "d" * 64, "role": "dark"}])
        registry.decertify(conn, bias, 1.0)
        assert spoilt(conn, "live") == {"d" * 64, flat.sha256}
        assert spoilt(conn, "live", flat.task) == {flat.sha256}
        assert spoilt(conn, "again") == set()


def test_a_master_that_is_gone_says_what_a_person_can_do(tmp_path: Path) -> None:
    gone = Input("a" * 64, "bias", tmp_path / "bias.fits")
    with pytest.raises(FileNotFoundError, match=r"the master bias is gone: put it back .*decertify aaaaaaaaaaaa"):
        open_masters([gone])


@pytest.mark.parametrize("since", ["0001", "0002"])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_masters_of_an_older_ledger_are_kept(
    database: str, since: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, text

    url = f"sqlite:///{tmp_path}/old.sqlite" if database == "sqlite" else request.getfixturevalue("postgres_url")
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    config = Config()
    config.set_main_option("script_location", str(Path(registry.__file__).parent.parent / "migrations"))
    values = "'t1', 'live', 'bias', 'calibrations', '20250101', 'done', '{}', 1, 0, 1, 1"
    master = "'live', '/b', 'bias', '20250101', '2025-01-01T20:00:00', '{\"instrument\": \"simcam\"}', 't1', 1"
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, since)
        columns = (
            "task, production, kind, queue, night, state, parameters, attempts, not_before, created_at, updated_at"
        )
        conn.execute(text(f"INSERT INTO tasks ({columns}) VALUES ({values})"))
        columns = "sha256, production, path, kind, night, date_obs, key, task, created_at"
        for letter in "ab":
            told = master.replace("/b", f"/{letter}").replace(":", r"\:")
            conn.execute(text(f"INSERT INTO calibrations ({columns}) VALUES ('{letter * 64}', {told})"))
    engine.dispose()
    ledger = open_ledger(LedgerSettings(url=url))
    with ledger.begin() as conn:
        found = masters.find_master(conn, "live", "b" * 64)
        assert (found.path, found.task, found.withdrawn) == ("/b", "t1", False)
        row = dict(conn.execute(select(calibrations).where(calibrations.c.path == "/b")).mappings().one())
        conn.execute(insert(calibrations).values({**row, "production": "again", "path": "/again"}))
        assert registry.certify(conn, found, "20250101", "20250101", 2.0) == []
        assert inspect(conn).get_pk_constraint("calibrations")["constrained_columns"] == ["sha256", "production"]
        assert "ix_calibrations_night" in {index["name"] for index in inspect(conn).get_indexes("calibrations")}
    ledger.close()


@pytest.mark.parametrize("name", ["../../x", "", "a" * 33, "a b"])
def test_a_production_whose_name_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(masters.NoSuchMaster, match="production"):
        masters.production_of(Settings.model_construct(), name)


@pytest.mark.parametrize("instrument", ["../../elsewhere", "nocam"])
def test_a_master_of_an_unknown_instrument_is_not_taken_on_record(
    ledger: Ledger, tmp_path: Path, instrument: str
) -> None:
    path = tmp_path / "m.fits"
    key = CalibrationKey("bias", instrument, NIGHTS[0], "normal", detector="1")
    planes = [ProductHDU("1-VALUE", np.zeros((4, 4), np.float32), ())]
    cards = [*key_cards(key, "2025-01-01T21:00:00"), *provenance_cards("bias", "by hand", (), ())]
    write_product(path, cards, planes)
    settings = Settings.model_construct(work=WorkSettings.model_construct(products_dir=tmp_path / "a" / "b" / "c"))
    with pytest.raises(masters.BadMaster, match="no instrument file"):
        masters.register(settings, ledger, path, "live")
    assert list(tmp_path.rglob("*.fits")) == [path]


def test_a_master_is_kept_under_a_plain_name(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / f"a \n{'b' * 200}.fits"
    key = CalibrationKey("bias", "simcam", NIGHTS[0], "normal", detector="1")
    planes = [ProductHDU("1-VALUE", np.zeros((4, 4), np.float32), ())]
    cards = [*key_cards(key, "2025-01-01T21:00:00"), *provenance_cards("bias", "by hand", (), ())]
    write_product(path, cards, planes)
    settings = Settings.model_construct(work=WorkSettings.model_construct(products_dir=tmp_path / "products"))
    for _ in range(2):
        kept = Path(masters.register(settings, ledger, path, "live").path)
        assert kept.name.startswith("a--bbb") and len(kept.name) < 150 and kept.read_bytes() == path.read_bytes()
    assert Path(masters.register(settings, ledger, path, "again").path) != kept
