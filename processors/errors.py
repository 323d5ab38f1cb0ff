"""Errors of `processors`, named by the caller's next move."""

from __future__ import annotations

from typing import ClassVar


class ProcessorError(Exception):
    """A frame could not be turned into numbers."""

    exit_code: ClassVar[int] = 4


class BadFrame(ProcessorError):
    """The frame cannot be trusted (unreadable, missing card, impossible section): set it aside with this reason."""


class UnknownInstrument(BadFrame):
    """No instrument file recognises this header: add one, or point to the directory that holds it."""


class BadInstrument(ProcessorError):
    """An instrument file is wrong: mend it before any daemon starts."""

    exit_code = 2


class NoCalibration(ProcessorError):
    """No usable calibration for this frame: wait for one, or allow a fallback."""


class BadCatalogue(ProcessorError):
    """A reference catalogue cannot be read as it is described: mend the file or its column mapping."""

    exit_code = 2


class NoSolution(ProcessorError):
    """No solution on the sky that could be trusted was found: keep the one given, or try another guess."""

    exit_code = 1
