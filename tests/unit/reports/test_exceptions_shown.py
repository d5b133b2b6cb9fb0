"""An exception is seen wherever the verdict is: on the page, on the card and in the terminal."""

import io
from typing import Any

import pytest
from rich.console import Console

from governance.commands import verdicts
from governance.records import Verdict
from governance.reports import tables
from governance.reports.model_card import render_html, render_markdown
from governance.reports.reading import Reading
from tests.unit.plugins import example

NAMES = {"p-c6f8": "Maria Alvarez", "p-2b95": "Tom Okafor", "p-5e2b": "Luis Prado"}
WAIVER = {
    "digest": "d" * 64,
    "until": "2027-01-31",
    "reason": "The new threshold is tested until spring.",
    "by": [{"person": "p-c6f8", "role": "model_risk"}, {"person": "p-2b95", "role": "compliance"}],
}
SAID = "Waived until 31 Jan 2027 by Maria Alvarez and Tom Okafor: The new threshold is tested until spring."
ANSWER = "two departments have not answered"


def waived() -> dict[str, Any]:
    """The blocked attempt, as if what blocks it were waived, with a rule that is code and an open finding."""
    document = example.blocked_evidence()
    rules = document["verdict"]["rules"]
    for rule in rules:
        if rule["stops"]:
            rule.update(stops=False, waiver=WAIVER)
    of_code = {**rules[-1], "rule": "own", "title": "Departments", "measure": "rule.own", "slice": {}, "limits": {}}
    rules.append({**of_code, "outcome": "warn", "value": 0.5, "low": None, "high": None, "n": 90, "reason": ANSWER})
    document["verdict"]["outcome"] = "warn"
    finding = {"id": "0" * 16, "text": "Explain the spike.", "owner": "p-5e2b", "due": "2027-01-31", "version": "0.9.0"}
    document["findings"] = [finding]
    return document


EVIDENCE = waived()


def in_a_terminal() -> str:
    out = Console(file=io.StringIO(), width=200)
    verdicts.show(out, Verdict.from_dict(EVIDENCE["verdict"]), NAMES)
    return out.file.getvalue()  # type: ignore[attr-defined]


def test_a_waived_rule_keeps_its_number_and_says_what_lifts_it() -> None:
    shown, folded = tables.rules(Reading(EVIDENCE), NAMES)
    rows = {row.title: row for row in [*shown, *folded] if row.outcome == "waived"}

    assert set(rows) == {"Parity difference", "Disparate impact ratio"}
    assert rows["Parity difference"].estimate == "0.203"
    assert rows["Parity difference"].waiver == SAID


def test_a_rule_that_is_code_shows_its_reason_in_place_of_numbers() -> None:
    shown, folded = tables.rules(Reading(EVIDENCE), NAMES)
    (row,) = [row for row in [*shown, *folded] if row.title == "Departments"]

    assert (row.outcome, row.note, row.n) == ("warn", ANSWER, "–")


@pytest.mark.parametrize("render", [render_markdown, render_html])
def test_the_card_says_what_gives_way_and_what_is_to_be_mended(render: Any) -> None:
    decision = {
        "person": "p-c6f8",
        "role": "model_risk",
        "answer": "approve",
        "decided_at": "2026-11-01T10:00:00+00:00",
    }
    own = {"text": "Ask for labels.", "owner": "p-5e2b", "due": "2027-02-28"}
    card = render(EVIDENCE, [{**decision, "findings": [own]}], NAMES)

    assert SAID in card
    assert "Passes, with 2 rules waived" in card
    assert "Ask for labels. Luis Prado mends it until 28 Feb 2027." in card
    assert "0.9.0: Explain the spike. Luis Prado mends it until 31 Jan 2027." in card


def test_a_card_without_exceptions_says_nothing_of_them() -> None:
    card = render_markdown(example.evidence(), [], NAMES)

    assert "Waived" not in card
    assert "on condition" not in card


def test_the_terminal_says_the_same() -> None:
    said = in_a_terminal()

    assert f"Parity difference: {SAID}" in said
    assert ANSWER in said
    assert (
        "Not applicable: no vulnerability database: no folder of advisories is set. So nothing is said of known" in said
    )
    assert "is waived" in said or "are waived" in said
