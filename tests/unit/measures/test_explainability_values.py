"""SHAP values against their definition, for every task and every format of model."""

from functools import partial
from itertools import combinations
from math import factorial

import lightgbm
import numpy as np
import pandas as pd
import pytest
import shap
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from skl2onnx import to_onnx
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from governance.errors import InputError
from governance.measures import explainability_values
from governance.measures.explainability_values import ORDERS, explain
from governance.training import formats

N = 200
FEATURES = ["income", "debt", "years", "noise"]
BINARY, SEVERAL, NUMBER = "binary_classification", "multiclass_classification", "regression"


@pytest.fixture(scope="module")
def frame():
    return pd.DataFrame(np.random.default_rng(0).normal(size=(N, 4)), columns=FEATURES)


@pytest.fixture(scope="module")
def targets(frame):
    amounts = 2 * frame.income - frame.debt + frame.income * frame.years
    amounts += np.random.default_rng(1).normal(size=N)
    return {
        BINARY: (amounts > 0).astype(int),
        SEVERAL: pd.cut(amounts, [-np.inf, -1, 1, np.inf], labels=["high", "low", "middle"]).astype(str),
        NUMBER: amounts * 1000 + 50_000,
    }


def shapley(worth, k):
    """Shapley values by their definition: over every subset of the other features. ``worth`` takes a set."""
    values = []
    for feature in range(k):
        others = [other for other in range(k) if other != feature]
        values.append(0)
        for size in range(k):
            weight = factorial(size) * factorial(k - size - 1) / factorial(k)
            for subset in combinations(others, size):
                values[-1] += weight * (worth({*subset, feature}) - worth(set(subset)))
    return np.array(values)


def by_usual_rows(score, usual, row):
    """Shapley values where a feature that is left out is that of the usual rows."""

    def worth(subset):
        mixed = usual.copy()
        for feature in subset:
            mixed.isetitem(feature, np.repeat(row.iloc[0, feature], len(usual)))
        return np.asarray(score(mixed)).mean(0)

    return shapley(worth, row.shape[1])


def by_tree(tree, row):
    """Shapley values of a scikit-learn tree where a feature that is left out goes both ways, by how many rows did."""

    def worth(subset, node=0):
        left, right = tree.children_left[node], tree.children_right[node]
        if left < 0:
            return tree.value[node][0]
        if tree.feature[node] in subset:
            goes_left = np.float32(row[tree.feature[node]]) <= tree.threshold[node]
            return worth(subset, left if goes_left else right)
        rows = tree.weighted_n_node_samples
        return (rows[left] * worth(subset, left) + rows[right] * worth(subset, right)) / rows[node]

    return shapley(worth, len(row))


def by_xgboost_tree(nodes, row):
    """The same of one tree of XGBoost, from its table of nodes."""
    nodes = nodes.set_index("ID")

    def worth(subset, name):
        node = nodes.loc[name]
        if node.Feature == "Leaf":
            return node.Gain
        if FEATURES.index(node.Feature) in subset:
            return worth(subset, node.Yes if np.float32(row[node.Feature]) < np.float32(node.Split) else node.No)
        yes, no = nodes.loc[node.Yes, "Cover"], nodes.loc[node.No, "Cover"]
        return (yes * worth(subset, node.Yes) + no * worth(subset, node.No)) / (yes + no)

    return shapley(partial(worth, name=nodes.index[0]), len(row))


MODELS = {
    "trees, two classes": (BINARY, HistGradientBoostingClassifier(max_iter=20, random_state=0)),
    "forest, two classes": (BINARY, RandomForestClassifier(20, random_state=0)),
    "margins only": (BINARY, RidgeClassifier()),
    "trees, several classes": (SEVERAL, HistGradientBoostingClassifier(max_iter=5, random_state=0)),
    "forest, several classes": (SEVERAL, RandomForestClassifier(20, random_state=0)),
    "linear, several classes": (SEVERAL, LogisticRegression()),
    "scaled linear, several classes": (SEVERAL, make_pipeline(StandardScaler(), LogisticRegression())),
    "to be asked, several classes": (SEVERAL, GradientBoostingClassifier(n_estimators=5, random_state=0)),
    "trees, numbers": (NUMBER, HistGradientBoostingRegressor(max_iter=20, random_state=0)),
    "trees behind a link, numbers": (NUMBER, HistGradientBoostingRegressor(loss="poisson", max_iter=20)),
    "forest, numbers": (NUMBER, RandomForestRegressor(20, random_state=0)),
    "linear, numbers": (NUMBER, LinearRegression()),
    "linear behind a link, numbers": (NUMBER, make_pipeline(StandardScaler(), PoissonRegressor())),
    "to be asked, numbers": (NUMBER, KNeighborsRegressor()),
    "to be asked, flat": (NUMBER, SVR()),
}


@pytest.mark.parametrize(("task", "model"), MODELS.values(), ids=MODELS)
def test_the_values_of_every_task_add_up_to_the_score_that_they_explain(task, model, frame, targets):
    rows = frame.iloc[:60]
    model.fit(frame, targets[task])

    explained = explain(model, frame, rows, seed=0, task=task)

    total = explained.base + explained.values.sum(1)
    if task == NUMBER:
        expected = model.predict(rows)
    elif hasattr(model, "predict_proba"):
        chosen = 1 if task == BINARY else model.predict_proba(rows).argmax(1)
        expected = model.predict_proba(rows)[np.arange(len(rows)), chosen]
    else:
        expected = model.decision_function(rows)
    assert explained.faithful.all()
    assert explained.scores == pytest.approx(expected)
    if task != SEVERAL:
        said = {
            "score": expected,
            "log-odds": logit(np.clip(expected, 1e-9, 1 - 1e-9)),
            "log": np.log(np.maximum(expected, 1)),
        }
        assert total == pytest.approx(said[explained.scale], rel=1e-4)


def test_log_odds_of_several_classes_are_those_against_the_others(frame, targets):
    model = LogisticRegression().fit(frame, targets[SEVERAL])

    explained = explain(model, frame, frame, seed=0, task=SEVERAL)

    logs = np.log(model.predict_proba(frame))
    own = logs.argmax(1)
    chosen = logs[np.arange(N), own]
    assert explained.scale == "log-odds"
    assert (explained.answers == own).all()
    assert explained.base + explained.values.sum(1) == pytest.approx(chosen - (logs.sum(1) - chosen) / 2)


def test_a_classifier_of_two_by_the_rules_of_several_has_the_same_log_odds(frame, targets):
    data = xgboost.DMatrix(frame, targets[BINARY])
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 2, "max_depth": 3}, data, 10)
    model = formats.from_file(*formats.to_file(booster), trusted_types=(), task=BINARY)

    explained = explain(model, frame, frame, seed=0)

    assert (explained.scale, explained.faithful.all()) == ("log-odds", True)
    assert explained.base + explained.values.sum(1) == pytest.approx(logit(model.predict_proba(frame)[:, 1]), abs=1e-4)


@pytest.mark.parametrize("task", [BINARY, SEVERAL, NUMBER])
def test_the_values_of_a_tree_are_those_of_their_definition(task, frame, targets):
    tree = DecisionTreeRegressor if task == NUMBER else DecisionTreeClassifier
    model = tree(max_depth=4, random_state=0).fit(frame, targets[task])

    explained = explain(model, frame, frame.iloc[:5], seed=0, task=task)

    for row in range(5):
        expected = by_tree(model.tree_, frame.iloc[row].to_numpy())[:, explained.answers[row]]
        assert explained.values[row] == pytest.approx(expected)


def native(library, task, frame, target):
    """A model of another library, as it comes back from its file."""
    classes = sorted(set(target)) if task == SEVERAL else None
    coded = target.map(classes.index) if classes else target
    if library == "onnx":
        made = {NUMBER: LinearRegression()}.get(task, LogisticRegression()).fit(frame, target)
        body = to_onnx(made, frame.to_numpy(np.float32), options={"zipmap": False} if task != NUMBER else None)
        return formats.from_file("model.onnx", body.SerializeToString(), trusted_types=(), task=task, classes=classes)
    made = {
        ("xgboost", NUMBER): xgboost.XGBRegressor,
        ("lightgbm", NUMBER): lightgbm.LGBMRegressor,
        ("lightgbm", None): partial(lightgbm.LGBMClassifier, verbosity=-1),
        ("xgboost", None): xgboost.XGBClassifier,
    }[library, task if task == NUMBER else None](n_estimators=12, max_depth=3, n_jobs=1).fit(frame, coded)
    return formats.from_file(*formats.to_file(made), trusted_types=(), task=task, classes=classes)


@pytest.mark.parametrize("task", [BINARY, SEVERAL, NUMBER])
@pytest.mark.parametrize("library", ["xgboost", "lightgbm", "onnx"])
def test_models_of_other_libraries_are_explained_in_whatever_order_their_columns_are(library, task, frame, targets):
    model = native(library, task, frame, targets[task])
    rows = frame.iloc[:40]
    turned = [rows[FEATURES[::-1]], frame[FEATURES[::-1]]] if library != "onnx" else [rows, frame]

    explained = explain(model, frame, rows, seed=0, task=task)
    other = explain(model, turned[1], turned[0], seed=0, task=task)

    wanted = model.predict(rows) if task == NUMBER else model.predict_proba(rows).max(1)
    if task != BINARY:
        assert explained.scores == pytest.approx(wanted, rel=1e-5)
    assert explained.faithful.all()
    assert pd.DataFrame(explained.values, columns=explained.features)[list(other.features)].to_numpy() == pytest.approx(
        other.values
    )
    assert np.abs(explained.values).mean(0).argmax() == 0


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_their_own_explainers_are_asked_and_not_the_model_again_and_again(library, frame, targets, monkeypatch):
    model = native(library, BINARY, frame, targets[BINARY])
    monkeypatch.setattr(explainability_values, "_by_permutation", None)

    assert explain(model, frame, frame, seed=0).scale == "log-odds"


def test_the_values_of_xgboost_are_those_of_their_definition(frame, targets):
    model = native("xgboost", NUMBER, frame, targets[NUMBER] / 1000)
    trees = model.native.trees_to_dataframe()

    explained = explain(model, frame, frame.iloc[:3], seed=0, task=NUMBER)

    for row in range(3):
        expected = sum(by_xgboost_tree(nodes, frame.iloc[row]) for _, nodes in trees.groupby("Tree"))
        assert explained.values[row] == pytest.approx(expected, abs=1e-4)


def test_the_values_of_lightgbm_are_those_of_shap(frame, targets):
    model = native("lightgbm", SEVERAL, frame, targets[SEVERAL])

    explained = explain(model, frame, frame, seed=0, task=SEVERAL)

    margins = np.asarray(shap.TreeExplainer(model.native).shap_values(frame))
    own = margins[np.arange(N), :, explained.answers]
    assert explained.values == pytest.approx((own - margins.mean(2)) * 1.5)


def test_xgboost_is_explained_up_to_the_round_in_which_it_stopped(frame, targets):
    made = xgboost.XGBClassifier(n_estimators=200, early_stopping_rounds=3, n_jobs=1)
    made.fit(frame[:150], targets[BINARY][:150], eval_set=[(frame[150:], targets[BINARY][150:])], verbose=False)
    model = formats.from_file(*formats.to_file(made), trusted_types=(), task=BINARY)

    assert made.best_iteration + 1 < made.get_booster().num_boosted_rounds()
    assert explain(model, frame, frame, seed=0).scale == "log-odds"


def test_walking_there_and_back_is_exact_for_interactions_of_two_features(frame):
    def score(rows):
        return np.column_stack([rows.income * rows.debt + rows.years**2 - rows.noise, rows.debt])

    usual, rows = frame.iloc[:20], frame.iloc[[30, 31]]
    values, base = explainability_values._by_permutation(score, usual, rows, 0, np.array([0, 1]))

    assert values[0] == pytest.approx(by_usual_rows(score, usual, rows.iloc[[0]])[:, 0])
    assert values[1] == pytest.approx(by_usual_rows(score, usual, rows.iloc[[1]])[:, 1])
    assert base == pytest.approx(score(usual).mean(0))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_permutation_values_add_up_under_any_seed(seed):
    generator = np.random.default_rng(seed)
    rows = pd.DataFrame(generator.normal(size=(12, 3)), columns=list("abc"))

    def score(frame):
        return np.tanh(frame.a * frame.b * frame.c + frame.a).to_numpy()[:, None]

    values, base = explainability_values._by_permutation(score, rows.iloc[:6], rows, seed, np.zeros(12, dtype=int))

    assert base + values.sum(1) == pytest.approx(score(rows)[:, 0])


class ThreeWay:
    """Predicts a product of three features, which one order of features alone does not divide evenly."""

    def predict(self, rows):
        return (rows.a * rows.b * rows.c).to_numpy()


def test_more_orders_come_closer_to_the_definition():
    rows = pd.DataFrame(np.random.default_rng(3).normal(size=(15, 3)), columns=list("abc"))
    expected = [by_usual_rows(ThreeWay().predict, rows, rows.iloc[[at]]) for at in range(15)]

    few, many = (explain(ThreeWay(), rows, rows, 0, task=NUMBER, orders=orders) for orders in (1, ORDERS))

    assert np.abs(many.values - expected).mean() < np.abs(few.values - expected).mean() / 2
    assert many.faithful.all()


@pytest.mark.parametrize("favourable", ["denied", "approved"])
@pytest.mark.parametrize(
    "model",
    [
        HistGradientBoostingClassifier(max_iter=10, random_state=0),
        RandomForestClassifier(10, random_state=0),
        RidgeClassifier(),
        LogisticRegression(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_the_favourable_class_is_explained_exactly_wherever_it_stands(model, favourable, frame, targets, monkeypatch):
    monkeypatch.setattr(explainability_values, "_by_permutation", None)
    model.fit(frame, np.where(targets[BINARY], favourable, "approved" if favourable == "denied" else "denied"))

    explained = explain(model, frame, frame, seed=0, favourable=favourable)

    assert explained.faithful.all()
    assert np.corrcoef(explained.scores, targets[BINARY])[0, 1] > 0.5
    assert np.corrcoef(explained.values[:, 0], frame.income)[0, 1] > 0.5


@pytest.mark.parametrize("favourable", ["denied", "approved"])
def test_unless_it_is_named_the_favourable_class_is_that_of_the_threshold(favourable, frame, targets):
    inner = LogisticRegression().fit(frame, np.where(targets[BINARY], "approved", "denied"))
    model = FixedThresholdClassifier(FrozenEstimator(inner), threshold=0.3, pos_label=favourable)

    explained = explain(model, frame, frame, seed=0)

    assert explained.scores == pytest.approx(inner.predict_proba(frame)[:, int(favourable == "denied")])


@pytest.mark.parametrize(
    "model",
    [HistGradientBoostingRegressor(loss="poisson", max_iter=20), make_pipeline(StandardScaler(), PoissonRegressor())],
    ids=["trees", "linear"],
)
def test_a_link_of_predicted_numbers_is_seen_through(model, frame, targets, monkeypatch):
    monkeypatch.setattr(explainability_values, "_by_permutation", None)

    explained = explain(model.fit(frame, targets[NUMBER]), frame, frame, seed=0, task=NUMBER)

    assert explained.scale == "log"
    assert np.exp(explained.base + explained.values.sum(1)) == pytest.approx(model.predict(frame))


def test_of_several_classes_a_favourable_one_may_be_named(frame, targets):
    model = RandomForestClassifier(10, random_state=0).fit(frame, targets[SEVERAL])

    explained = explain(model, frame, frame, seed=0, task=SEVERAL, favourable="low")

    assert explained.scores == pytest.approx(model.predict_proba(frame)[:, 1])
    assert not explained.own_class


def test_a_favourable_class_that_the_model_does_not_know_is_refused(frame, targets):
    model = LogisticRegression().fit(frame, targets[BINARY])

    with pytest.raises(InputError, match="knows the favourable class 'yes', found one for 0, 1"):
        explain(model, frame, frame, seed=0, favourable="yes")


class Off:
    """A regressor whose explanations are made to be off by some standard deviations of its predictions."""

    def __init__(self, inner):
        self.inner = inner

    def predict(self, rows):
        return self.inner.predict(rows)


@pytest.mark.parametrize(("off", "coverage"), [(0.5e-4, 1.0), (2e-4, 0.0)], ids=["within", "beyond"])
@pytest.mark.parametrize("unit", [1e-6, 1, 1e6])
def test_a_prediction_may_be_off_by_a_ten_thousandth_of_their_spread_in_any_unit(
    frame, monkeypatch, off, coverage, unit
):
    class Sum:
        def predict(self, rows):
            return unit * rows.sum(axis=1).to_numpy()

    exact = explainability_values._by_permutation

    def shifted(*arguments):
        values, base = exact(*arguments)
        return values, base + off * Sum().predict(frame).std()

    monkeypatch.setattr(explainability_values, "_by_permutation", shifted)

    assert explain(Sum(), frame, frame, seed=0, task=NUMBER).faithful.mean() == coverage


def test_the_same_prediction_for_everyone_is_explained_by_nothing(frame):
    class Flat:
        def predict(self, rows):
            return np.full(len(rows), 0.1 + 0.2)

    explained = explain(Flat(), frame, frame, seed=0, task=NUMBER)

    assert explained.faithful.all()
    assert explained.unusable == "no feature moves the model's score"
