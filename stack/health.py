"""Does a service work? Asked over the address that its users use.

Airflow's scheduler, DAG processor and triggerer have no address; their heartbeats are read from Airflow's health
endpoint, and count only if they are younger than the process: after a crash the last heartbeat of the dead one
still looks healthy.
"""

import json
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

from stack.layout import Layout, Started
from stack.processes import find
from stack.services import LIVES, Service

# Proxies of the surrounding machine have no business on loopback.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
_no_answer = (urllib.error.URLError, OSError, ValueError)


def is_healthy(layout: Layout, service: Service, started: Started) -> bool:
    """Whether a service that was started does its work."""
    if service.health == LIVES:
        return find(started) is not None
    if service.health is not None:
        return answers(layout.url(service.name) + service.health)
    return _heartbeat(layout, service.name.replace("-", "_")) > started.created


def answers(url: str) -> bool:
    """Whether an address answers with success."""
    try:
        with _open(url, timeout=5) as response:
            return bool(200 <= response.status < 300)
    except _no_answer:
        return False


def get_json(url: str) -> Any:
    """Return the JSON document behind an address; ``None`` where there is none."""
    try:
        with _open(url, timeout=5) as response:
            return json.load(response)
    except _no_answer:
        return None


def _heartbeat(layout: Layout, name: str) -> float:
    """Return when a process last said that it lives; 0 if Airflow takes it for dead."""
    document = get_json(layout.url("airflow") + "/api/v2/monitor/health") or {}
    part = document.get(name, {})
    time = part.get(f"latest_{name}_heartbeat")
    return datetime.fromisoformat(time).timestamp() if time and part["status"] == "healthy" else 0.0


def dags_are_read(layout: Layout, since: float) -> bool:
    """Whether the DAG processor has read the DAG files after ``since``, or there are none."""
    if not has_dag_files(layout.root / "dags"):
        return True
    import psycopg

    question = """
        SELECT EXISTS (SELECT FROM dag WHERE last_parsed_time >= to_timestamp(%(since)s))
            OR EXISTS (SELECT FROM import_error WHERE timestamp >= to_timestamp(%(since)s))
    """
    with psycopg.connect(layout.database_url("airflow", "airflow"), connect_timeout=5) as connection:
        row = connection.execute(question, {"since": since}).fetchone()
    return bool(row and row[0])


def has_dag_files(folder: Path) -> bool:
    """Whether a folder holds Python files."""
    return next(folder.glob("**/*.py"), None) is not None


def last_lines(log: Path, count: int = 25) -> str:
    """Return the end of a log file."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "(it wrote no log)"
    return "\n".join(lines[-count:])
