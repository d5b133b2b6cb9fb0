"""Airflow's provider, our transport, and a real outbox: what the provider tells is what is kept, people left out."""

import json

import pytest
from lineage_schemas import faults
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

from governance.lineage.keep import spool_of
from governance.lineage.spool import Spool
from governance.settings import load_settings
from stack.services import LINEAGE

RUN = "01a21ebf-e43a-7c36-a4cc-27a1c737990f"


@pytest.fixture
def client(database, tmp_path, monkeypatch):
    """OpenLineage's client as Airflow's provider makes it, in an environment like a task's."""
    monkeypatch.setenv("GOVERNANCE_LEDGER_URL", database.dsn("pipeline"))
    monkeypatch.setenv("GOVERNANCE_STATE", str(tmp_path))
    return OpenLineageClient(config={"transport": json.loads(LINEAGE["transport"])})


def event(**facets):
    run = Run(RUN, {name: {"_producer": "a:b", "_schemaURL": "a:b", **said} for name, said in facets.items()})
    job = Job("governance", "govern_loan.train", {})
    return RunEvent(eventTime="2026-03-03T14:00:00+00:00", run=run, job=job, eventType=RunState.START, producer="a:b")


def test_an_event_of_airflow_is_kept_without_who_triggered_it(client, outbox):
    client.emit(event(airflow={"dagRun": {"run_id": "manual", "triggering_user_name": "priya"}}))
    (kept,) = outbox.of_run(RUN)

    assert kept.event["run"]["facets"]["airflow"]["dagRun"] == {"run_id": "manual"}
    assert faults(kept.event) == []


def test_an_event_waits_on_disk_while_the_database_is_away(client, outbox, tmp_path, monkeypatch):
    monkeypatch.setenv("GOVERNANCE_LEDGER_URL", "postgresql://pipeline:word@127.0.0.1:1/governance")
    client.emit(event())

    assert outbox.of_run(RUN) == []
    assert len(Spool(spool_of(load_settings())).waiting()) == 1
