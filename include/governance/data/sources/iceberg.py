"""Iceberg tables: ``iceberg:<catalog>.<namespace>.<table>``, or the path of a ``….metadata.json``.

``@<snapshot>`` names another snapshot than the current one. Catalogs are configured where pyiceberg itself looks:
``PYICEBERG_CATALOG__<NAME>__URI`` and the like in the environment. Files in a bucket are read with the same settings
as everywhere; a catalog's own come first.

Not guaranteed: that pyiceberg can do what a table needs (equality deletes, for one). It then says so, and so do we.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.data.sources import arrow, files, limits, lines
from governance.errors import InputError, UnavailableError

if TYPE_CHECKING:
    import pandas as pd

METADATA = ".json"


def read(rest: str, folder: Path) -> "pd.DataFrame":
    """Read a snapshot of an Iceberg table.

    Raises:
        InputError: There is no such catalog, table or snapshot.
        UnavailableError: The catalog or the S3 does not answer.
    """
    name, snapshot = lines.at(rest)
    where = f"iceberg:{name}"
    table = _answer(where, lambda: _static(name, folder) if name.endswith(METADATA) else _of_catalog(name))
    if table.current_snapshot() is None:
        raise InputError(f"Expected rows in {where}, found a table into which nothing was written.")
    if snapshot is not None and table.snapshot_by_id(snapshot) is None:
        raise InputError(
            f"Expected snapshot {snapshot} of {where}, found none: the current one is "
            f"{table.current_snapshot().snapshot_id}. Old ones may have expired."
        )
    arrow.check_schema([field.name for field in table.schema().fields], where)
    return arrow.to_frame(_answer(where, lambda: _rows(table, snapshot, where)), where)


def _static(name: str, folder: Path) -> Any:
    from pyiceberg.table import StaticTable

    if name.startswith(lines.S3):
        return StaticTable.from_metadata(name, files.iceberg_properties())
    path = folder / name
    if not path.is_file():
        raise InputError(f"Expected a file at {path}, found none. Paths are relative to the model's folder.")
    # The metadata may stand here and name data files in a bucket.
    return StaticTable.from_metadata(str(path), files.iceberg_properties())


def _of_catalog(name: str) -> Any:
    from pyiceberg.catalog import load_catalog
    from pyiceberg.utils.config import Config

    catalog, _, table = name.partition(".")
    if not catalog or "." not in table:
        raise InputError(
            f"Expected iceberg:<catalog>.<namespace>.<table>, or a path ending in .metadata.json, found iceberg:{name}."
        )
    own: dict[str, Any] = Config().get_catalog_config(catalog) or {}
    return load_catalog(catalog, **{**files.iceberg_properties(), **own}).load_table(table)


def _rows(table: Any, snapshot: int | None, where: str) -> Any:
    scan = table.scan(snapshot_id=snapshot)
    limits.check_memory(sum(task.file.file_size_in_bytes for task in scan.plan_files()), where)
    return scan.to_arrow()


def _answer(where: str, ask: Callable[[], Any]) -> Any:
    """Ask pyiceberg, and turn what it raises into one sentence: its own may hold addresses with passwords."""
    from pyiceberg.exceptions import NoSuchIcebergTableError, NoSuchNamespaceError, NoSuchTableError
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return ask()
    except (InputError, UnavailableError):
        raise
    except (NoSuchTableError, NoSuchNamespaceError, NoSuchIcebergTableError):
        raise InputError(f"Expected a table at {where}, found none in this catalog. Correct the source.") from None
    except FileNotFoundError:
        raise InputError(
            f"{where}: a file of the table is not there. Was the table moved, or its files removed?"
        ) from None
    except (RequestException, SQLAlchemyError, ConnectionError):
        raise UnavailableError(
            f"Expected an answer about {where}, found none: its catalog cannot be reached. Start it, or correct "
            f"PYICEBERG_CATALOG__…__URI, and try again."
        ) from None
    except OSError as error:
        raise files.away(where, str(error)) from None
    except Exception as error:  # pyiceberg raises ValueError and many of its own
        raise _other(where, error) from None


def _other(where: str, error: Exception) -> InputError:
    if str(error).startswith("URI missing"):
        name = where.removeprefix("iceberg:").partition(".")[0]
        return InputError(
            f"{where}: expected a catalog named {name}, found none. Set PYICEBERG_CATALOG__{name.upper()}__URI."
        )
    return InputError(
        f"{where} cannot be read ({type(error).__name__}). Look at the table with `pyiceberg`, and at its catalog's "
        f"settings, PYICEBERG_CATALOG__…."
    )
