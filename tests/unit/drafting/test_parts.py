"""What part each column plays."""

import numpy as np
import pandas as pd
import pytest
from drafts import parts_of

N = 200
DRAW = np.random.default_rng(0)
NOISE = DRAW.normal(size=N)
Y = (NOISE + DRAW.normal(size=N) > 0).astype(int)
AGE = DRAW.integers(20, 80, N)


def table(**columns):
    return pd.DataFrame({"noise": NOISE, **columns, "y": Y})


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"it": [7] * N}, "the same value in every row"),
        ({"it": [7] * 100 + [None] * 100}, "the same value wherever it is recorded"),
        ({"it": [None] * N}, "nothing is in it"),
        ({"it": DRAW.permutation(N)}, "an identifier: it counts the rows"),
        ({"customerID": DRAW.integers(0, 10**6, N)}, "an identifier"),
        ({"it": [f"note {i}" for i in range(N)]}, "an identifier or free text"),
        ({"it": pd.date_range("2020", periods=N)}, "a time"),
        ({"it": [f"2020-01-{i % 28 + 1:02d}" for i in range(N)]}, "a time"),
        ({"it": [f"a{i % 9}@b.example" for i in range(N)]}, "personal data"),
        ({"Phone": [f"{i % 9}" for i in range(N)]}, "personal data"),
        ({"religion": [f"{i % 3}" for i in range(N)]}, "reads like religion, and is not named protected"),
    ],
    ids=["constant", "constant, gaps", "empty", "counter", "id", "text", "time", "date", "e-mail", "phone", "religion"],
)
def test_what_speaks_against_a_column_leaves_it_out(columns, reason):
    (name,) = columns
    parts = parts_of(table(**columns), "y")

    assert parts.left_out[name].startswith(reason)
    assert [column.name for column in parts.features] == ["noise"]


def test_what_says_the_same_as_a_protected_column_is_left_out():
    parts = parts_of(table(age=AGE, age_squared=AGE**2), "y", protected=("age",))

    assert parts.left_out == {"age_squared": "says the same as `age`, which is protected"}


def test_of_no_persons_no_name_speaks():
    parts = parts_of(table(age=AGE, zip=AGE % 7, address=AGE % 5), "y", persons=False)

    assert [column.name for column in parts.features] == ["noise", "age", "zip", "address"]
    assert parts.proxies == []


def test_where_people_live_and_the_share_of_a_group_there_are_proxies():
    parts = parts_of(table(zip_code=AGE % 9, black=DRAW.random(N)), "y")

    assert parts.proxies == ["zip_code", "black"]


def test_personal_data_are_said_of_what_kind():
    contact = [f"a{i % 9}@b.example" for i in range(N)]

    assert parts_of(table(kontakt=contact, last_name=contact), "y").personal == {
        "kontakt": "email",
        "last_name": "email",
    }


@pytest.mark.parametrize(
    "column",
    [
        1 - Y,
        np.where(Y == 1, DRAW.normal(5, 1, N) ** 2, 0),
        np.where(Y == 1, 2, DRAW.choice([1, 3], N)),
        np.where(Y == 1, 7.0, np.nan) + NOISE,
        np.where(Y == 1, "sent", "kept"),
    ],
    ids=["the other way round", "hours", "not monotone", "missing where 0", "in words"],
)
def test_a_column_that_tells_the_outcome_is_a_leak_in_whatever_form(column):
    parts = parts_of(table(it=column), "y")

    assert parts.leaks["it"].startswith("predicts the target alone (AUC 1.00). decide:")


def test_a_copy_of_a_number_is_a_leak_of_a_regression():
    target = DRAW.lognormal(size=N)
    parts = parts_of(pd.DataFrame({"x": target + DRAW.normal(size=N), "log": np.log(target), "y": target}), "y")

    assert list(parts.leaks) == ["log"]
    assert "rank correlation 1.00" in parts.leaks["log"]


def test_a_column_that_tells_a_class_apart_is_a_leak_of_several_classes():
    target = DRAW.choice(["a", "b", "c"], N)
    code = pd.Series(target).map({"a": 3, "b": 1, "c": 2})

    assert "AUC 1.00" in parts_of(pd.DataFrame({"x": NOISE, "code": code, "y": target}), "y").leaks["code"]


def test_one_class_that_is_told_apart_is_enough_for_a_leak():
    target = DRAW.choice(["a", "b", "c"], N)
    marks_a = np.where(target == "a", 9.0, DRAW.normal(size=N))

    assert "AUC 1.00" in parts_of(pd.DataFrame({"x": NOISE, "mark": marks_a, "y": target}), "y").leaks["mark"]


def test_few_rows_of_a_class_make_no_leak_of_noise():
    rare = np.zeros(N, dtype=int)
    rare[:4] = 1

    assert parts_of(pd.DataFrame({"noise": NOISE, "y": rare}), "y").leaks == {}


def test_the_strongest_features_are_named_first():
    weak = DRAW.normal(size=N)
    strong = Y + DRAW.normal(0, 0.4, N)

    assert parts_of(table(weak=weak, strong=strong), "y").strongest[0].startswith("strong (AUC 0.9")
