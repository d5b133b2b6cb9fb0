"""``governance lineage deliver``: what it answers, and with which exit code."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from governance.lineage.outbox import Turn
from governance.lineage.spool import Spool
from governance.settings import ROOT
from tests.integration.lineage.conftest import event
from tests.integration.lineage.marquez_double import Collector

pytestmark = pytest.mark.slow


@pytest.fixture
def marquez():
    collector = Collector()
    yield collector
    collector.stop()


@pytest.fixture
def start(database, marquez, tmp_path):
    """Return a function that starts the command in a process of its own."""

    def run(*options, login="auditor"):
        environment = {
            "GOVERNANCE_LEDGER_URL": database.dsn(login),
            "GOVERNANCE_STATE": str(tmp_path),
            "MARQUEZ_URL": marquez.url,
            "PYTHONPATH": str(ROOT / "include"),
        }
        command = [sys.executable, "-m", "governance", "lineage", "deliver", *options]
        return subprocess.Popen(
            command, env=environment, cwd=Path("/"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return run


@pytest.fixture
def deliver(start):
    def run(*options, login="auditor"):
        process = start("--json", *options, login=login)
        out, _ = process.communicate(timeout=60)
        return process.returncode, json.loads(out)

    return run


def test_what_waits_is_delivered_by_anybody_with_a_terminal(outbox, marquez, deliver):
    outbox.append([event("a"), event("b")])
    code, said = deliver()
    assert (code, said["delivered"], said["waiting"], said["marquez"]) == (0, 2, 0, marquez.url)
    assert deliver() == (0, {**said, "delivered": 0})
    assert deliver("--all")[1]["delivered"] == 2
    assert len(marquez.taken) == 4


def test_a_refused_event_is_named_and_the_answer_is_no(outbox, marquez, deliver):
    marquez.behaviour = lambda _: 422
    outbox.append([event("a")])
    code, said = deliver()
    assert (code, said["refused"][0]["reason"], said["set_aside"]) == (2, '422 {"message": "no"}', 1)


@pytest.mark.parametrize("fault", ["away", 500])
def test_what_could_not_be_delivered_is_counted_and_the_reason_told(outbox, marquez, deliver, fault):
    outbox.append([event("a")])
    if fault == "away":
        marquez.stop()
    else:
        marquez.behaviour = lambda _: fault
    code, said = deliver()
    assert code == 1
    assert said["error"]["message"].startswith("0 events were delivered, 1 wait. Expected Marquez")


def test_the_pipeline_delivers_what_waits_on_disk_too_and_others_leave_it_there(outbox, marquez, deliver, tmp_path):
    spool = Spool(tmp_path / "lineage" / "spool")
    spool.put(event("a"))
    assert deliver()[1]["delivered"] == 0
    assert deliver(login="pipeline")[1]["delivered"] == 1
    assert spool.waiting() == []


def test_by_hand_it_looks_on_while_another_process_delivers(outbox, database, start):
    other = Turn(database.dsn("pipeline"))
    assert other.is_ours()
    outbox.append([event("a")])
    process = start("--json")
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=3)
    outbox.settle([outbox.pending()[0].number])
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, json.loads(out)["delivered"]) == (0, 0)
    other.close()


def test_it_follows_until_it_is_stopped_and_then_says_what_it_did(outbox, marquez, start):
    process = start("--follow", "--json", login="pipeline")
    outbox.append([event("a")])
    deadline = time.monotonic() + 60
    while outbox.counts().waiting and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, json.loads(out)["delivered"]) == (0, 1)


def test_without_a_marquez_it_says_what_to_set(database, tmp_path, monkeypatch, capsys):
    from governance.cli import main

    monkeypatch.setenv("GOVERNANCE_LEDGER_URL", database.dsn("auditor"))
    monkeypatch.setenv("GOVERNANCE_STATE", str(tmp_path))
    monkeypatch.delenv("MARQUEZ_URL", raising=False)
    assert main(["lineage", "deliver"]) == 1
    assert "Expected MARQUEZ_URL to be set" in capsys.readouterr().err
