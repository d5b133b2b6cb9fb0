"""A verdict as JUnit XML, as GitLab, Jenkins and GitHub's actions read it: one test case a rule.

A rule that stops the release is a failure; one without enough data, where that does not stop it, or without
application is skipped; a warning is a case that passes and says so. The contract is a case of its own. Where nothing
could be judged there is one case with an error, so that a report always exists.

The elements and their order are those of the schema that Jenkins' xUnit plugin publishes (junit-10); what comes from
data or model is escaped, and characters that XML cannot hold are left out.
"""

import re
from xml.etree import ElementTree as Xml

from governance.records import Outcome, RuleResult
from governance.reports import words
from governance.reports.ci_report import CiReport, worst_first

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(report: CiReport) -> bytes:
    """Return the report as a JUnit document, encoded in UTF-8."""
    suites = Xml.Element("testsuites", name="governance")
    suite = Xml.SubElement(suites, "testsuite", name=_clean(f"governance {report.model}"))
    properties = Xml.SubElement(suite, "properties")
    for name, value in _properties(report):
        Xml.SubElement(properties, "property", name=name, value=_clean(value))
    for case in _cases(report):
        suite.append(case)
    for element in (suites, suite):
        element.attrib |= _counts(suite) | {"time": f"{report.seconds:.3f}"}
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    Xml.indent(suites)
    body: bytes = Xml.tostring(suites, encoding="utf-8", xml_declaration=True)
    return body + b"\n"


def _properties(report: CiReport) -> list[tuple[str, str]]:
    said = [("model", report.model), ("model_uri", report.uri)]
    if report.error is None:
        said += [("data", report.data), ("rows", str(report.rows))]
    if report.verdict is not None:
        said += [("verdict", str(report.verdict.outcome))]
    return said


def _cases(report: CiReport) -> list[Xml.Element]:
    if report.error is not None:
        case = _case(report.model, "judgement")
        _say(case, "error", report.error, "not judged")
        return [case]
    contract = _case(report.model, "contract of the data")
    sentences = "\n".join(f"{severity}: {sentence}" for severity, sentence in report.unmet)
    if not report.contract_met:
        _say(contract, "failure", f"{len(report.unmet)} expectations are not met", "contract", sentences)
    _out(contract, sentences or "every expectation is met")
    rules = worst_first(report.verdict) if report.verdict else []
    return [contract, *(_rule_case(report.model, rule) for rule in rules)]


def _rule_case(model: str, rule: RuleResult) -> Xml.Element:
    by = words.slice_words(rule.slice, rule.measure)
    case = _case(f"{model}.{rule.measure.partition('.')[0]}", f"{rule.title}, {by}" if by else rule.title)
    if rule.stops:
        _say(case, "failure", rule.reason, str(rule.outcome), numbers(rule))
    elif rule.outcome in (Outcome.NOT_ENOUGH_DATA, Outcome.NOT_APPLICABLE):
        _say(case, "skipped", rule.reason, str(rule.outcome))
    _out(case, f"{rule.outcome}: {rule.reason}\n{numbers(rule)}")
    return case


def numbers(rule: RuleResult) -> str:
    """Return a rule's numbers and limits, one a line."""
    hard, warn = words.limit(rule)
    interval = "" if rule.low is None or rule.high is None else f"{rule.low!r} to {rule.high!r}"
    lines = {
        "measure": rule.measure,
        "slice": ", ".join(f"{name} {value}" for name, value in rule.slice.items()),
        "value": "none" if rule.value is None else repr(rule.value),
        "interval": interval,
        "n": "" if rule.n is None else str(rule.n),
        "judged by": rule.bound,
        "limit": " · ".join(part for part in (hard, warn) if part),
        "waiver": "" if rule.waiver is None else f"until {rule.waiver['until']}: {rule.waiver['reason']}",
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items() if value)


def _case(group: str, name: str) -> Xml.Element:
    return Xml.Element("testcase", classname=_clean(f"governance.{group}"), name=_clean(name), time="0")


def _say(case: Xml.Element, kind: str, message: str, type_: str, text: str = "") -> None:
    Xml.SubElement(case, kind, message=_clean(message), type=type_).text = _clean(text) or None


def _out(case: Xml.Element, text: str) -> None:
    Xml.SubElement(case, "system-out").text = _clean(text)


def _counts(suite: Xml.Element) -> dict[str, str]:
    found = {"tests": "testcase", "failures": "testcase/failure", "errors": "testcase/error"}
    return {name: str(len(suite.findall(path))) for name, path in found.items()}


def _clean(text: str) -> str:
    return NOT_XML.sub("", text)
