"""The calibration registry in the ledger, the same tests against SQLite and PostgreSQL."""

from __future__ import annotations

import random
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, func, insert, select, text, update

from processors.masters.associate import calibration_key
from services import registry as masters
from services.conductor.reading import master_ref
from services.conductor.rounds import plan_round
from services.conductor.view import Rules
from services.core.ledger import arrivals, centre, registry
from services.core.ledger.affected import affected_by
from services.core.ledger.centre import Product
from services.core.ledger.engine import HEAD, Ledger, open_ledger
from services.core.ledger.registry import OPEN_END, StoredMaster
from services.core.ledger.registry_schema import made_from, reviews
from services.core.ledger.schema import calibrations, events, frames, products, task_inputs, tasks
from services.core.ledger.states import advance
from services.core.settings import LedgerSettings
from tests.builders import digest, identity, seen_frame, sequence
from transfer.checksum import sha256_file

NIGHTS = ("20250101", "20250102", "20250103")  # long ago: no frame moves there by itself any more
RULES = Rules(
    production="live",
    sequence_quiet_s=10.0,
    calibration_wait_s=10.0,
    calibration_max_age_days=3,
    min_bias=1,
    min_flat=1,
    reduce_without=frozenset({"bias", "flat"}),
)
DAYS_LATER = 1e7


@pytest.fixture
def products_dir(tmp_path: Path) -> Path:
    path = tmp_path / "products"
    path.mkdir()
    return path


class Workers:
    """Do ready tasks as a worker does, without pixels."""

    def __init__(self, ledger: Ledger, directory: Path) -> None:
        self.ledger, self.directory = ledger, directory

    def rest(self, now: float) -> list[str]:
        """Plan and work until nothing moves; the tasks that were done, in order."""
        done: list[str] = []
        for _ in range(20):
            made = plan_round(self.ledger, RULES, now)
            with self.ledger.read() as conn:
                ready = [row.task for row in centre.ready_tasks(conn, "live", now)]
                waiting = conn.execute(select(func.count()).select_from(reviews)).scalar_one()
            if not ready and not waiting and not made.made.new and not made.made.freed:
                return done
            for task in ready:
                self.work(task, now)
            done += ready
        raise AssertionError(f"planning does not come to rest: {done[-10:]}")

    def work(self, task: str, now: float) -> None:
        with self.ledger.begin() as conn:
            row = centre.claim(conn, task, "w", 60.0, now)
            assert row is not None
            query = select(task_inputs.c.sha256, task_inputs.c.role).where(task_inputs.c.task == task)
            inputs = sorted(tuple(given) for given in conn.execute(query))
            if row.kind == "check":
                advance(conn, "frame", inputs[0][0], "checked", now=now)
            else:
                name = task if row.kind == "reduce" else f"{task}-{digest(repr(inputs))[:8]}"
                path = self.directory / f"{name}.fits"
                path.write_text(repr((name, inputs)))
                made = Product(str(path), sha256_file(path), "reduced" if row.kind == "reduce" else row.kind)
                centre.add_products(conn, task, [made], now)
                if row.kind != "reduce":
                    key = row.parameters["key"]
                    date = f"{key['night'][:4]}-{key['night'][4:6]}-{key['night'][6:]}T21:00:00"
                    about: dict[str, Any] = {"production": "live", "night": key["night"], "date_obs": date, "key": key}
                    centre.add_calibration(conn, made, task=task, now=now, **about)
            advance(conn, "task", task, "done", now=now)


def observe(conn: Connection, *kinds: tuple[str, str]) -> None:
    for night, obstype in kinds:
        evening = f"{night[:4]}-{night[4:6]}-{night[6:]}"
        fields: dict[str, Any] = {
            "obstype": obstype,
            "night": night,
            "date_obs": f"{evening}T{16 + len(obstype)}:00:00",
        }
        fields |= {"filter": "" if obstype == "bias" else "g", "sequence": sequence(1, 1, f"{obstype}{night}")}
        arrivals.add_arrival(conn, seen_frame(f"{obstype}{night}", expid=len(obstype), **fields), 0.0)


@pytest.fixture
def workers(ledger: Ledger, products_dir: Path) -> Workers:
    """Three nights, all reduced; the second one has no flat, the third no calibrations at all."""
    with ledger.begin() as conn:
        observe(conn, *((NIGHTS[0], kind) for kind in ("bias", "flat", "science")))
        observe(conn, *((NIGHTS[1], kind) for kind in ("bias", "science")))
        observe(conn, (NIGHTS[2], "science"))
    made = Workers(ledger, products_dir)
    made.rest(100.0)
    return made


def find(conn: Connection, kind: str, night: str) -> StoredMaster:
    (found,) = (m for m in registry.masters_of(conn, "live") if m.kind == kind and m.night == night)
    return found


def test_a_master_from_outside_goes_by_the_name_that_it_had(ledger: Ledger, workers: Workers) -> None:
    sha256 = digest("outside")
    with ledger.begin() as conn:
        row = dict(conn.execute(select(calibrations)).mappings().first() or {})
        row |= {"sha256": sha256, "path": f"/kept/master_flat_r-{sha256[:8]}.fits", "task": None}
        conn.execute(calibrations.insert().values(**row))
    with ledger.read() as conn:
        for words in ("master_flat_r.fits", "master_flat_r", f"master_flat_r-{sha256[:8]}.fits"):
            assert masters.find_master(conn, "live", words).sha256 == sha256
        for words in ("flat_r.fits", "master_flat"):
            with pytest.raises(masters.NoSuchMaster, match="no such master"):
                masters.find_master(conn, "live", words)


def used(conn: Connection, night: str) -> dict[str, str]:
    query = select(task_inputs.c.role, task_inputs.c.sha256).join(tasks, tasks.c.task == task_inputs.c.task)
    rows = conn.execute(query.where(tasks.c.kind == "reduce", tasks.c.night == night))
    return {role: sha for role, sha in rows if role != "frame"}


def reduction(night: str) -> str:
    return f"live-reduce-{digest(f'science{night}')[:24]}"


def test_a_master_is_found_by_path_name_and_sha256(ledger: Ledger, workers: Workers) -> None:
    with ledger.read() as conn:
        flat = find(conn, "flat", NIGHTS[0])
        for words in (flat.path, Path(flat.path).name, flat.sha256, flat.sha256[:8]):
            assert masters.find_master(conn, "live", words) == flat
        for words in ("nothing", flat.sha256[:5], "/no/such.fits", "%", "_" * len(Path(flat.path).name)):
            with pytest.raises(masters.NoSuchMaster, match="no such master"):
                masters.find_master(conn, "live", words)
        with pytest.raises(masters.NoSuchMaster, match="production other"):
            masters.find_master(conn, "other", flat.sha256)


def test_a_prefix_that_two_masters_share_names_neither(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        for end in "ab":
            row: dict[str, Any] = {
                "sha256": "abcdef" + end * 58,
                "path": f"/{end}.fits",
                "kind": "bias",
                "production": "live",
            }
            row |= {"night": NIGHTS[0], "date_obs": "2025-01-01T20:00:00", "created_at": 1.0}
            key = calibration_key(identity())
            assert key is not None
            assert registry.add_outside_master(conn, {**row, "key": asdict(key)})
            assert not registry.add_outside_master(conn, {**row, "key": asdict(key)})
        with pytest.raises(masters.NoSuchMaster, match=r"any of abcdefaaaaaa /a.fits; abcdefbbbbbb /b.fits"):
            masters.find_master(conn, "live", "abcdef")


def test_certifying_says_something_once_and_withdrawing_takes_it_back(ledger: Ledger, workers: Workers) -> None:
    with ledger.begin() as conn:
        flat = find(conn, "flat", NIGHTS[0])
        assert registry.certify(conn, flat, NIGHTS[0], OPEN_END, 200.0) == list(NIGHTS)
        flat = find(conn, "flat", NIGHTS[0])
        assert [str(v) for v in master_ref(flat).validity] == [f"{NIGHTS[0]}.."]
        assert registry.certify(conn, flat, NIGHTS[0], OPEN_END, 201.0) is None
        assert registry.certify(conn, flat, NIGHTS[1], NIGHTS[1], 201.0, copied=True) is None  # covered already
        assert registry.certify(conn, flat, NIGHTS[0], NIGHTS[0], 202.0) == [NIGHTS[0]]
        assert registry.decertify(conn, find(conn, "flat", NIGHTS[0]), 203.0)
        flat = find(conn, "flat", NIGHTS[0])
        assert (flat.withdrawn, flat.certified) == (True, ())
        assert not registry.decertify(conn, flat, 204.0)
        assert registry.certify(conn, flat, NIGHTS[2], NIGHTS[2], 205.0) == [NIGHTS[2]]
        flat = find(conn, "flat", NIGHTS[0])
        assert not flat.withdrawn
        assert registry.decertify(conn, flat, 206.0, keep=True)
        flat = find(conn, "flat", NIGHTS[0])
        assert (flat.withdrawn, flat.certified) == (False, ())
        said = conn.execute(select(events.c.to_state).where(events.c.subject == "calibration")).scalars().all()
    assert said == ["certified", "certified", "withdrawn", "certified", "uncertified"]


def test_a_night_long_ago_is_reduced_again_with_what_is_certified_for_it(ledger: Ledger, workers: Workers) -> None:
    with ledger.begin() as conn:
        first, second = find(conn, "bias", NIGHTS[0]), find(conn, "bias", NIGHTS[1])
        assert used(conn, NIGHTS[2])["bias"] == second.sha256
        registry.certify(conn, first, NIGHTS[1], NIGHTS[2], DAYS_LATER)
    assert workers.rest(DAYS_LATER) == sorted([reduction(NIGHTS[1]), reduction(NIGHTS[2])])
    with ledger.read() as conn:
        assert used(conn, NIGHTS[2])["bias"] == first.sha256
        again = conn.execute(select(events.c.reason).where(events.c.name == reduction(NIGHTS[2]))).scalars().all()
        assert f"bias {Path(first.path).name} is certified for {NIGHTS[2]}" in again
    assert workers.rest(2 * DAYS_LATER) == []


def test_withdrawing_a_bias_makes_everything_again_that_was_made_with_it(ledger: Ledger, workers: Workers) -> None:
    with ledger.begin() as conn:
        bias, flat = find(conn, "bias", NIGHTS[0]), find(conn, "flat", NIGHTS[0])
        assert used(conn, NIGHTS[1])["flat"] == flat.sha256
        made = [(item.night, item.kind, item.role, item.through) for item in affected_by(conn, bias.sha256, "live")]
        through = (Path(flat.path).name,)
        assert made == [
            (NIGHTS[0], "flat", "bias", ()),
            (NIGHTS[0], "reduced", "bias", ()),
            (NIGHTS[1], "reduced", "flat", through),
            (NIGHTS[2], "reduced", "flat", through),
        ]
        registry.decertify(conn, bias, DAYS_LATER)
    done = workers.rest(DAYS_LATER)
    assert sorted(done) == sorted([str(flat.task), *(reduction(night) for night in NIGHTS)])
    with ledger.read() as conn:
        anew = find(conn, "flat", NIGHTS[0])
        assert anew.sha256 != flat.sha256
        assert {used(conn, night)["flat"] for night in NIGHTS} == {anew.sha256}
        left = [item.path for item in affected_by(conn, bias.sha256, "live")]
        assert left == [flat.path]  # it lies there still, and nobody uses it
        assert affected_by(conn, flat.sha256, "live") == []
    assert workers.rest(2 * DAYS_LATER) == []


def test_a_task_that_is_running_meanwhile_is_looked_at_when_it_is_done(ledger: Ledger, workers: Workers) -> None:
    name = reduction(NIGHTS[1])
    with ledger.begin() as conn:
        advance(conn, "task", name, "ready", now=DAYS_LATER)
        assert centre.claim(conn, name, "w", 60.0, DAYS_LATER)
        registry.decertify(conn, find(conn, "flat", NIGHTS[0]), DAYS_LATER)
    assert reduction(NIGHTS[0]) in [item.task for item in plan_round(ledger, RULES, DAYS_LATER).made.freed]
    with ledger.begin() as conn:
        assert NIGHTS[1] in [row.night for row in registry.due_reviews(conn, "live", 9)]
        advance(conn, "task", name, "done", now=DAYS_LATER)
    assert name in workers.rest(DAYS_LATER)
    with ledger.read() as conn:
        assert "flat" not in used(conn, NIGHTS[1])


def test_copycals_lends_what_a_night_was_calibrated_with(ledger: Ledger, workers: Workers) -> None:
    lent = masters.lend(ledger, "live", NIGHTS[0], NIGHTS[1])
    assert [(item.master.kind, item.lent, item.why) for item in lent] == [
        ("bias", False, f"{NIGHTS[1]} has its own"),
        ("flat", True, f"lent to {NIGHTS[1]}"),
    ]
    onwards = masters.lend(ledger, "live", NIGHTS[1], NIGHTS[2])
    assert [(item.master.kind, item.master.night, item.lent) for item in onwards] == [
        ("bias", NIGHTS[1], True),
        ("flat", NIGHTS[0], True),
    ]
    assert not any(item.lent for item in masters.lend(ledger, "live", NIGHTS[1], NIGHTS[2]))
    assert [item.master.kind for item in masters.lend(ledger, "live", NIGHTS[0], NIGHTS[2], kinds=["bias"])] == ["bias"]
    assert masters.lend(ledger, "live", NIGHTS[0], NIGHTS[2], instrument="elsewhere") == []
    over = masters.lend(ledger, "live", NIGHTS[0], NIGHTS[1], over=True)
    assert [(item.master.kind, item.lent) for item in over] == [("bias", True), ("flat", False)]
    with ledger.read() as conn:
        flat = find(conn, "flat", NIGHTS[0])
        assert not master_ref(flat).certified_for(NIGHTS[0]) and master_ref(flat).certified_for(NIGHTS[2])
        Path(flat.path).write_text("spoilt")
    with pytest.raises(masters.BadMaster, match="sha256 is another"):
        masters.lend(ledger, "live", NIGHTS[1], "20250104")


def test_the_masters_of_nights_are_theirs_and_those_that_were_said_to_be_good_for_them(
    ledger: Ledger, workers: Workers
) -> None:
    with ledger.begin() as conn:
        flat = find(conn, "flat", NIGHTS[0])
        later = ("20250601", "20250602")
        assert registry.masters_of(conn, "live", *later) == []
        registry.certify(conn, flat, "20250531", OPEN_END, 1.0)
        assert [m.sha256 for m in registry.masters_of(conn, "live", *later)] == [flat.sha256]
        assert [m.sha256 for m in registry.masters_of(conn, "live", "20250401", "20250402")] == []
        registry.decertify(conn, find(conn, "flat", NIGHTS[0]), 2.0)
        assert [m.withdrawn for m in registry.masters_of(conn, "live", "20250401", "20250402")] == [True]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_persons_say_the_ledger_comes_to_rest(ledger: Ledger, workers: Workers, seed: int) -> None:
    chance = random.Random(seed)
    for step in range(12):
        now = DAYS_LATER * (step + 1)
        with ledger.begin() as conn:
            master = chance.choice(registry.masters_of(conn, "live"))
            first, last = sorted(chance.choices(NIGHTS, k=2))
            what = chance.choice(["certify", "lend", "withdraw", "forget"])
            if what in {"certify", "lend"}:
                until = last if what == "certify" else first
                registry.certify(conn, master, first, until, now, copied=what == "lend")
            else:
                registry.decertify(conn, master, now, keep=what == "forget")
        if chance.random() < 0.6:
            workers.rest(now)
    workers.rest(DAYS_LATER * 20)
    with ledger.read() as conn:
        known = [master_ref(stored) for stored in registry.masters_of(conn, "live")]
        by_sha = {ref.sha256: ref for ref in known}
        for night in NIGHTS:
            (row,) = conn.execute(select(frames.c.identity).where(frames.c.sha256 == digest(f"science{night}")))
            target = replace(identity(), **{k: row.identity[k] for k in ("obstype", "night", "filter", "date_obs")})
            had = used(conn, night)
            assert not any(by_sha[sha].withdrawn for sha in had.values() if sha in by_sha)
            for role, best in RULES.choose(target, known).chosen.items():
                if best.certified_for(night):
                    assert had[role] == best.sha256


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_products_of_an_older_ledger_say_what_they_were_made_from(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from alembic import command
    from alembic.config import Config

    url = f"sqlite:///{tmp_path}/old.sqlite" if database == "sqlite" else request.getfixturevalue("postgres_url")
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    config = Config()
    config.set_main_option("script_location", str(Path(registry.__file__).parent.parent / "migrations"))
    task: dict[str, Any] = {
        "task": "t1",
        "production": "live",
        "kind": "flat",
        "queue": "calibrations",
        "night": NIGHTS[0],
    }
    task |= {"state": "done", "parameters": {}, "attempts": 1, "not_before": 0.0, "created_at": 1.0, "updated_at": 1.0}
    old = ("sha256", "path", "kind", "production", "night", "date_obs", "key", "task", "created_at")
    values: tuple[Any, ...] = ("5" * 64, "/p", "flat", "live", NIGHTS[0], "2025-01-01T20:00:00", {}, "t1", 1.0)
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "0002")
        conn.execute(insert(tasks).values(task))
        conn.execute(insert(task_inputs).values(task="t1", sha256="4" * 64, role="bias"))
        conn.execute(insert(products).values(path="/p", sha256="5" * 64, kind="flat", task="t1", created_at=1.0))
        conn.execute(insert(calibrations).values(dict(zip(old, values, strict=True))))
    engine.dispose()
    ledger = open_ledger(LedgerSettings(url=url))
    with ledger.begin() as conn:
        assert [tuple(row) for row in conn.execute(select(made_from))] == [("/p", "4" * 64, "bias")]
        assert [item.path for item in affected_by(conn, "4" * 64, "live")] == ["/p"]
        conn.execute(update(calibrations).values(task=None))  # may be empty now
        assert conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == HEAD
    ledger.close()
