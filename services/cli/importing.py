"""`nightferry receive --import`: a disk that came by courier."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.cli.common import emit, progress, say
from services.core.errors import BadSettings

if TYPE_CHECKING:
    from services.receiver.importing import Imported


def run_import(config: Path, directory: Path, as_json: bool) -> int:
    """Take the bundles and night manifests of a directory; exit code 4 when any of them is bad."""
    from services.core.ledger.engine import open_ledger
    from services.core.log import set_up_logging
    from services.core.metrics.spool import open_spool
    from services.core.settings import load_settings
    from services.receiver.importing import Importer, survey

    settings = load_settings(config)
    if settings.receive is None:
        raise BadSettings((f"{config}: receive: is missing; `nightferry receive --import` needs it",))
    if not directory.is_dir():
        raise click.UsageError(f"{directory} is not a directory")
    set_up_logging(settings.log.model_copy(update={"level": "warning", "format": "console"}))
    cargo = survey(directory)
    ledger = open_ledger(settings.ledger)
    spool = open_spool(settings)
    done: list[Imported] = []
    try:
        importer = Importer(settings, ledger, spool, threading.Event(), say)
        total = len(cargo.bundles) + len(cargo.nights) + len(cargo.bad)
        for each in progress(importer.run(cargo), "importing", total):
            done.append(each)
            if as_json:
                emit({"file": str(each.path), "name": each.name, "verdict": each.verdict, "reason": each.reason})
            elif not each.good:
                say(f"{each.path}: {each.verdict}: {each.reason}")
    finally:
        spool.close()
        ledger.close()
    bad = sum(not each.good for each in done)
    counts: dict[str, int] = {}
    for each in done:
        counts[each.verdict] = counts.get(each.verdict, 0) + 1
    if as_json:
        emit({"summary": True, "directory": str(directory), "files": len(done), "bad": bad, "verdicts": counts})
    else:
        words = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
        say(f"{directory}: {words or 'no bundle and no night manifest'}")
    return 4 if bad else 0
