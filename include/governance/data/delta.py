"""Delta tables as snapshots need them: each distinct content is a version, found again by what its commit says.

A version is one Parquet file and Delta's log up to it. Files are read whole, and compared with their digests before
anything is parsed. What a snapshot is, and what of it is on record, stands in :mod:`governance.data.snapshots`.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from governance import canonical
from governance.data import columns as content
from governance.data import rows as by_row
from governance.errors import InputError, TamperedError, UnavailableError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow

DIGEST_KEY = "governance.content"
ROWS_KEY, LOOKUP_KEY = "governance.rows", "governance.lookup"
"""What a commit says of content that is committed to row by row: nothing that outlives one of its salts."""

SALT = "__salt"
"""The column beside the data's own that holds the salt of each row."""

ATTEMPTS = 50
"""How often a writer looks again after another one committed first. One of them wins each time."""

KEEP = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
}
"""Tells other Delta tools what this module never does itself."""

KEEP_BY_ROW = {**KEEP, "delta.dataSkippingNumIndexedCols": "0"}
"""Keeps least and greatest values of columns out of a log that outlives the rows."""


REMEDY = "Do not use this snapshot: restore the file from a backup, or freeze the source again."


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


class Form(Protocol):
    """What is to be stored of a part, and how the same content is recognised among stored versions."""

    configuration: dict[str, str]
    metadata: dict[str, str]
    table: "pyarrow.Table"

    def may_be(self, uri: str, paths: Sequence[str], commit: Mapping[str, Any]) -> bool:
        """Whether a version says that it holds the same content."""

    def digest_of(self, uri: str, contents: Mapping[str, bytes]) -> str | None:
        """Return the digest of a version that does; ``None`` of one that does not."""


class Whole:
    """Content that is committed to as a whole."""

    configuration = KEEP

    def __init__(self, frame: "pd.DataFrame") -> None:
        self.table, self._digest = content.to_arrow(frame), content.content_digest(frame)
        self.metadata = {DIGEST_KEY: self._digest}

    def may_be(self, uri: str, paths: Sequence[str], commit: Mapping[str, Any]) -> bool:
        """Whether a version says that it holds the same content."""
        return bool(commit.get(DIGEST_KEY) == self._digest)

    def digest_of(self, uri: str, contents: Mapping[str, bytes]) -> str | None:
        """Return the digest of a version that does; ``None`` of one that does not."""
        return self._digest if content.content_digest(parse(uri, contents)) == self._digest else None


class ByRow:
    """Content that is committed to row by row, with salts: the same content has another digest each time it is written.

    So it is found by :func:`governance.data.rows.lookup_tag`, which means nothing any more once a row is erased.
    """

    configuration = KEEP_BY_ROW

    def __init__(self, frame: "pd.DataFrame") -> None:
        import pyarrow

        salts, plain = by_row.new_salts(len(frame)), content.to_arrow(frame)
        self._content = content.content_digest(frame)
        self._types = {name: content.logical_type(frame[name]) for name in frame.columns}
        self.table = plain.append_column(SALT, pyarrow.array(salts, pyarrow.binary()))
        self.metadata = {ROWS_KEY: str(len(frame)), LOOKUP_KEY: by_row.lookup_tag(salts, self._content)}

    def may_be(self, uri: str, paths: Sequence[str], commit: Mapping[str, Any]) -> bool:
        """Whether a version says that it holds the same content."""
        if commit.get(ROWS_KEY) != self.metadata[ROWS_KEY]:
            return False
        return bool(commit.get(LOOKUP_KEY) == by_row.lookup_tag(_salts(uri, paths), self._content))

    def digest_of(self, uri: str, contents: Mapping[str, bytes]) -> str | None:
        """Return the digest of a version that does; ``None`` of one that does not."""
        frame, salts = parse_rows(uri, contents)
        if content.content_digest(frame) != self._content:
            return None
        return by_row.digest(list(by_row.leaves(frame, salts, self._types)), self._types)


def store(form: Form, uri: str, *, private: bool) -> Part:
    """Write a version, or find the one that holds the same content.

    Args:
        form: What is to be stored.
        uri: The table.
        private: Whether its folder is for the pipeline alone.

    Raises:
        TamperedError: The table cannot be read.
        UnavailableError: It cannot be written, or other writers always came first.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError

    _prepare_folder(uri, private=private)
    for _ in range(ATTEMPTS):
        table = _open(uri)
        found = _find(uri, table, form) if table is not None else None
        if found is not None:
            return found
        try:
            _commit(form, uri if table is None else table)
        except CommitFailedError:
            continue
        except (DeltaError, OSError) as error:
            if table is None and _open(uri) is not None:
                continue  # somebody else made the table
            raise UnavailableError(f"Cannot write a snapshot to {uri}: {error}. Nothing was recorded.") from error
        finally:
            close_files(uri, private=private)
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


def _commit(form: Form, table: Any) -> None:
    """Write a version on top of exactly the one that was looked at; anything newer makes it fail."""
    from deltalake import CommitProperties, PostCommitHookProperties, write_deltalake

    is_new = isinstance(table, str)
    write_deltalake(
        table,
        form.table,
        mode="error" if is_new else "overwrite",
        schema_mode=None if is_new else "overwrite",
        configuration=form.configuration if is_new else None,
        target_file_size=2**40,  # one file, so that the order of rows is the order in the file
        commit_properties=CommitProperties(custom_metadata=form.metadata, max_commit_retries=0),
        post_commithook_properties=PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False),
    )


def _find(uri: str, table: Any, form: Form) -> Part | None:
    """Return the first version that says it holds this content, and does."""
    for commit in reversed(table.history()):
        if not form.metadata.keys() <= commit.keys():
            continue
        # Delta counts versions down from the one that was opened, while the log may have grown meanwhile: the number
        # can be too low, even below 0. The content says which it is; where neither is it, the caller writes it again.
        for version in (commit["version"], commit["version"] + 1):
            part = _inspect(uri, version, form, commit) if version >= 0 else None
            if part is not None:
                return part
    return None


def _inspect(uri: str, version: int, form: Form, commit: Mapping[str, Any]) -> Part | None:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        paths = _paths(DeltaTable(uri, version=version))
        if not form.may_be(uri, paths, commit):
            return None
        contents = _read_all(uri, paths)
        digest = form.digest_of(uri, contents)
    except (TamperedError, InputError, DeltaError):
        return None  # a damaged version is not this content; the caller writes a new one
    if digest is None:
        return None
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


def verified_bytes(uri: str, files: Sequence[File]) -> dict[str, bytes]:
    """Return the content of files of a table, by path.

    Raises:
        TamperedError: One is not there, or not as recorded.
        UnavailableError: One cannot be read.
    """
    contents = _read_all(uri, [file.path for file in files])
    for file in files:
        found = canonical.digest_of_bytes(contents[file.path])
        if found != file.sha256:
            raise TamperedError(
                f"{uri}/{file.path}: expected SHA-256 {file.sha256} ({file.size} bytes), "
                f"found {found} ({len(contents[file.path])} bytes). {REMEDY}"
            )
    return contents


def parse(uri: str, contents: Mapping[str, bytes]) -> "pd.DataFrame":
    """Return the rows of files, normalised.

    Raises:
        TamperedError: One is no Parquet file.
    """
    return content.normalise(_table(uri, contents).to_pandas())


def parse_rows(uri: str, contents: Mapping[str, bytes]) -> tuple["pd.DataFrame", list[bytes]]:
    """Return rows, and the salt of each."""
    table = _table(uri, contents)
    if SALT not in table.column_names:
        raise TamperedError(f"{uri}: expected a salt beside each row in {SALT!r}, found none. {REMEDY}")
    salts = [salt or b"" for salt in table[SALT].to_pylist()]
    return content.normalise(table.drop_columns([SALT]).to_pandas()), salts


def _table(uri: str, contents: Mapping[str, bytes]) -> "pyarrow.Table":
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.concat_tables(
            pyarrow.parquet.read_table(pyarrow.BufferReader(body))
            for path, body in contents.items()
            if path.endswith(".parquet")
        )
    except (pyarrow.ArrowException, OSError) as error:
        raise TamperedError(f"{uri}: a Parquet file cannot be read: {error}. {REMEDY}") from error


def _salts(uri: str, paths: Sequence[str]) -> list[bytes]:
    """Return the salts of a stored version, without reading its rows."""
    import pyarrow
    import pyarrow.parquet
    from deltalake.exceptions import DeltaError
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import PyFileSystem

    try:
        filesystem, found = PyFileSystem(DeltaStorageHandler(uri)), []
        for path in paths:
            if path.endswith(".parquet"):
                with filesystem.open_input_file(path) as file:
                    found += pyarrow.parquet.read_table(file, columns=[SALT])[SALT].to_pylist()
    except (DeltaError, OSError, KeyError, pyarrow.ArrowException) as error:
        raise TamperedError(f"{uri}: the salts of a version cannot be read: {error}. {REMEDY}") from error
    return found


def local(uri: str) -> Path | None:
    """Return the path of a table on a local disk; ``None`` of one in a bucket."""
    return None if "://" in uri and not uri.startswith("file://") else Path(uri.removeprefix("file://"))


def _prepare_folder(uri: str, *, private: bool) -> None:
    folder = local(uri)
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
        if private:
            folder.chmod(0o700)
    except OSError as error:
        raise UnavailableError(f"Cannot make the folder {folder}: {error}. Nothing was recorded.") from error


def close_files(uri: str, *, private: bool) -> None:
    """Files are born inside a closed folder; this keeps them closed should they be copied out of it."""
    folder = local(uri)
    if private and folder is not None:
        for path in folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # another writer's temporary file
                path.chmod(0o700 if path.is_dir() else 0o600)


def there(uri: str, paths: Sequence[str]) -> list[str]:
    """Return those of the paths where a file is.

    Raises:
        UnavailableError: The storage does not answer.
    """
    from deltalake.exceptions import DeltaError
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import FileType, PyFileSystem

    try:
        found = PyFileSystem(DeltaStorageHandler(uri)).get_file_info(list(paths))
    except (DeltaError, OSError) as error:
        raise UnavailableError(f"{uri} cannot be listed: {error}. Try again.") from error
    return [info.path for info in found if info.type == FileType.File]


def delete(uri: str, paths: Sequence[str]) -> int:
    """Delete files of a table; return how many were there.

    Raises:
        UnavailableError: A file cannot be deleted.
    """
    from deltalake.exceptions import DeltaError
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import PyFileSystem

    found = there(uri, paths)
    try:
        filesystem = PyFileSystem(DeltaStorageHandler(uri))
        for path in found:
            filesystem.delete_file(path)
    except (DeltaError, OSError) as error:
        raise UnavailableError(f"{uri}: old rows cannot be deleted: {error}. Try again.") from error
    return len(found)
