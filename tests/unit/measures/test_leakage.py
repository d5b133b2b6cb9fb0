"""Leakage: what the features tell of who somebody is, of what came true, and of rows seen before."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, ncx2, spearmanr
from sklearn.metrics import roc_auc_score

from governance.errors import InputError
from governance.measures.leakage import measure_leakage

N = 1500
RANDOM = np.random.default_rng(5)
SEX = RANDOM.choice(["men", "women"], N)
HEIGHT = RANDOM.normal(np.where(SEX == "men", 178, 165), 7)
INCOME = RANDOM.normal(size=N)
LABEL = (INCOME + RANDOM.normal(size=N) > 0).astype(int)
TOWN = np.where(RANDOM.random(N) < 0.8, np.where(SEX == "men", "north", "south"), "west")
FEATURES = pd.DataFrame({"height": HEIGHT, "income": INCOME, "town": TOWN})


def measure(features=FEATURES, labels=LABEL, groups=None, **options):
    options = {"task": "binary_classification", **options}
    return measure_leakage(features, labels, {"sex": SEX} if groups is None else groups, **options)


def value_of(measured, name: str, **slice_: str):
    (found,) = [one for one in measured if one.name == f"leakage.{name}" and one.slice == slice_]
    return found


class TestProtectedAttributes:
    def test_what_the_features_know_is_found_and_what_they_do_not_is_not(self) -> None:
        assert value_of(measure(), "protected_auc", attribute="sex").low > 0.85
        blind = value_of(measure(FEATURES[["income"]]), "protected_auc", attribute="sex")
        assert blind.low < 0.5 < blind.high

    def test_the_proxy_is_named_with_its_strength(self) -> None:
        measured = measure()
        expected = abs(2 * roc_auc_score(SEX == "men", HEIGHT) - 1)
        found = value_of(measured, "proxy_strength", attribute="sex", feature="height")
        assert found.value == pytest.approx(expected)
        assert found.low <= found.value <= found.high
        assert value_of(measured, "strongest_proxy", attribute="sex").value == pytest.approx(
            max(one.value for one in measured if one.name == "leakage.proxy_strength")
        )

    def test_a_proxy_of_text_is_found_by_cramers_v_less_what_chance_adds(self) -> None:
        table = pd.crosstab(TOWN, SEX)
        statistic = chi2_contingency(table, correction=False).statistic
        rows = 3 - 2**2 / (N - 1)
        columns = 2 - 1**2 / (N - 1)
        expected = np.sqrt((statistic / N - 2 / (N - 1)) / (min(rows, columns) - 1))
        found = value_of(measure(), "proxy_strength", attribute="sex", feature="town")
        assert found.value == pytest.approx(expected)
        assert (ncx2.cdf(statistic, 2, found.low**2 * N * (columns - 1))) == pytest.approx(0.975)
        assert (ncx2.cdf(statistic, 2, found.high**2 * N * (columns - 1))) == pytest.approx(0.025)

    @pytest.mark.parametrize("share", [0.5, 0.65, 0.9])
    def test_the_interval_of_cramers_v_holds_the_truth(self, share: float) -> None:
        random = np.random.default_rng(19)
        held = 0
        for _ in range(100):
            group = random.random(300) < 0.5
            same = random.random(300) < share
            features = pd.DataFrame({"says": np.where(same == group, "yes", "no")})
            measured = measure_leakage(features, group * 1, {}, task="binary_classification")
            found = value_of(measured, "feature_target_strength", feature="says")
            held += found.low <= 2 * share - 1 <= found.high
            assert found.high > 0
        assert held >= 89  # of 100 at 95 %, less happens once in a hundred

    def test_of_several_groups_the_one_that_is_known_best_counts(self) -> None:
        race = np.where(RANDOM.random(N) < 0.1, "few", RANDOM.choice(["some", "many"], N))
        marked = FEATURES.assign(mark=(race == "few") * 1.0)
        found = value_of(measure(marked, groups={"race": race}), "protected_auc", attribute="race")
        assert found.value == pytest.approx(1, abs=1e-6)

    def test_rows_of_unknown_membership_are_left_out_and_n_says_so(self) -> None:
        partly = np.where(np.arange(N) < 500, "unknown", SEX)
        assert value_of(measure(groups={"sex": partly}), "protected_auc", attribute="sex").n == 1000

    def test_one_group_is_not_enough_data(self) -> None:
        measured = measure(groups={"sex": np.where(np.arange(N) < 20, "women", "men")})
        for name in ("protected_auc", "strongest_proxy"):
            found = value_of(measured, name, attribute="sex")
            assert found.value is None
            assert found.reason.startswith("not enough data")


class TestTarget:
    def test_the_target_by_another_name_is_found(self) -> None:
        measured = measure(FEATURES.assign(decided=LABEL * 2.0))
        assert value_of(measured, "target_by_one_feature").value == 1
        assert value_of(measured, "feature_target_strength", feature="decided").value == 1

    def test_an_honest_feature_tells_what_its_order_tells(self) -> None:
        found = value_of(measure(), "feature_target_strength", feature="income").value
        assert found == pytest.approx(abs(2 * roc_auc_score(LABEL, INCOME) - 1))

    def test_for_numbers_it_is_spearmans_correlation(self) -> None:
        wage = INCOME + RANDOM.normal(size=N)
        found = value_of(measure(labels=wage, task="regression"), "feature_target_strength", feature="income").value
        assert found == pytest.approx(abs(spearmanr(INCOME, wage).statistic))

    def test_for_several_classes_it_is_the_class_that_is_told_best(self) -> None:
        digit = np.digitize(INCOME, [-0.5, 0.5])
        measured = measure(labels=digit, task="multiclass_classification")
        assert value_of(measured, "feature_target_strength", feature="income").value == pytest.approx(1)

    @pytest.mark.parametrize("reason", [1.0, "late", pd.Timestamp("2024-05-01")], ids=["number", "text", "time"])
    def test_what_is_written_down_only_afterwards_is_found_though_it_never_varies(self, reason) -> None:
        measured = measure(FEATURES.assign(reason=pd.Series([reason] * N).where(LABEL == 0)))
        assert value_of(measured, "feature_target_strength", feature="reason").value == pytest.approx(1)
        amounts = FEATURES.assign(reason=np.where(LABEL == 0, HEIGHT, np.nan))
        assert value_of(measure(amounts), "feature_target_strength", feature="reason").value == pytest.approx(1)

    @pytest.mark.parametrize("task", ["binary_classification", "regression"])
    def test_a_number_that_is_a_code_is_found_whatever_its_order(self, task) -> None:
        labels = LABEL if task == "binary_classification" else np.where(LABEL, 9.0, 1.0) + RANDOM.random(N)
        code = np.where(LABEL == 1, 5.0, np.where(RANDOM.random(N) < 0.5, 1.0, 9.0))
        measured = measure(FEATURES.assign(code=code), labels, task=task)
        found = value_of(measured, "feature_target_strength", feature="code")
        assert found.value > (0.99 if task == "binary_classification" else 0.5)
        assert found.low <= found.value <= found.high

    def test_times_are_judged_by_their_order(self) -> None:
        times = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(INCOME, unit="D")
        found = value_of(measure(FEATURES.assign(income=times)), "feature_target_strength", feature="income").value
        assert found == pytest.approx(abs(2 * roc_auc_score(LABEL, INCOME) - 1))

    def test_a_class_that_is_told_by_the_lowest_values_counts_as_well(self) -> None:
        digit = np.digitize(INCOME, [-0.5, 0.5])
        ends = []
        for sign in (-1, 1):
            marked = FEATURES.assign(marked=HEIGHT + sign * 9 * (digit == 0))
            measured = measure(marked, digit, task="multiclass_classification")
            found = value_of(measured, "feature_target_strength", feature="marked")
            area = roc_auc_score(digit == 0, marked["marked"])
            assert found.value == pytest.approx(abs(2 * area - 1))
            assert found.low < found.value < found.high
            ends.append((found.low - found.value, found.high - found.value))
        assert ends[0] == pytest.approx(ends[1], abs=0.01)

    def test_text_tells_as_much_of_classes_as_the_classes_would_of_the_text(self) -> None:
        there = value_of(measure(), "proxy_strength", attribute="sex", feature="town")
        classes = pd.factorize(TOWN)[0]
        measured = measure(pd.DataFrame({"sex": SEX}), classes, {}, task="multiclass_classification")
        back = value_of(measured, "feature_target_strength", feature="sex")
        assert (back.value, back.low, back.high) == pytest.approx((there.value, there.low, there.high))

    def test_missing_values_are_left_out_and_a_constant_says_so(self) -> None:
        gaps = FEATURES.assign(income=np.where(np.arange(N) % 3 == 0, np.nan, INCOME), constant=1.0)
        measured = measure(gaps)
        assert value_of(measured, "feature_target_strength", feature="income").n == 1000
        assert value_of(measured, "feature_target_strength", feature="constant").value is None


class TestRowsSeenBefore:
    def test_a_judging_row_among_the_training_rows_is_counted(self) -> None:
        copied = pd.concat([FEATURES, FEATURES.iloc[:30]], ignore_index=True)
        judging = np.arange(N, N + 30)
        groups = {"sex": np.append(SEX, SEX[:30])}
        measured = measure(copied, LABEL[:30], groups, judging=judging)
        assert value_of(measured, "train_test_overlap").value == 1
        assert value_of(measured, "duplicate_rows").value == pytest.approx(30 / (N + 30))

    @settings(max_examples=50)
    @given(
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", None])), min_size=2, max_size=30), st.data()
    )
    def test_overlap_and_duplicates_are_what_comparing_all_rows_gives(self, cells, data) -> None:
        rows = pd.DataFrame(cells, columns=["number", "text"])
        judging = sorted(data.draw(st.sets(st.integers(0, len(cells) - 1), min_size=1)))
        measured = measure(rows, np.zeros(len(judging)), {}, judging=np.array(judging), task="regression")
        others = [set(range(len(cells))) - ({one} if len(judging) == len(cells) else set(judging)) for one in judging]
        seen = [any(cells[other] == cells[one] for other in left) for one, left in zip(judging, others, strict=True)]
        assert value_of(measured, "train_test_overlap").value == pytest.approx(np.mean(seen))
        assert value_of(measured, "duplicate_rows").value == pytest.approx(rows.duplicated().mean())

    def test_without_copies_there_is_no_overlap(self) -> None:
        measured = measure(labels=LABEL[:300], judging=np.arange(300))
        assert (value_of(measured, "train_test_overlap").value, value_of(measured, "train_test_overlap").n) == (0, 300)

    def test_where_every_row_judges_each_copy_may_have_trained_the_other(self) -> None:
        copied = pd.concat([FEATURES, FEATURES.iloc[:1]], ignore_index=True)
        found = value_of(measure(copied, np.r_[LABEL, 1], {"sex": np.append(SEX, "men")}), "train_test_overlap")
        assert found.value == pytest.approx(2 / (N + 1))

    def test_where_another_trained_it_the_overlap_is_not_applicable_by_name(self) -> None:
        found = value_of(measure(trained_here=False), "train_test_overlap")
        assert found.value is None
        assert found.reason.startswith("not applicable: not trained here: ")


class TestWhatDoesNotMatter:
    @pytest.mark.parametrize(
        ("task", "labels"), [("binary_classification", LABEL), ("regression", INCOME + RANDOM.normal(size=N))]
    )
    def test_whether_a_number_rises_or_falls(self, task, labels) -> None:
        there, back = (measure(frame, labels, task=task) for frame in (FEATURES, FEATURES.assign(income=-INCOME)))
        for name, slice_ in (("feature_target_strength", {}), ("proxy_strength", {"attribute": "sex"})):
            one, other = (value_of(each, name, feature="income", **slice_) for each in (there, back))
            assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))

    def test_the_order_of_rows(self) -> None:
        order = RANDOM.permutation(N)
        shuffled = measure(FEATURES.iloc[order].reset_index(drop=True), LABEL[order], {"sex": SEX[order]})
        for one, other in zip(shuffled, measure(), strict=True):
            assert one.value == pytest.approx(other.value, abs=1e-12)

    def test_the_names_of_features_and_groups(self) -> None:
        renamed = measure(FEATURES.rename(columns={"height": "zz"}), groups={"sex": np.where(SEX == "men", "x", "a")})
        assert [one.value for one in renamed] == pytest.approx([one.value for one in measure()])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"features": FEATURES.iloc[:0], "labels": LABEL[:0], "groups": {}}, "no rows"),
        ({"labels": LABEL[:5]}, "5 labels"),
        ({"groups": {"sex": SEX[:7]}}, "7 groups of 'sex'"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(arguments, said) -> None:
    with pytest.raises(InputError, match=said):
        measure(**arguments)
