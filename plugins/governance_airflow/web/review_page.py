"""What the Review page shows: everything from the evidence, as finished text, charts and rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from governance.catalog import People
from governance.records import Outcome
from governance.reports import alternatives, charts, tables, words
from governance.reports.reading import SELECTION, Reading
from governance.review.desk import Request, Standing
from governance_airflow.web import standing


@dataclass(frozen=True)
class Places:
    """Where links lead: our own pages, Airflow's, MLflow's."""

    root: str
    airflow: str
    mlflow: str | None

    def review(self, request: Request, *, attempt: bool = False) -> str:
        """Return the address of a request's page."""
        path = f"{self.root}/review/{quote(request.model)}/{quote(request.version)}"
        return f"{path}?attempt={request.attempt}" if attempt else path

    def run(self, request: Request) -> str:
        """Return the address of the run in Airflow's UI."""
        return f"{self.airflow}/dags/govern_{quote(request.model)}/runs/{quote(request.run_id, safe='')}"

    def version(self, request: Request) -> str | None:
        """Return the address of the version in MLflow's UI."""
        name = f"models/{quote(request.model)}/versions/{request.registry_version}"
        return f"{self.mlflow.rstrip('/')}/#/{name}" if self.mlflow else None


def context(
    request: Request,
    newest: Request,
    mine: Standing,
    places: Places,
    now: datetime,
    searched: Mapping[str, Any] | None,
    people: People,
) -> dict[str, Any]:
    """Return what the template needs.

    Args:
        request: What is shown.
        newest: The last attempt of the same version.
        mine: Where the reader stands.
        places: Where links lead.
        now: The time.
        searched: The search that followed a blocked attempt, as the ledger has it; its own evidence cannot hold it.
        people: Who may own a finding.
    """
    reading = Reading(request.evidence)
    before = Reading(request.blocked.evidence) if request.blocked else None
    links = standing.Links(run=places.run(request), newest=places.review(newest))
    return {
        **_head(request, now),
        **_rules(request, reading),
        **_groups(reading, before),
        **_alternatives(reading, before, searched),
        **_comparison(request, reading, before, places),
        "banner": _banner(request, reading, before),
        "permitted_by": request.emergency or "",
        "permitted_in_advance": request.in_advance or "",
        "unusual": words.unusual(request.evidence["request"]),
        "drivers": _drivers(request, reading),
        "drivers_line": _drivers_line(reading),
        "about": _about(request),
        "signed": _signed(request, places),
        "signed_title": "What exactly was judged" if request.status == "blocked" else "What exactly is signed",
        "model": request.model,
        "version": request.version,
        "evidence_digest": request.digest,
        "token": standing.token(request) if request.digest == newest.digest else "",
        "checklist": request.checklist,
        "owners": [(person.login, person.name) for person in people.everyone],
        "first_due": (now.date() + timedelta(days=1)).isoformat(),
        "exceptions": _exceptions(request, places),
        "signatures_list": standing.signatures(request, mine),
        "decision": standing.decision(request, newest, mine, links, now),
    }


def _exceptions(request: Request, places: Places) -> list[tuple[str, str]]:
    """Return where a rule that stops this candidate can be excused, rule by rule; then where all exceptions stand."""
    home = f"{places.root}/waivers/{quote(request.model)}"
    failing = {rule.rule: rule for rule in Reading(request.evidence).verdict.failing() if rule.value is not None}
    links = [
        (f"Propose a waiver of {words.inside(one.title)}", f"{home}?rule={quote(name)}")
        for name, one in failing.items()
    ]
    in_advance = f"{places.root}/standing-approvals/{quote(request.model)}"
    standing_approvals = [("Standing approvals", in_advance)] if request.evidence["model"]["tier"] == "low" else []
    return [*links, (f"Waivers and findings of {request.model}", home), *standing_approvals]


def _name(request: Request, identity: str) -> str:
    return request.people.get(identity, identity)


def _head(request: Request, now: datetime) -> dict[str, Any]:
    document, spec = request.evidence, request.evidence["spec"]
    tags = [_STATE.get(request.status, request.status), f"{document['model']['tier'].capitalize()} tier"]
    tags += [f"attempt {request.attempt}"] if request.attempt > 1 else []
    starter = _name(request, document["involved"]["started_by"])
    asked = f"{words.moment(request.asked_at, now)}, {words.ago(request.asked_at, now)}"
    return {
        "title": f"{request.model} {request.version}",
        "name": f"{request.model} {request.version}",
        "tags": tags,
        "asked": f"{'judged' if request.status == 'blocked' else 'asked'} {asked} · started by {starter}",
        "spec": spec,
        "owner": _name(request, spec["owner"]["person"]),
        "developers": ", ".join(_name(request, one) for one in spec["developers"]),
    }


_STATE = {
    "pending": "candidate",
    "approved": "approved",
    "denied": "rejected",
    "expired": "ended",
    "blocked": "blocked",
}


def _banner(request: Request, reading: Reading, before: Reading | None) -> dict[str, Any]:
    verdict = reading.verdict
    tone = {Outcome.PASS: "pass", Outcome.WARN: "warn"}.get(verdict.outcome, "block")
    return {
        "tone": tone,
        "icon": {"pass": "pass", "warn": "warn"}.get(tone, "block"),
        "headline": words.headline(verdict),
        "counts": words.counts(verdict),
        "signed": _signed_so_far(request),
        "replaces": words.replaces(before, reading) if before else (),
    }


def _signed_so_far(request: Request) -> str:
    done, needed = standing.progress(request)
    if request.status == "blocked":
        return ""
    if request.status == "denied":
        return f"{done} of {needed} signed; rejected."
    if request.status == "expired":
        return f"{done} of {needed} signed in time."
    return words.signed(done, needed, standing.missing(request))


def _rules(request: Request, reading: Reading) -> dict[str, Any]:
    policy = request.evidence["policy"]
    rules, folded = tables.rules(reading, request.people)
    line = f"policy {request.model} {policy['version']} on tier {policy['tier']} {policy['tier_version']}"
    return {"rules": rules, "folded": folded, "policy_line": line}


def _groups(reading: Reading, before: Reading | None) -> dict[str, Any]:
    attribute = reading.compared_attribute
    rule = reading.rule_over(reading.by_group.difference, {"attribute": attribute or ""})
    limit = rule.limits.get("at_most") if rule else None
    single = [item for item in reading.named(reading.by_group.name) if len(item.slice) == 1]
    small = [item for item in single if item.key[1] in reading.small_groups()]
    return {
        "by_group": reading.by_group.title,
        "groups_chart": charts.group_chart(reading, before),
        "group_limit": f"limit: {limit:.2f} below the highest" if limit is not None else "",
        "denied": _denied(reading, attribute),
        "too_small": ", ".join(f"{words.slice_words(item.slice)} {words.count(item.n)}" for item in small),
        "groups": tables.groups(reading, before),
    }


def _denied(reading: Reading, attribute: str | None) -> str:
    """Return the share of each group that is turned down: near one, four fifths of the rates hide their ratio."""
    items = [item for item in reading.named(SELECTION) if list(item.slice) == [attribute] and item.value is not None]
    small = reading.small_groups()
    shown = [item for item in items if item.key[1] not in small]
    rates = [f"{words.slice_words(item.slice)} {words.share(1 - (item.value or 0.0))}" for item in shown]
    return f"Turned down: {', '.join(rates)}." if rates else ""


def _alternatives(reading: Reading, before: Reading | None, searched: Mapping[str, Any] | None) -> dict[str, Any]:
    if searched is not None and not reading.document["alternatives"]:
        before, reading = reading, Reading({**reading.document, "alternatives": searched})
    attribute = (before or reading).compared_attribute
    points = alternatives.tried_points(reading, attribute)
    return {
        "alternatives_chart": alternatives.chart(reading, before, attribute),
        "alternatives_key": alternatives.key(points),
        "alternatives_note": _measured_on(reading, points),
        "tried": tables.tried(reading, attribute),
    }


def _measured_on(reading: Reading, points: Sequence[alternatives.Tried]) -> str:
    if not points:
        return ""
    found = "" if any(point.chosen for point in points) else "None passes every rule. "
    if reading.document["training"]["evaluation"]["method"] != "cross_validation":
        return found
    return f"{found}Chosen on other repetitions than those that judge, so the numbers differ a little."


def _comparison(request: Request, reading: Reading, before: Reading | None, places: Places) -> dict[str, Any]:
    return {
        "compared": tables.comparison(before, reading) if before else [],
        "search_summary": words.search_summary(before, reading) if before else "",
        "blocked_href": places.review(request.blocked, attempt=True) if request.blocked else "",
    }


def _drivers(request: Request, reading: Reading) -> list[tables.Driver]:
    spec = request.evidence["spec"]
    return tables.drivers(reading, spec.get("features", {}), spec.get("proxies", []))


def _drivers_line(reading: Reading) -> str:
    first = next(reading.named("explainability.importance"), None)
    return f"share of mean |SHAP|, {words.count(first.n)} rows" if first else ""


def _about(request: Request) -> list[tuple[str, str]]:
    document = request.evidence
    target, contract = document["spec"]["target"], document["data"].get("contract") or {}
    rows = [("Reason", document["request"].get("reason", "")), ("Label", f"{target['meaning']} {target['known_bias']}")]
    rows.append(("Assumptions", document["spec"]["assumptions"]))
    rows.append(("No persons", document["spec"].get("no_persons") or ""))
    if contract:
        failed = f"{contract['failed']} failed" if contract["failed"] else "none failed"
        rows.append(("Data contract", f"{words.plural(contract['expectations'], 'expectation')}, {failed}"))
    rows.append(("Estimates", _estimates(document["training"])))
    open_ = document.get("findings") or []
    if open_:
        said = [words.finding(one["text"], one["owner"], one["due"], request.people) for one in open_]
        rows.append(("Open findings", " ".join(said)))
    return [(term, text) for term, text in rows if text]


def _estimates(training: Mapping[str, Any]) -> str:
    evaluation, attempts = training["evaluation"], training.get("attempts", 1)
    same = f"{words.plural(attempts, 'attempt')} judged on the same rows."
    if evaluation["method"] == "all_rows":
        return f"On all rows, of a model trained elsewhere: nobody here knows which rows it has seen. {same}"
    if evaluation["method"] != "cross_validation":
        return f"On rows that training never saw. {same}"
    folds = f"{evaluation['folds']} folds, {words.plural(evaluation['repetitions'], 'repetition')}"
    return f"Out of fold ({folds}): of the procedure; the final fit uses every row. {same}"


# --- what exactly is signed ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SignedRow:
    """One part of what the digest covers."""

    term: str
    text: str
    digest: str = ""
    href: str = ""
    link: str = ""
    inside: bool = False


def _signed(request: Request, places: Places) -> list[SignedRow]:
    document = request.evidence
    artifact, data, code = document["artifact"], document["data"], document["code"]
    environment, training = document["environment"], document["training"]
    files = (
        f"{words.plural(len(artifact['files']), 'file')}, {words.size(sum(one['size'] for one in artifact['files']))}"
    )
    uncommitted = len(code["uncommitted"])
    state = "clean" if not uncommitted else f"{words.plural(uncommitted, 'file')} not committed"
    commit = f"commit {code['commit'][:7]}" if code["commit"] else "no history"
    return [
        SignedRow("Evidence", "", request.digest),
        SignedRow("Model files", files, artifact["manifest"]),
        SignedRow("Data", data["source"]),
        SignedRow("Snapshot", f"{words.count(data['rows'])} × {data['columns']}", data["snapshot"]),
        SignedRow("Code", f"{commit}, {state}", code["digest"]),
        SignedRow(
            "Environment", f"Python {environment['python']}, {environment['packages']} packages", environment["lock"]
        ),
        SignedRow("Policy", document["policy"]["version"], document["policy"]["digest"]),
        SignedRow("Roles", "people.yaml", document["people"]["digest"]),
        SignedRow("Training", f"{words.parameters(training)}{_threshold(training)}"),
        *_beside(request, places),
    ]


def _threshold(training: Mapping[str, Any]) -> str:
    return "" if training["threshold"] is None else f"; threshold {training['threshold']:.2f}"


def _beside(request: Request, places: Places) -> list[SignedRow]:
    """Return what is not in the digest but leads to the rest of the record."""
    version = places.version(request)
    first, last = request.ledger_range
    registered = f"version {request.registry_version}"
    return [
        SignedRow("MLflow", "" if version else registered, href=version or "", link=registered),
        SignedRow("Run", request.run_id, href=places.run(request), link=f"govern_{request.model}", inside=True),
        SignedRow("Ledger", f"entries {first} – {last}" if first != last else f"entry {first}"),
    ]
