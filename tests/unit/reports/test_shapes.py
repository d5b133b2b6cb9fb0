"""Distributions as drawings: what is drawn is what was counted, and the sentence says where it moved most."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.measures.drift_shapes import Bin, Shape
from governance.reports import shapes

DAY = 86_400.0


def numbers(*bins, kind="numbers", missing=(0, 0)) -> Shape:
    rows = tuple(sum(one[at] for one in bins) + missing[at - 2] for at in (2, 3))
    return Shape("x", kind, rows, missing, tuple(Bin(*one[:2], None, *one[2:]) for one in bins))


def times(*bins) -> Shape:
    return numbers(*bins, kind="times")


def values(*bins, others=0) -> Shape:
    rows = tuple(sum(one[at] for one in bins) for at in (1, 2))
    return Shape("x", "values", rows, (0, 0), tuple(Bin(None, None, *one) for one in bins), others)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (
            numbers((None, 1.5, 5, 5), (1.5, 2500.0, 5, 5), (2500.0, None, 5, 5)),
            ["below 1.5", "1.5 to 2,500", "from 2,500"],
        ),
        (numbers((0.0, 0.0, 5, 5), (1.0, 1.0, 5, 5), (1.0, None, 0, 5)), ["0", "1", "over 1"]),
        (numbers((None, None, 5, 5)), ["all"]),
        (numbers((None, -3e-7, 5, 5), (-3e-7, 1e12, 5, 5)), ["below –3e-07", "–3e-07 to 1e+12"]),
        (numbers((0.0, 1.0, 5, 5), missing=(0, 2)), ["0 to 1", "missing"]),
        (values(("city", 9, 5), (None, 3, 1), others=4), ["city", "others (4)"]),
        (
            times((None, 400 * DAY, 5, 5), (400 * DAY, 900 * DAY, 5, 5)),
            ["below 5 Feb 1971", "5 Feb 1971 to 19 Jun 1972"],
        ),
        (times((0.0, DAY / 2, 5, 5)), ["1 Jan 1970 00:00 to 1 Jan 1970 12:00"]),
        (times((None, 1e300, 5, 5)), ["below 1e+300 s"]),
    ],
    ids=["ranges", "numbers", "one bin", "tiny and huge", "missing", "text", "days", "hours", "no time"],
)
def test_a_bin_has_a_name_that_a_person_reads(shape, expected):
    assert [name for name, _, _ in shapes.shares(shape)] == expected


def test_the_sentence_says_where_the_sides_differ_most():
    assert shapes.finding(values(("city", 80, 50), ("land", 20, 50))) == "city: 80.0 % → 50.0 %"


def test_more_that_is_missing_is_a_difference_too():
    assert (
        shapes.finding(numbers((0.0, 1.0, 50, 20), (1.0, 2.0, 40, 20), missing=(10, 60))) == "missing: 10.0 % → 60.0 %"
    )


def test_without_rows_there_is_nothing_to_say():
    assert shapes.finding(numbers()) == "no rows"


def bars(chart: str, style: str) -> list[float]:
    return [float(one.get("height")) for one in ElementTree.fromstring(chart) if one.get("class") == style]


def test_bars_are_as_high_as_shares_and_reach_the_top_with_the_largest():
    chart = shapes.draw(values(("city", 80, 40), ("land", 20, 60)), "region")

    assert bars(chart, "bar-then") == pytest.approx([32.0, 8.0])
    assert bars(chart, "bar-now") == pytest.approx([16.0, 24.0])


def test_the_window_of_numbers_is_a_line_over_the_bars_of_the_reference():
    chart = shapes.draw(numbers((None, 1.0, 50, 100), (1.0, None, 50, 0)), "income")

    assert bars(chart, "bar-then") == pytest.approx([16.0, 16.0])
    assert '<path class="line" d="M0 3.0V3.0H66.0V35.0H132.0"/>' in chart


def test_the_drawing_says_what_it_shows_to_who_does_not_see_it():
    chart = shapes.draw(values(("<b>", 80, 50), ("land", 20, 50)), 'a"b')

    told = ElementTree.fromstring(chart)
    assert told.get("role") == "img"
    assert told.get("aria-label") == 'a"b, reference and this window. The largest change: <b>: 80.0 % → 50.0 %.'


COUNT = st.integers(0, 10**7)
END = st.none() | st.floats(-1e300, 1e300)
NUMBERS = st.builds(
    lambda bins, missing, kind: numbers(*bins, kind=kind, missing=missing),
    st.lists(st.tuples(END, END, COUNT, COUNT), max_size=21),
    st.tuples(COUNT, COUNT),
    st.sampled_from(["numbers", "times"]),
)
VALUES = st.builds(
    lambda bins, others: values(*bins, others=others),
    st.lists(st.tuples(st.none() | st.text("a<>&'\" ", max_size=9), COUNT, COUNT), max_size=11),
    st.integers(0, 10**6),
)


@given(NUMBERS | VALUES)
def test_whatever_is_drawn_stays_inside_its_box(shape):
    whole = ElementTree.fromstring(shapes.draw(shape, "x"))

    for one in whole.iter("rect"):
        x, y, width, height = (float(one.get(name)) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + width <= shapes.WIDTH + 0.6
        assert 0 <= y <= y + height <= shapes.HEIGHT
    for one in whole.iter("path"):
        assert all(0 <= float(number) <= shapes.WIDTH for number in re.findall(r"[\d.]+", one.get("d")))
        assert "-" not in one.get("d")
