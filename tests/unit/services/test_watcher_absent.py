"""What the watcher knows of files that are gone from the camera's disk does not grow for ever."""

from __future__ import annotations

from pathlib import Path

from services.core.daemon import Daemon
from services.core.ledger import telescope
from services.core.ledger.engine import now
from services.core.metrics.spool import open_spool
from services.core.settings import load_settings
from services.watcher.absent import REMEMBERED_S
from services.watcher.daemon import Watcher
from tests.site import Site


def test_files_that_are_gone_for_a_month_are_forgotten(tmp_path: Path) -> None:
    # given a disk with a file, one that is away, and files on record: long ago and lately, there and gone
    away = tmp_path / "away"
    away.mkdir()
    site = Site(tmp_path / "site", dirs=[str(tmp_path / "site" / "camera"), str(away)])
    there = site.camera / "there.fits"
    there.write_bytes(b"not looked at: its size and time are on record")
    stat = there.stat()
    ledger = site.ledger("summit")
    long_ago = now() - REMEMBERED_S - 1
    gone, lately, on_other = site.camera / "gone.fits", site.camera / "lately.fits", away / "unmounted.fits"
    with ledger.begin() as conn:
        for path, at in ((there, long_ago), (gone, long_ago), (lately, now()), (on_other, long_ago)):
            telescope.record_file(conn, str(path), stat.st_size, stat.st_mtime_ns, sha256="0" * 64, reason=None, now=at)

    # when it walks over its disks
    config = site.root / "summit.yaml"
    settings = load_settings(config)
    spool = open_spool(settings)
    watcher = Watcher(Daemon("watch"), settings, ledger, spool, config)
    with ledger.read() as conn:
        watcher.known = telescope.known_files(conn)
    watcher.rescan()

    # then only the one that is gone for long from a disk that is there is known no more
    left = {str(there), str(lately), str(on_other)}
    assert set(watcher.known) == left
    with ledger.read() as conn:
        assert set(telescope.known_files(conn)) == left
    spool.close()
    site.close()
