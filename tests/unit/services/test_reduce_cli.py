"""`nightferry reduce` as a person meets it: what is said, of what, and with which exit code."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from services.cli import common
from services.cli.main import cli
from tests.site import tiny_night


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)), standalone_mode=False)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("night")
    tiny_night(directory, darks=2)
    return directory


@pytest.fixture(scope="module")
def reduced(night: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    output = tmp_path_factory.mktemp("products")
    return output, run("reduce", night, "-o", output, "--no-preview", "--no-quality", "--explain")


def test_explanations_stand_below_their_product_and_say_what_was_not_used(reduced: tuple[Path, Result]) -> None:
    _, done = reduced
    assert done.return_value == 0
    lines = done.stdout.splitlines()
    product = next(number for number, line in enumerate(lines) if line.startswith("reduced"))
    assert lines[product + 1].startswith("  chosen bias")
    assert "is reduced without a" not in done.stdout  # of masters that such a frame never gets
    assert sum("obstype dark, and simcam is reduced without" in line for line in lines) == 2
    assert "2 passed over" in done.stderr


def test_products_alone_are_nothing_to_reduce(reduced: tuple[Path, Result], tmp_path: Path) -> None:
    products = sorted(reduced[0].glob("reduced_*.fits"))
    done = run("reduce", *products, "-o", tmp_path, "--json", "--explain")
    assert done.return_value == 4
    error, *passed = map(json.loads, done.stdout.splitlines())
    assert error["error"].startswith("no frames to reduce")
    assert [record["ignored"] for record in passed] == ["a product of kind reduced"] * len(products)


@pytest.mark.parametrize(
    "wrong", [["--band", "g=r"], ["--columns", "ra=a,dec=b"], ["--max-age", "-1"], ["--jobs", "0"]]
)
def test_options_that_cannot_be_meant_are_refused(night: Path, tmp_path: Path, wrong: list[str]) -> None:
    done = CliRunner().invoke(cli, ["reduce", str(night), "-o", str(tmp_path), *wrong])
    assert done.exit_code == 2


def test_with_a_catalogue_a_person_learns_why_there_is_no_zero_point(night: Path, tmp_path: Path) -> None:
    catalogue = tmp_path / "stars.csv"
    catalogue.write_text("ra,dec,rmag\n10.0,20.0,15.0\n")
    science = [p for p in sorted(night.glob("*.fits")) if '"science"' in run("identify", p, "--json").stdout]
    done = run("reduce", science[0], "-o", tmp_path, "--no-preview", "--catalogue", catalogue)
    assert done.return_value == 0
    assert "stars on the image, 6 are needed" in done.stdout


def test_names_of_checks_are_completed() -> None:
    command = cli.get_command(click.Context(cli), "check")
    assert command is not None
    only = next(parameter for parameter in command.params if parameter.name == "only")
    assert [item.value for item in only.shell_complete(click.Context(command), "se")] == ["seeing"]


def test_lines_go_above_a_progress_bar_on_a_terminal_and_are_plain_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    screen = io.StringIO()
    monkeypatch.setattr(common, "_SHOWN", [Console(file=screen)])
    common.tell("[piped] :smile:")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    common.tell("[shown] :smile:")
    assert capsys.readouterr().out == "[piped] :smile:\n"
    assert screen.getvalue() == "[shown] :smile:\n"
