"""MLflow as the release sees it: which version is champion, and the files of a version.

Thin over ``MlflowClient``. A registered version has two folders among the artifacts of its run: ``model/``, the signed
files that training wrote, and ``permit/``, what a permit is verified from, which the release adds. Nothing here is
trusted: whoever may write to MLflow can move an alias or change a file, and the readers verify every byte.

MLflow's own loaders are never called, so nothing of a model runs here.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from governance.errors import InputError, NotPermittedError, UnavailableError
from governance.training.tracking import EVIDENCE_FILE, MODEL_FOLDER, client_of

CHAMPION = "champion"
DRILL = "drill"
"""What the shadow of a rollback drill follows, and nothing else does."""

PERMIT_FOLDER = "permit"
PING_SECONDS = 5.0
STOPPED_TAG = "governance.stopped"
"""Tag of a registered model that was stopped."""

LONGEST_TAG = 4000
"""Characters of a tag; MLflow takes 5,000 bytes at least."""

ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow answers where a model, a version or an alias is not there."""


@dataclass(frozen=True)
class Followed:
    """Where a model stands: the registry version that is champion, and the sentence with which it was stopped."""

    champion: int | None = None
    stopped: str | None = None


class Registry:
    """MLflow's model registry at one address.

    Args:
        url: MLflow's tracking server.
        alias: Which alias it reads and moves; every other is out of its reach.
    """

    def __init__(self, url: str, alias: str = CHAMPION) -> None:
        self.url = url
        self.alias = alias

    def champion(self, model: str) -> int | None:
        """Return the registry version with the alias, or ``None``.

        Raises:
            UnavailableError: MLflow does not answer.
        """
        from mlflow.exceptions import MlflowException

        with self._answering():
            try:
                return int(self._client.get_model_version_by_alias(model, self.alias).version)
            except MlflowException as error:
                if error.error_code in ABSENT:
                    return None
                raise

    def followed(self) -> dict[str, "Followed"]:
        """Return model name → where it stands, for every model that has a champion or was stopped.

        Raises:
            UnavailableError: MLflow does not answer.
        """
        found: dict[str, Followed] = {}
        token = None
        with self._answering():
            while True:
                page = self._client.search_registered_models(max_results=1000, page_token=token)
                found |= {model.name: _followed(model, self.alias) for model in page}
                token = page.token
                if not token:
                    return {name: one for name, one in found.items() if one != Followed()}

    def set_champion(self, model: str, version: int) -> None:
        """Give a version the alias; whichever had it loses it.

        Raises:
            UnavailableError: MLflow does not answer.
        """
        with self._answering():
            self._client.set_registered_model_alias(model, self.alias, str(version))

    def clear_champion(self, model: str) -> None:
        """Take the alias away; harmless where nobody has it.

        Raises:
            UnavailableError: MLflow does not answer.
        """
        if self.champion(model) is None:
            return
        with self._answering():
            self._client.delete_registered_model_alias(model, self.alias)

    def set_stopped(self, model: str, reason: str) -> None:
        """Mark a model as stopped, with the sentence that says so.

        Raises:
            UnavailableError: MLflow does not answer.
        """
        self._expect_champions()
        with self._answering():
            self._client.set_registered_model_tag(model, STOPPED_TAG, reason[:LONGEST_TAG])

    def clear_stopped(self, model: str) -> None:
        """Take that mark away; harmless where there is none.

        Raises:
            UnavailableError: MLflow does not answer.
        """
        self._expect_champions()
        with self._answering():
            if STOPPED_TAG in self._client.get_registered_model(model).tags:
                self._client.delete_registered_model_tag(model, STOPPED_TAG)

    def tag(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version.

        Raises:
            UnavailableError: MLflow does not answer.
        """
        with self._answering():
            for name, value in tags.items():
                self._client.set_model_version_tag(model, str(version), name, value)

    def fetch(self, model: str, version: int, into: Path) -> Path:
        """Copy a version's ``model/`` and, where they are there, ``permit/`` and ``evidence/`` into a folder.

        Returns:
            The folder.

        Raises:
            NotPermittedError: There is no such version, or it has no model files.
            UnavailableError: MLflow does not answer.
        """
        run = self._run_of(model, version)
        with self._answering():
            known = {item.path for item in self._client.list_artifacts(run)}
            if MODEL_FOLDER not in known:
                raise NotPermittedError(
                    f"Expected model files of {model} {version} in {MODEL_FOLDER}/ of MLflow run {run} at {self.url}, "
                    f"found none. Only versions that govern_{model} registered can be released."
                )
            for folder in known & {MODEL_FOLDER, PERMIT_FOLDER, Path(EVIDENCE_FILE).parts[0]}:
                self._client.download_artifacts(run, folder, str(into))
        return into

    def permit_file(self, model: str, version: int, name: str) -> bytes:
        """Return one file of a version's ``permit/``; nothing of it is verified.

        Raises:
            NotPermittedError: There is no such version, or it has no such file.
            UnavailableError: MLflow does not answer.
        """
        run, path = self._run_of(model, version), f"{PERMIT_FOLDER}/{name}"
        with tempfile.TemporaryDirectory(prefix="permit-") as folder, self._answering():
            if path not in {item.path for item in self._client.list_artifacts(run, PERMIT_FOLDER)}:
                raise NotPermittedError(
                    f"Expected {path} of {model} {version} in MLflow run {run} at {self.url}, found none. Restore it: "
                    f"a release puts it there."
                )
            return Path(self._client.download_artifacts(run, path, folder)).read_bytes()

    def upload_bundle(self, model: str, version: int, files: Mapping[str, bytes]) -> None:
        """Put files into the version's ``permit/``; files of the same name are overwritten.

        Raises:
            UnavailableError: MLflow does not answer.
        """
        run = self._run_of(model, version)
        with tempfile.TemporaryDirectory(prefix="permit-") as folder, self._answering():
            for name, body in files.items():
                (Path(folder) / name).write_bytes(body)
            self._client.log_artifacts(run, folder, PERMIT_FOLDER)

    def _expect_champions(self) -> None:
        """Refuse to touch what holds for a model as a whole on behalf of another alias."""
        if self.alias != CHAMPION:
            raise InputError(f"Expected the alias {CHAMPION} to stop a model by, or to let it in, found {self.alias}.")

    def _run_of(self, model: str, version: int) -> str:
        from mlflow.exceptions import MlflowException

        with self._answering():
            try:
                return str(self._client.get_model_version(model, str(version)).run_id)
            except MlflowException as error:
                if error.error_code in ABSENT:
                    raise NotPermittedError(
                        f"Expected version {version} of {model} in MLflow's registry at {self.url}, found none. "
                        f"Was it deleted, or is this another registry?"
                    ) from error
                raise

    @cached_property
    def _client(self) -> Any:
        return client_of(self.url)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn MLflow's and the network's errors into ours."""
        import requests
        from mlflow.exceptions import MlflowException, RestException

        try:
            self._ping()
            yield
        except RestException as error:
            answer: Any = error
            if answer.get_http_status_code() < 500:
                raise InputError(f"Expected MLflow at {self.url} to take this, found: {_first_line(error)}") from error
            raise self._unavailable(error) from error
        except (MlflowException, requests.RequestException, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> UnavailableError:
        return UnavailableError(
            f"Expected MLflow at {self.url} to answer, found: {_first_line(error)}. Start it (`make up`), or correct "
            f"GOVERNANCE_MLFLOW_URL, and try again."
        )

    def _ping(self) -> None:
        """Ask whether it is there: MLflow's client itself retries for minutes before it gives up."""
        if not self.url.startswith(("http://", "https://")):
            raise InputError(f"Expected an http address in GOVERNANCE_MLFLOW_URL, found {self.url!r}.")
        import httpx

        try:
            httpx.get(f"{self.url}/health", timeout=PING_SECONDS).raise_for_status()
        except httpx.HTTPError as error:
            raise OSError(str(error) or type(error).__name__) from error


def _followed(model: Any, alias: str) -> Followed:
    champion = model.aliases.get(alias)
    return Followed(int(champion) if champion is not None else None, model.tags.get(STOPPED_TAG))


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0][:300]
