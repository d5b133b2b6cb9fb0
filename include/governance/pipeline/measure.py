"""Measure some families of one attempt: facts for the judge, no limit in sight."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance import canonical
from governance.assessment import FAMILIES, Champion, Saved
from governance.catalog import ModelSpec
from governance.errors import InputError
from governance.keys import PublicKeys
from governance.ledger.log import Entry
from governance.measures.operations import REPEATS
from governance.pipeline import datasets, facets
from governance.pipeline.champion import champion_of, champion_release
from governance.pipeline.ingest import groups_of, rows_of, snapshot_of
from governance.pipeline.run import Run, Step
from governance.pipeline.train import candidate_of, fetch_artifact, fetch_out_of_fold
from governance.records import Lineage, Measurement
from governance.training.split import JUDGING
from governance.training.tasks import Task, task_of

if TYPE_CHECKING:
    import pandas as pd

    from governance.lineage.trace import Trace
    from governance.training.artifacts import LoadedModel

EXPLAINED_ROWS = 2000
"""How many rows are explained at most; the sample is drawn with the run's seed."""

BESIDE_CHAMPION = ("performance", "drift", "explainability")
"""The families that compare with the champion."""

LINEAGE = "lineage"
"""The family whose material are not rows, but what tasks said."""

READS_PROTECTED = ("fairness", "leakage", "robustness")
"""The families that look at protected attributes; lineage says it of no other."""


def measure(run: Run, attempt: int, families: Sequence[str]) -> Step:
    """Measure some families, each once for the same candidate, data and code."""
    candidate = candidate_of(run, attempt)
    material, measured = Material(run, candidate), {}
    for family in families:
        entry = _recorded(run, candidate, family)
        if entry is None or not _is_final(entry):
            found = FAMILIES[family](material)
            key = _key(run, candidate, family) + (f":{_digest(found)}" if family == LINEAGE else "")
            entry = run.record("measured", _data(attempt, family, candidate, found), key)
        measured[family] = entry
    numbers = {family: len(entry.data["measurements"]) for family, entry in measured.items()}
    return Step({"measured": numbers}, _lineage(run, candidate, measured))


def measured_entry(run: Run, attempt: int, family: str) -> Entry:
    """Return the entry of a family's measurements.

    Raises:
        InputError: The family was not measured for this candidate.
    """
    entry = _recorded(run, candidate_of(run, attempt), family)
    if entry is None:
        raise InputError(f"Expected {family} of attempt {attempt} to be measured, found nothing: clear its task.")
    return entry


def measurements_of(run: Run, attempt: int, family: str) -> list[Measurement]:
    """Return what was measured."""
    return [Measurement.from_dict(one) for one in measured_entry(run, attempt, family).data["measurements"]]


def _lineage(run: Run, candidate: Entry, measured: Mapping[str, Entry]) -> Lineage:
    """Rows and labels are the snapshot's, also where they come by way of the out-of-fold predictions."""
    families, frozen = list(measured), snapshot_of(run)
    read = [datasets.model_version(run.model, candidate.data["manifest"])]
    read.append(datasets.snapshot_named(run.model, frozen.digest))
    if set(READS_PROTECTED) & set(families):
        read += datasets.protected_part(run.model, frozen)
    release = champion_release(run) if set(BESIDE_CHAMPION) & set(families) else None
    if release is not None:
        read.append(datasets.endpoint(run.model, release.data["version"]))
    wrote = [datasets.measured(run.model, family, measured[family].leaf) for family in families]
    return Lineage(read, wrote, facets.training(run, candidate, _known(measured.values())))


def _known(measured: Iterable[Entry]) -> list[Measurement]:
    return [Measurement.from_dict(one) for entry in measured for one in entry.data["measurements"]]


def _recorded(run: Run, candidate: Entry, family: str) -> Entry | None:
    key = _key(run, candidate, family)
    if family != LINEAGE:
        return run.ledger.get(key)
    found = run.ledger.backwards("measured", run.model)
    return next((entry for entry in found if entry.key.startswith(f"{key}:")), None)


def _is_final(entry: Entry) -> bool:
    """Whether measuring again would find the same; of lineage only what was whole, for what was silent may speak."""
    return entry.data["family"] != LINEAGE or all(one.get("reason") is None for one in entry.data["measurements"])


def _digest(measured: Iterable[Measurement]) -> str:
    return canonical.digest([one.to_dict() for one in measured])[:24]


def _key(run: Run, candidate: Entry, family: str) -> str:
    release = champion_release(run) if family in BESIDE_CHAMPION else None
    champion = release.data["evidence"] if release else None
    return run.key("measured", family=family, candidate=candidate.leaf, code=run.code.digest, champion=champion)


def _data(attempt: int, family: str, candidate: Entry, measured: list[Measurement]) -> dict[str, Any]:
    return {
        "attempt": attempt,
        "family": family,
        "manifest": candidate.data["manifest"],
        "measurements": [one.to_dict() for one in measured],
    }


@dataclass
class Material:
    """What families measure on (:class:`governance.assessment.Material`): fetched and verified when first asked for."""

    run: Run
    candidate: Entry
    explained_rows: int = EXPLAINED_ROWS
    repeats: int = REPEATS

    @property
    def spec(self) -> ModelSpec:
        """The model's."""
        return self.run.spec

    @cached_property
    def task(self) -> Task:
        """What it answers."""
        return task_of(self.run.spec)

    @property
    def minimum_n(self) -> int:
        """The policy's."""
        return self.run.policy.minimum_n

    @property
    def seed(self) -> int:
        """The run's."""
        return self.run.seed

    @property
    def trained_here(self) -> bool:
        """Whether this pipeline trained it."""
        return str(self.candidate.data["training"].get("trained", "here")) == "here"

    @property
    def lock(self) -> Path:
        """The locked environment."""
        return self.run.settings.root / "requirements.txt"

    @property
    def advisories(self) -> Path | None:
        """Known vulnerabilities."""
        return self.run.settings.advisories

    @cached_property
    def features(self) -> "pd.DataFrame":
        """The columns that the model sees, shape (n, features)."""
        return rows_of(snapshot_of(self.run))[self.candidate.data["features"]]

    @cached_property
    def groups(self) -> dict[str, Any]:
        """Group of each row, by protected attribute."""
        return groups_of(self.run, snapshot_of(self.run))

    @cached_property
    def out_of_fold(self) -> "pd.DataFrame":
        """Row, repetition, label, scores and prediction of every repetition."""
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
        """Label of each row that judges."""
        return self.judged["label"].to_numpy()

    @property
    def scores(self) -> Any:
        """What was said of each row that judges."""
        return self.task.from_columns(self.judged)

    @property
    def predictions(self) -> Any:
        """What was answered for each row that judges."""
        return self.judged["prediction"].to_numpy()

    @property
    def gap(self) -> float:
        """How far the final bytes answer from what was measured."""
        return float(self.candidate.data["consistency"]["gap"])

    @cached_property
    def model(self) -> "LoadedModel":
        """The final bytes, verified and loaded."""
        from governance.training.artifacts import load_artifact

        with tempfile.TemporaryDirectory() as folder:
            artifact = fetch_artifact(self.run, self.candidate, Path(folder))
            return load_artifact(artifact, self.candidate.data["artifact"]["trusted_types"], self.run.keys)

    @cached_property
    def champion(self) -> Champion | None:
        """What served when the run began."""
        return champion_of(self.run, self.task, self.rows)

    @cached_property
    def lineage(self) -> "Trace":
        """The walk from the candidate back to raw data."""
        from governance.pipeline.traced import traced

        return traced(self.run, self.candidate)

    @contextmanager
    def saved(self) -> Iterator[Saved]:
        """The final bytes in a folder, for as long as the ``with`` lasts."""
        arguments = {
            "trusted_types": list(self.candidate.data["artifact"]["trusted_types"]),
            "public_keys": str(self.run.settings.public_keys),
        }
        with tempfile.TemporaryDirectory() as folder:
            yield Saved(fetch_artifact(self.run, self.candidate, Path(folder)), LOADER, arguments)


def load_for_timing(folder: Path, arguments: Mapping[str, Any]) -> Any:
    """Load a model as the scoring service would: verified first. Called in the process that is timed."""
    from governance.training.artifacts import load_artifact

    keys = PublicKeys.from_folder(Path(arguments["public_keys"]))
    return load_artifact(folder, arguments["trusted_types"], keys)


LOADER = f"{__name__}:load_for_timing"
