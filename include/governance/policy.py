"""What is demanded of a model, and the judgement of its measurements against it.

A model's ``policy.yaml`` extends its tier's file: it may tighten what the tier demands and add rules, never loosen or
drop one. The policy judges and never computes; measures compute and never see a limit. So a policy can be replayed
over all past evidence, and a permit's verifier can repeat the judgement from the signed measurements alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from governance import canonical, policyfile, yamlfile
from governance.catalog import ModelSpec
from governance.policyfile import Alternatives, Approvals, Over, Permits, PolicyFile, TierFile, limits_of, merged_rules
from governance.records import Measurement, Outcome, RuleResult, Verdict
from governance.yamlfile import Document, FaultyFileError

NOT_ENOUGH_DATA = "not enough data"
"""How the reason of a measurement begins that is absent for want of rows (and not for an error)."""

SEVERITY = (Outcome.NOT_APPLICABLE, Outcome.PASS, Outcome.WARN, Outcome.NOT_ENOUGH_DATA, Outcome.BLOCK)


@dataclass(frozen=True)
class Rule:
    """One demand on one measurement, or on one measurement for each attribute, intersection or group."""

    id: str
    title: str
    measure: str
    over: Over
    of: Literal["estimate", "low", "high"]
    limits: Mapping[str, float]


@dataclass(frozen=True)
class Policy:
    """The tier's policy and the model's own, as one.

    Attributes:
        model: The model's name.
        version: The version of the model's policy.
        tier: The tier's file it extends.
        tier_version: That file's version.
        digest: Over both files, byte for byte.
        documents: Both files, the model's first; a permit carries their bytes.
        rules: All rules, by id.
    """

    model: str
    version: str
    tier: str
    tier_version: str
    digest: str
    documents: tuple[Document[PolicyFile], Document[TierFile]]
    approvals: Approvals
    permit: Permits
    not_enough_data: str
    minimum_n: int
    uncommitted_changes: str
    unknown_authors: str
    alternatives: Alternatives
    rules: tuple[Rule, ...]


def load_policy(folder: Path, policies: Path) -> Policy:
    """Read a model's policy together with its tier's.

    Raises:
        FaultyFileError: With every fault: shape, loosened limits, limits that contradict each other.
    """
    own = yamlfile.read(folder / "policy.yaml", PolicyFile)
    tier = yamlfile.read(policies / f"{own.content.extends}.yaml", TierFile)
    return combine(own, tier)


def policy_from_bytes(own: bytes, tier: bytes) -> Policy:
    """Rebuild a policy from the bytes that a permit carries."""
    return combine(
        yamlfile.read(Path("policy.yaml"), PolicyFile, own), yamlfile.read(Path("tier.yaml"), TierFile, tier)
    )


def digest_of_files(own: bytes, tier: bytes) -> str:
    """Return the digest of a policy from the bytes of its two files, unparsed."""
    return canonical.digest({"policy": canonical.digest_of_bytes(own), "tier": canonical.digest_of_bytes(tier)})


def combine(own: Document[PolicyFile], tier: Document[TierFile]) -> Policy:
    """Lay a model's policy over its tier's.

    Raises:
        FaultyFileError: The model's policy loosens the tier's, or contradicts itself.
    """
    faults = policyfile.faults(own, tier)
    if faults:
        raise FaultyFileError(faults)
    mine, floor = own.content, tier.content
    rules = _merged_rules(own, tier)
    return Policy(
        model=mine.model,
        version=mine.version,
        tier=floor.tier,
        tier_version=floor.version,
        digest=digest_of_files(own.body, tier.body),
        documents=(own, tier),
        approvals=Approvals(
            roles={**floor.approvals.roles, **mine.approvals.roles},
            expire_after_days=mine.approvals.expire_after_days or floor.approvals.expire_after_days,
            checklist=[*floor.approvals.checklist, *mine.approvals.checklist],
        ),
        permit=floor.permit.model_copy(update=mine.permit.model_dump(exclude_none=True)),
        not_enough_data=mine.not_enough_data or floor.not_enough_data,
        minimum_n=mine.minimum_n or floor.minimum_n,
        uncommitted_changes=mine.uncommitted_changes or floor.uncommitted_changes,
        unknown_authors=mine.unknown_authors or floor.unknown_authors,
        alternatives=mine.alternatives or floor.alternatives,
        rules=tuple(rules),
    )


def _merged_rules(own: Document[PolicyFile], tier: Document[TierFile]) -> Iterator[Rule]:
    for name, (_, text) in merged_rules(own, tier).items():
        yield Rule(
            id=name,
            title=text.title or name,
            measure=str(text.measure),
            over=text.over or "everything",
            of=text.of or "estimate",
            limits=limits_of(text),
        )


# --- judging -------------------------------------------------------------------------------------------------------


def judge(policy: Policy, spec: "Slices", measurements: Iterable[Measurement], *, provenance: bool = True) -> Verdict:
    """Judge measurements against a policy.

    Fails closed: a rule whose measurement is missing, or has no value for another reason than too little data, blocks.

    Args:
        policy: What is demanded.
        spec: The protected attributes and intersections that rules ``over`` them speak of.
        measurements: What was measured.
        provenance: Whether uncommitted changes and unknown authors are judged; ``governance try`` does not care.

    Returns:
        The verdict, rule by rule (worst first) and for the whole. Groups below the minimum n are reported and stop
        nothing (§10.7).
    """
    known = _by_key(measurements)
    rules = (*policy.rules, *_provenance_rules(policy)) if provenance else policy.rules
    results = [result for rule in rules for result in _judge_rule(policy, rule, spec, known)]
    counted = [result.outcome for result in results if result.stops or result.outcome is not Outcome.NOT_ENOUGH_DATA]
    whole = max(counted, key=SEVERITY.index, default=Outcome.BLOCK)
    return Verdict(whole, tuple(sorted(results, key=lambda result: -SEVERITY.index(result.outcome))))


def _by_key(measurements: Iterable[Measurement]) -> "Known":
    """Index measurements; two answers to one question are none, whichever came first."""
    known: dict[tuple[str, tuple[tuple[str, str], ...]], Measurement] = {}
    for measurement in measurements:
        if known.setdefault(measurement.key, measurement) != measurement:
            contradiction = "measured twice, with different results"
            known[measurement.key] = Measurement(measurement.name, None, 0, measurement.slice, reason=contradiction)
    return known


@dataclass(frozen=True)
class Slices:
    """The protected attributes of a model and the intersections that are looked at."""

    attributes: Sequence[str]
    intersections: Sequence[Sequence[str]]

    @classmethod
    def of(cls, spec: ModelSpec) -> "Slices":
        """Return those of a spec."""
        return cls(tuple(spec.protected), tuple(tuple(names) for names in spec.intersections))


def _provenance_rules(policy: Policy) -> Iterator[Rule]:
    """Return the two rules that every policy has: who wrote the code, and whether it is in version control."""
    for name, title, severity in (
        ("uncommitted_changes", "Uncommitted changes", policy.uncommitted_changes),
        ("unknown_authors", "Authors not in people.yaml", policy.unknown_authors),
    ):
        limits = {"at_most": 0.0} if severity == "block" else {"warn_above": 0.0}
        yield Rule(name, title, f"provenance.{name}", "everything", "estimate", limits)


Known = Mapping[tuple[str, tuple[tuple[str, str], ...]], Measurement]


def _judge_rule(policy: Policy, rule: Rule, spec: Slices, known: Known) -> list[RuleResult]:
    if rule.over == "groups":
        return _small_groups(policy, rule, spec, known)
    if rule.over == "attributes" and not spec.attributes:
        reason = "No protected attribute is named in model.yaml, so nothing was compared."
        return [_result(rule, {}, None, Outcome.BLOCK, True, reason)]
    return [_judge_one(policy, rule, slice_, known) for slice_ in _slices(rule, spec)]


def _slices(rule: Rule, spec: Slices) -> list[dict[str, str]]:
    if rule.over == "attributes":
        return [{"attribute": name} for name in spec.attributes]
    if rule.over == "intersections":
        return [{"attribute": " × ".join(names)} for names in spec.intersections]
    return [{}]


def _judge_one(policy: Policy, rule: Rule, slice_: dict[str, str], known: Known) -> RuleResult:
    measurement = known.get((rule.measure, tuple(sorted(slice_.items()))))
    outcome, reason = _outcome(policy, rule, measurement)
    stops = outcome is Outcome.BLOCK or (
        outcome is Outcome.NOT_ENOUGH_DATA and policy.not_enough_data == "stops" and rule.over != "intersections"
    )
    return _result(rule, slice_, measurement, outcome, stops, reason)


def _outcome(policy: Policy, rule: Rule, measurement: Measurement | None) -> tuple[Outcome, str]:
    if measurement is None:
        return Outcome.BLOCK, "The measurement is missing."
    if (measurement.reason or "").startswith(NOT_ENOUGH_DATA):
        return Outcome.NOT_ENOUGH_DATA, str(measurement.reason)
    # Without a value, few rows are no excuse: a model that could not be loaded was asked about none.
    if measurement.value is not None and measurement.n < policy.minimum_n and measurement.method != "counted":
        return Outcome.NOT_ENOUGH_DATA, f"{measurement.n} rows; needs {policy.minimum_n}."
    judged = {"estimate": measurement.value, "low": measurement.low, "high": measurement.high}[rule.of]
    if judged is None:
        return Outcome.BLOCK, f"Could not be measured: {measurement.reason or f'it has no {rule.of} end'}."
    return _against_limits(rule, judged)


def _against_limits(rule: Rule, judged: float) -> tuple[Outcome, str]:
    what = {"estimate": "", "low": "lower bound ", "high": "upper bound "}[rule.of]
    limits = rule.limits
    number = f"{what}{judged:.3f}"
    if "at_least" in limits and judged < limits["at_least"]:
        return Outcome.BLOCK, f"{number} is below {limits['at_least']:g}."
    if "at_most" in limits and judged > limits["at_most"]:
        return Outcome.BLOCK, f"{number} is above {limits['at_most']:g}."
    if "warn_below" in limits and judged < limits["warn_below"]:
        return Outcome.WARN, f"{number} is below {limits['warn_below']:g}."
    if "warn_above" in limits and judged > limits["warn_above"]:
        return Outcome.WARN, f"{number} is above {limits['warn_above']:g}."
    return Outcome.PASS, f"{number} is within its limits."


def _small_groups(policy: Policy, rule: Rule, spec: Slices, known: Known) -> list[RuleResult]:
    looked_at = {frozenset([name]) for name in spec.attributes} | {frozenset(names) for names in spec.intersections}
    small = [
        measurement
        for (name, _), measurement in known.items()
        if name == rule.measure and frozenset(measurement.slice) in looked_at and measurement.n < policy.minimum_n
    ]
    reason = f"needs {policy.minimum_n} · reported only"
    return [
        _result(rule, measurement.slice, measurement, Outcome.NOT_ENOUGH_DATA, False, reason) for measurement in small
    ]


def _result(
    rule: Rule,
    slice_: Mapping[str, str],
    measurement: Measurement | None,
    outcome: Outcome,
    stops: bool,
    reason: str,
) -> RuleResult:
    return RuleResult(
        rule=rule.id,
        title=rule.title,
        measure=rule.measure,
        slice=dict(slice_),
        outcome=outcome,
        value=measurement.value if measurement else None,
        low=measurement.low if measurement else None,
        high=measurement.high if measurement else None,
        n=measurement.n if measurement else None,
        bound=rule.of,
        limits=dict(rule.limits),
        stops=stops,
        reason=reason,
    )
