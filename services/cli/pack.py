"""`nightferry pack`: frames into one bundle, as the watcher does it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.common import emit, json_option, one_line, progress, say

if TYPE_CHECKING:
    from transfer.codecs.base import Codec
    from transfer.manifest import Manifest
    from transfer.pack import Bundle

EXAMPLES = """\b
Examples:
  nightferry pack night/*.fits -o outbox
  nightferry pack night/*.fits -o outbox --codec rice --json | jq .ratio
  nightferry pack night/*.fits -o outbox --bundle 20220126-biases --site lasilla
  nightferry pack night/*.fits -o look --codec jpeg2000 --ratio 10     (quick look, never the only copy)
  nightferry pack night/*.fits -o look --codec hcompress --scale 4
\b
Exit codes: 0 every frame is in the bundle, 2 usage, 3 the disk is full, 4 a frame could not be packed (others are)."""


@click.command("pack", epilog=EXAMPLES)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Where to put it.")
@click.option(
    "--codec",
    type=click.Choice(["nfz", "rice", "raw", "hcompress", "jpeg2000"]),
    default="nfz",
    show_default=True,
    help="nfz and raw give the same bytes back; rice makes .fits.fz. hcompress and jpeg2000 lose something: they are "
    "for quick look, never the only copy. What a codec cannot carry goes by nfz.",
)
@click.option("--scale", type=float, help="Of hcompress: its step in units of the sky's sigma (default 4).")
@click.option("--ratio", type=float, help="Of jpeg2000: how many times smaller the images become (default 10).")
@click.option("--bundle", help="Id of the bundle; by default made from the time and the frames' names.")
@click.option("--site", default="local", show_default=True, help="Name of the sender in the manifest.")
@click.option("--route", default="local", show_default=True, help="Name of the route in the manifest.")
@json_option
def pack(
    files: tuple[Path, ...],
    out: Path,
    codec: str,
    scale: float | None,
    ratio: float | None,
    bundle: str | None,
    site: str,
    route: str,
    as_json: bool,
) -> int:
    """Pack each FILE, and write one bundle (.nfb) and its manifest (.json) into DIR.

    Any file can be packed. One that cannot be read is one line with its reason, and the others are still packed.
    """
    from services.core.version import SOFTWARE
    from transfer.documents import is_bundle_id
    from transfer.errors import BadDocument
    from transfer.pack import RawFrame
    from transfer.pack import pack as pack_frames

    for name, value in (("--bundle", bundle), ("--site", site), ("--route", route)):
        if value is not None and not is_bundle_id(value):
            raise click.BadParameter(f"expected letters, digits, '_' and '-', got {value!r}", param_hint=name)
    chosen = _codec(codec, scale=scale, ratio=ratio)
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
            codec=chosen,
            created=created,
            previous=None,
            software=SOFTWARE,
            on_bytes=lambda _: _step(bar),
            on_skip=lambda frame, why: bad.append((str(frame.path), why)),
        )
        _show(made, codec, as_json)
    for name, why in bad:
        line = f"{type(why).__name__}: {one_line(why)}"
        if as_json:
            emit({"file": name, "error": line})
        say(f"nightferry: {name}: {line}")
    return 4 if bad else 0


def _codec(name: str, **parameters: float | None) -> Codec:
    from transfer.codecs.registry import codec_named
    from transfer.errors import Unsupported

    try:
        return codec_named(name, **{key: value for key, value in parameters.items() if value is not None})
    except Unsupported as error:
        raise click.UsageError(str(error)) from None


def _show(made: Bundle, codec: str, as_json: bool) -> None:
    manifest = made.manifest
    for entry in manifest.frames if as_json else ():
        record = {
            "file": entry.name,
            "size": entry.size,
            "sha256": entry.sha256,
            "codec": entry.codec,
            "restores": entry.fidelity.restores,
            "packed_size": entry.packed_size,
        }
        if entry.fidelity.noise_added is not None:
            record["noise_added"] = entry.fidelity.noise_added
        emit(record)
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
        _say_what_was_lost(manifest, codec)


def _say_what_was_lost(manifest: Manifest, codec: str) -> None:
    noise = [entry.fidelity.noise_added for entry in manifest.frames if entry.fidelity.noise_added is not None]
    if noise:
        worst = max(noise)
        say(f"{len(noise)} are approximations for a quick look: noise added up to {worst:.2f} of the sky's sigma")
    other = sum(entry.codec != codec for entry in manifest.frames)
    if other:
        say(f"{other} could not be carried by {codec} and went by nfz, without loss")


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
