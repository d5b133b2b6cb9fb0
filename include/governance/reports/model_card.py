"""The model card: what a model is for, how well it works and for whom, what it cost, and who signed it.

Made from the evidence and the decisions over it, and from nothing else; so a card says what was signed, and the same
evidence gives the same card, byte for byte. Two forms: Markdown, and one page without scripts that can be kept, mailed,
printed and shown in a sandbox. Texts come from people (purpose, comments on alternatives, reasons); both forms escape
them.

Not guaranteed: that the model still serves. The ledger says that (``governance live``).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance import canonical
from governance.measures.catalogue import MEASURES
from governance.records import Outcome
from governance.reports import alternatives, charts, tables, words
from governance.reports.reading import ACCURACY, BASE_RATE, PARITY, SELECTION, UNFAVOURABLE_SELECTED, Reading

if TYPE_CHECKING:
    import jinja2

FOLDER = Path(__file__).parent
Json = Mapping[str, Any]

COMPARISONS = {
    PARITY: (
        (PARITY, "Parity difference"),
        ("fairness.disparate_impact_ratio", "Impact ratio"),
        ("fairness.denial_ratio", "Denial ratio"),
        ("fairness.equal_opportunity_difference", "Equal opportunity"),
        ("fairness.equalised_odds_difference", "Equalised odds"),
    ),
    "fairness.mean_error_difference": (
        ("fairness.mean_error_difference", "Mean error"),
        ("fairness.mean_prediction_difference", "Mean prediction"),
        ("fairness.standardised_mean_difference", "Standardised"),
    ),
    "fairness.accuracy_difference": (("fairness.accuracy_difference", "Accuracy"),),
}
"""What is shown of each attribute, with the heading of its column, by what groups are compared by."""


def render_markdown(
    evidence: Json,
    signatures: Sequence[Json] = (),
    names: Mapping[str, str] | None = None,
    *,
    before: Json | None = None,
    permit: Json | None = None,
) -> str:
    """Return the card as Markdown.

    Args:
        evidence: The evidence document.
        signatures: The decisions over it, as the permit holds them.
        names: Pseudonymous id → name; ids are shown where it has none.
        before: The evidence of the blocked attempt that this one replaces, where there is one.
        permit: The permit, for how long it lasts.
    """
    return _template("model_card.md", autoescape=False).render(
        _context(evidence, signatures, names or {}, before, permit)
    )


def render_html(
    evidence: Json,
    signatures: Sequence[Json] = (),
    names: Mapping[str, str] | None = None,
    *,
    before: Json | None = None,
    permit: Json | None = None,
) -> str:
    """Return the card as one HTML page without scripts; arguments as :func:`render_markdown`."""
    from markupsafe import Markup

    reading, earlier = Reading(evidence), Reading(before) if before else None
    attribute = (earlier or reading).compared_attribute
    style = "".join((FOLDER / name).read_text(encoding="utf-8") for name in ("governance.css", "model_card.css"))
    return _template("model_card.html", autoescape=True).render(
        **_context(evidence, signatures, names or {}, before, permit),
        css=Markup(style),
        groups_chart=Markup(charts.group_chart(reading, earlier)),
        alternatives_chart=Markup(alternatives.chart(reading, earlier, attribute)),
        alternatives_key=[
            (Markup(shape), label) for shape, label in alternatives.key(alternatives.tried_points(reading, attribute))
        ],
    )


def _template(name: str, *, autoescape: bool) -> "jinja2.Template":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=autoescape, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["md"] = markdown_text
    return environment.get_template(name)


def markdown_text(text: object) -> str:
    """Return a text as Markdown shows it, whatever is written in it, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", " ".join(str(text).split()))


# --- what both forms show ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fact:
    """A term and what is known of it; a digest where there is one."""

    term: str
    text: str
    digest: str = ""


@dataclass(frozen=True)
class Number:
    """One measurement as a row."""

    title: str
    value: str
    interval: str
    n: str


@dataclass(frozen=True)
class Signed:
    """One decision over the evidence."""

    name: str
    role: str
    approved: bool
    at: str
    confirmed: int


def _context(
    evidence: Json, signatures: Sequence[Json], names: Mapping[str, str], before: Json | None, permit: Json | None
) -> dict[str, Any]:
    reading, earlier = Reading(evidence), Reading(before) if before else None
    spec = evidence["spec"]
    shown, folded = tables.rules(reading, names)
    attribute = (earlier or reading).compared_attribute
    digest = canonical.digest(dict(evidence))
    return {
        "model": evidence["model"],
        "spec": spec,
        "digest": digest,
        "tone": {Outcome.PASS: "pass", Outcome.WARN: "warn"}.get(reading.verdict.outcome, "block"),
        "headline": words.headline(reading.verdict),
        "counts": words.counts(reading.verdict),
        "owner": names.get(spec["owner"]["person"], spec["owner"]["person"]),
        "developers": words.listed([names.get(one, one) for one in spec["developers"]]),
        "about": _about(evidence),
        "performance": _performance(reading),
        "comparisons": _comparisons(reading),
        "denied": _denied(reading),
        "headings": [heading for _, heading in COMPARISONS[reading.by_group.difference]],
        "by_group": reading.by_group.title,
        "groups": tables.groups(reading, earlier),
        "compared": tables.comparison(earlier, reading) if earlier else [],
        "replaces": "".join(text for text, _ in words.replaces(earlier, reading)) if earlier else "",
        "price": _price(reading, attribute),
        "tried": tables.tried(reading, attribute),
        "drivers": tables.drivers(reading, spec.get("features", {}), spec.get("proxies", [])),
        "drivers_n": words.count(next((m.n for m in reading.named("explainability.importance")), None)),
        "rules": [*shown, *folded],
        "policy": evidence["policy"],
        "signatures": [_signed(one, names) for one in signatures],
        "findings": _findings(evidence, signatures, names),
        "valid": _valid(permit),
        "exactly": _exactly(evidence, digest),
    }


def _about(evidence: Json) -> list[Fact]:
    data, training = evidence["data"], evidence["training"]
    contract, evaluation = data["contract"], training["evaluation"]
    failed = words.plural(contract["failed"], "warning") if contract["failed"] else "all met"
    protected = evidence["spec"].get("protected", [])
    facts = [
        Fact("Data", f"{data['source']}: {words.count(data['rows'])} rows, {data['columns']} columns"),
        Fact("Contract", f"{words.plural(contract['expectations'], 'expectation')}, {failed}"),
        Fact("Features", _features(evidence)),
        Fact("Protected", f"{words.listed(protected)}: never features, kept apart, measured against"),
        Fact("Trained with", words.parameters(training)),
        Fact("Decides in favour", words.decided_at(training)),
        Fact("Estimates", _estimates(evaluation, training.get("attempts", 1))),
    ]
    return [fact for fact in facts if fact.text and not (fact.term == "Protected" and not protected)]


def _features(evidence: Json) -> str:
    features, dropped = evidence["spec"].get("features", {}), evidence["training"].get("dropped") or []
    left = f"{len(features) - len(dropped)} columns" if features else ""
    return f"{left}, without {words.listed(dropped)}" if dropped else left


def _estimates(evaluation: Json, attempts: int) -> str:
    same = f"{words.plural(attempts, 'attempt')} judged on the same rows"
    if evaluation["method"] == "all_rows":
        return f"on all rows, of a model trained elsewhere: nobody here knows which rows it has seen; {same}"
    if evaluation["method"] != "cross_validation":
        return f"on rows that training never saw; {same}"
    folds = f"{evaluation['folds']} folds, {words.plural(evaluation['repetitions'], 'repetition')}"
    return f"out of fold ({folds}), so of the procedure; the final fit uses every row; {same}"


def _performance(reading: Reading) -> list[Number]:
    measured = [one for one in reading.measurements if one.name.startswith("performance.")]
    order = list(MEASURES)
    ranked = sorted(measured, key=lambda one: order.index(one.name) if one.name in order else len(order))
    return [
        Number(
            MEASURES[one.name].title if one.name in MEASURES else one.name,
            words.number(one.name, one.value),
            words.interval(one.name, one.low, one.high, one.method),
            words.count(one.n),
        )
        for one in ranked
    ]


def _place(reading: Reading, attribute: str) -> tuple[bool, int]:
    in_order = list(reading.document["spec"].get("protected", []))
    return words.TIMES in attribute, in_order.index(attribute) if attribute in in_order else len(in_order)


def _comparisons(reading: Reading) -> list[tuple[str, list[str]]]:
    found = dict.fromkeys(one.slice["attribute"] for one in reading.named(reading.by_group.difference))
    shown = COMPARISONS[reading.by_group.difference]
    attributes = sorted(found, key=lambda attribute: _place(reading, attribute))
    return [
        (attribute, [words.number(name, reading.value(name, {"attribute": attribute})) for name, _ in shown])
        for attribute in attributes
    ]


def _denied(reading: Reading) -> str:
    """Return the share of each group that is turned down: near one, the rates themselves hide how far apart it is."""
    small, attribute = reading.small_groups(), reading.compared_attribute
    shown = [one for one in reading.named(SELECTION) if list(one.slice) == [attribute] and one.key[1] not in small]
    shares = [f"{words.slice_words(one.slice)} {words.share(1 - one.value)}" for one in shown if one.value is not None]
    return f"Turned down: {', '.join(shares)}." if shares else ""


def _price(reading: Reading, attribute: str | None) -> str:
    points = alternatives.tried_points(reading, attribute)
    if not points:
        return ""
    passing = sum(not point.failing for point in points)
    said = f"{words.plural(len(points), 'alternative')} tried; {passing} pass every rule."
    chosen = next((point for point in points if point.chosen), None)
    if chosen is None:
        return f"{said} None was chosen."
    accuracy, base = reading.value(ACCURACY), reading.value(BASE_RATE)
    parts = [f"accuracy {words.number(ACCURACY, accuracy)}"]
    parts += [f"beside {words.number(BASE_RATE, base)} for always the commoner answer"] if base is not None else []
    approved = reading.value(UNFAVOURABLE_SELECTED)
    price = f" {words.share(approved, 0)} of denied applicants would now be approved." if approved is not None else ""
    return f"{said} Chosen: {chosen.label}, for {', '.join(parts)}.{price}"


def _findings(evidence: Json, signatures: Sequence[Json], names: Mapping[str, str]) -> list[str]:
    """Return what this version was approved with, then what is open from versions before."""
    own = [one for decision in signatures for one in decision.get("findings") or ()]
    before = [{**one, "text": f"{one['version']}: {one['text']}"} for one in evidence.get("findings") or ()]
    return [words.finding(one["text"], one["owner"], one["due"], names) for one in (*own, *before)]


def _signed(decision: Json, names: Mapping[str, str]) -> Signed:
    return Signed(
        name=names.get(decision["person"], decision["person"]),
        role=decision["role"].replace("_", " ").capitalize(),
        approved=decision["answer"] == "approve",
        at=_moment(decision["decided_at"]),
        confirmed=len(decision.get("confirmed") or ()),
    )


def _valid(permit: Json | None) -> str:
    if permit is None:
        return ""
    return f"{_moment(permit['issued_at'])} to {_moment(permit['expires_at'])}, for {permit['environment']}"


def _moment(text: str) -> str:
    at = datetime.fromisoformat(text)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def _exactly(evidence: Json, digest: str) -> list[Fact]:
    artifact, code, environment = evidence["artifact"], evidence["code"], evidence["environment"]
    size = words.size(sum(file["size"] for file in artifact["files"]))
    commit = f"commit {code['commit'][:7]}" if code["commit"] else "no history"
    state = f"{words.plural(len(code['uncommitted']), 'file')} not committed" if code["uncommitted"] else "clean"
    policy = evidence["policy"]
    return [
        Fact("Evidence", "what people sign", digest),
        Fact("Model files", f"{words.plural(len(artifact['files']), 'file')}, {size}", artifact["manifest"]),
        Fact("Snapshot", f"{words.count(evidence['data']['rows'])} rows", evidence["data"]["snapshot"]),
        Fact("Code", f"{commit}, {state}", code["digest"]),
        Fact("Environment", f"Python {environment['python']}, {environment['packages']} packages", environment["lock"]),
        Fact("Policy", f"{policy['version']} on tier {policy['tier']} {policy['tier_version']}", policy["digest"]),
        Fact("Spec", "model.yaml", evidence["spec"]["digest"]),
        Fact("Roles", "people.yaml", evidence["people"]["digest"]),
    ]
