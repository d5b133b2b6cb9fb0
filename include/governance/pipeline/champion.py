"""The champion as this run compares with it: who served when the run began, on rows it has not seen.

Fixed at the run's beginning, so that a task which is cleared later compares with the same one. A comparison is honest
only on rows that the champion was not trained on: on the same snapshot these are the rows that it was judged on, with
what it said of them then; on another snapshot the rows that its own does not hold, with what its signed files say now.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from governance.assessment import Champion
from governance.data import snapshots
from governance.data.erasures import as_kept
from governance.data.snapshots import Snapshot
from governance.ledger.log import Entry
from governance.pipeline.ingest import rows_of, snapshot_of
from governance.pipeline.run import Run
from governance.pipeline.train import fetch_artifact, fetch_out_of_fold
from governance.review import entries
from governance.training.artifacts import load_artifact
from governance.training.split import JUDGING
from governance.training.tasks import Array, Task

if TYPE_CHECKING:
    import pandas as pd


def champion_release(run: Run) -> Entry | None:
    """Return the release that served when the run began; ``None`` where nothing did."""
    began = run.ledger.get(f"run:{run.model}:{run.run_id}")
    return entries.serving(entries.terms(run.ledger, run.model, before=began.seq if began else None))


def champion_of(run: Run, task: Task, rows: Array) -> Champion | None:
    """Return the champion to compare with.

    Args:
        run: The run whose candidate is compared.
        task: What the candidate answers; a champion with another task is none to compare with.
        rows: Positions of the rows of this run's snapshot that judge the candidate, ascending.

    Raises:
        TamperedError: Its files are not those that were signed.
    """
    release = champion_release(run)
    if release is None:
        return None
    document = entries.evidence_entry(run.ledger, run.model, release.data["evidence"]).data["evidence"]
    if document["spec"].get("task", "binary_classification") != task.name:  # older evidence knew one task
        return None
    candidate = _candidate(run, document["artifact"]["manifest"])
    judged = fetch_out_of_fold(run, candidate)
    judged = judged[judged["repetition"] == JUDGING].sort_values("row")
    theirs = _snapshot(run, document["data"]["snapshot"])
    features = snapshots.load(theirs, "data")
    scores = task.from_columns(judged)
    if theirs.digest == snapshot_of(run).digest:
        positions, found = _answered_then(rows, judged["row"].to_numpy(), scores)
    else:
        positions, found = _answers_now(run, candidate, document, features, rows)
    importances = {
        one["slice"]["feature"]: one["value"]
        for one in document["measurements"]
        if one["name"] == "explainability.importance" and one["value"] is not None
    }
    used = [name for name in candidate.data["features"] if name in features]
    return Champion(features[used], scores, importances, positions, found, document["training"]["threshold"])


def _answered_then(rows: Array, judged: Array, scores: Array) -> tuple[Array, Array]:
    _, mine, theirs = np.intersect1d(rows, judged, assume_unique=True, return_indices=True)
    return mine, scores[theirs]


def _answers_now(
    run: Run, candidate: Entry, document: dict[str, Any], features: "pd.DataFrame", rows: Array
) -> tuple[Array, Array]:
    mine = rows_of(snapshot_of(run)).iloc[rows]
    shared = sorted(set(mine.columns) & set(features.columns))
    unseen = np.flatnonzero(~np.isin(_hashes(mine[shared]), _hashes(features[shared])))
    with tempfile.TemporaryDirectory() as folder:
        artifact = fetch_artifact(run, candidate, Path(folder))
        model = load_artifact(artifact, document["artifact"]["trusted_types"], run.keys)
        if not len(unseen) or set(model.description.columns) - set(mine.columns):
            return unseen[:0], np.empty(0)
        return unseen, model.score(mine.iloc[unseen])


def _hashes(frame: "pd.DataFrame") -> Array:
    """Return 64 bits of each row; whole numbers are the same rows where one missing value made them floats."""
    import pandas as pd

    numbers = frame.select_dtypes(["number", "bool"]).columns
    return np.asarray(pd.util.hash_pandas_object(frame.astype(dict.fromkeys(numbers, float)), index=False))


def _candidate(run: Run, manifest: str) -> Entry:
    return next(entry for entry in run.ledger.backwards("candidate", run.model) if entry.data["manifest"] == manifest)


def _snapshot(run: Run, digest: str) -> Snapshot:
    frozen = run.ledger.backwards("snapshot", run.model)
    document = next(one.data["snapshot"] for one in frozen if one.data["snapshot"]["digest"] == digest)
    return as_kept(run.ledger, run.model, document)
