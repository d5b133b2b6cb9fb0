"""A sketch says what its table says, to the last bit, and one that does not fit is not believed."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from governance.data.sources import files
from governance.data.sources.parquet_columns import Columns
from governance.errors import TamperedError
from governance.measures import drift_sketch
from governance.measures.drift_sides import ParquetTable, measure_tables
from governance.measures.drift_sketch import Cached, Sketch, Sketches

RANDOM = np.random.default_rng(7)
SIZE = 300


def table(shift: float = 0.0) -> pa.Table:
    numbers = RANDOM.normal(shift, size=SIZE)
    return pa.table(
        {
            "number": numbers,
            "some": pa.array([None if value < 0 else value for value in numbers]),
            "whole": RANDOM.integers(0, 5, SIZE),
            "text": RANDOM.choice(["a", "b", ""], SIZE),
            "rare": pa.array([None, "x"] * (SIZE // 2)),
            "yes": RANDOM.random(SIZE) < 0.3,
            "when": pa.array(np.arange(SIZE) * 86_400_000_000, pa.timestamp("us")),
            "nothing": pa.nulls(SIZE),
        }
    )


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_sketch, "SETTLED_NS", 0)


@pytest.fixture
def reference(tmp_path: Path) -> Columns:
    return opened(tmp_path / "then.parquet", table())


@pytest.fixture
def current(tmp_path: Path) -> ParquetTable:
    return ParquetTable(opened(tmp_path / "now.parquet", table(0.5)))


def opened(path: Path, of: pa.Table) -> Columns:
    pq.write_table(of, path)
    return Columns(files.find(str(path), Path()))


def measured(sketches: Sketches, reference: Columns, current: ParquetTable) -> tuple[Cached, list]:
    cached = sketches.open(reference)
    found = measure_tables(cached, current).measurements
    cached.close(keep=True)
    return cached, found


def test_it_says_what_its_table_says_to_the_last_bit(tmp_path: Path, reference: Columns, current: ParquetTable) -> None:
    sketch = Sketch.of(ParquetTable(reference), tmp_path / "kept" / "sketch")

    assert (sketch.names, sketch.rows) == (reference.names, SIZE)
    assert measure_tables(sketch, current) == measure_tables(ParquetTable(reference), current)
    assert measure_tables(current, sketch) == measure_tables(current, ParquetTable(reference))


def test_it_is_its_owners_alone(tmp_path: Path, reference: Columns) -> None:
    Sketch.of(ParquetTable(reference), tmp_path / "kept" / "sketch")

    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "kept" / "sketch").stat().st_mode & 0o777 == 0o700


def test_the_second_time_the_file_is_not_read(
    tmp_path: Path, reference: Columns, current: ParquetTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    sketches = Sketches(tmp_path / "sketches")
    first, found = measured(sketches, reference, current)
    monkeypatch.setattr(reference, "batches", None)
    second, again = measured(sketches, reference, current)

    assert (first.is_from_sketch, second.is_from_sketch) == (False, True)
    assert again == found


def _shorter(folder: Path) -> None:
    file = folder / "0.npy"
    file.write_bytes(file.read_bytes()[:-8])


def _unsorted(folder: Path) -> None:
    np.save(folder / "0.npy", np.load(folder / "0.npy")[::-1])


def _other_numbers(folder: Path) -> None:
    np.save(folder / "0.npy", np.load(folder / "0.npy").astype(np.float32))


def _pickled(folder: Path) -> None:
    np.save(folder / "0.npy", np.array([{"a": 1}] * SIZE, dtype=object), allow_pickle=True)


class Opens:
    """What a pickle that was made to do harm does when it is read: here it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def _gone(folder: Path) -> None:
    (folder / "0.npy").unlink()


def _other_values(folder: Path) -> None:
    pq.write_table(pa.table({"value": ["a"], "rows": [SIZE + 1]}), folder / "3.parquet")


def _no_list(folder: Path) -> None:
    (folder / "sketch.json").unlink()


def _half_a_list(folder: Path) -> None:
    (folder / "sketch.json").write_text((folder / "sketch.json").read_text()[:50])


def _listed(**changed: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        told = json.loads((folder / "sketch.json").read_text())
        (folder / "sketch.json").write_text(json.dumps({**told, **changed}))

    return change


@pytest.mark.parametrize(
    "damage",
    [
        _shorter,
        _unsorted,
        _other_numbers,
        _pickled,
        _gone,
        _other_values,
        _no_list,
        _half_a_list,
        _listed(format=99),
        _listed(rows=SIZE - 1),
        _listed(columns=[{"name": "number", "kind": "guess", "place": 0, "size": 1, "counts": []}]),
        _listed(columns=[{"name": "other", "kind": "nothing", "place": 0, "size": 0, "counts": []}]),
    ],
)
def test_what_does_not_fit_is_not_believed_and_made_anew(
    tmp_path: Path, reference: Columns, current: ParquetTable, damage: Callable[[Path], None]
) -> None:
    sketches = Sketches(tmp_path / "sketches")
    _, expected = measured(sketches, reference, current)
    (folder,) = (tmp_path / "sketches").iterdir()
    damage(folder)

    assert measured(sketches, reference, current)[1] == expected
    measured(sketches, reference, current)
    assert measured(sketches, reference, current)[0].is_from_sketch


def test_a_pickle_in_its_place_is_never_opened(tmp_path: Path, reference: Columns, current: ParquetTable) -> None:
    sketches = Sketches(tmp_path / "sketches")
    measured(sketches, reference, current)
    (folder,) = (tmp_path / "sketches").iterdir()
    np.save(folder / "0.npy", np.array([Opens(tmp_path / "opened")] * SIZE, dtype=object), allow_pickle=True)
    measured(sketches, reference, current)

    assert not (tmp_path / "opened").exists()


def test_a_file_that_was_written_again_has_none(tmp_path: Path, reference: Columns, current: ParquetTable) -> None:
    sketches = Sketches(tmp_path / "sketches")
    measured(sketches, reference, current)
    times = (tmp_path / "then.parquet").stat()
    again = opened(tmp_path / "then.parquet", table(3.0))
    os.utime(tmp_path / "then.parquet", ns=(times.st_atime_ns, times.st_mtime_ns))

    cached, found = measured(sketches, again, current)

    assert not cached.is_from_sketch
    assert found == measure_tables(ParquetTable(again), current).measurements


def test_a_file_that_changes_while_it_is_read_leaves_none(
    tmp_path: Path, reference: Columns, current: ParquetTable
) -> None:
    cached = Sketches(tmp_path / "sketches").open(reference)
    measure_tables(cached, current)
    os.utime(tmp_path / "then.parquet", ns=(0, 0))
    cached.close(keep=True)

    assert list((tmp_path / "sketches").iterdir()) == []


def test_a_file_that_was_just_written_leaves_none(
    tmp_path: Path, reference: Columns, current: ParquetTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_sketch, "SETTLED_NS", 3_600_000_000_000)
    measured(Sketches(tmp_path / "sketches"), reference, current)

    assert not (tmp_path / "sketches").exists()


def test_a_table_that_cannot_be_read_leaves_no_sketch(tmp_path: Path, reference: Columns) -> None:
    folder = tmp_path / "kept" / "sketch"
    (tmp_path / "then.parquet").write_bytes(b"PAR1" * 500)
    with pytest.raises(Exception, match=r"then\.parquet"):
        Sketch.of(ParquetTable(reference), folder)

    assert list(folder.parent.iterdir()) == []
    with pytest.raises(TamperedError, match="Delete its folder: a sketch is made anew"):
        Sketch(folder)


def test_the_ones_that_were_not_of_use_for_longest_make_room(
    tmp_path: Path, current: ParquetTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    sketches, place = Sketches(tmp_path / "sketches"), tmp_path / "sketches"
    several = [opened(tmp_path / f"{number}.parquet", table()) for number in range(3)]
    for columns in several[:2]:
        measured(sketches, columns, current)
    size = sum(file.stat().st_size for file in (place / several[0].stamp()).iterdir())
    monkeypatch.setattr(drift_sketch, "MOST_BYTES", int(2.9 * size))
    os.utime(place / several[1].stamp() / "sketch.json", ns=(0, 0))

    measured(sketches, several[2], current)

    assert {folder.name for folder in place.iterdir()} == {several[0].stamp(), several[2].stamp()}


def test_one_that_is_too_large_is_not_kept(
    tmp_path: Path, reference: Columns, current: ParquetTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_sketch, "MOST_BYTES", 100)
    measured(Sketches(tmp_path / "sketches"), reference, current)

    assert not (tmp_path / "sketches").exists()
