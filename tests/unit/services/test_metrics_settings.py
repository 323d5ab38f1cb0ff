"""Where the metrics go: each version says what it needs, and knows nothing of what another needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.core.errors import BadSettings
from services.core.inspection import mistakes_of
from services.core.settings import load_settings

BASE = "site: s\nstate_dir: /tmp/s\nledger: {{url: 'sqlite:////tmp/s/l.sqlite'}}\nmetrics: {{influxdb: {{{}}}}}\n"


def write(tmp_path: Path, influx: str) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(BASE.format(influx))
    return path


@pytest.mark.parametrize(
    "influx",
    [
        "url: 'http://h:8086', org: o, bucket: b, token: {env: T}",
        "version: 3, url: 'https://h/influx/', bucket: b, token: {env: T}, ca_file: /etc/ca.pem",
        "version: 1, url: 'http://h', database: d",
        "version: 1, url: 'http://h', database: d, user: u, password: {env: T}, retention_policy: year",
        "version: victoriametrics, url: 'http://h:8428'",
    ],
)
def test_good_servers(tmp_path: Path, influx: str) -> None:
    server = load_settings(write(tmp_path, influx)).metrics.influxdb
    assert server is not None and not server.url.endswith("/")


@pytest.mark.parametrize(
    ("influx", "said"),
    [
        ("url: 'http://h', bucket: b, token: {env: T}", "version 2 needs 'org'"),
        ("url: 'http://h', org: o, bucket: b", "version 2 needs 'token'"),
        ("version: 3, url: 'http://h', token: {env: T}", "version 3 needs 'bucket'"),
        ("version: 1, url: 'http://h'", "version 1 needs 'database'"),
        ("version: 1, url: 'http://h', database: d, bucket: b", "version 1 has no 'bucket'"),
        ("version: 1, url: 'http://h', database: d, user: u", "'user' and 'password' go together"),
        ("version: 4, url: 'http://h'", "metrics.influxdb.version: expected 1, 2, 3 or 'victoriametrics'"),
        ("version: 1, url: 'http://u:p@h', database: d", "without user and password"),
        ("version: 1, url: 'h:8086', database: d", "expected http://host"),
        ("version: 1, url: 'http://h', database: d, databse: e", "did you mean database?"),
    ],
)
def test_a_wrong_server_is_one_clear_line(tmp_path: Path, influx: str, said: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load_settings(write(tmp_path, influx))
    assert said in str(caught.value)
    assert ":4: metrics.influxdb" in str(caught.value)


def test_config_check_looks_for_the_secrets_of_every_version(tmp_path: Path) -> None:
    path = write(tmp_path, "version: 1, url: 'http://h', database: d, user: u, password: {env: NF_NOT_SET}")
    assert any("metrics.influxdb.password: " in mistake for mistake in mistakes_of(path))
