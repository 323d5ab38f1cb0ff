"""`nightferry unpack`: a bundle's frames back, verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.cli.common import emit, exit_code_of, json_option, one_line, progress, say

if TYPE_CHECKING:
    from transfer.unpack import Restored

EXAMPLES = """\b
Examples:
  nightferry unpack outbox/20220126-biases.nfb -o frames
  nightferry unpack outbox/*.nfb -o frames --json
  tar tvf outbox/20220126-biases.nfb                       (a bundle is a tar archive)
\b
Exit codes: 0 every frame is there and verified, 2 usage, 3 the disk is full or a file is in the way, 4 a bad bundle."""


@click.command("unpack", epilog=EXAMPLES)
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Where to put them.")
@json_option
def unpack(bundles: tuple[Path, ...], out: Path, as_json: bool) -> int:
    """Restore the frames of each BUNDLE (.nfb with its .json beside it) into DIR, verified to the last byte.

    Frames that were packed for a quick look come back as approximations; their headers say so, and so does this
    command. A bad bundle is one line with its reason, and the others are still unpacked. A file that is there already
    is never overwritten.
    """
    from transfer.errors import TransferError
    from transfer.unpack import unpack as unpack_bundle

    status = 0
    count = 0
    approximate: list[float] = []
    for path in progress(bundles, "unpacking", len(bundles)):
        try:
            restored = unpack_bundle(path, out)
        except (TransferError, OSError) as error:
            line = f"{type(error).__name__}: {one_line(error)}"
            if as_json:
                emit({"bundle": str(path), "error": line})
            say(f"nightferry: {path}: {line}")
            status = max(status, exit_code_of(error) or 4)
            continue
        count += len(restored)
        for each in restored:
            noise = each.entry.fidelity.noise_added
            if noise is not None:
                approximate.append(noise)
            if as_json:
                _emit(path, each)
    if not as_json and count > len(approximate):
        say(f"{count - len(approximate)} frames verified in {out}")
    if not as_json and approximate:
        say(
            f"{len(approximate)} frames in {out} are APPROXIMATIONS for a quick look, not the originals: "
            f"noise added up to {max(approximate):.2f} of the sky's sigma (headers: NFCODEC, NFNOISE, NFSHA256)"
        )
    return status


def _emit(bundle: Path, restored: Restored) -> None:
    record = {
        "bundle": str(bundle),
        "file": str(restored.path),
        "sha256": restored.sha256,
        "restores": restored.entry.fidelity.restores,
        "present": restored.present,
    }
    if restored.entry.fidelity.noise_added is not None:
        record["noise_added"] = restored.entry.fidelity.noise_added
        record["original_sha256"] = restored.entry.sha256
    emit(record)
