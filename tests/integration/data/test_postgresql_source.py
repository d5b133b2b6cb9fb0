"""Reading a table of a real PostgreSQL: what is in it, nothing changed, no password told."""

import os
from collections.abc import Iterator
from contextlib import closing
from unittest.mock import patch

import psycopg
import pytest

from governance.data.columns import content_digest
from governance.data.sources import read_source
from governance.errors import GovernanceError, InputError
from tests.integration.ledger.ledger_database import Server

PASSWORD = "canary-7654321"
DRIVERS = ("postgresql+psycopg2", "postgresql+psycopg")
TABLE = """
CREATE SCHEMA credit;
CREATE TABLE credit.applications (
    number integer PRIMARY KEY, income numeric(12, 2), kind text, granted boolean, since timestamptz, born date,
    at time, big bigint
);
INSERT INTO credit.applications VALUES
    (3, 1500.50, 'x', true, '2024-01-02 03:04:05+01', '1970-01-01', '12:30', 9007199254740993),
    (1, NULL, NULL, false, NULL, NULL, '12:31', 1),
    (2, 0.10, 'Maria', true, '2024-01-02 03:04:05Z', '1980-02-29', '12:32', 2);
CREATE VIEW credit.late AS SELECT number, income FROM credit.applications WHERE number > 1;
CREATE ROLE reader LOGIN PASSWORD 'canary-7654321';
GRANT USAGE ON SCHEMA credit TO reader;
GRANT ALL ON ALL TABLES IN SCHEMA credit TO reader;
CREATE TABLE credit.secret AS SELECT 1 AS a;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that asks the reader for a password."""
    with closing(Server()) as server:
        with psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True) as connection:
            connection.execute(TABLE)
            (path,) = connection.execute("SHOW hba_file").fetchone()
            with open(path, "r+") as file:
                rules = file.read()
                file.seek(0)
                file.write("local all reader scram-sha-256\n" + rules)
            connection.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture(params=DRIVERS)
def address(request, server):
    """Return a function: password, database → address."""

    def write(password: str = PASSWORD, database: str = "postgres", user: str = "reader") -> str:
        return f"{request.param}://{user}:{password}@/{database}?host={server.host}"

    return write


@pytest.fixture
def folder(tmp_path, address):
    """A model's folder, in an environment that knows the database."""
    with patch.dict(os.environ, {"GOVERNANCE_SQL_WAREHOUSE": address()}):
        yield tmp_path


def query(folder, text: str):
    (folder / "rows.sql").write_text(text)
    return read_source("sql:warehouse/rows.sql", folder)


def told(act) -> str:
    with pytest.raises(GovernanceError) as caught:
        act()
    assert type(caught.value) is InputError
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def test_a_table_is_read_with_its_types_in_the_order_of_its_key(folder):
    frame = query(folder, "SELECT number, income, kind, granted, since, born FROM credit.applications ORDER BY number")

    assert frame.dtypes.map(str).to_dict() == {
        "number": "int64",
        "income": "float64",
        "kind": "object",
        "granted": "bool",
        "since": "datetime64[us, UTC]",
        "born": "datetime64[us, UTC]",
    }
    assert frame["number"].tolist() == [1, 2, 3]
    assert frame["income"].tolist()[1:] == [0.1, 1500.5]
    assert str(frame["since"][2]) == "2024-01-02 02:04:05+00:00"


def test_a_table_by_its_name_comes_in_the_order_of_its_key(folder, server):
    before = query(folder, "SELECT number, big FROM credit.applications ORDER BY number")
    with psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS public.copy")
        connection.execute("CREATE TABLE public.copy (big bigint, number integer PRIMARY KEY)")
        connection.execute("INSERT INTO public.copy SELECT big, number FROM credit.applications ORDER BY random()")
        connection.execute("GRANT SELECT ON public.copy TO reader")

    assert content_digest(read_source("sql:warehouse/copy", folder)) == content_digest(before)
    assert sorted(read_source("sql:warehouse/credit.late", folder)["number"]) == [2, 3]


def test_large_whole_numbers_stay_exact(folder):
    assert query(folder, "SELECT big FROM credit.applications WHERE number = 3")["big"].tolist() == [2**53 + 1]


def test_a_cast_and_a_per_cent_sign_are_no_parameters(folder):
    frame = query(folder, "SELECT number::text AS n FROM credit.applications WHERE kind LIKE '%a%' OR kind = ':x'")

    assert frame["n"].tolist() == ["2"]


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM credit.applications RETURNING number",
        "INSERT INTO credit.applications (number) VALUES (9) RETURNING number",
        "SELECT 1; COMMIT; DELETE FROM credit.applications",
    ],
)
def test_a_query_changes_nothing(folder, server, text):
    told(lambda: query(folder, text))

    with psycopg.connect(server.dsn("postgres", "postgres")) as connection:
        assert connection.execute("SELECT count(*) FROM credit.applications").fetchone() == (3,)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sql:warehouse/credit.none", "Expected a table or view credit.none, found none"),
        ("sql:warehouse/applications", "Expected a table or view applications, found none"),
        ("sql:warehouse/credit.applications", "Column 'at' holds time"),
        ("sql:warehouse/credit.secret", "permission denied for table secret"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(folder, source, message):
    with pytest.raises(InputError, match=message):
        read_source(source, folder)


def test_an_error_in_the_data_quotes_no_value(folder):
    said = told(lambda: query(folder, "SELECT kind::integer AS k FROM credit.applications"))

    assert "22P02" in said
    assert "Maria" not in said


def test_a_wrong_password_says_which_variable(tmp_path, address):
    with patch.dict(os.environ, {"GOVERNANCE_SQL_WAREHOUSE": address("wrong-canary-7654321")}):
        said = told(lambda: read_source("sql:warehouse/credit.applications", tmp_path))

    assert said.startswith("Expected the database warehouse to let reader in, found that the login is refused.")
    assert "GOVERNANCE_SQL_WAREHOUSE" in said


def test_a_database_that_is_not_there_says_so(tmp_path, address):
    with patch.dict(os.environ, {"GOVERNANCE_SQL_WAREHOUSE": address(database="nowhere")}):
        assert "Expected a database named nowhere" in told(lambda: read_source("sql:warehouse/a.b", tmp_path))
    with patch.dict(os.environ, {"GOVERNANCE_SQL_WAREHOUSE": address(user="nobody")}):
        assert "the login is refused" in told(lambda: read_source("sql:warehouse/a.b", tmp_path))
