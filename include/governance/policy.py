"""What is demanded of a model, and the judgement of its measurements against it.

A model's ``policy.yaml`` extends its tier's file: it may tighten what the tier demands and add rules, never loosen or
drop one. The policy judges and never computes; measures compute and never see a limit. So a policy can be replayed
over all past evidence, and a permit's verifier can repeat the judgement from the signed measurements alone. Rules that
are code are no exception: :mod:`governance.rules` runs them once, and what they answered is judged here like any fact.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from governance import canonical, policyfile, yamlfile
from governance.catalog import ModelSpec, TaskName
from governance.policyfile import (
    CODE_SECONDS,
    TASKS,
    Alternatives,
    Approvals,
    BreakGlass,
    Condition,
    Kept,
    Monitoring,
    MonitoringText,
    NoTarget,
    Over,
    Permits,
    PolicyFile,
    StandingApprovals,
    TierFile,
    Waivers,
    covers,
    limits_of,
    merged_rules,
)
from governance.records import Measurement, Outcome, RuleResult, Verdict, Waiver
from governance.yamlfile import Document, FaultyFileError

NOT_ENOUGH_DATA = "not enough data"
"""How the reason of a measurement begins that is absent for want of rows (and not for an error)."""

NOT_APPLICABLE = "not applicable: "
"""How the reason of a measurement begins that makes no sense for this model; then condition, colon and sentence."""

CODE = "rule."
"""The family of what rules that are code answered: ``rule.<id>``."""

ANSWERS = {1.0: Outcome.PASS, 0.5: Outcome.WARN, 0.0: Outcome.BLOCK}
"""An answer as the number by which it is on record."""

SEARCHED = ("performance.", "fairness.")
"""The families that an alternative is judged by while searching."""

SEVERITY = (Outcome.NOT_APPLICABLE, Outcome.PASS, Outcome.WARN, Outcome.NOT_ENOUGH_DATA, Outcome.BLOCK)


@dataclass(frozen=True)
class Code:
    """A rule that is code: a Rego file, or a function in a Python file, and how long it may take."""

    kind: Literal["rego", "python"]
    file: Path
    function: str | None
    seconds: float


@dataclass(frozen=True)
class Rule:
    """One demand on one measurement, or on one measurement for each attribute, intersection or group.

    Attributes:
        id: Its name in the policy.
        title: The rule in words.
        measure: What it judges; ``rule.<id>`` where it is code.
        over: One result for everything, or one for each attribute, intersection or group.
        of: What is compared with the limits.
        limits: By name.
        tasks: Of which tasks it speaks.
        code: Where it is code.
    """

    id: str
    title: str
    measure: str
    over: Over
    of: Literal["estimate", "low", "high"]
    limits: Mapping[str, float]
    tasks: tuple[TaskName, ...] = TASKS
    code: Code | None = None

    @property
    def demands(self) -> dict[str, Any]:
        """What it demands, for a waiver to name."""
        return {"measure": self.measure, "over": self.over, "of": self.of, "limits": dict(self.limits)}


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
        overdue_findings: What an open finding past its due date does; ``None`` where the tier's file knows none.
        personal_data: What happens to it in data.
        no_rollback_target: What happens where there is no version to roll back to: serve on and call people, or suspend
            the model.
        may_stop: The roles that may take the model out of service on the page.
        not_applicable: Condition → the measures that need not be there where it holds.
        waivers: What a signed waiver may lift; nothing where the tier's file knows none.
        break_glass: Who may release without all signatures in an emergency; ``None`` where nobody may.
        standing_approvals: What people may sign in advance; ``None`` where nothing.
        monitoring: What it must keep to while it serves.
        predictions: How long what it answered is kept.
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
    overdue_findings: str | None
    personal_data: str
    no_rollback_target: NoTarget
    may_stop: tuple[str, ...]
    not_applicable: Mapping[Condition, tuple[str, ...]]
    waivers: Waivers | None
    break_glass: BreakGlass | None
    standing_approvals: StandingApprovals | None
    alternatives: Alternatives
    monitoring: Monitoring
    predictions: Kept
    rules: tuple[Rule, ...]

    def rule(self, name: str) -> Rule | None:
        """Return a rule by its id."""
        return next((rule for rule in self.rules if rule.id == name), None)

    def rules_of(self, task: TaskName) -> list[Rule]:
        """Return the rules that speak of a task."""
        return [rule for rule in self.rules if task in rule.tasks]

    def while_searching(self) -> "Policy":
        """Return this policy with the rules alone that a search for alternatives can judge by.

        It measures performance and fairness of each, not the change against the champion; what it chooses is then
        measured and judged in full.
        """
        rules = (rule for rule in self.rules if rule.measure.startswith(SEARCHED))
        return replace(self, rules=tuple(rule for rule in rules if not rule.measure.endswith("_change")))

    def may_be_waived(self, rule: Rule) -> bool:
        """Say whether a waiver can lift a rule at all."""
        reported = rule.over == "groups"
        return self.waivers is not None and not reported and not covers(self.waivers.never, rule.measure)


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
        overdue_findings=mine.overdue_findings or floor.overdue_findings,
        personal_data=mine.personal_data or floor.personal_data,
        no_rollback_target=mine.no_rollback_target or floor.no_rollback_target or "keep_and_call",
        may_stop=tuple(mine.may_stop or floor.may_stop or ()),
        not_applicable={name: tuple(one) for name, one in {**floor.not_applicable, **mine.not_applicable}.items()},
        waivers=_waivers(mine, floor),
        break_glass=_break_glass(mine, floor),
        standing_approvals=_standing_approvals(mine, floor),
        alternatives=mine.alternatives or floor.alternatives,
        monitoring=_monitoring(floor.monitoring, mine.monitoring),
        predictions=Kept(
            days=mine.predictions.days or floor.predictions.days,
            regulations=sorted({*floor.predictions.regulations, *mine.predictions.regulations}),
        ),
        rules=tuple(rules),
    )


def _waivers(mine: PolicyFile, floor: TierFile) -> Waivers | None:
    if floor.waivers is None:
        return None
    longest = mine.waivers.longest_days or floor.waivers.longest_days
    return Waivers(longest_days=longest, never=[*floor.waivers.never, *mine.waivers.never])


def _break_glass(mine: PolicyFile, floor: TierFile) -> BreakGlass | None:
    if floor.break_glass is None or mine.break_glass.forbidden:
        return None
    tightened = mine.break_glass.model_dump(exclude_none=True)
    return floor.break_glass.model_copy(update=tightened)


def _standing_approvals(mine: PolicyFile, floor: TierFile) -> StandingApprovals | None:
    if floor.standing_approvals is None or mine.standing_approvals.forbidden:
        return None
    tightened = mine.standing_approvals.model_dump(exclude_none=True, exclude={"forbidden"})
    margins = {**floor.standing_approvals.margins, **mine.standing_approvals.margins}
    return floor.standing_approvals.model_copy(update={**tightened, "margins": margins})


def _merged_rules(own: Document[PolicyFile], tier: Document[TierFile]) -> Iterator[Rule]:
    for name, (document, text) in merged_rules(own, tier).items():
        home = tier if name in tier.content.rules else document
        code = _code(text, home.path.parent)
        yield Rule(
            id=name,
            title=text.title or name,
            measure=CODE + name if code else str(text.measure),
            over=text.over or "everything",
            of=text.of or "estimate",
            limits=limits_of(text),
            tasks=tuple(text.tasks or TASKS),
            code=code,
        )


def _code(text: policyfile.RuleText, folder: Path) -> Code | None:
    seconds = float(text.seconds or CODE_SECONDS)
    if text.rego:
        return Code("rego", folder / text.rego, None, seconds)
    if text.python:
        file, _, function = text.python.partition(":")
        return Code("python", folder / file, function, seconds)
    return None


# --- judging -------------------------------------------------------------------------------------------------------


def judge(
    policy: Policy,
    spec: "Slices",
    measurements: Iterable[Measurement],
    *,
    provenance: bool = True,
    waivers: Iterable[Waiver] = (),
    at: datetime | None = None,
) -> Verdict:
    """Judge measurements against a policy.

    Fails closed: a rule whose measurement is missing, or has no value for another reason than too little data or a
    condition that the policy grants, blocks. A waiver lets through what was measured and found wanting, or too small;
    never what is missing.

    Args:
        policy: What is demanded.
        spec: What of the model's spec bears on it.
        measurements: What was measured, and what rules that are code answered.
        provenance: Whether uncommitted changes, unknown authors and overdue findings are judged; ``governance try``
            does not care.
        waivers: Those whose signatures count.
        at: The moment of the judgement; without it no waiver counts.

    Returns:
        The verdict, rule by rule (worst first) and for the whole. Groups below the minimum n are reported and stop
        nothing (§10.7). With a waiver it is *warn* at best.
    """
    known = _by_key(measurements)
    rules = policy.rules_of(spec.task) + (list(_provenance_rules(policy)) if provenance else [])
    pairs = [(rule, result) for rule in rules for result in _judge_rule(policy, rule, spec, known)]
    signed = tuple(waivers) if at is not None else ()
    results = [_under(policy, rule, result, signed, at) if signed and at else result for rule, result in pairs]
    return Verdict(_whole(results), tuple(sorted(results, key=lambda result: -_severity(result))))


def _whole(results: Sequence[RuleResult]) -> Outcome:
    """Return the worst of what counts; nothing judged is nothing passed."""
    counted = [
        Outcome.WARN if result.waiver is not None else result.outcome
        for result in results
        if result.stops or result.waiver is not None or result.outcome is not Outcome.NOT_ENOUGH_DATA
    ]
    worst = max(counted, key=SEVERITY.index, default=Outcome.BLOCK)
    return Outcome.BLOCK if worst is Outcome.NOT_APPLICABLE else worst


def _severity(result: RuleResult) -> int:
    return SEVERITY.index(result.outcome)


def _under(policy: Policy, rule: Rule, result: RuleResult, waivers: Sequence[Waiver], at: datetime) -> RuleResult:
    """Return a result as the waiver leaves it that lasts longest, if one speaks of it."""
    judged = {"estimate": result.value, "low": result.low, "high": result.high}[result.bound]
    measured = judged is not None or result.outcome is Outcome.NOT_ENOUGH_DATA
    if not result.stops or not measured or not policy.may_be_waived(rule):
        return result
    speaking = [one for one in waivers if one.counts_for(rule.id, result.slice, rule.demands, at)]
    if not speaking:
        return result
    longest = max(speaking, key=lambda one: (one.ends, one.digest))
    return replace(result, stops=False, waiver=longest.to_dict())


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
    """What of a spec the judgement rests on.

    Attributes:
        attributes: The protected attributes.
        intersections: Those of them that are looked at together.
        task: What the model answers; rules for other tasks are no part of the verdict.
        no_persons: Why no attribute is protected, where the spec says that nobody is concerned.
        trained_here: Whether the pipeline trained it.
    """

    attributes: Sequence[str]
    intersections: Sequence[Sequence[str]]
    task: TaskName = "binary_classification"
    no_persons: str | None = None
    trained_here: bool = True

    @classmethod
    def of(cls, spec: ModelSpec, training: Mapping[str, Any] | None = None) -> "Slices":
        """Return those of a spec, and of what the evidence says of a candidate's training.

        A model may be brought in that was trained elsewhere, although its spec has it trained here.
        """
        here = spec.trained == "here" and (training or {}).get("trained", "here") == "here"
        return cls(
            tuple(spec.protected),
            tuple(tuple(names) for names in spec.intersections),
            spec.task,
            None if spec.protected else spec.no_persons,
            here,
        )

    def may_hold(self, condition: Condition) -> bool:
        """Say whether a condition can be true of this model; what the spec says otherwise is no excuse."""
        return {
            "no persons": self.no_persons is not None,
            "not trained here": not self.trained_here,
            "not a classifier": self.task == "regression",
        }.get(condition, True)


def _provenance_rules(policy: Policy) -> Iterator[Rule]:
    """Return the rules that every policy has: who wrote the code, is it in version control, was what was found mended.

    A policy of a permit from before there were findings says nothing of them, and so nothing is judged.
    """
    for name, title, severity in (
        ("uncommitted_changes", "Uncommitted changes", policy.uncommitted_changes),
        ("unknown_authors", "Authors not in people.yaml", policy.unknown_authors),
        ("overdue_findings", "Overdue findings", policy.overdue_findings),
    ):
        if severity is None:
            continue
        limits = {"at_most": 0.0} if severity == "block" else {"warn_above": 0.0}
        yield Rule(name, title, f"provenance.{name}", "everything", "estimate", limits)


Known = Mapping[tuple[str, tuple[tuple[str, str], ...]], Measurement]


def _judge_rule(policy: Policy, rule: Rule, spec: Slices, known: Known) -> list[RuleResult]:
    if rule.code:
        return [_judge_answer(rule, known.get((rule.measure, ())))]
    if rule.over == "groups":
        return _small_groups(policy, rule, spec, known)
    if rule.over in ("attributes", "intersections") and not spec.attributes:
        return [_without_attributes(policy, rule, spec)]
    return [_judge_one(policy, rule, spec, slice_, known) for slice_ in _slices(rule, spec)]


def _without_attributes(policy: Policy, rule: Rule, spec: Slices) -> RuleResult:
    if spec.no_persons and covers(policy.not_applicable.get("no persons", ()), rule.measure):
        reason = f"{NOT_APPLICABLE}no persons: {spec.no_persons}"
        return _result(rule, {}, None, Outcome.NOT_APPLICABLE, False, reason)
    reason = "No protected attribute is named in model.yaml, so nothing was compared."
    return _result(rule, {}, None, Outcome.BLOCK, True, reason)


def _judge_answer(rule: Rule, answer: Measurement | None) -> RuleResult:
    """Judge by what a rule that is code answered; anything but one of the three answers blocks."""
    if answer is None:
        return _result(rule, {}, None, Outcome.BLOCK, True, "The rule was not run.")
    outcome = ANSWERS.get(answer.value) if answer.value is not None else None
    if outcome is None or not answer.reason:
        reason = f"The rule gave no answer: {answer.reason or 'none is on record'}"
        return _result(rule, {}, replace(answer, value=None, reason=reason), Outcome.BLOCK, True, reason)
    return _result(rule, {}, answer, outcome, outcome is Outcome.BLOCK, answer.reason)


def _slices(rule: Rule, spec: Slices) -> list[dict[str, str]]:
    if rule.over == "attributes":
        return [{"attribute": name} for name in spec.attributes]
    if rule.over == "intersections":
        return [{"attribute": " × ".join(names)} for names in spec.intersections]
    return [{}]


def _judge_one(policy: Policy, rule: Rule, spec: Slices, slice_: dict[str, str], known: Known) -> RuleResult:
    measurement = known.get((rule.measure, tuple(sorted(slice_.items()))))
    outcome, reason = _outcome(policy, rule, spec, measurement)
    stops = outcome is Outcome.BLOCK or (
        outcome is Outcome.NOT_ENOUGH_DATA and policy.not_enough_data == "stops" and rule.over != "intersections"
    )
    return _result(rule, slice_, measurement, outcome, stops, reason)


def _fewest(policy: Policy, rule: Rule) -> int:
    """Return the rows that a rule needs. A model may look at smaller groups than its tier, never rest on fewer rows."""
    _, tier = policy.documents
    return max(policy.minimum_n, tier.content.minimum_n) if rule.over == "everything" else policy.minimum_n


def _outcome(policy: Policy, rule: Rule, spec: Slices, measurement: Measurement | None) -> tuple[Outcome, str]:
    if measurement is None:
        return Outcome.BLOCK, "The measurement is missing."
    if measurement.value is None and (measurement.reason or "").startswith(NOT_APPLICABLE):
        return _not_applicable(policy, rule, spec, str(measurement.reason))
    if (measurement.reason or "").startswith(NOT_ENOUGH_DATA):
        return Outcome.NOT_ENOUGH_DATA, str(measurement.reason)
    # Without a value, few rows are no excuse: a model that could not be loaded was asked about none.
    needed = _fewest(policy, rule)
    if measurement.value is not None and measurement.n < needed and measurement.method != "counted":
        return Outcome.NOT_ENOUGH_DATA, f"{measurement.n} rows; needs {needed}."
    judged = {"estimate": measurement.value, "low": measurement.low, "high": measurement.high}[rule.of]
    if judged is None:
        return Outcome.BLOCK, f"Could not be measured: {measurement.reason or f'it has no {rule.of} end'}."
    outcome, said = _against_limits(rule, judged)
    # A measurement that has a value and a reason names what is wrong: the link that is missing.
    return outcome, f"{said} {measurement.reason}" if measurement.reason and outcome is not Outcome.PASS else said


def _not_applicable(policy: Policy, rule: Rule, spec: Slices, reason: str) -> tuple[Outcome, str]:
    """Accept a measurement's own word that it makes no sense here only where the policy grants it by name."""
    said = reason.removeprefix(NOT_APPLICABLE).partition(":")[0].strip()
    for condition, measures in policy.not_applicable.items():
        if condition == said and spec.may_hold(condition) and covers(measures, rule.measure):
            return Outcome.NOT_APPLICABLE, reason
    return Outcome.BLOCK, f"Could not be measured: {reason}. The policy grants no such exception for {rule.measure}."


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


def _monitoring(floor: Monitoring, mine: MonitoringText) -> Monitoring:
    """Return the tier's limits with the model's over them; of its own measures, the limits of both."""
    whole = {**floor.model_dump(), **mine.model_dump(exclude_none=True)}
    by_name = {kind: {**getattr(floor, kind), **getattr(mine, kind)} for kind in ("custom", "embeddings")}
    return Monitoring(**{**whole, **by_name})
