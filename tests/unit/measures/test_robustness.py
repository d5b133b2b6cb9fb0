"""Small changes and bad slices against models whose answers are known by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from statsmodels.stats.proportion import proportion_confint

from governance.errors import InputError
from governance.measures import robustness
from governance.measures.robustness import measure_robustness

N = 4000
BINARY, SEVERAL, NUMBER = "binary_classification", "multiclass_classification", "regression"


@pytest.fixture(scope="module")
def frame():
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "income": generator.normal(50, 10, N),
            "debt": generator.normal(size=N),
            "rooms": generator.integers(1, 9, N),
            "town": generator.choice(["Lynn", "Salem"], N),
        }
    )


def at_half(scores):
    return (scores >= 0.5).astype(int)


def measure(score, frame, *, task=BINARY, labels=None, predictions=None, **keywords):
    keywords = {"decide": at_half if task == BINARY else None, **keywords}
    nothing = np.zeros(len(frame))
    found = measure_robustness(
        score,
        frame,
        nothing if labels is None else labels,
        nothing if predictions is None else predictions,
        task=task,
        **keywords,
    )
    return {(each.name.removeprefix("robustness."), *each.slice.values()): each for each in found}


# --- noise -----------------------------------------------------------------------------------------------------------


def test_decisions_flip_as_often_as_a_normal_distribution_says(frame):
    # Decided at the mean: a row at z standard deviations crosses it with probability Φ(−|z| / 0.1).
    found = measure(lambda rows: (rows.income >= 50).to_numpy(), frame)["noise_flips",]

    z = np.linspace(-6, 6, 10_001)
    expected = np.sum(norm.pdf(z) * norm.cdf(-np.abs(z) / 0.1)) * (z[1] - z[0])
    assert expected == pytest.approx(0.0317, abs=1e-4)
    assert found.value == pytest.approx(expected, abs=0.005)
    assert found.low < expected < found.high
    assert found.n == N


def test_the_interval_of_flips_is_wilsons(frame):
    found = measure(lambda rows: (rows.income >= 50).to_numpy(), frame)["noise_flips",]

    expected = proportion_confint(found.value * N, N, method="wilson")
    assert (found.low, found.high) == pytest.approx(expected)


def test_a_straight_line_moves_by_a_tenth_of_the_mean_distance_of_a_normal_distribution(frame):
    found = measure(lambda rows: 7 * rows.income.to_numpy(), frame, task=NUMBER)["noise_change",]

    assert found.value == pytest.approx(0.1 * np.sqrt(2 / np.pi), abs=0.003)
    assert found.low < 0.1 * np.sqrt(2 / np.pi) < found.high


def test_codes_for_not_recorded_do_not_inflate_the_noise(frame):
    coded = frame.assign(income=frame.income.where(np.arange(N) % 20 > 0, 999_999.0))
    score = lambda rows: (rows.income >= 50).to_numpy()  # noqa: E731

    plain, inflated = (measure(score, rows)["noise_flips",].value for rows in (frame, coded))

    assert inflated == pytest.approx(plain, abs=0.01)


class Remembers:
    """Decides alike for all, and keeps the rows that it was asked about."""

    def __init__(self):
        self.asked = []

    def __call__(self, rows):
        self.asked.append(rows.copy())
        return np.zeros(len(rows))

    def noisy(self):
        """The rows with noise, beside the rows as they were."""
        before, *drawn = self.asked[:4]
        return before, drawn


def test_noise_leaves_whole_numbers_whole_columns_in_their_range_and_the_rest_alone(frame):
    asked = Remembers()
    rows = frame.assign(
        income=frame.income.where(frame.income > 45),
        rooms=frame.rooms * 100,
        count=frame.rooms.astype("Int64").where(frame.rooms > 2) * 50,
        flag=frame.debt > 0,
        city=frame.town.astype("category"),
        mostly=np.where(frame.debt > 1, 5.0, 0.0),
    )

    measure(asked, rows)

    before, drawn = asked.noisy()
    assert len(drawn) == 3
    for noisy in drawn:
        pd.testing.assert_series_equal(noisy.dtypes, before.dtypes)
        pd.testing.assert_frame_equal(noisy.isna(), before.isna())
        pd.testing.assert_frame_equal(
            noisy[["town", "flag", "city", "mostly"]], before[["town", "flag", "city", "mostly"]]
        )
        for column in ("income", "debt", "rooms", "count"):
            assert (noisy[column] != before[column]).mean() > 0.3
            assert before[column].min() <= noisy[column].min() < noisy[column].max() <= before[column].max()
    assert not drawn[0].equals(drawn[1])


def test_the_draws_are_seeded_and_the_rows_are_left_as_they_were(frame):
    score = lambda rows: rows.income.to_numpy()  # noqa: E731
    before = frame.copy()

    found = [measure(score, frame, task=NUMBER, seed=seed) for seed in (0, 0, 1)]

    assert found[0] == found[1]
    assert found[0]["noise_change",] != found[2]["noise_change",]
    pd.testing.assert_frame_equal(frame, before)


def test_without_a_number_that_varies_there_is_no_noise_and_no_pass(frame):
    found = measure(lambda rows: np.zeros(len(rows)), frame[["town"]].assign(same=1.0))["noise_flips",]

    assert found.value is None
    assert found.reason == "there is no column of numbers with different quartiles to add noise to"


def test_predictions_that_never_vary_have_no_change_and_no_pass(frame):
    found = measure(lambda rows: np.full(len(rows), 3.0), frame, task=NUMBER)

    for name in ("noise_change", "missing_change", "missing_refused"):
        assert (found[name,].value, found[name,].reason) == (None, "all predictions are the same number")


def test_of_several_classes_the_most_probable_is_the_decision(frame):
    def score(rows):
        return np.column_stack([rows.income < 45, (rows.income >= 45) & (rows.income < 55), rows.income >= 55])

    found = measure(score, frame, task=SEVERAL)["noise_flips",]

    assert 0.02 < found.value < 0.1


# --- missing values --------------------------------------------------------------------------------------------------


def test_the_feature_whose_absence_changes_most_is_named(frame):
    def score(rows):
        return np.where(rows.income.isna() | (rows.income < 60), 0.0, 1.0) + np.where(rows.town.isna(), 1.0, 0.0) / 4

    found = measure(score, frame)

    approved = float((frame.income >= 60).mean())
    assert found["missing_flips",].value == found["feature_missing_flips", "income"].value
    assert found["missing_flips",].value == pytest.approx(approved, abs=1e-9)
    assert found["feature_missing_flips", "town"].value == 0
    assert found["missing_refused",].value == 0


def test_every_kind_of_column_is_blanked_as_what_it_is(frame):
    asked = Remembers()
    rows = frame.assign(
        count=frame.rooms.astype("Int64"),
        flag=frame.debt > 0,
        city=frame.town.astype("category"),
        known=pd.to_datetime("2026-01-01"),
        word=frame.town.astype("string"),
    )

    found = measure(asked, rows)

    blanked = asked.asked[-rows.shape[1] :]
    assert [list(each.columns[each.isna().all()]) for each in blanked] == [[name] for name in rows]
    assert blanked[list(rows).index("city")].city.cat.categories.tolist() == ["Lynn", "Salem"]
    assert blanked[list(rows).index("rooms")].rooms.dtype == np.float64
    assert found["missing_refused",].value == 0


def test_a_model_that_refuses_what_is_missing_changes_no_decision_and_is_counted(frame):
    numbers = frame[["income", "debt", "rooms"]]
    model = LogisticRegression().fit(numbers, frame.income > 50)

    found = measure(lambda rows: model.predict_proba(rows)[:, 1], numbers)

    assert (found["missing_refused",].value, found["missing_refused",].n) == (1.0, 3)
    assert (found["missing_flips",].value, found["missing_flips",].n) == (0.0, N)
    assert not any(name == "feature_missing_flips" for name, *_ in found)


def test_a_model_that_refuses_one_feature_is_measured_for_the_others(frame):
    def score(rows):
        if rows.debt.isna().any():
            raise InputError("debt is missing")
        return np.where(rows.income.isna(), 1.0, 0.0)

    found = measure(score, frame)

    assert found["missing_refused",].value == 0.25
    assert found["missing_flips",].value == 1.0


def test_a_model_that_cannot_answer_at_all_is_an_error_and_no_measurement(frame):
    def score(rows):
        raise InputError("the model is broken")

    with pytest.raises(InputError, match="broken"):
        measure(score, frame)


def test_numbers_change_by_their_own_spread_when_the_one_feature_is_gone(frame):
    found = measure(lambda rows: rows.income.fillna(50).to_numpy(), frame, task=NUMBER)

    expected = (frame.income - 50).abs().mean() / frame.income.std(ddof=0)
    assert found["missing_change",].value == pytest.approx(expected)
    assert found["feature_missing_change", "income"].value == pytest.approx(expected)


def test_only_the_five_worst_features_are_named():
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 8)), columns=list("abcdefgh"))
    weights = np.arange(1, 9)

    found = measure(lambda rows: rows.fillna(0).to_numpy() @ weights, rows, task=NUMBER)

    assert [rest[0] for name, *rest in found if name == "feature_missing_change"] == list("hgfed")


def test_a_model_is_asked_about_no_more_rows_than_the_budget(frame, monkeypatch):
    monkeypatch.setattr(robustness, "BLANKED", 400)
    asked = Remembers()

    found = measure(asked, frame, limit_rows=300)

    assert found["noise_flips",].n == 300
    assert found["missing_flips",].n == 100
    assert [len(rows) for rows in asked.asked] == [300] * 4 + [100] * 5


# --- slices ----------------------------------------------------------------------------------------------------------


def test_the_worst_quarter_is_found_and_named(frame):
    first = frame.income <= frame.income.quantile(0.25)
    right = np.random.default_rng(3).random(N) < np.where(first, 0.6, 0.95)

    found = measure(at_income, frame, predictions=1 - right)

    worst = found["slice_accuracy", "income: 1st quarter"]
    low, high = proportion_confint(right[first].sum(), first.sum(), method="wilson")
    assert (worst.value, worst.n) == (right[first].mean(), N / 4)
    assert (worst.low, worst.high) == pytest.approx((low, high))
    overall = found["worst_slice_accuracy",]
    assert (overall.value, overall.n, overall.low, overall.high) == (worst.value, worst.n, worst.low, worst.high)
    assert sum(name == "slice_accuracy" for name, *_ in found) == 5


def at_income(rows):
    return (rows.income >= 50).to_numpy()


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("town", "Lynn", "town: Lynn"),
        ("rooms", 3, "rooms: 3"),
        ("sex", "women", "sex: women"),
        ("debt", np.nan, "debt: missing"),
        ("sex", None, "sex: missing"),
        ("size", 2.0, "size: 2"),
    ],
)
def test_values_groups_and_what_is_missing_are_slices(frame, column, value, name):
    generator = np.random.default_rng(1)
    rows = frame.assign(debt=frame.debt.where(frame.debt > -1), size=generator.choice([1.0, 2.0, 2.5], N))
    sex = generator.choice(np.array(["men", "women", None], dtype=object), N)
    values = pd.Series(sex) if column == "sex" else rows[column]
    inside = values.isna() if pd.isna(value) else values == value

    found = measure(at_income, rows, predictions=inside & (generator.random(N) < 0.5), groups={"sex": sex})

    worst = min((each for key, each in found.items() if key[0] == "slice_accuracy"), key=lambda each: each.value)
    assert (worst.slice["slice"], worst.n) == (name, inside.sum())
    assert found["worst_slice_accuracy",].value == worst.value


def test_slices_below_the_minimum_are_not_looked_at(frame):
    rare = pd.Series("common", index=frame.index)
    rare[:29] = "rare"
    predictions = np.where(rare == "rare", 1, 0)

    found = [
        measure(at_income, frame, predictions=predictions, groups={"kind": rare.to_numpy()}, minimum_n=n)
        for n in (29, 30)
    ]

    assert found[0]["worst_slice_accuracy",].value == 0
    assert found[1]["worst_slice_accuracy",].value > 0.9


def test_too_few_rows_are_not_enough_data(frame):
    for task, labels in ((BINARY, None), (NUMBER, np.arange(20))):
        found = measure(lambda rows: rows.income.to_numpy(), frame[:20], task=task, labels=labels)
        name = "worst_slice_error" if task == NUMBER else "worst_slice_accuracy"
        assert (found[name,].value, found[name,].n) == (None, 0)
        assert found[name,].reason == "not enough data: no slice has 30 rows"


def test_the_slice_with_the_largest_errors_is_found_in_those_of_the_whole(frame):
    generator = np.random.default_rng(3)
    salem = (frame.town == "Salem").to_numpy()
    errors = generator.normal(size=N) * np.where(salem, 3.0, 1.0)

    found = measure(at_income_exactly, frame[["income", "town"]], task=NUMBER, labels=errors)

    worst = found["worst_slice_error",]
    expected = np.sqrt((errors[salem] ** 2).mean() / (errors**2).mean())
    assert worst.value == pytest.approx(expected)
    assert worst.n == salem.sum()
    assert worst.value == found["slice_error", "town: Salem"].value
    draws = [ratio(errors[at], salem[at]) for at in (generator.integers(0, N, N) for _ in range(1000))]
    assert (worst.low, worst.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.006)


def at_income_exactly(rows):
    return rows.income.to_numpy()


def ratio(errors, inside):
    return np.sqrt((errors[inside] ** 2).mean() / (errors**2).mean())


def test_predictions_without_any_error_have_no_worst_slice(frame):
    found = measure(lambda rows: rows.income.to_numpy(), frame, task=NUMBER)["worst_slice_error",]

    assert (found.value, found.reason) == (None, "no prediction is off, so no slice is worse")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(40, 200))
def test_the_worst_slice_is_the_worst_of_all_of_them(seed, n):
    generator = np.random.default_rng(seed)
    rows = pd.DataFrame({"x": generator.normal(size=n), "kind": generator.choice(["a", "b", "c"], n)})
    right = generator.random(n) < 0.7
    cuts = pd.qcut(rows.x, 4, labels=robustness.QUARTERS)
    by_hand = pd.concat([pd.Series(right).groupby(by, observed=True).agg(["mean", "size"]) for by in (cuts, rows.kind)])

    found = measure(lambda rows: rows.x.to_numpy(), rows, predictions=1 - right, minimum_n=10)

    assert found["worst_slice_accuracy",].value == by_hand[by_hand["size"] >= 10]["mean"].min()


def test_slices_do_not_depend_on_the_order_of_the_rows(frame):
    wrong = (np.random.default_rng(3).random(N) < 0.2).astype(int)
    turned = np.random.default_rng(1).permutation(N)

    found, other = (
        measure(at_income, rows, predictions=predictions)
        for rows, predictions in ((frame, wrong), (frame.iloc[turned], wrong[turned]))
    )

    slices = {key: each for key, each in found.items() if "slice" in key[0]}
    assert slices == {key: other[key] for key in slices}


def test_trees_of_a_real_library_are_measured(frame):
    numbers = frame.drop(columns="town")
    labels = (frame.income + 5 * frame.debt > 50).astype(int)
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(numbers, labels)

    found = measure(
        lambda rows: model.predict_proba(rows)[:, 1], numbers, labels=labels, predictions=model.predict(numbers)
    )

    assert 0 < found["noise_flips",].value < 0.1
    assert found["feature_missing_flips", "income"].value > found["feature_missing_flips", "rooms"].value
    assert found["missing_refused",].value == 0
    assert 0.8 < found["worst_slice_accuracy",].value < 1


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": np.zeros(3)}, "3 labels"),
        ({"predictions": np.zeros(3)}, "3 predictions"),
        ({"groups": {"sex": np.zeros(3)}}, "3 sex"),
        ({"decide": None}, "Expected `decide`"),
    ],
)
def test_what_does_not_fit_together_is_refused(frame, changed, message):
    with pytest.raises(InputError, match=message):
        measure(at_income, frame, **changed)


@pytest.mark.parametrize("rows", [slice(0, 0), []], ids=["no rows", "no features"])
def test_nothing_is_refused(frame, rows):
    with pytest.raises(InputError, match="Expected rows with features"):
        measure(at_income, frame[rows])
