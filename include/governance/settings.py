"""The only reader of the environment.

A process is configured by ``GOVERNANCE_*`` variables and nothing else; ``.env.example`` lists them all. Where a
variable is not set, the file that ``make up`` leaves in the state folder is asked, so that ``governance live loan``
works in any terminal of a machine where the stack runs.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from governance.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: the folder that holds ``dags/``, ``plugins/`` and ``include/``."""

CLIENT_FILE = "client.env"
"""What ``make up`` writes into the state folder for commands typed in another terminal."""

DATABASE = re.compile(r"GOVERNANCE_SQL_[A-Z0-9_]+")
"""Variables that hold the address of a database which data are read from, one for each database."""


@dataclass(frozen=True)
class Settings:
    """Where things are, for this process.

    Attributes:
        state: Folder of everything that is not in version control.
        root: The checkout whose code, policies and people are in force.
        models: Folder of model folders.
        policies: Folder of the tiers' policies.
        people: The reviewed file of who is who.
        environment: Name that permits are issued for.
        ledger_url: PostgreSQL address of the ledger, with the role of this process's identity.
        mlflow_url: MLflow's tracking server.
        snapshots: Root of the Delta tables: a path, or ``s3://…``.
        artifact_key: Private key that signs model files; the pipeline's, absent elsewhere.
        review_key: Private key that signs decisions and permits; the API server's, absent elsewhere.
        witness_key: Private key that signs checkpoints of the ledger; the witness's, absent elsewhere.
        public_keys: Folder of the public keys that signatures are checked with.
        serving_url: The scoring service; its replicas, with commas between them, where there are several.
        airflow_url: Airflow's API server, for links and for the command line.
        advisories: Folder of known vulnerabilities (OSV documents, such as those of the Python Packaging Authority).
        metrics_token: File with the token that Prometheus sends to the API server; nobody else's business.
        label_tokens: File of who may send labels to the scoring service, and the token of each; to one who sends
            them, a file with the own line only.
        marquez_url: Marquez: its web page, which passes its API on, or the API itself.
    """

    state: Path
    root: Path
    models: Path
    policies: Path
    people: Path
    environment: str
    ledger_url: str | None
    mlflow_url: str | None
    snapshots: str
    artifact_key: Path | None
    review_key: Path | None
    public_keys: Path
    serving_url: str | None
    airflow_url: str | None
    advisories: Path | None = None
    metrics_token: Path | None = None
    label_tokens: Path | None = None
    marquez_url: str | None = None
    witness_key: Path | None = None

    def require(self, name: str) -> str:
        """Return a setting that must be there.

        Raises:
            InputError: It is not set; the message names the variable.
        """
        value = getattr(self, name)
        if value is None:
            raise InputError(
                f"Expected {VARIABLES[name]} to be set, found nothing. "
                f"Start the stack with `make up`, or set it as .env.example explains."
            )
        return str(value)


VARIABLES = {
    "state": "GOVERNANCE_STATE",
    "root": "GOVERNANCE_ROOT",
    "models": "GOVERNANCE_MODELS",
    "policies": "GOVERNANCE_POLICIES",
    "people": "GOVERNANCE_PEOPLE",
    "environment": "GOVERNANCE_ENVIRONMENT",
    "ledger_url": "GOVERNANCE_LEDGER_URL",
    "mlflow_url": "GOVERNANCE_MLFLOW_URL",
    "snapshots": "GOVERNANCE_SNAPSHOTS",
    "artifact_key": "GOVERNANCE_ARTIFACT_KEY",
    "review_key": "GOVERNANCE_REVIEW_KEY",
    "witness_key": "GOVERNANCE_WITNESS_KEY",
    "public_keys": "GOVERNANCE_PUBLIC_KEYS",
    "serving_url": "GOVERNANCE_SERVING_URL",
    "airflow_url": "GOVERNANCE_AIRFLOW_URL",
    "advisories": "GOVERNANCE_ADVISORIES",
    "metrics_token": "GOVERNANCE_METRICS_TOKEN",
    "label_tokens": "GOVERNANCE_LABEL_TOKENS",
    "marquez_url": "MARQUEZ_URL",
}


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of this process.

    Args:
        environment: Where to read; the process's own environment by default.

    Raises:
        InputError: A ``GOVERNANCE_`` variable is not one of ours (a typing error would otherwise go unnoticed).
    """
    given = dict(os.environ if environment is None else environment)
    unknown = sorted(
        name
        for name in given
        if name.startswith("GOVERNANCE_") and name not in VARIABLES.values() and not DATABASE.fullmatch(name)
    )
    if unknown:
        raise InputError(f"Unknown setting {unknown[0]}. Known: {', '.join(sorted(VARIABLES.values()))}.")
    root = Path(given.get("GOVERNANCE_ROOT", ROOT))
    state = Path(given.get("GOVERNANCE_STATE", root / ".state"))
    values = {**_client_file(state), **given}

    def path(name: str, default: Path) -> Path:
        return Path(values.get(VARIABLES[name], default))

    def optional_path(name: str) -> Path | None:
        value = values.get(VARIABLES[name])
        return Path(value) if value else None

    return Settings(
        state=state,
        root=root,
        models=path("models", root / "include" / "models"),
        policies=path("policies", root / "include" / "policies"),
        people=path("people", root / "include" / "people.yaml"),
        environment=values.get("GOVERNANCE_ENVIRONMENT", "production"),
        ledger_url=values.get("GOVERNANCE_LEDGER_URL"),
        mlflow_url=values.get("GOVERNANCE_MLFLOW_URL"),
        snapshots=values.get("GOVERNANCE_SNAPSHOTS", str(state / "snapshots")),
        artifact_key=optional_path("artifact_key"),
        review_key=optional_path("review_key"),
        public_keys=path("public_keys", state / "keys" / "public"),
        serving_url=values.get("GOVERNANCE_SERVING_URL"),
        airflow_url=values.get("GOVERNANCE_AIRFLOW_URL"),
        advisories=optional_path("advisories"),
        metrics_token=optional_path("metrics_token"),
        label_tokens=optional_path("label_tokens"),
        marquez_url=values.get("MARQUEZ_URL") or None,
        witness_key=optional_path("witness_key"),
    )


def shadow_environment(
    settings: Settings, folder: Path, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of a second scoring service: this process's, without any secret of ours.

    It gets neither a private key nor the ledger, so it can write nothing that anybody believes.

    Args:
        settings: This process's.
        folder: Its state folder, private and empty.
        environment: Where to read; the process's own environment by default.
    """
    given = os.environ if environment is None else environment
    ours = ("GOVERNANCE_", "AIRFLOW")
    own = {
        "state": str(folder),
        "root": str(settings.root),
        "environment": settings.environment,
        "mlflow_url": settings.require("mlflow_url"),
        "public_keys": str(settings.public_keys.resolve()),
    }
    rest = {name: value for name, value in given.items() if not name.startswith(ours)}
    include = str(Path(__file__).resolve().parents[1])
    return {**rest, **{VARIABLES[name]: value for name, value in own.items()}, "PYTHONPATH": include}


@dataclass(frozen=True)
class Bucket:
    """How ``s3://`` is reached, by the names that Amazon's own tools read.

    Attributes:
        endpoint: ``AWS_ENDPOINT_URL``: an S3 of one's own; Amazon's without it.
        key: ``AWS_ACCESS_KEY_ID``; without it, the machine's own role.
        secret: ``AWS_SECRET_ACCESS_KEY``.
        token: ``AWS_SESSION_TOKEN``.
        region: ``AWS_REGION`` or ``AWS_DEFAULT_REGION``.
        plain_http: ``AWS_ALLOW_HTTP``: whether the endpoint may be spoken to without encryption.
    """

    endpoint: str | None
    key: str | None
    secret: str | None = field(repr=False)
    token: str | None = field(repr=False)
    region: str | None
    plain_http: bool


def load_bucket(environment: Mapping[str, str] | None = None) -> Bucket:
    """Read how ``s3://`` is reached.

    Args:
        environment: Where to read; the process's own environment by default.

    Raises:
        InputError: The endpoint is not encrypted, and nothing says that it may be so.
    """
    given = os.environ if environment is None else environment
    found = Bucket(
        endpoint=given.get("AWS_ENDPOINT_URL") or None,
        key=given.get("AWS_ACCESS_KEY_ID") or None,
        secret=given.get("AWS_SECRET_ACCESS_KEY") or None,
        token=given.get("AWS_SESSION_TOKEN") or None,
        region=given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION") or None,
        plain_http=given.get("AWS_ALLOW_HTTP", "").lower() in ("true", "1", "yes"),
    )
    if (found.endpoint or "").startswith("http://") and not found.plain_http:
        raise InputError(
            "Expected https in AWS_ENDPOINT_URL, found http: data would cross the network unencrypted. Correct it, or "
            "set AWS_ALLOW_HTTP=true where that is meant."
        )
    return found


def database_variable(name: str) -> str:
    """Return the variable that holds the address of a database: ``GOVERNANCE_SQL_WAREHOUSE`` of ``warehouse``."""
    return f"GOVERNANCE_SQL_{name.upper().replace('-', '_')}"


def database_address(name: str, environment: Mapping[str, str] | None = None) -> str | None:
    """Return the address of a database by its name, or None where it is not set. It holds a password: never tell it."""
    given = os.environ if environment is None else environment
    return given.get(database_variable(name)) or None


def _client_file(state: Path) -> dict[str, str]:
    try:
        lines = (state / CLIENT_FILE).read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
