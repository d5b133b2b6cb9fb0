"""Protected values that callers told: each column of one kind, whatever one caller wrote."""

import json

import pyarrow as pa
import pytest

from governance.predictions.reading import _taken_apart


def table(*values):
    return pa.table(
        {"request_id": [f"r-{n}" for n in range(len(values))], "value": [json.dumps(one) for one in values]}
    )


def test_numbers_are_numbers():
    found = _taken_apart(table({"black": 1}, {"black": 0, "male": 1}))

    assert found["v.black"].to_pylist() == [1, 0]
    assert found["v.male"].to_pylist() == [None, 1]


@pytest.mark.parametrize("odd", ["yes", True])
def test_one_that_is_none_does_not_hide_the_others(odd):
    found = _taken_apart(table({"black": 1, "male": 1}, {"black": odd}, {"black": 0}))

    assert [str(one) for one in found["v.black"].to_pylist()] == ["1", str(odd), "0"]
    assert found["v.male"].to_pylist() == [1, None, None]


def test_none_at_all_is_an_empty_table():
    assert _taken_apart(table()).num_rows == 0
