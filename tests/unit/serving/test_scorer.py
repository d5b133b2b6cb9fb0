"""The quick way to a score gives what the careful way gives, bit for bit."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from governance.release.inputs import Inputs
from governance.serving.scorer import Scorer
from governance.training.artifacts import Description, Feature, LoadedModel, with_threshold

NAMES = ("a", "b", "c")
BOUND = {"type": "float64", "minimum": None, "maximum": None, "allowed": None, "nullable": False}


def scorer_of(estimator, frame, labels) -> tuple[Scorer, LoadedModel, Inputs]:
    features = tuple(Feature(name, "float64", "") for name in NAMES)
    description = Description(
        "tiny", "Tests.", features, "binary_classification", "y", "Yes.", favourable=1, threshold=0.5
    )
    decided = with_threshold(estimator.fit(frame, labels), 0.5, description.asked)
    model, inputs = LoadedModel(description, "0" * 64, decided), Inputs(dict.fromkeys(NAMES, BOUND))
    return Scorer(SimpleNamespace(model=model, inputs=inputs)), model, inputs


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).normal(size=(300, 3)), columns=NAMES)


@pytest.mark.parametrize(
    "estimator",
    [
        HistGradientBoostingClassifier(max_iter=20),
        DecisionTreeClassifier(max_depth=4, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ],
    ids=["boosting", "tree", "logistic"],
)
def test_numbers_go_without_a_data_frame_and_score_the_same(estimator, frame):
    scorer, model, inputs = scorer_of(estimator, frame, (frame["a"] > frame["b"]).astype(int))
    rows = frame.to_numpy().tolist()

    assert scorer.is_plain
    for count in (1, 7, 300):
        assert scorer.scores_in_place(rows[:count]).tolist() == model.score(inputs.frame(rows[:count])).tolist()


def test_a_pipeline_that_picks_columns_by_name_gets_its_data_frame(frame):
    by_name = make_pipeline(ColumnTransformer([("scaled", StandardScaler(), ["c", "a"])]), LogisticRegression())
    scorer, model, inputs = scorer_of(by_name, frame, (frame["a"] > 0).astype(int))
    rows = frame.to_numpy().tolist()[:5]

    assert not scorer.is_plain
    assert scorer.scores(rows).tolist() == model.score(inputs.frame(rows)).tolist()
