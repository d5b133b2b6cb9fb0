"""Reads ``docker-compose.yaml`` as Compose does: variables, anchors, and what the specification allows.

Not everything: no ``include``, ``extends`` or several files, which ours does not use. Interpolation is that of the
specification (``$VAR``, ``${VAR}``, ``:-``, ``-``, ``:?``, ``?``, ``:+``, ``+``, nested, and ``$$``).
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from governance.settings import ROOT

FILE = ROOT / "docker-compose.yaml"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OPERATOR = re.compile(r":?[-?+]")

Json = dict[str, Any]


class MissingVariableError(Exception):
    """A variable that the file demands is not set; the message is the file's own."""


def load(variables: Mapping[str, str]) -> Json:
    """Return the file with these variables filled in."""
    return _filled(yaml.safe_load(FILE.read_text()), variables)


def named_variables() -> set[str]:
    """Return every variable that the file names."""
    return set(re.findall(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)", FILE.read_text()))


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, variables) for each in value]
    return interpolate(value, variables) if isinstance(value, str) else value


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with its variables filled in.

    Raises:
        MissingVariableError: One that is demanded is not set.
    """
    done, rest = "", text
    while "$" in rest:
        before, _, rest = rest.partition("$")
        done += before
        if rest.startswith("$"):
            done, rest = done + "$", rest[1:]
        elif rest.startswith("{"):
            end = _closing(rest)
            done, rest = done + _expression(rest[1:end], variables), rest[end + 1 :]
        else:
            match = NAME.match(rest)
            if match is None:
                raise ValueError(f"Expected a variable behind $ in {text!r}; write $$ for the character itself.")
            done, rest = done + variables.get(match.group(), ""), rest[match.end() :]
    return done + rest


def _closing(text: str) -> int:
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return place
    raise ValueError(f"Expected a closing brace in ${text}.")


def _expression(text: str, variables: Mapping[str, str]) -> str:
    name = NAME.match(text)
    if name is None:
        raise ValueError(f"Expected a variable's name, found {text!r}.")
    value, rest = variables.get(name.group()), text[name.end() :]
    operator = OPERATOR.match(rest)
    if operator is None:
        if rest:
            raise ValueError(f"Expected :-, :? or :+ behind {name.group()}, found {rest!r}.")
        return value or ""
    there = bool(value) if operator.group().startswith(":") else value is not None
    word = rest[operator.end() :]
    match operator.group()[-1]:
        case "-":
            return str(value) if there else interpolate(word, variables)
        case "+":
            return interpolate(word, variables) if there else ""
    if not there:
        raise MissingVariableError(f"{name.group()}: {interpolate(word, variables)}")
    return str(value)
