"""Identities of frames as the ledger keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from processors.identity import FrameIdentity, SequenceRef


def identity_of(stored: Mapping[str, Any]) -> FrameIdentity:
    """A `FrameIdentity` from its JSON form in the ledger, which another version may have written."""
    known = {field.name for field in fields(FrameIdentity)}
    values = {name: value for name, value in stored.items() if name in known}
    sequence = values.get("sequence")
    if isinstance(sequence, dict):
        values["sequence"] = SequenceRef(**sequence)
    for name in ("detectors", "flags"):
        value = values.get(name)
        values[name] = tuple(value) if isinstance(value, list | tuple) else ()
    return FrameIdentity(**values)
