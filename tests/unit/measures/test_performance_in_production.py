"""The loss now beside the loss that was validated, against published numbers."""

import numpy as np
import pytest

from governance.measures.performance_in_production import loss_rise
from governance.records import Measurement


def answers(wrong: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    truth = np.zeros(n, dtype=int)
    return truth, (np.arange(n) < wrong).astype(int)


def accuracy(right: int, n: int) -> Measurement:
    return Measurement("performance.accuracy", right / n, n)


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """Newcombe (1998), table II, example (a), method 10: 56/70 − 48/80 is 0.0524 to 0.3339."""
    found = loss_rise("binary_classification", *answers(56, 70), accuracy(32, 80), minimum_n=30)
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))
    assert found.n == 70


def test_of_numbers_it_is_a_share_of_the_error_that_was_validated() -> None:
    truth = np.full(400, 10.0)
    said = truth + np.where(np.arange(400) % 2, 3.0, -1.0)
    validated = Measurement("performance.mae", 1.6, 500, {}, 1.5, 1.7)
    found = loss_rise("regression", truth, said, validated, minimum_n=30)
    assert found.value == pytest.approx(2 / 1.6 - 1)
    half = np.hypot(1.959963984540054 * np.std(np.abs(said - truth), ddof=1) / 20, 2 / 1.6 * 0.1) / 1.6
    assert (found.low, found.high) == (pytest.approx(0.25 - half), pytest.approx(0.25 + half))


@pytest.mark.parametrize(
    ("validated", "n", "told"),
    [
        (None, 100, "holds no loss to compare with"),
        (Measurement("performance.accuracy", None, 0, reason="it failed"), 100, "holds no loss to compare with"),
        (accuracy(90, 100), 29, "not enough data: 29 labels have arrived, and 30 are needed"),
    ],
)
def test_what_cannot_be_compared_has_no_value_and_says_why(validated: Measurement, n: int, told: str) -> None:
    found = loss_rise("binary_classification", *answers(3, n), validated, minimum_n=30)
    assert found.value is None
    assert told in str(found.reason)


def test_an_error_of_zero_rises_by_no_share() -> None:
    validated = Measurement("performance.mae", 0.0, 500, {}, 0.0, 0.0)
    assert loss_rise("regression", np.ones(50), np.zeros(50), validated, minimum_n=30).value is None
