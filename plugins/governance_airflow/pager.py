"""Calling people out, in PagerDuty: an incident triggers an alert there, its closing resolves it.

Configured by the Airflow connection ``governance_pagerduty``: its password is the integration key of a service (Events
API v2), its host another address than PagerDuty's own, such as that of an events proxy. Without it, nobody is paged.
The deduplication key is the incident's id, so that an event which arrives twice is one alert.

Whatever happens to an event, the pipeline goes on; the incident is in the ledger, on the page and in the Inbox. No log
line holds the key, nor an answer, which might quote it.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from governance.pipeline.run import Message

CONNECTION = "governance_pagerduty"
ADDRESS = "https://events.pagerduty.com"
PATH = "/v2/enqueue"
SECONDS = 3.0
ATTEMPTS = 2
"""An event may be sent again where it is not known to have arrived: it has a deduplication key."""

LONGEST_SUMMARY = 1024
"""Characters of a summary that PagerDuty takes."""

SEVERITIES = {
    "kept": "critical",
    "stopped": "critical",
    "rolled_back": "error",
    "call": "error",
    "break_glass": "error",
}
"""Kind of a message → how bad it is."""

RESOLVES = "incident_closed"
"""The kind of message that says that an incident was closed."""

log = logging.getLogger(__name__)


def page(message: Message, model: str, link: str) -> None:
    """Trigger or resolve the alert of an incident; nothing where a message is about none, or nobody is connected.

    Args:
        message: What people are told.
        model: The model that it is about.
        link: Where to look.
    """
    from airflow.sdk.exceptions import AirflowNotFoundException

    if message.incident is None:
        return
    try:
        connection = _connection()
        _send(_address(connection), _event(message, model, link, _key(connection)))
    except AirflowNotFoundException:
        log.info("No connection %s: nobody is paged.", CONNECTION)
    except Exception as error:  # whatever happens to an event, the pipeline goes on
        log.warning("PagerDuty did not take the event of incident %s: %s", message.incident, _said(error))


class _NotTakenError(Exception):
    """An event that did not arrive, in words without a secret."""


def _connection() -> Any:
    from airflow.sdk import BaseHook

    return BaseHook.get_connection(CONNECTION)


def _key(connection: Any) -> str:
    if not connection.password:
        raise _NotTakenError(
            f"expected the integration key as the password of the connection {CONNECTION}, found none."
        )
    return str(connection.password)


def _address(connection: Any) -> str:
    """Return where events go. The key crosses the network in them: unencrypted to this machine only."""
    host = connection.host or ""
    if "://" not in host:
        port = f":{connection.port}" if connection.port else ""
        host = f"{connection.schema or 'https'}://{host}{port}" if host else ADDRESS
    parts = urlsplit(host)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(parts.hostname or "")):
        raise _NotTakenError(f"expected https as the address of the connection {CONNECTION}, found {parts.scheme}.")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}{PATH}"


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _event(message: Message, model: str, link: str, key: str) -> dict[str, Any]:
    event = {
        "routing_key": key,
        "event_action": "resolve" if message.kind == RESOLVES else "trigger",
        "dedup_key": message.incident,
    }
    if message.kind == RESOLVES:
        return event
    text = message.text if len(message.text) <= LONGEST_SUMMARY else f"{message.text[: LONGEST_SUMMARY - 1]}…"
    payload = {
        "summary": text,
        "source": f"model {model}",
        "severity": SEVERITIES.get(message.kind, "error"),
        "component": model,
        "class": message.kind,
    }
    links = [{"href": link, "text": "Open in Airflow"}] if "://" in link else []
    return {**event, "payload": payload, "links": links}


def _send(address: str, event: dict[str, Any]) -> None:
    import httpx

    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = httpx.post(address, json=event, timeout=SECONDS)  # follows no redirect: the key goes nowhere else
        except httpx.HTTPError:
            if attempt == ATTEMPTS:
                raise
            continue
        if answer.is_success:
            log.info("PagerDuty took the event of incident %s: %s.", event["dedup_key"], event["event_action"])
            return
        if not answer.is_server_error or attempt == ATTEMPTS:
            raise _NotTakenError(f"it answered {answer.status_code}.")


def _said(error: Exception) -> str:
    """Return what went wrong in words of ours: those of others might quote the key."""
    return str(error) if isinstance(error, _NotTakenError) else type(error).__name__
