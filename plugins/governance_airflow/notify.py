"""Telling people, in Slack, once.

A message is entered into the ledger under its key before it is sent, so that a cleared task does not repeat it. No
connection: it goes to the log. Slack down: it goes to the log, and the pipeline goes on. A message carries a link to
the page where a person decides, never a button that does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context

    from governance.ledger.log import Entry
    from governance.pipeline.run import Message, Run
    from governance.review.waiting import Answer

CONNECTION = "governance_slack"
SECONDS = 3

log = logging.getLogger(__name__)


def tell(run: Run, messages: Iterable[Message]) -> None:
    """Send each message that was not sent before."""
    for message in messages:
        data = {"kind": message.kind, "text": message.text, "path": message.path}
        entry = run.record("message", data, key=f"message:{message.key}")
        if entry.created:
            _send(message.text, _address(run, message.path))


def ended(run: Run, entry: Entry, answer: Answer) -> Message:
    """Return the message that an approval ended without a release."""
    from governance.pipeline.run import Message

    version = entry.data["evidence"]["model"]["version"]
    text = f"{run.model} {version} will not be released. {answer.sentence}"
    path = f"/plugin/governance/review/{run.model}/{version}"
    return Message(f"{answer.status}:{entry.data['digest']}", answer.status, text, path)


def failed(context: Context) -> None:
    """Tell people that a task failed for good; the callback of every task of our DAGs."""
    from governance_airflow.operators.step import ToldError, open_run_of

    error = context.get("exception")
    task = context["task_instance"]
    if isinstance(error, ToldError):
        return
    try:
        run = open_run_of(context, context["task"].model)
    except Exception as reason:  # the failure may be that nothing can be opened: then the log has to do
        log.error("%s failed: %s. Not told in Slack: %s", task.task_id, error, reason)
        return
    from governance.pipeline.run import Message

    text = f"{task.dag_id}: {task.task_id} failed. {_first_line(error)}"
    path = f"/dags/{task.dag_id}/runs/{task.run_id}"
    tell(run, [Message(f"failed:{task.run_id}:{task.task_id}:{_first_line(error)}", "failed", text, path)])


def _send(text: str, link: str) -> None:
    from airflow.exceptions import AirflowNotFoundException
    from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

    log.info("Message: %s %s", text, link)
    try:
        hook = SlackWebhookHook(slack_webhook_conn_id=CONNECTION, timeout=SECONDS)
        hook.send(text=f"{text} {link}", blocks=_blocks(text, link))
    except AirflowNotFoundException:
        log.info("No connection %s: the message stays in this log.", CONNECTION)
    except Exception as error:  # whatever Slack does, the pipeline goes on
        log.warning("Slack did not take the message (%s); it stays in this log.", error)


def _blocks(text: str, link: str) -> list[dict[str, Any]]:
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": text}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": f"<{link}|Open in Airflow>"}]},
    ]


def _address(run: Run, path: str) -> str:
    return f"{(run.settings.airflow_url or '').rstrip('/')}{path}"


def _first_line(error: object) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]
