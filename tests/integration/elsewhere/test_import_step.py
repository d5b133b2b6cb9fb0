"""A run that names a model: fetched, signed and registered in place of training, once."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from governance.errors import InputError, RefusedError
from governance.ledger.log import Entry
from governance.pipeline.imported import import_candidate, imports
from governance.pipeline.run import Request, Run, open_run
from governance.pipeline.train import fetch_artifact, fetch_out_of_fold
from governance.training.artifacts import load_artifact
from tests.integration.serving.services_under_test import Service, mlflow_at, mlflow_client
from tests.unit.plugins.stand_in import LedgerInMemory
from tests.unit.release.permitted_world import MODEL, SAM, World, rows

NUMBERS = itertools.count(1)
READ = ["debt", "income", "age"]


def foreign() -> Any:
    return xgboost.XGBClassifier(n_estimators=15, n_jobs=1).fit(rows()[READ], rows()["approve"])


@pytest.fixture(scope="session")
def uri(mlflow_service: Service) -> str:
    import mlflow

    with mlflow_at(mlflow_service.url, "others"), mlflow.start_run():
        logged = mlflow.xgboost.log_model(
            foreign(), name="tiny", pip_requirements=["nothing"], metadata={"threshold": 0.3}
        )
    return str(logged.model_uri)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.make(tmp_path / "checkout")


@pytest.fixture
def run_of(world: World, mlflow_service: Service) -> Callable[..., Run]:
    """Return a function: what was asked → a run, up to the step before training."""

    def begin(model_uri: str | None, **parameters: Any) -> Run:
        key = world.settings.state / "keys" / "private" / "artifact.pem"
        here = world.with_services(GOVERNANCE_MLFLOW_URL=mlflow_service.url, GOVERNANCE_ARTIFACT_KEY=str(key))
        ledger = LedgerInMemory()
        request = Request("A test needs it.", parameters, None, "minor", SAM, model_uri)
        run_id = f"run-{next(NUMBERS)}"  # MLflow is shared, and finds a run again by its name
        whole = {"run_id": run_id, "request": request.to_dict()}
        ledger.append("run", MODEL, whole, actor=SAM, key=f"run:{MODEL}:{run_id}")
        frozen = {"run_id": run_id, "source": "csv:tiny.csv", "snapshot": here.snapshot.to_dict()}
        ledger.append("snapshot", MODEL, frozen, actor=SAM, key=f"snapshot:{run_id}")
        return Run(here.settings, ledger, here.spec, here.policy, here.people, run_id, request)

    return begin


@pytest.fixture
def brought(run_of: Callable[..., Run], world: World, uri: str) -> tuple[Run, Entry]:
    run = run_of(uri)
    return run, import_candidate(run, world.snapshot)


def test_it_becomes_a_candidate_that_says_where_it_came_from(brought: tuple[Run, Entry], uri: str) -> None:
    training = brought[1].data["training"]
    assert (training["trained"], training["model_uri"], training["threshold"]) == ("elsewhere", uri, 0.3)
    assert training["source"]["flavour"] == "xgboost"
    assert len(training["source"]["digest"]) == 64
    assert training["dropped"] == ["kind"]
    assert training["evaluation"]["method"] == "all_rows"
    assert brought[1].data["features"] == READ
    json.dumps(brought[1].data, allow_nan=False)


def test_its_signed_files_say_what_it_said_elsewhere(brought: tuple[Run, Entry], tmp_path: Path) -> None:
    run, entry = brought
    folder = fetch_artifact(run, entry, tmp_path / "files")
    model = load_artifact(folder, run.spec.training.trusted_types, run.keys, entry.data["manifest"])
    np.testing.assert_array_equal(model.score(rows()), foreign().predict_proba(rows()[READ])[:, 1])
    assert model.description.threshold == 0.3
    assert (folder / "model.ubj").is_file()
    assert not (folder / "requirements.txt").exists(), "nothing of the foreign folder but the model's file"


def test_it_is_judged_on_all_rows_as_the_bytes_answer(brought: tuple[Run, Entry]) -> None:
    judged = fetch_out_of_fold(*brought)
    assert judged["row"].tolist() == list(range(200))
    assert set(judged["repetition"]) == {0}
    np.testing.assert_array_equal(judged["label"], rows()["approve"])
    np.testing.assert_array_equal(judged["prediction"], (judged["score"] >= 0.3).astype(int))
    assert brought[1].data["consistency"]["gap"] == 0


def test_a_task_that_runs_again_registers_nothing_twice(brought: tuple[Run, Entry], world: World) -> None:
    run, entry = brought
    again = import_candidate(run, world.snapshot)
    assert again.seq == entry.seq
    client = mlflow_client(run.settings.mlflow_url)
    found = [one for one in client.search_model_versions(f"name = '{MODEL}'") if one.run_id == entry.data["mlflow_run"]]
    assert len(found) == 1
    assert found[0].tags["governance.trained"] == "elsewhere"


def test_the_threshold_is_the_run_s_where_it_names_one(run_of: Callable[..., Run], world: World, uri: str) -> None:
    entry = import_candidate(run_of(uri, threshold=0.6), world.snapshot)
    assert entry.data["training"]["threshold"] == 0.6
    with pytest.raises(InputError, match="a number from 0 to 1"):
        import_candidate(run_of(uri, threshold="high"), world.snapshot)


@pytest.mark.parametrize("elsewhere", ["/etc", "file:///etc/passwd", "s3://bucket/model"])
def test_a_worker_reads_nothing_but_the_configured_server(
    run_of: Callable[..., Run], world: World, elsewhere: str
) -> None:
    run = run_of(elsewhere)
    with pytest.raises(RefusedError, match="may not read through it"):
        import_candidate(run, world.snapshot)
    assert run.last("candidate") is None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"model_uri": "/etc/passwd"}, "may not read through it"),
        ({"model_uri": "models:/credit/1", "parameters": {"max_iter": 3}}, "no training parameter"),
    ],
)
def test_a_request_that_is_not_right_is_refused_before_anything_is_recorded(
    world: World, asked: dict[str, Any], said: str
) -> None:
    ledger = LedgerInMemory()
    with pytest.raises((InputError, RefusedError), match=said):
        open_run(world.settings, ledger, MODEL, "run-1", {"reason": "A test needs it.", **asked}, "sam")
    assert ledger.entries == []


def test_a_model_that_is_trained_elsewhere_needs_to_be_named(run_of: Callable[..., Run], world: World) -> None:
    path = world.spec.folder / "model.yaml"
    assert imports(run_of("models:/credit/1"))
    assert not imports(run_of(None))
    path.write_text(path.read_text() + "trained: elsewhere\n")
    with pytest.raises(InputError, match="governance register"):
        imports(run_of(None))
