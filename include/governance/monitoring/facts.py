"""What is measured of a window: the champion's inputs, answers and outcomes beside those that were validated.

Facts, no limit in sight. The reference is the snapshot that the champion was trained on, with what it said of it then;
or, where the policy says *trailing*, the windows before this one in which nothing was decided.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from governance.assessment import measure_groups
from governance.catalog import ModelSpec
from governance.data import snapshots
from governance.data.erasures import as_it_is, as_kept
from governance.data.protected import derive
from governance.data.snapshots import Snapshot
from governance.errors import InputError
from governance.ledger.log import Entry
from governance.measures import drift_classifier, drift_counts
from governance.measures.drift import importance_drift, measure_drift, measure_prediction_drift
from governance.measures.drift_classifier import Embedded, unknown
from governance.measures.drift_counts import Column
from governance.measures.drift_shapes import Shape, shape_of
from governance.measures.performance_in_production import loss_rise
from governance.monitoring import collect
from governance.monitoring.watch import DECIDED, WATCHED, WINDOW, Watch, candidate_of
from governance.pipeline import datasets
from governance.pipeline.run import Step
from governance.pipeline.train import fetch_artifact, fetch_out_of_fold
from governance.predictions.labels import values_of
from governance.records import Lineage, Measurement
from governance.rules.drift import measure_custom
from governance.rules.embedding import embed
from governance.training.artifacts import load_artifact
from governance.training.split import JUDGING
from governance.training.tasks import BinaryClassification, Task, task_of

if TYPE_CHECKING:
    import pandas as pd

    from governance.training.artifacts import LoadedModel

Json = dict[str, Any]

TRAILING = 7
"""How many earlier windows make the reference where it is not the training data."""

VALIDATED = ("performance.accuracy", "performance.mae", "fairness.demographic_parity_difference")
"""What of the evidence a window is held against."""


EXPLAINED, REFERENCE_ROWS = 500, 2000
"""So many rows of a window are explained at most, beside so many of the reference: the same ones each time."""


@dataclass(frozen=True)
class Champion:
    """What a window is held against.

    Attributes:
        candidate: The entry of its files.
        reference: Features that are usual, shape (m, features).
        judged: What it said of the rows that judged it, made before anybody signed: ``label`` and scores, shape (j).
        task: What it answers.
    """

    candidate: Entry
    reference: "pd.DataFrame"
    judged: "pd.DataFrame"
    task: Task

    @property
    def scores(self) -> Any:
        """What it said where it was validated, shape (j) or (j, classes)."""
        return self.task.from_columns(self.judged)


def measure(watch: Watch) -> Step:
    """Measure the window once; nothing is measured of one without rows, or of data that break the contract."""
    entry = watch.entry(WATCHED) or watch.record(WATCHED, _measured(watch))
    found = entry.data["measurements"]
    return Step({"measured": len(found), "reference": entry.data["reference"]}, _lineage(watch))


def measurements_of(entry: Entry) -> list[Measurement]:
    """Return what was measured of a window."""
    return [Measurement.from_dict(one) for one in entry.data["measurements"]]


def validated_of(evidence: Mapping[str, Any] | None) -> list[Measurement]:
    """Return what the champion's evidence says of the measures that a window is held against."""
    found = (Measurement.from_dict(one) for one in (evidence or {}).get("measurements", []))
    return [one for one in found if one.name in VALIDATED]


def measure_window(
    watch: Watch, champion: Champion, frame: "pd.DataFrame", seen: Callable[[Column], None] | None = None
) -> Iterator[Measurement]:
    """Yield every measurement of a window's rows beside what is usual.

    Args:
        watch: The window.
        champion: What served.
        frame: The window's rows, as they were frozen.
        seen: Is given each feature once both sides are counted, from two threads.
    """
    limits, task = watch.run.policy.monitoring, task_of(watch.run.spec)
    fewest, level = limits.minimum_rows, limits.false_alarms
    embedded = _embedded(watch, champion, frame)
    yield from measure_drift(champion.reference, frame, minimum_n=fewest, level=level, seen=seen, embedded=embedded)
    yield from measure_prediction_drift(champion.scores, collect.scores_of(frame), minimum_n=fewest)
    yield from measure_custom(watch.run.spec.folder, champion.reference, frame)
    yield _importance_drift(watch, champion, frame)
    yield _loss_rise(watch, task, frame)
    yield from _estimates(watch, champion, task, frame)
    yield from _fairness(watch, task, frame)


def _measured(watch: Watch) -> Json:
    window = watch.need(WINDOW)
    if not window.data["rows"] or window.data["faults"]:
        return {"measurements": [], "reference": "none", "shapes": []}
    frame, (reference, which) = collect.window_of(watch.ledger, window), reference_of(watch)
    candidate = candidate_of(watch, watch.manifest)
    champion = Champion(candidate, reference, judged_rows(watch, candidate), task_of(watch.run.spec))
    shapes: dict[str, Shape] = {}
    measured = list(measure_window(watch, champion, frame, keeping(shapes, reference)))
    answers = shape_of_answers(champion.task, champion.scores, collect.scores_of(frame))
    told = [answers, *(shapes[name] for name in sorted(shapes))]
    return {
        "measurements": [one.to_dict() for one in measured],
        "reference": which,
        "shapes": [one.to_dict() for one in told],
    }


def keeping(shapes: dict[str, Shape], reference: "pd.DataFrame") -> Callable[[Column], None]:
    """Return what keeps the shape of each column, by its name, before its rows are let go."""

    def seen(column: Column) -> None:
        times = str(reference[column.name].dtype).startswith("datetime")
        shapes[column.name] = shape_of(column, times=times)

    return seen


def shape_of_answers(task: Task, reference: Any, current: Any) -> Shape:
    """Return how scores are distributed on both sides; of several classes, how often each is the answer."""
    if task.classes is None:
        return shape_of(drift_counts.of_numbers("", np.asarray(reference), np.asarray(current)))
    names = [str(one) for one in task.classes]
    return shape_of(drift_counts.of_answers(np.asarray(reference), np.asarray(current)), names)


def reference_of(watch: Watch) -> tuple["pd.DataFrame", str]:
    """Return the features that are usual, and which they are in words."""
    if watch.run.policy.monitoring.reference == "trailing":
        earlier = list(_trailing(watch))
        if earlier:
            import pandas as pd

            return pd.concat(earlier, ignore_index=True), f"the {len(earlier)} windows before"
    frozen = training_snapshot(watch)
    frame = as_it_is(watch.ledger, watch.model, frozen.to_dict(), snapshots.load)
    return frame[list(watch.features)], f"snapshot {frozen.digest[:16]}"


def _trailing(watch: Watch) -> Iterator["pd.DataFrame"]:
    """Yield the features of the latest windows of this champion that ended before this one and were found quiet."""
    found = 0
    for entry in watch.ledger.backwards(DECIDED, watch.model):
        data = entry.data
        same = watch.champion is not None and data["champion"] == watch.champion.data["evidence"]
        if not same or data["until"] > watch.since.isoformat() or data["decision"]["action"] != "nothing":
            continue
        window = watch.ledger.get(data["window"])
        if window is not None and window.data["snapshot"] and found < TRAILING:
            found += 1
            yield collect.window_of(watch.ledger, window)[list(watch.features)]


def training_snapshot(watch: Watch) -> Snapshot:
    """Return the snapshot that the champion was trained on.

    Raises:
        InputError: The ledger has none.
    """
    digest = watch.evidence["data"]["snapshot"] if watch.evidence else None
    for entry in watch.ledger.backwards("snapshot", watch.model):
        if entry.data["snapshot"]["digest"] == digest:
            return as_kept(watch.ledger, watch.model, entry.data["snapshot"])
    raise InputError(f"Expected the snapshot {digest} that {watch.model} was trained on in the ledger, found none.")


def validated_scores(watch: Watch, candidate: Entry) -> Any:
    """Return what a version said of the rows that judged it: its own answers, made before anybody signed."""
    return task_of(watch.run.spec).from_columns(judged_rows(watch, candidate))


def judged_rows(watch: Watch, candidate: Entry) -> "pd.DataFrame":
    """Return the rows that judged a version, with their labels and what it said of them."""
    judged = fetch_out_of_fold(watch.run, candidate)
    return judged[judged["repetition"] == JUDGING].sort_values("row")


def load_version(watch: Watch, candidate: Entry) -> "LoadedModel":
    """Return a version's model, verified.

    Raises:
        TamperedError: Its files are not those that were registered.
        UnavailableError: MLflow does not answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        artifact = fetch_artifact(watch.run, candidate, Path(folder))
        return load_artifact(artifact, candidate.data["artifact"]["trusted_types"], watch.run.keys)


def labelled(task: Task, frame: "pd.DataFrame") -> tuple[Any, Any, Any]:
    """Return labels and answers of the rows whose label has arrived, in the task's own numbers, and which they are."""
    known = frame[collect.LABEL].notna().to_numpy()
    truth, answers = (frame.loc[known, name] for name in (collect.LABEL, collect.PREDICTION))
    return task.labels(truth), task.labels(answers), np.flatnonzero(known)


def _embedded(watch: Watch, champion: Champion, frame: "pd.DataFrame") -> list[Embedded]:
    """Return what a classifier tells of each embedding of the model folder; one without a name where there are none."""
    fewest = watch.run.policy.monitoring.minimum_rows
    found = embed(watch.run.spec.folder, champion.reference, frame)
    if found.fault:
        return [unknown("", found.fault, len(frame))]
    return [
        drift_classifier.compare(name, *sides, minimum_n=fewest, method=found.method)
        for name, sides in found.sides.items()
    ]


def _loss_rise(watch: Watch, task: Task, frame: "pd.DataFrame") -> Measurement:
    name = "performance.mae" if task.name == "regression" else "performance.accuracy"
    validated = next((one for one in validated_of(watch.evidence) if one.name == name), None)
    truth, answers, _ = labelled(task, frame)
    return loss_rise(task.name, truth, answers, validated, minimum_n=watch.run.policy.monitoring.minimum_rows)


def _importance_drift(watch: Watch, champion: Champion, frame: "pd.DataFrame") -> Measurement:
    """Measure whether the features that drove the champion at its release drive it now, on a sample."""
    from governance.measures.explainability import importances
    from governance.measures.explainability_values import draw, explain

    then = {
        one["slice"]["feature"]: one["value"]
        for one in (watch.evidence or {}).get("measurements", [])
        if one["name"] == "explainability.importance" and one["value"] is not None
    }
    n = min(len(frame), EXPLAINED)
    if not then or len(frame) < watch.run.policy.monitoring.minimum_rows:
        few = f"not enough data: {len(frame)} rows" if then else "the evidence holds no importances to compare with"
        return Measurement("drift.importance_psi", None, n, reason=few)
    model = load_version(watch, champion.candidate)
    names, task = model.description.columns, champion.task.name
    if absent := sorted(set(names) - (set(champion.reference.columns) & set(frame.columns))):
        return Measurement("drift.importance_psi", None, n, reason=f"not in the window: {', '.join(absent)}")
    favourable = model.description.favourable if isinstance(champion.task, BinaryClassification) else None
    sides = (draw(champion.reference[names], REFERENCE_ROWS, 0), draw(frame[names], EXPLAINED, 0))
    try:
        now = importances(explain(model.estimator, *sides, 0, task=task, favourable=favourable))
    except Exception as error:  # the model's own code, on rows that nobody foresaw: not measured, and said so
        return Measurement("drift.importance_psi", None, n, reason=f"explaining failed: {type(error).__name__}")
    return importance_drift(then, now)


def _estimates(watch: Watch, champion: Champion, task: Task, frame: "pd.DataFrame") -> Iterator[Measurement]:
    """Yield how late labels are; of two classes how right the answers probably are, and how far that was off."""
    from governance.measures.performance_estimated import Calibration, estimate_error, estimated_accuracy, label_delay

    arrived = collect.arrived_of(watch.ledger, watch.need(WINDOW))
    yield label_delay([] if arrived is None else arrived[collect.DELAY])
    if not isinstance(task, BinaryClassification):
        return
    fewest, judged = watch.run.policy.monitoring.minimum_rows, champion.judged
    calibration = Calibration.of(champion.scores, judged["prediction"], judged["label"])
    answers = task.labels(frame[collect.PREDICTION])
    yield estimated_accuracy(calibration, collect.scores_of(frame), answers, minimum_n=fewest)
    mine = frame.iloc[:0] if arrived is None else arrived[arrived[collect.MINE]]
    said, truth = (task.labels(mine[name]) for name in (collect.PREDICTION, collect.LABEL))
    yield estimate_error(calibration, collect.scores_of(mine), said, truth, minimum_n=fewest)


def _fairness(watch: Watch, task: Task, frame: "pd.DataFrame") -> list[Measurement]:
    """Measure who gets what on all rows whose group is known; how right it is, only where labels have come."""
    spec = watch.run.spec
    columns = spec.protected_columns
    if not spec.protected or not set(columns) <= set(frame.columns) or not isinstance(task, BinaryClassification):
        return []
    groups = groups_of(spec, frame)
    minimum = watch.run.policy.minimum_n
    answers = task.labels(frame[collect.PREDICTION])
    given = {name: groups[name].to_numpy() for name in groups.columns}
    found = measure_groups(spec, task, answers, answers, given, minimum)
    decided = {"fairness.selection_rate", "fairness.demographic_parity_difference", "fairness.disparate_impact_ratio"}
    selected = [one for one in found if one.name in decided]
    truth, told, which = labelled(task, frame)
    if len(which) < minimum:
        return selected
    known = {name: group[which] for name, group in given.items()}
    right = [one for one in measure_groups(spec, task, truth, told, known, minimum) if one.name not in decided]
    return [*selected, *right]


def groups_of(spec: ModelSpec, frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return the group of each row by protected attribute.

    Callers say which: a value that the spec does not know is taken for not known, for it must not hide all others.
    """
    import pandas as pd

    told = frame[list(spec.protected_columns)].copy()
    for column, known in values_of(spec):
        if known is float or (isinstance(known, tuple) and not any(isinstance(one, str) for one in known)):
            told[column] = pd.to_numeric(told[column], errors="coerce")
        if isinstance(known, tuple):
            told[column] = told[column].where(told[column].isin(known))
    return derive(told, spec.protected)


def _lineage(watch: Watch) -> Lineage:
    window = watch.need(WINDOW).data["snapshot"]
    read = [datasets.window(watch.model, window["digest"])] if window else []
    if watch.evidence:
        read.append(datasets.snapshot_named(watch.model, watch.evidence["data"]["snapshot"]))
    return Lineage(read, [datasets.measured(watch.model, "monitoring", watch.need(WATCHED).leaf)])
