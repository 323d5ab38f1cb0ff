"""The sender's document, Manifest (docs/formats.md section 1.1); the receiver's are importable from here too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from transfer.codecs.base import BYTES, PIXELS, Fidelity, Parameter
from transfer.documents import MAX_FRAMES, Fields, dump, is_scalar, is_u32, load, time_text
from transfer.receipt import GOOD, VERDICTS, Arrival, FrameVerdict, Receipt, worst

__all__ = [
    "BYTES",
    "GOOD",
    "PIXELS",
    "VERDICTS",
    "Arrival",
    "Fidelity",
    "FrameEntry",
    "FrameVerdict",
    "Manifest",
    "Receipt",
    "worst",
]

VERSION: Final = 1
RESTORES: Final = ("bytes", "pixels", "approximation")


@dataclass(frozen=True, slots=True)
class FrameEntry:
    """A frame in a bundle; sizes and offsets in bytes, hashes in lower-case hexadecimal."""

    name: str
    size: int
    sha256: str
    mtime: datetime
    datasums: tuple[int, ...]
    identity: Mapping[str, Any]
    codec: str
    parameters: Mapping[str, Parameter]
    fidelity: Fidelity
    member: str
    offset: int
    packed_size: int
    packed_sha256: str

    def fields(self) -> dict[str, Any]:
        """The entry as JSON values."""
        fidelity: dict[str, Any] = {"lossless": self.fidelity.lossless, "restores": self.fidelity.restores}
        if self.fidelity.noise_added is not None:
            fidelity["noise_added"] = self.fidelity.noise_added
        return {
            "name": self.name,
            "size": self.size,
            "sha256": self.sha256,
            "mtime": time_text(self.mtime),
            "datasums": list(self.datasums),
            "identity": dict(self.identity),
            "codec": self.codec,
            "parameters": dict(self.parameters),
            "fidelity": fidelity,
            "member": self.member,
            "offset": self.offset,
            "packed_size": self.packed_size,
            "packed_sha256": self.packed_sha256,
        }

    @classmethod
    def parse(cls, fields: Fields) -> FrameEntry:
        """The inverse of `fields`; BadDocument when it is not an entry."""
        entry = cls(
            name=fields.name("name"),
            size=fields.integer("size"),
            sha256=fields.hash("sha256"),
            mtime=fields.time("mtime"),
            datasums=_datasums(fields),
            identity=fields.mapping("identity", lambda _: True, "an object"),
            codec=fields.text("codec", 64),
            parameters=fields.mapping("parameters", is_scalar, "an object of strings, numbers and booleans"),
            fidelity=_fidelity(Fields(fields.take("fidelity"), f"{fields.path}.fidelity")),
            member=fields.text("member", 1024),
            offset=fields.integer("offset"),
            packed_size=fields.integer("packed_size"),
            packed_sha256=fields.hash("packed_sha256"),
        )
        fields.done()
        return entry


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a bundle, and its place in the chain of a site's manifests."""

    bundle: str
    site: str
    route: str
    created: datetime
    software: str
    size: int
    sha256: str
    previous: str | None
    frames: tuple[FrameEntry, ...]

    def to_json(self) -> bytes:
        """The document, always the same bytes for the same manifest."""
        return dump(
            {
                "kind": "manifest",
                "version": VERSION,
                "bundle": self.bundle,
                "site": self.site,
                "route": self.route,
                "created": time_text(self.created),
                "software": self.software,
                "size": self.size,
                "sha256": self.sha256,
                "previous": self.previous,
                "frames": [frame.fields() for frame in self.frames],
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """The manifest in a document; BadDocument names the path of what is wrong."""
        fields = load(data, "manifest", VERSION)
        manifest = cls(
            bundle=fields.bundle("bundle"),
            site=fields.text("site", 256),
            route=fields.text("route", 256),
            created=fields.time("created"),
            software=fields.text("software", 256),
            size=fields.integer("size"),
            sha256=fields.hash("sha256"),
            previous=fields.optional("previous", fields.hash),
            frames=tuple(
                FrameEntry.parse(Fields(item, f"manifest.frames[{index}]"))
                for index, item in fields.many("frames", 1, MAX_FRAMES)
            ),
        )
        fields.done()
        return manifest


def _datasums(fields: Fields) -> tuple[int, ...]:
    values = [item for _, item in fields.many("datasums", 0, 100_000)]
    if not all(is_u32(value) for value in values):
        fields.refuse("datasums", "integers from 0 to 4294967295", values)
    return tuple(values)


def _fidelity(fields: Fields) -> Fidelity:
    lossless, restores = fields.boolean("lossless"), fields.choice("restores", RESTORES)
    if lossless != (restores != "approximation"):
        fields.refuse("lossless", "false for an approximation, else true", lossless)
    result = Fidelity(lossless, restores, None if lossless else fields.number("noise_added"))
    fields.done()
    return result
