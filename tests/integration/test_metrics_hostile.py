"""The spool among damaged files, proxies, renewed tokens, and others that drain it too."""

from __future__ import annotations

import contextlib
import http.server
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.core.metrics.ask import Elsewhere
from services.core.metrics.blocks import Block
from services.core.metrics.drain import Drained, Drainer
from services.core.metrics.drainage import gather, rejected_points, settle, take, waiting_lines
from services.core.metrics.influx import Answer, InfluxUnreachable, Post, post_to
from services.core.metrics.spool import Spool, SpoolUnwritable
from services.core.metrics_settings import InfluxSettings
from services.core.secret import Secret
from tests.fixtures.disk import small_disk_at

PAGE = 4096


@contextmanager
def answering(status: int, body: bytes, headers: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """A server that says one thing to everything; what it was shown as Authorization."""
    shown: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            shown.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", shown
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def post_for(version: int, url: str, token: Path) -> Post:
    if version == 1:
        return post_to(InfluxSettings(version=1, url=url, database="d", timeout_s=5))
    return post_to(InfluxSettings(version=2, url=url, org="o", bucket="b", token=Secret(file=token), timeout_s=5))


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("first")
    return path


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    found = Spool(tmp_path / "metrics.sqlite", "s")
    yield found
    found.close()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, b"<html>Please log in</html>", {}),
        (200, b"<html>Bitte anmelden, gr\xfc\xdfe</html>", {"Content-Type": "text/html; charset=latin-1"}),
        (502, b"<html>gr\xfc\xdfe</html>", {}),
        (302, b"", {"Location": "http://127.0.0.1:9/login"}),
        (303, b"", {"Location": "http://127.0.0.1:9/login"}),
        (415, b"no gzip here", {}),
        (429, b"", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
    ],
)
def test_a_proxy_s_word_is_no_yes(
    spool: Spool, token: Path, version: int, status: int, body: bytes, headers: dict[str, str]
) -> None:
    spool.write_lines(["m v=1 1", "m v=2 2"])
    with answering(status, body, headers) as (url, _):
        post = post_for(version, url, token)
        with pytest.raises(InfluxUnreachable, match=f"answers {status}"):
            Drainer(spool, post, 100).step()
        post.close()
    assert spool.count() == (2, 0)


def test_a_yes_that_names_refused_lines_is_none(spool: Spool, token: Path) -> None:
    told = b'{"error":"partial write of line protocol","data":[{"line_number":1,"error_message":"type of v"}]}'
    spool.write_lines(["m v=1 1"])
    with answering(201, told, {}) as (url, _):
        post = post_for(2, url, token)
        assert Drainer(spool, post, 100).step() == Drained(1, 1, 0)
        post.close()
    assert [point.reason for point in rejected_points(spool)] == ["type of v"]


def test_a_token_that_was_renewed_needs_no_new_start(spool: Spool, token: Path) -> None:
    with answering(204, b"", {}) as (url, shown):
        post = post_for(2, url, token)
        for word in ("first", "second"):
            token.write_text(word)
            spool.write_lines(["m v=1 1"])
            Drainer(spool, post, 100).step()
        token.unlink()
        spool.write_lines(["m v=1 1"])
        with pytest.raises(InfluxUnreachable, match="token"):
            Drainer(spool, post, 100).step()
        post.close()
    assert shown == ["Token first", "Token second"] and spool.count() == (1, 0)


def test_blocks_gathered_while_another_delivers_are_not_lost(spool: Spool) -> None:
    """`nightferry metrics drain` posts while the daemon, which was refused, gathers."""
    for number in range(50):
        spool.write_lines([f"m v={number} {number}"])
    taken = take(spool, 10)
    other = Spool(spool.path, "s")
    assert gather(other) == 49
    settle(spool, taken)
    assert waiting_lines(spool, 100) == [f"m v={number} {number}" for number in range(50)]
    other.close()


def test_two_drains_at_once_lose_nothing_and_set_aside_once(spool: Spool) -> None:
    other = Spool(spool.path, "s")
    spool.write_lines(["bad v=1 1"])
    refusing = _Refusing(lambda: Drainer(other, _Refusing(lambda: None), 100).step())
    Drainer(spool, refusing, 100).step()
    assert spool.count() == (0, 1)
    other.close()


class _Refusing:
    """Refuses every point; something else is done meanwhile."""

    def __init__(self, meanwhile: object) -> None:
        self._meanwhile = meanwhile

    def post(self, body: bytes) -> Answer:
        assert callable(self._meanwhile)
        self._meanwhile()
        return Answer(400, b'{"error":"unable to parse"}')

    def close(self) -> None:
        pass


def damage(path: Path) -> None:
    """Zeros over the second half of the first layout's pages, as a disk does that loses sectors."""
    with path.open("r+b") as file:
        file.seek(1 * PAGE)
        pages = path.stat().st_size // PAGE
        for page in range(pages // 2, pages * 3 // 4):
            file.seek(page * PAGE)
            file.write(b"\xa5" * PAGE)


def test_a_spool_damaged_in_its_middle_is_begun_anew_by_all_who_have_it_open(tmp_path: Path) -> None:
    first, second = (Spool(tmp_path / "metrics.sqlite", "s") for _ in range(2))
    for number in range(3000):
        first.write_lines([f"m v={number} {number} and some more to fill a page with, as points of daemons are"])
    with first.reading() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    damage(first.path)
    for number in range(3):
        second.write_lines([f"after v={number} {number}"])
        first.write_lines([f"later v={number} {number}"])
        for spool in (first, second):
            try:
                waiting_lines(spool, 10**6)
            except SpoolUnwritable:
                continue
    lines = waiting_lines(first, 10**6)
    assert lines == waiting_lines(second, 10**6)
    assert lines[-1] == "later v=2 2" and first.count() == second.count() == (len(lines), 0)
    assert 1000 < sum(line.startswith("m ") for line in lines) < 3000  # what could be read
    assert len(list(tmp_path.glob("metrics.sqlite.damaged-*[0-9]"))) == 1
    assert Drainer(second, _Yes(), 10**6).step().points == len(lines)
    first.close()
    second.close()


def test_a_spool_that_was_taken_away_is_made_again(spool: Spool) -> None:
    spool.write_lines(["m v=1 1"])
    delivered = take(spool, 10)
    for path in spool.path.parent.glob("metrics.sqlite*"):
        path.unlink()
    spool.write_lines(["m v=2 2"])
    settle(spool, delivered)
    assert waiting_lines(spool, 10) == ["m v=2 2"]


class _Yes:
    def post(self, body: bytes) -> Answer:
        return Answer(204, b"")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("body", [b'{"results":[]}', b'{"results":null}', b"[1]", b'{"error":"not you"}', b"<html>"])
def test_what_is_no_answer_to_a_question_is_said_as_that(body: bytes) -> None:
    with answering(200, body, {}) as (url, _):
        asked = Elsewhere(InfluxSettings(version=1, url=url, database="d"))
        with pytest.raises(InfluxUnreachable):
            asked.has("log", {"field": "v"})


def test_a_daemon_starts_on_a_full_disk_and_its_points_are_counted(tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.mkdir()
    with small_disk_at(place, "1m"):
        (place / "frames").write_bytes(bytes(1_000_000))
        with contextlib.suppress(OSError), (place / "more").open("wb", buffering=0) as file:
            while file.write(bytes(1000)):
                pass
        spool = Spool(place / "metrics.sqlite", "s")
        spool.write("m", {"v": 1})
        with pytest.raises(SpoolUnwritable, match=r"full|open"):
            spool.count()
        (place / "frames").unlink()
        spool.write("m", {"v": 2}, time_ns=2)
        lines = waiting_lines(spool, 10)
        spool.close()
    assert lines[0] == "m,site=s v=2i 2" and "why=unwritable points=1i" in lines[1]


def test_a_reader_that_hung_leaves_no_large_file(spool: Spool) -> None:
    reader = sqlite3.connect(spool.path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM blocks").fetchone()
    noise = random.Random(1).randbytes(1_000_000)
    for _ in range(20):
        spool.append([Block(1, noise)])
    wal = spool.path.with_name("metrics.sqlite-wal")
    assert wal.stat().st_size > 20_000_000
    reader.rollback()
    reader.close()
    for _ in range(20):
        spool.write_lines(["m v=1 1"])
    assert wal.stat().st_size <= 16_000_000
