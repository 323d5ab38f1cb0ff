"""The spool: what is written is in the file, whoever writes it and however it ends."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from services.core.metrics.blocks import block_of, join, lines_of
from services.core.metrics.drainage import gather, rejected_points, settle, settle_rejected, shrink, take, waiting_lines
from services.core.metrics.spool import Point, Recorded, Spool, SpoolUnwritable


def spool_at(tmp_path: Path, keep_points: int = 1_000_000, keep_bytes: int = 1_000_000_000) -> Spool:
    return Spool(tmp_path / "metrics.sqlite", "testsite", keep_points, keep_bytes)


def unused_pages(spool: Spool) -> int:
    """Pages of the file that hold nothing and are not given back to the disk."""
    with spool.reading() as connection:
        return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def test_points_survive_the_process_that_wrote_them(tmp_path: Path) -> None:
    first = spool_at(tmp_path)
    first.write("m", {"v": 1.0}, {"t": "x"}, time_ns=5)
    first.close()
    assert waiting_lines(spool_at(tmp_path), 10) == ["m,site=testsite,t=x v=1.0 5"]


def test_a_point_of_the_first_nanosecond_keeps_its_time(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    spool.write("m", {"v": 1}, time_ns=0)
    spool.write_points([Point("m", {"v": 2}, {}, 0)])
    assert [text.split(" ")[-1] for text in waiting_lines(spool, 10)] == ["0", "0"]


def test_what_is_no_unicode_is_written_all_the_same(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    spool.write("m", {"reason": "bad name \udcff.fits"}, time_ns=1)
    assert waiting_lines(spool, 1) == ['m,site=testsite reason="bad name ?.fits" 1']


def test_many_threads_and_connections_write_one_spool(tmp_path: Path) -> None:
    spools = [spool_at(tmp_path) for _ in range(4)]

    def write(spool: Spool) -> None:
        for number in range(50):
            spool.write("m", {"v": number})

    threads = [threading.Thread(target=write, args=(spool,)) for spool in spools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spools[0].count() == (200, 0)


def test_many_lines_are_few_blocks_in_the_order_they_were_written(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    spool.write_lines(f"m v={number}i {number}" for number in range(25_000))
    blocks = take(spool, 12_000)
    assert [block.points for block in blocks] == [10_000]
    assert sum(len(block.body) for block in take(spool, 25_000)) == spool.size() < 200_000
    assert waiting_lines(spool, 25_000) == [f"m v={number}i {number}" for number in range(25_000)]
    settle(spool, blocks)
    assert spool.count() == (15_000, 0)


@pytest.mark.parametrize(("keep_points", "keep_bytes"), [(1000, 10**9), (10**9, 15_000)])
def test_the_oldest_points_go_when_the_spool_is_full_and_that_is_counted(
    tmp_path: Path, keep_points: int, keep_bytes: int
) -> None:
    spool = Spool(tmp_path / "metrics.sqlite", "s", keep_points, keep_bytes)
    for begin in range(0, 12_000, 10):
        spool.write_lines(f"m v={number}i {number}" for number in range(begin, begin + 10))
    lines = waiting_lines(spool, 10**6)
    told = [line for line in lines if line.startswith("metrics_dropped,site=s,why=full ")]
    kept = [line for line in lines if not line.startswith("metrics_dropped")]
    assert kept == [f"m v={number}i {number}" for number in range(12_000 - len(kept), 12_000)]
    assert 0 < len(kept) <= keep_points and told
    assert spool.size() <= keep_bytes
    assert spool.count() == (len(lines), 0)


def test_more_than_the_spool_holds_at_once_leaves_the_newest(tmp_path: Path) -> None:
    spool = spool_at(tmp_path, keep_points=1000)
    spool.write_lines(f"m v={number}i {number}" for number in range(12_000))
    lines = waiting_lines(spool, 10**6)
    assert lines[-2] == "m v=11999i 11999"
    assert lines[-1].startswith("metrics_dropped,site=testsite,why=full bytes=") and ",points=11" in lines[-1]


def test_a_spool_of_the_first_layout_is_taken_over_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sqlite"
    old = sqlite3.connect(path)
    old.executescript(
        "PRAGMA journal_mode=WAL;"
        "CREATE TABLE points (id INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT NOT NULL);"
        "CREATE TABLE rejected (id INTEGER PRIMARY KEY, line TEXT NOT NULL, reason TEXT NOT NULL);"
    )
    old.executemany("INSERT INTO points (line) VALUES (?)", [(f"m v={n}i {n}",) for n in range(12_345)])
    old.execute("INSERT INTO rejected VALUES (17, 'm v=x 1', 'why')")
    old.commit()
    old.close()
    spools = [Spool(path, "s") for _ in range(2)]
    spools[1].write_lines(["m v=0i 99999"])
    assert spools[0].count() == (12_346, 1)
    assert waiting_lines(spools[0], 10**6)[:-1] == [f"m v={n}i {n}" for n in range(12_345)]
    assert [(each.line, each.reason, each.at) for each in rejected_points(spools[0])] == [("m v=x 1", "why", None)]


def test_a_file_that_is_no_spool_is_put_beside(tmp_path: Path) -> None:
    (tmp_path / "metrics.sqlite").write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    spool = spool_at(tmp_path)
    spool.write("m", {"v": 1})
    assert spool.count() == (1, 0)
    assert len(list(tmp_path.glob("metrics.sqlite.damaged-*"))) == 1


def test_a_spool_that_cannot_be_written_stops_no_frame_and_counts_what_it_lost(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    with spool.reading() as connection:
        connection.execute("PRAGMA query_only=1")
    spool.write("m", {"v": 1})
    with pytest.raises(SpoolUnwritable):
        spool.append([block_of(["m v=1 1"])])
    with spool.reading() as connection:
        connection.execute("PRAGMA query_only=0")
    spool.write("m", {"v": 2}, time_ns=2)
    lines = waiting_lines(spool, 10)
    assert lines[0] == "m,site=testsite v=2i 2"
    assert lines[1].startswith("metrics_dropped,site=testsite,why=unwritable points=1i")


def test_small_blocks_are_gathered_in_order_and_large_ones_left(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    expected = []
    for number in range(300):
        lines = [f"m,s={number} v={item}i {item}" for item in range(700 if number == 150 else 1)]
        spool.write_lines(lines)
        expected += lines
    before = spool.size()
    while gather(spool, 1000):
        pass
    assert waiting_lines(spool, 10**6) == expected
    assert [block.points for block in take(spool, 10**6)] == [150, 700, 149]
    assert spool.count() == (999, 0) and spool.size() < before
    settle(spool, take(spool, 10**6))
    assert unused_pages(spool) > 0
    shrink(spool)
    assert spool.size() == unused_pages(spool) == 0


def test_points_set_aside_can_be_tried_again_or_thrown_away(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    spool.write_lines(["m v=1 1", "m v=2 2", "m v=3 3"])
    settle(spool, take(spool, 10), [("m v=1 1", "a"), ("m v=2 2", "b")])
    newest, oldest = rejected_points(spool)
    assert (newest.line, newest.reason, oldest.line) == ("m v=2 2", "b", "m v=1 1")
    assert settle_rejected(spool, [newest.id, 12345], again=True) == 1
    assert settle_rejected(spool, [oldest.id], again=False) == 1
    assert spool.count() == (1, 0) and waiting_lines(spool, 5) == ["m v=2 2"]


def test_points_and_log_are_one_transaction(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    bad = Recorded("log", "v", "obs", "{}", points=None, at=1.0)  # type: ignore[arg-type]
    with pytest.raises(SpoolUnwritable):
        spool.append([block_of(["m v=1 1"])], [bad])
    assert spool.count() == (0, 0)


def test_bodies_are_joined_to_one_gzip_member(tmp_path: Path) -> None:
    blocks = [block_of([f"m v={n} {n}" for n in range(count)]) for count in (1, 500, 2)]
    joined = join([block.body for block in blocks])
    assert len(lines_of(joined)) == 503 and joined.count(b"\x1f\x8b\x08") == 1
    assert join([blocks[1].body]) is blocks[1].body


WRITER = """
import sys
from pathlib import Path
from services.core.metrics.spool import Spool
spool = Spool(Path(sys.argv[1]), "s")
for number in range(1_000_000):
    spool.write("m", {"v": number}, {"w": sys.argv[2]}, time_ns=number)
    print(number, flush=True)
"""


def test_what_write_returned_from_is_there_after_a_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sqlite"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], stdout=subprocess.PIPE) for name in "ab"
    ]
    said: dict[str, int] = {}
    for name, process in zip("ab", writers, strict=True):
        assert process.stdout is not None
        for _ in range(20):
            said[name] = int(process.stdout.readline())
    for process in writers:
        os.kill(process.pid, signal.SIGKILL)
    for name, process in zip("ab", writers, strict=True):
        assert process.stdout is not None
        rest = process.stdout.read().split(b"\n")[:-1]
        said[name] = int(rest[-1]) if rest else said[name]
        process.stdout.close()
        process.wait()
    lines = waiting_lines(Spool(path, "s"), 10**6)
    for name in "ab":
        mine = [line for line in lines if f"w={name} " in line]
        assert mine[: said[name] + 1] == [f"m,site=s,w={name} v={n}i {n}" for n in range(said[name] + 1)]
