"""Fetching a model that was trained elsewhere: by an MLflow URI, or from a folder or file on this machine.

What may be fetched depends on who asks. A person at a command line may name what they can read themselves: MLflow,
``s3://``, a folder. A line that was typed into a form is fetched by a worker with the worker's rights, so it names a
model of the configured MLflow server and nothing else, and what the server says the model's files are must be with
that server or in its object store, never on the worker's own disk.

Files are fetched, and nothing of them is run: ``mlflow``'s own loaders are never called.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from governance.errors import GovernanceError, InputError, RefusedError, UnavailableError
from governance.training import tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

SERVED = ("models", "runs", "mlflow-artifacts")
"""Schemes of what an MLflow server keeps."""

STORES = ("s3", "gs", "abfss", "wasbs", "oss")
"""Schemes of object stores that a server may keep its files in."""

EXAMPLES = "models:/NAME/VERSION, models:/NAME@ALIAS or runs:/RUN/model"
NAMED = re.compile(r"models:/+(?P<name>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))")
LOGGED = re.compile(r"models:/+(?P<id>m-[0-9a-f]+)")
OF_RUN = re.compile(r"runs:/+(?P<run>[0-9a-zA-Z]+)/(?P<path>.+)")
LARGEST = 4 * 1024**3


@dataclass(frozen=True)
class Fetched:
    """A model's files on this machine.

    Attributes:
        folder: Where they are.
        uri: Where they came from: an alias or ``latest`` has become the version that it meant.
    """

    folder: Path
    uri: str


def fetch_model(uri: str, into: Path, *, tracking_url: str | None, reviewed: bool) -> Fetched:
    """Copy a model's files into a folder.

    Args:
        uri: ``models:/name/version``, ``models:/name@alias``, ``runs:/run/path``, ``mlflow-artifacts:/path``; of a
            person at a command line also ``s3://…``, ``file:…`` and the path of a folder or file.
        into: A folder of its own.
        tracking_url: MLflow's tracking server, or the address of its store.
        reviewed: Whether whoever asks may read what this process may read.

    Raises:
        InputError: There is no such model, or the URI is not one.
        RefusedError: The URI names what may not be fetched on behalf of the one who asks.
        UnavailableError: MLflow does not answer.
    """
    scheme = urlsplit(uri).scheme if ":" in uri.partition("/")[0] else ""
    into.mkdir(parents=True, exist_ok=True)
    if not reviewed:
        require_form(uri)
    if scheme in SERVED:
        return _served(uri, into, tracking_url, reviewed)
    if scheme in STORES:
        with _explained("the object store", uri):
            return Fetched(_download(uri, into, tracking_url), uri)
    if scheme in ("", "file"):
        return Fetched(_copied(uri, into), uri)
    raise InputError(f"Expected {EXAMPLES}, s3://… or a folder, found {uri}.")


def require_form(uri: str) -> None:
    """Refuse a URI that a worker would not fetch on behalf of somebody else, whatever it leads to.

    Raises:
        RefusedError: It names anything but a model of an MLflow server.
    """
    if not (NAMED.fullmatch(uri) or LOGGED.fullmatch(uri) or OF_RUN.fullmatch(uri) or _artifact(uri)):
        raise RefusedError(
            f"Expected a model of the configured MLflow server ({EXAMPLES}), found {uri}: who may trigger a run may "
            f"not read through it what the worker may read. Log the model there, and give its URI."
        )


def _artifact(uri: str) -> bool:
    """Say whether this is a path on the configured server; with two slashes it would name another one."""
    return bool(re.fullmatch(r"mlflow-artifacts:/[^/].*", uri)) and ".." not in unquote(uri).split("/")


def _copied(uri: str, into: Path) -> Path:
    """Copy regular files of one level, without following links."""
    path = Path(unquote(urlsplit(uri).path) if uri.startswith("file:") else uri).expanduser()
    if not path.exists():
        raise InputError(f"Expected a model at {path}, found nothing there. Give a folder, a file, or {EXAMPLES}.")
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file() and not file.is_symlink():
            _require_size(file.stat().st_size, uri)
            shutil.copyfile(file, into / file.name)
    return into


def _served(uri: str, into: Path, tracking_url: str | None, reviewed: bool) -> Fetched:
    if tracking_url is None:
        raise InputError(
            f"Expected the address of MLflow, which {uri} needs, found none. Set GOVERNANCE_MLFLOW_URL, or give "
            f"--tracking-url."
        )
    with _answering(tracking_url, uri) as client:
        exact, place = _place(client, uri)
        if not reviewed:
            _require_served(uri, place)
        return Fetched(_download(place, into, tracking_url), exact)


def _place(client: "MlflowClient", uri: str) -> tuple[str, str]:
    """Return the exact URI, and where MLflow says that the files are.

    MLflow's own download looks some of this up at whatever server the process is set to, not at the one that is asked.
    """
    if logged := LOGGED.fullmatch(uri):
        return uri, client.get_logged_model(logged["id"]).artifact_location
    if named := NAMED.fullmatch(uri):
        version = _version(client, named)
        source = str(version.source)
        by_name = LOGGED.fullmatch(source) or OF_RUN.fullmatch(source)
        exact = f"models:/{named['name']}/{version.version}"
        return exact, _place(client, source)[1] if by_name else source
    if run := OF_RUN.fullmatch(uri):
        return uri, _of_run(client, run["run"], run["path"].strip("/"))
    if _artifact(uri):
        return uri, uri
    raise InputError(f"Expected {EXAMPLES}, found {uri}.")


def _of_run(client: "MlflowClient", run_id: str, path: str) -> str:
    """Return where a run's model is: among its logged models by name, else among its files."""
    run = client.get_run(run_id)
    for output in getattr(run.outputs, "model_outputs", None) or []:
        model = client.get_logged_model(output.model_id)
        if model.name == path:
            return str(model.artifact_location)
    if ".." in unquote(path).split("/"):
        raise InputError(f"Expected a path among the files of the run {run_id}, found {path}.")
    return f"{str(run.info.artifact_uri).rstrip('/')}/{path}"


def _version(client: "MlflowClient", named: re.Match[str]) -> Any:
    if named["alias"]:
        return client.get_model_version_by_alias(named["name"], named["alias"])
    if named["version"] == "latest":
        found = client.search_model_versions(f"name = '{named['name']}'")
        if not found:
            raise InputError(f"Expected a version of {named['name']} in MLflow, found none. Register one.")
        return max(found, key=lambda one: int(one.version))
    return client.get_model_version(named["name"], named["version"])


def _require_served(uri: str, place: str) -> None:
    found = urlsplit(place)
    if not (found.scheme == "mlflow-artifacts" and not found.netloc) and found.scheme not in STORES:
        raise RefusedError(
            f"Expected the files of {uri} with the MLflow server or in its object store, found them at "
            f"{found.scheme or 'a path'}: nothing is read from this machine's own disk. Log the model again."
        )


def _download(place: str, into: Path, tracking_url: str | None) -> Path:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with redirect_stdout(StringIO()):
        repository: Any = get_artifact_repository(place, tracking_uri=tracking_url)
        folder = Path(repository.download_artifacts("", str(into)))
    _require_size(sum(file.lstat().st_size for file in folder.rglob("*")), place)
    return folder if folder.is_dir() else folder.parent


def _require_size(size: int, uri: str) -> None:
    if size > LARGEST:
        raise InputError(f"Expected a model of at most {LARGEST:,} bytes, found {size:,} at {uri}.")


@contextmanager
def _answering(url: str, uri: str) -> Iterator["MlflowClient"]:
    if url.startswith(("http://", "https://")):
        tracking.ping(url)
    with _explained(f"MLflow at {url}", uri):
        yield tracking.client_of(url)


@contextmanager
def _explained(keeper: str, uri: str) -> Iterator[None]:
    """Turn others' errors into ours; that there is no such model is told apart from that nobody answers."""
    try:
        yield
    except GovernanceError:
        raise
    except Exception as error:  # MLflow's, requests', or those of an object store's own library
        status = getattr(error, "get_http_status_code", lambda: 500)()
        said = (str(error) or type(error).__name__).partition("\n")[0][:300].rstrip(".")
        if status < 500:
            raise InputError(f"Expected {uri} at {keeper}, found: {said}.") from error
        raise UnavailableError(f"Expected {keeper} to give {uri}, found: {said}. Try again.") from error
