"""The service outside that misses us: a real HTTP server that hears the calls, and one that is gone."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from services.conditions.beacon import Beacon
from services.core.secret import Secret


def secret(tmp_path: Path, url: str) -> Secret:
    path = tmp_path / "url"
    path.write_text(f"{url}\n")
    return Secret(file=path)


def test_the_service_is_called_once_a_minute_and_a_long_failure_is_told(tmp_path: Path) -> None:
    asked: list[str] = []

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Service) as server:
        url = f"http://127.0.0.1:{server.server_port}/ping/s3cret"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        beacon = Beacon(secret(tmp_path, url))
        assert beacon.findings("h", 600.0) == [] and beacon.findings("h", 600.0) == []
        beacon.join(10.0)
        server.shutdown()
        thread.join()
    assert asked == ["/ping/s3cret"]
    # when the service is gone, a person hears of it, and not of the address
    gone = Beacon(secret(tmp_path, url), every_s=0.0)
    gone.findings("h", 600.0)
    gone.join(10.0)
    (found,) = gone.findings("h", 0.0)
    gone.join(10.0)
    assert found.alert == "heartbeat:url/h:unreachable" and "refused" in found.message and "s3cret" not in found.message


def test_an_address_of_another_kind_is_not_opened(tmp_path: Path) -> None:
    beacon = Beacon(secret(tmp_path, "file:///etc/passwd"))
    beacon.findings("h", 600.0)
    beacon.join(10.0)
    (found,) = beacon.findings("h", 0.0)
    assert "expected http" in found.message
