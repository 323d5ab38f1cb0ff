"""Are the cards there that the instrument file requires, and can they be read?"""

from __future__ import annotations

from collections.abc import Iterator

from processors.checks.result import CheckResult, Verdict
from processors.checks.view import of_file
from processors.fits import Frame


def check_header_cards(frame: Frame) -> Iterator[CheckResult]:
    """Number of required cards that are missing (an error) or malformed cards anywhere (a warning)."""
    cards = {keyword for header in frame.headers for keyword in header if header[keyword] is not None}
    missing = [card for card in frame.instrument.spec.required_cards if card not in cards]
    malformed = [keyword for header in frame.headers for keyword in header.malformed]
    verdict: Verdict = "error" if missing else "warning" if malformed else "ok"
    parts = [f"missing: {', '.join(missing)}"] if missing else []
    parts += [f"malformed: {', '.join(malformed[:8])}"] if malformed else []
    yield of_file(frame, "header_cards", len(missing), "missing", verdict, "HEADER", "; ".join(parts))
