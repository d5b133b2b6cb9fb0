"""What a container of ours starts with: ``python -m stack.container NAME [COMMAND ...]``.

``NAME`` is one of :data:`stack.production.SERVICES` and becomes that service, or one of :data:`stack.jobs.JOBS` and is
done once. With a ``COMMAND`` behind it, that is run instead, with what the service would see: ``scheduler airflow jobs
check``. ``check NAME`` says whether the service in this container works.

The process is replaced, so that signals reach the service itself. A secret that is missing stops the start; the message
names it.
"""

import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from governance.errors import GovernanceError
from stack import health
from stack.airflow_setup import write_files
from stack.errors import StackError
from stack.production import SERVICES, Production, complete
from stack.services import Service

ANSWERS = {
    "mlflow": "/health",
    "airflow": "/api/v2/version",
    "execution": "/execution/health",
    "serving": "/health",
}
"""Service → what it answers on its own port."""

WITNESS_SECONDS = 300
"""It looks every minute; a large ledger takes some of that."""

APP = "airflow.providers.celery.executors.celery_executor.app"
PING = ("celery", "-A", APP, "inspect", "ping", "--destination", f"celery@{socket.gethostname()}")
"""Asks the worker of this container, by way of Redis."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments name; returns only where nothing was started."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(given, Production.of(os.environ))
    except (StackError, GovernanceError) as error:
        print(error, file=sys.stderr)
        return 1


def _run(given: list[str], layout: Production) -> int:
    name, *command = given or [""]
    if name == "check" and command == ["worker"]:
        return start(layout, SERVICES["worker"](layout), PING)
    if name == "check" and len(command) == 1:
        return 0 if works(layout, command[0]) else 1
    if name in SERVICES:
        return start(layout, SERVICES[name](layout), command)
    from stack.jobs import JOBS  # with all that they need, which no check of health should wait for

    if name not in JOBS or command:
        known = ", ".join([*SERVICES, *JOBS])
        raise StackError(f"Expected the name of a service or a job ({known}), found {name!r}.")
    JOBS[name](layout)
    return 0


def start(layout: Production, service: Service, command: Sequence[str] = ()) -> int:
    """Become a service, or run a command as it would; does not return."""
    layout.airflow_home.mkdir(parents=True, exist_ok=True)
    layout.copy_private_keys()
    if service.command[0] == "airflow":
        write_files(layout)
    program, *rest = service.command
    line = list(command) or [sys.executable, "-m", program, *rest]
    environment = complete(service, os.environ, layout.secrets)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment.get('PATH', os.defpath)}"
    os.chdir(layout.airflow_home)
    os.execvpe(line[0], line, environment)


def works(layout: Production, name: str) -> bool:
    """Whether the service that runs in this container does its work.

    What has no address of its own is asked of Airflow, which knows its heartbeat; lineage does its work where Marquez
    takes it.
    """
    if name not in SERVICES:
        raise StackError(f"Expected a service ({', '.join(SERVICES)}), found {name!r}.")
    if name in ANSWERS:
        return health.answers(f"http://localhost:{layout.ports[name]}{ANSWERS[name]}")
    if name == "witness":
        return _is_fresh(layout.state / "witness" / "checkpoints.jsonl")
    if name == "lineage":
        return health.answers(f"{layout.url('marquez')}/api/v1/namespaces")
    parts = health.get_json(f"http://{layout.addresses['airflow']}/api/v2/monitor/health") or {}
    return bool(parts.get(name.replace("-", "_"), {}).get("status") == "healthy")


def _is_fresh(file: Path) -> bool:
    return file.exists() and time.time() - file.stat().st_mtime < WITNESS_SECONDS


if __name__ == "__main__":
    sys.exit(main())
