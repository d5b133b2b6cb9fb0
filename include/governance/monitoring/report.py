"""A second opinion on a window: Evidently's report, kept in MLflow once it was decided. Nothing waits for it."""

from typing import TYPE_CHECKING, Any

from governance.monitoring import collect, facts
from governance.monitoring.watch import DECIDED, REPORT, WATCHED, WINDOW, Watch, candidate_of
from governance.pipeline import datasets
from governance.pipeline.run import Step
from governance.records import Lineage
from governance.training import tracking
from governance.training.tasks import Task, task_of

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]

PAGE = "evidently.html"
ANSWER, SCORE, TRUTH = "(answer)", "(score)", "(label)"
"""Columns of the report beside the features; no feature's name has parentheses."""


def report(watch: Watch) -> Step:
    """Keep Evidently's report of the window, once; of one that was not measured there is none."""
    if not watch.run.spec.monitoring.report:
        return Step({}, skipped="This model keeps no report of its windows (model.yaml: monitoring.report).")
    watch.need(DECIDED)
    if not watch.need(WATCHED).data["measurements"]:
        return Step({}, skipped="Nothing was measured of this window.")
    entry = watch.entry(REPORT) or watch.record(REPORT, _kept(watch))
    window = watch.need(WINDOW).data["snapshot"]
    read = [datasets.window(watch.model, window["digest"])] if window else []
    summary = {name: entry.data[name] for name in ("page", "rows", "sampled", "left_out")}
    return Step(summary, Lineage(read, [datasets.report(watch.model, entry.leaf)]))


def _kept(watch: Watch) -> Json:
    from governance.reports import second_opinion

    frame, (reference, which) = collect.window_of(watch.ledger, watch.need(WINDOW)), facts.reference_of(watch)
    task, candidate = task_of(watch.run.spec), candidate_of(watch, watch.manifest)
    judged = facts.judged_rows(watch, candidate)
    found = second_opinion.render(
        _beside(reference, judged["prediction"], judged["label"], judged, "score", task),
        _beside(
            frame[[name for name in reference.columns if name in frame.columns]],
            task.labels(frame[collect.PREDICTION]),
            _known(task, frame),
            frame,
            collect.SCORE,
            task,
        ),
        about=_about(watch, which),
    )
    address = tracking.keep_page(
        watch.run.settings.require("mlflow_url"),
        model=f"{watch.model}-monitoring",
        key=watch.key(REPORT),
        title=f"{watch.until:%Y-%m-%d %H:%M}",
        path=PAGE,
        page=found.page,
    )
    rows, sampled = list(found.rows), list(found.sampled)
    return {"page": address, "rows": rows, "sampled": sampled, "seed": second_opinion.SEED,
            "left_out": list(found.left_out)}  # fmt: skip


def _known(task: Task, frame: "pd.DataFrame") -> Any:
    """Return the labels that have arrived in the task's own numbers, missing where none has."""
    import pandas as pd

    truth, _, which = facts.labelled(task, frame)
    return pd.Series(truth, index=which, dtype="float64").reindex(range(len(frame)))


def _beside(
    features: "pd.DataFrame", answers: Any, truth: Any, scored: "pd.DataFrame", score: str, task: Task
) -> "pd.DataFrame":
    """Return features with what was answered and what came true; the shorter of them ends in what is missing."""
    import pandas as pd

    parts = {ANSWER: pd.Series(answers).reset_index(drop=True), TRUTH: pd.Series(truth).reset_index(drop=True)}
    if task.name != "regression":
        parts = {name: _classes(task, one) for name, one in parts.items()}
    if task.classes is None and task.name != "regression":
        parts[SCORE] = scored[score].reset_index(drop=True)
    return pd.concat([features.reset_index(drop=True), pd.DataFrame(parts)], axis=1)


def _classes(task: Task, answers: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return answers as text, so that they are counted by value."""
    named = task.classes
    return answers.map(lambda one: str(named[int(one)] if named else int(one)), na_action="ignore").astype(object)


def _about(watch: Watch, reference: str) -> str:
    return (
        f"{watch.model}, from {watch.since:%Y-%m-%d %H:%M} to {watch.until:%Y-%m-%d %H:%M} ({watch.until:%Z}), beside "
        f"{reference}. What was decided, and by which numbers, stands on the Monitoring page of {watch.model}."
    )
