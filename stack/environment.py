"""What the services get from the terminal in which the stack is started: little, and by name.

Secrets that happen to be in somebody's shell have no business in a model's training process. What a person may set
stands in ``.env.example``, and may be set in the shell or in ``<root>/.env``.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from stack.layout import HOST, Layout

_SYSTEM = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
_OURS = ("AIRFLOW_CONN_", "AWS_", "GOVERNANCE_ENVIRONMENT", "GOVERNANCE_SNAPSHOTS", "MARQUEZ_URL")
_OF_DATA = ("GOVERNANCE_SQL_", "PYICEBERG_")
"""Addresses with passwords, of what only the pipeline reads; it is the one that holds the key of artifacts."""
_OF_PAGES = ("GOVERNANCE_METRICS_TOKEN",)
"""What only the API server with our pages reads."""


def state_folder(root: Path) -> Path:
    """Return ``$GOVERNANCE_STATE``, or ``<root>/.state``."""
    return Path(os.environ.get("GOVERNANCE_STATE") or root / ".state")


def complete(own: Mapping[str, str], layout: Layout, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a process: the operating system's part, what a person set, and its own."""
    system = {name: value for name, value in os.environ.items() if name in _SYSTEM}
    given = set_by_people(layout.root)
    names: tuple[str, ...] = (*_OURS, *_OF_DATA) if "GOVERNANCE_ARTIFACT_KEY" in own else _OURS
    names += _OF_PAGES if "GOVERNANCE_REVIEW_KEY" in own else ()
    passed_on = {name: value for name, value in given.items() if name.startswith(names)}
    no_proxy = {"NO_PROXY": f"{HOST},localhost", "no_proxy": f"{HOST},localhost"}
    return system | no_proxy | passed_on | dict(own) | dict(extra)


def set_by_people(root: Path) -> dict[str, str]:
    """Return what was set in the shell, or else in ``<root>/.env``."""
    return {**_read(root / ".env"), **os.environ}


def _read(path: Path) -> dict[str, str]:
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except FileNotFoundError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, value in pairs}
