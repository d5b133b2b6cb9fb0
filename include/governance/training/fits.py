"""A recipe, the rows, and the scores that a model made by the recipe gives to rows it has not seen.

The rows that are predicted stay here: the sandbox gets training rows, this module loads what it returns and predicts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from governance import canonical
from governance.errors import InputError
from governance.training import formats
from governance.training.sandbox import Job, Sandbox, Trained
from governance.training.split import Array, Fold, Plan
from governance.training.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

Reduction = Literal["reweighing", "grid_search"]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """All rows that a candidate is made of.

    Attributes:
        features: The model's features in the spec's order, shape (n, features). No protected attribute is among them.
        target: The target as it is in the data, shape (n); its name is the column's.
        task: What is to be learnt: says what a label is.
        groups: Group of each row in the first protected attribute, shape (n): for strata, and for reductions where
            the policy allows them.
    """

    features: "pd.DataFrame"
    target: "pd.Series[Any]"
    task: Task
    groups: Array | None = None

    @cached_property
    def labels(self) -> Array:
        """The label of each row, shape (n)."""
        return self.task.labels(self.target)

    def without(self, dropped: Sequence[str]) -> "pd.DataFrame":
        """Return the features without some of them.

        Raises:
            InputError: One of them is no feature.
        """
        unknown = [name for name in dropped if name not in self.features.columns]
        if unknown:
            raise InputError(f"Expected features to leave out, found no feature named {', '.join(unknown)}.")
        return self.features.drop(columns=list(dropped))


@dataclass(frozen=True)
class Recipe:
    """Everything that a model is made of besides code and data.

    Attributes:
        parameters: What the folder's ``fit`` gets, besides ``seed``.
        seed: Of the split and of the fit.
        threshold: A score of at least this is decided favourably; ``None`` where nothing is decided by one.
        dropped: Features that are left out.
        reduction: How a protected attribute is used in training; ``None`` for not at all.
    """

    parameters: Mapping[str, Any]
    seed: int = 0
    threshold: float | None = 0.5
    dropped: tuple[str, ...] = ()
    reduction: Reduction | None = None

    @property
    def params(self) -> dict[str, Any]:
        """What ``fit`` is called with."""
        return {**self.parameters, "seed": self.seed}

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON form."""
        return canonical.digest(self.to_dict())

    def at(self, threshold: float) -> "Recipe":
        """Return the same recipe with another threshold."""
        return replace(self, threshold=threshold)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**self.__dict__, "parameters": dict(self.parameters), "dropped": list(self.dropped)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        return cls(**{**document, "dropped": tuple(document["dropped"])})


class Fit(NamedTuple):
    """One fit, and the rows that it predicts afterwards."""

    recipe: Recipe
    fold: Fold


class Scores(NamedTuple):
    """What a model says of the rows of one repetition; rows ascend. Shape of the scores: (n), or (n, classes)."""

    rows: Array
    scores: Array


@dataclass(frozen=True, eq=False)
class Fitter:
    """Fits and predicts: a sandbox, rows, and the types that a model may hold."""

    sandbox: Sandbox
    data: TrainingSet
    trusted_types: Sequence[str] = ()
    _frames: dict[tuple[str, ...], "pd.DataFrame"] = field(default_factory=dict)
    _known: dict[tuple[str, int], "Scores"] = field(default_factory=dict)

    def fit(self, recipe: Recipe, rows: Array) -> Any:
        """Fit on some rows.

        Returns:
            The estimator, loaded with the trusted types only.

        Raises:
            InputError: The folder's code failed.
            RefusedError: The model holds a type that the spec does not allow.
        """
        return self._loaded(self.sandbox.fit(self._job(recipe, rows)))

    def score(self, estimator: Any, recipe: Recipe, rows: Array) -> Array:
        """Return an estimator's scores of some rows."""
        frame = self.data.without(recipe.dropped).iloc[rows]
        with threadpool_limits(1):  # the fits of other folds run beside this
            return self.data.task.scores(estimator, frame)

    def scores(self, fits: Iterable[Fit]) -> Iterator[Array]:
        """Make every fit, several at once, and yield the scores of its test rows, in the order of the fits."""
        fits = list(fits)
        models = self.sandbox.map(self._job(fit.recipe, fit.fold.train) for fit in fits)
        for fit, trained in zip(fits, models, strict=True):
            yield self.score(self._loaded(trained), fit.recipe, fit.fold.test)

    def out_of_fold(self, recipes: Sequence[Recipe], plan: Plan, repetitions: Iterable[int]) -> list[dict[int, Scores]]:
        """Return the out-of-fold scores of several recipes.

        What this fitter has scored before is not fitted again: a variant that was chosen becomes the next candidate.

        Args:
            recipes: What to fit. Thresholds do not matter here.
            plan: The folds; always the same for one fitter.
            repetitions: Which repetitions of the plan.

        Returns:
            For each recipe, scores by repetition.
        """
        wanted = list(repetitions)
        needed = {(_scored(recipe).digest, r): recipe for recipe in recipes for r in wanted}
        missing = {key: recipe for key, recipe in needed.items() if key not in self._known}
        fits = [Fit(recipe, fold) for (_, r), recipe in missing.items() for fold in plan.repetitions[r]]
        results = self.scores(fits)
        for digest, r in missing:
            self._known[digest, r] = _together(plan.repetitions[r], results)
        return [{r: self._known[_scored(recipe).digest, r] for r in wanted} for recipe in recipes]

    def remember(self, recipe: Recipe, scores: Mapping[int, Scores]) -> None:
        """Take scores, by repetition, that were made earlier from the same recipe, rows and plan."""
        self._known.update({(_scored(recipe).digest, r): found for r, found in scores.items()})

    def _loaded(self, trained: Trained) -> Any:
        task = self.data.task
        classes = trained.classes or task.numbered
        return formats.from_file(
            trained.file, trained.body, trusted_types=self.trusted_types, task=task.name, classes=classes
        )

    def _job(self, recipe: Recipe, rows: Array) -> Job:
        frame = self._frame(recipe.dropped)
        if recipe.reduction is None:
            return Job(frame, rows, recipe.params)
        if self.data.groups is None:
            raise InputError("Expected the groups of a protected attribute, which a reduction needs, found none.")
        if recipe.reduction == "grid_search":
            return Job(frame, rows, recipe.params, sensitive=self.data.groups)
        weights = reweighing(self.data.groups, self.data.labels, rows)
        return Job(frame, rows, recipe.params, weights=weights)

    def _frame(self, dropped: tuple[str, ...]) -> "pd.DataFrame":
        if dropped not in self._frames:
            frame = self.data.without(dropped).copy()
            frame[str(self.data.target.name)] = self.data.target.to_numpy()  # not by `assign`: it may be called `self`
            self._frames[dropped] = frame
        return self._frames[dropped]


def reweighing(groups: Array, labels: Array, rows: Array) -> npt.NDArray[np.float64]:
    """Return weights under which group and outcome are independent.

    Formula: P(group) · P(outcome) / P(group, outcome), counted on ``rows``.
    Source: Kamiran and Calders (2012), Data preprocessing techniques for classification without discrimination.

    Returns:
        One weight for each row of the data, shape (n); 0 outside ``rows``.
    """
    weights = np.zeros(len(labels))
    inside_groups, inside_labels = np.asarray(groups)[rows], np.asarray(labels)[rows]
    for group in np.unique(inside_groups):
        for label in np.unique(inside_labels):
            both = (inside_groups == group) & (inside_labels == label)
            if both.any():
                expected = (inside_groups == group).mean() * (inside_labels == label).mean()
                weights[rows[both]] = expected / both.mean()
    return weights


def _scored(recipe: Recipe) -> Recipe:
    """Return the part of a recipe that scores depend on: the threshold comes after them."""
    return recipe.at(0.0)


def _together(folds: Sequence[Fold], results: Iterator[Array]) -> Scores:
    rows = np.concatenate([fold.test for fold in folds])
    scores = np.concatenate([next(results) for _ in folds])
    order = np.argsort(rows, kind="stable")
    return Scores(rows[order], scores[order])
