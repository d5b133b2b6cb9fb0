"""What MLflow gets: a run with parameters, metrics and files, and a version in its registry.

The signed model directory is uploaded as it is. ``log_model`` is not used: it would write files of its own, infer
requirements for 23 seconds, and leave a model that MLflow's loaders run without a permit.

A run and a version carry the key that the caller gives. The same key finds the same run and version again, so that a
task which is cleared and runs again registers nothing twice, and one that died half-way is completed.

Not guaranteed: anything about what MLflow holds. Whoever may write to it can change it; readers verify signature and
digest (:mod:`governance.training.artifacts`). Nor that two tasks with one key at the same moment make one version:
Airflow runs a task once at a time.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance import canonical
from governance.errors import InputError, UnavailableError
from governance.records import Measurement

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY_TAG = "governance.key"
MODEL_FOLDER = "model"
EVIDENCE_FILE = "evidence/evidence.json"
PING_SECONDS = 5.0
RETRIES = 2
"""Tries beside the first, of a request that a server which answered a moment ago does not answer."""
LONGEST_PARAM, LONGEST_TAG = 6000, 5000
BATCH = 100
"""Parameters in one request; MLflow takes no more."""


@dataclass(frozen=True)
class Registered:
    """Where MLflow keeps a candidate.

    Attributes:
        run_id: The MLflow run.
        version: The version in the registry, from 1.
        source: Where the model's files are.
        created: Whether this call made it, or it was there.
    """

    run_id: str
    version: int
    source: str
    created: bool


def log_candidate(
    url: str,
    *,
    model: str,
    key: str,
    artifact: Path,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    measurements: Iterable[Measurement] = (),
    files: Mapping[str, bytes] | None = None,
) -> Registered:
    """Record a candidate: one run in the model's experiment, one version in the registry.

    Args:
        url: MLflow's tracking server.
        model: The model's name; experiment and registered model are called so.
        key: What makes it the same candidate.
        artifact: The signed model directory.
        params: Parameters; nested ones become ``outer.inner``.
        tags: Of run and version: commit, dirty, lock, snapshot, seed …
        measurements: Logged as metrics.
        files: Further files of the run, by path.

    Raises:
        UnavailableError: MLflow does not answer; the same key completes it later.
        InputError: MLflow refuses what it was given.
    """
    with _client(url) as client:
        run = _run_of(client, model, key)
        if run.info.status != "FINISHED":
            _log_params(client, run, _flat(params))
            _log_metrics(client, run, measurements)
            client.log_artifacts(run.info.run_id, str(artifact), MODEL_FOLDER)
            _upload(client, run.info.run_id, files or {})
            for name, value in tags.items():
                client.set_tag(run.info.run_id, name, str(value)[:LONGEST_TAG])
            client.set_terminated(run.info.run_id, "FINISHED")
        return _version_of(client, model, key, run, tags)


def log_measurements(url: str, run_id: str, measurements: Iterable[Measurement]) -> None:
    """Add measurements to a run as metrics; the same ones again change nothing.

    Raises:
        UnavailableError: MLflow does not answer.
    """
    with _client(url) as client:
        _log_metrics(client, client.get_run(run_id), measurements)


def add_files(url: str, run_id: str, files: Mapping[str, bytes]) -> None:
    """Add files to a run, by path; one of the same path is replaced.

    Raises:
        UnavailableError: MLflow does not answer.
    """
    with _client(url) as client:
        _upload(client, run_id, files)


def keep_page(url: str, *, model: str, key: str, title: str, path: str, page: bytes) -> str:
    """Keep a page for people in a run of its own in the model's experiment, once for the same key.

    MLflow shows it in a sandboxed frame, so it must stand alone; it is kept as it was first given.

    Args:
        url: MLflow's tracking server.
        model: The experiment's name: the model's, or one of pages of their own.
        key: What makes it the same page.
        title: What people see the run called.
        path: Of the page in the run.
        page: The page.

    Returns:
        The address where a person opens it.

    Raises:
        UnavailableError: MLflow does not answer; the same key completes it later.
    """
    with _client(url) as client:
        info = _run_of(client, model, key).info
        if info.status != "FINISHED":
            client.set_tag(info.run_id, "mlflow.runName", title)
            _upload(client, info.run_id, {path: page})
            client.set_terminated(info.run_id, "FINISHED")
        return f"{url.rstrip('/')}/#/experiments/{info.experiment_id}/runs/{info.run_id}/artifacts/{path}"


def let_go_page(url: str, address: str) -> bool:
    """Delete a page that has to be kept no longer, and say so in its run; return whether it was still there.

    Args:
        url: MLflow's tracking server.
        address: Where the page is, as :func:`keep_page` returned it.

    Raises:
        UnavailableError: MLflow does not answer; doing it again is harmless.
        InputError: MLflow refuses it.
    """
    from mlflow.exceptions import RestException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    run_id, _, path = address.rpartition("/runs/")[2].partition("/artifacts/")
    with _client(url) as client:
        try:
            run = client.get_run(run_id)
        except RestException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # somebody has deleted the run itself
                return False
            raise
        if path not in {item.path for item in client.list_artifacts(run_id)}:
            return False
        repository: Any = get_artifact_repository(run.info.artifact_uri, tracking_uri=url)
        repository.delete_artifacts(path)
        client.set_tag(run_id, "mlflow.note.content", f"{path} was let go: it has to be kept no longer.")
        return True


def publish_evidence(
    url: str, *, model: str, registry_version: int, mlflow_run: str, evidence: Any, tags: Mapping[str, str]
) -> None:
    """Put the evidence beside the model's files, and tag version and run with what it says.

    Raises:
        UnavailableError: MLflow does not answer.
    """
    with _client(url) as client:
        _upload(client, mlflow_run, {EVIDENCE_FILE: canonical.to_bytes(evidence)})
        for name, value in tags.items():
            client.set_tag(mlflow_run, name, str(value)[:LONGEST_TAG])
            client.set_model_version_tag(model, str(registry_version), name, str(value)[:LONGEST_TAG])


def download(url: str, run_id: str, path: str, into: Path) -> Path:
    """Copy a file or folder of a run into ``into``, and return where it is. Nothing of it is verified.

    Raises:
        UnavailableError: MLflow does not answer, or has no such file.
    """
    into.mkdir(parents=True, exist_ok=True)
    with _client(url) as client:
        return Path(client.download_artifacts(run_id, path, str(into)))


def metric_name(measurement: Measurement) -> str:
    """Return a measurement's name as MLflow can hold it: ``fairness.selection_rate/race/Hispanic``."""
    parts = [measurement.name, *(part for pair in sorted(measurement.slice.items()) for part in pair)]
    return "/".join(re.sub(r"[^\w\-. ]", "_", part.replace("×", "x")) for part in parts)


def _run_of(client: "MlflowClient", model: str, key: str) -> Any:
    experiment = client.get_experiment_by_name(model) or _created_experiment(client, model)
    identity = experiment.experiment_id
    found = client.search_runs([identity], f"tags.`{KEY_TAG}` = '{_quoted(key)}'", order_by=["attributes.start_time"])
    return found[0] if found else client.create_run(identity, tags={KEY_TAG: key})


def _created_experiment(client: "MlflowClient", model: str) -> Any:
    with _already_there():
        client.create_experiment(model)
    return client.get_experiment_by_name(model)


@contextmanager
def _already_there() -> Iterator[None]:
    """Let another run of the model have made it a moment before."""
    from mlflow.exceptions import RestException

    try:
        yield
    except RestException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version_of(client: "MlflowClient", model: str, key: str, run: Any, tags: Mapping[str, str]) -> Registered:
    filter_ = f"name = '{model}' and tags.`{KEY_TAG}` = '{_quoted(key)}'"
    known = sorted(client.search_model_versions(filter_), key=lambda version: int(version.version))
    if known:
        return Registered(run.info.run_id, int(known[0].version), str(known[0].source), created=False)
    if not client.search_registered_models(f"name = '{model}'"):
        with _already_there():
            client.create_registered_model(model)
    source = f"{run.info.artifact_uri}/{MODEL_FOLDER}"
    carried = {KEY_TAG: key, **{name: str(value)[:LONGEST_TAG] for name, value in tags.items()}}
    made = client.create_model_version(model, source, run.info.run_id, tags=carried)
    return Registered(run.info.run_id, int(made.version), source, created=True)


def _quoted(key: str) -> str:
    if not re.fullmatch(r"[\w:./ -]{1,250}", key):
        raise InputError(f"Expected a key of letters, digits and `:./ -`, found {key!r}. Use a digest.")
    return key


def _log_params(client: "MlflowClient", run: Any, params: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    found = [Param(name, value[:LONGEST_PARAM]) for name, value in params.items()]
    for start in range(0, len(found), BATCH):
        client.log_batch(run.info.run_id, params=found[start : start + BATCH])


def _log_metrics(client: "MlflowClient", run: Any, measurements: Iterable[Measurement]) -> None:
    from mlflow.entities import Metric

    # The run's own start as time: the same measurements again are the same points, not new ones.
    found = [Metric(metric_name(m), m.value, run.info.start_time, 0) for m in measurements if m.value is not None]
    for start in range(0, len(found), BATCH):
        client.log_batch(run.info.run_id, metrics=found[start : start + BATCH])


def _upload(client: "MlflowClient", run_id: str, files: Mapping[str, bytes]) -> None:
    if not files:
        return
    with tempfile.TemporaryDirectory(prefix="governance-upload-") as folder:
        for path, body in files.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)
        client.log_artifacts(run_id, folder)


def _flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat


@contextmanager
def _client(url: str) -> Iterator["MlflowClient"]:
    """Yield a client; MLflow's and the network's errors become ours."""
    ping(url)
    import requests
    from mlflow.exceptions import MlflowException, RestException

    try:
        yield client_of(url)
    except RestException as error:
        answer: Any = error  # MLflow's functions have no types
        if answer.get_http_status_code() >= 500:
            raise _unavailable(url, error) from error
        raise InputError(f"Expected MLflow at {url} to take this, found: {_first_line(error)}") from error
    except (MlflowException, requests.RequestException) as error:
        raise _unavailable(url, error) from error


def client_of(url: str) -> "MlflowClient":
    """Return a client of one server, whatever the environment says; it draws no progress bars and gives up soon."""
    from mlflow import MlflowClient, environment_variables

    variables: Any = environment_variables  # MLflow's functions have no types
    if not variables.MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.is_set():
        variables.MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
    # Seven tries by default, for four minutes: whoever calls knows better when to try again.
    variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(RETRIES)
    return MlflowClient(tracking_uri=url, registry_uri=url)


def ping(url: str) -> None:
    """Ask whether it is there: MLflow's client itself tries for minutes before it gives up.

    Raises:
        UnavailableError: It is not.
    """
    import httpx

    try:
        httpx.get(f"{url}/health", timeout=PING_SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unavailable(url, error) from error


def _unavailable(url: str, error: Exception) -> UnavailableError:
    return UnavailableError(
        f"Expected MLflow at {url} to answer, found: {_first_line(error)}. Start it (`make up`), or correct "
        f"GOVERNANCE_MLFLOW_URL, and try again."
    )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0][:300]
