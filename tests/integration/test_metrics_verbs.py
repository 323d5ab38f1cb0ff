"""`nightferry metrics status|rejected|drain`: what a person sees, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from services.cli.common import exit_code_of
from services.cli.main import cli
from services.core.metrics.spool import Spool
from tests.fixtures.influx_server import InfluxServer

SITE = """
site: here
state_dir: {state}
ledger: {{url: "sqlite:///{state}/ledger.sqlite"}}
metrics: {{influxdb: {{version: 1, url: "{url}", database: nightferry}}}}
"""
T0 = 10**18


@pytest.fixture
def config(tmp_path: Path, influx: InfluxServer) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(state=tmp_path, url=influx.native))
    return path


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["metrics", *words], standalone_mode=False)


def code(result: Result) -> int:
    """The exit code that `nightferry.main` makes of it."""
    return int(result.return_value or 0) if result.exception is None else exit_code_of(result.exception) or -1


def test_from_the_spool_to_the_database_and_back_to_the_refused(config: Path, influx: InfluxServer) -> None:
    spool = Spool(config.parent / "metrics.sqlite", "here")
    spool.write("verbs", {"v": 1.0}, time_ns=T0)
    told = run("-c", str(config), "status")
    assert code(told) == 0 and "1 point waiting" in told.stderr and influx.native in told.stderr
    record = json.loads(run("status", "--lines", "1", "--json", "-c", str(config)).stdout)
    assert (record["waiting"], record["rejected"], record["lines"]) == (1, 0, [f"verbs,site=here v=1.0 {T0}"])
    assert code(run("rejected", "-c", str(config))) == 0
    done = run("drain", "--json", "-c", str(config))
    assert code(done) == 0 and json.loads(done.stdout) == {"delivered": 1, "rejected": 0, "waiting": 0}

    spool.write_points([])
    spool.write("verbs", {"v": "text"}, time_ns=T0 + 1)
    assert code(run("drain", "-c", str(config))) == 1
    listed = run("rejected", "-c", str(config))
    assert code(listed) == 1 and "field type conflict" in listed.stdout and "1 point set aside" in listed.stderr
    (point,) = [json.loads(line) for line in run("rejected", "--json", "-c", str(config)).stdout.splitlines()]
    assert point["line"] == f'verbs,site=here v="text" {T0 + 1}'
    assert code(run("rejected", "--again", str(point["id"]), "-c", str(config))) == 0
    assert spool.count() == (1, 0)
    influx.query("DROP MEASUREMENT verbs", "nightferry")
    assert code(run("drain", "--once", "-c", str(config))) == 0
    assert influx.rows("SELECT v FROM verbs") == [[T0 + 1, "text"]]
    assert "0 points thrown away" in run("rejected", "--drop", "-c", str(config)).stderr


def test_a_server_that_is_away_is_exit_code_3_and_loses_nothing(tmp_path: Path) -> None:
    config = tmp_path / "site.yaml"
    config.write_text(SITE.format(state=tmp_path, url="http://127.0.0.1:9"))
    spool = Spool(tmp_path / "metrics.sqlite", "here")
    spool.write("verbs", {"v": 1.0})
    done = run("drain", "-c", str(config))
    assert code(done) == 3
    assert spool.count() == (1, 0)


@pytest.mark.parametrize(
    "words", [(), ("rejected", "17"), ("rejected", "--again", "--drop"), ("rejected", "--again", "12345")]
)
def test_wrong_usage_is_exit_code_2(config: Path, words: tuple[str, ...]) -> None:
    given = ["-c", str(config)] if words else []
    assert code(run(*words, *given)) == 2
