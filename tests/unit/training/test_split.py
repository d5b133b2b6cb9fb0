import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from governance.catalog import Evaluation
from governance.errors import InputError
from governance.training.split import JUDGING, folds, holdout, plan_fits, strata_of

STRATA = np.array(["a"] * 40 + ["b"] * 25 + ["c"] * 10)


def test_every_repetition_predicts_every_row_exactly_once():
    for repetition in folds(STRATA, folds=5, repetitions=3, seed=0):
        predicted = np.concatenate([fold.test for fold in repetition])
        assert sorted(predicted) == list(range(len(STRATA)))


def test_no_fold_trains_on_a_row_that_it_predicts():
    for repetition in folds(STRATA, folds=5, repetitions=2, seed=0):
        assert all(not set(fold.train) & set(fold.test) for fold in repetition)


def test_every_fold_holds_its_share_of_every_stratum():
    for fold in folds(STRATA, folds=5, repetitions=1, seed=0)[0]:
        assert dict(zip(*np.unique(STRATA[fold.test], return_counts=True), strict=True)) == {"a": 8, "b": 5, "c": 2}


def test_repetition_r_is_the_split_of_seed_plus_r():
    repetitions = folds(STRATA, folds=5, repetitions=3, seed=7)
    for r, repetition in enumerate(repetitions):
        known = StratifiedKFold(5, shuffle=True, random_state=7 + r).split(STRATA, STRATA)
        assert all(np.array_equal(fold.test, test) for fold, (_, test) in zip(repetition, known, strict=True))


def test_the_names_of_strata_do_not_change_the_split():
    renamed = np.array([{"a": "z", "b": "y", "c": "x"}[name] for name in STRATA])
    for one, other in zip(folds(STRATA, 5, 1, 0)[0], folds(renamed, 5, 1, 0)[0], strict=True):
        assert np.array_equal(one.test, other.test)


def test_a_stratum_smaller_than_the_number_of_folds_is_refused_by_name():
    with pytest.raises(InputError, match="at least 5 rows of every stratum, found 2 of `rare`"):
        folds(np.array(["a"] * 20 + ["rare"] * 2), folds=5, repetitions=1, seed=0)


def test_no_rows_at_all_are_refused():
    with pytest.raises(InputError, match="found none"):
        folds(np.array([]), folds=5, repetitions=1, seed=0)


def test_a_holdout_seals_its_share_of_every_stratum():
    fold = holdout(STRATA, test_share=0.2, seed=0)
    assert dict(zip(*np.unique(STRATA[fold.test], return_counts=True), strict=True)) == {"a": 8, "b": 5, "c": 2}
    assert sorted([*fold.train, *fold.test]) == list(range(len(STRATA)))


def test_a_holdout_without_a_row_of_every_stratum_is_refused():
    with pytest.raises(InputError, match="Expected a holdout of 1%"):
        holdout(STRATA, test_share=0.01, seed=0)


def test_strata_are_group_and_outcome():
    assert list(strata_of([1, 0, 1, 0], ["b", "b", "w", "w"], smallest=1)) == ["b × 1", "b × 0", "w × 1", "w × 0"]


def test_without_a_protected_attribute_the_outcome_alone_is_the_stratum():
    assert list(strata_of([1, 0, 1])) == ["1", "0", "1"]


def test_rare_strata_of_one_outcome_are_merged_with_each_other():
    groups = ["common"] * 20 + ["r1"] * 3 + ["r2"] * 3
    names, counts = np.unique(strata_of([1] * 26, groups, smallest=5), return_counts=True)
    assert sorted(counts) == [6, 20]
    assert len(names) == 2


def test_a_single_rare_stratum_joins_the_largest_of_its_outcome():
    groups = ["common"] * 20 + ["rare"] * 2
    assert set(strata_of([1] * 22, groups, smallest=5)) == {"common × 1"}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 1)), min_size=30, max_size=120))
def test_merged_strata_never_mix_outcomes_and_always_split(pairs):
    outcome = np.array([label for _, label in pairs])
    strata = strata_of(outcome, [group for group, _ in pairs], smallest=5)
    for name in np.unique(strata):
        assert len(set(outcome[strata == name])) == 1
    if min(np.bincount(outcome, minlength=2)) >= 5:
        assert len(folds(strata, 5, 1, 0)[0]) == 5


def test_cross_validation_judges_on_all_rows_and_fits_on_all_rows():
    plan = plan_fits(STRATA, Evaluation(method="cross_validation", folds=5, repetitions=3), seed=0)
    assert [len(repetition) for repetition in plan.repetitions] == [5, 5, 5]
    assert len(plan.final) == len(STRATA)
    assert not plan.final_judges
    assert list(plan.choosing) == [1, 2]


def test_a_holdout_judges_the_final_fit_and_chooses_without_the_sealed_rows():
    plan = plan_fits(STRATA, Evaluation(method="holdout", folds=5, repetitions=3, test_share=0.2), seed=0)
    (sealed,) = plan.repetitions[JUDGING]
    assert plan.final_judges
    assert np.array_equal(plan.final, sealed.train)
    for r in plan.choosing:
        for fold in plan.repetitions[r]:
            assert not {*fold.train, *fold.test} & set(sealed.test)


def test_the_same_seed_gives_the_same_plan_and_another_seed_another():
    evaluation = Evaluation(method="cross_validation")
    first = [plan_fits(STRATA, evaluation, seed).repetitions[0][0].test.tolist() for seed in (3, 3, 4)]
    assert first[0] == first[1] != first[2]
