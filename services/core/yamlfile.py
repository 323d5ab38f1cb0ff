"""YAML read strictly: one document, no duplicate keys, and the line of every value kept for the error messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml
from yaml.error import MarkedYAMLError

from services.core.errors import BadSettings

Location = tuple[str | int, ...]

_MOST_VALUES: Final = 300_000  # aliases of aliases make a short file endless


class _Loader(yaml.SafeLoader):
    """A loader to whom a value that cannot be (2026-02-30, !!int x) is a mistake with its line, not a ValueError."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, ArithmeticError, AttributeError) as error:
            raise MarkedYAMLError(None, None, f"{node.value}: {error}", node.start_mark) from None


class YamlFile:
    """The content of a YAML file and where each of its values stands."""

    def __init__(self, path: Path) -> None:
        """Read `path`.

        Raises
        ------
        BadSettings
            Not readable, not YAML, a duplicate key, or not a mapping at the top.
        """
        self.path = path
        self._lines: dict[Location, int] = {}
        try:
            text = path.read_text(encoding="utf-8")
            node = yaml.compose(text, Loader=_Loader)
            self.data: Any = yaml.load(text, Loader=_Loader)
            duplicates: list[str] = []
            self._walk(node, (), duplicates)
        except (OSError, UnicodeDecodeError) as error:
            raise BadSettings((f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}",)) from None
        except yaml.YAMLError as error:
            raise BadSettings((_not_yaml(path, error),)) from None
        except RecursionError:
            raise BadSettings((f"{path}: not settings: it is nested without end",)) from None
        if not isinstance(self.data, dict):
            holds = "is empty" if self.data is None else f"holds {type(self.data).__name__}"
            raise BadSettings((f"{path}: expected a mapping of settings, the file {holds}",))
        if duplicates:
            raise BadSettings(tuple(duplicates))

    def where(self, location: Location) -> str:
        """`FILE:LINE: dotted.path` of a value, or of the nearest parent that is in the file."""
        parent = location
        while parent and parent not in self._lines:
            parent = parent[:-1]
        dotted = ".".join(str(part) for part in location) or "(top)"
        return f"{self.path}:{self._lines.get(parent, 1)}: {dotted}"

    def _walk(self, node: yaml.Node | None, location: Location, duplicates: list[str]) -> None:
        if node is None:
            return
        if len(self._lines) > _MOST_VALUES:
            raise MarkedYAMLError(None, None, f"more than {_MOST_VALUES} values with its aliases", node.start_mark)
        self._lines.setdefault(location, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                here = (*location, key.value)
                self._lines[here] = key.start_mark.line + 1
                if key.value in seen:
                    duplicates.append(f"{self.where(here)}: the key stands twice")
                seen.add(key.value)
                self._walk(value, here, duplicates)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self._walk(value, (*location, index), duplicates)


def _not_yaml(path: Path, error: yaml.YAMLError) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        context = f"{error.context}: " if error.context else ""
        return f"{path}:{error.problem_mark.line + 1}: not YAML: {context}{error.problem}"
    return f"{path}: not YAML: {' '.join(str(error).split())}"
