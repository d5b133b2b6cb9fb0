"""Immutable, content-addressed copies of a dataset as it was used.

A snapshot is two Delta tables under ``<root>/<model>/``: ``data``, and ``protected``, which holds the columns that
protected attributes are derived from and nothing else, in a folder that only the pipeline may enter. Every distinct
content is a version of its table. Delta never removes an old one (no vacuum, no log clean-up, no checkpoints); only the
rows of one that has to be kept no longer go, by :func:`let_go`. The commit's metadata carry the digest of the content
(:func:`governance.data.columns.content_digest`), so the same content is found again and not written twice.

The record, :class:`Snapshot`, is what the ledger keeps. It lists every file that the version needs, the whole of
Delta's log up to it among them, with its SHA-256. Loading reads each file once, compares the digests, parses those very
bytes, and compares the digest of the content: there is no moment between check and use.

Where a column says whom a row is about (``subject``), rows are committed to one by one
(:mod:`governance.data.rows`), in tables of their own under ``<root>/<model>/rows/``: each row lies there beside its
salt, and Delta's log holds no statistics of values. Such a row can be erased, and the digest stays valid
(:mod:`governance.data.erasures`): other files then stand in for those that the record names, and the ledger says which,
for which rows. Loading recomputes the root from the rows that are left and the leaves of those that are not.

A snapshot exists when :func:`freeze` has returned it. Killed before that, a run leaves at most a file that no version
names, or a version that no record names; the next run writes or finds what it needs. Two writers race optimistically:
the commit of one fails, and it looks again.

Not guaranteed: secrecy or permanence against whoever owns the folder. Changes are found, not prevented. Modes are set
on local folders only; on ``s3://`` the bucket's policy must do it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from governance import canonical
from governance.data import columns as content
from governance.data import delta
from governance.data import rows as by_row
from governance.data.delta import File, Part
from governance.errors import InputError, TamperedError, UnavailableError

if TYPE_CHECKING:
    import pandas as pd

DATA = "data"
PROTECTED = "protected"
FORMAT, FORMAT_BY_ROW = "governance-snapshot/1", "governance-snapshot/2"
ROWS_FOLDER = "rows"


@dataclass(frozen=True)
class Column:
    """A column's name and logical type."""

    name: str
    type: str


@dataclass(frozen=True)
class Erased:
    """What was erased of a part, as the ledger has it.

    Attributes:
        leaves: Leaf hash of each erased row, by its position.
        files: Parquet files of the rows that are left.
        former: Paths of the files that they stand in for. These are to be gone.
        entries: How many entries of the ledger say so.
    """

    leaves: Mapping[int, str]
    files: tuple[File, ...]
    former: tuple[str, ...]
    entries: int


@dataclass(frozen=True)
class Snapshot:
    """The record of a frozen dataset, and what was erased of it since.

    Attributes:
        digest: SHA-256 over the number of rows and the digests of both parts. Which columns are protected is part of
            it; where the tables are and in which files is not.
        parts: ``data``, and ``protected`` where there are such columns.
        rows: Number of rows, the same in both parts; row n of one belongs to row n of the other.
        columns: All columns, by name.
        subject: The column that says whom a row is about; with it, rows are committed to one by one.
        erased: What was erased, by part; no part of the record (:func:`governance.data.erasures.as_kept`).
    """

    digest: str
    parts: Mapping[str, Part]
    rows: int
    columns: tuple[Column, ...]
    subject: str | None = None
    erased: Mapping[str, Erased] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[int, ...]:
        """Positions of the rows that were erased, in one part at least: none of them is loaded."""
        return tuple(sorted({position for one in self.erased.values() for position in one.leaves}))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        parts = {
            name: {**asdict(part), "files": [asdict(file) for file in part.files]} for name, part in self.parts.items()
        }
        columns = [asdict(column) for column in self.columns]
        said = {"digest": self.digest, "rows": self.rows, "columns": columns, "parts": parts}
        return said if self.subject is None else {**said, "subject": self.subject}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        parts = {
            name: Part(**{**part, "files": tuple(File(**file) for file in part["files"])})
            for name, part in document["parts"].items()
        }
        columns = tuple(Column(**column) for column in document["columns"])
        return cls(document["digest"], parts, document["rows"], columns, document.get("subject"))


@dataclass(frozen=True)
class StoredRows:
    """The rows of a part that are left, verified, with all that commits to them.

    Attributes:
        frame: The rows, normalised.
        salts: Salt of each of them.
        positions: Position of each of them in the snapshot, ascending.
        leaves: Leaf hashes of all rows of the snapshot, erased ones too.
    """

    frame: "pd.DataFrame"
    salts: Sequence[bytes]
    positions: Sequence[int]
    leaves: Sequence[bytes]


def freeze(
    frame: "pd.DataFrame",
    *,
    model: str,
    root: str,
    protected_columns: Sequence[str] = (),
    subject: str | None = None,
) -> Snapshot:
    """Freeze a table, or find the snapshot that already holds the same content.

    Args:
        frame: The data as read, all columns.
        model: The model's name; a folder under ``root``.
        root: Path or ``s3://…``; credentials for the latter are those of the environment, as Delta Lake reads them.
        protected_columns: Columns that go into the part apart. Each must be there: a renamed one would otherwise
            be stored among the features.
        subject: The column that says whom a row is about: rows are then committed to one by one, and can be erased.

    Raises:
        InputError: A protected column or the subject is missing, or a value has no logical type.
        UnavailableError: The tables cannot be written, or other writers always came first.
    """
    frame = content.normalise(frame)
    if frame.empty:
        raise InputError(
            f"Expected rows to freeze for {model}, found {len(frame)} rows of {len(frame.columns)} columns."
        )
    base = _base(root, model) if subject is None else f"{_base(root, model)}/{ROWS_FOLDER}"
    _check_subject(frame, subject)
    parts = {
        part: delta.store(delta.Whole(frame[names]) if subject is None else delta.ByRow(frame[names]), f"{base}/{part}",
                     private=part == PROTECTED)
        for part, names in _split(frame, protected_columns).items()
    }  # fmt: skip
    columns = tuple(Column(name, content.logical_type(frame[name])) for name in sorted(frame.columns))
    return Snapshot(_whole_digest(len(frame), parts, subject), parts, len(frame), columns, subject)


def load(snapshot: Snapshot, part: str = DATA) -> "pd.DataFrame":
    """Return the rows of one part, verified; columns are in the order of ``snapshot.columns``.

    Rows that were erased are left out of every part, so that row n of one still belongs to row n of the other;
    ``snapshot.missing`` says which they are.

    Raises:
        InputError: There is no such part.
        TamperedError: A file, or the content, is not what the record and the ledger's erasures say.
    """
    if snapshot.subject is not None:
        stored, missing = stored_rows(snapshot, part), set(snapshot.missing)
        there = [at for at, position in enumerate(stored.positions) if position not in missing]
        return _ordered(snapshot, stored.frame.iloc[there].reset_index(drop=True))
    recorded = _recorded(snapshot, part)
    frame = delta.parse(recorded.uri, delta.verified_bytes(recorded.uri, recorded.files))
    found = content.content_digest(frame)
    if found != recorded.digest or len(frame) != snapshot.rows:
        raise TamperedError(
            f"{recorded.uri} version {recorded.version}: expected {snapshot.rows} rows with digest {recorded.digest}, "
            f"found {len(frame)} rows with {found}. {delta.REMEDY}"
        )
    return _ordered(snapshot, frame)


def stored_rows(snapshot: Snapshot, part: str) -> StoredRows:
    """Return what is left of a part whose rows are committed to one by one, verified.

    Raises:
        InputError: There is no such part.
        TamperedError: A file, a row, or which rows are there is not what the record and the ledger's erasures say.
    """
    recorded = _recorded(snapshot, part)
    frame, salts = delta.parse_rows(recorded.uri, delta.verified_bytes(recorded.uri, current_files(snapshot, part)))
    erased = snapshot.erased[part].leaves if part in snapshot.erased else {}
    positions = [position for position in range(snapshot.rows) if position not in erased]
    if len(frame) != len(positions) or len(positions) + len(erased) != snapshot.rows:
        raise TamperedError(
            f"{recorded.uri} version {recorded.version}: expected {snapshot.rows} rows without the {len(erased)} that "
            f"the ledger says were erased, found {len(frame)}. {delta.REMEDY}"
        )
    known = {column.name: column.type for column in snapshot.columns}
    types = {name: known.get(name, "") for name in frame.columns}
    leaves = {position: bytes.fromhex(leaf) for position, leaf in erased.items()}
    leaves |= dict(zip(positions, _leaves(recorded, frame, salts, types), strict=True))
    ordered = [leaves[position] for position in range(snapshot.rows)]
    if (found := by_row.digest(ordered, types)) != recorded.digest:
        raise TamperedError(
            f"{recorded.uri} version {recorded.version}: expected rows with digest {recorded.digest}, found {found} of "
            f"{len(frame)} rows and {len(erased)} leaves of erased ones. {delta.REMEDY}"
        )
    return StoredRows(content.conform(frame, types), salts, positions, ordered)


def verify(snapshot: Snapshot) -> None:
    """Check every file and the content of every part against the record and the ledger's erasures.

    Raises:
        TamperedError: Names the file, the expected and the found digest.
        UnavailableError: All of it is right, but an erasure that was recorded has not been finished.
    """
    for part in snapshot.parts:
        load(snapshot, part)
    if left := leftovers(snapshot):
        raise UnavailableError(
            f"Snapshot {snapshot.digest[:16]}… is as it was recorded, but {len(left)} files of rows that were erased "
            f"are still there, the first {left[0]}. Finish it: `governance subject finish`, then try again."
        )


def current_files(snapshot: Snapshot, part: str) -> list[File]:
    """Return the files that hold a part now: those that stand in for erased ones, and Delta's log."""
    files, erased = snapshot.parts[part].files, snapshot.erased.get(part)
    if erased is None:
        return list(files)
    return [*erased.files, *(file for file in files if not file.path.endswith(".parquet"))]


def leftovers(snapshot: Snapshot) -> list[str]:
    """Return the files that still hold rows whose erasure is on record.

    Raises:
        UnavailableError: The storage does not answer.
    """
    found = []
    for part, erased in snapshot.erased.items():
        uri = snapshot.parts[part].uri
        found += [f"{uri}/{path}" for path in delta.there(uri, erased.former)]
    return found


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
    return sum(
        delta.delete(part.uri, [path for path, first in _row_files(snapshot, name) if not is_needed(first)])
        for name, part in snapshot.parts.items()
    )


def _base(root: str, model: str) -> str:
    if not model or "/" in model or model.startswith("."):
        raise InputError(f"Expected the name of a model, which names a folder, found {model!r}.")
    folder = delta.local(root)
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


def _check_subject(frame: "pd.DataFrame", subject: str | None) -> None:
    if subject is None:
        return
    if subject not in frame.columns:
        raise InputError(
            f"Expected the column {subject!r}, which says whom a row is about, found {', '.join(frame.columns)}. "
            f"Correct the source, or `data.subject` in model.yaml."
        )
    if taken := [name for name in frame.columns if name.lower() == delta.SALT]:
        raise InputError(f"Expected no column {taken[0]!r}: the salts of the rows go there. Rename it in the source.")


def _whole_digest(rows: int, parts: Mapping[str, Part], subject: str | None) -> str:
    digests = {name: part.digest for name, part in parts.items()}
    if subject is None:
        return canonical.digest({"format": FORMAT, "rows": rows, "parts": digests})
    return canonical.digest({"format": FORMAT_BY_ROW, "rows": rows, "parts": digests, "subject": subject})


def _ordered(snapshot: Snapshot, frame: "pd.DataFrame") -> "pd.DataFrame":
    return frame[[column.name for column in snapshot.columns if column.name in frame.columns]]


def _recorded(snapshot: Snapshot, part: str) -> Part:
    """Return the record of a part, of a record that fits itself."""
    if part not in snapshot.parts:
        raise InputError(f"Expected a part of the snapshot ({', '.join(snapshot.parts)}), found {part!r}.")
    _check_record(snapshot)
    return snapshot.parts[part]


def _row_files(snapshot: Snapshot, part: str) -> Iterator[tuple[str, str]]:
    """Yield every file that holds rows of a part, with the one that its record names: they are needed together."""
    rows = [file.path for file in snapshot.parts[part].files if file.path.endswith(".parquet")]
    yield from ((path, path) for path in rows)
    if part in snapshot.erased:
        yield from ((file.path, rows[0]) for file in snapshot.erased[part].files)


def _leaves(part: Part, frame: "pd.DataFrame", salts: Sequence[bytes], types: Mapping[str, str]) -> list[bytes]:
    try:
        return list(by_row.leaves(frame, salts, types))
    except (InputError, KeyError) as error:
        raise TamperedError(
            f"{part.uri} version {part.version}: not the columns of the record: {error} {delta.REMEDY}"
        ) from error


def _check_record(snapshot: Snapshot) -> None:
    found = _whole_digest(snapshot.rows, snapshot.parts, snapshot.subject)
    if found != snapshot.digest:
        raise TamperedError(
            f"The record of a snapshot contradicts itself: digest {snapshot.digest}, parts give {found}."
        )
