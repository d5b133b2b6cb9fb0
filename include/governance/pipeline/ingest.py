"""Read what the spec names, and freeze it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.check import data
from governance.data import snapshots
from governance.data.erasures import as_kept
from governance.data.protected import derive
from governance.data.snapshots import DATA, PROTECTED, Snapshot
from governance.data.sources import read_source
from governance.errors import InputError, RefusedError
from governance.pipeline import datasets, facets
from governance.pipeline.run import Run, Step
from governance.records import Lineage

if TYPE_CHECKING:
    import pandas as pd


def ingest(run: Run) -> Step:
    """Freeze the data of this run as an immutable, content-addressed snapshot.

    The protected attributes, and whom a row is about, are kept apart from the features from here on, and personal data
    are masked or refused, as the policy says. Data that no model can be made from, or that may not be used for this,
    are refused before anything is written.
    """
    key = run.key("snapshot", source=run.source)
    entry = run.ledger.get(key)
    if entry is None:
        entry = run.record("snapshot", {"source": run.source, "snapshot": _freeze(run).to_dict()}, key)
    frozen = Snapshot.from_dict(entry.data["snapshot"])
    summary = {"snapshot": frozen.digest, "rows": frozen.rows, "columns": len(frozen.columns)}
    return Step(summary, _lineage(run, frozen))


def _lineage(run: Run, frozen: Snapshot) -> Lineage:
    known = facets.origin(run.spec, frozen)
    read = [replace(one, facets={**known, **one.facets}) for one in datasets.raw(run.source, run.spec.folder)]
    parts = {
        part: facets.frozen_part(run.spec, frozen, part, read) for part in (DATA, PROTECTED) if part in frozen.parts
    }
    wrote = [datasets.snapshot_named(run.model, frozen.digest, **parts[DATA])]
    wrote += datasets.protected_part(run.model, frozen, **parts.get(PROTECTED, {}))
    decision = run.ledger.get(run.request.decision) if run.request.decision else None
    return Lineage([*read, *([datasets.decided(run.model, decision.leaf)] if decision else [])], wrote)


def snapshot_of(run: Run) -> Snapshot:
    """Return the snapshot of this run, with what was erased of it since."""
    return as_kept(run.ledger, run.model, run.need("snapshot", source=run.source).data["snapshot"])


def rows_of(frozen: Snapshot, part: str = DATA) -> "pd.DataFrame":
    """Return the rows of one part for a step of the run that froze them: all of them, verified.

    Steps know rows by their position, and what one of them recorded another one uses.

    Raises:
        RefusedError: Rows were erased since.
        TamperedError: They are not what was frozen.
    """
    if frozen.missing:
        raise RefusedError(
            f"Expected all {frozen.rows:,} rows of snapshot {frozen.digest[:16]}…, found that {len(frozen.missing)} of "
            f"them were erased after this run froze it. Trigger a new run: it freezes what the source holds now."
        )
    return snapshots.load(frozen, part)


def groups_of(run: Run, frozen: Snapshot) -> dict[str, Any]:
    """Return the group of each row by protected attribute; none where the model concerns no persons."""
    if PROTECTED not in frozen.parts:
        return {}
    frame = derive(rows_of(frozen, PROTECTED), run.spec.protected)
    return {name: frame[name].to_numpy() for name in frame.columns}


def _freeze(run: Run) -> Snapshot:
    # A source named in the trigger form was reviewed by nobody: it may be a file of this model's, and nothing of it is
    # told in an error.
    reviewed = run.request.source is None
    frame = read_source(run.source, run.spec.folder, reviewed=reviewed, places=[_uploads(run)])
    _check_columns(run, list(frame.columns), reviewed)
    usable = data.usable(run.spec, frame, run.policy.personal_data, reviewed=reviewed)
    return snapshots.freeze(
        usable,
        model=run.model,
        root=run.settings.snapshots,
        protected_columns=run.spec.apart_columns,
        subject=run.spec.data.subject,
    )


def _check_columns(run: Run, found: Sequence[str], reviewed: bool) -> None:
    needed = [*run.spec.features, run.spec.target.column, *run.spec.apart_columns]
    missing = [column for column in needed if column not in found]
    if missing:
        there = f"Columns there: {', '.join(found[:80])}" if reviewed else f"It has {len(found)} columns"
        raise InputError(
            f"Expected {len(needed)} columns of model.yaml in {run.source}, found no {', '.join(missing)}. {there}."
        )


def _uploads(run: Run) -> Path:
    """Return the folder of files that runs of this model may name without a review: ``<root>/data/<model>``.

    One for each model, so that nobody reads another model's data with a run of his own. It stands outside of the
    model's folder because a file that is not committed there would block a release.
    """
    return run.settings.root / "data" / run.model
