"""What is measured of a candidate, family by family: one way for the pipeline, ``governance try`` and ``validate``.

Each family is a function of :class:`Material`, which brings rows, predictions and the model from wherever they are;
the measures themselves are pure functions over arrays (:mod:`governance.measures`) and know nothing of a spec. Which
measures a family has depends on the task: a regression has no selection rate.

Not guaranteed: that a family is complete without the others. The policy says what must have been measured, and a rule
without its measurement blocks.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from governance.catalog import ModelSpec
from governance.records import Measurement
from governance.training.tasks import Array, BinaryClassification, MulticlassClassification, Task

if TYPE_CHECKING:
    import pandas as pd

    from governance.lineage.trace import Trace
    from governance.training.artifacts import LoadedModel


Groups = Mapping[str, Any]
"""Group of each row by protected attribute, each of shape (n)."""


@dataclass(frozen=True)
class Champion:
    """The champion as something to compare with.

    Attributes:
        features: The rows it was trained on: the model's features as they were, shape (m, features).
        scores: What it said of the rows that it was judged on, shape (m') or (m', classes).
        importances: Share of influence by feature, as it was measured.
        positions: Which of the candidate's judging rows it has an honest answer to: one that was made without having
            seen the row in training. Positions among the judging rows, shape (c).
        answers: What it says of these, shape (c) or (c, classes).
        threshold: Where it decides.
    """

    features: "pd.DataFrame"
    scores: Array
    importances: Mapping[str, float]
    positions: Array
    answers: Array
    threshold: float | None


@dataclass(frozen=True)
class Saved:
    """The final bytes, and how a fresh process loads them.

    Attributes:
        folder: The model's folder.
        loader: ``module:function`` that returns an object with ``predict(frame)``.
        arguments: What it needs besides the folder, as plain JSON.
    """

    folder: Path
    loader: str
    arguments: Any


class Material(Protocol):
    """What families measure on."""

    @property
    def spec(self) -> ModelSpec:
        """The model's."""

    @property
    def task(self) -> Task:
        """What it answers."""

    @property
    def minimum_n(self) -> int:
        """The policy's: groups of fewer rows are not compared."""

    @property
    def seed(self) -> int:
        """Of everything that is drawn."""

    @property
    def explained_rows(self) -> int:
        """How many rows are explained at most."""

    @property
    def repeats(self) -> int:
        """How often one row is predicted for timing."""

    @property
    def trained_here(self) -> bool:
        """Whether the pipeline knows which rows trained it."""

    @property
    def lock(self) -> Path:
        """The locked environment."""

    @property
    def advisories(self) -> Path | None:
        """Folder of known vulnerabilities; ``None`` where there is none."""

    @property
    def features(self) -> "pd.DataFrame":
        """The columns that the model sees, all rows, shape (n, features)."""

    @property
    def groups(self) -> Groups:
        """Group of each row by protected attribute, each of shape (n)."""

    @property
    def rows(self) -> Array:
        """Positions of the rows that judge, ascending, shape (j)."""

    @property
    def labels(self) -> Array:
        """Their labels, shape (j)."""

    @property
    def scores(self) -> Array:
        """What was said of them, shape (j) or (j, classes)."""

    @property
    def predictions(self) -> Array:
        """What was answered, shape (j)."""

    @property
    def gap(self) -> float | None:
        """How far the final bytes answer from what was measured; ``None`` where they are what was measured."""

    @property
    def model(self) -> "LoadedModel":
        """The final model."""

    @property
    def champion(self) -> Champion | None:
        """What to compare with; ``None`` where nothing serves."""

    @property
    def lineage(self) -> "Trace | None":
        """The walk from the candidate back to raw data; ``None`` where no pipeline ran."""

    def saved(self) -> AbstractContextManager[Saved]:
        """Return the final bytes in a folder, for as long as the ``with`` lasts."""


# --- the families --------------------------------------------------------------------------------------------------


def performance(material: Material) -> list[Measurement]:
    """How well it predicts, beside no model at all and beside the champion."""
    return [*_performance(material), *final_gap(material), *_beside_champion(material)]


def _performance(material: Material) -> list[Measurement]:
    if isinstance(material.task, BinaryClassification):
        from governance.measures.performance import measure_performance

        return measure_performance(material.labels, material.predictions, material.scores)
    if isinstance(material.task, MulticlassClassification):
        from governance.measures.multiclass import measure_multiclass

        return measure_multiclass(
            material.labels, material.scores, classes=[str(name) for name in material.task.classes]
        )
    from governance.measures.regression import measure_regression

    return measure_regression(material.labels, material.predictions)


def final_gap(material: Material) -> list[Measurement]:
    """How far the bytes that would be released answer, as a whole, from what was measured.

    Formula: for two classes the difference of selection rates, for more the share of answers that would have to change,
    for numbers the difference of means in standard deviations; on the rows that judge. 0 with a holdout, where the
    measured bytes are the released ones.
    Source: counted; why it is asked is in section 10.8 of the design.
    Ideal: 0.
    Limits: with cross-validation the final bytes were trained on the rows that they are asked about here.
    """
    if material.gap is None:
        return []
    return [Measurement("performance.final_gap", material.gap, len(material.rows), method="counted")]


def _beside_champion(material: Material) -> list[Measurement]:
    from governance.measures import comparison

    champion, task = material.champion, material.task
    if champion is None:
        return comparison.no_champion(task.name)
    at = champion.positions
    if len(at) < material.minimum_n:
        few = f"not enough data: {len(at)} of the rows that judge were not seen by the champion in training"
        return [replace(one, n=len(at), reason=few) for one in comparison.no_champion(task.name)]
    mine = comparison.Answers(material.predictions[at], material.scores[at])
    theirs = comparison.Answers(task.decide(champion.answers, champion.threshold), champion.answers)
    return comparison.compare(task.name, material.labels[at], mine, theirs)


def fairness(material: Material) -> list[Measurement]:
    """How it treats groups and intersections."""
    return measure_groups(
        material.spec,
        material.task,
        material.labels,
        material.predictions,
        {name: groups[material.rows] for name, groups in material.groups.items()},
        material.minimum_n,
    )


def measure_groups(
    spec: ModelSpec, task: Task, labels: Array, predictions: Array, groups: Groups, minimum_n: int
) -> list[Measurement]:
    """Measure groups as the task allows: who is favoured, how far predictions are off, how often they are right."""
    from governance.measures import fairness as by_group

    crossed = [tuple(names) for names in spec.intersections]
    if task.name == "regression":
        from governance.measures.fairness_regression import measure_regression_fairness

        return measure_regression_fairness(labels, predictions, groups, crossed, minimum_n=minimum_n)
    if isinstance(task, BinaryClassification):
        return by_group.measure_fairness(labels, predictions, groups, crossed, minimum_n=minimum_n)
    right = by_group.measure_accuracy_fairness(labels == predictions, groups, crossed, minimum_n=minimum_n)
    if spec.target.favourable is None or not isinstance(task, MulticlassClassification):
        return right
    favourable = task.classes.index(spec.target.favourable)
    favoured = by_group.measure_fairness(
        labels == favourable, predictions == favourable, groups, crossed, minimum_n=minimum_n
    )
    known = {one.key for one in right}
    return [*right, *(one for one in favoured if one.key not in known)]


def drift(material: Material) -> list[Measurement]:
    """How far its data and its answers are from the champion's."""
    from governance.measures import drift as measures

    champion = material.champion
    if champion is None:
        return measures.no_champion()
    shared = [name for name in material.features.columns if name in champion.features.columns]
    return [
        *measures.measure_drift(champion.features[shared], material.features[shared], minimum_n=material.minimum_n),
        *measures.measure_prediction_drift(champion.scores, material.scores, minimum_n=material.minimum_n),
    ]


def explainability(material: Material) -> list[Measurement]:
    """What drives the final model's answers, and whether the same drove the champion's."""
    from governance.measures.drift import importance_drift
    from governance.measures.explainability import measure_explainability

    found = measure_explainability(
        material.model.estimator,
        material.features,
        material.features,
        task=material.task.name,
        limit_rows=material.explained_rows,
        seed=material.seed,
        favourable=material.model.description.favourable,
        decide=_decide(material) if isinstance(material.task, BinaryClassification) else None,
    )
    importances = {one.slice["feature"]: one.value for one in found if one.name == "explainability.importance"}
    champion = material.champion
    return [*found, importance_drift(champion.importances if champion else None, importances)]


def leakage(material: Material) -> list[Measurement]:
    """What the features tell that they should not, and whether rows that judge were seen in training."""
    from governance.measures.leakage import measure_leakage

    return measure_leakage(
        material.features,
        material.labels,
        material.groups,
        task=material.task.name,
        judging=material.rows,
        trained_here=material.trained_here,
        minimum_n=material.minimum_n,
    )


def robustness(material: Material) -> list[Measurement]:
    """What small changes of the input do, and where it is at its worst."""
    from governance.measures.robustness import measure_robustness

    return measure_robustness(
        material.model.score,
        material.features.iloc[material.rows],
        material.labels,
        material.predictions,
        task=material.task.name,
        decide=_decide(material),
        groups={name: groups[material.rows] for name, groups in material.groups.items()},
        seed=material.seed,
        minimum_n=material.minimum_n,
    )


def _decide(material: Material) -> Callable[[Array], Array]:
    threshold = material.model.description.threshold
    return lambda scores: material.task.decide(scores, threshold)


def operations(material: Material) -> list[Measurement]:
    """How fast the final bytes answer in a fresh process, and what they and their environment need."""
    from governance.measures.operations import measure_latency
    from governance.measures.operations_vulnerabilities import measure_vulnerabilities

    with material.saved() as saved:
        row = material.features.iloc[:1]
        timed = measure_latency(saved.folder, saved.loader, row, arguments=saved.arguments, repeats=material.repeats)
    return [*timed, *measure_vulnerabilities(material.lock, material.advisories)]


def lineage(material: Material) -> list[Measurement]:
    """Whether it can be followed back to raw data, and what it brings along from there."""
    from governance.measures.lineage import measure_lineage, no_pipeline

    found = material.lineage
    return no_pipeline() if found is None else measure_lineage(found)


FAMILIES: dict[str, Callable[[Material], list[Measurement]]] = {
    "performance": performance,
    "fairness": fairness,
    "drift": drift,
    "explainability": explainability,
    "leakage": leakage,
    "robustness": robustness,
    "operations": operations,
    "lineage": lineage,
}
"""In the order in which they are reported."""


def measure_all(material: Material, families: Sequence[str] = tuple(FAMILIES)) -> list[Measurement]:
    """Measure one family after the other."""
    return [one for family in families for one in FAMILIES[family](material)]
