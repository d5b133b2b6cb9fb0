"""Measure one family of one attempt: facts for the judge, no limit in sight."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.data import snapshots
from governance.data.protected import derive
from governance.errors import InputError
from governance.keys import PublicKeys
from governance.ledger.log import Entry
from governance.pipeline import datasets
from governance.pipeline.ingest import snapshot_of
from governance.pipeline.run import Run, Step
from governance.pipeline.train import candidate_of, fetch_artifact, fetch_out_of_fold
from governance.records import Lineage, Measurement
from governance.training.split import JUDGING

if TYPE_CHECKING:
    import pandas as pd

EXPLAINED_ROWS = 5000
"""How many rows are explained at most; the sample is drawn with the run's seed."""

READS_PROTECTED = ("fairness",)
"""The families that look at protected attributes; lineage says it of no other."""


def measure(run: Run, attempt: int, family: str) -> Step:
    """Measure a family, once for the same candidate, data and code."""
    candidate = candidate_of(run, attempt)
    key = _key(run, candidate, family)
    entry = run.ledger.get(key)
    if entry is None:
        measured = FAMILIES[family](Material(run, candidate))
        entry = run.record("measured", _data(attempt, family, candidate, measured), key)
    return Step({"measured": len(entry.data["measurements"])}, _lineage(run, candidate, family))


def measured_entry(run: Run, attempt: int, family: str) -> Entry:
    """Return the entry of a family's measurements.

    Raises:
        InputError: The family was not measured for this candidate.
    """
    candidate = candidate_of(run, attempt)
    entry = run.ledger.get(_key(run, candidate, family))
    if entry is None:
        raise InputError(f"Expected {family} of attempt {attempt} to be measured, found nothing: clear its task.")
    return entry


def measurements_of(run: Run, attempt: int, family: str) -> list[Measurement]:
    """Return what was measured."""
    return [Measurement.from_dict(one) for one in measured_entry(run, attempt, family).data["measurements"]]


def _lineage(run: Run, candidate: Entry, family: str) -> Lineage:
    """Rows and labels are the snapshot's, also where they come by way of the out-of-fold predictions."""
    frozen = snapshot_of(run)
    read = [datasets.model_version(run.model, candidate.data["manifest"])]
    read.append(datasets.snapshot_named(run.model, frozen.digest))
    if family in READS_PROTECTED:
        read += datasets.protected_part(run.model, frozen)
    return Lineage(read, [datasets.measured(run.model, family)])


def _key(run: Run, candidate: Entry, family: str) -> str:
    return run.key("measured", family=family, candidate=candidate.leaf, code=run.code.digest)


def _data(attempt: int, family: str, candidate: Entry, measured: list[Measurement]) -> dict[str, Any]:
    return {
        "attempt": attempt,
        "family": family,
        "manifest": candidate.data["manifest"],
        "measurements": [one.to_dict() for one in measured],
    }


@dataclass
class Material:
    """What families measure on; each part is fetched and verified when it is first asked for."""

    run: Run
    candidate: Entry

    @cached_property
    def data(self) -> "pd.DataFrame":
        """The snapshot without the protected columns, shape (rows, columns)."""
        return snapshots.load(snapshot_of(self.run), "data")

    @cached_property
    def groups(self) -> dict[str, Any]:
        """Group of each row, by protected attribute."""
        frame = derive(snapshots.load(snapshot_of(self.run), "protected"), self.run.spec.protected)
        return {name: frame[name].to_numpy() for name in frame.columns}

    @cached_property
    def out_of_fold(self) -> "pd.DataFrame":
        """Row, repetition, label, score and prediction of every repetition."""
        return fetch_out_of_fold(self.run, self.candidate)

    @cached_property
    def judged(self) -> "pd.DataFrame":
        """The predictions that judge, by row."""
        return self.out_of_fold[self.out_of_fold["repetition"] == JUDGING].sort_values("row")

    @property
    def rows(self) -> Any:
        """Positions of the rows that judge."""
        return self.judged["row"].to_numpy()

    @property
    def labels(self) -> Any:
        """1 where the outcome was the favourable one, of each row that judges."""
        return self.judged["label"].to_numpy()

    @property
    def scores(self) -> Any:
        """Score of each row that judges."""
        return self.judged["score"].to_numpy()

    @property
    def predictions(self) -> Any:
        """1 where the score reaches the decision threshold."""
        return self.judged["prediction"].to_numpy()

    @property
    def features(self) -> "pd.DataFrame":
        """The columns that the model sees."""
        return self.data[self.candidate.data["features"]]


def performance(material: Material) -> list[Measurement]:
    """How well the candidate predicts."""
    from governance.measures.performance import measure_performance

    return [*measure_performance(material.labels, material.predictions, material.scores), _gap(material)]


def _gap(material: Material) -> Measurement:
    """How far the released bytes decide from what was measured, in selection rate (§10.8)."""
    rates = material.candidate.data["consistency"]
    return Measurement(
        "performance.final_selection_gap", abs(rates["final"] - rates["measured"]), len(material.rows), method="counted"
    )


def fairness(material: Material) -> list[Measurement]:
    """How it treats groups and intersections."""
    from governance.measures.fairness import measure_fairness

    return measure_fairness(
        material.labels,
        material.predictions,
        {name: groups[material.rows] for name, groups in material.groups.items()},
        [tuple(names) for names in material.run.spec.intersections],
        minimum_n=material.run.policy.minimum_n,
    )


def explainability(material: Material) -> list[Measurement]:
    """What drives the final model's predictions."""
    from governance.measures.explainability import measure_explainability
    from governance.training.artifacts import load_artifact

    with tempfile.TemporaryDirectory() as folder:
        artifact = fetch_artifact(material.run, material.candidate, Path(folder))
        model = load_artifact(artifact, material.run.spec.training.trusted_types, material.run.keys)
        return measure_explainability(
            model.estimator, material.features, material.features, limit_rows=EXPLAINED_ROWS, seed=material.run.seed
        )


def operations(material: Material) -> list[Measurement]:
    """How fast the final bytes answer, in a fresh process."""
    from governance.measures.operations import measure_latency

    with tempfile.TemporaryDirectory() as folder:
        artifact = fetch_artifact(material.run, material.candidate, Path(folder))
        arguments = {
            "trusted_types": list(material.run.spec.training.trusted_types),
            "public_keys": str(material.run.settings.public_keys),
        }
        return measure_latency(artifact, LOADER, material.features.iloc[:1], arguments=arguments)


def load_for_timing(folder: Path, arguments: Mapping[str, Any]) -> Any:
    """Load a model as the scoring service would: verified first. Called in the process that is timed."""
    from governance.training.artifacts import load_artifact

    keys = PublicKeys.from_folder(Path(arguments["public_keys"]))
    return load_artifact(folder, arguments["trusted_types"], keys)


LOADER = f"{__name__}:load_for_timing"

FAMILIES: dict[str, Callable[[Material], list[Measurement]]] = {
    "performance": performance,
    "fairness": fairness,
    "explainability": explainability,
    "operations": operations,
}
