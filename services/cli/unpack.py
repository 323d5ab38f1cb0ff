"""`nightferry unpack`: a bundle's frames back, verified."""

from __future__ import annotations

from pathlib import Path

import click

from services.cli.common import emit, exit_code_of, json_option, one_line, progress, say

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

    A bad bundle is one line with its reason, and the others are still unpacked. A file that is there already is never
    overwritten.
    """
    from transfer.errors import TransferError
    from transfer.unpack import unpack as unpack_bundle

    status = 0
    count = 0
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
        for each in restored if as_json else ():
            emit(
                {
                    "bundle": str(path),
                    "file": str(each.path),
                    "sha256": each.sha256,
                    "restores": each.entry.fidelity.restores,
                    "present": each.present,
                }
            )
    if not as_json and count:
        say(f"{count} frames verified in {out}")
    return status
