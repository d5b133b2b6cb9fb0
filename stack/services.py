"""The one source of what runs: commands, environments, ports and identities of every service.

:func:`services` is read by the supervisor; :mod:`stack.production` puts the same services into containers.

Identities. *pipeline* (scheduler and so every task): may append to the ledger and sign model files. *review* (the
API server people talk to): signs decisions. *serving*: reads the ledger, holds public keys only. *witness*: signs how
far the ledger was whole. *client*: what a person's terminal gets, read-only. Whatever parses or waits (DAG processor,
triggerer) is a client, too. *lineage* (what brings events to Marquez): writes as the pipeline does, and has no key.

Two API servers with different secrets: a task inherits the scheduler's environment, and whoever knows the secret
of an API server can forge any login there. So the one with logins and our pages (``airflow``) has a secret that no
task sees; the one that tasks report to (``execution``) has neither logins nor pages.
"""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from stack.layout import Layout

IDENTITIES = ("pipeline", "review", "serving", "witness", "client", "lineage")
_LEDGER_ROLE = {name: name for name in IDENTITIES} | {"client": "auditor", "lineage": "pipeline"}
_PRIVATE_KEY = {
    "pipeline": ("GOVERNANCE_ARTIFACT_KEY", "artifact"),
    "review": ("GOVERNANCE_REVIEW_KEY", "review"),
    "witness": ("GOVERNANCE_WITNESS_KEY", "witness"),
}

LABEL_TOKENS = "label-tokens"
"""Name of the secret that senders of labels show to the scoring service."""

EVERYWHERE = {
    # MLflow unpickles what it finds unless told not to; models here are skops files.
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # Nothing here reports home or asks for updates.
    "DO_NOT_TRACK": "1",
    "SCARF_ANALYTICS": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    "PYTHONUNBUFFERED": "1",
    # Several tasks share the machine: OpenMP's threads, waiting for each other in a loop, would take all of it.
    "OMP_NUM_THREADS": "1",
    # Process titles must not write over the environment, in which the stack finds its own processes again.
    "SPT_NOENV": "1",
}


@dataclass(frozen=True)
class Service:
    """One process of the stack.

    Attributes:
        name: Its name, also of its log file.
        command: What would be typed in a terminal; the first word is a Python module that can be run.
        environment: Its variables, complete but for those of the operating system.
        health: Path that answers over HTTP when it works; ``None`` where Airflow's heartbeats say so, and
            :data:`LIVES` where it works for as long as it lives.
        module: File under ``include/`` without which it cannot run.
        wants: Variable that a person must have set for it to be started.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    health: str | None = None
    module: str | None = None
    wants: str | None = None


LIVES = ""


def services(layout: Layout) -> tuple[Service, ...]:
    """Return every service but PostgreSQL (:mod:`stack.postgres`), in the order in which they are started."""
    return (mlflow(layout), *airflow_services(layout), scoring(layout), lineage_delivery(layout))


def mlflow(layout: Layout, *options: str, **more: str) -> Service:
    """Return MLflow's tracking server and registry, with further options and variables."""
    port = str(layout.ports["mlflow"])
    where = ("--serve-artifacts", "--host", layout.listen, "--port", port, "--workers", "1")
    hosts = ("--allowed-hosts", f"{layout.url('mlflow').partition('//')[2]},localhost:{port}")
    environment = EVERYWHERE | {
        "MLFLOW_BACKEND_STORE_URI": layout.database_url("mlflow", "mlflow", "postgresql+psycopg2"),
        "MLFLOW_ARTIFACTS_DESTINATION": str(layout.state / "mlflow" / "artifacts"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    return Service("mlflow", ("mlflow", "server", *where, *hosts, *options), environment | more, health="/health")


def airflow_services(layout: Layout) -> tuple[Service, ...]:
    """Return Airflow's five processes."""
    pages, tasks = airflow_pages(layout), airflow_execution(layout)
    return (pages, tasks, airflow_scheduler(layout, "pipeline", **preloading(layout)), *airflow_watchers(layout))


JWT = "AIRFLOW__API_AUTH__JWT_SECRET"


def airflow_pages(layout: Layout) -> Service:
    """Return the API server that people talk to: logins, pages, and the review key."""
    logins, session = layout.secret("jwt-core", signing_secret), layout.secret("airflow-session")
    login = {JWT: logins, "AIRFLOW__API__SECRET_KEY": session}
    return _airflow(layout, "airflow", _server(layout, "core", "airflow"), "review", "/api/v2/version", **login)


def airflow_execution(layout: Layout) -> Service:
    """Return the API server that tasks report to: neither logins nor pages."""
    command = _server(layout, "execution", "execution")
    return _airflow(layout, "execution", command, "client", "/execution/health", **_of_tasks(layout))


def airflow_scheduler(layout: Layout, identity: str, **more: str) -> Service:
    """Return the scheduler; with the identity of what it forks."""
    return _airflow(layout, "scheduler", "scheduler --skip-serve-logs", identity, **_of_tasks(layout), **more)


def airflow_watchers(layout: Layout) -> tuple[Service, ...]:
    """Return what parses and what waits: neither may write to the ledger."""
    return (
        _airflow(layout, "dag-processor", "dag-processor", "client"),
        _airflow(layout, "triggerer", "triggerer --skip-serve-logs", "client"),
    )


def _airflow(layout: Layout, name: str, command: str, identity: str, health: str | None = None, **more: str) -> Service:
    own = airflow_environment(layout) | airflow_database(layout) | identity_environment(layout, identity)
    return Service(name, ("airflow", *command.split()), own | more, health)


def _server(layout: Layout, apps: str, port: str) -> str:
    return f"api-server --apps {apps} --host {layout.listen} --port {layout.ports[port]} --workers 1"


def _of_tasks(layout: Layout) -> dict[str, str]:
    return {JWT: layout.secret("jwt-execution", signing_secret)}


def scoring(layout: Layout, name: str = "serving") -> Service:
    """Return the scoring service; by another name where it runs several times."""
    port = str(layout.ports["serving"])
    command = ("uvicorn", "governance.serving.app:app", "--host", layout.listen, "--port", port, "--no-access-log")
    environment = EVERYWHERE | python_path(layout) | identity_environment(layout, "serving") | label_tokens(layout)
    return Service(name, command, environment, "/health", module="governance/serving/app.py")


def lineage_delivery(layout: Layout) -> Service:
    """Return what brings lineage from the outbox to Marquez, where there is one."""
    environment = EVERYWHERE | python_path(layout) | identity_environment(layout, "lineage")
    return Service("lineage", ("governance", "lineage", "deliver", "--follow"), environment, LIVES, wants="MARQUEZ_URL")


def identity_environment(layout: Layout, identity: str) -> dict[str, str]:
    """Return the settings of one of :data:`IDENTITIES`: its own ledger role, its own key, and where things are."""
    settings = {
        "GOVERNANCE_ROOT": str(layout.root),
        "GOVERNANCE_STATE": str(layout.state),
        "GOVERNANCE_LEDGER_URL": layout.ledger_url(_LEDGER_ROLE[identity]),
        "GOVERNANCE_PUBLIC_KEYS": str(layout.public_keys),
        "GOVERNANCE_MLFLOW_URL": layout.url("mlflow"),
        "GOVERNANCE_SERVING_URL": layout.url("serving"),
        "GOVERNANCE_AIRFLOW_URL": layout.url("airflow"),
    }
    if identity in _PRIVATE_KEY:
        variable, key = _PRIVATE_KEY[identity]
        settings[variable] = str(layout.private_key(key))
    return settings


def label_tokens(layout: Layout) -> dict[str, str]:
    """Return the variable that says who may send labels: one sender, whom the scoring service and a terminal know."""
    layout.secret(LABEL_TOKENS, new_label_token)
    return {"GOVERNANCE_LABEL_TOKENS": str(layout.secret_file(LABEL_TOKENS))}


def new_label_token() -> str:
    """Return the line of one sender of labels."""
    return f"local {secrets.token_urlsafe(32)}\n"


def python_path(layout: Layout) -> dict[str, str]:
    """Return the variable that puts our code on Python's path."""
    return {"PYTHONPATH": f"{layout.root / 'include'}:{layout.root / 'plugins'}"}


def preloading(layout: Layout) -> dict[str, str]:
    """Return the variable by which the process that forks the tasks imports their libraries once, for all of them."""
    path = python_path(layout)["PYTHONPATH"]
    return {"PYTHONPATH": f"{path}:{layout.root / 'stack' / 'preload'}"}


def airflow_environment(layout: Layout) -> dict[str, str]:
    """Return what every Airflow process is told, workers too; there is no secret in it."""
    sections = {
        "core": _core(layout),
        "database": {"external_db_managers": "airflow.providers.fab.auth_manager.models.db.FABDBManager"},
        "api": {"base_url": layout.url("airflow"), "instance_name": "Model governance"},
        "fab": {
            # Roles are made once, by stack.bootstrap, not at every start of the API server.
            "update_fab_perms": "False",
            "config_file": str(layout.airflow_home / "webserver_config.py"),
            "auth_rate_limit": "60 per minute",
        },
        "logging": {
            "base_log_folder": str(layout.logs / "tasks"),
            "dag_processor_child_process_log_directory": str(layout.logs / "dag-files"),
            "colored_console_log": "False",
            # Each says something every few seconds, even when nothing happens.
            "namespace_levels": "http.access=WARNING,airflow.dag_processing.manager.DagFileProcessorManager=WARNING",
        },
        "openlineage": LINEAGE,
    } | PACE
    return EVERYWHERE | python_path(layout) | {"AIRFLOW_HOME": str(layout.airflow_home)} | _variables(sections)


def airflow_database(layout: Layout) -> dict[str, str]:
    """Return how Airflow's database is reached, and the key of what is encrypted there."""
    sections = {
        "core": {"fernet_key": layout.secret("airflow-fernet", new_fernet_key)},
        "database": {
            "sql_alchemy_conn": layout.database_url("airflow", "airflow", "postgresql+psycopg2"),
            "sql_alchemy_conn_async": layout.database_url("airflow", "airflow", "postgresql+psycopg_async"),
        },
    }
    return _variables(sections)


def _variables(sections: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {
        f"AIRFLOW__{section}__{option}".upper(): value
        for section, options in sections.items()
        for option, value in options.items()
    }


LINEAGE = {
    # Every event goes to the outbox first; the task never waits for Marquez.
    "transport": json.dumps({"type": "governance_airflow.transport.OutboxTransport"}),
    "namespace": "governance",
}

PACE = {
    # Airflow's defaults suit a cluster; here a person watches. Waiting on approvals resumes in a second or two, and a
    # process that was killed is noticed within a minute. Not sooner: on a busy machine heartbeats come late, and a
    # scheduler that takes itself for dead kills every task that runs, starts all of them again, and is later still.
    "scheduler": {
        "scheduler_idle_sleep_time": "0.25",
        "scheduler_heartbeat_sec": "2",
        "job_heartbeat_sec": "2",
        "scheduler_health_check_threshold": "60",
        "orphaned_tasks_check_interval": "60",
    },
    "triggerer": {"job_heartbeat_sec": "2", "triggerer_health_check_threshold": "30"},
    "dag_processor": {
        "refresh_interval": "5",
        "min_file_process_interval": "60",
        "parsing_processes": "1",
        # Airflow's own 50 s, and 30 s below, are for files of a few DAGs: a thousand models take 8 s of a core a file,
        # and on a busy machine many times that. DAGs whose file takes too long are gone.
        "dag_file_processor_timeout": "300",
    },
    "workers": {"execution_api_timeout": "20"},
}


def _core(layout: Layout) -> dict[str, str]:
    return {
        "executor": layout.executor,
        # Twice the cores: a run measures four families at once, and more would only wait for each other.
        "parallelism": str(max(4, 2 * (os.cpu_count() or 2))),
        "auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "dags_folder": str(layout.root / "dags"),
        "plugins_folder": str(layout.root / "plugins"),
        "load_examples": "False",
        "dagbag_import_timeout": "240",
        "dags_are_paused_at_creation": "False",
        "execution_api_server_url": f"{layout.url('execution')}/execution/",
        # Asks no name server.
        "hostname_callable": "socket.gethostname",
    }


def signing_secret() -> str:
    """Return a key that logins are signed with."""
    # Logins are signed with HMAC-SHA512, whose key should be no shorter than its output.
    return secrets.token_urlsafe(64)


def new_fernet_key() -> str:
    """Return a key for the connections and variables in Airflow's database."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()
