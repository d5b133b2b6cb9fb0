from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from governance.catalog import Evaluation
from governance.errors import InputError, RefusedError
from governance.training.fits import Fitter, Recipe, Scores, TrainingSet, reweighing
from governance.training.split import Plan, plan_fits, strata_of
from tests.unit.training.conftest import RECIPE


@pytest.fixture(scope="module")
def plan(rows: TrainingSet) -> Plan:
    evaluation = Evaluation(method="cross_validation", folds=3, repetitions=2)
    return plan_fits(strata_of(rows.labels, rows.groups), evaluation, seed=0)


def test_out_of_fold_scores_are_those_of_a_model_that_has_not_seen_the_row(
    folder: Path, open_sandbox: Callable, rows: TrainingSet, plan: Plan
):
    (found,) = Fitter(open_sandbox(folder), rows).out_of_fold([RECIPE], plan, [1])
    for fold in plan.repetitions[1]:
        model = LogisticRegression().fit(rows.features.iloc[fold.train], rows.target.iloc[fold.train])
        expected = model.predict_proba(rows.features.iloc[fold.test])[:, 1]
        assert np.array_equal(found[1].scores[fold.test], expected)


def test_out_of_fold_scores_are_the_same_bit_for_bit_however_many_run_at_once(
    folder: Path, open_sandbox: Callable, rows: TrainingSet, plan: Plan
):
    first, again = (Fitter(open_sandbox(folder), rows).out_of_fold([RECIPE], plan, [0, 1])[0] for _ in range(2))
    assert all(np.array_equal(first[r].scores, again[r].scores) for r in (0, 1))
    assert not np.array_equal(first[0].scores, first[1].scores)


def test_each_recipe_gets_its_own_scores(folder: Path, open_sandbox: Callable, rows: TrainingSet, plan: Plan):
    recipes = [RECIPE, Recipe({"C": 0.001}), Recipe({"C": 1.0}, dropped=("postcode",))]
    found = Fitter(open_sandbox(folder), rows).out_of_fold(recipes, plan, [0])
    assert len({scores[0].scores.tobytes() for scores in found}) == 3


def test_what_was_scored_before_is_not_fitted_again_at_another_threshold(
    make_folder: Callable, open_sandbox: Callable, rows: TrainingSet, plan: Plan, tmp_path: Path
):
    calls = tmp_path / "calls"
    folder = make_folder(f"""
        from sklearn.linear_model import LogisticRegression
        def fit(frame, params):
            open({str(calls)!r}, "a").write("x")
            return LogisticRegression().fit(frame.drop(columns="paid"), frame["paid"])
    """)
    fitter = Fitter(open_sandbox(folder), rows)
    first = fitter.out_of_fold([RECIPE, RECIPE.at(0.1)], plan, [1])
    fitter.out_of_fold([RECIPE.at(0.2)], plan, [0, 1])
    assert np.array_equal(first[0][1].scores, first[1][1].scores)
    assert calls.read_text() == "x" * 6


def test_remembered_scores_are_taken_for_their_recipe_only(
    make_folder: Callable, open_sandbox: Callable, rows: TrainingSet, plan: Plan
):
    fitter = Fitter(open_sandbox(make_folder("def fit(frame, params): raise ValueError('called')")), rows)
    known = Scores(np.arange(120), np.zeros(120))
    fitter.remember(RECIPE, {0: known})
    assert fitter.out_of_fold([RECIPE.at(0.3)], plan, [0]) == [{0: known}]
    with pytest.raises(InputError, match="ValueError: called"):
        fitter.out_of_fold([Recipe({"C": 2.0})], plan, [0])


def test_a_dropped_feature_does_not_reach_the_folders_code(
    make_folder: Callable, open_sandbox: Callable, rows: TrainingSet, tmp_path: Path
):
    seen = tmp_path / "seen"
    folder = make_folder(f"""
        from sklearn.linear_model import LogisticRegression
        def fit(frame, params):
            open({str(seen)!r}, "w").write(" ".join(frame.columns))
            return LogisticRegression().fit(frame.drop(columns="paid"), frame["paid"])
    """)
    Fitter(open_sandbox(folder), rows).fit(Recipe({}, dropped=("postcode",)), np.arange(120))
    assert seen.read_text() == "income age paid"


def test_a_feature_that_is_none_cannot_be_dropped(folder: Path, open_sandbox: Callable, rows: TrainingSet):
    with pytest.raises(InputError, match="no feature named salary"):
        Fitter(open_sandbox(folder), rows).fit(Recipe({}, dropped=("salary",)), np.arange(120))


def test_a_model_of_types_that_are_not_allowed_is_refused(
    make_folder: Callable, open_sandbox: Callable, rows: TrainingSet
):
    folder = make_folder("""
        from sklearn.ensemble import RandomForestClassifier
        def fit(frame, params):
            return RandomForestClassifier(2).fit(frame.drop(columns="paid"), frame["paid"])
    """)
    fitter = Fitter(open_sandbox(folder), rows)
    with pytest.raises(RefusedError, match=r"training\.trusted_types:\n    - sklearn\.tree\._tree\.Tree"):
        fitter.fit(RECIPE, np.arange(120))


def test_a_class_of_the_folders_own_is_refused_and_not_imported(
    make_folder: Callable, open_sandbox: Callable, rows: TrainingSet, tmp_path: Path
):
    canary = tmp_path / "pid"
    folder = make_folder(f"""
        import os
        from sklearn.linear_model import LogisticRegression
        open({str(canary)!r}, "a").write(str(os.getpid()) + " ")
        class Mine(LogisticRegression): pass
        def fit(frame, params):
            return Mine().fit(frame.drop(columns="paid"), frame["paid"])
    """)
    with pytest.raises(RefusedError, match=r"- train\.Mine"):
        Fitter(open_sandbox(folder), rows).fit(RECIPE, np.arange(120))
    assert len(canary.read_text().split()) == 1


def test_predictions_that_are_not_probabilities_are_told(
    make_folder: Callable, open_sandbox: Callable, rows: TrainingSet
):
    folder = make_folder("""
        import numpy as np
        from sklearn.linear_model import LogisticRegression
        def fit(frame, params):
            model = LogisticRegression().fit(frame.drop(columns="paid"), frame["paid"])
            model.coef_ = model.coef_ * np.nan
            return model
    """)
    fitter = Fitter(open_sandbox(folder), rows)
    with pytest.raises(InputError, match="Expected predict_proba to give 120 × 2 numbers from 0 to 1"):
        fitter.score(fitter.fit(RECIPE, np.arange(120)), RECIPE, np.arange(120))


def test_reweighing_makes_group_and_outcome_independent():
    groups = np.array(["a"] * 60 + ["b"] * 40)
    labels = np.array([1] * 50 + [0] * 10 + [1] * 10 + [0] * 30)
    weights = reweighing(groups, labels, np.arange(100))
    rates = {group: np.average(labels[groups == group], weights=weights[groups == group]) for group in "ab"}
    assert rates["a"] == pytest.approx(rates["b"]) == pytest.approx(0.6)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1)), min_size=1, max_size=60))
def test_reweighing_keeps_each_groups_total_weight_where_it_has_both_outcomes(pairs):
    groups, labels = np.array([g for g, _ in pairs]), np.array([y for _, y in pairs])
    weights = reweighing(groups, labels, np.arange(len(pairs)))
    for group in np.unique(groups):
        if set(labels) == set(labels[groups == group]):
            assert weights[groups == group].sum() == pytest.approx((groups == group).sum())


def test_reweighing_gives_rows_outside_no_weight():
    weights = reweighing(np.array(["a", "b", "a", "b"]), np.array([0, 1, 1, 0]), np.array([0, 1]))
    assert list(weights[2:]) == [0, 0]


def test_a_reweighed_fit_is_scikit_learns_with_these_weights(folder: Path, open_sandbox: Callable, rows: TrainingSet):
    inside = np.arange(0, 120, 2)
    model = Fitter(open_sandbox(folder), rows).fit(Recipe({}, reduction="reweighing"), inside)
    weights = reweighing(rows.groups, rows.labels, inside)[inside]
    expected = LogisticRegression().fit(rows.features.iloc[inside], rows.target.iloc[inside], weights)
    assert np.array_equal(model.coef_, expected.coef_)


def test_grid_search_gives_one_plain_model_that_favours_the_groups_more_alike(
    folder: Path, open_sandbox: Callable, rows: TrainingSet
):
    fitter = Fitter(open_sandbox(folder), rows)
    plain, fair = (fitter.fit(Recipe({}, reduction=name), np.arange(120)) for name in (None, "grid_search"))
    assert type(fair) is LogisticRegression
    assert parity(fair, rows) < parity(plain, rows)


def parity(model: LogisticRegression, rows: TrainingSet) -> float:
    decided = model.predict(rows.features)
    return abs(decided[rows.groups == "few"].mean() - decided[rows.groups == "many"].mean())


def test_grid_search_is_the_same_every_time(folder: Path, open_sandbox: Callable, rows: TrainingSet):
    fitter = Fitter(open_sandbox(folder), rows)
    one, other = (fitter.fit(Recipe({}, reduction="grid_search"), np.arange(120)) for _ in range(2))
    assert np.array_equal(one.coef_, other.coef_)


@pytest.mark.parametrize("reduction", ["reweighing", "grid_search"])
def test_a_reduction_needs_a_fit_that_takes_weights(
    reduction: str, make_folder: Callable, open_sandbox: Callable, rows: TrainingSet
):
    fitter = Fitter(open_sandbox(make_folder("def fit(frame, params): ...")), rows)
    with pytest.raises(InputError, match=r"Write `def fit\(frame, params, weights=None\)`"):
        fitter.fit(Recipe({}, reduction=reduction), np.arange(120))


def test_a_reduction_needs_groups(folder: Path, open_sandbox: Callable, rows: TrainingSet):
    blind = TrainingSet(rows.features, rows.target, rows.task)
    with pytest.raises(InputError, match="Expected the groups of a protected attribute"):
        Fitter(open_sandbox(folder), blind).fit(Recipe({}, reduction="reweighing"), np.arange(120))


def test_the_protected_attribute_reaches_no_fit_without_a_reduction(
    make_folder: Callable, open_sandbox: Callable, rows: TrainingSet, tmp_path: Path
):
    seen = tmp_path / "seen"
    folder = make_folder(f"""
        from sklearn.linear_model import LogisticRegression
        def fit(frame, params, weights=None):
            open({str(seen)!r}, "a").write(f"{{list(frame.columns)}} {{weights is None}}\\n")
            return LogisticRegression().fit(frame.drop(columns="paid"), frame["paid"], weights)
    """)
    fitter = Fitter(open_sandbox(folder), rows)
    for reduction in (None, "reweighing"):
        fitter.fit(Recipe({}, reduction=reduction), np.arange(120))
    columns = "['income', 'postcode', 'age', 'paid']"
    assert seen.read_text() == f"{columns} True\n{columns} False\n"


def test_a_recipe_survives_its_json_form():
    recipe = Recipe({"C": 2}, seed=3, threshold=0.1, dropped=("age",), reduction="reweighing")
    assert Recipe.from_dict(recipe.to_dict()) == recipe
