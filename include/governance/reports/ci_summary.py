"""A verdict as Markdown, for the pull request: the result, what to do, and the rules, worst first.

Names and reasons come from data and models, so all of it is escaped: no HTML, no links, no images, no mention of a
person comes through, whoever chose the name of a group.
"""

import re

from governance.records import Outcome, RuleResult, Verdict
from governance.reports import words
from governance.reports.ci_report import CiReport, worst_first

MARKS = {
    Outcome.BLOCK: "❌ block",
    Outcome.NOT_ENOUGH_DATA: "❔ not enough data",
    Outcome.WARN: "⚠️ warn",
    Outcome.PASS: "✅ pass",
    Outcome.NOT_APPLICABLE: "➖ not applicable",
}
SHOWN = 40
"""Rules in the table; the rest are counted."""

SPECIAL = re.compile(r"([\\`*_{}\[\]()#+.!|~$-])")
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", ":": "&#58;"}


def to_markdown(report: CiReport) -> str:
    """Return the report as Markdown, as GitHub and GitLab show it."""
    head = [f"### Governance: {text(report.model)}", "", _result(report), "", _of(report)]
    if report.error is not None:
        return "\n".join([*head, ""])
    body = [_what_to_do(report), *_notes(report)]
    if report.unmet:
        body += ["", "**Contract of the data, not met**", ""]
        body += [f"- {text(severity)}: {text(sentence)}" for severity, sentence in report.unmet[:SHOWN]]
    if report.verdict is not None:
        body += ["", *_table(report.verdict)]
    return "\n".join([*head, "", *body, ""])


def text(said: str) -> str:
    """Return text of any origin so that Markdown shows it and does nothing else with it."""
    plain = " ".join(said.split())
    escaped = SPECIAL.sub(r"\\\1", plain)
    return "".join(ENTITIES.get(character, character) for character in escaped)


def _result(report: CiReport) -> str:
    if report.error is not None:
        return f"**❌ Not judged.** {text(report.error)}"
    if report.verdict is None:
        return f"**❌ Blocked: the data break the contract**, {words.plural(len(report.unmet), 'expectation')}."
    mark = MARKS[report.verdict.outcome].partition(" ")[0]
    return f"**{mark} {text(words.headline(report.verdict))}** {text(words.counts(report.verdict))}"


def _of(report: CiReport) -> str:
    judged = f"Model {text(report.uri)}"
    return judged + (f", judged on {words.count(report.rows)} rows of {text(report.data)}." if report.data else ".")


def _what_to_do(report: CiReport) -> str:
    verdict = report.verdict
    if verdict is None:
        return "**What to do:** mend the data or, where they are right, the contract in the model's folder."
    failing = verdict.failing()
    if not failing:
        warned = bool(verdict.with_outcome(Outcome.WARN))
        also = " Reviewers will ask about the warnings." if warned else ""
        return f"**What to do:** `governance register` takes it on; people sign what the pipeline finds.{also}"
    if verdict.outcome is Outcome.NOT_ENOUGH_DATA:
        return "**What to do:** give data with enough rows of each group that the policy looks at (`--data`)."
    families = list(dict.fromkeys(rule.measure.partition(".")[0] for rule in failing))
    if families == ["fairness"]:
        return (
            "**What to do:** only fairness stops it. Try another decision threshold (`--threshold`), or train without "
            "proxies of the protected attributes, and validate again."
        )
    return f"**What to do:** mend what stops it ({text(words.listed(families))}), and validate again."


def _notes(report: CiReport) -> list[str]:
    return ["", *(f"- {text(note)}" for note in report.notes)] if report.notes else []


def _table(verdict: Verdict) -> list[str]:
    rules = worst_first(verdict)
    rows = ["| verdict | rule | number | interval | limit |", "|---|---|--:|---|---|"]
    rows += [f"| {' | '.join(_row(rule))} |" for rule in rules[:SHOWN]]
    if len(rules) > SHOWN:
        more = [rule.outcome for rule in rules[SHOWN:]]
        said = [f"{more.count(outcome)} {outcome}" for outcome in MARKS if outcome in more]
        rows += ["", f"and {words.plural(len(more), 'more rule')}: {', '.join(said)}."]
    return rows


def _row(rule: RuleResult) -> tuple[str, str, str, str, str]:
    by = words.slice_words(rule.slice)
    hard, warn = words.limit(rule)
    said = [
        f"{rule.title}, {by}" if by else rule.title,
        words.number(rule.measure, rule.value),
        words.interval(rule.measure, rule.low, rule.high),
        " · ".join(part for part in (hard, warn) if part),
    ]
    waived = " (waived)" if rule.waiver is not None else ""
    name, number, interval, limit = map(text, said)
    return MARKS[rule.outcome] + waived, name, number, interval, limit
