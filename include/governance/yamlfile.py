"""Reading a YAML file that people write, so that every fault names file, line and remedy.

The shape of a file is a pydantic model. What pydantic finds wrong is translated into sentences here; what it cannot
know (a role that nobody holds, a limit looser than the tier's) is added by those who know it, with the same
:class:`Fault`, and reported the same way.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from governance import canonical
from governance.errors import InputError

Path_ = tuple[str | int, ...]


class Strict(BaseModel):
    """Base of everything read from YAML: no unknown keys, no silent conversion of text to numbers, no changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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
    try:
        node = yaml.compose(body, Loader=yaml.CSafeLoader)
        data = yaml.load(body, Loader=_UniqueKeysLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FaultyFileError([_yaml_fault(path, error)]) from error
    lines = _lines(node)
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


class _UniqueKeysLoader(yaml.CSafeLoader):
    """A safe loader that refuses a key written twice: YAML itself would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]  # PyYAML's stubs
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} is written twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _yaml_fault(path: Path, error: Exception) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return Fault(
        path, mark.line + 1 if mark else 1, f"This is not YAML: {problem}.", "Check the indentation and the quotes."
    )


def _lines(node: yaml.Node | None, path: Path_ = ()) -> dict[Path_, int]:
    result: dict[Path_, int] = {}
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            here = (*path, key_node.value)
            result[here] = key_node.start_mark.line + 1
            result.update(_lines(value_node, here))
    elif isinstance(node, yaml.SequenceNode):
        for index, value_node in enumerate(node.value):
            result[(*path, index)] = value_node.start_mark.line + 1
            result.update(_lines(value_node, (*path, index)))
    return result


def _faults(path: Path, shape: type[Strict], error: ValidationError, lines: dict[Path_, int]) -> list[Fault]:
    faults = []
    for detail in error.errors():
        where = tuple(part for part in detail["loc"] if part != "[key]")
        known = where
        while known and known not in lines:
            known = known[:-1]
        found, remedy = _sentence(shape, detail, where)
        faults.append(Fault(path, lines.get(known, 1), found, remedy))
    return faults


def _sentence(shape: type[Strict], detail: Any, where: Path_) -> tuple[str, str]:
    name = ".".join(str(part) for part in where)
    if detail["type"] == "extra_forbidden":
        known = _known_keys(shape, where[:-1])
        close = difflib.get_close_matches(str(where[-1]), known, n=1)
        remedy = f"Did you mean `{close[0]}`?" if close else f"Known keys here: {', '.join(known)}."
        return f"Unknown key `{name}`.", remedy
    if detail["type"] == "missing":
        return f"`{name}` is missing.", "Add it."
    if detail["type"] == "value_error":
        return f"`{name}`: {detail['ctx']['error']}", ""
    return f"`{name}`: {detail['msg'].removeprefix('Input should be ')} expected, found {detail['input']!r}.", ""


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
