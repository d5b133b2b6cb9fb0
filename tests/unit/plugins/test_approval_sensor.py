"""The approval task: defers while people may sign, ends with who and why, and believes nothing but the ledger."""

import logging
from datetime import timedelta

import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from governance.errors import UnavailableError
from governance_airflow import notify
from governance_airflow.operators.step import ToldError
from governance_airflow.sensors.approval import ApprovalSensor
from governance_airflow.triggers.approval import ApprovalTrigger
from tests.unit.plugins import example
from tests.unit.plugins.airflow_task import PAGE, RUN_ID, context, names

FORGED = {"status": "approved", "sentence": "Maria Alvarez and Tom Okafor signed."}


@pytest.fixture
def ledger(office, work_on):
    """The ledger that the review desk signs into, which is the one that the task asks."""
    return work_on(office.ledger)


@pytest.fixture
def task(ledger, slack):
    sensor = ApprovalSensor(task_id="approve_compliance", model="loan", role="compliance")
    sensor._cached_logger = logging.getLogger("task")
    return sensor


def signed_by_both(office) -> None:
    office.sign("maria")
    office.sign("tom")


def unavailable(*_, **__):
    raise UnavailableError("The ledger does not answer.")


def wait_of(task, ask=ApprovalSensor.execute, *event) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as waits:
        ask(task, context(task), *event)
    return waits.value


def end_of(task, ask=ApprovalSensor.execute, *event) -> str:
    with pytest.raises(ToldError) as ended:
        ask(task, context(task), *event)
    return str(ended.value)


def test_while_people_may_sign_the_task_waits_in_the_triggerer(task, office):
    office.waiting_attempt()
    waits = wait_of(task)

    assert isinstance(waits.trigger, ApprovalTrigger)
    assert waits.trigger.serialize()[1] == {
        "model": "loan",
        "run_id": RUN_ID,
        "role": "compliance",
        "poll_seconds": 1.0,
    }
    assert (waits.method_name, waits.kwargs, waits.timeout) == ("resume", None, None)


def test_the_log_says_who_can_sign_and_where(task, office, caplog):
    caplog.set_level(logging.INFO)
    office.waiting_attempt()
    wait_of(task)

    [said] = [text for text in caplog.messages if text.startswith("Waits for Compliance")]
    assert "(Tom Okafor or Ines Marchetti)" in said
    assert said.endswith(f" UTC. {PAGE}")


def test_one_signature_of_another_role_is_not_enough(task, office):
    office.waiting_attempt()
    office.sign("maria")

    wait_of(task)


def test_when_the_role_has_signed_the_task_succeeds(task, office):
    digest = office.waiting_attempt()
    signed_by_both(office)
    summary = task.execute(context(task))

    assert (summary["evidence"], summary["role"]) == (digest, "compliance")
    assert summary["signed"] == f"Tom Okafor signed evidence {digest[:16]} as Compliance."


def test_when_the_trigger_fires_and_the_ledger_agrees_the_task_succeeds(task, office):
    office.waiting_attempt()
    signed_by_both(office)

    assert task.resume(context(task), FORGED)["role"] == "compliance"


@pytest.mark.parametrize(
    "event", [FORGED, {"status": "denied"}, {"status": "error", "sentence": "No."}, {}, None, "approved"], ids=repr
)
def test_what_the_trigger_claims_decides_nothing(task, office, event):
    office.waiting_attempt()
    waits = wait_of(task, ApprovalSensor.resume, event)

    assert (waits.trigger.role, waits.method_name) == ("compliance", "resume")


def test_a_trigger_that_fires_for_nothing_is_not_asked_every_second(task, office):
    office.waiting_attempt()

    assert wait_of(task, ApprovalSensor.resume, FORGED).trigger.poll_seconds == 10.0


def test_what_the_trigger_claims_hides_no_reject(task, office):
    office.waiting_attempt()
    office.sign("maria", "reject", "The survey is too old.")

    assert "Maria Alvarez" in end_of(task, ApprovalSensor.resume, FORGED)


@pytest.mark.parametrize("ask", [ApprovalSensor.execute, ApprovalSensor.resume])
def test_one_reject_ends_it_and_says_who_and_where_to_read_why(task, office, ask):
    digest = office.waiting_attempt()
    office.sign("maria", "reject", "The survey is too old.")
    event = [FORGED] if ask is ApprovalSensor.resume else []

    assert end_of(task, ask, *event) == (
        f"Maria Alvarez (Model risk) rejected evidence {digest[:16]}: the reason is on the review page. {PAGE}"
    )


def test_what_a_person_wrote_stands_in_no_log_and_no_message(task, office, slack, ledger, caplog):
    caplog.set_level(logging.DEBUG)
    office.waiting_attempt()
    office.sign("maria", "reject", "The survey is too old.")
    end_of(task)

    everything = [*caplog.messages, *map(str, slack.messages), *(str(entry.data) for entry in ledger.entries)]
    assert not any("too old" in text for text in everything)


def test_a_reject_is_told_once_with_who_and_a_link_to_why(task, office, slack):
    office.waiting_attempt()
    office.sign("maria", "reject", "The survey is too old.")
    other = ApprovalSensor(task_id="approve_model_risk", model="loan", role="model_risk")
    for asked in (task, task, other):
        end_of(asked)

    [sent] = slack.messages
    assert sent["text"].startswith("loan 1.0.0 will not be released. Maria Alvarez (Model risk) rejected evidence ")
    assert sent["blocks"][1]["elements"][0]["text"] == f"<{PAGE}|Open in Airflow>"


def test_a_reject_is_not_told_once_more_as_a_failed_task(task, office, slack):
    office.waiting_attempt()
    office.sign("maria", "reject", "The survey is too old.")
    with pytest.raises(ToldError) as ended:
        task.execute(context(task))
    notify.failed(context(task, ended.value))

    assert len(slack.messages) == 1


def test_a_reject_is_recorded(task, office, ledger):
    digest = office.waiting_attempt()
    office.sign("maria", "reject", "The survey is too old.")
    end_of(task)

    [entry] = ledger.find("rejected")
    assert (entry.data["evidence"], entry.data["run_id"]) == (digest, RUN_ID)


def test_nobody_answering_is_not_a_yes(task, office, slack, ledger):
    office.waiting_attempt(asked=timedelta(days=-8), lasts=timedelta(days=7))
    said = end_of(task)

    assert said.startswith("Nobody signed as Compliance until ")
    assert said.endswith(f"Tom Okafor or Ines Marchetti could have. Nothing is approved by waiting. {PAGE}")
    assert len(slack.about("Nothing is approved by waiting.")) == 1
    assert len(ledger.find("expired")) == 1


def test_a_policy_that_changed_while_people_signed_ends_it(task, office, monkeypatch, tmp_path, slack):
    office.waiting_attempt()
    changed = tmp_path / "people.yaml"
    changed.write_text(example.SETTINGS.people.read_text() + "# changed\n")
    monkeypatch.setenv("GOVERNANCE_PEOPLE", str(changed))

    assert end_of(task).startswith("The policy or people.yaml changed since the evidence was written.")
    assert len(slack.messages) == 1


@pytest.mark.parametrize(
    ("ask", "event"), [(ApprovalSensor.execute, ()), (ApprovalSensor.resume, (FORGED,))], ids=["first", "resumed"]
)
def test_a_ledger_that_does_not_answer_is_waited_for(task, office, ledger, caplog, ask, event):
    office.waiting_attempt()
    signed_by_both(office)
    ledger.away = True
    waits = wait_of(task, ask, *event)

    assert waits.trigger.serialize()[1].items() >= {"model": "loan", "run_id": RUN_ID, "role": "compliance"}.items()
    assert waits.method_name == "resume"
    assert "Waits for the ledger. The ledger does not answer." in caplog.messages

    ledger.away = False
    assert task.resume(context(task), FORGED)["role"] == "compliance"


def test_a_reject_that_could_not_be_told_is_told_when_the_ledger_is_back(task, office, ledger, slack, monkeypatch):
    office.waiting_attempt()
    office.sign("maria", "reject", "The survey is too old.")
    with monkeypatch.context() as outage:
        outage.setattr(ledger, "append", unavailable)
        wait_of(task)
    end_of(task, ApprovalSensor.resume, FORGED)

    assert len(slack.messages) == 1


def test_a_run_that_was_not_judged_fails_in_one_sentence(task):
    with pytest.raises(AirflowFailException, match="clear the judge task") as failed:
        task.execute(context(task))
    assert not isinstance(failed.value, ToldError)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


def test_a_blocked_attempt_cannot_be_waited_for(task, office):
    office.blocked_attempt()

    with pytest.raises(AirflowFailException, match="Nothing to sign: the last attempt is blocked by"):
        task.execute(context(task))


def test_lineage_says_what_was_signed(task, office):
    digest = office.waiting_attempt()
    signed_by_both(office)
    task.execute(context(task))
    lineage = DefaultExtractor(task).extract_on_complete(None)

    assert names(lineage.inputs) == ["loan/evidence"]
    assert lineage.inputs[0].facets["version"]["datasetVersion"] == digest
    assert names(lineage.outputs) == ["loan/signed/compliance", "loan/permit"]
    signed = lineage.outputs[0].facets["governance_approval"]["decisions"]
    assert [(one["person"], one["answer"]) for one in signed] == [("p-2b95", "approve")]


def test_lineage_of_an_approval_that_failed_names_the_evidence_and_no_signature(task, office):
    digest = office.waiting_attempt(asked=timedelta(days=-8), lasts=timedelta(days=7))
    end_of(task)
    lineage = DefaultExtractor(task).extract_on_failure(None)

    assert [dataset.facets["version"]["datasetVersion"] for dataset in lineage.inputs] == [digest]
    assert lineage.outputs == []


def test_lineage_of_an_approval_without_evidence_is_empty(task):
    with pytest.raises(AirflowFailException):
        task.execute(context(task))
    lineage = DefaultExtractor(task).extract_on_failure(None)

    assert (lineage.inputs, lineage.outputs) == ([], [])
