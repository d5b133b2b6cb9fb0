"""A file measured column by column gives what it gives as a frame, to the last bit, whatever is in it."""

import datetime
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

from governance.data.sources import files, parquet_columns, read_source
from governance.data.sources.parquet_columns import Columns
from governance.errors import InputError
from governance.measures.drift import measure_drift
from governance.measures.drift_sides import FrameTable, ParquetTable, _floats, measure_tables
from governance.records import Measurement

WORDS = ["", "a", "b", "é", "long enough to be none of the small ones", "1", "True"]
MOMENTS = st.datetimes(datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30))

KINDS = {
    "float64": (pa.float64(), st.floats() | st.integers(-3, 3).map(float)),
    "float32": (pa.float32(), st.floats(width=32)),
    "int64": (pa.int64(), st.integers(-(2**53), 2**53) | st.integers(-4, 4)),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "uint32": (pa.uint32(), st.integers(0, 2**32 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**40)),
    "constant": (pa.float64(), st.just(7.25)),
    "yes/no": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.sampled_from(WORDS)),
    "large text": (pa.large_string(), st.sampled_from(WORDS)),
    "categories": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(WORDS)),
    "codes": (pa.dictionary(pa.int8(), pa.int64()), st.sampled_from([3, 5, 8])),
    "days": (pa.date32(), st.dates(datetime.date(1700, 1, 1), datetime.date(2200, 1, 1))),
    "times": (pa.timestamp("us"), MOMENTS),
    "seconds": (pa.timestamp("s", "Europe/Berlin"), MOMENTS.map(lambda when: when.replace(microsecond=0))),
    "decimals": (pa.decimal128(12, 3), st.integers(-(10**6), 10**6).map(lambda n: Decimal(n) / 1000)),
    "nothing": (pa.null(), st.none()),
}
SIZES = st.sampled_from([1, 2, 3, 7, 40])


@st.composite
def sides(draw: st.DrawFn) -> tuple[pa.Array, pa.Array]:
    """Draw both sides of a column of some kind, with and without something missing."""
    kind, values = KINDS[draw(st.sampled_from(sorted(KINDS)))]
    found = []
    for _ in range(2):
        of_one = st.none() | values if draw(st.booleans()) else values
        size = draw(SIZES)
        found.append(pa.array(draw(st.lists(of_one, min_size=size, max_size=size)), kind))
    return found[0], found[1]


@contextmanager
def written(*tables: pa.Table, **options: object) -> Iterator[list[str]]:
    """Write tables as Parquet; yield their paths."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{number}.parquet") for number in range(len(tables))]
        for table, path in zip(tables, paths, strict=True):
            pq.write_table(table, path, **options)
        yield paths


def by_column(*paths: str) -> list[Measurement]:
    opened = [Columns(files.find(path, Path())) for path in paths]
    try:
        return measure_tables(*map(ParquetTable, opened)).measurements
    finally:
        for columns in opened:
            columns.close()


def as_frames(*paths: str) -> list[Measurement]:
    return measure_drift(*(read_source(path, Path()) for path in paths))


def of(reference: pa.Array, current: pa.Array) -> dict[str, Measurement]:
    with written(pa.table({"x": reference}), pa.table({"x": current}), row_group_size=3) as paths:
        return {one.name.removeprefix("drift."): one for one in by_column(*paths)}


@given(sides())
@example((pa.array([1.0, None]), pa.array([float("nan"), float("inf")])))
@example((pa.array([True, False]), pa.array([True, None])))
@example((pa.array([True, True]), pa.array([None, None], pa.bool_())))
def test_a_file_gives_what_its_frame_gives_to_the_last_bit(column: tuple[pa.Array, pa.Array]) -> None:
    with written(*(pa.table({"x": side}) for side in column), row_group_size=3) as paths:
        assert by_column(*paths) == as_frames(*paths)


@settings(max_examples=20, deadline=None)
@given(sides())
def test_one_side_may_be_a_frame(column: tuple[pa.Array, pa.Array]) -> None:
    with written(*(pa.table({"x": side}) for side in column)) as (first, second):
        frame = FrameTable(read_source(first, Path()))
        mixed = measure_tables(frame, ParquetTable(Columns(files.find(second, Path())))).measurements
        assert mixed == as_frames(first, second)


@given(
    st.lists(st.none() | st.floats(-1e6, 1e6) | st.integers(-3, 3).map(float), min_size=1, max_size=60),
    st.lists(st.none() | st.floats(-1e6, 1e6) | st.integers(-3, 3).map(float), min_size=1, max_size=9),
)
def test_distances_of_numbers_are_scipys(first: list, second: list) -> None:
    found = of(pa.array(first, pa.float64()), pa.array(second, pa.float64()))
    present = [[one for one in side if one is not None] for side in (first, second)]
    if not all(present):
        assert found["psi"].value is not None
        return
    assert found["ks"].value == pytest.approx(ks_2samp(*present, method="asymp").statistic, abs=1e-9)
    assert found["wasserstein"].value == pytest.approx(wasserstein_distance(*present), rel=1e-9, abs=1e-9)


@given(*[st.lists(st.none() | st.sampled_from(WORDS), min_size=1, max_size=60)] * 2)
def test_distances_of_values_are_scipys(first: list, second: list) -> None:
    found = of(pa.array(first, pa.string()), pa.array(second, pa.string()))
    names = [*dict.fromkeys([*first, *second])]
    table = np.array([[side.count(name) for name in names] for side in (first, second)])
    if {*first, *second} == {None}:
        assert found["psi"].value == 0
        return
    assert found["chi_square"].value == pytest.approx(chi2_contingency(table, correction=False).statistic, abs=1e-9)
    assert found["jensen_shannon"].value == pytest.approx(np.nan_to_num(jensenshannon(*table, base=2)), abs=1e-7)
    assert found["jensen_shannon"].value ** 2 == pytest.approx(
        np.nan_to_num(jensenshannon(*table, base=2)) ** 2, abs=1e-9
    )


def test_infinite_numbers_are_scipys_for_ks() -> None:
    first, second = [-np.inf, 0.0, np.inf, np.inf], [np.inf, 0.0, 1.0]
    expected = ks_2samp(first, second, method="asymp").statistic
    assert of(pa.array(first), pa.array(second))["ks"].value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("m", "n"), [(5000, 5000), (70_001, 33), (33, 70_001), (40_000, 39_999)])
def test_so_are_larger_ones_in_several_batches(m: int, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_columns, "BATCH", 1000)
    random = np.random.default_rng(m)
    first, second = random.normal(size=m).round(2), random.normal(0.1, size=n).round(2)
    with written(pa.table({"x": first}), pa.table({"x": second}), row_group_size=7000) as paths:
        found = {one.name: one.value for one in by_column(*paths)}
        assert by_column(*paths) == as_frames(*paths)
    assert found["drift.ks"] == pytest.approx(ks_2samp(first, second, method="asymp").statistic, abs=1e-9)
    assert found["drift.wasserstein"] == pytest.approx(wasserstein_distance(first, second), abs=1e-9)


def test_text_is_put_together_from_many_batches_and_dictionaries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_columns, "LARGE_BATCH", 100)
    monkeypatch.setattr("governance.measures.drift_sides.PENDING", 300)
    random = np.random.default_rng(3)
    first, second = ([f"value {n}" for n in random.integers(0, 1500, size)] for size in (4000, 3000))
    with written(pa.table({"x": first}), pa.table({"x": second}), row_group_size=350) as paths:
        assert by_column(*paths) == as_frames(*paths)


def test_columns_are_measured_side_by_side_and_only_those_that_are_asked_for() -> None:
    random = np.random.default_rng(1)
    tables = [pa.table({f"n.{i}": random.normal(size=200) for i in range(9)}) for _ in range(2)]
    with written(*tables) as paths:
        assert by_column(*paths) == as_frames(*paths)
        some = [ParquetTable(Columns(files.find(path, Path()))) for path in paths]
        found = measure_tables(*some, columns=["n.7", "n.2"]).measurements
    assert [one.slice["column"] for one in found if one.name == "drift.psi"] == ["n.7", "n.2"]


def test_what_has_drifted_is_named() -> None:
    random = np.random.default_rng(1)
    first = pa.table({"a": random.normal(size=500), "b": random.normal(size=500)})
    second = pa.table({"a": random.normal(size=500), "b": random.normal(2, size=500)})
    with written(first, second) as paths:
        found = measure_tables(*(ParquetTable(Columns(files.find(path, Path()))) for path in paths))
    assert found.drifted == ("b",)
    assert next(one.value for one in found.measurements if one.name == "drift.share_drifted") == 0.5


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (["a"], [1.0], "column 'x' to be of one kind on both sides, found text in the reference and numbers in the cu"),
        ([True], ["no"], "found yes/no in the reference and text"),
        ([1], [datetime.datetime(2024, 1, 1)], "found numbers in the reference and times"),
        ([[1]], [[1]], "Column 'x' holds .* Expected one of: whole numbers"),
        ([2**60 + 1, None], [1, 2], "column 'x' was read as int64, .* too large to be kept exactly"),
        ([2**60], [datetime.datetime(2024, 1, 1)], "found numbers in the reference and times"),
    ],
    ids=["text and numbers", "yes/no and text", "numbers and times", "lists", "too large", "large numbers and times"],
)
def test_what_cannot_be_compared_is_refused(first: list, second: list, told: str) -> None:
    with pytest.raises(InputError, match=told):
        of(pa.array(first), pa.array(second))


def test_a_time_finer_than_a_microsecond_is_refused_as_it_is_in_a_frame() -> None:
    side = pa.array([1, 2], pa.timestamp("ns"))
    with pytest.raises(InputError, match="column 'x' was read as timestamp, but not all of it is"):
        of(side, side)


class TestColumns:
    def test_a_damaged_page_is_told_and_the_column_with_it(self, tmp_path: Path) -> None:
        path = tmp_path / "x.parquet"
        pq.write_table(pa.table({"x": np.arange(9000.0)}), path, compression="snappy", use_dictionary=False)
        body = bytearray(path.read_bytes())
        body[40:4000] = b"\xff" * 3960
        path.write_bytes(body)
        table = ParquetTable(Columns(files.find(str(path), Path())))
        with pytest.raises(InputError, match=r"x\.parquet is not a Parquet file, or is damaged"):
            table.side("x")

    def test_its_stamp_tells_another_file_of_the_same_size_and_place(self, tmp_path: Path) -> None:
        path = tmp_path / "x.parquet"
        stamps = set()
        for value in (1.0, 2.0):
            pq.write_table(pa.table({"x": [value]}), path)
            columns = Columns(files.find(str(path), Path()))
            assert columns.stamp() == columns.stamp()
            stamps.add(columns.stamp())
        assert len(stamps) == 2

    def test_its_stamp_tells_values_that_were_changed_where_they_lie_with_the_times_set_back(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "x.parquet"
        pq.write_table(pa.table({"x": np.arange(9000.0)}), path)
        columns = Columns(files.find(str(path), Path()))
        before, stamp = path.stat(), columns.stamp()
        deadline = time.monotonic() + 10
        while path.stat().st_ctime_ns == before.st_ctime_ns and time.monotonic() < deadline:
            with path.open("r+b") as file:
                file.seek(500)
                file.write(b"changed")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

        assert path.stat().st_mtime_ns == before.st_mtime_ns
        assert columns.stamp() != stamp


@pytest.mark.parametrize("begin", [0, 1, 7, 8, 13])
def test_a_batch_that_is_a_part_of_another_has_its_own_missing_values(begin: int) -> None:
    numbers = pa.array([None if number % 3 == 0 else number for number in range(30)], pa.int32())
    expected = [np.nan if number % 3 == 0 else number for number in range(30)]
    assert np.array_equal(_floats(numbers.slice(begin, 9)), expected[begin : begin + 9], equal_nan=True)
