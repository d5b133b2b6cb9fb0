"""SHAP against closed forms and brute force, and what counts as an explanation at all."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from governance.errors import InputError
from governance.measures import explainability_values
from governance.measures.explainability import importances, measure_explainability
from governance.measures.explainability_values import explain

N = 300
FEATURES = ["income", "debt", "years", "noise"]


@pytest.fixture(scope="module")
def frame():
    generator = np.random.default_rng(0)
    return pd.DataFrame(generator.normal(size=(N, 4)), columns=FEATURES)


@pytest.fixture(scope="module")
def labels(frame):
    generator = np.random.default_rng(1)
    return (2 * frame.income - frame.debt + frame.income * frame.years + generator.normal(size=N) > 0).astype(int)


def keyed(found):
    return {(each.name.removeprefix("explainability."), each.slice.get("feature")): each for each in found}


@pytest.mark.parametrize(
    "model",
    [
        HistGradientBoostingClassifier(max_iter=20, random_state=0),
        GradientBoostingClassifier(n_estimators=20, random_state=0),
        RandomForestClassifier(20, random_state=0),
        LogisticRegression(),
        RidgeClassifier(),
        KNeighborsClassifier(),
        make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)),
        make_pipeline(PCA(), LogisticRegression()),
        make_pipeline(PolynomialFeatures(), LogisticRegression()),
    ],
    ids=lambda model: "+".join(type(step).__name__ for step in getattr(model, "steps", [model]))[:40],
)
def test_the_explanations_of_every_kind_of_model_add_up(model, frame, labels):
    found = keyed(measure_explainability(model.fit(frame, labels), frame, frame))

    assert (found["coverage", None].value, found["coverage", None].n) == (1.0, N)
    assert sum(found["importance", feature].value for feature in FEATURES) == pytest.approx(1)
    assert max(FEATURES, key=lambda feature: found["importance", feature].value) == "income"
    assert found["direction", "income"].value > 0.5
    assert found["direction", "debt"].value < -0.5


@pytest.mark.parametrize("fitted", [True, False])
def test_a_threshold_and_a_frozen_model_are_looked_into(frame, labels, fitted):
    inner = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(frame, labels)
    outer = FixedThresholdClassifier(FrozenEstimator(inner), threshold=0.1)
    if fitted:
        outer.fit(frame, labels)

    explained = explain(outer, frame, frame, seed=0)

    assert explained.faithful.all()
    assert (explained.values == explain(inner, frame, frame, seed=0).values).all()


def test_linear_models_are_explained_by_coefficient_times_distance_from_the_mean(frame, labels):
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, labels)

    explained = explain(model, frame, frame, seed=0)

    # The scaled background has mean 0, so the value is the coefficient times the scaled feature.
    expected = model[-1].coef_[0] * model[0].transform(frame)
    assert explained.values == pytest.approx(expected)


def test_an_explainer_that_is_silently_wrong_is_not_believed(frame, labels):
    # shap misreads the categorical splits of this model without a word: its values are off by whole log-odds.
    rows = frame.assign(town=pd.Categorical(np.where(labels, 5, 3)))
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=20, random_state=0)
    model.fit(rows, labels)
    wrong = explainability_values._by_trees(model, rows, rows)

    found = keyed(measure_explainability(model, rows, rows))

    assert not np.allclose((wrong.base + wrong.values.sum(1))[:, 0], model.decision_function(rows))
    assert found["coverage", None].value == 1.0
    assert found["importance", "town"].value > 0.5
    assert found["direction", "town"].reason == "its values are not numbers"


def test_words_may_be_features(frame, labels):
    rows = frame.assign(town=np.where(labels, "Lynn", "Salem"))
    encode = make_column_transformer((OneHotEncoder(), ["town"]), remainder="passthrough")

    found = keyed(measure_explainability(make_pipeline(encode, LogisticRegression()).fit(rows, labels), rows, rows))

    assert found["coverage", None].value == 1.0
    assert found["importance", "town"].value > 0.3


def test_preparation_that_adds_columns_is_not_mistaken_for_the_features_themselves(frame, labels):
    rows = frame.mask(np.random.default_rng(0).random(frame.shape) < 0.2)
    model = make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression()).fit(rows, labels)

    explained = explain(model, rows, rows, seed=0)

    assert explained.values.shape == rows.shape
    assert explained.faithful.all()


def test_missing_values_are_explained_and_left_out_of_the_direction(frame, labels):
    rows = frame.assign(debt=frame.debt.where(frame.debt > 0))
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(rows, labels)

    found = keyed(measure_explainability(model, rows, rows))

    assert found["coverage", None].value == 1.0
    assert found["direction", "debt"].n == (frame.debt > 0).sum()


def test_what_a_score_does_not_rest_on_has_no_direction(frame, labels):
    rows = frame.assign(constant=1.0, ignored=0.0)
    model = LogisticRegression().fit(rows, labels)
    model.coef_[0, 5] = 0.0
    other = rows.assign(ignored=np.arange(N, dtype=float))

    found = keyed(measure_explainability(model, other, other))

    assert found["direction", "constant"].reason == "its value is the same in every row"
    assert found["direction", "ignored"].reason == "it never moves the score"
    assert found["importance", "ignored"].value == 0.0


def test_a_model_that_says_the_same_of_everyone_has_no_importances(frame, labels):
    model = LogisticRegression().fit(frame, labels)
    model.coef_[:] = 0.0

    found = keyed(measure_explainability(model, frame, frame))

    assert found["coverage", None].value == 1.0
    for key in (("top_10_share", None), ("importance", "income"), ("direction", "income")):
        assert (found[key].value, found[key].reason) == (None, "no feature moves the model's score")


class Dice:
    """Scores each row anew each time: nothing can explain it."""

    def __init__(self):
        self.generator = np.random.default_rng(0)

    def predict_proba(self, rows):
        score = self.generator.random(len(rows))
        return np.column_stack([1 - score, score])


def test_a_model_that_throws_dice_is_not_explained(frame):
    found = keyed(measure_explainability(Dice(), frame, frame))

    assert found["coverage", None].value < 0.05
    assert found["coverage", None].n == N


def test_a_score_that_is_not_a_number_is_not_explained(frame):
    class Broken:
        def predict_proba(self, rows):
            return np.full((len(rows), 2), np.nan)

    found = keyed(measure_explainability(Broken(), frame, frame))

    assert found["coverage", None].value == 0.0
    assert found["top_10_share", None].reason == f"none of {N} explanations adds up to the model's score"


def test_no_more_rows_are_explained_than_asked_for_and_the_draw_is_seeded(frame, labels):
    model = LogisticRegression().fit(frame, labels)

    found = measure_explainability(model, frame, frame, limit_rows=50, seed=1)

    assert found[0].n == 50
    assert found == measure_explainability(model, frame, frame, limit_rows=50, seed=1)
    assert found != measure_explainability(model, frame, frame, limit_rows=50, seed=2)


def test_a_model_that_must_be_asked_has_a_budget(frame, labels, monkeypatch):
    monkeypatch.setattr(explainability_values, "BUDGET", 20 * 9 * 25)
    model = KNeighborsClassifier().fit(frame, labels)

    assert explain(model, frame, frame, seed=0).values.shape == (25, 4)


def test_numpys_global_generator_is_left_alone(frame, labels):
    model = KNeighborsClassifier().fit(frame, labels)
    before = np.random.get_state()[1].tolist()

    measure_explainability(model, frame, frame.iloc[:20])

    assert np.random.get_state()[1].tolist() == before


def test_fewer_rows_make_wider_intervals(frame, labels):
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(frame, labels)
    all_rows, some = (keyed(measure_explainability(model, frame, frame, limit_rows=limit)) for limit in (N, 50))

    for key in (("top_10_share", None), ("importance", "income"), ("direction", "debt")):
        assert some[key].high - some[key].low >= all_rows[key].high - all_rows[key].low
        assert some[key].low <= some[key].value <= some[key].high


@pytest.fixture(scope="module")
def wide(labels):
    """Twelve features, of which the model uses eleven, and what is measured of it."""
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(generator.normal(size=(N, 12)), columns=[f"x{position}" for position in range(12)])
    model = LogisticRegression().fit(rows, labels)
    model.coef_[0, 7] = 0.0
    return model, rows, keyed(measure_explainability(model, rows, rows))


@pytest.mark.parametrize("top", [3, 5, 10])
def test_the_largest_features_are_counted(wide, top):
    _, rows, found = wide
    shares = sorted((found["importance", feature].value for feature in rows), reverse=True)

    assert found[f"top_{top}_share", None].value == pytest.approx(sum(shares[:top]))
    assert found["top_3_share", None].value < found["top_5_share", None].value < found["top_10_share", None].value < 1


def test_importances_are_what_is_measured_by_feature(wide):
    model, rows, found = wide

    shares = importances(explain(model, rows, rows, seed=0))

    assert shares == pytest.approx({feature: found["importance", feature].value for feature in rows})


def test_there_are_no_importances_where_nothing_moves_the_score(frame, labels):
    model = LogisticRegression().fit(frame, labels)
    model.coef_[:] = 0.0

    assert importances(explain(model, frame, frame, seed=0)) == {}


def test_what_the_model_does_not_use_is_counted(wide):
    _, _, found = wide

    assert (found["unused_features", None].value, found["unused_features", None].n) == (1, N)


def test_the_ranking_is_stable_where_features_are_far_apart_and_not_where_they_are_alike(frame, labels):
    model = LogisticRegression().fit(frame, labels)
    apart, alike = ([[8.0, 4.0, 2.0, 1.0]], [[1.0, 1.0, 1.0, 1.0]])
    found = []
    for coefficients in (apart, alike):
        model.coef_ = np.array(coefficients)
        found.append(keyed(measure_explainability(model, frame, frame))["stability", None])

    assert found[0].value == pytest.approx(1, abs=1e-9)
    assert found[1].value < 0.9
    assert found[1].low < found[1].value < found[1].high


def test_stability_is_the_mean_rank_correlation_of_pairs_of_resamples(wide):
    model, rows, found = wide
    weights = explain(model, rows, rows, seed=0).weights
    weights = weights[:, weights.any(0)]
    generator = np.random.default_rng(5)
    drawn = [weights[generator.integers(0, N, N)].mean(0) for _ in range(600)]
    alike = [spearmanr(one, other).statistic for one, other in zip(drawn[::2], drawn[1::2], strict=True)]

    measured = found["stability", None]

    assert measured.value == pytest.approx(np.mean(alike), abs=0.02)
    assert (measured.low, measured.high) == pytest.approx(np.quantile(alike, [0.025, 0.975]), abs=0.06)


def test_features_that_the_model_does_not_use_do_not_make_the_ranking_more_stable(frame, labels):
    found = []
    for features in (["income", "debt"], FEATURES):
        model = LogisticRegression().fit(frame[features], labels)
        model.coef_ = np.ones((1, len(features)))
        model.coef_[0, 2:] = 0.0
        found.append(keyed(measure_explainability(model, frame[features], frame[features]))["stability", None])

    assert found[0] == found[1]
    assert found[0].value < 0.95


def test_fewer_rows_make_a_less_stable_ranking(wide):
    model, rows, found = wide
    some = keyed(measure_explainability(model, rows, rows, limit_rows=30))

    assert some["stability", None].value < found["stability", None].value


def test_a_ranking_of_one_feature_is_stable(frame, labels):
    model = LogisticRegression().fit(frame, labels)
    model.coef_[0, 1:] = 0.0

    found = keyed(measure_explainability(model, frame, frame))

    assert (found["stability", None].value, found["unused_features", None].value) == (1.0, 3)


def test_denials_with_a_faithful_explanation_have_reasons(frame, labels):
    model = LogisticRegression().fit(frame, labels)
    denied = int((model.predict_proba(frame)[:, 1] < 0.5).sum())

    found = keyed(measure_explainability(model, frame, frame))["denials_with_reasons", None]

    assert (found.value, found.n) == (1.0, denied)


def test_the_threshold_of_the_model_says_who_is_denied_unless_the_caller_does(frame, labels):
    inner = LogisticRegression().fit(frame, labels)
    model = FixedThresholdClassifier(FrozenEstimator(inner), threshold=0.2)
    scores = inner.predict_proba(frame)[:, 1]

    own, told = (
        keyed(measure_explainability(model, frame, frame, **decide))["denials_with_reasons", None].n
        for decide in ({}, {"decide": lambda scores: (scores >= 0.7).astype(int)})
    )

    assert (own, told) == ((scores < 0.2).sum(), (scores < 0.7).sum())


def test_a_denial_that_no_feature_brought_about_has_no_reason(frame, labels):
    model = LogisticRegression().fit(frame, labels)
    model.coef_[:], model.intercept_[:] = 0.0, -3.0

    found = keyed(measure_explainability(model, frame, frame))["denials_with_reasons", None]

    assert (found.value, found.n) == (0.0, N)


def test_a_denial_whose_explanation_fails_has_no_reason(frame):
    found = keyed(measure_explainability(Dice(), frame, frame))

    assert found["denials_with_reasons", None].value < 0.05


def test_where_nobody_is_denied_there_is_not_enough_data(frame, labels):
    model = LogisticRegression().fit(frame, labels)

    found = keyed(measure_explainability(model, frame, frame, decide=np.ones_like))["denials_with_reasons", None]

    assert (found.value, found.n) == (None, 0)
    assert found.reason.startswith("not enough data")


def test_a_regression_is_explained_and_denies_nobody(frame):
    model = LinearRegression().fit(frame, 3 * frame.income - frame.debt)

    found = keyed(measure_explainability(model, frame, frame, task="regression"))

    assert ("denials_with_reasons", None) not in found
    assert found["coverage", None].value == 1.0
    assert found["importance", "income"].value == pytest.approx(3 / 4, abs=0.03)
    assert found["direction", "debt"].value == pytest.approx(-1)


def test_several_classes_are_explained_and_have_no_direction(frame):
    model = LogisticRegression().fit(frame, pd.cut(frame.income, 3, labels=False))

    found = keyed(measure_explainability(model, frame, frame, task="multiclass_classification", favourable=2))

    assert ("denials_with_reasons", None) not in found
    assert found["coverage", None].value == 1.0
    assert found["importance", "income"].value > 0.5
    assert found["direction", "income"].reason.startswith("of several classes each row's own is explained")


@pytest.mark.parametrize("rows", [slice(0, 0), ["income", "debt"]], ids=["no rows", "other columns"])
def test_rows_that_do_not_fit_the_background_are_refused(frame, labels, rows):
    model = LogisticRegression().fit(frame, labels)

    with pytest.raises(InputError, match="same features and at least one row each"):
        measure_explainability(model, frame, frame[rows])
