"""Requests in MLflow's three forms, and nothing that could be read in two ways."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.errors import InputError
from governance.serving.protocol import read

FEATURES = ["a", "b"]
TABLE = (["a", "b"], [[1, 2.5], [3, None]], None)


@pytest.mark.parametrize(
    "request_",
    [
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2.5], [3, None]]}},
        {"dataframe_split": {"index": [0, 1], "columns": ["a", "b"], "data": [[1, 2.5], [3, None]]}},
        {"dataframe_records": [{"a": 1, "b": 2.5}, {"b": None, "a": 3}]},
        {"inputs": {"a": [1, 3], "b": [2.5, None]}},
        {"inputs": [[1, 2.5], [3, None]]},
        {"inputs": [{"a": 1, "b": 2.5}, {"a": 3, "b": None}]},
        {"inputs": [[1, 2.5], [3, None]], "params": {}},
    ],
    ids=["split", "split with index", "records", "columns", "rows", "records in inputs", "empty params"],
)
def test_every_form_gives_the_same_table(request_):
    assert read(json.dumps(request_).encode(), FEATURES) == TABLE


def test_protected_values_stand_beside_the_rows():
    body = b'{"inputs": [[1, 2], [3, 4]], "params": {"protected": [{"sex": "f"}, null]}}'

    assert read(body, FEATURES) == (["a", "b"], [[1, 2], [3, 4]], [{"sex": "f"}, None])


def test_a_scalar_for_each_column_is_one_row():
    assert read(b'{"inputs": {"a": 1, "b": 2}}', FEATURES) == (["a", "b"], [[1, 2]], None)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "Expected JSON"),
        (b"\xff\xfe", "Expected JSON"),
        (b"[" * 100_000, "Expected JSON"),
        (b"[1]", "Expected an object"),
        (b"{}", "Expected an object"),
        (b'{"rows": []}', "dataframe_split"),
        (b'{"inputs": [[1, 2]], "dataframe_records": []}', "one of"),
        (b'{"inputs": [[1, 2]], "params": {"threshold": 0.1}}', "nothing but protected"),
        (b'{"inputs": [[1, 2]], "params": {"protected": [{}], "threshold": 0.1}}', "nothing but protected"),
        (b'{"inputs": [[1, 2]], "params": {"protected": {}}}', "for each of the 1 rows"),
        (b'{"inputs": [[1, 2]], "params": {"protected": [{}, {}]}}', "for each of the 1 rows"),
        (b'{"inputs": [[1, 2]], "params": [1]}', "nothing but protected"),
        (b'{"inputs": [[1, NaN]]}', "write null"),
        (b'{"inputs": [[1, Infinity]]}', "write null"),
        (b'{"dataframe_records": [{"a": 1, "a": 2}]}', "twice"),
        (b'{"dataframe_records": []}', "at least one row"),
        (b'{"dataframe_records": [1]}', "dataframe_records as"),
        (b'{"dataframe_records": [{"a": 1}, {"b": 1}]}', "row 1 to differ in a, b"),
        (b'{"dataframe_split": {"columns": ["a"]}}', "dataframe_split as"),
        (b'{"dataframe_split": {"columns": [1], "data": [[1]]}}', "dataframe_split as"),
        (b'{"dataframe_split": {"columns": ["a"], "data": [1]}}', "dataframe_split as"),
        (b'{"dataframe_split": [1]}', "dataframe_split as"),
        (b'{"inputs": {"a": [1, 2], "b": [1]}}', "same length"),
        (b'{"inputs": 5}', "inputs as"),
        (b'{"inputs": []}', "at least one row"),
    ],
)
def test_what_is_no_request_is_refused_with_what_was_expected(body, said):
    with pytest.raises(InputError, match=said):
        read(body, FEATURES)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
)


@given(st.sampled_from(["dataframe_split", "dataframe_records", "inputs"]), JSON)
def test_any_json_is_a_table_or_an_input_error(form, value):
    try:
        columns, rows, _ = read(json.dumps({form: value}).encode(), FEATURES)
    except InputError:
        return
    assert all(isinstance(name, str) for name in columns)
    assert rows
