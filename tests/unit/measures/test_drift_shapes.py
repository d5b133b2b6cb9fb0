"""What is kept of a column to be drawn: the bins of its PSI, and nothing that singles anybody out."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from governance.measures import drift_counts, drift_distances
from governance.measures.drift import measure_drift
from governance.measures.drift_frames import counted
from governance.measures.drift_shapes import FEW, LONGEST_NAME, MOST_NAMED, Shape, shape_of


def shape(reference, current, dtype=None, **kwargs) -> Shape:
    return shape_of(counted("x", pd.Series(reference, dtype=dtype), pd.Series(current, dtype=dtype)), **kwargs)


def psi_of(found: Shape) -> float:
    counts = np.array([[one.reference, one.current] for one in found.bins] + [list(found.missing)]).T
    return float(drift_distances.stability_index(counts))


def test_numbers_are_kept_in_the_tenths_of_the_reference():
    found = shape(np.arange(1000.0), np.arange(500.0))

    assert [(one.low, one.high) for one in found.bins[:2]] == [(None, 99.9), (99.9, 199.8)]
    assert found.bins[-1].high is None
    assert [one.reference for one in found.bins] == [100] * 10
    assert [one.current for one in found.bins] == [100] * 5 + [0] * 5


def test_psi_can_be_computed_again_from_what_is_kept():
    draw = np.random.default_rng(3)
    frames = [
        pd.DataFrame({"x": draw.normal(shift, 1, 2000), "few": draw.integers(0, 4 + shift, 2000).astype(float),
                      "text": draw.choice(["a", "b", "c"][: 2 + shift], 2000)})
        for shift in (0, 1)
    ]  # fmt: skip
    frames[1].loc[:300, "x"] = np.nan
    shapes = {}
    measured = measure_drift(*frames, seen=lambda column: shapes.update({column.name: shape_of(column)}))
    psi = {one.slice["column"]: one.value for one in measured if one.name == "drift.psi"}

    assert set(shapes) == {"x", "few", "text"}
    for name, found in shapes.items():
        assert psi_of(found) == pytest.approx(psi[name]), name


def test_one_of_few_numbers_is_a_bin_of_its_own():
    found = shape([0.0] * 50 + [1.0] * 50, [0.0] * 10 + [1.0] * 90)

    assert [(one.low, one.high, one.reference, one.current) for one in found.bins] == [(0, 0, 50, 10), (1, 1, 50, 90)]


def test_a_number_that_few_have_is_not_told_apart():
    found = shape([0.0] * 50 + [1.0] * 48 + [17.0] * 2, [0.0] * 50 + [1.0] * 50)

    assert [(one.low, one.high, one.reference) for one in found.bins] == [(0, 0, 50), (1, 17, 50)]


def test_a_value_of_text_that_few_have_is_one_of_the_others():
    found = shape(["city"] * 40 + ["land"] * 6 + ["The Hague 12"] + ["x"] * 4, ["city"] * 40 + ["new"] * 5 + ["y"])

    assert [one.name for one in found.bins] == ["city", "land", "new", None]
    assert (found.bins[-1].reference, found.bins[-1].current, found.others) == (5, 1, 3)


def test_many_values_are_named_up_to_a_limit_and_none_at_length():
    found = shape([f"{'long' * 30} {number:03}" for number in range(40) for _ in range(9)], ["short"] * 9)

    assert len(found.bins) == MOST_NAMED + 1
    assert max(len(one.name) for one in found.bins if one.name) == LONGEST_NAME
    assert sum(one.reference for one in found.bins) == 360


def test_what_is_missing_is_counted_apart():
    found = shape([1.0, 2.0] * 20 + [None] * 4, [None] * 7)

    assert (found.rows, found.missing) == ((44, 7), (4, 7))
    assert sum(one.current for one in found.bins) == 0


def test_the_ends_of_ranges_are_rounded_to_their_span():
    found = shape(1e6 + np.arange(1000.0) / 7, [1e6])

    assert found.bins[1].low == 1000014.27


def test_classes_are_called_by_their_names():
    scores = np.eye(3)[[0] * 10 + [1] * 20 + [2] * 5]

    found = shape_of(drift_counts.of_answers(scores, scores[:30]), ["dog", "cat", "cow"])

    assert [(one.name, one.reference, one.current) for one in found.bins] == [
        ("dog", 10, 10), ("cat", 20, 20), ("cow", 5, 0)
    ]  # fmt: skip


def test_times_are_said_to_be_times():
    moments = pd.date_range("2026-01-01", periods=100, freq="h", tz="UTC")

    assert shape(moments, moments, times=True).kind == "times"


NUMBERS = st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 1.0, 2.0]), max_size=60)


@given(NUMBERS, NUMBERS)
@example([], [0.0] * 4 + [1.0] * 5 + [2.0] * 4 + [19999.0, -1.0])  # rounded to tens, an end would pass the one
@example([], [0.0, 1.7976500000000002e308])  # which cannot be rounded up
def test_whatever_the_numbers_no_row_is_lost_and_no_bin_is_small(reference, current):
    found = shape(reference, current, "float64")

    for side, at in ((reference, 0), (current, 1)):
        recorded = sum([one.reference, one.current][at] for one in found.bins)
        assert recorded + found.missing[at] == len(side) == found.rows[at]
    assert len(found.bins) <= 1 or all(max(one.reference, one.current) >= FEW for one in found.bins)
    ends = [end for one in found.bins for end in (one.low, one.high) if end is not None]
    assert ends == sorted(ends)
    assert Shape.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found


@given(*[st.lists(st.sampled_from(["a", "b", "c", "d", None]) | st.text(max_size=3), max_size=80)] * 2)
def test_whatever_the_text_no_row_is_lost_and_no_named_value_is_rare(reference, current):
    found = shape(reference, current, "string")
    if found.kind != "values":  # nothing on either side: nothing tells that it was text
        return

    for side, at in ((reference, 0), (current, 1)):
        assert sum([one.reference, one.current][at] for one in found.bins) + found.missing[at] == len(side)
    assert all(max(one.reference, one.current) >= FEW for one in found.bins if one.name is not None)
    assert Shape.from_dict(json.loads(json.dumps(found.to_dict()))) == found
