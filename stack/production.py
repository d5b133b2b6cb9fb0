"""The production shape: the services of :mod:`stack.services`, each in a container of its own.

``docker-compose.yaml`` says which containers there are and which secrets each may read; what runs in one, with which
variables, is said here and there only once. :mod:`stack.container` is what a container starts with.

What differs from ``make up``: tasks run in workers of Celery, not below the scheduler; secrets are files that somebody
else made, one mount each; and a container holds the password, the key and the login of its own identity and no other.
A worker runs code of model developers, so it knows neither Airflow's database nor what its logins are signed with.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stack.errors import StackError
from stack.layout import Layout, write_private
from stack.services import (
    EVERYWHERE,
    Service,
    airflow_environment,
    airflow_execution,
    airflow_pages,
    airflow_scheduler,
    airflow_watchers,
    identity_environment,
    lineage_delivery,
    mlflow,
    preloading,
    python_path,
    scoring,
)

ADDRESSES: Mapping[str, str] = {
    "postgres": "postgres:5432",
    "redis": "redis:6379",
    "s3": "s3:8333",
    "mlflow": "mlflow:5000",
    "airflow": "airflow:8080",
    "execution": "execution:8081",
    "marquez": "marquez:5000",
    "serving": "serving-1:8001,serving-2:8001",
}
"""Where a service is found inside; ``STACK_POSTGRES=host:port`` and so on name another place."""

BUCKET = "mlflow"
S3_KEY = "mlflow"
"""Access key of the object store; its secret key is the secret ``s3-mlflow``."""

MLFLOW_LOGINS = ("review", "pipeline", "serving", "client")
"""Identities that MLflow knows. The first is its administrator: it takes the alias from a model that is stopped."""

CELERY = "CeleryExecutor"
_STATE = Path("/var/lib/governance")
_SECRETS = Path("/run/secrets")


@dataclass(frozen=True)
class Production(Layout):
    """Places and addresses as a container sees them.

    Attributes:
        addresses: Service → ``host:port``; with commas between them where it runs several times.
        secrets: Folder of the secrets that this container may read.
        keys: Folder in memory, for the private keys among them.
        public_keys_folder: Folder of the public keys.
        listens: Address that services listen on.
        public_url: Airflow as people reach it.
        runs_tasks: Airflow's executor.
    """

    addresses: Mapping[str, str]
    secrets: Path
    keys: Path
    public_keys_folder: Path
    listens: str
    public_url: str
    runs_tasks: str = CELERY

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Production":
        """Return the layout that the variables ``STACK_…`` describe; that of ``docker-compose.yaml`` without any."""
        addresses = {name: environment.get(f"STACK_{name}".upper()) or place for name, place in ADDRESSES.items()}
        ports = {name: int(place.split(",")[0].rpartition(":")[2]) for name, place in addresses.items()}
        return cls(
            root=Path(environment.get("STACK_ROOT") or Path(__file__).resolve().parents[1]),
            state=Path(environment.get("STACK_STATE") or _STATE),
            ports=ports,
            addresses=addresses,
            secrets=Path(environment.get("STACK_SECRETS") or _SECRETS),
            keys=Path(environment.get("STACK_KEYS") or "/run/governance"),
            public_keys_folder=Path(environment.get("STACK_PUBLIC_KEYS") or "/etc/governance/public-keys"),
            listens=environment.get("STACK_LISTEN") or "0.0.0.0",
            public_url=environment.get("STACK_PUBLIC_URL") or "http://localhost:8080",
            runs_tasks=environment.get("STACK_EXECUTOR") or CELERY,
        )

    @property
    def listen(self) -> str:
        """Address that a service listens on."""
        return self.listens

    @property
    def executor(self) -> str:
        """Airflow's executor: tasks run in workers, or in pods of their own."""
        return self.runs_tasks

    @property
    def public_keys(self) -> Path:
        """Folder of the public keys."""
        return self.public_keys_folder

    def private_key(self, name: str) -> Path:
        """Return the file of a private key: a copy that this process alone can read, where it may have it at all."""
        return self.keys / f"{name}.pem"

    def copy_private_keys(self) -> None:
        """Copy the keys that this container may read: a mounted secret keeps its owner and mode on the host."""
        for path in self.secrets.glob("key-*"):
            write_private(self.private_key(path.name.removeprefix("key-")), path.read_text())

    def url(self, service: str) -> str:
        """Return the HTTP address of a service, or its addresses; Airflow's is the one that people use."""
        if service == "airflow":
            return self.public_url
        return ",".join(f"http://{place}" for place in self.addresses[service].split(","))

    def database_url(self, user: str, database: str, driver: str = "postgresql") -> str:
        """Return the address of a database with the password of ``user`` in it."""
        return f"{driver}://{user}:{self.secret(f'postgres-{user}')}@{self.addresses['postgres']}/{database}"

    def secret_file(self, name: str) -> Path:
        """Return the file of a secret."""
        return self.secrets / name

    def secret(self, name: str, make: Callable[[], str] | None = None) -> str:
        """Return a secret; it is never made here.

        Raises:
            StackError: It is not there, or empty; the message names its file.
        """
        path = self.secret_file(name)
        try:
            text = path.read_text().strip()
        except OSError:
            text = ""
        if not text:
            raise StackError(
                f"Expected the secret {name} in {path}, found nothing. Put it into SECRETS_FOLDER (`make secrets` "
                f"makes what is missing there), and see that docker-compose.yaml gives it to this service."
            )
        return text


def identity(layout: Production, name: str) -> dict[str, str]:
    """Return the settings of an identity, with its login in MLflow."""
    own = identity_environment(layout, name)
    if name in MLFLOW_LOGINS:
        own |= {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": layout.secret(f"mlflow-{name}")}
    return own


def _with_login(layout: Production, service: Service, name: str) -> Service:
    return Service(service.name, service.command, {**service.environment, **identity(layout, name)}, service.health)


def _pages(layout: Production) -> Service:
    token = {"GOVERNANCE_METRICS_TOKEN": str(layout.secret_file("metrics-token"))}
    service = _with_login(layout, airflow_pages(layout), "review")
    return Service(service.name, service.command, {**service.environment, **token}, service.health)


def _worker(layout: Production) -> Service:
    environment = airflow_environment(layout) | _celery(layout) | identity(layout, "pipeline") | preloading(layout)
    return Service("worker", ("airflow", "celery", "worker", "--skip-serve-logs"), environment)


def _celery(layout: Production) -> dict[str, str]:
    if layout.executor != CELERY:
        return {}
    # Results go to Redis, too: kept in Airflow's database, every worker would need its password.
    place = f"redis://:{layout.secret('redis')}@{layout.addresses['redis']}"
    return {"AIRFLOW__CELERY__BROKER_URL": f"{place}/0", "AIRFLOW__CELERY__RESULT_BACKEND": f"{place}/1"}


def _mlflow(layout: Production) -> Service:
    more = {
        "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/artifacts",
        "MLFLOW_AUTH_CONFIG_PATH": str(layout.root / "deploy" / "mlflow.ini"),
        "MLFLOW_AUTH_ADMIN_USERNAME": MLFLOW_LOGINS[0],
        "MLFLOW_AUTH_ADMIN_PASSWORD": layout.secret(f"mlflow-{MLFLOW_LOGINS[0]}"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": layout.secret("mlflow-session"),
        **bucket(layout),
    }
    host, port = layout.addresses["postgres"].rsplit(":", 1)
    # The file of its logins names no password and no host; PostgreSQL's own library reads them here.
    more |= {"PGHOST": host, "PGPORT": port, "PGPASSWORD": layout.secret("postgres-mlflow")}
    return mlflow(layout, "--app-name", "basic-auth", **more)


def bucket(layout: Production) -> dict[str, str]:
    """Return how the object store is reached, which MLflow alone does."""
    return {
        "MLFLOW_S3_ENDPOINT_URL": layout.url("s3"),
        "AWS_ACCESS_KEY_ID": S3_KEY,
        "AWS_SECRET_ACCESS_KEY": layout.secret("s3-mlflow"),
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _command_line(layout: Production, *arguments: str, **more: str) -> Service:
    environment = EVERYWHERE | python_path(layout) | identity(layout, "client") | more
    return Service("command-line", ("governance", *(arguments or ("--help",))), environment)


def _witness(layout: Production) -> Service:
    environment = EVERYWHERE | python_path(layout) | identity_environment(layout, "witness")
    return Service("witness", ("governance", "ledger", "witness", "--every", "60"), environment)


def _lineage(layout: Production) -> Service:
    service = lineage_delivery(layout)
    return replace(service, environment={**service.environment, "MARQUEZ_URL": layout.url("marquez")})


SERVICES: Mapping[str, Callable[[Production], Service]] = {
    "mlflow": _mlflow,
    "airflow": _pages,
    "execution": airflow_execution,
    "scheduler": lambda layout: airflow_scheduler(layout, "client", **_celery(layout)),
    "dag-processor": lambda layout: airflow_watchers(layout)[0],
    "triggerer": lambda layout: airflow_watchers(layout)[1],
    "worker": _worker,
    "serving": lambda layout: _with_login(layout, scoring(layout), "serving"),
    "witness": _witness,
    "lineage": _lineage,
    "command-line": _command_line,
}
"""What a container of ours can run, by name."""


def complete(service: Service, given: Mapping[str, str], secrets: Path) -> dict[str, str]:
    """Return the whole environment of a container's process.

    What the container was given wins over ours, so that ``docker-compose.yaml`` can change a setting; but for Python's
    path, which the image sets for the entrypoint alone. A secret whose file is called like a variable
    (``GOVERNANCE_SQL_WAREHOUSE``) becomes that variable.
    """
    named = {path.name: path.read_text().strip() for path in _files(secrets) if path.name.isupper()}
    kept = {name: value for name, value in given.items() if value and not name.startswith(("STACK_", "PYTHONPATH"))}
    return {**service.environment, **named, **kept}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_file()) if os.path.isdir(folder) else []
