"""What leaves in no event: who a person is, what a person wrote, and values of the data."""

import json
import traceback

import pytest
from airflow.sdk.exceptions import AirflowFailException

from governance.errors import InputError
from governance.lineage.redaction import redacted


def event(**facets):
    return json.dumps({"run": {"runId": "r", "facets": facets}, "job": {"name": "j"}}, sort_keys=True)


def told(text):
    return json.loads(redacted(text))["run"]["facets"]


def failed(error):
    """Return the facet that Airflow's provider makes of an error."""
    try:
        raise error
    except type(error) as caught:
        stack = "".join(traceback.format_exception(caught))
    return {"message": str(error), "programmingLanguage": "python", "stackTrace": stack}


@pytest.mark.parametrize("facet", ["airflow", "airflowDagRun"])
def test_who_triggered_a_run_and_what_they_wrote_is_left_out(facet):
    run = {"run_id": "manual", "triggering_user_name": "priya", "conf": {"reason": "For Maria"}, "note": "Maria"}
    assert told(event(**{facet: {"dagRun": run, "dag": {"dag_id": "d"}}})) == {
        facet: {"dagRun": {"run_id": "manual"}, "dag": {"dag_id": "d"}}
    }


def test_an_event_that_has_none_of_it_stays_byte_for_byte():
    text = event(airflow={"dagRun": {"run_id": "manual"}}).replace('"r"', '"r" ')
    assert redacted(text) == text


@pytest.mark.parametrize("error", [InputError("No column apr."), AirflowFailException("No column apr.")])
def test_our_errors_are_told_in_full(error):
    assert told(event(errorMessage=failed(error)))["errorMessage"] == {
        "message": "No column apr.",
        "programmingLanguage": "python",
    }


@pytest.mark.parametrize(
    "said", ["could not convert string to float: 'Maria'", "", "a\nb: Maria", "governance.errors."]
)
def test_what_another_error_quotes_is_not_told(said):
    facet = told(event(errorMessage=failed(ValueError(said))))["errorMessage"]
    assert facet["message"] == "ValueError; what it says stands in the log of the task."
    assert "stackTrace" not in facet


def test_an_error_without_a_stack_is_not_told():
    facet = told(event(errorMessage={"message": "Maria", "programmingLanguage": "python"}))["errorMessage"]
    assert facet["message"] == "An error; what it says stands in the log of the task."
