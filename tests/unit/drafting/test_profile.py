"""What the data hold, column by column."""

import numpy as np
import pandas as pd
import pytest
from drafts import looked_at

from governance.errors import InputError


def column(values):
    return looked_at(pd.DataFrame({"it": values})).columns["it"]


def test_counts_are_of_what_is_there():
    it = column([3.0, 1.0, None, 1.0])

    assert (it.rows, it.missing, it.present, it.distinct) == (4, 1, 3, 2)
    assert dict(it.values) == {1: 2, 3: 1}
    assert (it.low, it.high, it.whole) == (1.0, 3.0, True)


@pytest.mark.parametrize(
    ("values", "binary"),
    [([0, 1, 1], True), ([0.0, 1.0, None], True), ([True, False], True), ([0, 2], False), ([1, 1], False)],
    ids=["numbers", "with a gap", "yes/no", "another code", "one value"],
)
def test_binary_is_zero_and_one_and_nothing_else(values, binary):
    assert column(values).is_binary is binary


@pytest.mark.parametrize(
    ("values", "sequence"),
    [
        (range(7, 40), True),
        (np.random.default_rng(0).permutation(30), True),
        ([1, 2, 4], False),
        ([1, 1, 2], False),
        ([0, 1], False),
    ],
    ids=["in order", "shuffled", "a gap", "a repetition", "an indicator"],
)
def test_a_sequence_counts_rows_without_gap_or_repetition(values, sequence):
    assert column(list(values)).sequence is sequence


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0, 18, 18], "0 to 18"),
        ([0, 1, 1], "0 or 1"),
        ([0.5, 2.0], "0.5 to 2, decimal"),
        (["a", "b", None], "text, 2 different; 1 of 3 missing"),
        ([None, None], "nothing"),
        ([True, False], "true or false"),
    ],
    ids=["whole", "binary", "decimal", "text", "nothing", "yes/no"],
)
def test_in_words(values, words):
    assert column(values).in_words == words


def test_no_text_of_a_row_is_in_its_words():
    assert "secret" not in column(["secret"] * 5).in_words


def test_many_values_are_counted_and_not_listed():
    assert column(list(range(0, 200, 2))).distinct == 100
    assert not column(list(range(0, 200, 2))).values


def test_rows_that_are_alike_are_counted_with_each_other():
    assert looked_at(pd.DataFrame({"a": [1, 1, 2], "b": ["x", "x", "y"]})).alike() == 2


def test_an_infinite_number_is_refused_with_its_column_and_how_often():
    with pytest.raises(InputError, match=r"Column 'it' of rows.csv holds infinite numbers in 2 of 3 rows"):
        column([np.inf, -np.inf, 1.0])


@pytest.mark.parametrize("name", ["x" * 201, "tab\there", "line\nbreak"], ids=["long", "tab", "line break"])
def test_a_name_that_no_file_could_hold_is_refused(name):
    with pytest.raises(InputError, match="Expected column names of at most 200 printable characters"):
        looked_at(pd.DataFrame({name: [1, 2]}))


def test_more_columns_than_anybody_could_explain_are_refused():
    with pytest.raises(InputError, match=r"Expected at most 2,000 columns in rows.csv, found 2,001"):
        looked_at(pd.DataFrame(np.zeros((2, 2001)), columns=[f"x{i}" for i in range(2001)]))
