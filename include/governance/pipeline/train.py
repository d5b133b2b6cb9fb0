"""Train the candidate, sign its files, and register it: once for the same data, code and parameters of a run."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.canonical import digest_of_bytes
from governance.code import lock_digest
from governance.errors import InputError, TamperedError
from governance.keys import Signer
from governance.ledger.log import Entry
from governance.lineage.marquez import page_of
from governance.pipeline import datasets, facets
from governance.pipeline.ingest import groups_of, rows_of, snapshot_of
from governance.pipeline.run import Run, Step
from governance.pipeline.validate import validation_of
from governance.records import Dataset, Lineage
from governance.training import tracking
from governance.training.artifacts import describe, verify_artifact
from governance.training.candidate import OUT_OF_FOLD, Candidate, train_candidate
from governance.training.fits import Fitter, Recipe, TrainingSet
from governance.training.sandbox import Sandbox
from governance.training.split import Plan, plan_fits, strata_of
from governance.training.tasks import task_of

if TYPE_CHECKING:
    import pandas as pd

    from governance.data.snapshots import Snapshot


def train(run: Run) -> Step:
    """Train with the run's parameters and register the first candidate; or bring the model in that the run names."""
    from governance.pipeline.imported import import_candidate, imports

    frozen = snapshot_of(run)
    validation_of(run, frozen)
    if imports(run):
        brought = import_candidate(run, frozen)
        return Step(summary_of(brought), lineage_of(run, frozen, brought))
    recipe = Recipe(run.parameters, run.seed, task_of(run.spec).threshold)
    key = run.key("candidate", attempt=1, snapshot=frozen.digest, code=run.code.digest, recipe=recipe.to_dict())
    entry = run.ledger.get(key)
    if entry is None:
        with workshop(run, frozen) as (fitter, plan):
            entry = make(run, fitter, plan, recipe, attempt=1, key=key)
    return Step(summary_of(entry), lineage_of(run, frozen, entry))


@contextmanager
def workshop(run: Run, frozen: "Snapshot") -> Iterator[tuple[Fitter, Plan]]:
    """Open the sandbox on a snapshot's rows, with the plan of which rows train and which judge."""
    target, training = run.spec.target, run.spec.training
    # Opened first: its processes take seconds to start, and the rows are read meanwhile.
    task = task_of(run.spec)
    with Sandbox(run.spec.folder, target=target.column, task=task, limits=training.limits) as sandbox:
        rows = _rows(run, frozen)
        plan = plan_fits(strata_of(task.strata(rows.labels), rows.groups), training.evaluation, run.seed)
        yield Fitter(sandbox, rows, training.trusted_types), plan


def _rows(run: Run, frozen: "Snapshot") -> TrainingSet:
    data = rows_of(frozen)
    first = next(iter(groups_of(run, frozen).values()), None)
    target = run.spec.target
    return TrainingSet(data[list(run.spec.features)], data[target.column], task_of(run.spec), first)


def make(run: Run, fitter: Fitter, plan: Plan, recipe: Recipe, *, attempt: int, key: str) -> Entry:
    """Evaluate a recipe on every repetition, fit the final model, sign its files, and register it.

    The working folder holds a prediction of every row, so nothing of it is left.
    """
    signer = Signer.from_file(Path(run.settings.require("artifact_key")), "artifact")
    with tempfile.TemporaryDirectory(prefix=f"{run.model}-") as folder:
        place, described = Path(folder) / "candidate", describe(run.spec, fitter.data.features)
        candidate = train_candidate(fitter, recipe, plan, described, place, signer=signer)
        return _register(run, candidate, attempt, key)


def _register(run: Run, candidate: Candidate, attempt: int, key: str) -> Entry:
    """Log a candidate to MLflow, register its version, and record both in the ledger."""
    out_of_fold = (candidate.folder / OUT_OF_FOLD).read_bytes()
    registered = tracking.log_candidate(
        run.settings.require("mlflow_url"),
        model=run.model,
        key=digest_of_bytes(key.encode()),  # MLflow's tags do not take every character of a run id
        artifact=candidate.artifact,
        params={**candidate.recipe.params, **_decided_at(candidate.recipe)},
        tags=tags_of(run, attempt),
        files={f"evaluation/{OUT_OF_FOLD}": out_of_fold},
    )
    return run.record("candidate", record_of(run, candidate, attempt, registered, digest_of_bytes(out_of_fold)), key)


def _decided_at(recipe: Recipe) -> dict[str, float]:
    return {} if recipe.threshold is None else {"threshold": recipe.threshold}


def candidate_of(run: Run, attempt: int) -> Entry:
    """Return the entry of an attempt's candidate."""
    return run.need("candidate", attempt=attempt)


def fetch_artifact(run: Run, candidate: Entry, into: Path) -> Path:
    """Fetch the signed files of a candidate from MLflow, and verify them.

    Raises:
        TamperedError: They are not those that were registered.
    """
    folder = tracking.download(run.settings.require("mlflow_url"), candidate.data["mlflow_run"], "model", into)
    verify_artifact(folder, run.keys, candidate.data["manifest"])
    return folder


def fetch_out_of_fold(run: Run, candidate: Entry) -> "pd.DataFrame":
    """Fetch the predictions that a candidate is judged by, and verify them.

    Returns:
        ``row``, ``repetition``, ``label``, ``score``, ``prediction``.

    Raises:
        TamperedError: They are not those that training recorded.
    """
    import pandas as pd

    with tempfile.TemporaryDirectory() as folder:
        name = f"evaluation/{OUT_OF_FOLD}"
        path = tracking.download(run.settings.require("mlflow_url"), candidate.data["mlflow_run"], name, Path(folder))
        found, expected = digest_of_bytes(path.read_bytes()), candidate.data["out_of_fold"]
        if found != expected:
            raise TamperedError(f"Expected predictions {expected[:16]} in MLflow, found {found[:16]}: clear train.")
        return pd.read_parquet(path)


def summary_of(entry: Entry) -> dict[str, Any]:
    """Return what people see of a candidate in Airflow."""
    data = entry.data
    return {"registry_version": data["registry_version"], "manifest": data["manifest"], **data["training"]}


def lineage_of(run: Run, frozen: "Snapshot", entry: Entry) -> Lineage:
    """A candidate is made of a snapshot that met its contract; the protected part decides on folds, and no more."""
    contract = digest_of_bytes(run.spec.contract.read_bytes())
    read = [*datasets.whole_snapshot(run.model, frozen), datasets.validation(run.model, frozen.digest, contract)]
    return Lineage(read, [made_of(run, frozen, entry)], facets.training(run, entry))


def made_of(run: Run, frozen: "Snapshot", entry: Entry) -> Dataset:
    """A model version as it is written: its features are columns of the snapshot."""
    features, snapshot = entry.data["features"], datasets.snapshot_named(run.model, frozen.digest)
    columns = [one for one in facets.columns_of(run.spec, frozen) if one["name"] in set(features)]
    said = f"{run.spec.title}: a version of the model, signed by the pipeline."
    return datasets.model_version(
        run.model,
        entry.data["manifest"],
        **facets.described(run.spec, said),
        **facets.schema(columns),
        **facets.same_columns([one["name"] for one in columns], [snapshot]),
        **facets.model(run, entry, lock_digest(run.settings)),
    )


def tags_of(run: Run, attempt: int) -> dict[str, str]:
    """Return what MLflow is told of a candidate's run and version."""
    return {
        "governance.run": run.run_id,
        "governance.version": run.version,
        "governance.attempt": str(attempt),
        "governance.state": "candidate",
        "governance.snapshot": snapshot_of(run).digest,
        "governance.lock": lock_digest(run.settings),
        "governance.commit": run.code.commit or "none",
        "governance.dirty": str(bool(run.code.uncommitted)).lower(),
        "governance.seed": str(run.seed),
        "governance.started_by": run.request.started_by,
        **_lineage_link(run),
    }


def _lineage_link(run: Run) -> dict[str, str]:
    """Return where Marquez shows what the model was made of, where there is one; its facet points back."""
    if run.settings.marquez_url is None:
        return {}
    one = datasets.model_version(run.model, "")
    return {"governance.lineage": page_of(run.settings.marquez_url, one.namespace, one.name)}


def record_of(
    run: Run, candidate: Candidate, attempt: int, registered: tracking.Registered, out_of_fold: str
) -> dict[str, Any]:
    """Return what the ledger says of a candidate."""
    recipe, evaluation = candidate.recipe, run.spec.training.evaluation
    features = [name for name in run.spec.features if name not in recipe.dropped]
    if not features:
        raise InputError("Expected at least one feature to be left, found none.")
    return {
        "attempt": attempt,
        "registry_version": registered.version,
        "mlflow_run": registered.run_id,
        "manifest": candidate.manifest.digest,
        "out_of_fold": out_of_fold,
        "features": features,
        "consistency": candidate.consistency.to_dict(),
        "algorithm": candidate.algorithm,
        "artifact": {
            "manifest": candidate.manifest.digest,
            "files": [dict(file) for file in candidate.manifest.files],
            "trusted_types": list(run.spec.training.trusted_types),
        },
        "training": {
            "parameters": dict(recipe.parameters),
            "dropped": list(recipe.dropped),
            "reduction": recipe.reduction,
            "seed": recipe.seed,
            "threshold": recipe.threshold,
            "evaluation": {**evaluation.model_dump(), "judged_on": 0},
        },
    }
