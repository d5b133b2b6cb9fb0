"""The search, told by small data whose groups differ in income."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from governance.catalog import Evaluation
from governance.records import Measurement, Outcome, RuleResult, Verdict
from governance.training.alternatives import AUC, NOISE, Search, Space, _merit, _value, search
from governance.training.fits import Fitter, Recipe, Scores, TrainingSet
from governance.training.split import Plan, plan_fits, strata_of
from tests.unit.training.conftest import RECIPE

THRESHOLDS = (0.4, 0.3, 0.2, 0.1)
PARITY = "fairness.demographic_parity_difference"

Measures = Callable[..., list[Measurement]]


def measures_of(rows: TrainingSet) -> Measures:
    def measure(positions, labels, predictions, scores) -> list[Measurement]:
        groups, n = rows.groups[positions], len(positions)
        assert np.array_equal(labels, rows.labels[positions])
        rates = [predictions[groups == group].mean() for group in np.unique(groups)]
        return [
            Measurement("performance.accuracy", (predictions == labels).mean(), n),
            Measurement("performance.roc_auc", roc_auc_score(labels, scores), n),
            Measurement(PARITY, max(rates) - min(rates), n, {"attribute": "group"}),
            Measurement("fairness.selection_rate", rates[0], n, {"group": "few"}),
        ]

    return measure


def parity_at_most(limit: float) -> Callable[[list[Measurement]], Verdict]:
    def judge(measurements: list[Measurement]) -> Verdict:
        (found,) = [m for m in measurements if m.name == PARITY]
        stops = found.value is None or found.value > limit
        outcome = Outcome.BLOCK if stops else Outcome.PASS
        rule = RuleResult(
            "parity", "Parity", PARITY, {}, outcome, found.value, None, None, found.n, "estimate", {}, stops, ""
        )
        return Verdict(outcome, (rule,))

    return judge


@pytest.fixture(scope="module")
def plan(rows: TrainingSet) -> Plan:
    evaluation = Evaluation(method="cross_validation", folds=3, repetitions=3)
    return plan_fits(strata_of(rows.labels, rows.groups), evaluation, seed=0)


@pytest.fixture
def find(folder: Path, open_sandbox: Callable, rows: TrainingSet, plan: Plan) -> Callable[..., Search]:
    def found(limit: float, space: Space, blocked: Recipe = RECIPE, **more: object) -> Search:
        fitter = Fitter(open_sandbox(folder), rows)
        (scores,) = fitter.out_of_fold([blocked], plan, range(3))
        given = {"measure": measures_of(rows), "judge": parity_at_most(limit), **more}
        return search(fitter, plan, blocked, scores, space, **given)

    return found


SPACE = Space(THRESHOLDS, ("postcode", "age"), ({"C": 0.01},))


def parities(variant) -> float:
    return next(m.value for m in variant.measurements if m.name == PARITY)


def test_thresholds_come_first_then_proxies_together_and_one_by_one_then_parameters(find: Callable[..., Search]):
    tried = find(0.2, SPACE).tried
    assert [variant.label for variant in tried[:4]] == [f"threshold {t:g}" for t in THRESHOLDS]
    refits = list(dict.fromkeys(variant.label.rpartition(", threshold")[0] for variant in tried[4:]))
    assert refits == ["without postcode, age", "without postcode", "without age", "C 0.01"]
    assert [v.family for v in tried] == ["threshold"] * 4 + ["features"] * 15 + ["parameters"] * 5


def test_another_threshold_is_tried_without_another_fit(
    make_folder: Callable, open_sandbox: Callable, rows: TrainingSet, plan: Plan
):
    fitter = Fitter(open_sandbox(make_folder("def fit(frame, params): raise ValueError('never called')")), rows)
    scores = {r: Scores(np.arange(120), np.linspace(0, 1, 120)) for r in plan.choosing}
    judge = {"measure": measures_of(rows), "judge": parity_at_most(1.0)}
    assert search(fitter, plan, RECIPE, scores, Space(THRESHOLDS), **judge).chosen is not None


def test_the_judging_repetition_has_no_part_in_the_search(
    folder: Path, open_sandbox: Callable, rows: TrainingSet, plan: Plan
):
    fitter = Fitter(open_sandbox(folder), rows)
    (scores,) = fitter.out_of_fold([RECIPE], plan, range(3))
    judge = {"measure": measures_of(rows), "judge": parity_at_most(0.2)}
    other = {**scores, 0: Scores(np.arange(120), np.zeros(120))}
    found = [search(fitter, plan, RECIPE, given, SPACE, **judge).to_dict() for given in (scores, other)]
    assert found[0] == found[1]


def test_the_best_that_passes_is_the_one_that_gives_up_least(find: Callable[..., Search]):
    found = find(0.2, SPACE)
    passing = [variant for variant in found.tried if variant.passes]
    best = max(_value(variant, AUC) for variant in passing)
    equals = [variant for variant in passing if _value(variant, AUC) >= best - NOISE]
    assert len(passing) > 1
    assert found.chosen in equals
    assert _merit(found.chosen) == max(_merit(variant) for variant in equals)


def test_of_equals_the_first_tried_is_chosen(find: Callable[..., Search]):
    def blind(positions, labels, predictions, scores) -> list[Measurement]:
        return [Measurement("performance.roc_auc", 0.7, 120), Measurement(PARITY, 0.0, 120)]

    assert find(0.1, SPACE, measure=blind).chosen.label == "threshold 0.4"


def ranked(refitted: float) -> Measures:
    """Measure every model fair, the blocked one with ROC AUC 0.7 and whatever is fitted anew with another."""
    known: list[bytes] = []

    def measure(positions, labels, predictions, scores) -> list[Measurement]:
        if len(known) < 2:  # the blocked candidate itself comes first, on both choosing repetitions
            known.append(scores.tobytes())
        auc = 0.7 if scores.tobytes() in known else refitted
        return [Measurement(AUC, auc, 120), Measurement(PARITY, 0.0, 120)]

    return measure


def test_what_ranks_no_better_than_a_simpler_variant_that_passes_is_fitted_once_and_not_chosen(
    find: Callable[..., Search],
):
    found = find(0.1, SPACE, measure=ranked(0.7 + NOISE))

    assert {v.repetitions for v in found.tried if v.family == "threshold"} == {2}
    assert {v.repetitions for v in found.tried if v.family != "threshold"} == {1}
    assert found.chosen.family == "threshold"


@pytest.mark.slow
def test_what_ranks_better_by_more_than_noise_is_fitted_for_every_choosing_repetition_and_can_be_chosen(
    find: Callable[..., Search],
):
    found = find(0.1, SPACE, measure=ranked(0.72))

    assert {variant.repetitions for variant in found.tried} == {2}
    assert found.chosen.family == "features"


def test_what_fails_on_the_first_choosing_repetition_is_not_fitted_again(find: Callable[..., Search]):
    assert {v.repetitions for v in find(-1.0, SPACE).tried if v.family != "threshold"} == {1}


def test_a_variant_must_pass_on_every_choosing_repetition(find: Callable[..., Search], rows: TrainingSet):
    calls = []

    def second_repetition_fails(measurements: list[Measurement]) -> Verdict:
        calls.append(None)
        return parity_at_most(0.0 if len(calls) % 2 == 0 else 1.0)(measurements)

    found = find(1.0, Space(THRESHOLDS), judge=second_repetition_fails)
    assert found.chosen is None
    assert all(variant.failing == ("parity",) for variant in found.tried)


def test_a_limit_that_cannot_be_met_leaves_the_search_empty_handed_with_everything_on_record(
    find: Callable[..., Search],
):
    found = find(-1.0, SPACE)
    assert found.chosen is None
    assert len(found.tried) == 24
    assert all(variant.failing == ("parity",) and variant.measurements for variant in found.tried)


def test_at_most_one_variant_is_chosen_and_it_passes(find: Callable[..., Search]):
    chosen = [variant for variant in find(1.0, SPACE).tried if variant.chosen]
    assert len(chosen) == 1
    assert chosen[0].passes


@pytest.mark.slow
def test_the_search_is_the_same_every_time(find: Callable[..., Search]):
    assert find(0.2, SPACE).to_dict() == find(0.2, SPACE).to_dict()


def test_an_empty_space_finds_nothing(find: Callable[..., Search]):
    found = find(1.0, Space())
    assert (found.tried, found.chosen) == ((), None)


def test_the_candidate_itself_is_on_record_to_compare_with(find: Callable[..., Search]):
    found = find(0.2, SPACE)
    assert found.reference.recipe == RECIPE
    assert not found.reference.passes
    assert parities(found.reference) > parities(found.chosen)


def test_what_is_already_dropped_or_the_same_is_not_tried_again(find: Callable[..., Search]):
    blocked = Recipe({"C": 0.01}, threshold=0.4, dropped=("age",))
    labels = {variant.label for variant in find(0.2, SPACE, blocked).tried}
    assert not {label for label in labels if re.search(r"without.*age|^C |^threshold 0.4", label)}


def test_the_evidence_holds_means_of_what_is_recorded_and_how_it_was_made(find: Callable[..., Search]):
    document = find(0.2, SPACE).to_dict()["tried"][-1]
    assert {key: document[key] for key in ("family", "parameters", "dropped", "threshold", "reduction", "chosen")} == {
        "family": "parameters",
        "parameters": {"C": 0.01},
        "dropped": [],
        "threshold": 0.1,
        "reduction": None,
        "chosen": False,
    }
    names = [measurement["name"] for measurement in document["measurements"]]
    assert names == ["performance.accuracy", "performance.roc_auc", PARITY]
    assert {measurement["method"] for measurement in document["measurements"]} == {"mean of 2"}


def test_a_mean_of_something_absent_is_absent_with_its_reason(find: Callable[..., Search]):
    def absent(positions, labels, predictions, scores) -> list[Measurement]:
        return [Measurement(PARITY, None, 3, reason="not enough data")]

    found = find(0.2, Space(THRESHOLDS), measure=absent)
    assert found.tried[0].measurements[0].reason == "not enough data"
    assert found.chosen is None


def test_no_protected_attribute_is_used_without_a_legal_reason(find: Callable[..., Search]):
    assert not [variant for variant in find(-1.0, SPACE).tried if variant.family == "reduction"]


@pytest.mark.slow
def test_with_a_legal_reason_reductions_come_last_and_can_be_chosen(find: Callable[..., Search]):
    space = Space((0.4,), legal_reason="Counsel, 3 March: permitted for this self-test.")
    blocked = find(-1.0, space)
    labels = [variant.label for variant in blocked.tried if variant.family == "reduction"]
    assert labels[:1] == ["reweighing, threshold 0.5"]
    assert {label.partition(",")[0] for label in labels} == {"reweighing", "grid search for parity"}
    without = [variant for variant in blocked.tried if variant.family != "reduction"]
    limit = min(map(parities, without)) - 0.01
    chosen = find(limit, space).chosen
    assert chosen.recipe.reduction in ("reweighing", "grid_search")


def test_where_a_variant_without_the_protected_attribute_passes_no_reduction_is_tried(find: Callable[..., Search]):
    found = find(1.0, Space((0.4,), legal_reason="Counsel, 3 March: permitted."))
    assert {variant.family for variant in found.tried} == {"threshold"}
