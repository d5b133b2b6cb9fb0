"""The task of ``retain_predictions``: called as Airflow calls it."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException

from governance.errors import RefusedError, UnavailableError
from governance.monitoring.keep import Gone
from governance_airflow.operators.retain import RetainOperator


@pytest.fixture
def retained(monkeypatch):
    """Return a function: what comes of letting go → what the task returns."""

    def run(outcome):
        def let_go(_):
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr("governance.monitoring.keep.let_go", let_go)
        dag_run = SimpleNamespace(run_after=datetime(2026, 3, 1, tzinfo=UTC))
        return RetainOperator(task_id="retain").execute(context={"dag_run": dag_run})

    return run


def test_it_says_how_much_went(retained):
    assert retained(Gone(3, 1, 2, 6, 2)) == {"segments": 3, "days": 1, "windows": 2, "files": 6, "pages": 2}


def test_a_policy_below_a_floor_ends_the_task_and_a_database_that_is_away_is_asked_again(retained):
    with pytest.raises(AirflowFailException, match="25 months"):
        retained(RefusedError("25 months are the floor."))
    with pytest.raises(UnavailableError):
        retained(UnavailableError("It is away."))
