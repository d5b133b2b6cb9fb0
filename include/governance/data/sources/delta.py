"""Delta tables: ``delta:<folder or s3://…>``, with ``@<version>`` for another version than the newest.

The rows come file by file, by the files' names: a version is read in the same order whenever it is read.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.data.sources import arrow, files, limits, lines
from governance.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def read(rest: str, folder: Path) -> "pd.DataFrame":
    """Read a version of a Delta table.

    Raises:
        InputError: There is no such table or version, or it needs what this reader cannot do.
        UnavailableError: The S3 does not answer.
    """
    name, version = lines.at(rest)
    where = name if name.startswith(lines.S3) else str(folder / name)
    if where == name and name.startswith(lines.S3):
        return _read(where, version, files.storage_options())
    if not (folder / name / "_delta_log").is_dir():
        raise InputError(
            f"Expected a Delta table at {where} (a folder with _delta_log in it), found none. Paths are relative to "
            f"the model's folder."
        )
    return _read(where, version, {})


def _read(where: str, version: int | None, options: dict[str, str]) -> "pd.DataFrame":
    from deltalake.exceptions import DeltaError

    try:
        table = _open(where, version, options)
        arrow.check_schema([field.name for field in table.schema().fields], where)
        actions = table.get_add_actions(flatten=True)
        limits.check_memory(sum(size or 0 for size in actions["size_bytes"].to_pylist()), where)
        rows = _in_order(table).to_table()
    except DeltaError as error:
        raise InputError(f"{where} cannot be read as a Delta table: {_first_line(error)}.") from None
    except OSError as error:
        if not options:
            raise InputError(f"{where} cannot be read as a Delta table: {_first_line(error)}.") from None
        raise files.away(where, str(error)) from None
    return arrow.to_frame(rows, where)


def _open(where: str, version: int | None, options: dict[str, str]) -> Any:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        table = DeltaTable(where, storage_options=options)
    except TableNotFoundError:
        raise InputError(f"Expected a Delta table at {where}, found none. Correct the source.") from None
    newest = table.version()
    if version is None or version == newest:
        return table
    try:
        return DeltaTable(where, version=version, storage_options=options)
    except DeltaError:
        raise InputError(
            f"Expected version {version} of {where}, found none: the newest is {newest}. Old ones may be gone."
        ) from None


def _in_order(table: Any) -> Any:
    from pyarrow.dataset import FileSystemDataset

    found = table.to_pyarrow_dataset()
    pieces = sorted(found.get_fragments(), key=lambda piece: str(piece.path))
    return FileSystemDataset(pieces, found.schema, found.format, found.filesystem)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
