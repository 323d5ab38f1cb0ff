"""Processes of this host, as /proc knows them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessFacts:
    """A process: `start_ticks` after the boot tell it from a later one with the same number.

    `rss_bytes` is its resident memory, `cpu_s` the processor time of it and of its children that have ended.
    """

    start_ticks: int
    rss_bytes: int
    cpu_s: float


def process_facts(pid: int) -> ProcessFacts | None:
    """What /proc says of a process; None when it is gone, or has ended and nobody has asked for its exit code."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in brackets, may hold anything; proc(5) counts from 1, the fields below from the third on.
    fields = text.rpartition(")")[2].split()
    if len(fields) < 22 or fields[0] in "ZX":
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    return ProcessFacts(
        start_ticks=int(fields[19]),
        rss_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        cpu_s=sum(int(field) for field in fields[11:15]) / ticks,
    )


def boot_id() -> str:
    """A name of this run of the system; process numbers begin anew with the next one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
