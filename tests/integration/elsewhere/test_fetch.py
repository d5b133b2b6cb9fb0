"""Fetching from a real MLflow: what a URI leads to, and what a worker fetches on behalf of somebody else."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from governance.errors import InputError, RefusedError, UnavailableError
from governance.training.fetch import Fetched, fetch_model
from tests.integration.elsewhere.conftest import Logged
from tests.integration.serving.services_under_test import mlflow_client


def fetched(uri: str, into: Path, logged: Logged, *, reviewed: bool = False) -> Fetched:
    return fetch_model(uri, into / "into", tracking_url=logged.url, reviewed=reviewed)


@pytest.mark.parametrize(
    ("uri", "exact"),
    [
        ("models:/credit/1", "models:/credit/1"),
        ("models:/credit@best", "models:/credit/1"),
        ("models:/credit/latest", "models:/credit/2"),
    ],
)
@pytest.mark.parametrize("reviewed", [True, False])
def test_a_version_and_an_alias_lead_to_the_files_of_one_version(
    logged: Logged, tmp_path: Path, uri: str, exact: str, reviewed: bool
) -> None:
    found = fetched(uri, tmp_path, logged, reviewed=reviewed)
    assert found.uri == exact
    assert {"MLmodel", "model.ubj"} <= {path.name for path in found.folder.iterdir()}


def test_a_run_and_a_logged_model_lead_to_their_files(logged: Logged, tmp_path: Path) -> None:
    by_run = fetched(f"runs:/{logged.run}/model", tmp_path / "a", logged)
    source = mlflow_client(logged.url).get_model_version("credit", "1").source
    assert source.startswith("models:/m-")
    by_id = fetched(source, tmp_path / "b", logged)
    assert (by_run.folder / "model.ubj").read_bytes() == (by_id.folder / "model.ubj").read_bytes()


def test_a_path_on_the_server_leads_to_its_files(logged: Logged, tmp_path: Path) -> None:
    client = mlflow_client(logged.url)
    model = client.get_model_version("credit", "1").source.removeprefix("models:/")
    location = client.get_logged_model(model).artifact_location
    assert location.startswith("mlflow-artifacts:/")
    assert (fetched(location, tmp_path, logged).folder / "model.ubj").is_file()


@pytest.mark.parametrize(
    "uri", ["models:/nobody/1", "models:/credit/99", "models:/credit@nobody", "models:/nobody/latest"]
)
def test_what_is_not_there_is_said_so(logged: Logged, tmp_path: Path, uri: str) -> None:
    with pytest.raises(InputError, match="Expected"):
        fetched(uri, tmp_path, logged)


@pytest.mark.parametrize("source", ["file:///etc", "/etc", "http://127.0.0.1:9/x", "mlflow-artifacts://127.0.0.1:9/x"])
def test_a_version_whose_files_are_said_to_be_elsewhere_is_not_fetched_for_somebody_else(
    logged: Logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """Whoever may write to MLflow chooses what it says; the worker's own disk is none of its business."""
    honest = mlflow_client(logged.url).get_model_version("credit", "1")
    honest._source = source
    monkeypatch.setattr(MlflowClient, "get_model_version", lambda *_: honest)
    with pytest.raises(RefusedError, match="nothing is read from this machine"):
        fetched("models:/credit/1", tmp_path, logged)
    assert not any((tmp_path / "into").iterdir())


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="to answer"):
        fetch_model("models:/credit/1", tmp_path, tracking_url="http://127.0.0.1:9", reviewed=True)
