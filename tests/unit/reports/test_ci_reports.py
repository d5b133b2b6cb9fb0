"""A verdict for a CI server: JUnit XML as its readers know it, and Markdown in which data stay data."""

import html
import re
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from governance.records import Outcome, RuleResult, Verdict
from governance.reports.ci_report import CiReport
from governance.reports.ci_summary import to_markdown
from governance.reports.junit import to_junit

ORDER = {
    "testsuites": ["testsuite"],
    "testsuite": ["properties", "testcase", "system-out", "system-err"],
    "properties": ["property"],
    "testcase": ["skipped", "error", "failure", "system-out", "system-err"],
}
"""What stands in what, and in which order: the schema junit-10 of Jenkins' xUnit plugin, which GitLab reads too."""

ATTRIBUTES = {
    "testsuites": ({"name", "time", "tests", "failures", "disabled", "errors"}, set()),
    "testsuite": (
        {
            "name",
            "tests",
            "failures",
            "errors",
            "time",
            "disabled",
            "skipped",
            "timestamp",
            "hostname",
            "id",
            "package",
        },
        {"name", "tests"},
    ),
    "property": ({"name", "value"}, {"name", "value"}),
    "testcase": ({"name", "classname", "time", "assertions", "status", "group"}, {"name"}),
    "skipped": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "failure": ({"type", "message"}, set()),
    "system-out": (set(), set()),
    "properties": (set(), set()),
}
EVIL = "<script>alert(1)</script> ![x](http://e.test/?a) [l](javascript:alert(1)) @maria | `c` **b** <img src=x>\n# h"


def rule(outcome: Outcome, title: str = "Accuracy", *, stops: bool | None = None, **more: object) -> RuleResult:
    written = {
        "rule": title.lower().replace(" ", "_"),
        "title": title,
        "measure": "performance.accuracy",
        "slice": {},
        "value": 0.81,
        "low": 0.79,
        "high": 0.83,
        "n": 1989,
        "bound": "estimate",
        "limits": {"at_least": 0.85},
        "reason": "0.810 is below 0.850.",
        **more,
    }
    return RuleResult(outcome=outcome, stops=outcome is Outcome.BLOCK if stops is None else stops, **written)


def report(*rules: RuleResult, outcome: Outcome = Outcome.BLOCK, **more: object) -> CiReport:
    known = {"model": "loan", "uri": "models:/credit/3", "data": "loans.csv", "rows": 1989, "seconds": 7.25}
    return CiReport(**{**known, "verdict": Verdict(outcome, rules), **more})


ALL = [
    rule(Outcome.PASS, "Recall"),
    rule(
        Outcome.WARN, "Parity difference", measure="fairness.demographic_parity_difference", slice={"attribute": "race"}
    ),
    rule(
        Outcome.NOT_APPLICABLE, "Drift", value=None, low=None, high=None, reason="not applicable: no champion: first."
    ),
    rule(Outcome.BLOCK),
    rule(Outcome.NOT_ENOUGH_DATA, "Precision", slice={"race": "Black", "sex": "women"}, n=12, value=None),
    rule(Outcome.NOT_ENOUGH_DATA, "Impact", stops=True, value=None, reason="not enough data: 12 of 30 rows."),
]


def junit(of: CiReport) -> Xml.Element:
    return Xml.fromstring(to_junit(of))


def require_schema(element: Xml.Element) -> None:
    allowed, needed = ATTRIBUTES[element.tag]
    assert needed <= set(element.attrib) <= allowed, element.tag
    inside = [child.tag for child in element]
    known = ORDER.get(element.tag, [])
    assert set(inside) <= set(known)
    assert inside == sorted(inside, key=known.index), element.tag
    for child in element:
        require_schema(child)


@pytest.mark.parametrize(
    "of",
    [
        report(*ALL),
        report(verdict=None, contract_met=False, unmet=[("critical", "x")]),
        CiReport("a", "b", error="No."),
    ],
    ids=["verdict", "contract", "error"],
)
def test_junit_is_as_its_readers_know_it(of: CiReport) -> None:
    suites = junit(of)
    require_schema(suites)
    (suite,) = suites
    counted = {name: len(suite.findall(f"testcase/{name}")) for name in ("failure", "error", "skipped")}
    assert suite.get("tests") == str(len(suite.findall("testcase")))
    assert (suite.get("failures"), suite.get("errors")) == (str(counted["failure"]), str(counted["error"]))
    assert suite.get("skipped") == str(counted["skipped"])


def test_each_rule_is_a_case_and_what_stops_is_a_failure() -> None:
    cases = junit(report(*ALL)).findall("testsuite/testcase")
    found = {case.get("name"): [child.tag for child in case if child.tag != "system-out"] for case in cases}
    assert found == {
        "contract of the data": [],
        "Accuracy": ["failure"],
        "Impact": ["failure"],
        "Precision, Black women": ["skipped"],
        "Parity difference, race": [],
        "Recall": [],
        "Drift": ["skipped"],
    }
    assert [case.get("name") for case in cases][1:3] == ["Accuracy", "Impact"], "worst first"


def test_the_numbers_stand_beside_a_case_in_full() -> None:
    (case,) = junit(report(rule(Outcome.BLOCK, value=1 / 3))).findall("testsuite/testcase")[1:]
    said = case.findtext("system-out") or ""
    assert f"value: {1 / 3!r}" in said
    assert "interval: 0.79 to 0.83" in said
    assert "n: 1989" in said
    assert "≥ 0.85" in said
    assert case.find("failure").get("message") == "0.810 is below 0.850."


def test_a_broken_contract_is_a_failure_and_an_error_is_an_error() -> None:
    broken = junit(report(verdict=None, contract_met=False, unmet=[("critical", "min30: expected a value")]))
    assert "min30: expected a value" in broken.findtext("testsuite/testcase/failure")
    failed = junit(CiReport("loan", "models:/credit/3", error="Expected MLflow to answer."))
    assert failed.find("testsuite/testcase/error").get("message") == "Expected MLflow to answer."


@given(text=st.text(max_size=60))
def test_junit_holds_any_text(text: str) -> None:
    of = report(rule(Outcome.BLOCK, title=text or "x", reason=text, slice={"race": text}), model=text, uri=text)
    require_schema(junit(of))


# --- Markdown ------------------------------------------------------------------------------------------------------

RENDER = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table")


def rendered(of: CiReport) -> str:
    return RENDER.render(to_markdown(of))


def test_the_result_comes_first_then_what_to_do_then_the_rules_worst_first() -> None:
    written = to_markdown(report(*ALL))
    assert written.index("Blocked") < written.index("What to do") < written.index("| verdict |")
    table = [line for line in written.splitlines() if line.startswith("| ")][1:]
    marks = [line.split("|")[1].strip() for line in table]
    assert marks == [
        "❌ block", "❔ not enough data", "❔ not enough data", "⚠️ warn", "✅ pass", "➖ not applicable",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "outcome", "said"),
    [
        ([rule(Outcome.PASS)], Outcome.PASS, "governance register"),
        ([rule(Outcome.WARN)], Outcome.WARN, "Reviewers will ask about the warnings"),
        ([rule(Outcome.BLOCK, measure="fairness.x")], Outcome.BLOCK, "another decision threshold"),
        ([rule(Outcome.BLOCK)], Outcome.BLOCK, "mend what stops it (performance)"),
        ([rule(Outcome.NOT_ENOUGH_DATA, stops=True)], Outcome.NOT_ENOUGH_DATA, "enough rows of each group"),
    ],
)
def test_it_says_what_to_do(rules: list[RuleResult], outcome: Outcome, said: str) -> None:
    assert said in html.unescape(re.sub("<[^>]+>", "", rendered(report(*rules, outcome=outcome))))


def test_nothing_that_data_say_becomes_html_a_link_or_a_mention() -> None:
    rules = [rule(Outcome.BLOCK, title=EVIL, reason=EVIL, slice={"race": EVIL})]
    of = report(*rules, model=EVIL, uri=EVIL, data=EVIL, notes=[EVIL], unmet=[("warning", EVIL)])
    shown = rendered(of)
    tags = set(re.findall(r"</?([a-z0-9]+)", shown))
    assert tags <= {"h3", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "code"}
    assert "<script>" not in shown
    assert "@" not in to_markdown(of)
    assert "http:" not in to_markdown(of)
    assert html.unescape(re.sub("<[^>]+>", "", shown)).count("alert(1)") >= 4, "people still read it"


@given(text=st.text(max_size=40))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    error = CiReport("loan", "models:/credit/3", error=f"x{text}x")
    shown = html.unescape(re.sub("<[^>]+>", "", rendered(error)))
    assert " ".join(f"x{text}x".replace("\0", "�").split()) in shown


def test_a_long_table_is_cut_and_counted() -> None:
    written = to_markdown(report(*[rule(Outcome.PASS, f"Rule {n}") for n in range(50)], outcome=Outcome.PASS))
    assert len([line for line in written.splitlines() if line.startswith("| ✅")]) == 40
    assert "and 10 more rules: 10 pass." in written


def test_a_waived_rule_says_so() -> None:
    waiver = {"digest": "0", "until": "2027-01-01", "reason": "Known.", "by": []}
    of = report(rule(Outcome.BLOCK, stops=False, waiver=waiver), outcome=Outcome.WARN)
    assert "❌ block (waived)" in to_markdown(of)
    assert "waiver: until 2027-01-01: Known." in junit(of).findall("testsuite/testcase")[1].findtext("system-out")
