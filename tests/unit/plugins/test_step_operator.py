"""A step as a task: Airflow's context into a run, a step's outcome and our errors into Airflow's, lineage out."""

import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from governance.errors import GovernanceError, InputError, TamperedError, UnavailableError
from governance.records import Dataset, Lineage
from governance_airflow.operators.step import StepOperator, ToldError
from tests.unit.plugins.airflow_task import RUN_ID, Step, context, message, names

READ_AND_WROTE = Lineage(
    [Dataset("file", "applications.csv")],
    [Dataset("governance", "loan/snapshot", {"version": {"datasetVersion": "16a0"}})],
    {"governance_trainingRun": {"attempt": 1}},
)


@pytest.fixture
def task(ledger):
    return StepOperator(task_id="measure", model="loan", step="measure", arguments={"attempt": 1, "family": "fairness"})


@pytest.fixture
def step_does(monkeypatch):
    """Return a function that gives every step an outcome; what it returns fills with what the steps are called with."""

    def does(outcome, meanwhile=lambda: None) -> list:
        calls = []

        def step(run, **arguments):
            calls.append((run, arguments))
            meanwhile()
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr("governance.pipeline.step", lambda _: step)
        return calls

    return does


def away(ledger) -> None:
    ledger.away = True


def lineage_on_complete(task):
    return DefaultExtractor(task).extract_on_complete(None)


def lineage_on_failure(task):
    return DefaultExtractor(task).extract_on_failure(None)


def test_the_summary_is_what_the_task_returns(task, step_does):
    step_does(Step({"verdict": "pass"}))

    assert task.execute(context(task)) == {"verdict": "pass"}


def test_a_step_gets_the_run_that_was_asked_for_and_its_arguments(task, step_does, ledger):
    calls = step_does(Step({}))
    task.execute(context(task, parameters={"seed": 1}))

    [(run, arguments)] = calls
    assert arguments == {"attempt": 1, "family": "fairness"}
    assert (run.model, run.run_id, run.ledger, run.seed) == ("loan", RUN_ID, ledger, 1)
    assert run.request.reason == "First release of the mortgage model"
    assert run.request.started_by == "p-9a47"


def test_what_was_asked_later_changes_nothing(task, step_does):
    calls = step_does(Step({}))
    task.execute(context(task))
    task.execute(context(task, reason="Another reason", started_by="dana", bump="major"))

    assert calls[0][0].request == calls[1][0].request


def test_the_step_that_is_named_is_the_step_that_runs(ledger, monkeypatch):
    monkeypatch.setattr("governance.pipeline.step", lambda name: lambda run: Step({"step": name}))
    task = StepOperator(task_id="release", model="loan", step="release")

    assert task.execute(context(task)) == {"step": "release"}


def test_an_unknown_key_in_the_configuration_is_refused_in_one_sentence(task, step_does, ledger):
    calls = step_does(Step({}))

    with pytest.raises(AirflowFailException) as refused:
        task.execute(context(task, sead=1))
    assert str(refused.value) == (
        "Unknown key 'sead' in the run's configuration. Known: reason, parameters, source, bump, model_uri, decision."
    )
    assert (calls, ledger.entries) == ([], [])


@pytest.mark.parametrize("reason", ["", "   ", "why"], ids=["none", "blanks", "too short"])
def test_a_run_without_a_reason_is_refused(task, step_does, reason):
    calls = step_does(Step({}))

    with pytest.raises(AirflowFailException, match="Expected a reason of at least five characters"):
        task.execute(context(task, reason=reason))
    assert calls == []


@pytest.mark.parametrize(
    ("started_by", "said"), [(None, "Expected a person who started this run"), ("mallory", "mallory")]
)
def test_a_run_that_nobody_known_started_is_refused(task, step_does, started_by, said):
    step_does(Step({}))

    with pytest.raises(AirflowFailException, match=said):
        task.execute(context(task, started_by=started_by))


def test_a_service_that_does_not_answer_is_tried_again(task, step_does):
    step_does(UnavailableError("MLflow does not answer."))

    with pytest.raises(UnavailableError) as unavailable:
        task.execute(context(task))
    assert not isinstance(unavailable.value, AirflowFailException)


def test_a_ledger_that_does_not_answer_is_tried_again(task, step_does, ledger):
    calls, ledger.away = step_does(Step({})), True

    with pytest.raises(UnavailableError):
        task.execute(context(task))
    assert calls == []


@pytest.mark.parametrize("error", [InputError, TamperedError, GovernanceError])
def test_an_error_of_ours_is_not_tried_again_and_says_its_sentence(task, step_does, error):
    step_does(error("Expected 59 columns, found 58."))

    with pytest.raises(AirflowFailException) as failed:
        task.execute(context(task))
    assert str(failed.value) == "Expected 59 columns, found 58."


def test_an_error_of_ours_shows_no_traceback_of_the_code_below(task, step_does):
    step_does(InputError("Expected 59 columns, found 58."))

    with pytest.raises(AirflowFailException) as failed:
        task.execute(context(task))
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


def test_an_error_of_ours_is_still_to_be_told(task, step_does):
    step_does(InputError("Expected 59 columns, found 58."))

    with pytest.raises(AirflowFailException) as failed:
        task.execute(context(task))
    assert not isinstance(failed.value, ToldError)


def test_an_unexpected_error_is_left_to_airflow(task, step_does):
    step_does(ZeroDivisionError("division by zero"))

    with pytest.raises(ZeroDivisionError):
        task.execute(context(task))


def test_a_step_with_nothing_to_do_is_skipped_and_says_why(task, step_does):
    step_does(Step({}, skipped="No rule blocks: there is nothing to search."))

    with pytest.raises(AirflowSkipException, match=r"No rule blocks: there is nothing to search\."):
        task.execute(context(task))


def test_a_run_that_ends_here_fails_after_people_were_told(task, step_does, slack):
    step_does(Step({}, messages=[message("loan 1.0.0 is blocked.")], failed="Blocked: Parity difference race."))

    with pytest.raises(ToldError, match=r"Blocked: Parity difference race\."):
        task.execute(context(task))
    assert len(slack.about("loan 1.0.0 is blocked.")) == 1


def test_a_verdict_is_not_tried_again():
    assert issubclass(ToldError, AirflowFailException)


def test_messages_of_a_step_that_succeeds_are_sent(task, step_does, slack):
    step_does(Step({}, messages=[message()]))
    task.execute(context(task))

    assert len(slack.messages) == 1


def test_a_verdict_that_cannot_be_told_is_told_at_the_next_try(task, step_does, slack, ledger):
    verdict = Step({}, messages=[message()], failed="Blocked.")
    step_does(verdict, meanwhile=lambda: away(ledger))
    with pytest.raises(UnavailableError):
        task.execute(context(task))

    ledger.away = False
    step_does(verdict)
    with pytest.raises(ToldError):
        task.execute(context(task))
    assert len(slack.messages) == 1


def test_a_message_that_the_ledger_refuses_fails_in_one_sentence(task, step_does, ledger, monkeypatch):
    def refuse(*_, **__):
        raise GovernanceError("The ledger refused to append the message.")

    step_does(Step({}, messages=[message()]))
    task.execute(context(task))
    monkeypatch.setattr(ledger, "append", refuse)

    with pytest.raises(AirflowFailException, match="The ledger refused"):
        task.execute(context(task))


def test_lineage_says_what_the_step_read_and_wrote(task, step_does):
    step_does(Step({}, READ_AND_WROTE))
    task.execute(context(task))
    lineage = lineage_on_complete(task)

    assert names(lineage.inputs) == ["applications.csv"]
    assert names(lineage.outputs) == ["loan/snapshot"]
    assert lineage.outputs[0].facets["version"]["datasetVersion"] == "16a0"
    assert lineage.run_facets["governance_trainingRun"]["attempt"] == 1
    assert lineage.job_facets["sourceCodeLocation"]["path"] == "tests/unit/plugins/test_step_operator.py"


def test_lineage_is_there_when_the_run_ends_here(task, step_does):
    step_does(Step({}, READ_AND_WROTE, failed="Blocked."))
    with pytest.raises(ToldError):
        task.execute(context(task))

    assert names(lineage_on_failure(task).outputs) == ["loan/snapshot"]


def test_lineage_is_there_when_people_could_not_be_told(task, step_does, ledger):
    step_does(Step({}, READ_AND_WROTE, [message()]), meanwhile=lambda: away(ledger))
    with pytest.raises(UnavailableError):
        task.execute(context(task))

    assert names(lineage_on_failure(task).outputs) == ["loan/snapshot"]


def test_lineage_is_there_when_the_step_was_skipped(task, step_does):
    step_does(Step({}, READ_AND_WROTE, skipped="Nothing to do."))
    with pytest.raises(AirflowSkipException):
        task.execute(context(task))

    assert names(lineage_on_complete(task).inputs) == ["applications.csv"]


def test_lineage_is_empty_when_the_step_did_not_get_that_far(task, step_does):
    step_does(InputError("Expected 59 columns, found 58."))
    with pytest.raises(AirflowFailException):
        task.execute(context(task))

    assert (lineage_on_failure(task).inputs, lineage_on_failure(task).outputs) == ([], [])


def test_a_step_of_the_rollback_gets_the_rollback_that_was_asked_for(ledger, step_does):
    calls = step_does(Step({}))
    task = StepOperator(task_id="restore", model="loan", step="restore")
    asked = context(task, dag_id="rollback_loan")
    asked["params"] = {"reason": "Approvals collapsed.", "to": None, "decision": None}

    task.execute(asked)

    [(operation, _)] = calls
    assert (operation.model, operation.run_id, operation.asked.actor) == ("loan", RUN_ID, "p-9a47")
    assert operation.asked.data["reason"] == "Approvals collapsed."
