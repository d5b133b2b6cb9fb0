"""Bring a model in that was trained elsewhere: in place of training, once for the same run.

Fetched from the configured MLflow, opened in its safe format, laid beside the spec, signed by the pipeline, and
registered as the run's candidate; from there on it is a candidate like any other. It is judged on all rows of the
snapshot, as one that was not trained on them: nobody here can know, so the evidence says *trained elsewhere*. What is
measured is what is released: nothing is fitted again, and no alternative is searched.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from governance.canonical import digest_of_bytes
from governance.errors import InputError
from governance.keys import Signer
from governance.ledger.log import Entry
from governance.pipeline.ingest import rows_of
from governance.pipeline.run import Run
from governance.training import mlmodel, tracking
from governance.training.artifacts import LoadedModel, with_threshold, write_artifact
from governance.training.candidate import ARTIFACT, FINAL, OUT_OF_FOLD, Candidate, Consistency, algorithm_of
from governance.training.fetch import fetch_model
from governance.training.fits import Recipe
from governance.training.imported import Imported, import_model
from governance.training.split import JUDGING
from governance.training.tasks import task_of

if TYPE_CHECKING:
    import pandas as pd

    from governance.data.snapshots import Snapshot

Json = dict[str, Any]

EVALUATION: Json = {"method": "all_rows", "judged_on": JUDGING}
"""How the estimates of an imported model are made: it was trained before, on rows that nobody here knows."""


def imports(run: Run) -> bool:
    """Say whether a run brings a model in instead of training one.

    Raises:
        InputError: The spec says that it must, and no model was named.
    """
    if run.spec.trained == "elsewhere" and run.request.model_uri is None:
        raise InputError(
            f"Expected model_uri in the run's configuration, for {run.model} is trained elsewhere, found none. "
            f"Trigger it with one, or use `governance register --model-uri URI --model {run.model}`."
        )
    return run.request.model_uri is not None


def import_candidate(run: Run, frozen: "Snapshot") -> Entry:
    """Fetch, check, sign and register the model that the run names, and record it as the first candidate.

    Args:
        run: With ``request.model_uri``.
        frozen: The snapshot that it is judged on.

    Returns:
        The ledger entry ``candidate``; ``training`` in it says ``trained: elsewhere``, from where, and of which bytes.

    Raises:
        InputError: The model does not fit the spec; every difference is named.
        RefusedError: It is of no safe format, holds what is not allowed, or is not where models may come from.
        UnavailableError: MLflow does not answer; the same run completes it later.
    """
    uri = run.request.model_uri or ""
    asked = {"model_uri": uri, "threshold": run.request.parameters.get("threshold")}
    key = run.key("candidate", attempt=1, snapshot=frozen.digest, code=run.code.digest, **asked)
    entry = run.ledger.get(key)
    return entry if entry is not None else _import(run, frozen, uri, key)


def _import(run: Run, frozen: "Snapshot", uri: str, key: str) -> Entry:
    data = rows_of(frozen)
    with tempfile.TemporaryDirectory(prefix=f"{run.model}-") as private:
        place = Path(private)
        found = fetch_model(uri, place / "fetched", tracking_url=run.settings.require("mlflow_url"), reviewed=False)
        imported = import_model(found.folder, run.spec, data[list(run.spec.features)])
        threshold = run.request.parameters.get("threshold")
        if threshold is not None:
            imported = imported.at(_threshold(threshold, imported))
        candidate = _candidate(run, imported, data, place / "candidate")
        return _register(run, candidate, imported, found.uri, key)


def _threshold(asked: Any, imported: Imported) -> float:
    if imported.description.threshold is None:
        raise InputError("Expected no parameter `threshold` for a model that decides nothing by one. Leave it out.")
    if isinstance(asked, bool) or not isinstance(asked, int | float) or not 0 <= asked <= 1:
        raise InputError(f"Expected the parameter `threshold` as a number from 0 to 1, found {asked!r}.")
    return float(asked)


def _candidate(run: Run, imported: Imported, data: "pd.DataFrame", folder: Path) -> Candidate:
    task, described = task_of(run.spec), imported.description
    features = data[described.columns]
    signer = Signer.from_file(Path(run.settings.require("artifact_key")), "artifact")
    beside = mlmodel.files(described, features)
    estimator = with_threshold(imported.estimator, described.threshold, task)
    manifest = write_artifact(folder / ARTIFACT, imported.estimator, described, signer=signer, beside=beside)
    scores = LoadedModel(described, manifest.digest, estimator).score(features)
    final = _table(task, data[run.spec.target.column], scores, described.threshold)
    judged = final.assign(repetition=JUDGING)
    judged.to_parquet(folder / OUT_OF_FOLD)
    final.to_parquet(folder / FINAL)
    recipe = Recipe({}, run.seed, described.threshold, imported.unread)
    algorithm = algorithm_of(imported.estimator)
    return Candidate(folder, recipe, manifest, judged, final, Consistency(0.0), task, algorithm)


def _table(task: Any, target: "pd.Series[Any]", scores: Any, threshold: float | None) -> "pd.DataFrame":
    import pandas as pd

    columns = {"row": np.arange(len(target)), "label": task.labels(target)}
    return pd.DataFrame({**columns, **task.columns(scores), "prediction": task.decide(scores, threshold)})


def _register(run: Run, candidate: Candidate, imported: Imported, uri: str, key: str) -> Entry:
    """Log the candidate to MLflow, register its version, and record both in the ledger."""
    from governance.pipeline.train import record_of, tags_of

    out_of_fold = (candidate.folder / OUT_OF_FOLD).read_bytes()
    elsewhere = {
        "trained": "elsewhere",
        "model_uri": uri,
        "source": dict(imported.source),
        "notes": list(imported.notes),
        "evaluation": EVALUATION,
    }
    registered = tracking.log_candidate(
        run.settings.require("mlflow_url"),
        model=run.model,
        key=digest_of_bytes(key.encode()),
        artifact=candidate.artifact,
        params={"model_uri": uri, **candidate.recipe.params},
        tags={**tags_of(run, 1), "governance.trained": "elsewhere", "governance.model_uri": uri},
        files={f"evaluation/{OUT_OF_FOLD}": out_of_fold},
    )
    record = record_of(run, candidate, 1, registered, digest_of_bytes(out_of_fold))
    features = imported.description.columns  # in the model's own order
    return run.record(
        "candidate", {**record, "features": features, "training": {**record["training"], **elsewhere}}, key
    )
