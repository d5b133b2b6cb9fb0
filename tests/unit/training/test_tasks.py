"""The three tasks: what a label is, what a score is, and how a score becomes an answer."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression

from governance.errors import InputError
from governance.training.tasks import BinaryClassification, MulticlassClassification, Regression

RANDOM = np.random.default_rng(0)
FRAME = pd.DataFrame({"a": RANDOM.normal(size=90), "b": RANDOM.normal(size=90)})
COLOURS = pd.Series(np.array(["red", "green", "blue"])[np.arange(90) % 3], name="colour")
MULTICLASS = MulticlassClassification(("red", "green", "blue"))


class Answering:
    """An estimator that answers what it was told."""

    def __init__(self, answer, classes=(0, 1)) -> None:
        self.answer, self.classes_ = answer, np.array(classes)

    def predict_proba(self, frame):
        return self.answer

    predict = predict_proba


class TestBinary:
    @pytest.mark.parametrize("favourable", ["yes", True, 1, "1"])
    def test_the_favourable_value_is_label_1(self, favourable) -> None:
        target = pd.Series([favourable, "other", favourable], dtype=object)
        assert BinaryClassification(favourable).labels(target).tolist() == [1, 0, 1]

    def test_the_score_is_the_probability_of_the_favourable_value_wherever_the_model_keeps_it(self) -> None:
        model = LogisticRegression().fit(FRAME, np.where(FRAME["a"] > 0, "approve", "deny"))
        probabilities = model.predict_proba(FRAME)
        assert np.array_equal(BinaryClassification("approve").scores(model, FRAME), probabilities[:, 0])
        assert np.array_equal(BinaryClassification("deny").scores(model, FRAME), probabilities[:, 1])

    def test_a_score_on_the_threshold_is_decided_in_favour(self) -> None:
        assert BinaryClassification(1).decide(np.array([0.29, 0.3, 0.31]), 0.3).tolist() == [0, 1, 1]

    def test_a_model_that_does_not_know_the_favourable_value_is_refused(self) -> None:
        with pytest.raises(InputError, match="that knows the class 'approve', found one for 0, 1"):
            BinaryClassification("approve").scores(Answering(np.full((90, 2), 0.5)), FRAME)

    @pytest.mark.parametrize("value", [np.nan, -0.1, 1.1, np.inf])
    def test_what_is_no_probability_is_refused(self, value: float) -> None:
        with pytest.raises(InputError, match="90 × 2 numbers from 0 to 1"):
            BinaryClassification(1).scores(Answering(np.full((90, 2), value)), FRAME)


class TestMulticlass:
    def test_labels_are_positions_in_the_order_of_the_spec(self) -> None:
        assert MULTICLASS.labels(COLOURS)[:3].tolist() == [0, 1, 2]
        assert MULTICLASS.values(np.array([2, 0])) == ["blue", "red"]

    def test_a_value_that_is_no_class_is_named_with_what_to_do(self) -> None:
        with pytest.raises(InputError, match=r"red, green, blue in the target colour, found 'pink'\. Add it"):
            MULTICLASS.labels(pd.Series(["red", "pink"], name="colour"))

    def test_scores_come_in_the_order_of_the_spec_not_of_the_model(self) -> None:
        model = LogisticRegression().fit(FRAME, COLOURS)
        assert model.classes_.tolist() == ["blue", "green", "red"]
        assert np.array_equal(MULTICLASS.scores(model, FRAME), model.predict_proba(FRAME)[:, [2, 1, 0]])

    def test_the_answer_is_the_most_probable_class(self) -> None:
        model = LogisticRegression().fit(FRAME, COLOURS)
        scores = MULTICLASS.scores(model, FRAME)
        assert MULTICLASS.values(MULTICLASS.decide(scores, None)) == model.predict(FRAME).tolist()

    def test_probabilities_that_do_not_add_up_are_refused(self) -> None:
        with pytest.raises(InputError, match="add up to 1"):
            MULTICLASS.scores(Answering(np.full((90, 3), 0.5), ("red", "green", "blue")), FRAME)

    @given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=20))
    def test_scores_kept_as_columns_come_back_as_they_were(self, rows: list[list[float]]) -> None:
        scores = np.array(rows)
        columns = MULTICLASS.columns(scores)
        assert np.array_equal(columns["score"], scores.max(1))
        assert np.array_equal(MULTICLASS.from_columns(pd.DataFrame(columns)), scores)

    def test_the_gap_is_the_share_of_answers_that_would_have_to_change(self) -> None:
        assert MULTICLASS.gap(np.array([0, 0, 1, 2]), np.array([0, 0, 0, 0])) == 0.5


class TestRegression:
    def test_labels_scores_and_answers_are_the_numbers_themselves(self) -> None:
        target = pd.Series(RANDOM.normal(size=90), name="wage")
        model = RandomForestRegressor(3, random_state=0).fit(FRAME, target)
        task = Regression()
        scores = task.scores(model, FRAME)
        assert np.array_equal(task.labels(target), target)
        assert np.array_equal(task.decide(scores, None), model.predict(FRAME))
        assert task.threshold is None

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_a_target_that_is_not_finite_is_named_with_its_row(self, value: float) -> None:
        with pytest.raises(InputError, match=f"target wage, found {value} in row 1"):
            Regression().labels(pd.Series([1.0, value], name="wage"))

    def test_text_is_no_number(self) -> None:
        with pytest.raises(InputError, match="Expected numbers in the target wage"):
            Regression().labels(pd.Series(["many"], name="wage"))

    @pytest.mark.parametrize("answer", [np.full(90, np.nan), np.zeros(3), np.zeros((90, 2))])
    def test_predictions_that_are_not_one_finite_number_a_row_are_refused(self, answer) -> None:
        with pytest.raises(InputError, match="Expected predict to give 90 finite numbers"):
            Regression().scores(Answering(answer), FRAME)

    def test_strata_are_quarters_of_the_labels(self) -> None:
        assert np.bincount(Regression().strata(np.arange(100.0))).tolist() == [25, 25, 25, 25]
        assert set(Regression().strata(np.full(10, 3.0))) == {1}
