"""MLflow gets a run and a version once, whatever is cleared and run again."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from mlflow import MlflowClient
from mlflow.models import Model

from governance.errors import InputError, UnavailableError
from governance.records import Measurement
from governance.training import tracking

pytestmark = pytest.mark.integration

MEASUREMENTS = [
    Measurement("performance.accuracy", 0.92, 1989),
    Measurement("fairness.selection_rate", 0.74, 197, {"race": "Black"}),
    Measurement("fairness.demographic_parity_difference", 0.2, 1989, {"attribute": "race × sex"}),
    Measurement("fairness.precision", None, 0, {"race": "none"}, reason="there are no rows"),
]


@pytest.fixture
def client(mlflow_url: str) -> MlflowClient:
    return MlflowClient(tracking_uri=mlflow_url, registry_uri=mlflow_url)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "model.skops").write_bytes(b"skops")
    (folder / "MLmodel").write_text(
        "flavors: {governance: {data: model.skops}}\n"
        'signature: {inputs: \'[{"type": "long", "name": "income", "required": true}]\', outputs: null, params: null}\n'
    )
    return folder


@pytest.fixture
def log(mlflow_url: str, artifact: Path) -> Callable[..., tracking.Registered]:
    model = f"loan_{uuid4().hex[:8]}"

    def logged(key: str = "run-1", **more: object) -> tracking.Registered:
        given = {
            "model": model,
            "params": {"algorithm": "boosting", "nested": {"depth": 3}},
            "tags": {"governance.commit": "5694d08", "governance.dirty": "false"},
            "measurements": MEASUREMENTS,
            **more,
        }
        return tracking.log_candidate(mlflow_url, key=key, artifact=artifact, **given)

    logged.model = model
    return logged


def test_a_candidate_is_a_run_in_the_models_experiment_with_parameters_metrics_and_tags(log, client: MlflowClient):
    run = client.get_run(log().run_id)
    assert client.get_experiment(run.info.experiment_id).name == log.model
    assert run.info.status == "FINISHED"
    assert run.data.params == {"algorithm": "boosting", "nested.depth": "3"}
    assert run.data.tags["governance.commit"] == "5694d08"
    assert run.data.metrics == {
        "performance.accuracy": 0.92,
        "fairness.selection_rate/race/Black": 0.74,
        "fairness.demographic_parity_difference/attribute/race x sex": 0.2,
    }


def test_a_candidate_is_a_version_whose_source_is_the_signed_folder(log, client: MlflowClient, artifact: Path):
    registered = log()
    version = client.get_model_version(log.model, str(registered.version))
    assert (registered.version, registered.created, version.run_id) == (1, True, registered.run_id)
    assert version.tags["governance.commit"] == "5694d08"
    assert version.source == registered.source
    assert sorted(Path(item.path).name for item in client.list_artifacts(registered.run_id, "model")) == sorted(
        path.name for path in artifact.iterdir()
    )


def test_the_same_key_twice_is_the_same_run_and_version(log, client: MlflowClient):
    first, again = log(), log()
    assert (again.run_id, again.version, again.created) == (first.run_id, first.version, False)
    assert len(client.search_model_versions(f"name = '{log.model}'")) == 1


def test_another_key_is_another_version(log):
    assert [log("run-1").version, log("run-2").version] == [1, 2]


def test_a_run_that_died_before_it_was_finished_is_completed(log, client: MlflowClient):
    experiment = client.create_experiment(log.model)
    started = client.create_run(experiment, tags={tracking.KEY_TAG: "run-1"})
    client.log_param(started.info.run_id, "algorithm", "boosting")
    registered = log()
    assert registered.run_id == started.info.run_id
    assert client.get_run(registered.run_id).data.params["nested.depth"] == "3"


def test_a_run_that_died_before_it_was_registered_is_registered(log, client: MlflowClient):
    first = log()
    client.delete_model_version(log.model, str(first.version))
    again = log()
    assert (again.run_id, again.created) == (first.run_id, True)


def test_the_same_measurements_again_add_no_points(log, mlflow_url: str, client: MlflowClient):
    registered = log()
    for _ in range(2):
        tracking.log_measurements(mlflow_url, registered.run_id, MEASUREMENTS)
    assert len(client.get_metric_history(registered.run_id, "performance.accuracy")) == 1


def test_many_measurements_and_parameters_fit(log, client: MlflowClient):
    many = [Measurement("drift.psi", i / 1000, 1, {"column": f"c{i}"}) for i in range(250)]
    registered = log(measurements=many, params={f"p{i}": i for i in range(150)})
    assert len(client.get_run(registered.run_id).data.metrics) == 250
    assert len(client.get_run(registered.run_id).data.params) == 150


def test_what_was_logged_comes_back_byte_for_byte(log, mlflow_url: str, artifact: Path, tmp_path: Path):
    registered = log(files={"evaluation/scores.parquet": b"PAR1"})
    folder = tracking.download(mlflow_url, registered.run_id, "model", tmp_path / "into")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {p.name: p.read_bytes() for p in artifact.iterdir()}
    file = tracking.download(mlflow_url, registered.run_id, "evaluation/scores.parquet", tmp_path / "file")
    assert file.read_bytes() == b"PAR1"


def test_mlflow_finds_the_signature_of_the_version(log, mlflow_url: str, tmp_path: Path):
    folder = tracking.download(mlflow_url, log().run_id, "model", tmp_path / "into")
    assert Model.load(folder / "MLmodel").signature.inputs.input_names() == ["income"]


def test_evidence_stands_beside_the_files_and_its_tags_on_run_and_version(
    log, mlflow_url: str, client: MlflowClient, tmp_path: Path
):
    registered = log()
    tracking.publish_evidence(
        mlflow_url,
        model=log.model,
        registry_version=registered.version,
        mlflow_run=registered.run_id,
        evidence={"b": 1, "a": [2]},
        tags={"governance.verdict": "block"},
    )
    file = tracking.download(mlflow_url, registered.run_id, tracking.EVIDENCE_FILE, tmp_path)
    assert file.read_bytes() == b'{"a":[2],"b":1}'
    assert client.get_run(registered.run_id).data.tags["governance.verdict"] == "block"
    assert client.get_model_version(log.model, str(registered.version)).tags["governance.verdict"] == "block"


def test_files_are_added_and_replaced(log, mlflow_url: str, tmp_path: Path):
    registered = log()
    for body in (b"first", b"second"):
        tracking.add_files(mlflow_url, registered.run_id, {"model_card/card.md": body})
    assert tracking.download(mlflow_url, registered.run_id, "model_card/card.md", tmp_path).read_bytes() == b"second"


def test_a_file_that_is_not_there_is_an_error_and_not_an_empty_folder(log, mlflow_url: str, tmp_path: Path):
    with pytest.raises((InputError, UnavailableError)):
        tracking.download(mlflow_url, log().run_id, "nothing/here.txt", tmp_path)


def test_a_key_that_could_break_out_of_the_filter_is_refused(log):
    with pytest.raises(InputError, match="Expected a key of letters"):
        log("x' or tags.a = 'b")


def test_an_mlflow_that_does_not_answer_is_told_at_once(artifact: Path):
    with pytest.raises(UnavailableError, match=r"Expected MLflow at http://127\.0\.0\.1:9 to answer"):
        tracking.log_candidate("http://127.0.0.1:9", model="m", key="k", artifact=artifact, params={}, tags={})


def test_metric_names_hold_only_what_mlflow_takes():
    name = tracking.metric_name(Measurement("fairness.x", 1.0, 1, {"race": "a=b (c)", "attribute": "race × sex"}))
    assert name == "fairness.x/attribute/race x sex/race/a_b _c_"
    assert json.dumps(name)
