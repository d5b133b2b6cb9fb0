"""Why a single applicant was scored as they were, and the reasons that a notice may give."""

import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from governance.errors import InputError
from governance.measures import explainability_values
from governance.measures.explainability_reasons import local_explanation, local_explanations, principal_reasons
from governance.measures.explainability_values import Explanation, explain

FEATURES = ["income", "debt", "years", "rooms", "unused", "town"]


@pytest.fixture(scope="module")
def frame():
    generator = np.random.default_rng(0)
    return pd.DataFrame(generator.normal(size=(200, 6)), columns=FEATURES)


@pytest.fixture(scope="module")
def model(frame):
    fitted = LogisticRegression().fit(frame, frame.income > 0)
    fitted.coef_ = np.array([[5.0, -3.0, 2.0, 1.0, 0.0, 0.5]])
    return fitted


def of_values(values, **changed):
    """An explanation with these SHAP values."""
    values = np.array(values, dtype=float)
    n, k = values.shape
    rows = pd.DataFrame(np.zeros((n, k)), columns=FEATURES[:k])
    nothing = np.zeros(n)
    known = Explanation(rows, values, np.ones(n, dtype=bool), nothing, nothing, nothing.astype(int), "score")
    return replace(known, **changed)


def test_reasons_are_what_lowered_the_score_most_from_what_is_usual(frame, model):
    applicant = frame.mean().to_frame().T.add([-0.1, 1.0, 0.0, 4.0, -9.0, -3.0])

    (told,) = local_explanations(model, frame, applicant)

    # By hand: coefficient × distance from the mean of the background.
    assert {each.feature: each.contribution for each in told.contributions} == pytest.approx(
        {"income": -0.5, "debt": -3.0, "years": 0.0, "rooms": 4.0, "unused": 0.0, "town": -1.5}, abs=1e-9
    )
    assert [each.feature for each in told.contributions][:3] == ["rooms", "debt", "town"]
    assert [reason.feature for reason in told.reasons][:3] == ["debt", "town", "income"]
    assert told.score == pytest.approx(model.predict_proba(applicant)[0, 1])


def test_a_feature_that_the_model_does_not_use_is_never_a_reason(frame, model):
    told = local_explanations(model, frame, frame.assign(unused=-100.0), top=len(FEATURES))

    assert all("unused" not in [reason.feature for reason in each.reasons] for each in told)
    assert any("town" in [reason.feature for reason in each.reasons] for each in told)


def test_there_are_no_more_reasons_than_four_unless_asked_for():
    explained = of_values([[-1, -2, -3, -4, -5, -6]])

    assert [reason.feature for reason in principal_reasons(explained, 0)] == ["town", "unused", "rooms", "years"]
    assert len(principal_reasons(explained, 0, top=6)) == 6


def test_what_raised_the_score_is_no_reason():
    assert [reason.feature for reason in principal_reasons(of_values([[3, -1, 0]]), 0)] == ["debt"]


def test_an_explanation_that_does_not_add_up_gives_no_reason():
    explained = of_values([[-1.0, -2.0]], faithful=np.array([False]))

    assert principal_reasons(explained, 0) == ()
    assert not local_explanation(explained, 0).faithful


def test_only_features_that_are_named_can_be_reasons():
    explained = of_values([[-1, -2, -3]])

    assert [each.feature for each in principal_reasons(explained, 0, features_used={"income", "debt"})] == [
        "debt",
        "income",
    ]


def test_equal_reasons_come_in_the_order_of_their_names():
    assert [each.feature for each in principal_reasons(of_values([[-1, -1, -1]]), 0)] == ["debt", "income", "years"]


def test_what_lowered_the_class_that_a_row_was_answered_with_is_no_reason(frame):
    several = LogisticRegression().fit(frame, pd.cut(frame.income, 3, labels=["denied", "held", "approved"]))

    own = local_explanations(several, frame, frame[:20], task="multiclass_classification")
    favoured = local_explanations(several, frame, frame[:20], task="multiclass_classification", favourable="approved")

    assert not any(told.reasons for told in own)
    assert sum(bool(told.reasons) for told in favoured) > 15


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=6), st.integers(1, 6))
def test_reasons_are_the_lowest_contributions_below_zero(values, top):
    reasons = principal_reasons(of_values([values]), 0, top=top)

    assert [reason.contribution for reason in reasons] == sorted(value for value in values if value < 0)[:top]


def test_values_come_as_plain_json(frame):
    rows = frame.assign(debt=np.nan, rooms=3, town="Lynn")
    explained = of_values(np.zeros((200, 6)), rows=rows)

    told = local_explanation(explained, 0)

    values = {each.feature: each.value for each in told.contributions}
    assert values == {**rows.iloc[0].to_dict(), "debt": None}
    assert type(values["rooms"]) is int
    assert json.loads(json.dumps(asdict(told)))["scale"] == "score"


def test_base_and_contributions_add_up_to_the_score(frame):
    trees = HistGradientBoostingClassifier(max_iter=10).fit(frame, frame.income > 0)

    for told in local_explanations(trees, frame, frame[:10]):
        odds = told.base + sum(each.contribution for each in told.contributions)
        assert (told.scale, told.faithful) == ("log-odds", True)
        assert told.score == pytest.approx(1 / (1 + np.exp(-odds)))


def test_more_rows_than_the_budget_allows_are_refused_and_not_left_out(frame, monkeypatch):
    neighbours = KNeighborsClassifier().fit(frame, frame.income > 0)
    monkeypatch.setattr(explainability_values, "BUDGET", 3 * 13 * 20)

    assert len(local_explanations(neighbours, frame, frame[:3])) == 3
    with pytest.raises(InputError, match=r"no more than 3 rows.*found 4"):
        local_explanations(neighbours, frame, frame[:4])


def test_a_single_row_is_explained_by_more_orders_than_one(frame):
    neighbours = KNeighborsClassifier().fit(frame, frame.income * frame.debt * frame.years > 0)

    (told,) = local_explanations(neighbours, frame, frame[:1])

    once = explain(neighbours, frame, frame[:1], 0)
    assert {each.feature: each.contribution for each in told.contributions} != dict(
        zip(FEATURES, once.values[0], strict=True)
    )
    assert told.faithful
