"""What each login may not do with the prediction log, tried with SQL as that login."""

import psycopg
import pytest

from governance.predictions.database import install
from tests.integration.predictions.conftest import batch

LOGINS = ("pipeline", "review", "serving", "auditor", "witness")

TABLES = ("segment", "prediction", "label", "protected", "refusal")

CHANGES = {
    f"{verb} {table}": statement.format(table)
    for table in TABLES
    for verb, statement in {
        "update": "UPDATE predictions.{} SET model = 'x'",
        "delete": "DELETE FROM predictions.{}",
        "truncate": "TRUNCATE predictions.{}",
        "insert": "INSERT INTO predictions.{0} OVERRIDING SYSTEM VALUE SELECT * FROM predictions.{0}",
        "drop": "DROP TABLE predictions.{}",
    }.items()
}
OTHERS = {
    "a day": "SELECT predictions.ensure_day('2026-01-01')",
    "arrival": "SELECT predictions.arrival()",
    "own": "ALTER TABLE predictions.label OWNER TO CURRENT_USER",
    "function": "CREATE FUNCTION predictions.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT $1'",
    "table": "CREATE TABLE predictions.mine ()",
}
READS = {table: f"SELECT FROM predictions.{table}" for table in TABLES}
CALLS = {
    "write_segment": "SELECT predictions.write_segment(NULL, NULL, NULL)",
    "write_refusals": "SELECT predictions.write_refusals('{}', '')",
    "write_labels": "SELECT predictions.write_labels('m', 's', '[]')",
    "retain": "SELECT predictions.retain('{}', '2000-01-01')",
    "settle": "SELECT predictions.settle()",
}
MAY = {
    "serving": {"write_segment", "write_refusals", "write_labels"},
    "pipeline": {*READS, "write_labels", "retain", "settle"},
    "auditor": {*READS, "settle"},
    "review": set(),
    "witness": set(),
}


def refused(connection, statement):
    """Only a lack of rights counts."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    except psycopg.Error:
        return False
    return False


@pytest.mark.parametrize("login", LOGINS)
def test_each_login_may_do_what_is_its_own_and_nothing_else(database, logged, login):
    logged(batch())
    with database.connect(login) as connection:
        allowed = {name for name, statement in {**READS, **CALLS}.items() if not refused(connection, statement)}
        done = [name for name, statement in {**CHANGES, **OTHERS}.items() if not refused(connection, statement)]

    assert allowed == MAY[login]
    assert done == []


def test_a_partition_is_no_way_around(database, logged):
    logged(batch())
    with database.connect("postgres") as connection:
        ((day,),) = connection.execute("SELECT relname FROM pg_class WHERE relname ~ '^day_[0-9]+$'").fetchall()
    for login in LOGINS:
        with database.connect(login) as connection:
            for statement in ("SELECT FROM predictions.{}", "DELETE FROM predictions.{}", "DROP TABLE predictions.{}"):
                assert refused(connection, statement.format(day))


def test_the_schema_can_be_applied_again_and_loses_nothing(database, logged):
    logged(batch())

    install(database.dsn("postgres"))
    install(database.dsn("postgres"))

    with database.connect("auditor") as connection:
        assert connection.execute("SELECT count(*) FROM predictions.prediction").fetchone() == (1,)


def test_functions_and_tables_of_the_same_name_in_pg_temp_change_nothing(database):
    header = (
        '{"evidence":"e","features":[],"lost":0,"model":"m","registry_version":1,"segment":"s","v":1,"version":"1"}'
    )
    with database.connect("serving") as connection:
        connection.execute("CREATE TEMP TABLE segment (x int)")
        connection.execute(
            "CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x00'::bytea $$"
        )
        connection.execute("SET search_path = pg_temp, predictions, pg_catalog")
        row = "2026-11-27T00:00:00.000000Z\tr-1\t0\tdesk\t{}\t1\t0.5\n"
        connection.execute("SELECT predictions.write_segment(%s, %s, '')", (header, row))
    with database.connect("auditor") as connection:
        assert connection.execute("SELECT length(digest), rows FROM predictions.segment").fetchone() == (64, 1)


@pytest.mark.parametrize(
    "row",
    [
        "", "1999-01-01T00:00:00.000000Z\tr\t0\tc\t{}\t1\t1\n", "2999-01-01T00:00:00.000000Z\tr\t0\tc\t{}\t1\t1\n",
        "{now}\tr\t0\tc\t{}\t1\n", "{now}\tr\t0\tc\tnone\t1\t1\n", "{now}\tr\tx\tc\t{}\t1\t1\n",
    ],
    ids=["no row", "long ago", "far ahead", "a field is missing", "no JSON", "no number"],
)  # fmt: skip
def test_what_is_no_segment_is_refused_as_a_whole(database, row):
    header = (
        '{"evidence":"e","features":[],"lost":0,"model":"m","registry_version":1,"segment":"s","v":1,"version":"1"}'
    )
    with database.connect("serving") as connection:
        now = connection.execute("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        with pytest.raises(psycopg.Error):
            connection.execute(
                "SELECT predictions.write_segment(%s, %s, '')", (header, row.replace("{now}", now.fetchone()[0]))
            )
    with database.connect("auditor") as connection:
        assert connection.execute("SELECT count(*) FROM predictions.segment").fetchone() == (0,)
