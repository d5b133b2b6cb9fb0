"""A second version is held against the one that serves: on rows that the champion has not seen, and on its data.

Everything is real but the training: the models are brought in from MLflow, which is also where their files and
predictions lie, as the pipeline keeps them.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost

from governance import assessment
from governance.data import snapshots
from governance.ledger.log import Entry
from governance.pipeline.champion import champion_of, champion_release
from governance.pipeline.imported import import_candidate
from governance.pipeline.measure import Material, measure, measurements_of
from governance.pipeline.run import Request, Run
from tests.integration.serving.services_under_test import Service, mlflow_at, mlflow_server
from tests.unit.plugins.stand_in import LedgerInMemory
from tests.unit.release.permitted_world import MODEL, SAM, World, rows

READ = ["debt", "income", "age"]
NUMBERS = itertools.count(1)
COMPARED = ("performance.accuracy_change", "performance.roc_auc_change", "performance.brier_change")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    server = mlflow_server(tmp_path_factory.mktemp("mlflow"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def models(service: Service) -> dict[int, str]:
    """Number of trees → the URI of a model with so many."""
    import mlflow

    uris = {}
    with mlflow_at(service.url, "others"):
        for trees in (2, 30):
            fitted = xgboost.XGBClassifier(n_estimators=trees, n_jobs=1).fit(rows()[READ], rows()["approve"])
            with mlflow.start_run():
                uris[trees] = mlflow.xgboost.log_model(fitted, name="tiny", pip_requirements=["nothing"]).model_uri
    return uris


@pytest.fixture
def world(tmp_path: Path, service: Service) -> World:
    world = World.make(tmp_path / "checkout")
    key = world.settings.state / "keys" / "private" / "artifact.pem"
    return world.with_services(GOVERNANCE_MLFLOW_URL=service.url, GOVERNANCE_ARTIFACT_KEY=str(key))


@pytest.fixture
def ledger() -> LedgerInMemory:
    return LedgerInMemory()


@pytest.fixture
def begin(world: World, ledger: LedgerInMemory) -> Callable[..., tuple[Run, Entry]]:
    """Return a function: URI, data → a run with its snapshot and its candidate."""

    def begin(uri: str, frozen: snapshots.Snapshot | None = None) -> tuple[Run, Entry]:
        frozen = frozen or world.snapshot
        request, run_id = Request("A test needs it.", {}, None, "minor", SAM, uri), f"beside-{next(NUMBERS)}"
        whole = {"run_id": run_id, "request": request.to_dict()}
        ledger.append("run", MODEL, whole, actor=SAM, key=f"run:{MODEL}:{run_id}")
        run = Run(world.settings, ledger, world.spec, world.policy, world.people, run_id, request)
        said = {"run_id": run_id, "source": run.source, "snapshot": frozen.to_dict()}
        ledger.append("snapshot", MODEL, said, actor=SAM, key=f"snapshot:{run_id}")
        return run, import_candidate(run, frozen)

    return begin


@pytest.fixture
def release(ledger: LedgerInMemory) -> Callable[..., None]:
    """Return a function that records what judging and releasing record of a candidate."""

    def release(run: Run, candidate: Entry) -> None:
        measured = assessment.explainability(Material(run, candidate))
        document = {
            "artifact": candidate.data["artifact"],
            "data": {"snapshot": run.need("snapshot").data["snapshot"]["digest"]},
            "training": candidate.data["training"],
            "spec": {"task": run.spec.task},
            "code": {"commit": None},
            "measurements": [one.to_dict() for one in measured],
        }
        digest = candidate.data["manifest"]
        data = {"run_id": run.run_id, "digest": digest, "evidence": document}
        ledger.append("evidence", MODEL, data, actor=SAM, key=f"evidence:{run.run_id}")
        serves = {"run_id": run.run_id, "evidence": digest, "version": "1.0.0", "registry_version": 1}
        ledger.append("release", MODEL, serves, actor=SAM, key=f"release:{run.run_id}")

    return release


def changes(run: Run, candidate: Entry) -> dict[str, Any]:
    measure(run, 1, ["performance", "drift", "explainability"])
    found = [one for family in ("performance", "drift", "explainability") for one in measurements_of(run, 1, family)]
    return {one.name: one for one in found if not one.slice}


def frozen_with(world: World, frame: pd.DataFrame) -> snapshots.Snapshot:
    apart = sorted(set(world.spec.protected_columns))
    return snapshots.freeze(frame, model=MODEL, root=world.settings.snapshots, protected_columns=apart)


def test_the_first_version_has_nothing_to_be_compared_with(begin, models) -> None:
    run, candidate = begin(models[2])
    found = changes(run, candidate)
    for name in (*COMPARED, "drift.largest_ks", "drift.prediction_psi", "drift.importance_psi"):
        assert found[name].reason.startswith("not applicable: no champion")


def test_on_the_same_data_both_are_compared_on_the_rows_that_judged_both(begin, release, models) -> None:
    release(*begin(models[2]))
    run, candidate = begin(models[30])
    found = changes(run, candidate)
    assert found["performance.accuracy_change"].n == 200
    assert found["performance.accuracy_change"].value > 0
    assert found["performance.brier_change"].value < 0
    assert found["drift.largest_ks"].value == 0
    assert found["drift.prediction_psi"].value > 0
    assert found["drift.importance_psi"].value >= 0


@pytest.mark.slow
def test_on_other_data_the_champion_answers_only_for_rows_it_has_not_seen(begin, release, models, world) -> None:
    release(*begin(models[2]))
    more = pd.concat([rows(), rows(260).iloc[200:].assign(income=lambda frame: frame["income"] + 0.25)])
    run, candidate = begin(models[30], frozen_with(world, more.reset_index(drop=True)))
    champion = champion_of(run, Material(run, candidate).task, np.arange(260))
    assert champion.positions.tolist() == list(range(200, 260))
    assert champion.answers.shape == (60,)


def test_rows_are_known_again_where_a_whole_number_became_a_float(begin, release, models, world) -> None:
    """One missing value turns a column of whole numbers into floats; the rows are the same all the same."""
    release(*begin(models[2]))
    whole = rows().select_dtypes("int").columns.difference([world.spec.target.column, *world.spec.protected_columns])
    floats = pd.concat([rows().astype(dict.fromkeys(whole, float)), rows(201).iloc[200:]], ignore_index=True)
    run, candidate = begin(models[30], frozen_with(world, floats))
    assert len(champion_of(run, Material(run, candidate).task, np.arange(201)).positions) <= 1
    found = changes(run, candidate)["performance.accuracy_change"]
    assert found.value is None
    assert found.reason.startswith("not enough data: ")


def test_the_champion_is_the_one_that_served_when_the_run_began(begin, release, models) -> None:
    release(*begin(models[2]))
    run, candidate = begin(models[30])
    before = champion_release(run)
    release(run, candidate)
    assert champion_release(run) == before
