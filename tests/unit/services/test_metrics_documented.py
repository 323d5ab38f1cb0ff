"""Every measurement that is written anywhere in the services is in docs/metrics.md, with its fields, and vice versa."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
_ROW = re.compile(r"^\| `(\w+)`", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def documented() -> dict[str, str]:
    """Rows of the tables of measurements, by name."""
    text = (REPOSITORY / "docs" / "metrics.md").read_text().split("## Measurements")[1]
    return {found[1]: line for line in text.splitlines() if (found := _ROW.match(line))}


@cache
def written() -> dict[str, set[str]]:
    """Names of tags and fields, as far as they stand in the source, by measurement."""
    found: dict[str, set[str]] = {}
    for path in (REPOSITORY / "services").rglob("*.py"):
        tree = ast.parse(path.read_text())
        for scope in ast.walk(tree):
            if isinstance(scope, ast.FunctionDef):
                for name, call in calls(scope):
                    found.setdefault(name, set()).update(keys_of(call, scope))
    return found


def calls(scope: ast.FunctionDef) -> Iterator[tuple[str, ast.Call]]:
    """Calls that write a measurement whose name stands there."""
    for node in ast.walk(scope):
        if not isinstance(node, ast.Call) or len(node.args) < 2:
            continue
        called = ast.unparse(node.func)
        is_ours = called.endswith(("spool.write", "_own")) or called in {"Point", "line"}
        first = node.args[0]
        if is_ours and isinstance(first, ast.Constant) and _NAME.fullmatch(str(first.value)):
            yield str(first.value), node


def keys_of(call: ast.Call, scope: ast.FunctionDef) -> Iterator[str]:
    """Keys of the dicts that are given, or that stand in the function under the name that is given."""
    names = {arg.id for arg in call.args if isinstance(arg, ast.Name)}
    dicts = [arg for arg in call.args if isinstance(arg, ast.Dict)]
    for node in ast.walk(scope):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = getattr(node, "value", None)
        if isinstance(value, ast.Dict) and any(isinstance(each, ast.Name) and each.id in names for each in targets):
            dicts.append(value)
    for each in dicts:
        yield from (str(key.value) for key in each.keys if isinstance(key, ast.Constant))


def test_every_measurement_that_is_written_is_documented_and_the_other_way_round() -> None:
    assert set(written()) == set(documented())


def test_the_tags_and_fields_that_are_written_are_documented() -> None:
    rows = documented()
    missing = {
        f"{name}.{key}"
        for name, keys in written().items()
        for key in keys
        if f"`{key}`" not in rows.get(name, "") and key != "site"
    }
    assert missing == set()
