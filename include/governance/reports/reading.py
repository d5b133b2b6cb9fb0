"""Reading an evidence document: the numbers by name and slice, and its verdict as records.

Everything that reports show comes through here, so that the page, the charts and the model card cannot disagree.
The document is what was signed; nothing is computed anew, and what it does not hold is absent, never zero.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from governance.records import Measurement, Outcome, RuleResult, Verdict

Json = Any

PARITY = "fairness.demographic_parity_difference"
RATIO = "fairness.disparate_impact_ratio"
DENIAL_RATIO = "fairness.denial_ratio"
SELECTION = "fairness.selection_rate"
ACCURACY = "performance.accuracy"
AUC = "performance.roc_auc"
GAIN = "performance.accuracy_gain"
BASE_RATE = "performance.base_rate"
UNCOMMITTED = "provenance.uncommitted_changes"
UNFAVOURABLE_SELECTED = "performance.unfavourable_selected"


@dataclass(frozen=True)
class GroupMeasure:
    """What groups are compared by: who is favoured, or how far predictions are off, or how often they are right.

    Attributes:
        name: Measured of each group.
        difference: Between the groups of an attribute.
        title: In words.
        is_share: Whether it is a share, from 0 to 1.
    """

    name: str
    difference: str
    title: str
    is_share: bool


GROUP_MEASURES = (
    GroupMeasure(SELECTION, PARITY, "Selection rate", True),
    GroupMeasure("fairness.mean_error", "fairness.mean_error_difference", "Mean error", False),
    GroupMeasure("fairness.accuracy", "fairness.accuracy_difference", "Accuracy", True),
)
"""In order of preference; an evidence is shown by the first that it has."""


@dataclass(frozen=True)
class Reading:
    """One evidence document, read.

    Attributes:
        document: The canonical JSON, parsed.
    """

    document: Mapping[str, Json]

    @cached_property
    def measurements(self) -> tuple[Measurement, ...]:
        """All measurements, in the order of the evidence."""
        return tuple(Measurement.from_dict(item) for item in self.document["measurements"])

    @cached_property
    def verdict(self) -> Verdict:
        """The policy's word on this candidate."""
        return Verdict.from_dict(self.document["verdict"])

    @cached_property
    def _by_key(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], Measurement]:
        return {measurement.key: measurement for measurement in self.measurements}

    def find(self, name: str, slice_: Mapping[str, str] | None = None) -> Measurement | None:
        """Return one measurement, or ``None`` where the evidence has none of this name and slice."""
        return self._by_key.get((name, tuple(sorted((slice_ or {}).items()))))

    def value(self, name: str, slice_: Mapping[str, str] | None = None) -> float | None:
        """Return one estimate, or ``None`` where it is missing or could not be computed."""
        found = self.find(name, slice_)
        return found.value if found else None

    def named(self, name: str) -> Iterator[Measurement]:
        """Return every measurement of this name, whatever its slice."""
        return (measurement for measurement in self.measurements if measurement.name == name)

    def rule_over(self, measure: str, slice_: Mapping[str, str]) -> RuleResult | None:
        """Return what the policy said about this measure of this slice."""
        wanted = dict(slice_)
        return next((rule for rule in self.verdict.rules if rule.measure == measure and rule.slice == wanted), None)

    def small_groups(self) -> set[tuple[tuple[str, str], ...]]:
        """Return the slices of groups that are too small to be judged."""
        return {tuple(sorted(rule.slice.items())) for rule in self.verdict.rules if is_small_group(rule)}

    @cached_property
    def by_group(self) -> GroupMeasure:
        """What its groups are compared by."""
        measured = {one.name for one in self.measurements}
        return next((one for one in GROUP_MEASURES if one.name in measured), GROUP_MEASURES[0])

    @property
    def compared_attribute(self) -> str | None:
        """The attribute whose parity people compare: the one that fails, else the one that is furthest apart."""
        measure = self.by_group.difference
        overall = [rule for rule in self.verdict.rules if rule.measure == measure and " × " not in _attribute(rule)]
        ranked = sorted(overall, key=lambda rule: (not rule.stops, -(rule.value or 0.0)))
        return _attribute(ranked[0]) if ranked else None


def is_small_group(rule: RuleResult) -> bool:
    """Whether a result says no more than that a group is too small to be judged."""
    about_groups = rule.measure in [one.name for one in GROUP_MEASURES] or rule.measure == "fairness.mean_prediction"
    return rule.outcome is Outcome.NOT_ENOUGH_DATA and not rule.stops and about_groups


def _attribute(rule: RuleResult) -> str:
    return rule.slice.get("attribute", "")
