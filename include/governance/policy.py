"""What is demanded of a model, and the judgement of its measurements against it.

A model's ``policy.yaml`` extends its tier's file: it may tighten what the tier demands and add rules, never loosen or
drop one. The policy judges and never computes; measures compute and never see a limit. So a policy can be replayed
over all past evidence, and a permit's verifier can repeat the judgement from the signed measurements alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from governance import canonical, yamlfile
from governance.catalog import ModelSpec, Tier
from governance.records import Measurement, Outcome, RuleResult, Verdict
from governance.yamlfile import Document, Fault, FaultyFileError, Strict

NOT_ENOUGH_DATA = "not enough data"
"""How the reason of a measurement begins that is absent for want of rows (and not for an error)."""

Over = Literal["everything", "attributes", "intersections", "groups"]
Number = int | float

SEVERITY = (Outcome.NOT_APPLICABLE, Outcome.PASS, Outcome.WARN, Outcome.NOT_ENOUGH_DATA, Outcome.BLOCK)


class RuleText(Strict):
    """A rule as it is written: in the tier's file whole, in a model's policy only what is tightened."""

    title: str | None = None
    measure: str | None = None
    over: Over | None = None
    of: Literal["estimate", "low", "high"] | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    warn_below: Number | None = None
    warn_above: Number | None = None


@dataclass(frozen=True)
class Rule:
    """One demand on one measurement, or on one measurement for each attribute, intersection or group."""

    id: str
    title: str
    measure: str
    over: Over
    of: Literal["estimate", "low", "high"]
    limits: Mapping[str, float]


class Approvals(Strict):
    """Who must sign, by when, and what they confirm."""

    roles: dict[str, int]
    expire_after_days: Number = Field(gt=0)
    checklist: list[str] = Field(default_factory=list)


class ApprovalsText(Strict):
    """What a model's policy may tighten of the approvals."""

    roles: dict[str, int] = Field(default_factory=dict)
    expire_after_days: Number | None = Field(default=None, gt=0)
    checklist: list[str] = Field(default_factory=list)


class Permits(Strict):
    """How long a permit lasts, and what happens when it expires while the model serves."""

    valid_days: int = Field(gt=0)
    when_expired: Literal["stop", "serve_and_alert"]


class PermitsText(Strict):
    """What a model's policy may tighten of the permit."""

    valid_days: int | None = Field(default=None, gt=0)
    when_expired: Literal["stop", "serve_and_alert"] | None = None


class Alternatives(Strict):
    """Whether less discriminatory alternatives are searched, and with what."""

    search: bool
    never_with_protected_attributes: bool
    legal_reason: str | None = None

    @model_validator(mode="after")
    def _reason(self) -> "Alternatives":
        if not self.never_with_protected_attributes and not self.legal_reason:
            raise ValueError("using a protected attribute in training needs a `legal_reason`.")
        return self


class TierFile(Strict):
    """``policies/<tier>.yaml``: the floor."""

    tier: Tier
    version: str
    summary: str
    approvals: Approvals
    permit: Permits
    not_enough_data: Literal["stops", "reported"]
    minimum_n: int = Field(ge=1)
    uncommitted_changes: Literal["block", "warn"]
    unknown_authors: Literal["block", "warn"]
    alternatives: Alternatives
    rules: dict[str, RuleText]


class PolicyFile(Strict):
    """``models/<name>/policy.yaml``: the tier's, tightened."""

    model: str
    version: str
    extends: Tier
    approvals: ApprovalsText = ApprovalsText()
    permit: PermitsText = PermitsText()
    not_enough_data: Literal["stops", "reported"] | None = None
    minimum_n: int | None = Field(default=None, ge=1)
    uncommitted_changes: Literal["block", "warn"] | None = None
    unknown_authors: Literal["block", "warn"] | None = None
    alternatives: Alternatives | None = None
    rules: dict[str, RuleText] = Field(default_factory=dict)


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


def combine(own: Document[PolicyFile], tier: Document[TierFile]) -> Policy:
    """Lay a model's policy over its tier's.

    Raises:
        FaultyFileError: The model's policy loosens the tier's, or contradicts itself.
    """
    faults = [*_loosened(own, tier), *_contradictions(tier), *_contradictions(own)]
    if faults:
        raise FaultyFileError(faults)
    mine, floor = own.content, tier.content
    rules = _merged_rules(own, tier)
    return Policy(
        model=mine.model,
        version=mine.version,
        tier=floor.tier,
        tier_version=floor.version,
        digest=canonical.digest({"policy": own.digest, "tier": tier.digest}),
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
    mine, floor = own.content.rules, tier.content.rules
    for name in [*floor, *(name for name in mine if name not in floor)]:
        document: Document[Any] = own if name in mine else tier
        text = {
            **(floor[name].model_dump(exclude_none=True) if name in floor else {}),
            **(mine[name].model_dump(exclude_none=True) if name in mine else {}),
        }
        if "measure" not in text:
            raise FaultyFileError(
                [document.fault(("rules", name), f"Rule `{name}` names no measure.", "Add `measure:`.")]
            )
        limits = {limit: float(text[limit]) for limit in LIMITS if limit in text}
        if not limits and text.get("over") != "groups":
            found = f"Rule `{name}` has no limit: it would pass whatever is measured."
            raise FaultyFileError([document.fault(("rules", name), found, f"Add one of: {', '.join(LIMITS)}.")])
        yield Rule(
            id=name,
            title=text.get("title", name),
            measure=text["measure"],
            over=text.get("over", "everything"),
            of=text.get("of", "estimate"),
            limits=limits,
        )


LIMITS = ("at_least", "at_most", "warn_below", "warn_above")

_TIGHTER: Mapping[str, Callable[[Any, Any], bool]] = {
    "at_least": lambda mine, floor: mine >= floor,
    "warn_below": lambda mine, floor: mine >= floor,
    "at_most": lambda mine, floor: mine <= floor,
    "warn_above": lambda mine, floor: mine <= floor,
    "expire_after_days": lambda mine, floor: mine <= floor,
    "valid_days": lambda mine, floor: mine <= floor,
    "minimum_n": lambda mine, floor: mine <= floor,
    "when_expired": lambda mine, floor: mine == floor or mine == "stop",
    "not_enough_data": lambda mine, floor: mine == floor or mine == "stops",
    "uncommitted_changes": lambda mine, floor: mine == floor or mine == "block",
    "unknown_authors": lambda mine, floor: mine == floor or mine == "block",
    "never_with_protected_attributes": lambda mine, floor: mine or not floor,
    "measure": lambda mine, floor: mine == floor,
    "over": lambda mine, floor: mine == (floor or "everything"),
    "of": lambda mine, floor: mine == (floor or "estimate"),
}


def _loosened(own: Document[PolicyFile], tier: Document[TierFile]) -> Iterator[Fault]:
    mine, floor = own.content, tier.content
    yield from _looser(own, (), mine, floor, floor.tier)
    yield from _looser(own, ("permit",), mine.permit, floor.permit, floor.tier)
    yield from _looser(own, ("approvals",), mine.approvals, floor.approvals, floor.tier)
    if mine.alternatives:
        yield from _looser(own, ("alternatives",), mine.alternatives, floor.alternatives, floor.tier)
    for role, count in mine.approvals.roles.items():
        if count < floor.approvals.roles.get(role, 0):
            demanded = f"Tier {floor.tier} demands {floor.approvals.roles[role]}."
            yield own.fault(("approvals", "roles", role), f"{count} × `{role}` is looser than the tier.", demanded)
    for name, rule in mine.rules.items():
        if name in floor.rules:
            yield from _looser(own, ("rules", name), rule, floor.rules[name], floor.tier)


def _looser(
    own: Document[PolicyFile], path: tuple[str, ...], mine: Strict, floor: Strict, tier: str
) -> Iterator[Fault]:
    for key, is_tight in _TIGHTER.items():
        value, demanded = getattr(mine, key, None), getattr(floor, key, None)
        if value is None or (demanded is None and key not in ("over", "of")):
            continue
        if not is_tight(value, demanded):
            name = ".".join((*path, key))
            found = f"`{name}: {value}` is looser than tier {tier} allows ({demanded})."
            yield own.fault((*path, key), found, f"Write {demanded} or stricter, or leave it out.")


def _contradictions(document: Document[Any]) -> Iterator[Fault]:
    for name, rule in document.content.rules.items():
        path = ("rules", name)
        if rule.at_most is not None and rule.warn_above is not None and rule.warn_above > rule.at_most:
            found = f"Rule `{name}` would warn above {rule.warn_above} but blocks above {rule.at_most} already."
            yield document.fault((*path, "warn_above"), found, "Warn below the limit.")
        if rule.at_least is not None and rule.warn_below is not None and rule.warn_below < rule.at_least:
            found = f"Rule `{name}` would warn below {rule.warn_below} but blocks below {rule.at_least} already."
            yield document.fault((*path, "warn_below"), found, "Warn above the limit.")


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
    known = {measurement.key: measurement for measurement in measurements}
    rules = (*policy.rules, *_provenance_rules(policy)) if provenance else policy.rules
    results = [result for rule in rules for result in _judge_rule(policy, rule, spec, known)]
    counted = [result.outcome for result in results if result.stops or result.outcome is not Outcome.NOT_ENOUGH_DATA]
    whole = max(counted, key=SEVERITY.index, default=Outcome.BLOCK)
    return Verdict(whole, tuple(sorted(results, key=lambda result: -SEVERITY.index(result.outcome))))


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
    too_few = measurement.n < policy.minimum_n and measurement.method != "counted"
    if (measurement.reason or "").startswith(NOT_ENOUGH_DATA) or too_few:
        return Outcome.NOT_ENOUGH_DATA, measurement.reason or f"{measurement.n} rows; needs {policy.minimum_n}."
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
