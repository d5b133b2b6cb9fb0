"""The page of failing rows."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from governance.data.contracts import ContractResult, ExpectationResult
from governance.reports.quarantine import render

CANARY = 7_654_321
ROWS = pd.DataFrame(
    {
        "price": [0.5, 200.0],
        "black": [CANARY, 1],
        "phone": ["0617-555-0199", None],
        "note": ["<script>alert(1)</script>", "x" * 200],
    },
    index=pd.MultiIndex.from_tuples([(0, 3), (0, 12)], names=["expectation", "row"]),
)


def expectation(
    column, found="2 of 50 values outside (4.0 %)", severity="critical", success=False, rows=(3, 12), **more
):
    given = {
        "type": "expect_column_values_to_be_between",
        "columns": (column,),
        "expected": "values from 5 to 100",
        "unexpected_percent": 4.0,
        "notes": "In $1000.",
    }
    return ExpectationResult(
        **{**given, "severity": severity, "found": found, "success": success, "rows": rows, **more}
    )


def result(*expectations, rows=ROWS):
    blocked = any(one.blocks for one in expectations)
    return ContractResult(not blocked, expectations, "c" * 64, 50, rows)


def page(*expectations, rows=ROWS, **more):
    given = {"title": "Mortgage approval", "hidden": ["black"], "personal": ["phone"]}
    return render(result(*expectations, rows=rows), **{**given, **more})


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "path", "rect", "use", "br", "circle"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def text_of(html):
    body = html.partition("<body>")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_it_says_what_was_expected_what_was_found_and_why():
    text = text_of(page(expectation("price"), meanings={"price": "Purchase price, $1000"}, snapshot="d" * 64))

    for words in (
        "Blocked: data fault. 1 expectation of the contract is not met.",
        "price Purchase price, $1000 values from 5 to 100 In $1000. 2 of 50 values outside (4.0 %)",
        "dddddddddddd",
        "cccccccccccc",
    ):
        assert words in text


def test_rows_are_shown_with_their_number_and_the_failing_column_first():
    html = page(expectation("price"))

    assert re.findall(r'<th scope="col" class="num[^"]*">(\w+)</th>', html) == ["price", "black", "phone", "note"]
    assert re.findall(r'scope="row">(\d+)<', html) == ["3", "12"]
    assert html.count('aria-label="failed"') == 2


def test_protected_and_personal_columns_never_show_a_value():
    html = page(expectation("black"), expectation("phone"), expectation("price"))

    assert str(CANARY) not in html
    assert "555" not in html
    assert "●●●" in html
    assert "Masked: black, phone." in text_of(html)


def test_what_the_data_say_is_text_and_never_markup():
    html = page(expectation("price", found="<b>x</b>"), title="<i>loan</i>", rows=ROWS.rename(columns={"note": "<u>"}))

    for markup in ("<script", "<b>", "<i>", "<u>"):
        assert markup not in html


def test_it_stands_alone_is_well_formed_and_runs_nothing():
    html = page(expectation("price"))
    tags = Tags()

    tags.feed(html)

    assert tags.open == []
    assert not {"script", "link", "img", "iframe", "base"} & set(tags.seen)
    assert not [name for name, _ in tags.attributes if name == "style" or name.startswith("on")]
    assert not [value for name, value in tags.attributes if name in ("href", "src") and not value.startswith("#")]
    assert "url(" not in html.partition("<body>")[0].replace("url(#hatch)", "")


def test_a_long_text_is_cut():
    assert "x" * 41 not in page(expectation("price"))


def test_a_column_that_is_gone_is_told_once():
    gone = [expectation("bd", found="no column bd", rows=(), unexpected_percent=None) for _ in range(4)]

    text = text_of(page(*gone))

    assert text.count("no column bd") == 1
    assert "this column, of which 4 expectations speak" in text
    assert "4 expectations of the contract are not met" in text


@pytest.mark.parametrize(
    ("expectations", "words"),
    [
        ([expectation("price", severity="warning")], "Met, with 1 warning. Nothing blocks"),
        ([expectation("price", success=True, rows=())], "Met. The data are as the contract wants them."),
        (
            [expectation("price"), expectation("price", severity="warning"), expectation("price", severity="warning")],
            "1 expectation of the contract is not met; 2 more warn.",
        ),
    ],
    ids=["warning", "met", "both"],
)
def test_the_banner_says_the_result_first(expectations, words):
    assert words in text_of(page(*expectations))


def test_without_a_single_failing_row_it_says_that_whole_columns_fail():
    html = page(expectation("min30", found="one in 100 % of rows", rows=()), rows=ROWS.head(0))

    assert "No single row fails" in text_of(html)


def test_a_row_that_fails_twice_is_shown_once():
    rows = pd.concat([ROWS, ROWS.rename(index={0: 1})])

    html = page(expectation("price"), expectation("note"), rows=rows)

    assert re.findall(r'scope="row">(\d+)<', html) == ["3", "12"]


def test_of_a_window_it_says_when_it_was_asked_and_that_production_is_not_touched():
    found = page(expectation("price"), window="01 Mar 2026 06:00 to 02 Mar 2026 06:00 (UTC)")

    assert "<dt>Asked</dt><dd>01 Mar 2026 06:00 to 02 Mar 2026 06:00 (UTC)</dd>" in found
    assert "<strong>Data fault.</strong>" in found
    assert "have a version signed with it" in found
    assert "Asked" not in page(expectation("price"))
