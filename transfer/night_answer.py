"""The receiver's answer to a night manifest, NightAnswer (docs/formats.md section 6.3)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from transfer.documents import Fields, dump, load, time_text
from transfer.night import objects, texts

VERSION: Final = 1
ANSWERS: Final = ("verified", "holes", "refused")


@dataclass(frozen=True, slots=True)
class Hole:
    """A frame of the night that is not in the archive as it should be."""

    name: str
    sha256: str
    reason: str


@dataclass(frozen=True, slots=True)
class NightAnswer:
    """The receiver's word on a night manifest, after it has read every frame in its archive again.

    `frames` counts the frames that were checked; `reason` says why the manifest was refused; `warnings` name what is
    odd but no hole (the chain of night manifests is broken).
    """

    site: str
    night: str
    revision: int
    night_sha256: str
    verdict: str
    reason: str | None
    warnings: tuple[str, ...]
    holes: tuple[Hole, ...]
    frames: int
    checked: datetime

    def to_json(self) -> bytes:
        """The document."""
        values = {key: getattr(self, key) for key in ("site", "night", "revision", "night_sha256", "verdict", "reason")}
        values |= {"warnings": list(self.warnings), "holes": [asdict(hole) for hole in self.holes]}
        values |= {"frames": self.frames, "checked": time_text(self.checked)}
        return dump({"kind": "night_answer", "version": VERSION, **values})

    @classmethod
    def from_json(cls, data: bytes) -> NightAnswer:
        """The answer in a document; BadDocument names the path of what is wrong."""
        fields = load(data, "night_answer", VERSION)
        answer = cls(
            site=fields.text("site", 32),
            night=fields.night("night"),
            revision=fields.integer("revision", 1, 999_999),
            night_sha256=fields.hash("night_sha256"),
            verdict=fields.choice("verdict", ANSWERS),
            reason=fields.optional("reason", fields.text),
            warnings=tuple(each.text("text") for each in texts(fields, "warnings")),
            holes=tuple(_hole(each) for each in objects(fields, "holes")),
            frames=fields.integer("frames"),
            checked=fields.time("checked"),
        )
        fields.done()
        if answer.verdict != "refused" and (answer.verdict == "holes") != bool(answer.holes):
            fields.refuse("verdict", "holes where there are any, else verified", answer.verdict)
        return answer


def _hole(fields: Fields) -> Hole:
    hole = Hole(fields.name("name"), fields.hash("sha256"), fields.text("reason"))
    fields.done()
    return hole
