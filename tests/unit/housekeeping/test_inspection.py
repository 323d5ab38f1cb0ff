"""What `config check` says of housekeeping."""

from __future__ import annotations

from pathlib import Path

import yaml

from services.cli.config import check
from services.core.inspection import mistakes_of, open_secrets
from services.core.settings import load_settings
from services.housekeeping.inspection import mistakes_in_limits, remarks_on_limits


def written(root: Path, source: str, limits: str | None) -> Path:
    housekeep = {"sources": {source: {"kind": "vison", "dir": str(root)}}, "limits": str(root / "limits.yaml")}
    settings = {
        "site": "summit",
        "state_dir": str(root / "state"),
        "ledger": {"url": f"sqlite:///{root}/ledger.sqlite"},
        "housekeep": housekeep,
    }
    if limits is not None:
        (root / "limits.yaml").write_text(limits)
    (root / "summit.yaml").write_text(yaml.safe_dump(settings))
    return root / "summit.yaml"


def said(file: Path) -> tuple[list[str], list[str]]:
    housekeep = load_settings(file).housekeep
    assert housekeep is not None
    return list(mistakes_in_limits(housekeep)), list(remarks_on_limits(housekeep))


def test_limits_of_a_source_that_nobody_follows_are_a_mistake(tmp_path: Path) -> None:
    limits = "sources: {roe1: {parameters: {T: {warning: [1, 2]}}}}"
    mistakes, remarks = said(written(tmp_path, "roe", limits))
    assert len(mistakes) == 1 and "'roe1'" in mistakes[0] and "did you mean roe?" in mistakes[0]
    assert len(remarks) == 1 and "housekeep.sources.roe: " in remarks[0]
    assert said(written(tmp_path, "roe1", limits)) == ([], [])
    assert said(written(tmp_path, "roe1", limits.replace("roe1", "roe*"))) == ([], [])


def test_a_limits_file_that_is_wrong_or_away_is_a_mistake(tmp_path: Path) -> None:
    file = written(tmp_path, "roe", "sources: {roe: {parameters: {T: {warning: [2, 1]}}}}")
    mistakes, _ = said(file)
    assert len(mistakes) == 1 and "limits.yaml:1: " in mistakes[0]
    assert check.callback is not None and check.callback(file, False) == 2
    (tmp_path / "limits.yaml").unlink()
    assert any("housekeep.limits: expected an existing file" in line for line in mistakes_of(file))


def test_a_directory_that_is_away_is_a_mistake(tmp_path: Path) -> None:
    file = written(tmp_path, "roe", "sources: {roe: {parameters: {T: {warning: [1, 2]}}}}")
    file.write_text(file.read_text().replace(f"dir: {tmp_path}", f"dir: {tmp_path}/none"))
    assert any("housekeep.sources.roe.dir: expected an existing directory" in line for line in mistakes_of(file))


def test_a_secret_that_everybody_can_read_is_remarked(tmp_path: Path) -> None:
    file, token = written(tmp_path, "roe", "sources: {}"), tmp_path / "token"
    token.write_text("secret")
    settings = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(settings | {"metrics": {"influxdb": {"version": 2, "url": "http://h:1", "org": "o",
                                   "bucket": "b", "token": {"file": str(token)}}}}))  # fmt: skip
    token.chmod(0o640)
    assert open_secrets(file) == ()
    token.chmod(0o644)
    (line,) = open_secrets(file)
    assert f"metrics.influxdb.token: any user of this host can read {token}: chmod 600" in line
