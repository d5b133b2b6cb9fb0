"""What is to be learnt, told from the target."""

import numpy as np
import pandas as pd
import pytest
from drafts import outcome_of

from governance.drafting.outcome import last_guess
from governance.errors import InputError


def table(values, name="y", n=60):
    return pd.DataFrame({name: [values[i % len(values)] for i in range(n)]})


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([0, 1], "binary_classification"),
        ([1, 2], "binary_classification"),
        ([True, False], "binary_classification"),
        (["yes", "no"], "binary_classification"),
        (["a", "b", "c"], "multiclass_classification"),
        ([1, 2, 3], "multiclass_classification"),
        (list(range(20)), "regression"),
        ([0.5, 1.5, 2.5], "regression"),
    ],
    ids=["0 and 1", "two codes", "yes/no", "two names", "names", "few whole", "many whole", "decimals"],
)
def test_the_task_is_told_from_the_target(values, task):
    assert outcome_of(table(values), "y").task == task


def test_whole_numbers_with_a_rare_value_are_a_quantity():
    children = pd.DataFrame({"y": [0] * 30 + [1] * 20 + [2] * 10 + [7]})

    assert outcome_of(children, "y").task == "regression"


def test_another_task_may_be_asked_for():
    assert outcome_of(table([1, 2, 3]), "y", "regression").task == "regression"


@pytest.mark.parametrize(
    ("values", "task", "expected"),
    [
        (["a", "b"], "regression", "Expected numbers for a regression"),
        ([1, 2, 3], "binary_classification", r"with 3 different values. Expected two"),
        ([0, 1], "multiclass_classification", r"with 2 different values. Expected 3 to 20"),
        ([0.5, 1.5], "binary_classification", "Expected two"),
        ([f"name {i}" for i in range(30)], None, "with 30 different values. Expected 3 to 20"),
        (list(pd.date_range("2020", periods=40)), None, "Expected classes or numbers"),
    ],
    ids=["names", "three", "two", "decimals", "too many names", "times"],
)
def test_a_task_that_the_target_has_no_place_for_is_refused(values, task, expected):
    with pytest.raises(InputError, match=expected):
        outcome_of(table(values), "y", task)


@pytest.mark.parametrize(
    ("name", "values", "favourable"),
    [
        ("approved", [0, 1], 1),
        ("approved", ["no", "yes"], "yes"),
        ("approved", [False, True], True),
        ("defaulted", [0, 1], 0),
        ("is_fraud", [False, True], False),
        ("churn", ["Yes", "No"], "No"),
        ("default", ["bad", "good"], "good"),
        ("status", ["paid", "charged off"], "paid"),
        ("status", ["current", "rejected"], "current"),
        ("outcome", ["other", "denied"], "other"),
        ("diagnosis", ["B", "M"], None),
        ("y", [1, 2], 1),
    ],
)
def test_the_favourable_value_is_told_from_what_it_and_the_target_are_called(name, values, favourable):
    assert outcome_of(table(values, name), name).favourable == favourable


def test_what_nothing_tells_is_undecided_and_the_guess_is_the_last_value():
    outcome = outcome_of(table(["B", "M"]), "y")

    assert outcome.undecided
    assert last_guess(outcome) == "M"


@pytest.mark.parametrize(
    ("values", "named", "favourable"),
    [([0, 1], "0", 0), (["B", "M"], "b", "B"), ([False, True], "false", False)],
    ids=["number", "letter case", "yes/no"],
)
def test_a_value_that_is_named_is_the_datas_own(values, named, favourable):
    found = outcome_of(table(values), "y", None, named).favourable

    assert found == favourable
    assert type(found) is type(favourable)


def test_a_favourable_value_that_does_not_occur_is_refused():
    with pytest.raises(InputError, match="Expected --favourable to be one of 0, 1, found 'yes'"):
        outcome_of(table([0, 1]), "y", None, "yes")


def test_a_number_has_no_favourable_value():
    with pytest.raises(InputError, match="it predicts a number"):
        outcome_of(table(list(range(40))), "y", None, "1")


def test_classes_are_in_order():
    assert outcome_of(table(["c", "a", "b"]), "y").classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (table([0, 1]).assign(y=lambda t: t["y"].where(t.index > 1)), "'y' is missing in 2 of 60 rows"),
        (table([1]), "has the same value in all rows"),
        (table([0, 1], n=29), "Expected at least 30 rows in rows.csv, found 29"),
        (pd.DataFrame({"y": ["a"] * 40 + ["b"]}), "The class 'b' of 'y' has one row"),
        (table([0, 1], name="Y"), "Expected a column 'y' in rows.csv, found none. "),
        (table([0], name="a;y"), "save it with commas"),
    ],
    ids=["missing", "constant", "few rows", "one of a class", "no such column", "another separator"],
)
def test_a_target_that_nothing_can_be_learnt_from_is_refused(frame, expected):
    with pytest.raises(InputError, match=expected):
        outcome_of(frame, "y")


def test_the_rarest_class_is_counted():
    assert outcome_of(pd.DataFrame({"y": [0] * 40 + [1] * 3}), "y").smallest == 3


def test_numbers_of_a_float_column_become_whole_classes():
    assert outcome_of(pd.DataFrame({"y": np.tile([1.0, 2.0, 3.0], 20)}), "y").classes == (1, 2, 3)
