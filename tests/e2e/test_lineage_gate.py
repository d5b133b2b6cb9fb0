"""Lineage as a gate, on the real system: a whole one is released, and one silent task is refused by name."""

from contextlib import closing, contextmanager

import psycopg
import pytest
from psycopg import sql

from governance.records import Measurement, Verdict

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@contextmanager
def silent(world, job):
    """Let nothing that a task says be kept, as if it did not speak."""
    with closing(psycopg.connect(world.stack.ledger_url("postgres"), autocommit=True)) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION lineage.silence() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        )
        named = sql.SQL(
            "CREATE TRIGGER silence BEFORE INSERT ON lineage.event FOR EACH ROW WHEN (NEW.job = {}) "
            "EXECUTE FUNCTION lineage.silence()"
        )
        connection.execute(named.format(sql.Literal(job)))
        try:
            yield
        finally:
            connection.execute("DROP TRIGGER silence ON lineage.event")


def measured(run):
    """Return what was measured of the lineage of a run's candidate."""
    found = map(Measurement.from_dict, run.evidence.data["evidence"]["measurements"])
    return {one.name: one for one in found if one.name.startswith("lineage.")}


def test_a_silent_task_is_refused_and_a_whole_lineage_is_released(world):
    with silent(world, "govern_quick.validate"):
        refused = world.trigger("quick", "One of its tasks says nothing")
        assert refused.wait_until_ended() == "failed"
    lineage = next(
        one
        for one in Verdict.from_dict(refused.evidence.data["evidence"]["verdict"]).failing()
        if one.rule == "lineage"
    )
    assert "No task says that it wrote quick/validation" in lineage.reason
    assert refused.released() == []

    told = world.trigger("quick", "All of its tasks say what they did").wait_until_asked()
    found = measured(told)
    assert (found["lineage.completeness"].value, found["lineage.completeness"].reason) == (1.0, None)

    assert told.decide("maria").status_code == 200
    assert told.wait_until_ended() == "success", told.log("release")
    shown = world.command("lineage", "quick", told.version)
    assert (shown.returncode, "endpoint: serves" in shown.stdout) == (0, True), shown.stdout + shown.stderr
