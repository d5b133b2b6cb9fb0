"""The search for a less discriminatory alternative, after a candidate failed fairness rules only.

First what never touches a protected attribute: another decision threshold (no new fit), leaving out proxies, other
parameters; each of the latter at every threshold. Only where none of these passes, and the policy gives a legal
reason, models that use the protected attribute in training: reweighing and fairlearn's grid search.

The search sees the choosing repetitions and nothing else; a variant that is chosen passes on every one of them. The
best is the one that gives up least: among those within 0.01 of the highest ROC AUC (less is noise) the one that
changes least, then the highest accuracy. It then goes the way of any other candidate and is judged on the repetition
that had no part in choosing it.

Fits are what a search costs. So a variant that needs its own is fitted for the first choosing repetition, and for the
others only if it can win: if it passes there, and ranks better, by more than noise, than the best variant that passes
and changes less. What is left at that stays on record with the repetitions it was tried on.

This module knows neither a formula nor a limit: it is given a function that measures and one that judges. Not
guaranteed: that an alternative exists. Where none passes the search says so, with everything it tried.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np

from governance.catalog import ModelSpec
from governance.policy import Policy
from governance.records import Measurement, Verdict
from governance.training.fits import Fitter, Recipe, Scores
from governance.training.split import Array, Plan

Measure = Callable[[Array, Array, Array, Array], list[Measurement]]
"""``(rows, labels, predictions, scores) -> measurements``; ``rows`` are positions in the training set."""

Judge = Callable[[list[Measurement]], Verdict]
"""The policy's rules on what ``Measure`` measures; a rule on anything else would fail every variant."""

AUC, ACCURACY = "performance.roc_auc", "performance.accuracy"

FAMILIES = ("threshold", "features", "parameters", "reduction")
"""What a variant changes, from the least to the most."""

NOISE = 0.01
"""Variants whose ROC AUC is this close to the best are equally good at ranking: a third of its interval's half."""

RECORDED = (ACCURACY, AUC, "performance.unfavourable_selected", "fairness.demographic_parity_difference")
"""What is kept on record of each variant."""


@dataclass(frozen=True)
class Space:
    """What may be varied.

    Attributes:
        thresholds: Other decision thresholds.
        proxies: Features that may stand for a protected attribute; dropped together, and one by one.
        parameters: Other parameters of ``fit``, each instead of the candidate's.
        legal_reason: Why a protected attribute may be used in training; ``None``: it may not.
    """

    thresholds: Sequence[float] = ()
    proxies: Sequence[str] = ()
    parameters: Sequence[Mapping[str, Any]] = ()
    legal_reason: str | None = None

    @classmethod
    def of(cls, spec: ModelSpec, policy: Policy) -> "Space":
        """Return what a spec offers and its policy allows."""
        allowed = not policy.alternatives.never_with_protected_attributes
        return cls(
            tuple(spec.alternatives.thresholds),
            tuple(spec.proxies),
            tuple(spec.alternatives.parameters),
            policy.alternatives.legal_reason if allowed else None,
        )


@dataclass(frozen=True)
class Tried:
    """One variant and how it did.

    Attributes:
        label: The variant in words.
        family: ``threshold``, ``features``, ``parameters`` or ``reduction``.
        recipe: What makes it.
        measurements: Means over the choosing repetitions that it was tried on.
        failing: Ids of the rules that would stop it, on any of these repetitions.
        repetitions: How many of them there were; one that cannot win is tried on the first only.
        chosen: Whether it goes on.
    """

    label: str
    family: str
    recipe: Recipe
    measurements: tuple[Measurement, ...]
    failing: tuple[str, ...]
    repetitions: int
    chosen: bool = False

    @property
    def passes(self) -> bool:
        """Whether nothing would stop it on any of the repetitions that it was tried on."""
        return not self.failing

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form that the evidence holds."""
        recipe = self.recipe.to_dict()
        return {
            "label": self.label,
            "family": self.family,
            **{name: recipe[name] for name in ("parameters", "dropped", "threshold", "reduction")},
            "measurements": [measurement.to_dict() for measurement in self.measurements],
            "passes": self.passes,
            "failing": list(self.failing),
            "repetitions": self.repetitions,
            "chosen": self.chosen,
        }


@dataclass(frozen=True)
class Search:
    """Everything that was tried, in order.

    Attributes:
        tried: The variants.
        reference: The blocked candidate itself on the same repetitions, to compare with.
    """

    tried: tuple[Tried, ...]
    reference: Tried

    @property
    def chosen(self) -> Tried | None:
        """The variant that goes on; ``None`` where none passes."""
        return next((variant for variant in self.tried if variant.chosen), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"tried": [variant.to_dict() for variant in self.tried], "reference": self.reference.to_dict()}


def search(
    fitter: Fitter,
    plan: Plan,
    blocked: Recipe,
    scores: Mapping[int, Scores],
    space: Space,
    *,
    measure: Measure,
    judge: Judge,
    recorded: Collection[str] = RECORDED,
) -> Search:
    """Search for a less discriminatory alternative.

    Args:
        fitter: The sandbox with the rows.
        plan: The folds; only its choosing repetitions are used.
        blocked: What the blocked candidate was made by.
        scores: Its out-of-fold scores by repetition, which other thresholds re-use.
        space: What may be varied.
        measure: Measures predictions; called about twice for each variant, so it should be quick.
        judge: Judges measurements; every result that stops counts.
        recorded: Names of the measurements that are kept.

    Returns:
        All variants in the order in which they were tried; at most one is chosen.

    Raises:
        InputError: The folder's code failed for one of the variants.
    """
    trial = _Trial(fitter, plan, measure, judge, recorded)
    own = {r: scores[r] for r in plan.choosing}
    fitter.remember(blocked, own)
    reference = trial.evaluate("as it was", "blocked", blocked, own)
    others = [threshold for threshold in space.thresholds if threshold != blocked.threshold]
    tried = [trial.evaluate(f"threshold {t:g}", "threshold", blocked.at(t), own) for t in others]
    everywhere = [*([] if blocked.threshold is None else [blocked.threshold]), *others]
    tried += trial.evaluate_all(_untouched(blocked, space), everywhere, beside=tried)
    if space.legal_reason and not any(trial.may_be_chosen(variant) for variant in tried):
        tried += trial.evaluate_all(_reductions(blocked), everywhere, beside=tried)
    return Search(tuple(_with_choice(tried, trial.may_be_chosen)), reference)


@dataclass(frozen=True)
class _Variant:
    label: str
    family: str
    recipe: Recipe


def _untouched(blocked: Recipe, space: Space) -> Iterator[_Variant]:
    together = [tuple(space.proxies)] if len(space.proxies) > 1 else []
    for dropped in [*together, *((name,) for name in space.proxies)]:
        new = tuple(name for name in dropped if name not in blocked.dropped)
        if new:
            label = f"without {', '.join(new)}"
            yield _Variant(label, "features", replace(blocked, dropped=(*blocked.dropped, *new)))
    for parameters in space.parameters:
        if dict(parameters) != dict(blocked.parameters):
            label = ", ".join(f"{name} {value}" for name, value in parameters.items())
            yield _Variant(label, "parameters", replace(blocked, parameters=dict(parameters)))


def _reductions(blocked: Recipe) -> Iterator[_Variant]:
    yield _Variant("reweighing", "reduction", replace(blocked, reduction="reweighing"))
    yield _Variant("grid search for parity", "reduction", replace(blocked, reduction="grid_search"))


@dataclass(frozen=True)
class _Trial:
    """Evaluates variants on the choosing repetitions."""

    fitter: Fitter
    plan: Plan
    measure: Measure
    judge: Judge
    recorded: Collection[str]

    def evaluate_all(
        self, variants: Iterator[_Variant], thresholds: Sequence[float], *, beside: Sequence[Tried]
    ) -> list[Tried]:
        """Fit variants and evaluate each at every threshold: those that cannot win on one repetition only.

        Args:
            variants: What to fit.
            thresholds: Where each is evaluated.
            beside: What changes less, and was tried before.
        """
        fitted = list(variants)
        goal = max((_value(simpler, AUC) for simpler in beside if self.may_be_chosen(simpler)), default=-1.0) + NOISE
        screened = self._evaluated(fitted, thresholds, self.plan.choosing[:1])
        can_win = [any(one.passes and _value(one, AUC) > goal for one in tried) for tried in screened]
        again = iter(self._evaluated(list(compress(fitted, can_win)), thresholds, self.plan.choosing))
        return [one for wins, tried in zip(can_win, screened, strict=True) for one in (next(again) if wins else tried)]

    def may_be_chosen(self, variant: Tried) -> bool:
        """Whether a variant passes on every choosing repetition."""
        return variant.passes and variant.repetitions == len(self.plan.choosing)

    def _evaluated(
        self, variants: Sequence[_Variant], thresholds: Sequence[float], repetitions: range
    ) -> list[list[Tried]]:
        found = self.fitter.out_of_fold([variant.recipe for variant in variants], self.plan, repetitions)
        return [
            [
                self.evaluate(f"{variant.label}, threshold {t:g}", variant.family, variant.recipe.at(t), scores)
                for t in thresholds
            ]
            for variant, scores in zip(variants, found, strict=True)
        ]

    def evaluate(self, label: str, family: str, recipe: Recipe, scores: Mapping[int, Scores]) -> Tried:
        """Measure and judge one variant on the repetitions that it has scores for."""
        by_repetition = [self._measured(found, recipe.threshold) for found in scores.values()]
        stopped = [rule.rule for measured in by_repetition for rule in self.judge(measured).failing()]
        means = _means(by_repetition, self.recorded)
        return Tried(label, family, recipe, means, tuple(dict.fromkeys(stopped)), len(by_repetition))

    def _measured(self, found: Scores, threshold: float | None) -> list[Measurement]:
        labels = self.fitter.data.labels[found.rows]
        return self.measure(found.rows, labels, self.fitter.data.task.decide(found.scores, threshold), found.scores)


def _means(by_repetition: Sequence[Sequence[Measurement]], recorded: Collection[str]) -> tuple[Measurement, ...]:
    values: dict[Any, list[Measurement]] = {}
    for measurement in (m for measured in by_repetition for m in measured if m.name in recorded):
        values.setdefault(measurement.key, []).append(measurement)
    return tuple(_mean(found) for found in values.values())


def _mean(found: Sequence[Measurement]) -> Measurement:
    first, known = found[0], [m.value for m in found if m.value is not None]
    absent = next((m.reason for m in found if m.value is None), None)
    value = None if absent else float(np.mean(known))
    return Measurement(first.name, value, first.n, first.slice, method=f"mean of {len(found)}", reason=absent)


def _with_choice(tried: Sequence[Tried], may_be_chosen: Callable[[Tried], bool]) -> Iterator[Tried]:
    passing = [variant for variant in tried if may_be_chosen(variant)]
    enough = max((_value(variant, AUC) for variant in passing), default=0.0) - NOISE
    best = max((v for v in passing if _value(v, AUC) >= enough), key=_merit, default=None)  # the first of equals
    for variant in tried:
        yield replace(variant, chosen=variant is best)


def _merit(variant: Tried) -> tuple[int, float]:
    """Rank variants whose ROC AUC is equal but for noise: by how little they change, then by accuracy."""
    return -FAMILIES.index(variant.family), _value(variant, ACCURACY)


def _value(variant: Tried, name: str) -> float:
    found = next((m.value for m in variant.measurements if m.name == name and not m.slice), None)
    return float("-inf") if found is None else found
