"""What is too large is refused with a sentence, before the memory goes."""

import resource
import sqlite3
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lakes import only, write_delta, write_iceberg

from governance.data.sources import limits, read_source, textfile
from governance.data.sources.files import in_memory
from governance.errors import InputError

from frames import quick  # isort: skip


@pytest.fixture
def small(monkeypatch):
    """Limits that a test can exceed without much."""
    monkeypatch.setattr(limits, "MAX_CELL", 20)
    monkeypatch.setattr(limits, "MAX_COLUMNS", 5)


def told(source, folder) -> str:
    with pytest.raises(InputError) as caught:
        read_source(source, folder)
    return str(caught.value)


def test_a_million_columns_are_refused(tmp_path):
    names = ",".join(f"c{number}" for number in range(1_000_000))
    (tmp_path / "wide.csv").write_text(f"{names}\n{names}\n")

    tracemalloc.start()
    said = told("wide.csv", tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "expected at most 10,000 columns, found 1,000,000" in said
    assert peak < 300e6


def test_as_many_columns_as_allowed_are_read(tmp_path, small):
    (tmp_path / "wide.csv").write_text("a,b,c,d,e\n1,2,3,4,5\n")

    assert read_source("wide.csv", tmp_path).shape == (1, 5)
    limits.check_columns(5, "")
    with pytest.raises(InputError, match="at most 5 columns, found 6"):
        limits.check_columns(6, "")


@pytest.mark.parametrize("byte", [b"\0", b"x"], ids=["a hole", "text"])
def test_a_cell_of_four_gigabytes_is_refused_without_reading_it(tmp_path, byte):
    """The file is sparse: it holds 4 GB, and takes none. Only its beginning is ever read."""
    with (tmp_path / "deep.csv").open("wb") as file:
        file.write(b"a,b\n1," + byte * 1_000_100)
        file.truncate(4 * 1024**3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    said = told("deep.csv", tmp_path)

    assert said.startswith(f"{tmp_path}/deep.csv after byte 6: expected cells of at most 1,000,000 bytes")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_a_cell_in_quotes_may_hold_commas_and_lines_and_is_measured_whole(tmp_path):
    body = b'a,b\n1,"' + b"one, two\n" * 200_000 + b'"\n'
    (tmp_path / "deep.csv").write_bytes(body)

    assert "after byte 6: expected cells" in told("deep.csv", tmp_path)


def test_a_file_without_line_ends_is_refused(tmp_path):
    (tmp_path / "flat.csv").write_bytes(b"1," * 9_000_000)

    assert "expected lines of at most 16,000,000 bytes, found a longer one after byte 0" in told("flat.csv", tmp_path)


def test_a_stray_quote_is_no_cell_that_is_too_long(tmp_path):
    (tmp_path / "rows.csv").write_text('a,b\n5" pipe,1\n' + "x,2\n" * 600_000)

    assert len(read_source("rows.csv", tmp_path)) == 600_001


@pytest.mark.parametrize("text", ["x" * 20, '"' + "x" * 18 + '"', "é" * 10])
def test_a_cell_at_the_limit_is_read(tmp_path, small, text):
    (tmp_path / "rows.csv").write_text(f"a,b\n{text},1\n2,{text}")

    assert len(read_source("rows.csv", tmp_path)) == 2


@pytest.mark.parametrize("body", ["a,b\n{long},1\n", "a,b\n1,{long}", "{long},b\n1,2\n", "a,b\n1,2\r\n3,{long}\r\n"])
def test_a_cell_beyond_the_limit_is_refused_wherever_it_is(tmp_path, small, body):
    (tmp_path / "rows.csv").write_bytes(body.format(long="x" * 21).encode())

    place = body.index("{long}")
    assert f"after byte {place}: expected cells of at most 20 bytes" in told("rows.csv", tmp_path)


CELLS = st.lists(st.text(alphabet='a,"\n\r', max_size=12), min_size=1, max_size=4)


@quick
@given(rows=st.lists(CELLS, min_size=1, max_size=6), limit=st.integers(3, 20), chunk=st.integers(1, 30))
def test_cells_are_measured_as_a_reader_of_csv_sees_them(rows, limit, chunk):
    """Whatever the quotes hold and wherever a chunk ends, exactly the files with a longer cell are refused."""
    cells = ['"' + cell.replace('"', '""') + '"' if set(cell) & set(',"\n\r') else cell for row in rows for cell in row]
    body = ("\n".join([*cells, ""])).encode()
    longest = max(len(cell) for cell in cells)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "MAX_CELL", limit)
        patch.setattr(textfile, "CHUNK", chunk)
        if longest > limit:
            with pytest.raises(InputError, match="expected cells of at most"):
                textfile._look_through(in_memory("x", body))
        else:
            textfile._look_through(in_memory("x", body))


@quick
@given(st.text(max_size=40), st.binary(min_size=1, max_size=3), st.text(max_size=5), st.integers(1, 9))
def test_the_byte_that_is_not_utf8_is_told_wherever_a_chunk_ends(before, bad, after, chunk):
    body = before.encode() + bad + after.encode()
    place = _first_wrong_byte(body)
    if place is None:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textfile, "CHUNK", chunk)
        with pytest.raises(InputError) as caught:
            textfile._look_through(in_memory("x", body))
    assert str(caught.value).startswith(f"x is not UTF-8 (byte {place}: 0x{body[place]:02x})")


def _first_wrong_byte(body: bytes) -> int | None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def test_a_byte_far_into_a_file_is_told_by_its_place(tmp_path):
    body = b"a\n" + b"12345678\n" * 700_000
    (tmp_path / "rows.csv").write_bytes(body + b"caf\xe9\n")

    assert f"is not UTF-8 (byte {len(body) + 3}: 0xe9)" in told("rows.csv", tmp_path)


def test_a_table_that_does_not_fit_into_memory_is_not_begun(tmp_path):
    with (tmp_path / "long.csv").open("wb") as file:
        file.write(b"a,b\n" + b"1,2\n" * 1000)
    with pytest.MonkeyPatch.context() as patch:
        import psutil

        patch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 3_000}))
        assert "expected a table that fits into memory" in told("long.csv", tmp_path)


def test_many_equal_values_are_counted_as_what_they_will_take(tmp_path):
    pa.parquet.write_table(pa.table({"a": pa.array(np.zeros(1_000_000))}), tmp_path / "rows.parquet")
    size = (tmp_path / "rows.parquet").stat().st_size
    with pytest.MonkeyPatch.context() as patch:
        import psutil

        patch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 7_000_000}))
        assert size < 100_000
        assert "takes at least 0.0 GB" in told("rows.parquet", tmp_path)


def test_parquet_is_refused_by_its_metadata(tmp_path, small):
    wide = pa.table({f"c{number}": [1] for number in range(6)})
    pa.parquet.write_table(wide, tmp_path / "wide.parquet")
    pa.parquet.write_table(pa.table({"a": ["x" * 100]}), tmp_path / "deep.parquet")

    assert "expected at most 5 columns, found 6" in told("wide.parquet", tmp_path)
    assert "expected cells of at most 20 bytes, found a longer one in column 'a'" in told("deep.parquet", tmp_path)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_one_long_cell_among_many_is_refused_when_it_was_read(tmp_path, small, kind):
    values = pa.array(["x"] * 100 + ["y" * 21]).cast(kind)
    pa.parquet.write_table(pa.table({"a": values}), tmp_path / "rows.parquet")

    assert "in column 'a'" in told("rows.parquet", tmp_path)


def test_a_footer_that_is_too_large_is_not_parsed(tmp_path):
    with (tmp_path / "wide.parquet").open("wb") as file:
        file.write(b"PAR1")
        file.truncate(200_000_000)
        file.seek(0, 2)
        file.write((150_000_000).to_bytes(4, "little") + b"PAR1")

    assert "expected metadata of at most 100,000,000 bytes, found 150,000,000" in told("wide.parquet", tmp_path)


def test_delta_iceberg_and_sql_are_refused_by_their_schema_and_their_cells(tmp_path, small):
    wide = pd.DataFrame({f"c{number}": [1] for number in range(6)})
    deep = pd.DataFrame({"a": ["x" * 21]})
    for name, rows in (("wide", wide), ("deep", deep)):
        write_delta(str(tmp_path / name), rows)
        with sqlite3.connect(tmp_path / "w.db") as connection:
            rows.to_sql(name, connection, index=False)
    table = write_iceberg(tmp_path / "c.db", f"file://{tmp_path}/w", pd.DataFrame({"b": ["x" * 21]}))

    assert "at most 5 columns, found 6" in told("delta:wide", tmp_path)
    assert "cells of at most 20 bytes" in told("delta:deep", tmp_path)
    assert "cells of at most 20 bytes" in told(f"iceberg:{table.metadata_location.removeprefix('file://')}", tmp_path)
    with only({"GOVERNANCE_SQL_W": f"sqlite:///{tmp_path}/w.db"}):
        assert "at most 5 columns, found 6" in told("sql:w/wide", tmp_path)
        assert "cells of at most 20 bytes" in told("sql:w/deep", tmp_path)


def test_sqlite_hands_out_no_cell_beyond_a_lines_limit(tmp_path):
    with sqlite3.connect(tmp_path / "w.db") as connection:
        connection.execute("CREATE TABLE t AS SELECT zeroblob(17000000) AS a")
    with only({"GOVERNANCE_SQL_W": f"sqlite:///{tmp_path}/w.db"}):
        assert "sql:w/t: expected cells of at most 1,000,000 bytes" in told("sql:w/t", tmp_path)
