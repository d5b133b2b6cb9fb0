"""The history as a chart: any numbers stay inside their box, and what is drawn is what was measured."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.reports import timeline
from governance.reports.timeline import Bars, Change, Day, Line, Panel, Point, Term

NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.floats(0, 1) | st.just(0.0)
MAYBE = st.none() | NUMBER
WORD = st.text("aé<>&'\" ", max_size=12)
ICONS = st.sampled_from(["ring", "full", "dashed", "dash", "fault", "retrain", "back", "call"])
PATH = re.compile(r"([MLHVhv]-?[\d.]+( -?[\d.]+)?|Z)*")
POSITION = st.floats(-5, 200)


def a_day(number: int = 0, **kwargs) -> Day:
    given_ = {
        "date": (f"{number}", f"{number} Nov"),
        "icon": "ring",
        "word": "",
        "tone": "muted",
        "href": f"/d/{number}",
    }
    return Day(**{**given_, "told": f"day {number}: nothing", **kwargs})


@st.composite
def points(draw) -> Point:
    value, ends = draw(MAYBE), sorted([draw(NUMBER), draw(NUMBER)])
    low, high = ends if draw(st.booleans()) else (None, None)
    return Point(value, low, high, draw(st.sampled_from(["", "w", "b"])), small=draw(st.booleans()))


@st.composite
def histories(draw) -> dict:
    n = draw(st.integers(1, 12))
    many = {"min_size": n, "max_size": n}
    lines = st.builds(Line, st.lists(MAYBE, **many), WORD, st.sampled_from(["limit", "warnline", "signed"]))
    panel = st.builds(Panel, WORD, st.just(()), st.lists(points(), **many), st.lists(lines, max_size=2), later=WORD)
    counts = st.lists(st.integers(0, 10**9), **many)
    bars = st.builds(Bars, WORD, st.just(()), counts, counts)
    day = st.builds(a_day, st.integers(1, 31), icon=ICONS, word=WORD, told=WORD, after_gap=st.booleans())
    return {
        "days": draw(st.lists(day, **many)),
        "terms": draw(st.lists(st.builds(Term, WORD, POSITION, POSITION), max_size=3)),
        "changes": draw(st.lists(st.builds(Change, POSITION, WORD, st.booleans()), max_size=3)),
        "panels": draw(st.lists(panel | bars, max_size=3)),
    }


def drawn(chart: str) -> tuple[ElementTree.Element, ElementTree.Element]:
    """Return the words at the left, and the chart."""
    whole = ElementTree.fromstring(chart)
    return whole[0], whole[1]


def numbers(picture: ElementTree.Element, axis: str) -> list[float]:
    """Return every coordinate along an axis."""
    names, letters = (("x", "cx"), "[MLH]") if axis == "x" else (("y", "cy"), "V")
    found = [float(node.get(name)) for node in picture.iter() for name in names if node.get(name)]
    paths = [node.get("d") or "" for node in picture.iter()]
    if axis == "y":
        found += [float(y) for path in paths for y in re.findall(r"[ML]-?[\d.]+ (-?[\d.]+)", path)]
    return found + [float(number) for path in paths for number in re.findall(rf"{letters}(-?[\d.]+)", path)]


@given(histories())
def test_whatever_the_numbers_are_everything_stays_inside_the_chart(history):
    chart = timeline.timeline("loan", "finding", **history)
    heads, picture = drawn(chart)

    paths = [node.get("d") for node in picture.iter() if node.get("d") is not None]
    assert all(PATH.fullmatch(path) for path in paths)  # no nan, nothing infinite
    left, top, width, height = (float(number) for number in picture.get("viewBox").split())
    assert all(left <= x <= left + width for x in numbers(picture, "x"))
    assert all(top <= y <= top + height for y in numbers(picture, "y"))
    assert all(0 <= x <= float(heads.get("width")) for x in numbers(heads, "x"))
    assert all(float(node.get("width")) >= 0 for node in picture.iter() if node.get("width"))


@given(histories())
def test_each_window_is_one_link_that_says_itself(history):
    _, picture = drawn(timeline.timeline("loan", "finding", **history))
    links = list(picture.iter("a"))

    assert [link.get("href") for link in links] == [day.href for day in history["days"]]
    assert [link.get("aria-label") for link in links] == [day.told for day in history["days"]]


def test_no_window_is_no_chart():
    assert timeline.timeline("loan", "finding", []) == ""


def test_title_and_description_are_read_out():
    _, picture = drawn(timeline.timeline("loan over time", "21 windows: 1 × <retrain>.", [a_day()]))
    named = {node.get("id"): node.text for node in picture.iter() if node.get("id")}

    assert picture.get("role") == "group"
    assert named[picture.get("aria-labelledby")] == "loan over time"
    assert named[picture.get("aria-describedby")] == "21 windows: 1 × <retrain>."


def circles(points_: list[Point], lines: tuple = ()) -> list[tuple[str, float]]:
    """Return class and height of the dots of a panel."""
    days = [a_day(number) for number in range(len(points_))]
    panel = Panel("Drift", (), points_, lines)
    _, picture = drawn(timeline.timeline("loan", "finding", days, panels=[panel]))
    found = [(str(node.get("class")), float(node.get("cy"))) for node in picture.iter("circle")]
    return [one for one in found if "dot" in one[0]]


def test_more_is_drawn_higher_and_what_is_missing_is_not_drawn():
    found = circles([Point(0.1), Point(None), Point(0.3), Point(0.2)])

    assert [style for style, _ in found] == ["dot", "dot", "dot"]
    assert found[1][1] < found[2][1] < found[0][1]


def test_too_few_rows_are_a_dashed_ring_and_never_a_dot():
    assert [style for style, _ in circles([Point(0.1), Point(None, small=True)])] == ["dot-ref dashed", "dot"]


def test_where_windows_are_missing_the_line_breaks_and_the_place_is_marked():
    days = [a_day(1), a_day(2), a_day(9, after_gap=True)]
    chart = timeline.timeline("loan", "f", days, panels=[Panel("Drift", (), [Point(0.1), Point(0.2), Point(0.1)])])
    line = next(node for node in drawn(chart)[1].iter() if node.get("class") == "line")

    assert re.sub(r"[^ML]", "", line.get("d")) == "MLM"
    assert chart.count('class="gap"') == 1


def test_a_limit_stays_in_sight_of_a_value_far_beyond_it():
    found = timeline.timeline(
        "loan", "f", [a_day()], panels=[Panel("Drift", (), [Point(900.0, tone="b")], [Line([0.1], "roll back")])]
    )
    limit = next(node for node in drawn(found)[1].iter() if node.get("class") == "limit")
    height = float(re.search(r"M[\d.]+ ([\d.]+)", limit.get("d")).group(1))

    assert height < timeline.TOP + 52 - 6  # not pressed onto the base line
    assert 'class="beyond b"' in found
    assert ">900<" in found


def test_a_limit_that_changes_is_drawn_as_steps():
    days = [a_day(number) for number in range(4)]
    lines = [Line([0.1, 0.1, 0.3, None], "signed", "signed")]
    chart = timeline.timeline("loan", "f", days, panels=[Panel("Parity", (), [Point(0.2)] * 4, lines)])
    step = next(node for node in drawn(chart)[1].iter() if node.get("class") == "signed")

    assert re.sub(r"[^MLHV]", "", step.get("d")) == "MHHLH"


def test_labels_that_are_not_there_yet_are_said_in_the_chart():
    days = [a_day(1), a_day(2)]
    later = Panel("Loss", (), [Point(0.1), Point(None)], later="labels not there yet")
    now = Panel("Loss", (), [Point(None), Point(0.1)], later="labels not there yet")

    assert "labels not there yet" in timeline.timeline("loan", "f", days, panels=[later])
    assert "labels not there yet" not in timeline.timeline("loan", "f", days, panels=[now])


@given(NUMBER, NUMBER)
def test_the_numbers_beside_a_panel_are_few_and_inside_it(one, other):
    low, high = min(one, other), max(one, other)
    found = timeline.ticks(low, high)

    assert len(found) <= 4
    assert all(low <= tick <= high for tick in found)
    assert found == sorted(set(found))


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.0, 2, "0"), (0.25, 2, "0.25"), (-0.5, 1, "–0.5"), (1200.0, 0, "1200"), (2e7, 0, "2e7"), (3e-9, 2, "3e-9")],
)
def test_a_number_inside_a_chart_is_short(value, digits, text):
    assert timeline.written(value, digits) == text


@given(st.lists(MAYBE, max_size=60), WORD)
def test_any_shares_make_a_sparkline_inside_its_box(shares, told):
    picture = ElementTree.fromstring(timeline.sparkline(shares, told))

    assert picture.get("aria-label") == told
    assert all(0 <= x <= timeline.SPARK_WIDTH for x in numbers(picture, "x"))
    assert all(0 <= y <= timeline.SPARK_HEIGHT for y in numbers(picture, "y"))


def test_a_sparkline_ends_at_the_right_and_breaks_where_nothing_was_measured():
    picture = ElementTree.fromstring(timeline.sparkline([0.1, None, 0.2, 0.4], "told"))
    line = next(node for node in picture.iter() if node.get("class") == "line")
    dot = next(node for node in picture.iter("circle"))

    assert re.sub(r"[^ML]", "", line.get("d")) == "MML"
    assert float(dot.get("cx")) == timeline.SPARK_WIDTH - 4


@given(st.floats(0, 1e300), st.floats(0, 1e300))
def test_any_value_fits_beside_its_limit(value, most):
    picture = ElementTree.fromstring(timeline.against(value, 0.2, most))

    assert all(0 <= float(node.get("width")) <= timeline.LIMIT_WIDTH for node in picture.iter("rect"))
    assert all(0 <= x <= timeline.LIMIT_WIDTH for x in numbers(picture, "x"))
