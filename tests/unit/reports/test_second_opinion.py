"""Evidently's report: what it is made of, that it says so, and that it copes with what columns hold."""

import re

import numpy as np
import pandas as pd
import pytest

from governance.reports import second_opinion

ROWS = 300


def frame(seed: int, rows: int = ROWS) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "income": draw.normal(seed, 1, rows),
            "region": draw.choice(["north", "south"], rows),
            "owner": draw.random(rows) < 0.5,
            "infinite": np.where(np.arange(rows) % 9, draw.random(rows), np.inf),
            "constant": 1.0,
            "gone": np.nan,
            "at": pd.date_range("2026-01-01", periods=rows, freq="h", tz="UTC"),
        }
    )


@pytest.fixture(scope="module")
def opinion():
    reference, current = frame(0), frame(1)
    reference.loc[:2, "region"] = "Castle Hill 12"
    return second_opinion.render(reference, current, about="loan <b>, one day.", sample=200)


@pytest.fixture(scope="module")
def page(opinion) -> str:
    return opinion.page.decode()


def test_it_says_first_that_it_decides_nothing_and_what_it_is_made_of(page):
    begin = page.index("<body>")
    told = re.sub(r"<[^>]+>", "", page[begin : page.index("</p>", begin)])

    assert told.startswith("A second opinion, made by Evidently. It decides nothing. loan &lt;b&gt;, one day.")
    assert "Made of 200 of 300 rows of the reference and 200 of 300 rows of the window, drawn with seed 0." in told
    assert "Left out, without a value on one side or of times: gone and at." in told


def test_it_is_evidentlys_report_of_the_columns(opinion, page):
    assert opinion.left_out == ("gone", "at")
    for name in ("income", "region", "owner", "infinite", "constant"):
        assert name in page, name
    assert '"Data Drift Summary"' in page


def test_a_value_that_few_have_is_not_in_it(page):
    assert "north" in page
    assert "Castle Hill" not in page


def test_it_stands_alone(page):
    loaded = re.findall(r"""<(?:script|link|img|iframe)[^>]*\b(?:src|href)=["'](?!data:)([^"']+)""", page)
    assert loaded == []


def test_the_same_rows_give_the_same_sample():
    one, two = (second_opinion._sampled(frame(0), 50) for _ in range(2))

    assert one.equals(two)


def test_few_rows_are_looked_at_whole():
    told = second_opinion._made_of((20, 30), (20, 30), ())

    assert told == "Made of all 20 rows of the reference and all 30 rows of the window."


def test_without_a_column_that_it_has_a_test_for_the_page_says_so():
    gone = pd.DataFrame({"gone": [np.nan] * 3})

    found = second_opinion.render(gone, gone, about="It.")
    assert b"Left out, without a value on one side or of times: gone." in found.page
