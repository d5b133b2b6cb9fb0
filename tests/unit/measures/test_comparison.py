"""The candidate beside the champion: differences of what the tasks measure, with intervals that are paired."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.errors import InputError
from governance.measures.catalogue import MEASURES
from governance.measures.comparison import CHANGES, Answers, compare, no_champion
from governance.measures.multiclass import measure_multiclass
from governance.measures.performance import measure_performance
from governance.measures.regression import measure_regression

BINARY, MULTICLASS, REGRESSION = CHANGES


def by_name(found):
    return {each.name.removeprefix("performance."): each for each in found}


def draw_binary(generator, n):
    """Return labels and the answers of two models that share most of what they know, the first a little better."""
    labels = generator.integers(0, 2, n)
    shared = labels + generator.normal(0, 1, n)
    odds = (shared + generator.normal(0, each, n) for each in (0.3, 0.6))
    scores = [1 / (1 + np.exp(1 - 2 * each)) for each in odds]
    return labels, *(Answers((each >= 0.5).astype(int), each) for each in scores)


def draw_multiclass(generator, n):
    labels = generator.integers(0, 3, n)
    shared = np.eye(3)[labels] + generator.normal(size=(n, 3))
    odds = [np.exp(shared + generator.normal(0, each, (n, 3))) for each in (0.3, 0.6)]
    scores = [each / each.sum(1, keepdims=True) for each in odds]
    return labels, *(Answers(each.argmax(1), each) for each in scores)


def draw_regression(generator, n):
    labels = generator.lognormal(1, 0.5, n)
    shared = labels + generator.normal(0, 1, n)
    return labels, *(Answers(shared + generator.normal(0, each, n)) for each in (0.3, 0.6))


DRAW = {BINARY: draw_binary, MULTICLASS: draw_multiclass, REGRESSION: draw_regression}

MEASURE = {
    BINARY: lambda labels, answers: measure_performance(labels, answers.predictions, answers.scores),
    MULTICLASS: lambda labels, answers: measure_multiclass(
        labels, answers.scores, classes=["a", "b", "c"], predictions=answers.predictions
    ),
    REGRESSION: lambda labels, answers: measure_regression(labels, answers.predictions),
}

OF = {"brier_change": "brier_score"} | {
    f"{name}_change": name for name in ("accuracy", "roc_auc", "log_loss", "mae", "rmse")
}
"""Which measure each change is the difference of."""

CASES = [(task, change.__name__) for task, changes in CHANGES.items() for change in changes]


def rows_of(answers, order):
    return Answers(*(None if part is None else np.asarray(part)[order] for part in vars(answers).values()))


@pytest.fixture(params=CHANGES)
def case(request):
    return request.param, *DRAW[request.param](np.random.default_rng(1), 500)


def test_each_change_is_the_candidates_measure_minus_the_champions(case):
    task, labels, candidate, champion = case
    ours, theirs = (by_name(MEASURE[task](labels, answers)) for answers in (candidate, champion))

    found = by_name(compare(task, labels, candidate, champion))

    assert list(found) == [change.__name__ for change in CHANGES[task]]
    for name, each in found.items():
        assert each.value == pytest.approx(ours[OF[name]].value - theirs[OF[name]].value)
        assert each.n == 500


def test_the_sign_is_that_of_the_catalogue(case):
    task, labels, candidate, champion = case

    for each in compare(task, labels, candidate, champion):
        better = MEASURES[each.name].better
        assert MEASURES[f"performance.{OF[each.name.removeprefix('performance.')]}"].better == better
        assert (each.value > 0) == (better == "higher"), "the candidate of these tests is the better one"


def test_exchanging_the_models_turns_every_change_around(case):
    task, labels, candidate, champion = case

    for there, back in zip(
        compare(task, labels, candidate, champion), compare(task, labels, champion, candidate), strict=True
    ):
        assert back.value == pytest.approx(-there.value)
        assert (back.low, back.high) == pytest.approx((-there.high, -there.low))


def test_the_order_of_rows_changes_nothing(case):
    task, labels, candidate, champion = case
    order = np.random.default_rng(2).permutation(500)

    shuffled = compare(task, labels[order], rows_of(candidate, order), rows_of(champion, order))

    assert shuffled == compare(task, labels, candidate, champion)


@pytest.fixture(scope="module")
def simulated():
    """For each task, the changes of a million rows, and of 400 samples of 400."""
    generator = np.random.default_rng(0)
    return {
        task: (
            by_name(compare(task, *draw(generator, 1_000_000))),
            [by_name(compare(task, *draw(generator, 400))) for _ in range(400)],
        )
        for task, draw in DRAW.items()
    }


@pytest.mark.parametrize(("task", "name"), CASES)
def test_intervals_hold_the_truth_about_95_times_in_100(simulated, task, name):
    truth, found = simulated[task][0][name].value, [each[name] for each in simulated[task][1]]

    assert 0.92 <= np.mean([each.low <= truth <= each.high for each in found]) <= 0.98


def test_the_interval_is_paired_and_so_narrower_than_that_of_two_samples(case):
    task, labels, candidate, champion = case
    ours, theirs = (by_name(MEASURE[task](labels, answers)) for answers in (candidate, champion))

    for name, each in by_name(compare(task, labels, candidate, champion)).items():
        apart = np.hypot(*(found[OF[name]].high - found[OF[name]].low for found in (ours, theirs)))
        assert each.high - each.low < 0.9 * apart


def test_each_change_documents_formula_source_ideal_and_limits():
    for change in {change for changes in CHANGES.values() for change in changes}:
        parts = re.findall(r"^ *(Formula|Source|Ideal|Limits): ", change.__doc__, re.MULTILINE)
        assert parts == ["Formula", "Source", "Ideal", "Limits"]


@given(st.lists(st.tuples(*[st.integers(0, 1)] * 3, *[st.floats(0, 1)] * 2), min_size=1, max_size=40))
def test_every_interval_holds_its_estimate_and_nothing_is_ever_without_value_or_reason(cases):
    labels, first, second, scores, others = (np.array(column) for column in zip(*cases, strict=True))

    for found in compare(BINARY, labels, Answers(first, scores), Answers(second, others)):
        assert (found.value is None) == (found.reason is not None)
        if found.low is not None:
            assert found.low <= found.value + 1e-12
            assert found.value <= found.high + 1e-12


def test_a_model_beside_itself_has_not_changed(case):
    task, labels, candidate, _ = case

    for each in compare(task, labels, candidate, candidate):
        assert each.value == 0
        assert each.low <= 0 <= each.high


def test_that_two_models_decide_alike_is_no_proof_that_they_always_will():
    found = by_name(compare(BINARY, [0, 1] * 20, *[Answers([0, 1] * 20, [0.2, 0.8] * 20)] * 2))

    for name in ("accuracy_change", "roc_auc_change"):
        assert found[name].low < 0 < found[name].high


def test_the_accuracy_changes_by_the_rows_that_only_one_gets_right():
    candidate, champion = Answers([1, 1, 1, 0], [0.9] * 4), Answers([0, 1, 1, 1], [0.9] * 4)

    found = by_name(compare(BINARY, [1, 1, 1, 1], candidate, champion))

    assert found["accuracy_change"].value == 0.0
    assert by_name(compare(BINARY, [1, 1, 1, 0], candidate, champion))["accuracy_change"].value == 0.5


@pytest.mark.parametrize("task", CHANGES)
def test_without_a_champion_every_change_is_not_applicable(task):
    found = no_champion(task)

    assert [each.name for each in found] == [f"performance.{change.__name__}" for change in CHANGES[task]]
    assert all(each.reason.startswith("not applicable: no champion: ") and each.value is None for each in found)


@pytest.mark.parametrize("label", [0, 1])
def test_one_label_only_leaves_the_area_without_value_but_with_a_reason(label):
    found = by_name(compare(BINARY, [label] * 3, Answers([1] * 3, [0.9] * 3), Answers([0] * 3, [0.2] * 3)))

    assert (found["roc_auc_change"].value, found["roc_auc_change"].reason) == (
        None,
        f"no row has the label {1 - label}",
    )
    assert found["accuracy_change"].value == (1 if label else -1)


def test_a_perfect_prediction_is_compared_like_any_other():
    found = by_name(compare(REGRESSION, [1.0, 2.0, 3.0], Answers([1.0, 2.0, 3.0]), Answers([2.0, 2.0, 5.0])))

    assert found["mae_change"].value == -1.0
    assert found["rmse_change"].value == pytest.approx(-np.sqrt(5 / 3))
    assert found["rmse_change"].low < found["rmse_change"].value < found["rmse_change"].high


def test_one_row_has_changes_but_no_interval_of_a_loss():
    found = by_name(compare(REGRESSION, [1.0], Answers([1.5]), Answers([3.0])))

    assert {(each.value, each.low, each.high) for each in found.values()} == {(-1.5, None, None)}


@pytest.mark.parametrize(
    ("task", "nothing"),
    [(BINARY, Answers([], [])), (MULTICLASS, Answers([], np.empty((0, 3)))), (REGRESSION, Answers([]))],
)
def test_no_rows_give_no_values(task, nothing):
    found = compare(task, [], nothing, nothing)

    assert {each.value for each in found} == {None}
    assert all(each.reason.endswith("there are no rows") for each in found)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("who", ["candidate", "champion"])
def test_a_score_that_is_no_number_leaves_scores_uncompared_and_says_whose_it_is(case, who, wrong):
    task, labels, candidate, champion = case
    broken = candidate if who == "candidate" else champion
    part = "predictions" if task == REGRESSION else "scores"
    spoilt = np.array(getattr(broken, part), dtype=float)
    spoilt.flat[0] = wrong
    changed = Answers(**{**vars(broken), part: spoilt})

    found = by_name(compare(task, labels, *((changed, champion) if who == "candidate" else (candidate, changed))))

    for name, each in found.items():
        if name == "accuracy_change":
            assert each.value is not None
        else:
            assert each.value is None
            assert each.reason.startswith(f"{who}: 1 of 500 ")


def test_errors_beyond_the_largest_float_have_no_value_instead_of_infinity():
    found = by_name(compare(REGRESSION, [1.0, 2.0], Answers([1e200, 0.0]), Answers([1.0, 1.0])))

    assert (found["rmse_change"].value, found["rmse_change"].reason) == (None, "the result is inf")
    assert found["mae_change"].value == pytest.approx(5e199)


@pytest.mark.parametrize(
    ("task", "candidate", "champion", "message"),
    [
        (BINARY, Answers([1, 0], [0.9, 0.1]), Answers([1], [0.9]), "Answers of the champion: .*2 labels and 1"),
        (BINARY, Answers([1, 0], [0.9]), Answers([1, 0], [0.9, 0.1]), "Answers of the candidate: .*one score for each"),
        (BINARY, Answers([1, 0]), Answers([1, 0], [0.9, 0.1]), "Answers of the candidate: Expected scores"),
        (BINARY, Answers([1, 2], [0.9, 0.1]), Answers([1, 0], [0.9, 0.1]), "predictions to be 0"),
        (MULTICLASS, Answers([1, 0], [[0.5, 0.5]] * 2), Answers([1, 0], [[0.2, 0.3, 0.5]] * 2), "the same classes"),
        (MULTICLASS, Answers([1, 0], [0.9, 0.1]), Answers([1, 0], [0.9, 0.1]), "found an array of shape"),
        (REGRESSION, Answers([1.0, 2.0]), Answers([1.0]), "Answers of the champion: .*2 labels and 1"),
        ("clustering", Answers([1, 0]), Answers([1, 0]), "task among binary_classification, .*found 'clustering'"),
    ],
)
def test_input_that_cannot_be_compared_is_refused(task, candidate, champion, message):
    with pytest.raises(InputError, match=message):
        compare(task, [1, 0], candidate, champion)


def test_a_task_that_is_unknown_has_no_champion_either():
    with pytest.raises(InputError, match="found 'clustering'"):
        no_champion("clustering")
