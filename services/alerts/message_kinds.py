"""The words of messages: why one is sent, and which limits a plot knows."""

from __future__ import annotations

from typing import Final, Literal

What = Literal["raised", "worse", "flapping", "repeat", "escalated", "resolved", "acknowledged", "test", "summary"]
Band = Literal["warning_low", "warning_high", "error_low", "error_high"]

# What stands in the subject, and on a telephone.
SUBJECT_WORD: Final[dict[What, str]] = {
    "raised": "raised",
    "worse": "now (got worse)",
    "flapping": "comes and goes",
    "repeat": "still open",
    "escalated": "escalated to you",
    "resolved": "resolved",
    "acknowledged": "acknowledged",
    "test": "test",
    "summary": "summary",
}
SMS_WORD: Final[dict[What, str]] = {
    "raised": "ALERT",
    "worse": "WORSE",
    "flapping": "FLAPPING",
    "repeat": "STILL",
    "escalated": "ESCALATED",
    "resolved": "RESOLVED",
    "acknowledged": "ACKED",
    "test": "TEST",
    "summary": "SUMMARY",
}
