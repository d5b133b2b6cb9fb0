"""Immutable, content-addressed copies of a dataset as it was used.

A snapshot is two Delta tables under ``<root>/<model>/``: ``data``, and ``protected``, which holds the columns that
protected attributes are derived from and nothing else, in a folder that only the pipeline may enter. Every distinct
content is a version of its table. Delta never removes an old one (no vacuum, no log clean-up, no checkpoints); only the
rows of one that has to be kept no longer go, by :func:`let_go`. The commit's metadata carry the digest of the content
(:func:`governance.data.columns.content_digest`), so the same content is found again and not written twice.

The record, :class:`Snapshot`, is what the ledger keeps. It lists every file that the version needs, the whole of
Delta's log up to it among them, with its SHA-256. Loading reads each file once, compares the digests, parses those very
bytes, and compares the digest of the content: there is no moment between check and use.

A snapshot exists when :func:`freeze` has returned it. Killed before that, a run leaves at most a file that no version
names, or a version that no record names; the next run writes or finds what it needs. Two writers race optimistically:
the commit of one fails, and it looks again.

Not guaranteed: secrecy or permanence against whoever owns the folder. Changes are found, not prevented. Modes are set
on local folders only; on ``s3://`` the bucket's policy must do it.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from governance import canonical
from governance.data import columns as content
from governance.errors import InputError, TamperedError, UnavailableError

if TYPE_CHECKING:
    import pandas as pd

DATA = "data"
PROTECTED = "protected"
FORMAT = "governance-snapshot/1"
DIGEST_KEY = "governance.content"
ATTEMPTS = 50
"""How often a writer looks again after another one committed first. One of them wins each time."""

KEEP = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
}
"""Tells other Delta tools what this module never does itself."""


@dataclass(frozen=True)
class File:
    """One file of a version: path inside its table, bytes, SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Part:
    """One of the two tables, at one version.

    Attributes:
        uri: The Delta table.
        version: Its version.
        digest: Digest of the content.
        files: Parquet files in the order of their rows, then Delta's log from the first commit to this version.
    """

    uri: str
    version: int
    digest: str
    files: tuple[File, ...]


@dataclass(frozen=True)
class Column:
    """A column's name and logical type."""

    name: str
    type: str


@dataclass(frozen=True)
class Snapshot:
    """The record of a frozen dataset.

    Attributes:
        digest: SHA-256 over the number of rows and the digests of both parts. Which columns are protected is part of
            it; where the tables are and in which files is not.
        parts: ``data``, and ``protected`` where there are such columns.
        rows: Number of rows, the same in both parts; row n of one belongs to row n of the other.
        columns: All columns, by name.
    """

    digest: str
    parts: Mapping[str, Part]
    rows: int
    columns: tuple[Column, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        parts = {
            name: {**asdict(part), "files": [asdict(file) for file in part.files]} for name, part in self.parts.items()
        }
        columns = [asdict(column) for column in self.columns]
        return {"digest": self.digest, "rows": self.rows, "columns": columns, "parts": parts}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        parts = {
            name: Part(**{**part, "files": tuple(File(**file) for file in part["files"])})
            for name, part in document["parts"].items()
        }
        columns = tuple(Column(**column) for column in document["columns"])
        return cls(document["digest"], parts, document["rows"], columns)


def freeze(frame: "pd.DataFrame", *, model: str, root: str, protected_columns: Sequence[str] = ()) -> Snapshot:
    """Freeze a table, or find the snapshot that already holds the same content.

    Args:
        frame: The data as read, all columns.
        model: The model's name; a folder under ``root``.
        root: Path or ``s3://…``; credentials for the latter are those of the environment, as Delta Lake reads them.
        protected_columns: Columns that go into the part apart. Each must be there: a renamed one would otherwise
            be stored among the features.

    Raises:
        InputError: A protected column is missing, or a value has no logical type.
        UnavailableError: The tables cannot be written, or other writers always came first.
    """
    frame = content.normalise(frame)
    if frame.empty:
        raise InputError(
            f"Expected rows to freeze for {model}, found {len(frame)} rows of {len(frame.columns)} columns."
        )
    base = _base(root, model)
    parts = {
        part: _store(frame[names], f"{base}/{part}", private=part == PROTECTED)
        for part, names in _split(frame, protected_columns).items()
    }
    columns = tuple(Column(name, content.logical_type(frame[name])) for name in sorted(frame.columns))
    return Snapshot(_whole_digest(len(frame), parts), parts, len(frame), columns)


def load(snapshot: Snapshot, part: str = DATA) -> "pd.DataFrame":
    """Return the rows of one part, verified; columns are in the order of ``snapshot.columns``.

    Raises:
        InputError: There is no such part.
        TamperedError: A file, or the content, is not what the record says.
    """
    if part not in snapshot.parts:
        raise InputError(f"Expected a part of the snapshot ({', '.join(snapshot.parts)}), found {part!r}.")
    _check_record(snapshot)
    recorded = snapshot.parts[part]
    frame = _parse(recorded.uri, _verified_bytes(recorded))
    found = content.content_digest(frame)
    if found != recorded.digest or len(frame) != snapshot.rows:
        raise TamperedError(
            f"{recorded.uri} version {recorded.version}: expected {snapshot.rows} rows with digest {recorded.digest}, "
            f"found {len(frame)} rows with {found}. {REMEDY}"
        )
    return frame[[column.name for column in snapshot.columns if column.name in frame.columns]]


def verify(snapshot: Snapshot) -> None:
    """Check every file and the content of every part against the record.

    Raises:
        TamperedError: Names the file, the expected and the found digest.
    """
    for part in snapshot.parts:
        load(snapshot, part)


def let_go(snapshot: Snapshot, is_needed: Callable[[str], bool]) -> int:
    """Delete the rows of a snapshot that has to be kept no longer, of both parts; return how many files went.

    Delta's log stays: later versions of the tables name it. Doing it again is harmless. Whoever freezes the same
    content afterwards writes it anew.

    Args:
        snapshot: The record.
        is_needed: Whether another record names a file, for one content is one file.

    Raises:
        UnavailableError: A file cannot be deleted.
    """
    from deltalake.exceptions import DeltaError
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import FileType, PyFileSystem

    gone = 0
    for part in snapshot.parts.values():
        rows = [file.path for file in part.files if file.path.endswith(".parquet")]
        try:
            filesystem = PyFileSystem(DeltaStorageHandler(part.uri))
            for info in filesystem.get_file_info(rows):
                if info.type == FileType.File and not is_needed(info.path):
                    filesystem.delete_file(info.path)
                    gone += 1
        except (DeltaError, OSError) as error:
            raise UnavailableError(f"{part.uri}: old rows cannot be deleted: {error}. Try again.") from error
    return gone


REMEDY = "Do not use this snapshot: restore the file from a backup, or freeze the source again."


def _base(root: str, model: str) -> str:
    if not model or "/" in model or model.startswith("."):
        raise InputError(f"Expected the name of a model, which names a folder, found {model!r}.")
    folder = _local(root)
    return f"{root.rstrip('/') if folder is None else folder.resolve()}/{model}"


def _split(frame: "pd.DataFrame", protected: Sequence[str]) -> dict[str, list[str]]:
    absent = [name for name in protected if name not in frame.columns]
    if absent:
        raise InputError(
            f"Expected protected column {absent[0]!r}, which model.yaml names, found {', '.join(frame.columns)}. "
            f"Correct the source or model.yaml: under another name it would be stored among the features."
        )
    names = {
        DATA: [name for name in frame.columns if name not in set(protected)],
        PROTECTED: [name for name in frame.columns if name in set(protected)],
    }
    return {part: chosen for part, chosen in names.items() if chosen}


def _whole_digest(rows: int, parts: Mapping[str, Part]) -> str:
    digests = {name: part.digest for name, part in parts.items()}
    return canonical.digest({"format": FORMAT, "rows": rows, "parts": digests})


def _check_record(snapshot: Snapshot) -> None:
    found = _whole_digest(snapshot.rows, snapshot.parts)
    if found != snapshot.digest:
        raise TamperedError(
            f"The record of a snapshot contradicts itself: digest {snapshot.digest}, parts give {found}."
        )


def _store(frame: "pd.DataFrame", uri: str, *, private: bool) -> Part:
    from deltalake.exceptions import CommitFailedError, DeltaError

    digest = content.content_digest(frame)
    _prepare_folder(uri, private=private)
    for _ in range(ATTEMPTS):
        table = _open(uri)
        found = _find(uri, table, digest) if table is not None else None
        if found is not None:
            return found
        try:
            _commit(frame, uri if table is None else table, digest)
        except CommitFailedError:
            continue
        except (DeltaError, OSError) as error:
            if table is None and _open(uri) is not None:
                continue  # somebody else made the table
            raise UnavailableError(f"Cannot write a snapshot to {uri}: {error}. Nothing was recorded.") from error
        finally:
            _close_files(uri, private=private)
    raise UnavailableError(f"Other writers came first {ATTEMPTS} times at {uri}. Nothing was recorded; try again.")


def _open(uri: str) -> Any:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        return DeltaTable(uri)
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        raise TamperedError(f"Delta's log in {uri} cannot be read: {error}. Restore it from a backup.") from error


def _commit(frame: "pd.DataFrame", table: Any, digest: str) -> None:
    """Write a version on top of exactly the one that was looked at; anything newer makes it fail."""
    from deltalake import CommitProperties, PostCommitHookProperties, write_deltalake

    is_new = isinstance(table, str)
    write_deltalake(
        table,
        content.to_arrow(frame),
        mode="error" if is_new else "overwrite",
        schema_mode=None if is_new else "overwrite",
        configuration=KEEP if is_new else None,
        target_file_size=2**40,  # one file, so that the order of rows is the order in the file
        commit_properties=CommitProperties(custom_metadata={DIGEST_KEY: digest}, max_commit_retries=0),
        post_commithook_properties=PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False),
    )


def _find(uri: str, table: Any, digest: str) -> Part | None:
    """Return the first version that says it holds this content, and does."""
    for commit in reversed(table.history()):
        if commit.get(DIGEST_KEY) != digest:
            continue
        # Delta counts versions down from the one that was opened, while the log may have grown meanwhile: the number
        # can be too low, even below 0. The content says which it is; where neither is it, the caller writes it again.
        for version in (commit["version"], commit["version"] + 1):
            part = _inspect(uri, version, digest) if version >= 0 else None
            if part is not None:
                return part
    return None


def _inspect(uri: str, version: int, digest: str) -> Part | None:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        contents = _read_all(uri, _paths(DeltaTable(uri, version=version)))
        if content.content_digest(_parse(uri, contents)) != digest:
            return None
    except (TamperedError, InputError, DeltaError):
        return None  # a damaged version is not this content; the caller writes a new one
    files = tuple(File(path, len(body), canonical.digest_of_bytes(body)) for path, body in contents.items())
    return Part(uri, version, digest, files)


def _paths(table: Any) -> list[str]:
    import pyarrow

    data = pyarrow.table(table.get_add_actions())["path"].to_pylist()
    return [*sorted(data), *(f"_delta_log/{version:020d}.json" for version in range(table.version() + 1))]


def _read_all(uri: str, paths: Sequence[str]) -> dict[str, bytes]:
    from deltalake.exceptions import DeltaError, TableNotFoundError
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import PyFileSystem

    contents: dict[str, bytes] = {}
    path = paths[0]
    try:
        filesystem = PyFileSystem(DeltaStorageHandler(uri))
        for path in paths:
            with filesystem.open_input_file(path) as file:
                contents[path] = file.read()
    except (FileNotFoundError, TableNotFoundError) as error:
        raise TamperedError(f"{uri}/{path}: expected a file, found none. {REMEDY}") from error
    except (DeltaError, OSError) as error:
        raise UnavailableError(f"{uri}/{path} cannot be read, so nothing was checked: {error}.") from error
    return contents


def _verified_bytes(part: Part) -> dict[str, bytes]:
    contents = _read_all(part.uri, [file.path for file in part.files])
    for file in part.files:
        found = canonical.digest_of_bytes(contents[file.path])
        if found != file.sha256:
            raise TamperedError(
                f"{part.uri}/{file.path}: expected SHA-256 {file.sha256} ({file.size} bytes), "
                f"found {found} ({len(contents[file.path])} bytes). {REMEDY}"
            )
    return contents


def _parse(uri: str, contents: Mapping[str, bytes]) -> "pd.DataFrame":
    import pyarrow
    import pyarrow.parquet

    try:
        tables = [
            pyarrow.parquet.read_table(pyarrow.BufferReader(body))
            for path, body in contents.items()
            if path.endswith(".parquet")
        ]
        return content.normalise(pyarrow.concat_tables(tables).to_pandas())
    except (pyarrow.ArrowException, OSError) as error:
        raise TamperedError(f"{uri}: a Parquet file cannot be read: {error}. {REMEDY}") from error


def _local(uri: str) -> Path | None:
    return None if "://" in uri and not uri.startswith("file://") else Path(uri.removeprefix("file://"))


def _prepare_folder(uri: str, *, private: bool) -> None:
    folder = _local(uri)
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
        if private:
            folder.chmod(0o700)
    except OSError as error:
        raise UnavailableError(f"Cannot make the folder {folder}: {error}. Nothing was recorded.") from error


def _close_files(uri: str, *, private: bool) -> None:
    """Files are born inside a closed folder; this keeps them closed should they be copied out of it."""
    folder = _local(uri)
    if private and folder is not None:
        for path in folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # another writer's temporary file
                path.chmod(0o700 if path.is_dir() else 0o600)
