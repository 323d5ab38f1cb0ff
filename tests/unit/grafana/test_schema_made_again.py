"""The JSON Schema is what the npm package of Grafana's types gives today at the pinned versions."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.grafana.build import HERE


@pytest.mark.slow
def test_npm_makes_the_committed_schema_and_ajv_finds_the_dashboards_valid(tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    assert node and npm, "install nodejs (20 or newer) and npm"
    for name in ("package.json", "generate.mjs", "validate.mjs", "grafana-schema.json"):
        shutil.copy(HERE / "schema" / name, tmp_path)
    install = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(install, cwd=tmp_path, check=True, timeout=240, capture_output=True)
    made = subprocess.run([node, "generate.mjs"], cwd=tmp_path, check=True, timeout=120, capture_output=True, text=True)
    assert made.stdout == (HERE / "schema" / "grafana-schema.json").read_text(encoding="utf-8")
    boards = sorted(str(path) for path in (HERE / "json").glob("*.json"))
    checked = subprocess.run(
        [node, "validate.mjs", *boards], cwd=tmp_path, check=False, timeout=60, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count(": valid, ") == len(boards)
