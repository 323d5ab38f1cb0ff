"""What is wrong in a settings file, in words for the person who wrote it."""

from __future__ import annotations

import difflib
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from services.core.yamlfile import Location, YamlFile

_WORDS: Final[dict[str, str]] = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "dict_type": "expected a section with keys of its own",
    "finite_number": "expected a finite number",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "greater_than": "expected a number greater than {gt:g}",
    "greater_than_equal": "expected a number from {ge:g}",
    "int_from_float": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "less_than_equal": "expected a number up to {le:g}",
    "literal_error": "expected {expected}",
    "missing": "is missing",
    "model_type": "expected a section with keys of its own",
    "path_type": "expected a path",
    "string_type": "expected text",
    "too_short": "expected at least {min_length} entry",
    "tuple_type": "expected a list",
    "union_tag_invalid": "expected the kind to be one of {expected_tags}, got '{tag}'",
    "union_tag_not_found": "the kind is missing",
}


def mistakes_in(error: ValidationError, file: YamlFile, model: type[BaseModel]) -> tuple[str, ...]:
    """One line for every mistake: `FILE:LINE: path.in.file: what was expected, got what`."""
    items = error.errors()
    places = [item["loc"] for item in items]

    def is_echo(item: Any) -> bool:
        """A list that is too short only because its entries are wrong, which is told already."""
        here = item["loc"]
        return item["type"] == "too_short" and any(len(p) > len(here) and p[: len(here)] == here for p in places)

    return tuple(_line(item, file, model) for item in items if not is_echo(item))


def _line(item: Any, file: YamlFile, model: type[BaseModel]) -> str:
    location: Location = tuple(part for part in item["loc"] if part != "[key]")
    where = file.where(_as_written(location, file.data))
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown key{_suggestion(location, model)}"
    return f"{where}: {words_of(item)}"


def _as_written(location: Location, data: Any) -> Location:
    """The place as the file has it: pydantic takes the branch of a union, which `kind` tells, for a key."""
    written: list[str | int] = []
    here = data
    for part in location:
        if isinstance(here, dict) and part not in here and part == here.get("kind"):
            continue
        written.append(part)
        try:
            here = here[part]
        except (LookupError, TypeError):
            here = None
    return tuple(written)


def words_of(item: Any) -> str:
    """One of pydantic's mistakes in words: what was expected, got what."""
    words = _WORDS.get(item["type"])
    if words is None:
        message = str(item["msg"]).removeprefix("Value error, ")
        words = message[:1].lower() + message[1:]
    else:
        words = words.format(**item.get("ctx", {}))
    got = item["input"]
    shown = "" if item["type"] == "missing" or isinstance(got, dict | BaseModel) else f", got {got!r}"
    return f"{words}{shown}"


def _suggestion(location: Location, model: type[BaseModel]) -> str:
    known = _fields_at(location[:-1], model)
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(known)}" if known else ""


def _fields_at(location: Location, model: type[BaseModel]) -> list[str]:
    """Keys that a section knows, found by walking from the top of the model."""
    here: list[type[BaseModel]] = [model]
    for part in location:
        branch = [one for one in here if part in _kinds(one)] if len(here) > 1 else []
        below = [found for one in here if part in one.model_fields for found in _models_of(one, str(part))]
        here = branch or below or here
    return sorted(here[0].model_fields)


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _models_of(model: type[BaseModel], field: str) -> list[type[BaseModel]]:
    return _models_in(model.model_fields[field].annotation)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]
