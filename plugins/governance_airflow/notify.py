"""Telling people, in Slack, once; and calling them out for incidents (:mod:`governance_airflow.pager`).

A message is entered into the ledger under its key before it is sent, so that a cleared task does not repeat it. Only
that a task failed is told even where it cannot be entered: the ledger may be what failed. No connection: it goes to the
log. Slack down: it goes to the log, and the pipeline goes on. A message carries a link to the page where a person
decides, never a button that does.

Messages quote what others wrote: parameters, exceptions, names of columns. Slack gets that as plain text; a link or a
mention in it stays a row of characters.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow.sdk import Context

    from governance.ledger.log import Entry, Ledger
    from governance.pipeline.operation import Operation
    from governance.pipeline.run import Message, Run
    from governance.review.waiting import Answer

CONNECTION = "governance_slack"
SECONDS = 3
LONGEST = 2900
"""Characters of a text in Slack, which refuses the whole message where a section has more than 3,000."""

log = logging.getLogger(__name__)


def tell(run: Run | Operation, messages: Iterable[Message]) -> None:
    """Send each message that was not sent before."""
    for message in messages:
        data = {"kind": message.kind, "text": message.text, "path": message.path}
        entry = run.record("message", data, key=f"message:{message.key}")
        if entry.created:
            _tell_everywhere(message, run.model, _address(run.settings.airflow_url, message.path))


def tell_by_hand(ledger: Ledger, airflow_url: str | None, model: str, actor: str, message: Message) -> None:
    """Send a message about what a person did on a page, if it was not sent before.

    A person acted already, so nothing is raised: where it cannot be entered, people are told all the same.
    """
    try:
        data = {"kind": message.kind, "text": message.text, "path": message.path}
        entry = ledger.append("message", model, data, actor=actor, key=f"message:{message.key}")
        created = entry.created
    except Exception as reason:
        log.warning("Not entered into the ledger, told all the same: %s", reason)
        created = True
    if created:
        _tell_everywhere(message, model, _address(airflow_url, message.path))


def ended(run: Run, entry: Entry, answer: Answer) -> Message:
    """Return the message that an approval ended without a release."""
    from governance.pipeline.run import Message

    text = f"{run.model} {_version(entry)} will not be released. {answer.sentence}"
    return Message(f"{answer.status}:{entry.data['digest']}", answer.status, text, _review_path(run, entry))


def review_page(run: Run, entry: Entry) -> str:
    """Return the address of the page where an evidence is decided on."""
    return _address(run.settings.airflow_url, _review_path(run, entry))


def failed(context: Context) -> None:
    """Tell people that a task failed for good; the callback of every task of our DAGs.

    Where it cannot be entered into the ledger, people are told all the same, and perhaps twice. The ledger may be what
    failed; and where a task's process was killed, the DAG processor calls this, which may not write into the ledger.
    """
    from governance_airflow.operators.step import ToldError, opened

    error, task = context.get("exception"), context["task_instance"]
    if isinstance(error, ToldError):
        return
    text = f"{task.dag_id}: {task.task_id} failed. {_why(error)}"
    path = f"/dags/{task.dag_id}/runs/{quote(task.run_id, safe='')}"
    try:
        tell(opened(context, context["task"]), [_failure(task, error, text, path)])
    except Exception as reason:
        log.warning("Not entered into the ledger, told all the same: %s", reason)
        _send(text, _address(_airflow_url(), path))


def _tell_everywhere(message: Message, model: str, link: str) -> None:
    from governance_airflow import pager

    pager.page(message, model, link)
    _send(message.text, link)


def _failure(task: Any, error: object, text: str, path: str) -> Message:
    from governance import canonical
    from governance.pipeline.run import Message

    # The error is part of the key: who clears the task, and meets another one, hears of that one, too.
    which = canonical.digest({"error": _why(error)})[:16]
    return Message(f"failed:{task.dag_id}:{task.run_id}:{task.task_id}:{which}", "failed", text, path)


def _send(text: str, link: str) -> None:
    from airflow.sdk.exceptions import AirflowNotFoundException

    log.info("Message: %s %s", text, link)
    try:
        from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

        hook = SlackWebhookHook(slack_webhook_conn_id=CONNECTION, timeout=SECONDS)
        hook.send(text=f"{_escaped(text)} {_escaped(link)}", blocks=_blocks(_escaped(text), _escaped(link)))
    except AirflowNotFoundException:
        log.info("No connection %s: the message stays in this log.", CONNECTION)
    except Exception as error:  # whatever happens to a message, the pipeline goes on
        log.warning("Slack did not take the message (%s); it stays in this log.", error)


def _blocks(text: str, link: str) -> list[dict[str, Any]]:
    where = f"<{link}|Open in Airflow>" if "://" in link else link
    return [
        # verbatim: Slack makes no link of an address, and no mention of a name, that merely stands in the text.
        {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": where}]},
    ]


def _escaped(text: str) -> str:
    """Return a text as Slack shows it unchanged: its three control characters escaped, and not too long."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(escaped) <= LONGEST:
        return escaped
    return re.sub(r"&[a-z]*\Z", "", escaped[: LONGEST - 1]) + "…"


def _version(entry: Entry) -> str:
    return str(entry.data["evidence"]["model"]["version"])


def _review_path(run: Run, entry: Entry) -> str:
    return f"/plugin/governance/review/{run.model}/{_version(entry)}"


def _address(airflow_url: str | None, path: str) -> str:
    return f"{(airflow_url or '').rstrip('/')}{path}"


def _airflow_url() -> str | None:
    from governance.errors import GovernanceError
    from governance.settings import load_settings

    with suppress(GovernanceError):
        return load_settings().airflow_url
    return None


def _why(error: object) -> str:
    if error is None:
        return "Its process ended without a word: killed, or out of memory."
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
