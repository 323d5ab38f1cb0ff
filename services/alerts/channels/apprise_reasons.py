"""What apprise's log says of a failure: the reason in one line, and whether the other end has answered.

apprise answers True or False only; the reason stands in its log. SMTP's answers (RFC 5321, section 4.2.1) and HTTP's
stand there as numbers, Twilio's as its own five digits.
"""

from __future__ import annotations

import logging
import re
import threading
from typing import Final

_LOGGER: Final = logging.getLogger("apprise")
_SMTP_ANSWER: Final = re.compile(r"\((\d{3}), b?['\"]")
_ERROR_NUMBER: Final = re.compile(r"error[= ](\d{3,5})\b")
_DETAIL: Final = "Socket Exception: "
_NOT_NOW: Final = frozenset((408, 425, 429))


class Capture(logging.Handler):
    """Keeps what apprise logs in this thread while it is open; none of it reaches our own log.

    The lines hold addresses and, at the level of debugging, whole messages.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._thread = threading.get_ident()
        self._lines: list[str] = []
        _LOGGER.propagate = False
        _LOGGER.setLevel(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep warnings, and of the rest the text of exceptions."""
        if record.thread != self._thread:
            return
        text = record.getMessage()
        if record.levelno >= logging.WARNING or text.startswith(_DETAIL):
            self._lines.append(text.removeprefix(_DETAIL))

    def __enter__(self) -> Capture:
        _LOGGER.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        _LOGGER.removeHandler(self)

    @property
    def reason(self) -> str:
        """Everything that was said, in one line; it holds secrets still."""
        return "; ".join(dict.fromkeys(self._lines)) or "apprise gave no reason"


def is_refusal(reason: str) -> bool:
    """Whether the reason is somebody's no; without an answer, and when in doubt, it is worth another try.

    A certificate that does not fit is no answer: it is not known who spoke.
    """
    answers = [int(code) for code in _SMTP_ANSWER.findall(reason)]
    if answers:
        return all(500 <= code < 600 for code in answers)
    numbers = [int(code) for code in _ERROR_NUMBER.findall(reason)]
    return bool(numbers) and all(_is_no(number) for number in numbers)


def _is_no(number: int) -> bool:
    if number >= 20_000:  # Twilio's: 20 and HTTP's number, 21 for what is wrong with a message
        return number < 30_000 and not (number - 20_000 in _NOT_NOW or 20_500 <= number < 20_600)
    return 400 <= number < 500 and number not in _NOT_NOW
