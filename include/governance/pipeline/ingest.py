"""Read what the spec names, and freeze it."""

from governance.data import snapshots
from governance.data.snapshots import Snapshot
from governance.data.sources import read_source
from governance.errors import InputError
from governance.pipeline import datasets
from governance.pipeline.run import Run, Step
from governance.records import Lineage


def ingest(run: Run) -> Step:
    """Freeze the data of this run as an immutable, content-addressed snapshot.

    The protected attributes are kept apart from the features from here on.
    """
    key = run.key("snapshot", source=run.source)
    entry = run.ledger.get(key)
    if entry is None:
        entry = run.record("snapshot", {"source": run.source, "snapshot": _freeze(run).to_dict()}, key)
    frozen = Snapshot.from_dict(entry.data["snapshot"])
    meanings = {**run.spec.features, **run.spec.leaks, run.spec.target.column: run.spec.target.meaning}
    return Step(
        {"snapshot": frozen.digest, "rows": frozen.rows, "columns": len(frozen.columns)},
        Lineage([datasets.raw(run.source)], [datasets.snapshot(run.model, frozen, meanings)]),
    )


def snapshot_of(run: Run) -> Snapshot:
    """Return the snapshot of this run."""
    return Snapshot.from_dict(run.need("snapshot", source=run.source).data["snapshot"])


def _freeze(run: Run) -> Snapshot:
    # A source named in the trigger form was reviewed by nobody: it may be a file, never a function to call.
    frame = read_source(run.source, run.spec.folder, reviewed=run.request.source is None)
    needed = [*run.spec.features, run.spec.target.column, *run.spec.protected_columns]
    missing = [column for column in needed if column not in frame.columns]
    if missing:
        raise InputError(
            f"Expected {len(needed)} columns of model.yaml in {run.source}, found no {', '.join(missing)}. "
            f"Columns there: {', '.join(map(str, frame.columns[:80]))}."
        )
    return snapshots.freeze(
        frame, model=run.model, root=run.settings.snapshots, protected_columns=sorted(set(run.spec.protected_columns))
    )
