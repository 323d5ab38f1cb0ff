"""Settings: every mistake at once, each with its place and what was expected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from services.cli.config import config
from services.core.errors import BadSettings
from services.core.secret import Secret
from services.core.settings import load_settings
from services.core.yamlfile import YamlFile
from transfer.signature import write_key_pair

GOOD = """\
site: summit
state_dir: /var/lib/nightferry
ledger: {url: "sqlite:////var/lib/nightferry/ledger.sqlite"}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "host.yaml"
    path.write_text(text)
    return path


def test_a_small_file_gets_the_defaults(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, GOOD))
    assert settings.log.format == "json"
    assert settings.metrics_spool == Path("/var/lib/nightferry/metrics.sqlite")


def test_every_mistake_is_told_at_once_with_line_and_path(tmp_path: Path) -> None:
    text = GOOD + (
        "watch:\n"
        "  dirs: [relative/path]\n"
        "  rescan_s: soon\n"
        "routes:\n"
        "  centre:\n"
        "    url: ftp://host/path\n"
        "    batch_frames: 0\n"
        "    bandwith_mbit_s: 3\n"
    )
    path = write(tmp_path, text)
    with pytest.raises(BadSettings) as caught:
        load_settings(path)
    told = "\n".join(caught.value.mistakes)
    assert len(caught.value.mistakes) == 5
    assert f"{path}:5: watch.dirs.0: expected an absolute path" in told
    assert f"{path}:6: watch.rescan_s:" in told and "'soon'" in told
    assert f"{path}:9: routes.centre.url: expected sftp://" in told
    assert f"{path}:10: routes.centre.batch_frames:" in told and "expected a number from 1" in told
    assert f"{path}:11: routes.centre.bandwith_mbit_s: unknown key; did you mean bandwidth?" in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n- b\n", "expected a mapping"),
        ("site: [\n", "host.yaml:2: not YAML"),
        ("", "the file is empty"),
        ("site: lab\nsince: 2026-02-30\n", "host.yaml:2: not YAML: 2026-02-30: day is out of range"),
        ("site: &a [*a]\n", "nested without end"),
        (GOOD + "site: other\n", "the key stands twice"),
        (GOOD + "watch: {dirs: [/data]}\n", "'watch' needs at least one destination"),
        (GOOD + "routes: {r: {url: 'sftp://u@h/p'}}\n", "needs 'key_file' and 'known_hosts'"),
        (GOOD + "redis: {url: 'redis://:secret@host/0'}\n", "a password in the address is not allowed"),
        (GOOD + "metrics: {influxdb: {url: 'http://h', org: o, bucket: b, token: abc}}\n", "metrics.influxdb.token"),
        (GOOD.replace("sqlite:////", "sqlite:///"), "expected sqlite:////absolute/path"),
        (GOOD + "conduct: {}\n", "needs 'work'"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load_settings(write(tmp_path, text))
    assert said in str(caught.value)


def test_a_secret_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("s3cret\nsecond line\n")
    monkeypatch.setenv("NF_TOKEN", "from-env")
    assert Secret(file=tmp_path / "token").read() == "s3cret"
    assert Secret(env="NF_TOKEN").read() == "from-env"
    with pytest.raises(BadSettings, match="NF_ABSENT: is empty or not set"):
        Secret(env="NF_ABSENT").read()
    with pytest.raises(BadSettings, match="cannot be read"):
        Secret(file=tmp_path / "absent").read()


def test_config_check_exits_with_2_and_looks_at_the_host_too(tmp_path: Path) -> None:
    text = GOOD + "watch: {dirs: [/no/such/dir]}\nroutes: {disk: {url: 'file:///backup'}}\n"
    result = CliRunner().invoke(config, ["check", str(write(tmp_path, text))], standalone_mode=False)
    assert result.return_value == 2
    assert "watch.dirs.0: expected an existing directory, got /no/such/dir" in result.stderr


def test_config_check_without_a_file_looks_at_that_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    for directory, text in ((good, GOOD), (bad, GOOD + "watch: {dirs: [/no/such/dir]}\n")):
        directory.mkdir()
        write(directory, text)
    (found,), (wrong,) = good.iterdir(), bad.iterdir()
    monkeypatch.delenv("NIGHTFERRY_CONFIG", raising=False)
    monkeypatch.setattr("services.cli.daemons.SITE_FILE", tmp_path / "none.yaml")
    missing = CliRunner().invoke(config, ["check"])
    assert missing.exit_code == 2 and "Missing argument" in missing.output
    monkeypatch.setattr("services.cli.daemons.SITE_FILE", found)
    assert f"{found}: good" in CliRunner().invoke(config, ["check"], standalone_mode=False).output
    monkeypatch.setenv("NIGHTFERRY_CONFIG", str(wrong))
    assert CliRunner().invoke(config, ["check"], standalone_mode=False).return_value == 2


def test_config_check_knows_the_words_of_filters_and_the_keys_of_nights(tmp_path: Path) -> None:
    write_key_pair(tmp_path / "night", "test")
    text = GOOD + (
        "archive_dir: /var/lib/nightferry/archive\n"
        "receive:\n"
        "  root: /var/lib/nightferry\n"
        f"  night_keys: {{summit: {tmp_path}/night, other: {tmp_path}/night.pub, gone: {tmp_path}/none}}\n"
        "routes:\n"
        "  disk:\n"
        f"    url: file://{tmp_path}\n"
        "    filter: {obstype: [Sci*, flats], instrument: [simcam, hsk]}\n"
        "    priority: [{object: [anything]}, {obstype: [standrad]}]\n"
    )
    done = CliRunner().invoke(config, ["check", str(write(tmp_path, text)), "--json"], standalone_mode=False)
    told = json.loads(done.stdout)["mistakes"]
    assert done.return_value == 2 and len(told) == 5
    assert "receive.night_keys.summit" in told[0] and "no public key" in told[0]
    assert "receive.night_keys.gone" in told[1] and "No such file" in told[1]
    assert "routes.disk.priority.1.obstype: 'standrad' fits none of bias, dark" in told[2]
    assert "routes.disk.filter.obstype: 'flats'" in told[3]
    assert "routes.disk.filter.instrument: 'hsk' fits none of" in told[4]


def test_sources_of_housekeeping_are_checked_by_their_kind(tmp_path: Path) -> None:
    text = GOOD + (
        "housekeep:\n"
        "  sources:\n"
        "    a: {kind: csv, dir: relative, delimter: ';'}\n"
        "    b: {kind: cvs, dir: /tmp}\n"
        "    c: {dir: /tmp}\n"
        "    d: {kind: influxdb, url: 'http://u:p@h', database: d, query: 'DROP {time}'}\n"
        "    e: {kind: csv, dir: /tmp, time_format: sometimes, time_zone: Mars/Phobos}\n"
    )
    with pytest.raises(BadSettings) as caught:
        load_settings(write(tmp_path, text))
    told = "\n".join(caught.value.mistakes)
    assert ":6: housekeep.sources.a.dir: expected an absolute path" in told
    assert ":6: housekeep.sources.a.delimter: unknown key; did you mean delimiter?" in told
    assert ":7: housekeep.sources.b: expected the kind to be one of" in told and "got 'cvs'" in told
    assert ":8: housekeep.sources.c: the kind is missing" in told
    assert ":9: housekeep.sources.d.url: expected http://host" in told
    assert ":10: housekeep.sources.e.time_format: expected iso" in told
    assert ":10: housekeep.sources.e.time_zone: expected a time zone" in told
    assert len(caught.value.mistakes) == 7


def test_the_documented_examples_are_good() -> None:
    directory = Path(__file__).parents[3] / "deploy" / "config"
    examples = sorted(directory.glob("*.yaml"))
    assert {path.name for path in examples} == {"summit.yaml", "centre.yaml"}
    for path in examples:
        load_settings(path)


def test_aliases_of_aliases_are_a_mistake_and_not_an_endless_file(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path = tmp_path / "settings.yaml"
    path.write_text("\n".join(rows))
    with pytest.raises(BadSettings, match="values with its aliases"):
        YamlFile(path)
