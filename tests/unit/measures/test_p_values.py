"""Chances that are corrected for how many columns there are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from governance.measures.drift import measure_drift
from governance.measures.drift_distances import adjusted

chances = st.lists(st.floats(0, 1), min_size=1, max_size=40).map(np.array)


def test_published_p_values_are_corrected_as_published() -> None:
    """Holm's correction as R's documentation of p.adjust prints it for 0.01, 0.02, 0.03, 0.04, 0.05."""
    assert adjusted(np.array([0.01, 0.02, 0.03, 0.04, 0.05])) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])


@given(chances)
def test_it_is_never_smaller_never_above_one_and_keeps_the_order(given_: np.ndarray) -> None:
    found = adjusted(given_)
    assert ((found >= given_) & (found <= 1)).all()
    assert (np.diff(found[np.argsort(given_, kind="stable")]) >= 0).all()


def test_a_column_of_numbers_has_the_chance_of_its_ks_times_the_columns() -> None:
    random = np.random.default_rng(3)
    reference = pd.DataFrame({"a": random.normal(size=400), "b": random.normal(size=400)})
    current = pd.DataFrame({"a": random.normal(0.3, size=300), "b": random.normal(size=300)})
    found = {one.slice["column"]: one.value for one in measure_drift(reference, current) if one.name == "drift.p_value"}
    alone = {name: ks_2samp(reference[name], current[name], method="asymp").pvalue for name in "ab"}
    assert alone["a"] < alone["b"]
    assert found["a"] == pytest.approx(2 * alone["a"], rel=0.2)  # scipy's asymptotic form corrects for small n


@pytest.mark.parametrize(("level", "drifted"), [(0.05, 0.5), (1e-12, 0.0)])
def test_what_counts_as_drifted_is_by_the_level_that_is_asked_for(level: float, drifted: float) -> None:
    random = np.random.default_rng(3)
    reference = pd.DataFrame({"a": random.normal(size=100), "b": random.normal(size=100)})
    current = pd.DataFrame({"a": random.normal(0.7, size=100), "b": random.normal(size=100)})
    found = measure_drift(reference, current, level=level)
    assert next(one.value for one in found if one.name == "drift.share_drifted") == drifted
