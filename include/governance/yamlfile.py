"""Reading a YAML file that people write, so that every fault names file, line and remedy.

The shape of a file is a pydantic model. What pydantic finds wrong is translated into sentences here; what it cannot
know (a role that nobody holds, a limit looser than the tier's) is added by those who know it, with the same
:class:`Fault`, and reported the same way.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from governance import canonical
from governance.errors import InputError

Path_ = tuple[str | int, ...]


class Strict(BaseModel):
    """Base of everything read from YAML: no unknown keys, no silent conversion of text to numbers, no changes.

    NaN and infinity are no numbers here: a limit of ``.nan`` or ``.inf`` would pass whatever is measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Shape = TypeVar("Shape", bound=Strict)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a file.

    Attributes:
        file: The file.
        line: The line, from 1.
        found: What is wrong, in a sentence.
        remedy: What to write instead.
    """

    file: Path
    line: int
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.found} {self.remedy}".rstrip()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"file": str(self.file), "line": self.line, "found": self.found, "remedy": self.remedy}


class FaultyFileError(InputError):
    """One or more files are not as they should be; ``faults`` lists everything, not only the first."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


@dataclass(frozen=True)
class Document(Generic[Shape]):
    """A file that was read: its content, and where each part of it stands.

    Attributes:
        path: The file.
        body: Its bytes, as they were read.
        content: What it says.
        lines: The line of each key and item, by its path.
    """

    path: Path
    body: bytes
    content: Shape
    lines: dict[Path_, int]

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes."""
        return canonical.digest_of_bytes(self.body)

    def line(self, *path: str | int) -> int:
        """Return the line of a part, or of the nearest part around it that is written down."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def fault(self, path: Path_, found: str, remedy: str = "") -> Fault:
        """Return a fault at a part of this file."""
        return Fault(self.path, self.line(*path), found, remedy)


def read(path: Path, shape: type[Shape], body: bytes | None = None) -> Document[Shape]:
    """Read a YAML file.

    Args:
        path: The file; names it in faults even where ``body`` is given.
        shape: What it must look like.
        body: Its bytes, where they come from elsewhere (a permit carries the policy it was signed under).

    Raises:
        FaultyFileError: It is missing, is not YAML, or does not have the shape.
    """
    if body is None:
        body = _bytes(path)
    _require_utf8(path, body)
    try:
        data, lines = _parse(body)
    except Exception as error:  # PyYAML's constructors let TypeError, ValueError, AttributeError and others escape
        raise FaultyFileError([_yaml_fault(path, error)]) from error
    if not isinstance(data, dict):
        raise FaultyFileError(
            [Fault(path, 1, "Expected keys and values, found something else.", "Write `key: value`.")]
        )
    try:
        content = shape.model_validate(data)
    except ValidationError as error:
        raise FaultyFileError(_faults(path, shape, error, lines)) from error
    return Document(path, body, content, lines)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FaultyFileError([Fault(path, 1, "This file cannot be read.", f"{error.strerror}; write it.")]) from error


def _parse(body: bytes) -> tuple[Any, dict[Path_, int]]:
    loader = _UniqueKeysLoader(body)
    try:
        node = loader.get_single_node()
        lines = _lines(node, set())
        return (None if node is None else loader.construct_document(node)), lines
    finally:
        loader.dispose()


class _UniqueKeysLoader(yaml.CSafeLoader):
    """A safe loader that refuses a key written twice: YAML itself would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                raise yaml.MarkedYAMLError(problem="this key is not a word", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} is written twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _require_utf8(path: Path, body: bytes) -> None:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        found = f"Byte {body[error.start]:#04x} is not UTF-8."
        raise FaultyFileError([Fault(path, line, found, "Save the file again in the encoding UTF-8.")]) from error


def _yaml_fault(path: Path, error: Exception) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return Fault(
        path, mark.line + 1 if mark else 1, f"This is not YAML: {problem}.", "Check the indentation and the quotes."
    )


def _lines(node: yaml.Node | None, seen: set[int], path: Path_ = ()) -> dict[Path_, int]:
    result: dict[Path_, int] = {}
    if not isinstance(node, yaml.CollectionNode):
        return result
    if id(node) in seen:  # what a reader does not see on the spot, a reviewer has not reviewed; and aliases explode
        raise yaml.MarkedYAMLError(problem="an alias (*name); write it out", problem_mark=node.start_mark)
    seen.add(id(node))
    for name, start, value in _parts(node):
        here = (*path, name)
        result[here] = start.line + 1
        result.update(_lines(value, seen, here))
    return result


def _parts(node: yaml.CollectionNode) -> Iterator[tuple[str | int, Any, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (str(key.value) if isinstance(key, yaml.ScalarNode) else "?"), key.start_mark, value
    else:
        for index, value in enumerate(node.value):
            yield index, value.start_mark, value


def _faults(path: Path, shape: type[Strict], error: ValidationError, lines: dict[Path_, int]) -> list[Fault]:
    faults: dict[tuple[Path_, str], Fault] = {}
    for detail in error.errors():
        where = tuple(part for part in detail["loc"] if part != "[key]")
        known = where
        while known and known not in lines:
            known = known[:-1]
        is_about_a_key = detail["type"] in ("missing", "extra_forbidden")
        # What is none of two types is one fault: pydantic names it once for each, with the type as a last part.
        named = where if is_about_a_key else known
        found, remedy = _sentence(shape, detail, named)
        key = (named, detail["type"] if is_about_a_key else "")
        faults[key] = Fault(path, lines.get(known, 1), found, remedy)
    return list(faults.values())


_EXPECTED = {
    "string_type": "text; in quotes where it looks like a number",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list: [a, b]",
    "dict_type": "keys and values: {a: b}",
    "model_type": "keys and values: {a: b}",
    "too_short": "at least one item",
}
"""What pydantic asks for, by its name of the error, in words for people who write YAML."""


def _sentence(shape: type[Strict], detail: Any, where: Path_) -> tuple[str, str]:
    name = ".".join(str(part) for part in where)
    if detail["type"] == "extra_forbidden":
        known = _known_keys(shape, where[:-1])
        return f"Unknown key `{name}`.", _did_you_mean(str(where[-1]), known, f"Known keys here: {', '.join(known)}.")
    if detail["type"] == "missing":
        return f"`{name}` is missing.", "Add it."
    if detail["type"] == "literal_error" and detail["loc"][-1] == "[key]":
        known = [word.strip("'") for word in re.findall(r"'[^']*'", detail["ctx"]["expected"])]
        parent = ".".join(str(part) for part in where[:-1])
        return f"Unknown key `{detail['input']}` in `{parent}`.", _did_you_mean(
            str(detail["input"]), known, f"Known: {', '.join(known)}."
        )
    if detail["type"] == "invalid_key" or detail["loc"][-1] == "[key]":
        return f"Key `{detail['input']}` is not text.", "Put it in quotes: YAML reads 1, yes and no as something else."
    if detail["type"] == "value_error":
        return f"`{name}`: {detail['ctx']['error']}", ""
    found = f"`{name}` is {_shortened(detail['input'])}."
    if detail["type"] == "literal_error":
        words = [word.strip("'") for word in re.findall(r"'[^']*'", detail["ctx"]["expected"])]
        return found, _did_you_mean(str(detail["input"]), words, f"Expected {detail['ctx']['expected']}.")
    if detail["type"] == "string_pattern_mismatch":
        return found, f"Expected text of the form {detail['ctx']['pattern']}."
    expected = _EXPECTED.get(detail["type"]) or detail["msg"].removeprefix("Input should be ")
    return found, f"Expected {expected}."


def _did_you_mean(written: str, known: list[str], otherwise: str) -> str:
    close = difflib.get_close_matches(written, known, n=1)
    return f"Did you mean `{close[0]}`?" if close else otherwise


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _known_keys(shape: type[Strict], where: Path_) -> list[str]:
    """Follow a path through the shapes to the keys that are known at its end."""
    current: Any = shape
    for part in where:
        field = current.model_fields.get(part) if _is_shape(current) else None
        annotation = field.annotation if field else current
        current = next((kind for kind in _inner(annotation) if _is_shape(kind)), current)
    return sorted(current.model_fields) if _is_shape(current) else []


def _inner(annotation: Any) -> list[Any]:
    return [annotation, *[kind for part in getattr(annotation, "__args__", ()) for kind in _inner(part)]]


def _is_shape(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
