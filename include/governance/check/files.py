"""The folder's other files: ``train.py``, which is parsed and never run, and the contract."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from governance.catalog import ModelSpec
from governance.yamlfile import Fault

Json = Any

FIT = "Write `def fit(frame, params):`; it returns a fitted classifier."
EMBED = "Write `def embed(frame, files):`; it returns a matrix by name (docs/monitoring.md)."
MEASURE = "Write `def measure(reference, current):`; it returns numbers by name (docs/monitoring.md)."


def train(folder: Path) -> Iterator[Fault]:
    """Yield what is wrong with ``train.py``: missing, not Python, or without ``fit(frame, params)``."""
    yield from _defines(folder / "train.py", "fit", "a frame and parameters", FIT)


def drift(folder: Path) -> Iterator[Fault]:
    """Yield what is wrong with ``drift.py``, where there is one: not Python, or no ``measure(reference, current)``."""
    path = folder / "drift.py"
    if path.exists():
        yield from _defines(path, "measure", "two tables", MEASURE)


def embedding(folder: Path) -> Iterator[Fault]:
    """Yield what is wrong with ``embedding.py``, where there is one: not Python, or no ``embed(frame, files)``."""
    path = folder / "embedding.py"
    if path.exists():
        yield from _defines(path, "embed", "a table and files", EMBED)


def _defines(path: Path, name: str, given: str, remedy: str) -> Iterator[Fault]:
    """Yield why a file has no function of this name that takes two arguments."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except OSError:
        yield Fault(path, 1, "This file is missing.", remedy)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        yield Fault(path, line, f"This is not Python: {getattr(error, 'msg', error)}.", "Correct it.")
    else:
        yield from _function(path, tree, name, given, remedy)


def _function(path: Path, tree: ast.Module, name: str, given: str, remedy: str) -> Iterator[Fault]:
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    function = functions.get(name)
    if function is None:
        yield Fault(path, 1, f"No function `{name}` is defined at the top level.", remedy)
    elif isinstance(function, ast.AsyncFunctionDef):
        yield Fault(path, function.lineno, f"`{name}` is asynchronous.", remedy)
    elif not _takes_two(function.args):
        written = ast.unparse(function.args)
        yield Fault(path, function.lineno, f"`{name}({written})` cannot be called with {given}.", remedy)


def _takes_two(arguments: ast.arguments) -> bool:
    """Say whether a call with two positional arguments fits."""
    positional = len(arguments.posonlyargs) + len(arguments.args)
    required = positional - len(arguments.defaults)
    has_required_keyword = any(default is None for default in arguments.kw_defaults)
    return required <= 2 and (positional >= 2 or arguments.vararg is not None) and not has_required_keyword


def contract(spec: ModelSpec) -> Iterator[Fault]:
    """Yield what is wrong with the contract's file; whether data meet it is the question of the run."""
    path, name = spec.contract, spec.data.contract
    if not path.resolve().is_relative_to(spec.folder.resolve()):
        found = f"The contract `{name}` lies outside the model's folder."
        yield spec.document.fault(("data", "contract"), found, "Keep it in the folder: its authors may not sign.")
        return
    try:
        document = json.loads(path.read_bytes())
    except OSError:
        found = f"The contract `{name}` does not exist."
        yield spec.document.fault(("data", "contract"), found, "Write a Great Expectations suite as JSON.")
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        yield Fault(path, line, f"This is not JSON: {getattr(error, 'msg', error)}.", "Correct it.")
    else:
        yield from _suite(path, document)


def _suite(path: Path, document: Json) -> Iterator[Fault]:
    suite = 'Write {"name": …, "expectations": [{"type": "expect_…", "kwargs": {…}}]}.'
    expectations = document.get("expectations") if isinstance(document, dict) else None
    if not isinstance(expectations, list) or not isinstance(document.get("name"), str):
        yield Fault(path, 1, "This is not a Great Expectations suite.", suite)
    elif not expectations:
        yield Fault(path, 1, "The contract expects nothing: it would accept any data.", suite)
    else:
        for number, one in enumerate(expectations, start=1):
            if not _is_expectation(one):
                yield Fault(path, line_of(path, number), f"Expectation {number} is not one.", suite)


def _is_expectation(one: Json) -> bool:
    if not isinstance(one, dict):
        return False
    return str(one.get("type")).startswith("expect_") and isinstance(one.get("kwargs", {}), dict)


def line_of(path: Path, number: int) -> int:
    """Return the line where an expectation most likely stands: that of the ``number``-th key ``type``."""
    lines = [
        line for line, text in enumerate(path.read_text().splitlines(), start=1) for _ in range(text.count('"type"'))
    ]
    return lines[number - 1] if number <= len(lines) else 1
