"""What to say about an error."""

from __future__ import annotations


def words(error: BaseException) -> str:
    """The message of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__
