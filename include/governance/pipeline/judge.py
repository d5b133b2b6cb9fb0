"""Put the evidence together, judge it, and ask for signatures or say what is in the way."""

from datetime import UTC, datetime, timedelta
from typing import Any

from governance.assessment import FAMILIES
from governance.code import emails_to_add, lock_digest, locked_packages, provenance
from governance.errors import GovernanceError
from governance.ledger.log import Entry
from governance.pipeline import datasets, facets
from governance.pipeline.champion import champion_release
from governance.pipeline.ingest import snapshot_of
from governance.pipeline.measure import measured_entry, measurements_of
from governance.pipeline.run import Message, Run, Step
from governance.pipeline.train import candidate_of
from governance.pipeline.validate import validation_of
from governance.records import Lineage, Measurement, RuleResult, Verdict
from governance.review import evidence, findings, waivers
from governance.review.evidence import Exceptions, Facts
from governance.rules.evaluate import evaluate_code_rules
from governance.training import tracking

Json = dict[str, Any]


def judge_candidate(run: Run, attempt: int) -> Step:
    """Judge an attempt: write the evidence, tag the version, tell people.

    The task fails where the verdict blocks and nothing more will be tried in this run.
    """
    candidate = candidate_of(run, attempt)
    entry = _recorded_or_new(run, attempt, candidate)
    digest, verdict = entry.data["digest"], Verdict.from_dict(entry.data["evidence"]["verdict"])
    _publish(run, candidate, entry, verdict)
    lineage = Lineage(
        [datasets.model_version(run.model, candidate.data["manifest"])]
        + [datasets.measured(run.model, family, measured_entry(run, attempt, family).leaf) for family in FAMILIES],
        [datasets.evidence_dataset(run.model, digest, **_facets(run, entry, verdict))],
        facets.training(run, candidate, map(Measurement.from_dict, entry.data["evidence"]["measurements"])),
    )
    summary = {"verdict": str(verdict.outcome), "evidence": digest, "rules": _lines(verdict)}
    if verdict.may_be_released:
        asked_first = attempt == 1 and run.policy.standing_approvals is not None  # by apply_standing_approval
        return Step(summary, lineage, [] if asked_first else [waiting(run, entry, verdict)])
    run.record("rejected", {"evidence": digest, "attempt": attempt, "reason": _why(verdict)}, key=f"blocked:{digest}")
    told = [_blocked(run, entry, verdict)]
    if attempt == 1 and may_search(run, verdict):
        return Step(summary, lineage, told)
    return Step(summary, lineage, told, failed=f"Blocked: {_why(verdict)}{_whom_to_add(run)}")


def _facets(run: Run, entry: Entry, verdict: Verdict) -> Json:
    said = f"Everything that people sign of {run.model} {run.version}: {verdict.outcome}."
    judged = facets.evidence(entry.data["digest"], verdict, entry.data["evidence"])
    return {**facets.described(run.spec, said), **judged}


def judged(run: Run, attempt: int) -> tuple[Entry, Verdict]:
    """Return the evidence entry of an attempt, and its verdict."""
    manifest = candidate_of(run, attempt).data["manifest"]
    for entry in run.ledger.backwards("evidence", run.model):
        document = entry.data["evidence"]
        if entry.data["run_id"] == run.run_id and document["artifact"]["manifest"] == manifest:
            return entry, Verdict.from_dict(document["verdict"])
    raise GovernanceError(f"Expected evidence of attempt {attempt} of run {run.run_id}, found none: clear the judge.")


def may_search(run: Run, verdict: Verdict) -> bool:
    """Whether only fairness rules failed, and the policy has less discriminatory alternatives searched."""
    failing = verdict.failing()
    return run.policy.alternatives.search and bool(failing) and all(r.measure.startswith("fairness.") for r in failing)


def _recorded_or_new(run: Run, attempt: int, candidate: Entry) -> Entry:
    """Return the evidence of these inputs; written once, so that a cleared task does not change what was signed."""
    measured = [measured_entry(run, attempt, family).leaf for family in FAMILIES]
    exceptions = _exceptions(run)
    key = run.key(
        "evidence",
        attempt=attempt,
        manifest=candidate.data["manifest"],
        measured=measured,
        policy=run.policy.digest,
        people=run.people.digest,
        spec=run.spec.digest,
        code=run.code.digest,
        uncommitted=list(run.code.uncommitted),
        exceptions=_signed_before(run, exceptions),
    )
    known = run.ledger.get(key)
    if known:
        return known
    document, _ = _compose(run, attempt, candidate, exceptions)
    return run.record("evidence", _entry(run, document, evidence.digest_of(document), candidate), key)


def _exceptions(run: Run) -> Exceptions:
    """Return the waivers and findings of this model, as the ledger has them now."""
    at = datetime.now(UTC)
    known = findings.of_model(run.ledger, run.model, run.keys)
    return Exceptions(waivers.of_model(run.ledger, run.model), known, run.keys, at)


def _signed_before(run: Run, exceptions: Exceptions) -> Json:
    """Return what of them makes another judgement: a waiver signed, rejected or over; a finding overdue or closed."""
    involved = waivers.Involved(frozenset(map(run.people.identity, run.spec.developers)), frozenset())
    given = (exceptions.proposed, involved, run.policy, run.people, run.keys, exceptions.at)
    counting = sorted(one.digest for one in waivers.in_force(*given))
    open_ = sorted(one.id for one in exceptions.findings if one.is_open)
    late = sorted(one.id for one in findings.overdue(exceptions.findings, exceptions.at))
    return {"waivers": counting, "open": open_, "late": late}


def _compose(run: Run, attempt: int, candidate: Entry, exceptions: Exceptions) -> tuple[Json, Verdict]:
    frozen = snapshot_of(run)
    validation = validation_of(run, frozen)
    measured = [one for family in FAMILIES for one in measurements_of(run, attempt, family)]
    facts = Facts(
        version=run.version,
        attempt=attempt,
        registry_version=candidate.data["registry_version"],
        environment=run.settings.environment,
        lock={
            "lock": lock_digest(run.settings),
            "python": evidence.python_version(),
            "packages": locked_packages(run.settings),
        },
        data={
            "source": run.source,
            "snapshot": frozen.digest,
            "rows": frozen.rows,
            "columns": len(frozen.columns),
            "contract": {
                "digest": validation.data["contract"],
                "expectations": validation.data["expectations"],
                "failed": len(validation.data["breaches"]),
            },
        },
        training={**candidate.data["training"], "attempts": _judged_on_the_same_rows(run, frozen.digest) + 1},
        artifact=candidate.data["artifact"],
        request={
            "reason": run.request.reason,
            "bump": run.request.bump,
            "parameters": run.request.parameters,
            "source": run.request.source,
        },
        started_by=run.request.started_by,
        alternatives=_alternatives(run, attempt),
        replaces=_replaced(run, attempt),
        champion=_compared_with(run),
    )
    late = findings.measured(exceptions.findings, exceptions.at)
    whole: list[Measurement] = [*measured, *provenance(run.code, run.people), late]
    whole += evaluate_code_rules(run.policy, run.spec, whole)
    return evidence.compose(facts, run.spec, run.policy, run.people, run.code, whole, exceptions)


def _judged_on_the_same_rows(run: Run, snapshot: str) -> int:
    """Return how many candidates of the model, in whatever run, were judged on these rows before: each had a chance."""
    earlier = run.ledger.backwards("evidence", run.model)
    return sum(entry.data["evidence"]["data"]["snapshot"] == snapshot for entry in earlier)


def _alternatives(run: Run, attempt: int) -> Json | None:
    return {"tried": run.need("alternatives").data["tried"]} if attempt > 1 else None


def _replaced(run: Run, attempt: int) -> Json | None:
    if attempt == 1:
        return None
    entry, _ = judged(run, attempt - 1)
    return {
        "evidence": entry.data["digest"],
        "registry_version": entry.data["evidence"]["model"]["registry_version"],
    }


def _compared_with(run: Run) -> Json | None:
    release = champion_release(run)
    return {"version": release.data["version"], "evidence": release.data["evidence"]} if release else None


def _entry(run: Run, document: Json, digest: str, candidate: Entry) -> Json:
    now = datetime.now(UTC)
    return {
        "digest": digest,
        "evidence": document,
        "mlflow_run": candidate.data["mlflow_run"],
        "asked_at": now.isoformat(),
        "expires_at": (now + timedelta(days=float(run.policy.approvals.expire_after_days))).isoformat(),
    }


def _publish(run: Run, candidate: Entry, entry: Entry, verdict: Verdict) -> None:
    measured = [Measurement.from_dict(one) for one in entry.data["evidence"]["measurements"]]
    tracking.log_measurements(run.settings.require("mlflow_url"), candidate.data["mlflow_run"], measured)
    tracking.publish_evidence(
        run.settings.require("mlflow_url"),
        model=run.model,
        registry_version=candidate.data["registry_version"],
        mlflow_run=candidate.data["mlflow_run"],
        evidence=entry.data["evidence"],
        tags={
            "governance.verdict": str(verdict.outcome),
            "governance.evidence": entry.data["digest"],
            "governance.state": "candidate" if verdict.may_be_released else "rejected",
            "governance.version": run.version,
        },
    )


def _lines(verdict: Verdict) -> list[str]:
    return [_line(rule) for rule in verdict.rules]


def _line(rule: RuleResult) -> str:
    waived = f" Waived until {rule.waiver['until']}: {rule.waiver['reason']}" if rule.waiver else ""
    return f"{rule.outcome}: {_named(rule)}: {rule.reason}{waived}"


def _why(verdict: Verdict) -> str:
    return " ".join(f"{_named(rule)}: {rule.reason}" for rule in verdict.failing())


def _named(rule: RuleResult) -> str:
    """Return a rule with what it speaks of: ``Parity difference race``."""
    return f"{rule.title} {_slice(rule.slice)}".strip()


def _slice(slice_: Any) -> str:
    return slice_["attribute"] if "attribute" in slice_ else " ".join(slice_.values())


def _whom_to_add(run: Run) -> str:
    unknown = emails_to_add(run.code, run.people)
    changed = run.code.uncommitted
    said = f" Add to include/people.yaml who commits as {', '.join(unknown)}." if unknown else ""
    return said + (f" Commit {', '.join(changed[:5])}." if changed else "")


def waiting(run: Run, entry: Entry, verdict: Verdict, why: str = "") -> Message:
    """Return the message that a candidate waits to be signed.

    Args:
        run: The run.
        entry: The entry of its evidence.
        verdict: The verdict.
        why: Why people are asked, where they need not have been.
    """
    roles = " and ".join(run.people.role_title(role) for role in run.policy.approvals.roles)
    text = f"{run.model} {run.version} waits for {roles}: {verdict.outcome}, evidence {entry.data['digest'][:16]}."
    text = f"{text} {why}".strip()
    return Message(f"waiting:{entry.data['digest']}", "waiting", text, _review(run))


def _blocked(run: Run, entry: Entry, verdict: Verdict) -> Message:
    text = f"{run.model} {run.version} is blocked. {_why(verdict)}"
    return Message(f"blocked:{entry.data['digest']}", "blocked", text, _review(run))


def _review(run: Run) -> str:
    return f"/plugin/governance/review/{run.model}/{run.version}"
