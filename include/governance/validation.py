"""``governance validate``: measurements and verdict for a model trained anywhere, without Airflow, ledger, signatures.

What a CI job runs before anybody asks for a release. The same contract, measures and policy as in the pipeline; the
model is judged on all rows of the spec's data (or of another file), as one that was not trained on them.

Not guaranteed: that it was not. Whoever trained it on these rows sees numbers that flatter, and should give data that
it has not seen. Nor that a model which passes here is released: the pipeline also judges provenance, and people sign.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.assessment import FAMILIES
from governance.catalog import ModelSpec
from governance.check import columns
from governance.errors import InputError
from governance.policy import Policy, Slices, judge, load_policy
from governance.records import Measurement, Verdict
from governance.rules.evaluate import evaluate_code_rules
from governance.settings import Settings
from governance.trial import Material, contract_of, measured_at_once, right_folder

if TYPE_CHECKING:
    import pandas as pd

    from governance.data.contracts import ContractResult
    from governance.training.fetch import Fetched
    from governance.training.imported import Imported

Json = dict[str, Any]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What is to be validated.

    Attributes:
        uri: Where the model is.
        tracking_url: MLflow's address; that of the settings by default.
        data: Another file than the spec's source.
        threshold: Another decision threshold than the model's own.
    """

    uri: str
    tracking_url: str | None = None
    data: Path | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class Validation:
    """What came of it.

    Attributes:
        model: The model's name.
        title: Its title.
        uri: The exact URI of what was judged.
        source: Flavour, file and digest of the model's file.
        data: Where the rows came from.
        rows: How many.
        threshold: Where it decides; ``None`` where nothing is decided by one.
        notes: What a reviewer should know.
        contract: What came of the contract.
        measurements: Everything that was measured, provenance aside; nothing where the data break the contract.
        verdict: The policy's word; ``None`` where the data break the contract.
        seconds: How long it took.
    """

    model: str
    title: str
    uri: str
    source: Mapping[str, str]
    data: str
    rows: int
    threshold: float | None
    notes: tuple[str, ...]
    contract: "ContractResult"
    measurements: tuple[Measurement, ...] = ()
    verdict: Verdict | None = None
    seconds: float = 0.0

    def to_dict(self) -> Json:
        """Return the JSON form."""
        contract = self.contract.to_dict()
        unmet = [one for one in contract.pop("expectations") if not one["success"]]
        return {
            "model": self.model,
            "model_uri": self.uri,
            "source": dict(self.source),
            "data": self.data,
            "rows": self.rows,
            "threshold": self.threshold,
            "notes": list(self.notes),
            "contract": {**contract, "expectations": len(self.contract.expectations), "unmet": unmet},
            "verdict": self.verdict.to_dict() if self.verdict else None,
            "measurements": [one.to_dict() for one in self.measurements],
            "seconds": round(self.seconds, 2),
        }


def run_validation(settings: Settings, name: str, asked: Asked, tell: Tell = lambda _: None) -> Validation:
    """Judge a model that was trained elsewhere.

    Args:
        settings: Where the model's folder and the policies are.
        name: The model that it is to become a version of.
        asked: Which model, and on which data.
        tell: Is told what is being done, for people who wait.

    Raises:
        FaultyFileError: The folder is not right; with every fault, as ``governance check`` finds them.
        InputError: The data or the model cannot be read, or do not fit the spec.
        RefusedError: The model is of no safe format, or holds what is not allowed.
        UnavailableError: MLflow does not answer.
    """
    started = time.monotonic()
    spec = right_folder(settings, name)
    policy = load_policy(spec.folder, settings.policies)
    # The model first: where there is none, nobody waits for the data and the contract.
    with fetched(settings, asked, tell) as files, ProcessPoolExecutor(1, get_context("spawn")) as beside:
        source, frame = read_rows(spec, asked.data, policy.personal_data, tell)
        checking = beside.submit(contract_of, spec, frame)
        imported = laid_beside(files, spec, frame, asked)
        found = Validation(
            name,
            spec.title,
            files.uri,
            imported.source,
            source,
            len(frame),
            imported.description.threshold,
            (*_seen_before(spec, asked), *imported.notes),
            checking.result(),
        )
    if found.contract.success:
        tell(f"Measuring {', '.join(FAMILIES)}")
        measured = measured_at_once(_material(settings, spec, policy, frame, imported))
        measured += evaluate_code_rules(policy, spec, measured)
        # Whatever the spec says of the model: this one was not trained here.
        slices = Slices.of(spec, {"trained": "elsewhere"})
        verdict = judge(policy, slices, measured, provenance=False)
        found = replace(found, measurements=tuple(measured), verdict=verdict)
    return replace(found, seconds=time.monotonic() - started)


@contextmanager
def fetched(settings: Settings, asked: Asked, tell: Tell, *, reviewed: bool = True) -> Iterator["Fetched"]:
    """Fetch a model's files, and keep them for as long as the ``with`` lasts."""
    from governance.training.fetch import fetch_model

    tell(f"Fetching {asked.uri}")
    with tempfile.TemporaryDirectory(prefix="governance-import-") as folder:
        tracking_url = asked.tracking_url or settings.mlflow_url
        yield fetch_model(asked.uri, Path(folder), tracking_url=tracking_url, reviewed=reviewed)


def laid_beside(files: "Fetched", spec: ModelSpec, frame: "pd.DataFrame", asked: Asked) -> "Imported":
    """Open a fetched model, and lay it beside its spec.

    Raises:
        InputError: It does not fit the spec.
        RefusedError: It is of no safe format, or holds what is not allowed.
    """
    from governance.training.imported import import_model

    imported = import_model(files.folder, spec, frame[list(spec.features)])
    if asked.threshold is None:
        return imported
    if imported.description.threshold is None:
        raise InputError(f"{spec.name} decides nothing by a threshold ({spec.task}). Leave --threshold out.")
    return imported.at(asked.threshold)


def read_rows(spec: ModelSpec, data: Path | None, how: str, tell: Tell) -> tuple[str, "pd.DataFrame"]:
    """Return where the rows come from, and the rows; ``how`` is what the policy demands of personal data.

    Raises:
        FaultyFileError: A column that the folder names is not there, or no model can be judged on these rows.
        InputError: The data cannot be read.
    """
    from governance.data.sources import read_source

    source, folder = (spec.data.source, spec.folder) if data is None else (data.name, data.absolute().parent)
    tell(f"Reading {source if data is None else data}")
    return source, columns.accepted(spec, read_source(source, folder), how)


def _seen_before(spec: ModelSpec, asked: Asked) -> list[str]:
    """Say what the numbers are worth where the rows may be those that trained the model."""
    if asked.data is not None:
        return []
    return [
        f"Judged on {spec.data.source}. Where the model was trained on these rows, every number of its performance is "
        f"too good and proves nothing: give rows that it has not seen, with --data."
    ]


def _material(
    settings: Settings, spec: ModelSpec, policy: Policy, frame: "pd.DataFrame", imported: "Imported"
) -> Material:
    import numpy as np

    from governance.data.protected import derive
    from governance.training.artifacts import LoadedModel, with_threshold
    from governance.training.tasks import task_of

    task, described = task_of(spec), imported.description
    features = frame[described.columns]
    estimator = with_threshold(imported.estimator, described.threshold, task)
    model = LoadedModel(described, imported.source["digest"], estimator)
    scores, groups = model.score(features), derive(frame, spec.protected)
    return Material(
        spec=spec,
        task=task,
        minimum_n=policy.minimum_n,
        seed=spec.training.seed,
        features=features,
        groups={attribute: groups[attribute].to_numpy() for attribute in groups.columns},
        rows=np.arange(len(frame)),
        labels=task.labels(frame[spec.target.column]),
        scores=scores,
        predictions=task.decide(scores, described.threshold),
        model=model,
        fitted=imported.estimator,
        lock=settings.root / "requirements.txt",
        advisories=settings.advisories,
        trained_here=False,
    )
