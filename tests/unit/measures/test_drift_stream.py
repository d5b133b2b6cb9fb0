"""Counting rows as they go by gives what counting them together gives, in memory that does not grow."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.measures import drift
from governance.measures.drift_frames import counted
from governance.measures.drift_shapes import Bin, Shape, shape_of
from governance.measures.drift_stream import Stream


def kept(reference) -> Shape:
    """Return what is kept of a reference, beside a window like it."""
    return shape_of(counted("x", pd.Series(reference), pd.Series(reference)))


def counts(stream: Stream) -> list[int]:
    return stream._counts.tolist()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["normal", "few", "text"])
def test_the_lower_end_is_that_of_the_window_as_a_whole(seed, kind):
    draw = np.random.default_rng(seed)
    make = {
        "normal": lambda shift, n: draw.normal(shift, 1, n),
        "few": lambda shift, n: draw.integers(0, 5 + 3 * shift, n).astype(float),
        "text": lambda shift, n: draw.choice(["a", "b", "c", "new"][: 3 + shift], n),
    }[kind]
    reference, current = make(0, 3000), make(1, 1200)
    stream = Stream(kept(reference))
    for part in np.array_split(current, 7):
        stream.count(part.tolist())
    whole = drift.psi(counted("x", pd.Series(reference), pd.Series(current)))

    assert stream.rows == 1200
    assert stream.psi_at_least(drift.LEVEL) == pytest.approx(whole.low, rel=0.05)


def test_values_of_which_the_reference_has_none_are_elsewhere():
    stream = Stream(kept([0.0] * 50 + [1.0] * 50))
    stream.count([0, 1, 0.5, -3.0, 7.0, None, True])

    assert counts(stream) == [1, 2, 3, 1]


def test_a_number_that_is_a_bin_of_its_own_is_found_whatever_its_last_digit():
    third = 1 / 3
    stream = Stream(kept([third] * 60 + list(np.linspace(0, 1, 101))))
    stream.count([third, math.nextafter(third, 1), math.nextafter(third, 0), float(np.float32(third)), third + 1e-6])

    own = next(at for at, one in enumerate(stream.shape.bins) if one.low == one.high)
    assert counts(stream)[own] == 4


def test_the_last_end_of_bins_that_were_put_together_is_inside():
    stream = Stream(kept([0.0] * 50 + [1.0] * 48 + [17.0] * 2))
    stream.count([17.0, 1.0, 17.1])

    assert counts(stream) == [0, 2, 1, 0]


def test_text_that_is_not_named_is_one_of_the_others_or_elsewhere():
    others, none = (Stream(kept(["a"] * 50 + rare)) for rare in (["b"] * 2, []))
    for stream in (others, none):
        stream.count(["a", "z", None, "a"])

    assert counts(others) == [2, 1, 0, 1]
    assert counts(none) == [2, 1, 1]


def test_yes_and_no_are_counted_by_their_names():
    stream = Stream(kept([True] * 30 + [False] * 20))
    stream.count([True, False, True])

    assert counts(stream)[:2] == [2, 1]


def test_nothing_that_went_by_has_not_drifted():
    assert Stream(kept([1.0] * 50)).psi_at_least(0.05) == 0.0


def test_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match="could not convert"):
        Stream(kept(np.arange(100.0))).count(["none of your business"])


END = st.none() | st.floats(-1e6, 1e6)
SHAPES = st.builds(
    lambda bins: Shape("x", "numbers", (100, 100), (0, 0), tuple(Bin(low, high, None, 5, 5) for low, high in bins)),
    st.lists(st.tuples(END, END), max_size=8),
)


@given(SHAPES, st.lists(st.none() | st.floats() | st.booleans(), max_size=40))
def test_whatever_goes_by_is_counted_once(shape, values):
    stream = Stream(shape)
    stream.count(values)

    assert sum(counts(stream)) == stream.rows == len(values)
    assert 0.0 <= stream.psi_at_least(0.05) < math.inf
    assert len(counts(stream)) == len(shape.bins) + 2
