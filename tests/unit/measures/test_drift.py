"""Drift: every number against scipy or Evidently's definition, and what must not matter does not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp, norm, wasserstein_distance

from governance.errors import InputError
from governance.measures import drift
from governance.measures.drift import importance_drift, importance_psi, measure_drift, measure_prediction_drift
from governance.measures.intervals import wilson

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
        expected = ks_2samp(first, second, method="asymp").statistic
        assert value_of(measured, "ks", "x").value == pytest.approx(expected, abs=1e-12)
        expected = wasserstein_distance(first, second)
        assert value_of(measured, "wasserstein", "x").value == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize(("m", "n"), [(1000, 1000), (1000, 37), (999, 4001), (64, 65)])
    @pytest.mark.parametrize("digits", [1, 9])
    @pytest.mark.parametrize("shift", [0, 0.3, 9])
    def test_so_they_are_on_larger_samples(self, m: int, n: int, digits: int, shift: float) -> None:
        random = np.random.default_rng(m + n)
        first, second = random.normal(size=m).round(digits), random.normal(shift, 1.2, n).round(digits)
        for one, other in ((first, second), (second, first)):
            measured = of(one, other)
            expected = ks_2samp(one, other, method="asymp").statistic
            assert value_of(measured, "ks", "x").value == pytest.approx(expected, abs=1e-12)
            assert value_of(measured, "wasserstein", "x").value == pytest.approx(wasserstein_distance(one, other))

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

    @pytest.mark.parametrize(("before", "now"), [(0.05, 0.5), (0.95, 0.5), (0.5, 0.05), (0.0, 1.0), (1.0, 0.0)])
    def test_numbers_that_only_say_yes_or_no_are_counted_by_value(self, before: float, now: float) -> None:
        sides = [(np.arange(1000) < 1000 * share).astype(float) for share in (before, now)]
        r, c = np.maximum([1 - before, before], 1e-4), np.maximum([1 - now, now], 1e-4)
        assert value_of(of(*sides), "psi", "x").value == pytest.approx(((c - r) * np.log(c / r)).sum())
        assert value_of(of(*sides), "share_drifted").value == 1

    def test_numbers_of_few_values_have_evidentlys_psi(self) -> None:
        from evidently.legacy.calculations.stattests.psi import _psi
        from evidently.legacy.core import ColumnType

        shares = np.arange(1, 9) / 36
        r, c = (pd.Series(RANDOM.choice(8.0 + np.arange(8), 3000, p=side)) for side in (shares, shares[::-1]))
        expected, _ = _psi(r, c, ColumnType.Numerical, 0.1)
        assert value_of(of(r, c), "psi", "x").value == pytest.approx(expected)

    @pytest.mark.parametrize(
        "written",
        [
            lambda values: values.astype(np.float32).astype(float),
            lambda values: np.nextafter(values, np.inf),
            lambda values: np.nextafter(values, -np.inf),
            lambda values: (values + 0.1) + 0.2 - 0.3,
            lambda values: np.where(RANDOM.random(values.size) < 0.5, values, np.nextafter(values, np.inf)),
        ],
        ids=["in 32 bits", "a bit more", "a bit less", "computed otherwise", "some of them"],
    )
    def test_a_number_that_differs_in_its_last_digit_is_the_same_one(self, written) -> None:
        values = RANDOM.choice([0.0, 0.1, 0.3, 1 / 3, 7.7, 123.456], 2000)
        for sides in ((values, written(values)), (written(values), values)):
            assert value_of(of(*sides), "psi", "x").value < 1e-9
            assert value_of(of(*sides), "share_drifted").value == 0

    def test_so_is_one_that_most_have_among_others(self) -> None:
        values = np.where(RANDOM.random(2000) < 0.5, 0.3, RANDOM.normal(size=2000))
        moved = np.where(values == 0.3, 0.1 + 0.2, values)
        assert value_of(of(values, moved), "psi", "x").value < 1e-9

    @pytest.mark.parametrize(
        "values", [[1e15, 1e15 + 1], [1.7e9, 1.7e9 + 1], [0.3, 0.3001], [1e-9, 2e-9], [-np.inf, np.inf]]
    )
    def test_numbers_that_are_really_others_are(self, values: list[float]) -> None:
        sides = [np.repeat(values, counts) for counts in ((900, 100), (100, 900))]
        assert value_of(of(*sides), "psi", "x").value > 1

    @pytest.mark.parametrize("value", [16_777_217.0, 1e9 + 50, 0.3001])
    def test_a_number_that_the_reference_lacks_is_none_of_its(self, value: float) -> None:
        reference = np.repeat([0.3, 16_777_216.0, 1e9], 100)
        assert value_of(of(reference, np.full(300, value)), "psi", "x").value > 1

    @pytest.mark.parametrize("others", [np.linspace(0.5, 1, 60), np.linspace(-1, -0.5, 60)], ids=["above", "below"])
    def test_one_value_that_most_have_does_not_hide_where_the_others_go(self, others) -> None:
        often = np.r_[np.zeros(940), others]
        rarely = np.r_[np.zeros(500), np.resize(others, 500)]
        assert value_of(of(often, rarely), "psi", "x").value > 0.5

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

    def test_a_column_that_is_only_recorded_less_often_has_drifted(self) -> None:
        full = RANDOM.normal(size=1000)
        assert value_of(of(full, np.where(np.arange(1000) % 3, full, np.nan)), "share_drifted").value == 1

    def test_yes_and_no_with_something_missing_are_the_numbers_that_they_are_kept_as(self) -> None:
        assert value_of(of([True, False] * 50, [1.0, 0.0] * 50), "psi", "x").value == 0
        assert value_of(of([True, False] * 50, [1.0, np.nan] * 50), "missing_change", "x").value == 0.5

    def test_times_are_numbers_in_seconds_whatever_they_count_in(self) -> None:
        days = pd.Series(pd.date_range("2024-01-01", periods=100, tz="UTC"))
        later = (days + pd.Timedelta(days=2)).astype("datetime64[us, UTC]")
        assert value_of(of(days, later), "wasserstein", "x").value == pytest.approx(2 * 86400)
        assert value_of(of(days, later.where(later.index != 3)), "missing_change", "x").value == 0.01

    def test_the_same_moment_is_the_same_number_whatever_it_is_counted_in(self) -> None:
        days = pd.Series(pd.date_range("1999-01-01 00:00:00.123457", periods=2000, freq="17h3min1us", tz="UTC"))
        for unit in ("ms", "us", "ns"):
            whole = days.dt.floor("ms").astype(f"datetime64[{unit}, UTC]")
            assert value_of(of(days.dt.floor("ms"), whole), "ks", "x").value == 0
        assert value_of(of(days, days.astype("datetime64[us, UTC]")), "ks", "x").value == 0
        assert value_of(of(days, days + pd.Timedelta(nanoseconds=900)), "ks", "x").value > 0

    def test_a_date_that_means_never_is_a_date(self) -> None:
        ever = pd.Series(["2024-01-01", "9999-12-31"], dtype="datetime64[us]")
        assert value_of(of(ever, ever[1:]), "ks", "x").value == 0.5

    def test_infinite_values_are_values_at_the_ends(self) -> None:
        measured = of([1.0, 2.0, np.inf], [1.0, 2.0, -np.inf])
        assert value_of(measured, "ks", "x").value == pytest.approx(1 / 3)
        assert value_of(measured, "psi", "x").value > 1
        many = np.r_[np.full(30, -np.inf), np.arange(40), np.full(30, np.inf)]
        assert value_of(of(many, many[::-1]), "psi", "x").value == 0
        assert value_of(of(many, np.maximum(many, -1)), "psi", "x").value > 1
        assert value_of(measured, "wasserstein", "x").reason == "a value is infinite, and so is every distance to it"

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

    def test_text_that_is_never_the_same_twice_has_not_drifted_by_its_values(self) -> None:
        """More values than are told apart: which of the rare ones are must not depend on their side."""
        sides = [pd.DataFrame({"x": [f"{side} {number}" for number in range(1500)]}) for side in ("then", "now")]
        measured = measure_drift(*sides)
        assert value_of(measured, "psi", "x").value == 0
        assert value_of(measured, "p_value", "x").value == 1
        assert value_of(measured, "new_categories", "x").value == 1

    def test_of_many_values_the_common_ones_are_told_apart(self) -> None:
        rare = [[f"{side} {number}" for number in range(900)] for side in ("then", "now")]
        sides = [
            pd.DataFrame({"x": [*few, *["often"] * often, *["seldom"] * (1000 - often)]})
            for few, often in zip(rare, (900, 500), strict=True)
        ]
        assert value_of(measure_drift(*sides), "psi", "x").value > 0.2

    def test_what_is_missing_is_a_value(self) -> None:
        sides = [["a"] * 60 + [None] * 40, ["a"] * 80 + [None] * 20]
        expected = chi2_contingency([[60, 40], [80, 20]], correction=False).statistic
        assert value_of(of(*sides), "chi_square", "x").value == pytest.approx(expected)

    def test_a_value_that_is_new_counts(self) -> None:
        assert value_of(of(["a"] * 90 + ["b"] * 10, ["a"] * 90 + ["c"] * 10), "psi", "x").value > 1

    def test_yes_and_no_are_counted_by_value(self) -> None:
        names = {one.name for one in measure_drift(REFERENCE, CURRENT) if one.slice == {"column": "owner"}}
        assert "drift.chi_square" in names
        assert "drift.ks" not in names


class TestWhatTheReferenceNeverHad:
    def test_new_categories_are_rows_whose_value_the_reference_lacks(self) -> None:
        found = value_of(of(["a"] * 50 + ["b"] * 50, ["a"] * 70 + ["c"] * 20 + ["d"] * 10), "new_categories", "x")
        assert (found.value, found.n, found.low, found.high) == (0.3, 100, *wilson(30, 100))

    def test_what_is_missing_is_no_category(self) -> None:
        found = value_of(of(["a"] * 50, ["a"] * 30 + ["c"] * 10 + [None] * 60), "new_categories", "x")
        assert (found.value, found.n) == (0.25, 40)

    def test_new_values_count_also_where_too_many_are_told_apart(self) -> None:
        many = [f"value {number}" for number in range(3000)]
        assert value_of(of(many, many[1000:] + ["new"] * 500), "new_categories", "x").value == 0.2

    @pytest.mark.parametrize(
        ("reference", "current", "side"),
        [([None, None], ["a", "b"], "the reference"), (["a", "b"], [None, None], "the current data")],
    )
    def test_without_a_value_on_one_side_there_is_nothing_new_to_find(self, reference, current, side) -> None:
        found = value_of(of(reference, current), "new_categories", "x")
        assert (found.value, found.reason) == (None, f"it is never recorded in {side}")

    @given(numbers, numbers)
    def test_out_of_range_are_numbers_beyond_both_ends_of_the_reference(self, first, second) -> None:
        found = value_of(of(first, second), "out_of_range", "x")
        outside = sum(not min(first) <= one <= max(first) for one in second)
        assert (found.value, found.n) == (outside / len(second), len(second))
        assert (found.low, found.high) == wilson(outside, len(second))

    def test_infinite_numbers_are_out_of_a_finite_range_and_missing_ones_are_not(self) -> None:
        assert value_of(of([1.0, 2.0], [np.inf, -np.inf, 1.5, np.nan]), "out_of_range", "x").value == 2 / 3
        assert value_of(of([1.0, np.inf], [np.inf, 5.0]), "out_of_range", "x").value == 0


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

    @pytest.mark.parametrize("name", ["psi", "ks"])
    def test_the_largest_is_that_of_the_worst_column_with_an_interval_for_all(self, name: str) -> None:
        measured = measure_drift(REFERENCE, CURRENT)
        worst = max((one for one in measured if one.name == f"drift.{name}"), key=lambda one: one.value)
        found = value_of(measured, f"largest_{name}")
        assert found.value == worst.value
        assert found.low < worst.low < worst.value < worst.high < found.high

    def test_a_column_without_a_distance_leaves_no_largest_one(self) -> None:
        found = value_of(of([1.0] * 30, [np.nan] * 30), "largest_ks")
        assert found.value is None
        assert "x: it is never recorded" in found.reason

    def test_a_column_that_nobody_ever_recorded_does_not_drift(self) -> None:
        measured = of([np.nan] * 30, [np.nan] * 40)
        assert [value_of(measured, f"largest_{name}").value for name in ("psi", "ks")] == [0, 0]

    def test_a_column_that_is_gone_leaves_nothing_to_say_of_the_whole(self) -> None:
        measured = measure_drift(REFERENCE, CURRENT.drop(columns="age"))
        assert value_of(measured, "psi", "age").reason == "the current data lack it"
        for name in ("share_drifted", "largest_psi", "largest_ks"):
            assert value_of(measured, name).value is None
        assert measure_drift(REFERENCE.drop(columns="age"), CURRENT) == measure_drift(
            REFERENCE.drop(columns="age"), CURRENT.drop(columns="age")
        )

    @pytest.mark.parametrize(("m", "n", "few"), [(29, 500, "the reference has 29"), (500, 29, "current data have 29")])
    def test_few_rows_are_reported_column_by_column_and_not_enough_for_the_whole(self, m, n, few) -> None:
        measured = of(np.arange(m), np.arange(n))
        assert value_of(measured, "ks", "x").value is not None
        for name in ("share_drifted", "largest_psi", "largest_ks"):
            assert value_of(measured, name).reason.startswith("not enough data: ")
            assert few in value_of(measured, name).reason
        sides = (pd.DataFrame({"x": np.arange(size)}) for size in (m, n))
        assert value_of(measure_drift(*sides, minimum_n=29), "largest_ks").value is not None

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
            (REFERENCE, CURRENT.assign(owner="no"), "column 'owner' to be of one kind on both sides"),
            (REFERENCE, CURRENT.assign(age=pd.Timestamp(0)), "column 'age' to be of one kind on both sides"),
        ],
    )
    def test_what_cannot_be_compared_is_refused(self, reference, current, said) -> None:
        with pytest.raises(InputError, match=said):
            measure_drift(reference, current)

    @pytest.mark.parametrize("shift", [0.0, 0.4])
    def test_intervals_of_ks_hold_the_truth(self, shift: float) -> None:
        truth = 2 * norm.cdf(shift / 2) - 1
        random = np.random.default_rng(11)
        held = 0
        for _ in range(100):
            found = value_of(of(random.normal(size=400), random.normal(shift, size=300)), "ks", "x")
            held += found.low <= truth <= found.high
        assert held >= 95

    @pytest.mark.parametrize(
        ("name", "of_shares", "scale"),
        [
            ("psi", lambda r, c: ((c - r) * np.log(c / r)).sum(), 1),
            ("jensen_shannon", lambda r, c: jensenshannon(r, c, base=2) ** 2, 1 / (8 * np.log(2))),
        ],
    )
    def test_their_intervals_are_those_of_the_delta_method_less_what_chance_adds(self, name, of_shares, scale) -> None:
        counts = np.array([[120, 60, 20], [30, 40, 30]])
        sizes, shares = counts.sum(1), counts / counts.sum(1, keepdims=True)
        variance = 0.0
        for side in (0, 1):
            step = 1e-6
            moved = [shares.copy() for _ in range(3)]
            for bin_ in range(3):
                moved[bin_][side, bin_] += step
            slopes = np.array([(of_shares(*each) - of_shares(*shares)) / step for each in moved])
            spread = (shares[side] * slopes**2).sum() - (shares[side] * slopes).sum() ** 2
            variance += spread / sizes[side]
        chance = 2 * scale * (1 / sizes).sum()
        half = norm.ppf(0.975) * np.sqrt(variance + chance**2)
        expected = np.array([of_shares(*shares) - chance - half, of_shares(*shares) - chance + half])

        found = value_of(of(*(np.repeat(list("abc"), side) for side in counts)), name, "x")

        ends = np.array([found.low, found.high]) ** (2 if name == "jensen_shannon" else 1)
        assert ends == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize("tilt", [0.0, 0.3, 0.7])
    def test_intervals_of_psi_and_jensen_shannon_hold_the_truth_which_the_values_exceed(self, tilt: float) -> None:
        r = np.full(8, 1 / 8)
        c = r * np.exp(tilt * np.linspace(-1, 1, 8))
        c /= c.sum()
        truth = {"psi": ((c - r) * np.log(c / r)).sum(), "jensen_shannon": jensenshannon(r, c, base=2)}
        random = np.random.default_rng(13)
        held, values = dict.fromkeys(truth, 0), {name: [] for name in truth}
        for _ in range(200):
            measured = of(*(random.choice(list("abcdefgh"), size=500, p=side) for side in (r, c)))
            for name, true in truth.items():
                found = value_of(measured, name, "x")
                held[name] += found.low <= true <= found.high
                values[name].append(found.value)
        assert min(held.values()) >= 183  # of 200 at 95 %, less happens once in two hundred
        assert all(np.mean(values[name]) > true for name, true in truth.items())


class TestPredictionsAndImportances:
    def test_scores_of_several_classes_count_by_their_answer(self) -> None:
        first, second = np.eye(3)[[0, 0, 1, 2] * 10], np.eye(3)[[0, 1, 1, 2] * 10]
        (found,) = measure_prediction_drift(first, second)
        shares = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.5, 0.25])
        expected = ((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()
        assert (found.name, found.value) == ("drift.prediction_psi", pytest.approx(expected))

    def test_one_score_has_psi_and_ks(self) -> None:
        first, second = RANDOM.random(500), RANDOM.random(300) ** 2
        names = {one.name: one.value for one in measure_prediction_drift(first, second)}
        assert names["drift.prediction_ks"] == pytest.approx(ks_2samp(first, second).statistic)
        assert set(names) == {"drift.prediction_ks", "drift.prediction_psi"}

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_a_score_that_is_no_number_leaves_no_drift_of_scores(self, bad: float) -> None:
        scores = RANDOM.random(100)
        for one in measure_prediction_drift(scores, np.append(scores, bad)):
            assert (one.value, one.reason) == (None, "a score is missing or infinite")

    def test_few_scores_are_not_enough(self) -> None:
        for one in measure_prediction_drift(RANDOM.random(100), RANDOM.random(12)):
            assert one.reason == "not enough data: the current data have 12 rows, and 30 are needed"

    def test_scores_of_other_classes_are_refused(self) -> None:
        with pytest.raises(InputError, match=r"shapes \(50, 3\) and \(50, 2\)"):
            measure_prediction_drift(np.ones((50, 3)), np.ones((50, 2)))

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
