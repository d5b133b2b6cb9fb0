"""The classifier two-sample test: right at any number of dimensions, and blind to nothing that a line tells apart."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from governance.measures import drift_classifier
from governance.measures.drift import measure_drift
from governance.measures.drift_classifier import AUC, MATERIAL_AUC, P_VALUE, Embedded, as_psi, chance, compare, unknown


def normal(random, rows, width, by=0.0):
    return random.normal(by, size=(rows, width))


def told_apart(reference, current):
    return compare("text", reference, current, minimum_n=50, method="python 00ff")


class TestTheTest:
    @given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=60))
    @settings(deadline=None)
    def test_its_p_value_is_mann_whitneys(self, rows):
        isnew, scores = (np.array(side) for side in zip(*rows, strict=True))
        scores = scores.astype(float)
        if isnew.all() or not isnew.any():
            return
        if len(set(scores)) == 1:
            assert chance(isnew, scores) == 1
            return
        expected = stats.mannwhitneyu(
            scores[isnew], scores[~isnew], alternative="greater", method="asymptotic", use_continuity=False
        )
        assert chance(isnew, scores) == pytest.approx(expected.pvalue, abs=1e-12)

    @pytest.mark.parametrize("width", [2, 200])
    def test_without_drift_it_cries_wolf_as_often_as_it_says(self, width):
        """At 5 %, 60 windows give more than 8 alarms once in 200 such tests; half of the widths have more columns than
        rows to learn from."""
        random = np.random.default_rng(5)
        found = [told_apart(normal(random, 400, width), normal(random, 120, width)).chance for _ in range(60)]
        assert sum(one <= 0.05 for one in found) <= 8
        assert 0.3 < np.mean(found) < 0.7

    def test_rows_that_come_again_are_not_recognised(self):
        """Windows drawn from the reference itself, so that many rows are there several times."""
        random = np.random.default_rng(6)
        reference = normal(random, 200, 100)
        found = [told_apart(reference, reference[random.integers(0, 200, 300)]).chance for _ in range(40)]
        assert sum(one <= 0.05 for one in found) <= 6

    def test_a_shift_of_many_directions_that_is_small_in_each_is_seen(self):
        random = np.random.default_rng(7)
        found = [told_apart(normal(random, 1000, 50), normal(random, 1000, 50, 0.2)) for _ in range(20)]
        assert all(one.chance < 1e-6 and one.auc.value > MATERIAL_AUC for one in found)

    def test_its_value_is_that_of_the_best_line_and_its_interval_holds_it(self):
        random = np.random.default_rng(8)
        found = told_apart(normal(random, 5000, 2), np.array([0.6, 0.0]) + normal(random, 5000, 2))
        truth = stats.norm.cdf(0.6 / math.sqrt(2))
        assert found.auc.value == pytest.approx(truth, abs=0.03)
        assert found.auc.low < truth < found.auc.high
        assert found.auc.n == pytest.approx(2500, abs=100)
        assert (found.auc.slice, found.auc.method) == ({"embedding": "text"}, "delong of python 00ff")

    def test_sides_that_have_nothing_in_common_are_told_apart(self):
        random = np.random.default_rng(9)
        found = told_apart(normal(random, 60, 3), normal(random, 60, 3, 50.0))
        assert (found.auc.value, found.auc.high) == (1.0, 1.0)
        assert found.auc.low > 0.8

    def test_neither_the_order_of_rows_nor_a_second_run_changes_a_bit(self):
        random = np.random.default_rng(10)
        reference, current = normal(random, 300, 20), normal(random, 200, 20, 0.1)
        shuffled = random.permutation(reference), random.permutation(current)
        assert told_apart(reference, current) == told_apart(*shuffled) == told_apart(reference, current)

    def test_of_few_rows_nothing_is_said(self):
        random = np.random.default_rng(11)
        found = told_apart(normal(random, 400, 3), normal(random, 49, 3))
        assert (found.auc.value, found.chance) == (None, None)
        assert found.auc.reason == "not enough data: 400 and 49 rows, and 50 are needed on each side"

    def test_where_all_rows_are_alike_there_is_nobody_to_ask(self):
        found = told_apart(np.ones((60, 2)), np.ones((60, 2)))
        assert found.chance is None
        assert "alike" in found.auc.reason

    def test_an_area_is_as_far_as_a_psi(self):
        assert as_psi(0.5) == as_psi(0.3) == 0
        assert as_psi(MATERIAL_AUC) == pytest.approx(0.2, abs=0.001)
        assert math.isfinite(as_psi(1.0))


class TestAmongTheFeatures:
    FRAMES = (
        pd.DataFrame({"x": np.random.default_rng(12).normal(size=200), "note": [f"then {i}" for i in range(200)]}),
        pd.DataFrame({"x": np.random.default_rng(13).normal(size=200), "note": [f"now {i}" for i in range(200)]}),
    )

    @staticmethod
    def embedded(auc, chance, name="note"):
        measured = drift_classifier.Measurement(AUC, auc, 100, {"embedding": name}, auc - 0.05, auc + 0.05, "delong")
        return Embedded(name, measured, chance)

    def measured(self, *embedded, **more):
        found = measure_drift(*self.FRAMES, embedded=embedded, **more)
        return {(one.name.partition(".")[2], *one.slice.values()): one for one in found}

    def test_one_that_has_a_columns_name_stands_for_it(self):
        found = self.measured(self.embedded(0.7, 1e-9))
        assert {measure for measure, *of in found if of == ["note"]} == {
            "missing_change", AUC.partition(".")[2], P_VALUE.partition(".")[2],
        }  # fmt: skip
        share = found[("share_drifted",)]
        assert (share.value, share.n) == (0.5, 2)
        assert found[("largest_psi",)].value == found[("psi", "x")].value

    def test_another_one_is_one_more_feature(self):
        share = self.measured(self.embedded(0.7, 1e-9, "picture"))[("share_drifted",)]
        assert share.n == 3

    @pytest.mark.parametrize(("auc", "chance"), [(0.6, 1e-9), (0.7, 0.04)])
    def test_it_drifts_by_more_than_chance_and_by_more_than_a_little(self, auc, chance):
        """A p-value of 0.04 is 0.08 where two features are looked at."""
        found = self.measured(self.embedded(auc, chance))
        assert found[("share_drifted",)].value == 0
        assert found[("classifier_two_sample_p_value", "note")].value == pytest.approx(2 * chance)

    def test_one_that_could_not_be_measured_leaves_nothing_to_say_of_the_whole(self):
        found = self.measured(unknown("", "embedding.py: it took longer than 60 s", 200))
        assert found[("classifier_two_sample_auc",)].value is None
        assert found[("share_drifted",)].reason == (
            "its embeddings could not be measured: embedding.py: it took longer than 60 s"
        )
        assert found[("psi", "x")].value is not None

    def test_a_model_of_nothing_but_text_is_judged_by_its_embedding(self):
        reference, current = (frame[["note"]] for frame in self.FRAMES)
        found = measure_drift(reference, current, embedded=[self.embedded(0.7, 1e-9)])
        assert next(one for one in found if one.name == "drift.share_drifted").value == 1

    def test_of_a_column_that_it_stands_for_no_shape_is_kept(self):
        seen = []
        measure_drift(*self.FRAMES, embedded=[self.embedded(0.7, 1e-9)], seen=lambda column: seen.append(column.name))
        assert seen == ["x"]
