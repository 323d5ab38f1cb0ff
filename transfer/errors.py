"""Errors of `transfer`, named by the caller's next move."""

from __future__ import annotations

from typing import ClassVar


class TransferError(Exception):
    """Something between the camera's disk and the archive went wrong."""

    exit_code: ClassVar[int] = 4


class Unreachable(TransferError):
    """The other side does not answer: try again later, with a pause."""

    exit_code = 3


class Refused(TransferError):
    """The other side answered and said no (host key, login, permission): a person must look."""

    exit_code = 3


class HostKeyMismatch(Refused):
    """The host shows a key that is unknown or not the one we know: nothing is sent until a person has looked."""


class NoSpace(TransferError):
    """The destination is full: pause until there is room."""

    exit_code = 3


class Incomplete(TransferError):
    """The file is shorter than its own headers say: wait, it may still be written.

    `missing` is the number of bytes known to be missing, or None when it is not known.
    """

    def __init__(self, message: str, missing: int | None = None) -> None:
        super().__init__(message)
        self.missing = missing


class NotFits(TransferError):
    """The file is not FITS, or breaks the standard in a way that hides where its data are."""


class Corrupt(TransferError):
    """The bytes are not what their checksum or their format says: quarantine, ask for them again."""


class Unsupported(TransferError):
    """The codec cannot carry this file without losing something: choose another codec."""


class BadDocument(TransferError):
    """A manifest, receipt or arrival that does not follow docs/formats.md: never act on it."""
