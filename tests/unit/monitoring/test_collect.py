"""What of a contract a window breaks, and what may be chance in a small one."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from governance.data.contracts import run_contract
from governance.errors import InputError
from governance.monitoring import collect
from governance.monitoring.contract import may_be_chance, without_chance
from governance.predictions.reading import Logged


def demand(kind, column, **kwargs):
    return {"type": f"expect_{kind}", "kwargs": {"column": column, **kwargs}, "severity": "critical"}


@pytest.fixture
def contract(tmp_path):
    path = tmp_path / "contract.json"
    demands = [
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 5000}, "severity": "critical"},
        demand("column_mean_to_be_between", "income", min_value=0, max_value=1),
        demand("column_values_to_not_be_null", "income", mostly=0.95),
        demand("column_values_to_be_between", "income", min_value=0, max_value=100),
        demand("column_proportion_of_non_null_values_to_be_between", "tract", min_value=0.85, max_value=0.95),
        demand("column_values_to_not_be_null", "label"),
    ]
    path.write_text(json.dumps({"name": "it", "expectations": demands}))
    return path


def window(rows, missing=0, tract=0.1):
    income = np.full(rows, 50.0)
    income[:missing] = np.nan
    known = np.ones(rows)
    known[: round(rows * tract)] = np.nan
    return pd.DataFrame({"income": income, "tract": known})


def faults(frame, contract):
    result = run_contract(frame, contract, values_of=["income", "tract"])
    return {one.subject for one in result.unmet() if not may_be_chance(one, frame)}


def test_demands_on_a_delivery_as_a_whole_are_not_made_of_a_window(contract):
    assert faults(window(200), contract) == set()


@pytest.mark.parametrize(
    ("rows", "missing", "broken"), [(10, 1, False), (40, 3, False), (1000, 80, True), (40, 20, True)]
)
def test_a_share_beyond_what_is_tolerated_counts_where_it_is_more_than_chance(contract, rows, missing, broken):
    assert ("income" in faults(window(rows, missing), contract)) is broken


@pytest.mark.parametrize(("tract", "broken"), [(0.1, False), (0.0, True), (0.5, True)])
def test_a_share_of_missing_values_may_be_too_small_as_well_as_too_large(contract, tract, broken):
    assert ("tract" in faults(window(1000, tract=tract), contract)) is broken


def test_in_a_small_window_it_may_be_chance(contract):
    assert faults(window(12, tract=0.0), contract) == set()


def test_one_value_that_may_never_be_is_a_fault_in_any_window(contract):
    frame = window(10)
    frame.loc[3, "income"] = 250.0
    assert faults(frame, contract) == {"income"}


def test_a_column_that_did_not_arrive_at_all_is_a_fault(contract):
    assert "income" in faults(window(200).drop(columns="income"), contract)


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([1.0, 2.0], "int64", "int64"),
        ([1.0, None], "int64", "float64"),
        ([1.5, 2.0], "int64", "float64"),
        ([1, 2], "float64", "float64"),
        ([0, 1], "bool", "bool"),
        (["a", "b"], "float64", "object"),
        (["2026-03-01T00:00:00", None], "timestamp", "datetime64[ns, UTC]"),
    ],
)
def test_numbers_of_a_request_become_what_the_contract_names_or_stay_as_they_are(values, kind, found):
    assert str(collect._typed(pd.Series(values), kind).dtype) == found


def test_a_feature_may_be_called_whatever_it_is_called():
    """The loan model has one called `self`: whether the applicant is self-employed."""
    names = ["self", "cls", "other", "index"]
    rows = pd.DataFrame({"at": [1, 2], "request_id": "r", "row": [0, 1], "prediction": [1, 0], "score": [0.9, 0.1]})
    features = pd.DataFrame({name: [0.0, 1.0] for name in names})
    logged = Logged(rows, features, pd.Series([1, None]), pd.DataFrame({"sex": ["f", "m"]}), 0, (), pd.DataFrame())

    frame = collect._frame(logged, rows.index, dict.fromkeys(names, "int64"))

    assert [str(frame[name].dtype) for name in names] == ["int64"] * 4
    assert frame["self"].tolist() == [0, 1]
    assert features["self"].dtype == "float64"  # what was read stays as it was


def test_a_cut_off_far_ahead_is_refused_and_one_that_has_passed_is_not_waited_for():
    collect.await_cut_off(datetime.now(UTC) - timedelta(days=1))
    with pytest.raises(InputError, match="A window is looked at when it is over"):
        collect.await_cut_off(datetime.now(UTC) + timedelta(hours=1))


def test_what_may_be_chance_is_on_no_page_of_failing_rows(contract):
    frame = window(40, missing=3)
    frame.loc[7, "income"] = 250.0
    whole = run_contract(frame, contract, values_of=["income", "tract"])
    assert {row for _, row in whole.failing_rows.index} > {7}

    found = without_chance(whole, frame)

    assert [one.column for one in found.unmet()] == ["income"]
    assert {row for _, row in found.failing_rows.index} == {7}
    assert not found.success
