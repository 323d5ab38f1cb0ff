"""The templates of messages: text with `$words`, in files that a site may replace one by one.

A template can only put words in places; it cannot compute, so a site's file can do no harm. In the two HTML templates
every word is escaped before it is put in. A line all of whose words are empty is left out, and so
is the blank after an empty word.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from services.core.errors import BadSettings

OWN: Final = Path(__file__).parent / "templates"
_OF_MESSAGE: Final = frozenset(
    ("site", "person", "what", "severity", "count", "headline", "more", "alerts", "trend", "dashboard", "hint", "now")
)
_OF_ALERT: Final = frozenset(
    ("alert", "label", "title", "source", "parameter", "message", "severity", "color", "value", "limit", "unit")
) | {"reading", "when", "acked", "ack"}
KNOWN: Final[dict[str, frozenset[str]]] = {
    "subject.txt": _OF_MESSAGE,
    "mail.txt": _OF_MESSAGE,
    "mail.html": _OF_MESSAGE,
    "alert.txt": _OF_ALERT,
    "alert.html": _OF_ALERT,
}


@dataclass(frozen=True)
class Templates:
    """The templates in force, by the name of their file."""

    by_name: Mapping[str, Template]

    def fill(self, name: str, words: Mapping[str, str], alerts: str = "") -> str:
        """A template with its words; `alerts`, what the alerts' own template gave, is put in as it is."""
        safe = {key: html.escape(value) for key, value in words.items()} if name.endswith(".html") else dict(words)
        safe["alerts"] = alerts
        lines = []
        for written in self.by_name[name].template.splitlines():
            line = written
            used = Template(line).get_identifiers()
            if used and not any(safe[word] for word in used):
                continue
            for word in used:
                line = line if safe[word] else line.replace(f"${word} ", "")
            lines.append(Template(line).substitute(safe))
        return "\n".join(lines)


def load_templates(directory: Path | None = None) -> Templates:
    """Our templates, each replaced by the file of the same name in `directory` when it is there.

    Raises
    ------
    BadSettings
        The directory or a file cannot be read, holds a file of another name, or uses a word that messages do not have.
    """
    mistakes: list[str] = []
    found: dict[str, Template] = {}
    names: list[str] = []
    try:
        names = sorted(path.name for path in directory.iterdir()) if directory is not None else []
    except OSError as error:
        mistakes.append(f"{directory}: expected a directory of templates: {error.strerror}")
    for name in names:
        if name not in KNOWN and not name.startswith("."):
            mistakes.append(f"{directory}/{name}: not the name of a template, expected one of {', '.join(KNOWN)}")
    for name, known in KNOWN.items():
        path = (directory if directory is not None and name in names else OWN) / name
        try:
            template = Template(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            mistakes.append(f"{path}: cannot be read: {error}")
            continue
        mistakes += _mistakes(path, template, known)
        found[name] = template
    if mistakes:
        raise BadSettings(tuple(mistakes))
    return Templates(found)


def _mistakes(path: Path, template: Template, known: frozenset[str]) -> list[str]:
    out = []
    for number, line in enumerate(template.template.splitlines(), 1):
        part = Template(line)
        if not part.is_valid():
            out.append(f"{path}:{number}: a lone '$' (write $$ for a dollar)")
        for word in sorted(set(part.get_identifiers()) - known):
            out.append(f"{path}:{number}: ${word} is not known, expected one of {', '.join(sorted(known))}")
    return out
