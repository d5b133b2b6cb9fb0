"""Drift: every number against scipy or Evidently's definition, and what must not matter does not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

from governance.errors import InputError
from governance.measures import drift
from governance.measures.drift import importance_drift, importance_psi, measure_drift, measure_prediction_drift

RANDOM = np.random.default_rng(7)
REFERENCE = pd.DataFrame(
    {
        "income": RANDOM.lognormal(3, 1, 4000),
        "age": RANDOM.integers(18, 80, 4000).astype(float),
        "kind": RANDOM.choice(["a", "b", "c"], 4000, p=[0.5, 0.3, 0.2]),
        "owner": RANDOM.random(4000) < 0.4,
    }
)
CURRENT = pd.DataFrame(
    {
        "income": RANDOM.lognormal(3.2, 1, 2500),
        "age": RANDOM.integers(18, 80, 2500).astype(float),
        "kind": RANDOM.choice(["a", "b", "d"], 2500, p=[0.5, 0.3, 0.2]),
        "owner": RANDOM.random(2500) < 0.4,
    }
)

numbers = st.lists(st.integers(-5, 5).map(float) | st.floats(-100, 100), min_size=1, max_size=40)


def value_of(measured, name: str, column: str | None = None):
    slice_ = {} if column is None else {"column": column}
    (found,) = [one for one in measured if one.name == f"drift.{name}" and one.slice == slice_]
    return found


def of(reference, current):
    return measure_drift(pd.DataFrame({"x": reference}), pd.DataFrame({"x": current}))


class TestNumbers:
    @given(numbers, numbers)
    def test_ks_and_wasserstein_are_scipys_with_ties_and_any_sizes(self, first, second) -> None:
        measured = of(first, second)
        assert value_of(measured, "ks", "x").value == pytest.approx(ks_2samp(first, second).statistic, abs=1e-12)
        expected = wasserstein_distance(first, second)
        assert value_of(measured, "wasserstein", "x").value == pytest.approx(expected, abs=1e-9)

    def test_psi_is_over_ten_bins_at_the_quantiles_of_the_reference(self) -> None:
        r, c = REFERENCE["income"], CURRENT["income"]
        edges = np.quantile(r, np.arange(1, 10) / 10)
        shares = [np.bincount(np.digitize(side, edges), minlength=10) / len(side) for side in (r, c)]
        expected = ((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()
        assert value_of(measure_drift(REFERENCE, CURRENT), "psi", "income").value == pytest.approx(expected)

    def test_an_empty_bin_counts_with_one_in_ten_thousand(self) -> None:
        reference = np.arange(100.0)
        current = np.arange(90.0)
        shares = np.full(10, 0.1), np.array([1 / 9] * 9 + [1e-4])
        expected = ((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()
        assert value_of(of(reference, current), "psi", "x").value == pytest.approx(expected)

    def test_jensen_shannon_is_scipys_distance_to_base_2_over_the_same_bins(self) -> None:
        r, c = REFERENCE["income"], CURRENT["income"]
        edges = np.quantile(r, np.arange(1, 10) / 10)
        counts = [np.bincount(np.digitize(side, edges), minlength=10) for side in (r, c)]
        found = value_of(measure_drift(REFERENCE, CURRENT), "jensen_shannon", "income").value
        assert found == pytest.approx(jensenshannon(*counts, base=2))

    def test_what_is_missing_is_a_bin_of_psi_and_no_value_of_ks(self) -> None:
        some = np.where(np.arange(1000) % 4 == 0, np.nan, np.arange(1000.0))
        measured = of(np.arange(1000.0), some)
        assert value_of(measured, "missing_change", "x").value == 0.25
        assert value_of(measured, "psi", "x").value > 1
        assert value_of(measured, "ks", "x").n == 750
        assert value_of(measured, "ks", "x").value == pytest.approx(
            ks_2samp(np.arange(1000.0), some[~np.isnan(some)]).statistic
        )

    def test_infinite_values_are_values_at_the_ends(self) -> None:
        measured = of([1.0, 2.0, np.inf], [1.0, 2.0, -np.inf])
        assert value_of(measured, "ks", "x").value == pytest.approx(1 / 3)
        assert value_of(measured, "wasserstein", "x").value is None

    def test_a_column_that_is_never_recorded_has_no_distance_and_says_so(self) -> None:
        found = value_of(of([1.0, 2.0], [np.nan, np.nan]), "ks", "x")
        assert (found.value, found.reason) == (None, "it is never recorded in the current data")

    def test_a_constant_column_that_stays_is_no_drift(self) -> None:
        measured = of(np.ones(50), np.ones(80))
        assert {value_of(measured, name, "x").value for name in ("psi", "ks", "wasserstein", "jensen_shannon")} == {0.0}


class TestValues:
    def test_chi_square_is_scipys_without_correction(self) -> None:
        table = pd.crosstab(
            np.r_[np.zeros(4000), np.ones(2500)], pd.concat([REFERENCE["kind"], CURRENT["kind"]]).to_numpy()
        )
        expected = chi2_contingency(table, correction=False).statistic
        assert value_of(measure_drift(REFERENCE, CURRENT), "chi_square", "kind").value == pytest.approx(expected)

    def test_a_value_that_is_new_counts(self) -> None:
        assert value_of(of(["a"] * 90 + ["b"] * 10, ["a"] * 90 + ["c"] * 10), "psi", "x").value > 1

    def test_yes_and_no_are_counted_by_value(self) -> None:
        names = {one.name for one in measure_drift(REFERENCE, CURRENT) if one.slice == {"column": "owner"}}
        assert "drift.chi_square" in names
        assert "drift.ks" not in names


class TestTheWhole:
    def test_only_what_moved_by_more_than_chance_and_by_more_than_a_little_has_drifted(self) -> None:
        measured = measure_drift(REFERENCE, CURRENT)
        # kind has a new value; income moved significantly, but its PSI is below 0.2; age and owner did not move.
        assert value_of(measured, "psi", "income").value < 0.2
        assert value_of(measured, "share_drifted").value == 0.25

    def test_without_drift_nearly_no_set_of_25_columns_has_a_drifted_one(self) -> None:
        random = np.random.default_rng(3)
        alarms = 0
        for _ in range(60):
            sides = [pd.DataFrame(random.normal(size=(n, 25))) for n in (2000, 60)]
            alarms += value_of(measure_drift(*sides), "share_drifted").value > 0
        assert alarms <= 9  # 5 % of 60 are 3; a right procedure gives more than 9 once in 500 such tests

    def test_the_largest_is_that_of_the_worst_column_with_its_interval(self) -> None:
        measured = measure_drift(REFERENCE, CURRENT)
        worst = max((one for one in measured if one.name == "drift.ks"), key=lambda one: one.value)
        found = value_of(measured, "largest_ks")
        assert (found.value, found.low, found.high) == (worst.value, worst.low, worst.high)

    def test_a_column_without_a_distance_leaves_no_largest_one(self) -> None:
        found = value_of(of([1.0], [np.nan]), "largest_ks")
        assert found.value is None
        assert "x: it is never recorded" in found.reason

    @settings(max_examples=20)
    @given(st.randoms(use_true_random=False))
    def test_the_order_of_rows_does_not_matter(self, random) -> None:
        shuffled = [side.sample(frac=1, random_state=random.randrange(2**31)) for side in (REFERENCE, CURRENT)]
        assert measure_drift(*shuffled) == measure_drift(REFERENCE, CURRENT)

    def test_names_of_values_do_not_matter(self) -> None:
        other = {"a": "z", "b": "a", "c": "m", "d": "b"}
        renamed = [side.assign(kind=side["kind"].map(other)) for side in (REFERENCE, CURRENT)]
        before, after = measure_drift(REFERENCE, CURRENT), measure_drift(*renamed)
        assert [one.value for one in after] == pytest.approx([one.value for one in before])
        assert [one.low for one in after] == [one.low for one in before]

    @pytest.mark.parametrize(
        ("reference", "current", "said"),
        [
            (REFERENCE.iloc[:0], CURRENT, "0 and 2500 rows"),
            (REFERENCE, pd.DataFrame({"other": [1]}), "0 columns in common"),
            (REFERENCE, CURRENT.assign(kind=1.0), "column 'kind' to be of one kind on both sides"),
        ],
    )
    def test_what_cannot_be_compared_is_refused(self, reference, current, said) -> None:
        with pytest.raises(InputError, match=said):
            measure_drift(reference, current)

    @pytest.mark.parametrize("shift", [0.0, 0.4])
    def test_intervals_of_ks_hold_the_truth(self, shift: float) -> None:
        from scipy.stats import norm

        truth = 2 * norm.cdf(shift / 2) - 1
        random = np.random.default_rng(11)
        held = 0
        for _ in range(100):
            found = value_of(of(random.normal(size=400), random.normal(shift, size=300)), "ks", "x")
            held += found.low <= truth <= found.high
        assert held >= 95


class TestPredictionsAndImportances:
    def test_scores_of_several_classes_count_by_their_answer(self) -> None:
        first, second = np.eye(3)[[0, 0, 1, 2]], np.eye(3)[[0, 1, 1, 2]]
        (found,) = measure_prediction_drift(first, second)
        shares = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.5, 0.25])
        expected = ((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()
        assert (found.name, found.value) == ("drift.prediction_psi", pytest.approx(expected))

    def test_one_score_has_psi_and_ks(self) -> None:
        first, second = RANDOM.random(500), RANDOM.random(300) ** 2
        names = {one.name: one.value for one in measure_prediction_drift(first, second)}
        assert names["drift.prediction_ks"] == pytest.approx(ks_2samp(first, second).statistic)
        assert set(names) == {"drift.prediction_ks", "drift.prediction_psi"}

    def test_importances_are_compared_as_shares_and_a_feature_of_one_side_counts(self) -> None:
        assert importance_psi({"a": 2, "b": 2}, {"a": 1, "b": 1}).value == 0
        assert importance_psi({"a": 1}, {"b": 1}).value == pytest.approx(2 * (1 - 1e-4) * np.log(1e4))

    @pytest.mark.parametrize("bad", [{}, {"a": float("nan")}, {"a": -1.0}, {"a": 0.0}])
    def test_importances_that_are_no_shares_have_no_drift(self, bad) -> None:
        assert importance_psi(bad, {"a": 1.0}).value is None

    def test_without_a_champion_it_does_not_apply_and_with_unmeasured_importances_it_is_missing(self) -> None:
        assert importance_drift(None, {"a": 1.0}).reason.startswith("not applicable: no champion")
        assert not importance_drift({"a": 1.0}, {"a": None}).reason.startswith("not applicable")
        assert all(one.reason == drift.NO_CHAMPION for one in drift.no_champion())
