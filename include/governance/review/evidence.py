"""The evidence: one canonical document with everything that people sign for.

It is pure content (§10.1): digests, measurements, verdict, policy, people. Times, run ids and host names stand in the
ledger entry beside it, so that the same facts always have the same digest.
"""

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from governance import canonical
from governance.catalog import ModelSpec, People
from governance.code import CodeState
from governance.errors import InputError
from governance.keys import PublicKeys
from governance.policy import Policy, Slices, judge
from governance.records import Measurement, Verdict, Waiver
from governance.review import waivers
from governance.review.findings import Finding
from governance.review.waivers import SignedWaiver

FORMAT = "governance-evidence/1"

Json = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """What the steps before the judgement established, in the form in which evidence holds it.

    Attributes:
        version: Semantic version of the candidate.
        attempt: Which attempt of the run this is, from 1.
        registry_version: The version in MLflow's registry.
        environment: What a permit would be for.
        lock: Digest of the environment's lock, Python version and number of packages.
        data: Source, snapshot digest, rows, columns, contract.
        training: Parameters, seed, threshold, evaluation, attempts on the same rows in this and earlier runs.
        artifact: Manifest digest, files, trusted types.
        request: Reason and version bump, and what differs from the spec: parameters, source of the data.
        started_by: Pseudonymous id of who triggered the run.
        alternatives: What was searched, or nothing.
        replaces: The blocked attempt before this one, or nothing.
        champion: What served when the run began, and was compared with; or nothing.
    """

    version: str
    attempt: int
    registry_version: int
    environment: str
    lock: Mapping[str, Any]
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    artifact: Mapping[str, Any]
    request: Mapping[str, Any]
    started_by: str
    alternatives: Mapping[str, Any] | None = None
    replaces: Mapping[str, Any] | None = None
    champion: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Exceptions:
    """What people have signed before about this model, and the moment at which it is looked at.

    Attributes:
        proposed: The waivers of the ledger; those that count are found here.
        findings: The open findings of versions before.
        keys: What signatures are checked with.
        at: The moment of the judgement.
    """

    proposed: Sequence[SignedWaiver]
    findings: Sequence[Finding]
    keys: PublicKeys
    at: datetime


def compose(
    facts: Facts,
    spec: ModelSpec,
    policy: Policy,
    people: People,
    code: CodeState,
    measurements: Iterable[Measurement],
    exceptions: Exceptions | None = None,
) -> tuple[Json, Verdict]:
    """Write the evidence of a candidate, and judge it.

    Args:
        facts: What the steps before established.
        spec: The model's.
        policy: What is demanded.
        people: Who is who.
        code: Who wrote it.
        measurements: What was measured, and what rules that are code answered.
        exceptions: Waivers and findings; only the waivers that the verdict rests on become part of the evidence.

    Returns:
        The document, and the verdict that it holds.

    Raises:
        InputError: The policy is another model's, or another tier's than the spec says.
    """
    if (policy.model, policy.tier) != (spec.name, spec.tier):
        raise InputError(
            f"Expected a policy of {spec.name} for the tier {spec.tier}, as model.yaml says, found one of "
            f"{policy.model} for {policy.tier}. Correct models/{spec.name}/policy.yaml; `governance check` finds this."
        )
    measured = sorted(measurements, key=lambda measurement: measurement.key)
    involved = _involved(facts, spec, people, code)
    counting = _in_force(exceptions, involved, policy, people)
    verdict = judge(
        policy, Slices.of(spec, facts.training), measured, waivers=counting, at=exceptions.at if exceptions else None
    )
    rests_on = {rule.waiver["digest"] for rule in verdict.waived() if rule.waiver}
    document = {
        "format": FORMAT,
        "model": _model_part(facts, spec),
        "spec": _spec_part(spec, people),
        "policy": {name: getattr(policy, name) for name in ("digest", "version", "tier", "tier_version")},
        "people": {"digest": people.digest},
        "code": {"digest": code.digest, "commit": code.commit, "uncommitted": list(code.uncommitted)},
        "environment": dict(facts.lock),
        "data": dict(facts.data),
        "training": dict(facts.training),
        "artifact": dict(facts.artifact),
        "request": dict(facts.request),
        "involved": involved,
        "measurements": [measurement.to_dict() for measurement in measured],
        "verdict": verdict.to_dict(),
        "alternatives": facts.alternatives,
        "replaces": facts.replaces,
        "champion": facts.champion,
        "waivers": [one.to_dict() for one in exceptions.proposed if one.digest in rests_on] if exceptions else [],
        "findings": [one.to_dict() for one in exceptions.findings if one.is_open] if exceptions else [],
    }
    return document, verdict


def _model_part(facts: Facts, spec: ModelSpec) -> Json:
    return {
        "name": spec.name,
        "title": spec.title,
        "version": facts.version,
        "attempt": facts.attempt,
        "registry_version": facts.registry_version,
        "tier": spec.tier,
        "environment": facts.environment,
    }


def _in_force(exceptions: Exceptions | None, involved: Json, policy: Policy, people: People) -> list[Waiver]:
    if exceptions is None:
        return []
    who = waivers.Involved.of(involved)
    return waivers.in_force(exceptions.proposed, who, policy, people, exceptions.keys, exceptions.at)


def digest_of(document: Json) -> str:
    """Return the digest that people sign."""
    return canonical.digest(document)


def python_version() -> str:
    """Return the version of the running Python."""
    return platform.python_version()


def _spec_part(spec: ModelSpec, people: People) -> Json:
    return {
        "digest": spec.digest,
        "task": spec.task,
        "purpose": spec.purpose,
        "owner": {"team": spec.owner.team, "person": people.identity(spec.owner.person)},
        "developers": [people.identity(login) for login in spec.developers],
        "limitations": spec.limitations,
        "assumptions": spec.assumptions,
        "target": spec.target.model_dump(),
        "features": dict(spec.features),
        "proxies": list(spec.proxies),
        "protected": list(spec.protected),
        "no_persons": spec.no_persons,
        "intersections": [list(names) for names in spec.intersections],
    }


def _involved(facts: Facts, spec: ModelSpec, people: People, code: CodeState) -> Json:
    authors = []
    for author in code.authors:
        person = people.by_email(author.email)
        # An e-mail nobody claims is committed to by its digest: evidence holds no names.
        who = {"person": person.id} if person else {"email": canonical.digest(author.email)}
        authors.append({**who, "commits": list(author.commits[:20])})
    return {
        "started_by": facts.started_by,
        "developers": [people.identity(login) for login in spec.developers],
        "authors": authors,
    }
