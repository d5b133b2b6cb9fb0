"""A request meets the contract, or is told everything that is wrong with it at once."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.release.inputs import FAULTS_TOLD, Inputs, sentence

BOUNDS = {
    "income": {"type": "float64", "minimum": 0, "maximum": 100_000, "allowed": None, "nullable": True},
    "age": {"type": "int64", "minimum": 18, "maximum": 110, "allowed": None, "nullable": False},
    "kind": {"type": "int64", "minimum": None, "maximum": None, "allowed": [0, 1, 2], "nullable": False},
}
WORDS = {
    "name": {"type": "string", "minimum": None, "maximum": None, "allowed": ["a", "b"], "nullable": False},
    "when": {"type": "timestamp", "minimum": None, "maximum": None, "allowed": None, "nullable": True},
    "yes": {"type": "bool", "minimum": None, "maximum": None, "allowed": None, "nullable": False},
    "count": {"type": "int64", "minimum": None, "maximum": None, "allowed": None, "nullable": False},
}
INPUTS = Inputs(BOUNDS)


def faults(columns, *rows, inputs=INPUTS):
    return inputs.arrange(columns, rows)[1]


def test_a_row_that_meets_the_contract_has_no_fault():
    assert INPUTS.arrange(["income", "age", "kind"], [[1.5, 30, 2]]) == ([[1.5, 30, 2]], [])


def test_columns_in_another_order_are_put_into_order():
    assert INPUTS.arrange(["kind", "income", "age"], [[2, 1.5, 30]])[0] == [[1.5, 30, 2]]


def test_null_is_allowed_where_the_contract_says_so_and_nowhere_else():
    assert faults(["income", "age", "kind"], [None, 30, 1]) == []
    assert faults(["income", "age", "kind"], [1.0, None, 1]) == ["age: a value is required, found null"]


def test_every_fault_is_told_at_once():
    found = faults(["income", "age", "race"], ["much", 17, 1])

    assert found == [
        "kind: missing",
        "race: not a feature of this model",
        "income: expected a number, found 'much'",
        "age: expected at least 18, found 17",
    ]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("income", -1, "at least 0"),
        ("income", 100_001, "at most 100000"),
        ("income", math.inf, "can be calculated with"),
        ("income", True, "expected a number"),
        ("income", [1], "expected a number"),
        ("age", 30.5, "a whole number"),
        ("age", "30", "a whole number"),
        ("age", True, "a whole number"),
        ("kind", 3, "one of 0, 1, 2"),
        ("age", 10**400, "can be calculated with"),
    ],
)
def test_a_value_out_of_contract_is_told_with_what_was_expected(column, value, said):
    row = {"income": 1.0, "age": 30, "kind": 1} | {column: value}

    (fault,) = faults(list(row), list(row.values()))

    assert fault.startswith(f"{column}: ")
    assert said in fault


def test_whole_numbers_may_be_written_with_a_point():
    assert faults(["income", "age", "kind"], [1, 30.0, 2.0]) == []


def test_text_times_and_booleans_are_checked_too():
    inputs = Inputs(WORDS)
    names = list(WORDS)

    assert faults(names, ["a", "2026-03-01T10:00:00Z", True, 1], inputs=inputs) == []
    assert len(faults(names, ["c", "yesterday", 1, 1.5], inputs=inputs)) == 4


def test_the_row_of_a_fault_is_named():
    assert faults(["income", "age", "kind"], [1.0, 30, 1], [1.0, 3, 1]) == [
        "age: expected at least 18, found 3 (row 1)"
    ]


def test_a_row_of_another_length_is_a_fault():
    assert faults(["income", "age", "kind"], [1.0, 30]) == ["row 0: expected 3 values, found 2"]


def test_a_column_given_twice_is_a_fault():
    assert "age: given twice" in faults(["income", "age", "kind", "age"], [1.0, 30, 1, 31])


def test_a_feature_that_the_model_dropped_may_stay_in_the_request_or_not():
    inputs = Inputs(BOUNDS, used=["kind", "age"])

    assert inputs.arrange(["income", "age", "kind"], [[1.0, 30, 2]]) == ([[2, 30]], [])
    assert inputs.arrange(["kind", "age"], [[2, 30]]) == ([[2, 30]], [])
    assert faults(["income", "age", "kind"], [-1.0, 30, 2], inputs=inputs) == [
        "income: expected at least 0, found -1.0"
    ]


def test_not_all_of_very_many_faults_are_told():
    rows = [[1.0, 3, 1]] * 10_000

    found = faults(["income", "age", "kind"], *rows)

    assert len(found) <= FAULTS_TOLD + 3
    assert sentence(found).endswith("and more.")


def test_the_frame_has_missing_values_where_null_was():
    frame = INPUTS.frame([[None, 30, 2]])

    assert list(frame.columns) == ["income", "age", "kind"]
    assert frame.isna().to_numpy().tolist() == [[True, False, False]]


@pytest.mark.parametrize("bounds", [BOUNDS, WORDS], ids=["numbers", "words"])
@pytest.mark.parametrize("empty", [False, True])
def test_the_example_meets_the_contract(bounds, empty):
    inputs = Inputs(bounds)
    example = inputs.example(empty=empty)

    assert faults(list(example), list(example.values()), inputs=inputs) == []
    assert len(inputs.frame([list(example.values())])) == 1


@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()), min_size=3, max_size=3))
def test_whatever_has_no_fault_can_be_calculated_with(row):
    arranged, found = INPUTS.arrange(["income", "age", "kind"], [row])

    if not found:
        frame = INPUTS.frame(arranged)
        assert frame["age"].between(18, 110).all()
        assert frame["kind"].isin([0, 1, 2]).all()
        assert frame["income"].dropna().between(0, 100_000).all()


@pytest.mark.parametrize(
    ("columns", "row", "kind"),
    [
        (["income", "kind"], [1.5, 1], ("missing", "age")),
        (["income", "kind", "Ms Doe"], [1.5, 1, 1], ("missing", "age")),
        (["income", "age", "kind", "Ms Doe"], [1.5, 30, 1, 1], ("unknown", "")),
        (["income", "age", "kind", "kind"], [1.5, 30, 1, 1], ("unknown", "")),
        (["income", "age", "kind"], [1.5, 17, 1], ("value", "age")),
        (["income", "age", "kind"], [1.5, 17], ("form", "")),
    ],
)
def test_the_kind_of_a_fault_names_features_and_nothing_that_was_sent(columns, row, kind):
    assert INPUTS.kind(columns, faults(columns, row)) == kind
