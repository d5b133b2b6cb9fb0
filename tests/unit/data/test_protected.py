"""Which group each row belongs to."""

import numpy as np
import pandas as pd
import pytest
from frames import quick
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from governance.catalog import Protected
from governance.data.protected import band_names, derive
from governance.errors import InputError

RACE = {"Black": "black", "Hispanic": "hispan", "White": "white"}
FLAG = st.sampled_from([0.0, 1.0, np.nan])


def groups(frame, written):
    return derive(pd.DataFrame(frame), {"it": Protected.model_validate(written)})["it"].tolist()


def test_the_loan_applicants_are_those_of_the_study(loan):
    derived = derive(
        loan,
        {
            "race": Protected.model_validate(RACE),
            "sex": Protected.model_validate({"column": "male", "values": {"men": 1, "women": 0}}),
        },
    )

    assert derived["race"].value_counts().to_dict() == {"White": 1681, "Black": 197, "Hispanic": 111}
    assert derived["sex"].value_counts().to_dict() == {"men": 1605, "women": 369, "unknown": 15}


@quick
@given(st.lists(st.tuples(FLAG, FLAG, FLAG), min_size=1, max_size=8), st.sampled_from([None, "other"]))
def test_a_row_is_in_a_group_if_exactly_one_indicator_says_so_and_none_is_missing(rows, otherwise):
    written = {**RACE, "otherwise": otherwise} if otherwise else RACE

    found = groups(pd.DataFrame(rows, columns=list(RACE.values())), written)

    for flags, group in zip(rows, found, strict=True):
        if any(np.isnan(flag) for flag in flags) or sum(flags) > 1:
            assert group == "unknown"
        elif sum(flags) == 1:
            assert group == list(RACE)[flags.index(1)]
        else:
            assert group == (otherwise or "unknown")


def test_indicators_may_be_true_and_false():
    assert groups({"b": [True, False]}, {"Black": "b", "otherwise": "white"}) == ["Black", "white"]


def test_an_indicator_with_other_codes_is_refused_rather_than_guessed():
    with pytest.raises(InputError, match="Expected 0 or 1 in 'b'"):
        groups({"b": [1, 2]}, {"Black": "b", "otherwise": "white"})


def test_a_value_that_the_spec_does_not_name_is_unknown_unless_it_says_otherwise():
    frame = {"male": [1.0, 0.0, np.nan, 7.0]}
    values = {"men": 1, "women": 0}

    assert groups(frame, {"column": "male", "values": values}) == ["men", "women", "unknown", "unknown"]
    assert groups(frame, {"column": "male", "values": values, "otherwise": "others"})[2:] == ["unknown", "others"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["north", None, "south"], ["north", "unknown", "south"]),
        ([1, 2], ["1", "2"]),
        ([1.0, np.nan, 2.5], ["1", "unknown", "2.5"]),
        ([True, False], ["True", "False"]),
    ],
    ids=["text", "whole", "decimal", "yes/no"],
)
def test_the_values_of_a_plain_column_are_the_groups(values, expected):
    assert groups({"region": values}, "region") == expected


def test_every_row_has_a_group_and_keeps_its_index():
    frame = pd.DataFrame({"region": [None, "a"]}, index=[7, 3])

    derived = derive(frame, {"region": Protected.model_validate("region")})

    assert list(derived.index) == [7, 3]
    assert derived.notna().all(axis=None)


@pytest.mark.parametrize("written", [RACE, {"column": "gone"}], ids=["indicators", "column"])
def test_a_missing_source_column_is_an_error(written):
    with pytest.raises(InputError, match="which the data do not have"):
        groups({"black": [1], "white": [0]}, written)


AGE = {"column": "age", "bands": [40, 62]}


def test_bands_cut_numbers_and_a_bound_belongs_to_the_band_above_it():
    found = groups({"age": [17.0, 39.9, 40.0, 61.9, 62.0, 99.0, np.nan]}, AGE)

    middle = "40 to under 62"
    assert found == ["under 40", "under 40", middle, middle, "62 and over", "62 and over", "unknown"]


@quick
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=10),
    st.lists(st.integers(-100, 100), min_size=1, max_size=4, unique=True).map(sorted),
)
def test_every_number_is_in_exactly_the_band_that_its_name_says(ages, bands):
    for age, group in zip(ages, groups({"age": ages}, {"column": "age", "bands": bands}), strict=True):
        passed = sum(age >= bound for bound in bands)
        assert group == band_names(bands)[passed]


def test_one_band_makes_two_groups():
    assert groups({"age": [39, 40]}, {"column": "age", "bands": [40]}) == ["under 40", "40 and over"]


@pytest.mark.parametrize("ages", [["20-30", "60+"], [True, False]], ids=["text", "yes/no"])
def test_bands_of_something_else_than_numbers_are_refused(ages):
    with pytest.raises(InputError, match="Expected numbers in 'age'"):
        groups({"age": ages}, AGE)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ({"column": "age", "bands": [62, 40]}, "ascend"),
        ({"column": "age", "bands": [40, 40]}, "ascend"),
        ({"column": "age", "bands": []}, "at least 1"),
        ({"bands": [40]}, "name a column"),
        ({"column": "age", "bands": [40], "values": {"old": 1}}, "with `column` alone"),
        ({"column": "age", "bands": [float("nan")]}, "finite"),
    ],
    ids=["descending", "twice", "none", "no column", "and values", "nan"],
)
def test_bands_that_cut_nothing_are_refused(written, reason):
    with pytest.raises(ValidationError, match=reason):
        Protected.model_validate(written)
