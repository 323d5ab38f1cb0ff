"""What the receiver says about itself between two receipts (docs/formats.md section 1.4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from transfer.documents import dump, load, time_text

VERSION: Final = 1
STATUS_NAME: Final = "receipts/receiver.status.json"


@dataclass(frozen=True, slots=True)
class ReceiverStatus:
    """Free space of the archive in bytes, tasks not yet done, age of the oldest waiting one in seconds."""

    written: datetime
    free_bytes: int
    queue_depth: int | None
    oldest_task_s: float | None

    def to_json(self) -> bytes:
        """The document."""
        return dump(
            {
                "kind": "status",
                "version": VERSION,
                "written": time_text(self.written),
                "free_bytes": self.free_bytes,
                "queue_depth": self.queue_depth,
                "oldest_task_s": self.oldest_task_s,
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> ReceiverStatus:
        """The status in a document; BadDocument names the path of what is wrong."""
        fields = load(data, "status", VERSION)
        status = cls(
            written=fields.time("written"),
            free_bytes=fields.integer("free_bytes"),
            queue_depth=fields.optional("queue_depth", fields.integer),
            oldest_task_s=fields.optional("oldest_task_s", fields.number),
        )
        fields.done()
        return status
