"""Erase rows from a frozen part, and know what was erased: the snapshot's digest stays, and so does all evidence on it.

An erasure is an entry ``rows_erased`` in the ledger: of which part, the positions of the rows, their leaf hashes, and
the files that now stand in for the old ones. It holds neither a value nor a hash that values can be tried against: the
salts go with the rows (:mod:`governance.data.rows`). The order of things makes it safe to be killed anywhere:

1. The rows that are left are written to a new file, named by its content. Until the next step nothing refers to it.
2. The entry is appended. From here on everybody reads the new file, and the old one is only left over.
3. The old files are deleted (:func:`finish`, which may be called again at any time).

Entries on one part form a chain: the n-th has the key ``rows_erased:<digest of the part>:<n>``, which the ledger gives
away once. Of two who erase from one part at a time, the second finds it taken, and does its work on what the first
left. A snapshot that is frozen meanwhile and finds the same version has the same digest: the entry holds for it, too.

Delta's log stays byte for byte, for the records of later versions name it; it holds no value.
Other Delta readers find no file any more for a version that rows were erased from.

Not guaranteed: that a disk forgets what was deleted, and what backups, a bucket's old versions and the source hold.
"""

import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from governance import canonical
from governance.data import columns as content
from governance.data import delta, snapshots
from governance.data.delta import SALT, File
from governance.data.snapshots import PROTECTED, Erased, Snapshot, StoredRows
from governance.errors import InputError, TamperedError, UnavailableError
from governance.ledger.log import Entry, Ledger

if TYPE_CHECKING:
    import pyarrow

Json = dict[str, Any]
Result = TypeVar("Result")

KIND = "rows_erased"
"""Kind of the ledger's entries."""


def as_kept(ledger: Ledger, model: str, document: Mapping[str, Any]) -> Snapshot:
    """Return a recorded snapshot with what was erased of it since.

    Args:
        ledger: The record.
        model: Whose snapshot it is.
        document: The snapshot as an entry has it.

    Raises:
        TamperedError: Entries on erased rows contradict each other.
    """
    snapshot = Snapshot.from_dict(document)
    if snapshot.subject is None:
        return snapshot
    found = {part: _erased(ledger, model, snapshot, part) for part in snapshot.parts}
    return replace(snapshot, erased={part: one for part, one in found.items() if one is not None})


def erase(
    ledger: Ledger, model: str, snapshot: Snapshot, positions: Iterable[int], *, reason: str, actor: str
) -> list[Entry]:
    """Erase rows from every part of a snapshot, and delete the files that held them. Again, it changes nothing.

    The part that says whom rows are about comes last: killed before it, the same person is found again.

    Args:
        ledger: The record, with a login that may write :data:`KIND`.
        model: Whose snapshot it is.
        snapshot: Its record.
        positions: Of the rows that go.
        reason: Why, in words that name nobody: it stays.
        actor: On whose word.

    Returns:
        The entries that were written.

    Raises:
        InputError: Its rows are not committed to one by one, or there is no such row.
        TamperedError: It is not what was recorded: nothing is written over that.
        UnavailableError: The storage or the ledger does not answer. Erasing again completes it.
    """
    wanted = sorted(set(positions))
    if snapshot.subject is None:
        raise InputError(
            f"Expected a snapshot whose rows are committed to one by one, found {snapshot.digest[:16]}…, which was "
            f"frozen before model.yaml named a `subject` under `data`: no row of it can be erased alone."
        )
    if stray := [position for position in wanted if not 0 <= position < snapshot.rows]:
        raise InputError(f"Expected rows from 0 to {snapshot.rows - 1}, found {stray[0]}.")
    document, said = snapshot.to_dict(), {"reason": reason, "actor": actor}
    holder = as_it_is(ledger, model, document, lambda now: part_with(now, str(snapshot.subject)))
    parts = [*(part for part in snapshot.parts if part != holder), holder]
    found = [_erase_part(ledger, model, document, part, wanted, said) for part in parts]
    finish(as_kept(ledger, model, document))
    return [entry for entry in found if entry is not None]


def as_it_is(ledger: Ledger, model: str, document: Mapping[str, Any], act: Callable[[Snapshot], Result]) -> Result:
    """Return ``act(snapshot)``, made again where rows were erased while it read.

    Raises:
        TamperedError: What ``act`` raises of a snapshot that nobody erased from meanwhile.
    """
    snapshot = as_kept(ledger, model, document)
    while True:
        try:
            return act(snapshot)
        except TamperedError:
            now = as_kept(ledger, model, document)
            if now == snapshot:
                raise
            snapshot = now


def finish(snapshot: Snapshot) -> int:
    """Delete the files that still hold rows whose erasure is on record; return how many.

    Raises:
        UnavailableError: A file cannot be deleted. Try again.
    """
    return sum(delta.delete(snapshot.parts[part].uri, one.former) for part, one in snapshot.erased.items())


def part_with(snapshot: Snapshot, name: str) -> str:
    """Return the part that a column is in, by the files themselves.

    Raises:
        InputError: There is no such column.
        TamperedError: They are not what was recorded.
    """
    return _holding(snapshot, name)[0]


def column(snapshot: Snapshot, name: str) -> tuple[Sequence[int], Sequence[Any]]:
    """Return one column of a snapshot without the rest, from files that are verified: positions, and values.

    Of rows that were erased from another part but not yet from this one, too: who looks for a person must find them.

    Raises:
        InputError: It has no such column.
        TamperedError: A file is not what was recorded.
    """
    part, tables = _holding(snapshot, name)
    gone = snapshot.erased[part].leaves if part in snapshot.erased else {}
    positions = [position for position in range(snapshot.rows) if position not in gone]
    return positions, [value for table in tables for value in table[name].to_pylist()]


def _holding(snapshot: Snapshot, name: str) -> "tuple[str, list[pyarrow.Table]]":
    for part in snapshot.parts:
        tables = _tables(snapshot, part, name)
        if name in tables[0].column_names:
            return part, tables
    raise InputError(f"Expected a column {name!r} in snapshot {snapshot.digest[:16]}…, found none.")


def _tables(snapshot: Snapshot, part: str, name: str) -> "list[pyarrow.Table]":
    """Return the files of a part with one column, or without any where it has none of this name."""
    import pyarrow
    import pyarrow.parquet

    uri = snapshot.parts[part].uri
    files = [file for file in snapshots.current_files(snapshot, part) if file.path.endswith(".parquet")]
    found = []
    try:
        for body in delta.verified_bytes(uri, files).values():
            there = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(body))
            found.append(there.read(columns=[one for one in there.schema_arrow.names if one == name]))
    except (pyarrow.ArrowException, OSError) as error:
        raise TamperedError(f"{uri}: a Parquet file cannot be read: {error}. {delta.REMEDY}") from error
    return found


def _erased(ledger: Ledger, model: str, snapshot: Snapshot, part: str) -> Erased | None:
    """Fold the chain of entries on a part into what they leave of it."""
    recorded = snapshot.parts[part]
    if ledger.get(_key(recorded.digest, 0)) is None:
        return None  # the usual case, in one question
    chain = {entry.key: entry for entry in ledger.find(KIND, model)}
    files = tuple(file for file in recorded.files if file.path.endswith(".parquet"))
    known, number = Erased({}, files, (), 0), 0
    while (entry := chain.get(_key(recorded.digest, number))) is not None:
        known, number = _after(known, entry), number + 1
    kept = {file.path for file in known.files}
    return replace(known, former=tuple(path for path in known.former if path not in kept))


def _after(before: Erased, entry: Entry) -> Erased:
    try:
        leaves = dict(zip(entry.data["rows"], entry.data["leaves"], strict=True))
        files = tuple(File(**file) for file in entry.data["files"])
    except (KeyError, TypeError, ValueError) as error:
        raise TamperedError(f"Expected erased rows, their leaves and files in entry {entry.seq}: {error}.") from error
    if again := sorted(leaves.keys() & before.leaves.keys()):
        raise TamperedError(f"Expected rows in entry {entry.seq} that were not erased before, found {again[0]} again.")
    former = (*before.former, *(file.path for file in before.files))
    return Erased({**before.leaves, **leaves}, files, former, before.entries + 1)


def _key(digest: str, number: int) -> str:
    return f"{KIND}:{digest}:{number}"


def _erase_part(
    ledger: Ledger, model: str, document: Json, part: str, wanted: Sequence[int], said: Mapping[str, str]
) -> Entry | None:
    """Erase rows from one part; ``None`` where they are gone already."""
    for _ in range(delta.ATTEMPTS):
        snapshot, stored = as_it_is(ledger, model, document, lambda now: (now, snapshots.stored_rows(now, part)))
        before = snapshot.erased.get(part)
        positions = [position for position in wanted if before is None or position not in before.leaves]
        if not positions:
            return None
        file = _write(snapshot, part, _without(snapshot, stored, positions))
        digest = snapshot.parts[part].digest
        data = {
            "snapshot": snapshot.digest,
            "part": part,
            "digest": digest,
            "rows": positions,
            "leaves": [stored.leaves[position].hex() for position in positions],
            "files": [file.__dict__],
            "reason": said["reason"],
        }
        key = _key(digest, before.entries if before else 0)
        entry = ledger.append(KIND, model, data, actor=said["actor"], key=key)
        if entry.data == data:
            return entry
        _drop(as_kept(ledger, model, document), part, file)  # it holds rows that the other one erased
    raise UnavailableError(
        f"Others erased from {document['digest'][:16]}… at the same time, again and again. Try again."
    )


def _drop(snapshot: Snapshot, part: str, file: File) -> None:
    if file.path not in {one.path for one in snapshots.current_files(snapshot, part)}:
        delta.delete(snapshot.parts[part].uri, [file.path])


def _without(snapshot: Snapshot, stored: StoredRows, positions: Sequence[int]) -> bytes:
    """Return a Parquet file of what is left without some rows: made anew, so that nothing of them is in it."""
    import pyarrow
    import pyarrow.parquet

    going = set(positions)
    there = [at for at, position in enumerate(stored.positions) if position not in going]
    table = content.to_arrow(stored.frame.iloc[there].reset_index(drop=True))
    table = table.append_column(SALT, pyarrow.array([stored.salts[at] for at in there], pyarrow.binary()))
    body = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata(None), body, compression="snappy")
    return body.getvalue()


def _write(snapshot: Snapshot, part: str, body: bytes) -> File:
    """Write a file under a name that says its content, and return once it is on disk."""
    from deltalake.exceptions import DeltaError
    from deltalake.fs import DeltaStorageHandler

    uri, digest = snapshot.parts[part].uri, canonical.digest_of_bytes(body)
    path = f"kept-{digest}.parquet"
    try:
        # Not through PyArrow's file around it: PyArrow 25 hands it a buffer where deltalake 1.6 takes bytes only.
        file: Any = DeltaStorageHandler(uri)._handler.open_output_stream(path)
        file.write(body)
        file.close()
        if "://" not in uri:
            _flush(Path(uri) / path)
    except (DeltaError, OSError) as error:
        raise UnavailableError(f"{uri}/{path} cannot be written: {error}. Nothing was erased; try again.") from error
    delta.close_files(uri, private=part == PROTECTED)
    return File(path, len(body), digest)


def _flush(path: Path) -> None:
    """Wait until a file and its name are on disk: the only other copy of these rows is deleted next."""
    for one in (path, path.parent):
        handle = os.open(one, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
