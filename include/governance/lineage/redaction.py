"""What an event must not say: who a person is, what a person wrote, and what a value of the data was.

An event is copied to systems with readers of their own, and cannot be called back. So these are left out of whatever
Airflow's provider puts into one: the login of who triggered a run, the run's configuration and note (people write
both), and of an error that is not one of ours the text and the stack, for libraries quote the value that they could not
use. Ours say no values (:mod:`governance.errors`). Our own facets name people by their pseudonymous id.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

Json = dict[str, Any]

WRITTEN_BY_PEOPLE = ("triggering_user_name", "conf", "note")
"""Of a run of a DAG."""

OURS = (
    "governance.errors.",
    "governance_airflow.operators.step.ToldError",
    "airflow.sdk.exceptions.Airflow",
    "airflow.exceptions.Airflow",
)
"""How the full names of exceptions begin whose text may be told."""


def redacted(text: str) -> str:
    """Return an event without what must not be told; an event that has none of it byte for byte."""
    event = json.loads(text)
    facets = (event.get("run") or {}).get("facets") or {}
    changed = [_without_people(facets.get(name)) for name in ("airflow", "airflowDagRun")]
    changed.append(_without_values(facets.get("errorMessage")))
    place = ((event.get("job") or {}).get("facets") or {}).get("sourceCodeLocation") or {}
    changed += [_without_password(place, name) for name in ("url", "repoUrl")]
    return json.dumps(event, sort_keys=True) if any(changed) else text


def _without_people(facet: Json | None) -> bool:
    run = (facet or {}).get("dagRun") or {}
    found = [name for name in WRITTEN_BY_PEOPLE if name in run]
    for name in found:
        del run[name]
    return bool(found)


def _without_values(facet: Json | None) -> bool:
    if not facet:
        return False
    kind = _class(facet)
    if not kind.startswith(OURS):
        facet["message"] = f"{kind or 'An error'}; what it says stands in the log of the task."
    facet.pop("stackTrace", None)
    return True


def _without_password(place: Json, name: str) -> bool:
    """Take out who clones a repository, and with which token: git keeps both in the address."""
    parts = urlsplit(str(place.get(name) or ""))
    if "@" not in parts.netloc:
        return False
    place[name] = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return True


def _class(facet: Mapping[str, Any]) -> str:
    """Return the full name of the exception: a stack ends with ``package.Class: what it says``."""
    stack, message = str(facet.get("stackTrace") or ""), str(facet.get("message") or "")
    told = stack.rstrip().removesuffix(message.rstrip()).rstrip().rstrip(":")
    name = told.rpartition("\n")[2].strip()
    return name if name.replace(".", "").replace("_", "").isalnum() else ""
