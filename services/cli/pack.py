"""`nightferry pack`: frames into one bundle, as the watcher does it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from services.cli.common import emit, json_option, one_line, progress, say

EXAMPLES = """\b
Examples:
  nightferry pack night/*.fits -o outbox
  nightferry pack night/*.fits -o outbox --codec rice --json | jq .ratio
  nightferry pack night/*.fits -o outbox --bundle 20220126-biases --site lasilla
\b
Exit codes: 0 every frame is in the bundle, 2 usage, 3 the disk is full, 4 a frame could not be packed (others are)."""


@click.command("pack", epilog=EXAMPLES)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Where to put it.")
@click.option(
    "--codec",
    type=click.Choice(["nfz", "rice", "raw"]),
    default="nfz",
    show_default=True,
    help="nfz and raw give the same bytes back; rice makes .fits.fz. What rice cannot carry goes by nfz.",
)
@click.option("--bundle", help="Id of the bundle; by default made from the time and the frames' names.")
@click.option("--site", default="local", show_default=True, help="Name of the sender in the manifest.")
@click.option("--route", default="local", show_default=True, help="Name of the route in the manifest.")
@json_option
def pack(
    files: tuple[Path, ...], out: Path, codec: str, bundle: str | None, site: str, route: str, as_json: bool
) -> int:
    """Pack each FILE, and write one bundle (.nfb) and its manifest (.json) into DIR.

    Any file can be packed. One that cannot be read is one line with its reason, and the others are still packed.
    """
    from services.core.version import SOFTWARE
    from transfer.codecs.registry import codec_named
    from transfer.documents import is_bundle_id
    from transfer.errors import BadDocument
    from transfer.pack import RawFrame
    from transfer.pack import pack as pack_frames

    for name, value in (("--bundle", bundle), ("--site", site), ("--route", route)):
        if value is not None and not is_bundle_id(value):
            raise click.BadParameter(f"expected letters, digits, '_' and '-', got {value!r}", param_hint=name)
    bad: list[tuple[str, Exception]] = []
    identity_of = _identities()
    frames: list[RawFrame] = []
    for path in files:
        try:
            if path.is_dir():
                raise IsADirectoryError(f"{path} is a directory")
            frames.append(RawFrame.of(path, identity_of(path)))
        except (OSError, BadDocument) as error:
            bad.append((str(path), error))
    created = datetime.now(UTC)
    if frames:
        bar = iter(progress(frames, "packing", len(frames)))
        next(bar)
        made = pack_frames(
            frames,
            out,
            bundle=bundle or _bundle_id(created, files),
            site=site,
            route=route,
            codec=codec_named(codec),
            created=created,
            previous=None,
            software=SOFTWARE,
            on_bytes=lambda _: _step(bar),
            on_skip=lambda frame, why: bad.append((str(frame.path), why)),
        )
        _show(made, as_json)
    for name, why in bad:
        line = f"{type(why).__name__}: {one_line(why)}"
        if as_json:
            emit({"file": name, "error": line})
        say(f"nightferry: {name}: {line}")
    return 4 if bad else 0


def _show(made: Any, as_json: bool) -> None:
    manifest = made.manifest
    for entry in manifest.frames if as_json else ():
        emit(
            {
                "file": entry.name,
                "size": entry.size,
                "sha256": entry.sha256,
                "codec": entry.codec,
                "restores": entry.fidelity.restores,
                "packed_size": entry.packed_size,
            }
        )
    raw = sum(entry.size for entry in manifest.frames)
    summary = {
        "bundle": manifest.bundle,
        "path": str(made.path),
        "manifest": str(made.manifest_path),
        "frames": len(manifest.frames),
        "raw_size": raw,
        "size": manifest.size,
        "ratio": round(raw / manifest.size, 4),
    }
    if as_json:
        emit(summary)
    else:
        say(f"{made.path}: {len(manifest.frames)} frames, {raw} -> {manifest.size} bytes ({summary['ratio']:.2f})")


def _bundle_id(created: datetime, files: tuple[Path, ...]) -> str:
    names = hashlib.sha256("\n".join(ascii(path.name) for path in files).encode()).hexdigest()[:8]
    return f"{created:%Y%m%dT%H%M%S%f}-{names}"


def _identities() -> Callable[[Path], dict[str, Any]]:
    """A function that identifies a frame, with {} for what is none: the manifest's identity is only a hint."""
    from processors.errors import ProcessorError
    from processors.header import read_headers
    from processors.instrument import load_instruments

    instruments = load_instruments()

    def identity_of(path: Path) -> dict[str, Any]:
        try:
            return dataclasses.asdict(instruments.identify(read_headers(path), path.name))
        except ProcessorError:
            return {}

    return identity_of


def _step(bar: Iterator[Any]) -> None:
    next(bar, None)
