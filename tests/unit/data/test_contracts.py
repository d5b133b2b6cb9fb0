"""What data must look like: the loan contract on real and on broken data, and contracts in general."""

import json
import os
import socket

import numpy as np
import pandas as pd
import pytest
import yaml

from governance.canonical import digest_of_bytes
from governance.data import contract_words
from governance.data.contracts import ContractResult, feature_bounds, run_contract
from governance.errors import InputError

FACTORS = [12, 1 / 12]
"""The smallest change of unit that somebody makes: months and years. Hundreds and thousands are further out."""


def refuse_to_connect(*_):
    raise AssertionError("a contract needs no network")


@pytest.fixture(scope="module")
def checked(_loan_frame, loan_contract, tmp_path_factory):
    """The contract on the real data, in an empty folder and without a network."""
    here = os.getcwd()
    folder = tmp_path_factory.mktemp("empty")
    os.chdir(folder)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket.socket, "connect", refuse_to_connect)
            result = run_contract(_loan_frame, loan_contract)
    finally:
        os.chdir(here)
    return result, list(folder.iterdir())


def unmet(result):
    return {(one.subject, one.type.removeprefix("expect_")) for one in result.unmet() if one.blocks}


def write_contract(folder, *expectations, **suite):
    path = folder / "contract.json"
    path.write_text(json.dumps({"name": "any", "expectations": list(expectations), "meta": {}, **suite}))
    return path


def expectation(kind, severity="critical", **kwargs):
    return {"type": kind, "kwargs": kwargs, "severity": severity, "meta": {}}


# --- the loan contract ---------------------------------------------------------------------------------------------


def test_the_real_data_meet_their_contract(checked, loan_contract):
    result, _ = checked

    assert result.success
    assert [one.sentence for one in result.unmet()] == []
    assert result.rows == 1989
    assert result.digest == digest_of_bytes(loan_contract.read_bytes())
    assert len(result.failing_rows) == 0


def test_checking_leaves_no_files_behind(checked):
    _, files = checked

    assert files == []


def test_results_stand_in_the_order_of_the_file(checked, loan_contract):
    result, _ = checked
    written = json.loads(loan_contract.read_text())["expectations"]

    assert [one.type for one in result.expectations] == [one["type"] for one in written]
    assert [one.column for one in result.expectations] == [one["kwargs"].get("column") for one in written]


def test_every_column_has_a_type_and_a_word_on_missing_values_and_every_tolerance_a_reason(loan, loan_contract):
    written = json.loads(loan_contract.read_text())["expectations"]
    kinds = {column: {one["type"] for one in written if one["kwargs"].get("column") == column} for column in loan}

    for column, kind in kinds.items():
        assert any("type" in name for name in kind), column
        assert any("null" in name for name in kind), column
        assert len(kind) >= 3, column
    assert [one for one in written if "mostly" in one["kwargs"] and not one["meta"].get("notes")] == []


def break_everything(frame):
    """Break columns that have nothing to do with each other, each in its own way."""
    broken = frame.rename(columns={"gdlin": "guideline"})
    filled = ["min30", "male", "unit"]
    broken[filled] = broken[filled].fillna(0)
    broken["price"] = np.nan
    broken["bd"] = 0
    broken["approve"] = 1 - broken["approve"]
    broken.loc[[3, 4], ["black", "white"]] = 1
    broken.loc[5, "mortg"] = 9
    return broken


def test_filled_renamed_empty_constant_flipped_and_contradicting_columns_are_found_and_nothing_else(
    loan, loan_contract
):
    result = run_contract(break_everything(loan), loan_contract)

    assert not result.success
    assert {(subject, kind) for subject, kind in unmet(result) if subject != "gdlin"} == {
        ("table", "table_columns_to_match_set"),
        ("table", "compound_columns_to_be_unique"),
        ("min30", "column_proportion_of_non_null_values_to_be_between"),
        ("male", "column_proportion_of_non_null_values_to_be_between"),
        ("unit", "column_values_to_be_in_set"),
        ("price", "column_values_to_not_be_null"),
        ("price", "column_median_to_be_between"),
        ("bd", "column_mean_to_be_between"),
        ("approve", "column_mean_to_be_between"),
        ("approve, reject", "multicolumn_sum_to_equal"),
        ("black, hispan, white", "multicolumn_sum_to_equal"),
        ("mortg", "column_values_to_be_in_set"),
    }
    assert {
        "min30: expected a value in 85 % to 95 % of rows, found one in 100 % of rows",
        "table: expected the 59 columns of the contract, found no gdlin; guideline in addition",
        "gdlin: expected 0, 1 or 666, found no column gdlin",
        "price: expected a median of 85 to 320, found no values at all",
        "mortg: expected 1, 2, 3 or 4, found 1 of 1,989 values different (0.1 %)",
    } <= {one.sentence for one in result.unmet()}


@pytest.mark.parametrize("factor", FACTORS, ids=["larger", "smaller"])
def test_a_change_of_unit_is_found_in_every_amount(loan, loan_contract, tmp_path, factor):
    amounts = [name for name in loan if loan[name].nunique() > 13] + ["unem"]
    assert len(amounts) == 16
    of_amounts = [
        one for one in json.loads(loan_contract.read_text())["expectations"] if one["kwargs"].get("column") in amounts
    ]
    shifted = loan[amounts] * factor

    result = run_contract(shifted, write_contract(tmp_path, *of_amounts))

    found = {subject for subject, kind in unmet(result) if "type" not in kind}
    assert found == set(amounts)


# --- results -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A contract of which something fails in each way."""
    frame = pd.DataFrame({"age": [5, -1, 200, 7] + [30] * 46, "name": ["x"] * 50}, index=range(100, 150))
    contract = write_contract(
        tmp_path_factory.mktemp("small"),
        expectation("expect_column_values_to_be_between", column="age", min_value=0, max_value=120),
        expectation("expect_column_values_to_be_in_set", "warning", column="name", value_set=["y"]),
        expectation("expect_column_values_to_be_between", column="age", min_value=0, max_value=120, mostly=0.9),
        expectation("expect_column_median_to_be_between", column="name", min_value=0, max_value=1),
        expectation("expect_column_max_to_be_between", column="age", max_value=120),
    )
    return run_contract(frame, contract)


def test_failing_rows_are_given_by_their_position_from_0(small):
    assert small.expectations[0].rows == (1, 2)
    assert small.expectations[0].unexpected_count == 2
    assert small.expectations[0].unexpected_percent == 4.0
    assert small.failing_rows.loc[0]["age"].to_dict() == {1: -1, 2: 200}


def test_at_most_twenty_rows_of_an_expectation_are_kept(small):
    assert small.expectations[1].rows == tuple(range(20))
    assert small.expectations[1].unexpected_count == 50


def test_what_is_tolerated_is_counted_but_kept_no_rows_of(small):
    assert small.expectations[2].success
    assert small.expectations[2].unexpected_count == 2
    assert small.expectations[2].rows == ()


def test_what_could_not_be_evaluated_has_failed(small):
    assert not small.expectations[3].success
    assert small.expectations[3].found == "that it could not be checked"


def test_a_warning_is_recorded_and_does_not_block(small):
    assert not small.expectations[1].success
    assert not small.expectations[1].blocks
    assert [one.severity for one in small.unmet()] == ["critical"] * 3 + ["warning"]


def test_the_json_form_and_the_sentences_hold_no_value_of_a_row(small):
    text = json.dumps(small.to_dict()) + " ".join(one.sentence for one in small.expectations)

    assert "200" not in text
    assert "-1" not in text


def test_only_critical_expectations_decide_about_success(small):
    tolerant = [one for one in small.expectations if not one.blocks]

    assert not small.success
    assert isinstance(small, ContractResult)
    assert [one.success for one in tolerant] == [False, True]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Cannot read"),
        ("[]", "expected a list of expectations"),
        ('{"expectations": []}', "must demand something"),
        ('{"expectations": [{"type": "expect_x"}]}', "expectation 1: expected type"),
        ('{"expectations": [{"type": "x", "kwargs": {}, "severity": "fatal"}]}', "found 'fatal'"),
        ('{"expectations": [{"type": "expect_nonsense", "kwargs": {}}]}', "does not know 'expect_nonsense'"),
        (
            '{"expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "a", "colour": 1}}]}',
            "not a suite that Great Expectations understands",
        ),
    ],
    ids=lambda value: None if value.startswith(("{", "[")) else value,
)
def test_a_contract_that_would_check_less_than_it_says_is_an_error(tmp_path, content, message):
    path = tmp_path / "contract.json"
    path.write_text(content)

    with pytest.raises(InputError, match=message):
        run_contract(pd.DataFrame({"a": [1]}), path)


def test_nothing_is_printed(tmp_path, capfd):
    path = write_contract(tmp_path, expectation("expect_column_values_to_not_be_null", column="a"))

    run_contract(pd.DataFrame({"a": [1]}), path)

    assert capfd.readouterr() == ("", "")


# --- bounds for the scoring service --------------------------------------------------------------------------------


def test_every_real_applicant_is_within_the_bounds_of_a_request(loan, loan_contract):
    features = list(yaml.safe_load((loan_contract.parent / "model.yaml").read_text())["features"])

    bounds = feature_bounds(loan_contract, features)

    assert list(bounds) == features
    for name, bound in bounds.items():
        values = loan[name].dropna()
        assert bound["nullable"] or not loan[name].isna().any(), name
        assert bound["type"] == str(loan[name].dtype), name
        if bound["allowed"] is None:
            assert values.between(bound["minimum"], bound["maximum"]).all(), name
        else:
            assert values.isin(bound["allowed"]).all(), name


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ("unit", {"type": "float64", "minimum": None, "maximum": None, "allowed": [1, 2, 3, 4], "nullable": True}),
        ("gdlin", {"type": "int64", "minimum": None, "maximum": None, "allowed": [0, 1, 666], "nullable": False}),
        ("min30", {"type": "float64", "minimum": None, "maximum": None, "allowed": [0, 1], "nullable": True}),
        ("loanprc", {"type": "float64", "minimum": 0.005, "maximum": 5, "allowed": None, "nullable": False}),
    ],
)
def test_bounds_are_what_holds_for_every_row(loan_contract, feature, expected):
    assert feature_bounds(loan_contract, [feature]) == {feature: expected}


def test_bounds_of_several_expectations_are_the_tightest(tmp_path):
    path = write_contract(
        tmp_path,
        expectation("expect_column_values_to_be_of_type", column="a", type_="int64"),
        expectation("expect_column_values_to_be_between", column="a", min_value=0, max_value=9),
        expectation("expect_column_values_to_be_between", column="a", min_value=2),
        expectation("expect_column_values_to_be_between", "warning", column="a", max_value=3),
        expectation("expect_column_values_to_be_in_set", column="a", value_set=[1, 2, 3]),
        expectation("expect_column_values_to_be_in_set", column="a", value_set=[2, 3, 4]),
    )

    assert feature_bounds(path, ["a"]) == {
        "a": {"type": "int64", "minimum": 2, "maximum": 9, "allowed": [2, 3], "nullable": True}
    }


def test_a_feature_without_a_type_in_the_contract_is_an_error(tmp_path):
    path = write_contract(tmp_path, expectation("expect_column_values_to_not_be_null", column="a"))

    with pytest.raises(InputError, match="nothing of the type of feature 'b'"):
        feature_bounds(path, ["b"])


def test_strict_bounds_are_refused_since_a_request_could_not_be_checked_against_them(tmp_path):
    path = write_contract(
        tmp_path,
        expectation("expect_column_values_to_be_between", column="a", min_value=0, strict_min=True),
    )

    with pytest.raises(InputError, match="allowed themselves"):
        feature_bounds(path, ["a"])


# --- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "kwargs", "words"),
    [
        ("expect_column_values_to_be_between", {"min_value": 1, "max_value": 2000}, "values from 1 to 2,000"),
        ("expect_column_values_to_be_between", {"min_value": 1.5}, "values of at least 1.5"),
        (
            "expect_column_values_to_be_between",
            {"max_value": 999999.375, "mostly": 0.995},
            "values of at most 999999.375 in at least 99.5 % of rows",
        ),
        ("expect_column_values_to_be_in_set", {"value_set": [1120]}, "1120"),
        ("expect_column_values_to_not_be_null", {"mostly": 0.98}, "a value in at least 98 % of rows"),
        (
            "expect_compound_columns_to_be_unique",
            {"column_list": ["a", "b"], "mostly": 0.99},
            "at most 1 % of rows alike",
        ),
        ("expect_column_median_to_be_between", {"min_value": 1, "max_value": 1}, "a median of 1"),
        (
            "expect_column_values_to_match_regex",
            {"column": "a", "regex": "^x"},
            "column values to match regex (regex ^x)",
        ),
    ],
)
def test_an_expectation_reads_as_words(kind, kwargs, words):
    assert contract_words.expected(kind, kwargs) == words
