"""How a policy is written: the shapes of both files, and what a model's policy may not say.

``policies/<tier>.yaml`` is the floor; ``models/<name>/policy.yaml`` lies over it, tightens what it says and adds rules.
What would loosen it, contradicts itself or could judge nothing is a fault with file, line and remedy.
:mod:`governance.policy` makes one policy of both and judges by it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from governance.catalog import TaskName, Tier
from governance.records import Measurement
from governance.yamlfile import Document, Fault, Strict

Over = Literal["everything", "attributes", "intersections", "groups"]
Condition = Literal[
    "no champion", "no persons", "no vulnerability database", "no pipeline", "not trained here", "not a classifier"
]
NoTarget = Literal["keep_and_call", "suspend"]
Number = int | float

LIMITS = ("at_least", "at_most", "warn_below", "warn_above")
TASKS: tuple[TaskName, ...] = ("binary_classification", "multiclass_classification", "regression")
CODE_SECONDS = 5.0
"""How long a rule that is code may take, unless it says otherwise."""


class RuleText(Strict):
    """A rule as it is written: in the tier's file whole, in a model's policy only what is tightened.

    Attributes:
        title: The rule in words.
        measure: What it judges; or it is code:
        rego: A Rego file beside the policy, ``rules/foo.rego``, of the package ``governance``.
        python: A function in the model's folder, ``rules.py:function``.
        seconds: How long that code may take.
        tasks: Which tasks it speaks of; all where nothing is said.
        over: One result for everything, or one for each attribute, intersection or group.
        of: What is compared with the limit.
    """

    title: str | None = None
    measure: str | None = None
    rego: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\.rego$")
    python: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\.py:[A-Za-z_][A-Za-z0-9_]*$")
    seconds: Number | None = Field(default=None, gt=0, le=60)
    tasks: list[TaskName] | None = Field(default=None, min_length=1)
    over: Over | None = None
    of: Literal["estimate", "low", "high"] | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    warn_below: Number | None = None
    warn_above: Number | None = None


Count = Annotated[int, Field(ge=1)]


class Approvals(Strict):
    """Who must sign, by when, and what they confirm. No role at all would be an approval by nobody."""

    roles: dict[str, Count] = Field(min_length=1)
    expire_after_days: Number = Field(gt=0)
    checklist: list[str] = Field(default_factory=list)


class ApprovalsText(Strict):
    """What a model's policy may tighten of the approvals."""

    roles: dict[str, Count] = Field(default_factory=dict)
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


class Waivers(Strict):
    """Which rules a signed waiver may lift, and for how long. Without this part, none.

    Attributes:
        longest_days: From the proposal to its last day.
        never: Measures (``family.*`` for a whole family) whose rules no waiver lifts.
    """

    longest_days: int = Field(ge=1)
    never: list[str] = Field(default_factory=list)


class WaiversText(Strict):
    """What a model's policy may tighten of the waivers."""

    longest_days: int | None = Field(default=None, ge=1)
    never: list[str] = Field(default_factory=list)


class BreakGlass(Strict):
    """Who may release without all signatures in an emergency, and for how long. Without this part, nobody.

    Attributes:
        roles: Those who may: people of any of these roles.
        people: How many must, each another one.
        longest_days: From the proposal to its last day.
    """

    roles: list[str] = Field(min_length=1)
    people: int = Field(default=2, ge=2)
    longest_days: int = Field(ge=1, le=30)


class BreakGlassText(Strict):
    """What a model's policy may tighten of it; ``forbidden`` takes it away."""

    forbidden: Literal[True] | None = None
    people: int | None = Field(default=None, ge=2)
    longest_days: int | None = Field(default=None, ge=1)


MARGINS: Mapping[str, tuple[TaskName, ...]] = {
    "performance.accuracy_change": ("binary_classification", "multiclass_classification"),
    "performance.roc_auc_change": ("binary_classification",),
    "performance.brier_change": ("binary_classification",),
    "performance.log_loss_change": ("multiclass_classification",),
    "performance.mae_change": ("regression",),
    "performance.rmse_change": ("regression",),
}
"""Paired comparison with the champion that a standing approval can limit → the tasks in which it is measured."""

Margin = Annotated[Number, Field(ge=0)]


class StandingApprovals(Strict):
    """What people may sign in advance: candidates no worse than the champion. Without this part, nothing.

    Attributes:
        longest_days: From the proposal to its last day.
        most_releases: How many candidates one may let through.
        margins: Comparison with the champion → by how much a candidate may be worse, of the worse end of its interval.
    """

    longest_days: int = Field(ge=1, le=366)
    most_releases: int = Field(ge=1, le=100)
    margins: dict[str, Margin] = Field(default_factory=dict)

    def margins_of(self, task: TaskName) -> dict[str, float]:
        """Return the margins of what is measured of a task."""
        return {name: float(margin) for name, margin in self.margins.items() if task in MARGINS.get(name, ())}


class StandingApprovalsText(Strict):
    """What a model's policy may tighten of it, and margins that its tier leaves open; ``forbidden`` takes it away."""

    forbidden: Literal[True] | None = None
    longest_days: int | None = Field(default=None, ge=1)
    most_releases: int | None = Field(default=None, ge=1)
    margins: dict[str, Margin] = Field(default_factory=dict)


class CustomLimit(Strict):
    """A limit on a number of the model folder's own; where it has an interval, on the nearer end.

    Attributes:
        at_most: Above it, by the lower end, something is done.
        at_least: … below it, by the upper end.
        action: Train again, as for a shift, or call people.
    """

    at_most: Number | None = None
    at_least: Number | None = None
    action: Literal["retrain", "call"] = "call"

    @model_validator(mode="after")
    def _limits(self) -> "CustomLimit":
        if self.at_most is None and self.at_least is None:
            raise ValueError("a limit needs `at_most` or `at_least`.")
        return self

    def is_above(self, one: Measurement) -> bool:
        """Say whether a number is above what it may be, its lower end too."""
        low = one.value if one.low is None else one.low
        return low is not None and self.at_most is not None and low > self.at_most

    def is_crossed_by(self, one: Measurement) -> bool | None:
        """Say whether a number is beyond the limit, its nearer end too; ``None`` where it was not measured."""
        high = one.value if one.high is None else one.high
        if one.value is None or high is None:
            return None
        return self.is_above(one) or (self.at_least is not None and high < self.at_least)

    def is_as_tight_as(self, floor: "CustomLimit") -> bool:
        """Say whether it asks for no less than another, and for the same to be done."""
        above = floor.at_most is None or (self.at_most is not None and self.at_most <= floor.at_most)
        below = floor.at_least is None or (self.at_least is not None and self.at_least >= floor.at_least)
        return above and below and self.action == floor.action


class Monitoring(Strict):
    """What a watched model must keep to, and what happens where it does not (DESIGN §5).

    Each limit belongs to one named measure and is compared with an end of its interval, so that it holds for windows of
    any size. :mod:`governance.monitoring.decision` says in which order they are asked.

    Attributes:
        minimum_rows: Fewer rows decide nothing but a data fault.
        windows: How many windows in a row must show a loss or an unfairness before a model is rolled back.
        false_alarms: Chance that a window without drift counts as drifted, over all its columns.
        drifted_share: ``drift.share_drifted`` from which a model is trained again.
        severe_share: … and from which it is rolled back.
        prediction_drift: ``drift.prediction_psi`` above which a shift is not harmless.
        loss: ``performance.loss_rise`` above which a model has lost, of its lower end.
        absolute_loss: Loss above which people are told, however it was validated; none by default.
        parity_difference: ``fairness.demographic_parity_difference`` from which a window is unfair.
        cooldown_days: After a retraining or rollback, how long no other retraining begins.
        retrains_per_month: How many at most in 30 days.
        refused_share: Share of requests that may be refused for their content; a lower end above it is a data fault.
        silent_windows: After how many windows without traffic people are told.
        reference: What is usual: the champion's training data, or the windows before.
        custom: Limits on the numbers of the model folder's ``drift.py``, by name.
        embeddings: Limits on ``drift.classifier_two_sample_auc`` of the embeddings of its ``embedding.py``, by name.
    """

    minimum_rows: int = Field(default=100, ge=1)
    windows: int = Field(default=3, ge=1)
    false_alarms: Number = Field(default=0.01, gt=0, le=0.05)
    drifted_share: Number = Field(default=0.1, gt=0, le=1)
    severe_share: Number = Field(default=0.3, gt=0, le=1)
    prediction_drift: Number = Field(default=0.05, ge=0)
    loss: Number = Field(default=0.0, ge=0)
    absolute_loss: Number | None = Field(default=None, gt=0)
    parity_difference: Number = Field(default=0.15, gt=0, le=1)
    cooldown_days: int = Field(default=7, ge=0)
    retrains_per_month: int = Field(default=2, ge=0)
    refused_share: Number = Field(default=0.05, gt=0, lt=1)
    silent_windows: int = Field(default=3, ge=1)
    reference: Literal["training", "trailing"] = "training"
    custom: dict[str, CustomLimit] = Field(default_factory=dict)
    embeddings: dict[str, CustomLimit] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ordered(self) -> "Monitoring":
        if self.severe_share < self.drifted_share:
            raise ValueError(f"`severe_share: {self.severe_share}` is below `drifted_share: {self.drifted_share}`.")
        return self


class MonitoringText(Strict):
    """What a model's policy may change of the monitoring: limits only tighter, pace freely."""

    minimum_rows: int | None = Field(default=None, ge=1)
    windows: int | None = Field(default=None, ge=1)
    false_alarms: Number | None = Field(default=None, gt=0, le=0.05)
    drifted_share: Number | None = Field(default=None, gt=0, le=1)
    severe_share: Number | None = Field(default=None, gt=0, le=1)
    prediction_drift: Number | None = Field(default=None, ge=0)
    loss: Number | None = Field(default=None, ge=0)
    absolute_loss: Number | None = Field(default=None, gt=0)
    parity_difference: Number | None = Field(default=None, gt=0, le=1)
    cooldown_days: int | None = Field(default=None, ge=0)
    retrains_per_month: int | None = Field(default=None, ge=0)
    refused_share: Number | None = Field(default=None, gt=0, lt=1)
    silent_windows: int | None = Field(default=None, ge=1)
    reference: Literal["training", "trailing"] | None = None
    custom: dict[str, CustomLimit] = Field(default_factory=dict)
    embeddings: dict[str, CustomLimit] = Field(default_factory=dict)


class Kept(Strict):
    """How long predictions, their labels and protected values are kept, and the windows that were frozen of them.

    Attributes:
        days: So many; what is older is let go.
        regulations: Which hold for the model, as :mod:`governance.predictions.retention` names them; each has a floor.
    """

    days: int = Field(default=762, ge=1)
    regulations: list[str] = Field(default_factory=list)


class KeptText(Strict):
    """What a model's policy may change of it: longer, and by more regulations."""

    days: int | None = Field(default=None, ge=1)
    regulations: list[str] = Field(default_factory=list)


class TierFile(Strict):
    """``policies/<tier>.yaml``: the floor.

    What was added later has a default, so that the files which older permits carry read as they did: no waiver, no
    condition granted, nothing judged of findings, nobody stops a model on the page, breaks the glass or signs in
    advance, and a model without a version to roll back to serves on. ``governance check`` wants most of them written.
    """

    tier: Tier
    version: str
    summary: str
    approvals: Approvals
    permit: Permits
    not_enough_data: Literal["stops", "reported"]
    minimum_n: int = Field(ge=1)
    uncommitted_changes: Literal["block", "warn"]
    unknown_authors: Literal["block", "warn"]
    overdue_findings: Literal["block", "warn"] | None = None
    personal_data: Literal["mask", "refuse"] = "refuse"
    no_rollback_target: NoTarget | None = None
    may_stop: list[str] | None = Field(default=None, min_length=1)
    not_applicable: dict[Condition, list[str]] = Field(default_factory=dict)
    waivers: Waivers | None = None
    break_glass: BreakGlass | None = None
    standing_approvals: StandingApprovals | None = None
    alternatives: Alternatives
    monitoring: Monitoring = Monitoring()
    predictions: Kept = Kept()
    rules: dict[str, RuleText] = Field(min_length=1)


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
    overdue_findings: Literal["block", "warn"] | None = None
    personal_data: Literal["mask", "refuse"] | None = None
    no_rollback_target: NoTarget | None = None
    may_stop: list[str] | None = Field(default=None, min_length=1)
    not_applicable: dict[Condition, list[str]] = Field(default_factory=dict)
    waivers: WaiversText = WaiversText()
    break_glass: BreakGlassText = BreakGlassText()
    standing_approvals: StandingApprovalsText = StandingApprovalsText()
    alternatives: Alternatives | None = None
    monitoring: MonitoringText = MonitoringText()
    predictions: KeptText = KeptText()
    rules: dict[str, RuleText] = Field(default_factory=dict)


def faults(own: Document[PolicyFile], tier: Document[TierFile]) -> list[Fault]:
    """Return everything that is wrong with a model's policy over its tier's."""
    return [
        *_other_tier(own, tier),
        *_loosened(own, tier),
        *_contradictions(tier),
        *_contradictions(own),
        *_incomplete(own, tier),
        *_severe_before_drifted(own, tier),
        *_standing_approvals(own, tier),
    ]


def _severe_before_drifted(own: Document[PolicyFile], tier: Document[TierFile]) -> Iterator[Fault]:
    mine, floor = own.content.monitoring, tier.content.monitoring
    drifted, severe = mine.drifted_share or floor.drifted_share, mine.severe_share or floor.severe_share
    if severe < drifted:
        found = f"`monitoring.severe_share: {severe}` is below `drifted_share: {drifted}`."
        yield own.fault(("monitoring",), found, f"Write `drifted_share: {severe}` or less, too.")


def _standing_approvals(own: Document[PolicyFile], tier: Document[TierFile]) -> Iterator[Fault]:
    mine, floor = own.content.standing_approvals, tier.content.standing_approvals
    path = ("standing_approvals",)
    if floor is None and mine != StandingApprovalsText():
        found = f"Tier {tier.content.tier} knows no standing approval, so there is none to limit."
        yield own.fault(path, found, "Leave it out.")
    if floor is None:
        return
    if tier.content.tier != "low":
        found = f"A model of tier {tier.content.tier} is released by people who read its evidence, never in advance."
        yield tier.fault(path, found, "Leave it out: a standing approval is for the low tier.")
    yield from _looser(own, path, mine, floor, tier.content.tier)
    for document, written in ((tier, floor.margins), (own, mine.margins)):
        for name in (name for name in written if name not in MARGINS):
            found = f"`{name}` is no comparison with the champion."
            yield document.fault((*path, "margins", name), found, f"Write one of: {', '.join(MARGINS)}.")
    for name, margin in mine.margins.items():
        if margin > floor.margins.get(name, margin):
            found = f"`standing_approvals.margins.{name}: {margin}` is looser than tier low allows."
            yield own.fault((*path, "margins", name), found, f"Write {floor.margins[name]} or less, or leave it out.")


def _other_tier(own: Document[PolicyFile], tier: Document[TierFile]) -> Iterator[Fault]:
    if own.content.extends != tier.content.tier:
        found = f"The policy extends {own.content.extends}, but this file says `tier: {tier.content.tier}`."
        yield tier.fault(("tier",), found, f"Write `tier: {own.content.extends}`, or put it into the right file.")


def merged_rules(own: Document[PolicyFile], tier: Document[TierFile]) -> dict[str, tuple[Document[Any], RuleText]]:
    """Return each rule by id, the model's text over its tier's, with the file that says the last word on it."""
    mine, floor = own.content.rules, tier.content.rules
    merged: dict[str, tuple[Document[Any], RuleText]] = {name: (tier, text) for name, text in floor.items()}
    for name, text in mine.items():
        under = floor[name].model_dump(exclude_none=True) if name in floor else {}
        merged[name] = own, RuleText(**{**under, **text.model_dump(exclude_none=True)})
    return merged


def limits_of(text: RuleText) -> dict[str, float]:
    """Return the limits that are written, by their names."""
    written = {limit: getattr(text, limit) for limit in LIMITS}
    return {limit: float(value) for limit, value in written.items() if value is not None}


def covers(patterns: Iterable[str], name: str) -> bool:
    """Say whether a measure is named, by itself or with its family (``drift.*``)."""
    return any(name == one or (one.endswith(".*") and name.startswith(one[:-1])) for one in patterns)


def _incomplete(own: Document[PolicyFile], tier: Document[TierFile]) -> Iterator[Fault]:
    """Find rules that could not judge anything: they would pass whatever is measured."""
    for name, (document, text) in merged_rules(own, tier).items():
        path = ("rules", name)
        if text.rego or text.python:
            yield from _code(document, path, text, is_tier=document is tier)
        elif text.seconds is not None:
            found = f"Rule `{name}` compares a number: `seconds` is for rules that are code."
            yield document.fault((*path, "seconds"), found, "Remove it.")
        elif text.measure is None:
            yield document.fault(path, f"Rule `{name}` names no measure.", "Add `measure:`.")
        elif text.over == "groups" and limits_of(text):
            found = f"Rule `{name}` has a limit over groups, which are reported and not judged."
            yield document.fault(path, found, "Limit a difference or ratio `over: attributes` instead.")
        elif text.over != "groups" and not limits_of(text):
            found = f"Rule `{name}` has no limit: it would pass whatever is measured."
            yield document.fault(path, found, f"Add one of: {', '.join(LIMITS)}.")


def _code(document: Document[Any], path: tuple[str, str], text: RuleText, *, is_tier: bool) -> Iterator[Fault]:
    name, kind = path[1], "rego" if text.rego else "python"
    beside = [key for key in ("measure", "over", "of", *LIMITS) if getattr(text, key) is not None]
    if text.rego and text.python:
        yield document.fault((*path, "python"), f"Rule `{name}` names both `rego` and `python`.", "Keep one.")
    if beside:
        found = f"Rule `{name}` names both `{kind}` and `{beside[0]}`: code gives the answer itself."
        yield document.fault((*path, beside[0]), found, f"Remove one of them; the rest belongs into the {kind} file.")
    if text.python and is_tier:
        found = f"Rule `{name}` names a Python function, which lies in a model's folder; a tier has none."
        yield document.fault((*path, "python"), found, "Write it in Rego: `rego: rules/<name>.rego`.")


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
    "overdue_findings": lambda mine, floor: mine == floor or mine == "block",
    "personal_data": lambda mine, floor: mine == floor or mine == "refuse",
    "no_rollback_target": lambda mine, floor: mine == floor or mine == "suspend",
    "may_stop": lambda mine, floor: set(mine) >= set(floor),  # stopping is the safe side: more may, never fewer
    "longest_days": lambda mine, floor: mine <= floor,
    "most_releases": lambda mine, floor: mine <= floor,
    "people": lambda mine, floor: mine >= floor,
    "minimum_rows": lambda mine, floor: mine <= floor,
    "windows": lambda mine, floor: mine <= floor,
    "drifted_share": lambda mine, floor: mine <= floor,
    "severe_share": lambda mine, floor: mine <= floor,
    "prediction_drift": lambda mine, floor: mine <= floor,
    "loss": lambda mine, floor: mine <= floor,
    "absolute_loss": lambda mine, floor: mine <= floor,
    "parity_difference": lambda mine, floor: mine <= floor,
    "refused_share": lambda mine, floor: mine <= floor,
    "days": lambda mine, floor: mine >= floor,
    "silent_windows": lambda mine, floor: mine <= floor,
    "search": lambda mine, floor: mine or not floor,
    "never_with_protected_attributes": lambda mine, floor: mine or not floor,
    "measure": lambda mine, floor: mine == floor,
    "over": lambda mine, floor: mine == (floor or "everything"),
    "of": lambda mine, floor: mine == (floor or "estimate"),
    "tasks": lambda mine, floor: set(mine) >= set(floor or TASKS),
    "rego": lambda mine, floor: mine == floor,
    "python": lambda mine, floor: mine == floor,
    "seconds": lambda mine, floor: mine <= (floor or CODE_SECONDS),
}
_HAVE_DEFAULTS = ("over", "of", "tasks", "seconds")


def _loosened(own: Document[PolicyFile], tier: Document[TierFile]) -> Iterator[Fault]:
    mine, floor = own.content, tier.content
    yield from _looser(own, (), mine, floor, floor.tier)
    yield from _looser(own, ("permit",), mine.permit, floor.permit, floor.tier)
    yield from _looser(own, ("approvals",), mine.approvals, floor.approvals, floor.tier)
    yield from _added_grants(own, floor)
    if floor.waivers:
        yield from _looser(own, ("waivers",), mine.waivers, floor.waivers, floor.tier)
    elif mine.waivers.longest_days:
        found = f"Tier {floor.tier} knows no waivers, so there are none to limit."
        yield own.fault(("waivers", "longest_days"), found, "Leave it out.")
    if floor.break_glass:
        yield from _looser(own, ("break_glass",), mine.break_glass, floor.break_glass, floor.tier)
    elif mine.break_glass != BreakGlassText():
        found = f"Tier {floor.tier} knows no break-glass release, so there is none to limit."
        yield own.fault(("break_glass",), found, "Leave it out.")
    if mine.alternatives:
        yield from _looser(own, ("alternatives",), mine.alternatives, floor.alternatives, floor.tier)
    yield from _looser(own, ("monitoring",), mine.monitoring, floor.monitoring, floor.tier)
    yield from _looser(own, ("predictions",), mine.predictions, floor.predictions, floor.tier)
    yield from _looser_custom(own, mine.monitoring, floor)
    for role, count in mine.approvals.roles.items():
        if count < floor.approvals.roles.get(role, 0):
            demanded = f"Tier {floor.tier} demands {floor.approvals.roles[role]}."
            yield own.fault(("approvals", "roles", role), f"{count} × `{role}` is looser than the tier.", demanded)
    for name, rule in mine.rules.items():
        if name in floor.rules:
            yield from _looser(own, ("rules", name), rule, floor.rules[name], floor.tier)


def _looser_custom(own: Document[PolicyFile], mine: MonitoringText, floor: TierFile) -> Iterator[Fault]:
    for kind in ("custom", "embeddings"):
        for name, limit in getattr(mine, kind).items():
            demanded = getattr(floor.monitoring, kind).get(name)
            if demanded is not None and not limit.is_as_tight_as(demanded):
                found = (
                    f"`monitoring.{kind}.{name}` is looser than tier {floor.tier} allows, or asks for something else."
                )
                yield own.fault(("monitoring", kind, name), found, "Leave it out, or ask for no less than the tier.")


def _added_grants(own: Document[PolicyFile], floor: TierFile) -> Iterator[Fault]:
    for condition, measures in own.content.not_applicable.items():
        granted = floor.not_applicable.get(condition, [])
        for measure in measures:
            if measure not in granted and (measure.endswith(".*") or not covers(granted, measure)):
                found = f"`not_applicable: {condition}: {measure}` is looser than tier {floor.tier}, which grants "
                found += f"{', '.join(granted) or 'nothing'} there."
                remedy = "Leave it out: a model's policy may take grants away, not add them."
                yield own.fault(("not_applicable", condition), found, remedy)


def _looser(
    own: Document[PolicyFile], path: tuple[str, ...], mine: Strict, floor: Strict, tier: str
) -> Iterator[Fault]:
    for key, is_tight in _TIGHTER.items():
        value, demanded = getattr(mine, key, None), getattr(floor, key, None)
        if value is None or (demanded is None and key not in _HAVE_DEFAULTS):
            continue
        if not is_tight(value, demanded):
            name = ".".join((*path, key))
            if demanded is None:
                found, remedy = f"`{name}: {value}` is looser than tier {tier}, which leaves it out.", "Leave it out."
            else:
                found = f"`{name}: {value}` is looser than tier {tier} allows ({demanded})."
                remedy = f"Write {demanded} or stricter, or leave it out."
            yield own.fault((*path, key), found, remedy)


def _contradictions(document: Document[Any]) -> Iterator[Fault]:
    for name, rule in document.content.rules.items():
        path = ("rules", name)
        if rule.at_most is not None and rule.warn_above is not None and rule.warn_above > rule.at_most:
            found = f"Rule `{name}` would warn above {rule.warn_above} but blocks above {rule.at_most} already."
            yield document.fault((*path, "warn_above"), found, "Warn below the limit.")
        if rule.at_least is not None and rule.warn_below is not None and rule.warn_below < rule.at_least:
            found = f"Rule `{name}` would warn below {rule.warn_below} but blocks below {rule.at_least} already."
            yield document.fault((*path, "warn_below"), found, "Warn above the limit.")
