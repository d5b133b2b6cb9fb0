"""``governance register``: check a model that was trained elsewhere, and have the pipeline take it on.

The check is the one that the run itself makes (format, columns, a few predictions), so that what would fail there after
minutes fails here in seconds. The run is started through Airflow's own interface, as the person who asks: that person
is its starter, and so may not sign. What was checked is what is named: an alias has become a version.
"""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from governance.catalog import find_spec
from governance.commands.answer import UNDECIDED, YES, Answer, line
from governance.errors import InputError, RefusedError, UnavailableError
from governance.policy import load_policy
from governance.settings import Settings
from governance.validation import Asked, fetched, laid_beside, read_rows

if TYPE_CHECKING:
    import httpx
    from rich.console import Console

Json = dict[str, Any]

SHORTEST_REASON = 5
SECONDS = 30.0


@dataclass(frozen=True)
class Access:
    """How Airflow knows who asks: a token, or login and password.

    Attributes:
        token: A token of Airflow's.
        login: Airflow's name of the person.
        password: That login's password.
    """

    token: str | None = field(default=None, repr=False)
    login: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def given(self) -> bool:
        """Whether there is enough to ask Airflow with."""
        return bool(self.token or (self.login and self.password))


@dataclass(frozen=True)
class Registration:
    """What is asked of the pipeline.

    Attributes:
        model: The governed model that it becomes a version of.
        conf: The run's configuration.
    """

    model: str
    conf: Json

    @property
    def dag(self) -> str:
        """The DAG that takes it on."""
        return f"govern_{self.model}"

    @property
    def body(self) -> Json:
        """What Airflow is sent."""
        return {"logical_date": None, "conf": self.conf}

    def by_hand(self, airflow_url: str | None) -> list[str]:
        """Return the commands that start the run, for who has no access from here."""
        url = airflow_url or "$AIRFLOW"
        return [
            f"airflow dags trigger {self.dag} --conf {shlex.quote(json.dumps(self.conf))}",
            f"curl -X POST {url}/api/v2/dags/{self.dag}/dagRuns -H 'Authorization: Bearer '\"$AIRFLOW_TOKEN\" "
            f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(self.body))}",
        ]


def register(
    settings: Settings, model: str, asked: Asked, reason: str, access: Access, tell: Callable[[str], None]
) -> Answer:
    """Answer which run takes the model on; where Airflow cannot be asked from here, how to start it.

    Args:
        settings: Where things are.
        model: The governed model.
        asked: The model's URI, and the threshold where it is not its own.
        reason: Why this run: a reviewer reads it.
        access: Who asks Airflow.
        tell: Is told what is being done.

    Raises:
        InputError: The model does not fit, or Airflow knows no such DAG or login.
        RefusedError: The model is of no safe format, or the person may not trigger the DAG.
        UnavailableError: Airflow or MLflow does not answer.
    """
    if len(reason.strip()) < SHORTEST_REASON:
        raise InputError("Expected a reason of at least five characters: a reviewer reads it. Give --reason.")
    spec = find_spec(settings, model)
    with fetched(settings, asked, tell, reviewed=False) as files:
        _, frame = read_rows(spec, None, load_policy(spec.folder, settings.policies).personal_data, tell)
        imported = laid_beside(files, spec, frame, asked)
    uri = files.uri
    conf: Json = {"reason": reason.strip(), "model_uri": uri}
    if asked.threshold is not None:
        conf["parameters"] = {"threshold": asked.threshold}
    wanted = Registration(model, conf)
    run_id = None
    if settings.airflow_url and access.given:
        tell(f"Starting {wanted.dag}")
        run_id = start(settings.airflow_url, wanted, access)
    found = {"model": model, "model_uri": uri, "source": imported.source, "notes": list(imported.notes)}
    document = {**found, "conf": conf, "dag": wanted.dag, "run": run_id}
    return Answer(document, lambda out: _show(out, document, wanted, settings), YES if run_id else UNDECIDED)


def start(url: str, wanted: Registration, access: Access) -> str:
    """Start the run as the person who asks, and return its id."""
    import httpx

    try:
        with httpx.Client(base_url=url, timeout=SECONDS) as http:
            http.headers["Authorization"] = f"Bearer {access.token or _token(http, access)}"
            answer = http.post(f"/api/v2/dags/{wanted.dag}/dagRuns", json=wanted.body)
            return str(_checked(answer, f"start {wanted.dag}")["dag_run_id"])
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        raise UnavailableError(
            f"Expected Airflow at {url} to answer, found: {said}. Nothing was started: try again."
        ) from error


def _token(http: "httpx.Client", access: Access) -> str:
    answer = http.post("/auth/token", json={"username": access.login, "password": access.password})
    return str(_checked(answer, "log in")["access_token"])


def _checked(answer: "httpx.Response", what: str) -> Json:
    try:
        document = answer.json()
    except ValueError:
        document = {}
    if answer.is_success and isinstance(document, dict):
        return document
    found = document.get("detail", "") if isinstance(document, dict) else ""
    said = f"Expected Airflow to {what}, found {answer.status_code}: {str(found)[:300] or answer.reason_phrase}."
    if answer.status_code == 403:
        raise RefusedError(f"{said} Ask for the role that may trigger this DAG.")
    if answer.status_code >= 500:
        raise UnavailableError(f"{said} Nothing was started: try again.")
    raise InputError(f"{said} Check login, token and the model's name.")


def _show(out: "Console", document: Json, wanted: Registration, settings: Settings) -> None:
    source = document["source"]
    line(out, f"{document['model_uri']} fits {wanted.model}: {source['flavour']}, {source['file']}", style="bold")
    for note in document["notes"]:
        line(out, f"note: {note}", style="dim")
    if document["run"]:
        line(out, f"Started {wanted.dag}, run {document['run']}. It waits for signatures once it has measured.")
        line(out, f"{(settings.airflow_url or '').rstrip('/')}/dags/{wanted.dag}/runs/{document['run']}")
        return
    missing = "its address (GOVERNANCE_AIRFLOW_URL)" if not settings.airflow_url else "a login"
    line(out, f"Nothing was started: Airflow cannot be asked without {missing}. Either of these starts it:")
    for command in wanted.by_hand(settings.airflow_url):
        line(out, f"  {command}")
    line(out, "Or set AIRFLOW_TOKEN, or AIRFLOW_LOGIN and AIRFLOW_PASSWORD, and run this again.")
