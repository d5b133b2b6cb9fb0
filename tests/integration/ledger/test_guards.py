"""What each login may not do, tried with SQL as that login; and what the schema says about itself."""

import itertools

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_database import LOGINS, body_of

from governance import canonical
from governance.errors import InputError, RefusedError
from governance.ledger.hashes import RIGHTS
from governance.ledger.log import install
from governance.ledger.verify import verify

pytestmark = pytest.mark.integration

FORBIDDEN = {
    "update": "UPDATE ledger.entry SET kind = 'permit'",
    "update nothing": "UPDATE ledger.entry SET kind = 'permit' WHERE false",
    "delete": "DELETE FROM ledger.entry",
    "truncate": "TRUNCATE ledger.entry",
    "insert": "INSERT INTO ledger.entry SELECT seq + 1, body, leaf, chain, kind, subject, actor, 'k', at, writer "
    "FROM ledger.entry",
    "upsert": "INSERT INTO ledger.entry SELECT * FROM ledger.entry ON CONFLICT (seq) DO UPDATE SET kind = 'permit'",
    "merge": "MERGE INTO ledger.entry USING ledger.origin ON true WHEN MATCHED THEN DELETE",
    "copy": "COPY ledger.entry FROM PROGRAM 'true'",
    "replica": "SET session_replication_role = replica",
    "disable triggers": "ALTER TABLE ledger.entry DISABLE TRIGGER ALL",
    "drop the trigger": "DROP TRIGGER append_only ON ledger.entry",
    "drop": "DROP TABLE ledger.entry",
    "rename": "ALTER SCHEMA ledger RENAME TO old",
    "new function": "CREATE FUNCTION ledger.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT $1'",
    "replace the function": "CREATE OR REPLACE FUNCTION ledger.may_append(writer text, kind text) RETURNS boolean "
    "LANGUAGE sql AS 'SELECT true'",
    "rule": "CREATE RULE r AS ON INSERT TO ledger.entry DO INSTEAD NOTHING",
    "trigger": "CREATE TRIGGER t AFTER INSERT ON ledger.entry EXECUTE FUNCTION ledger.refuse()",
    "lock": "LOCK TABLE ledger.entry IN EXCLUSIVE MODE",
    "become the owner": "SET ROLE governance_owner",
    "become a superuser": "SET SESSION AUTHORIZATION postgres",
    "own": "ALTER TABLE ledger.entry OWNER TO CURRENT_USER",
    "another origin": "UPDATE ledger.origin SET name = 'mine'",
    "read kept texts": "SELECT * FROM ledger.erasable",
    "change kept texts": "UPDATE ledger.erasable SET body = ''",
    "body reader": "SELECT ledger.read_body('')",
}


@pytest.fixture
def with_an_entry(database):
    database.ledger().append("run", "loan", {"n": 1}, actor="p-1", key="first")
    before = verify(database.ledger("auditor"))
    yield database
    assert before == verify(database.ledger("auditor"))


@pytest.mark.parametrize("login", LOGINS)
def test_no_login_can_do_more_than_append_and_read(with_an_entry, login):
    with with_an_entry.connect(login) as connection:
        done = [name for name, statement in FORBIDDEN.items() if not _is_refused(connection, statement)]

        assert done == []


def _is_refused(connection, statement):
    """Only a lack of rights counts; any other error would be a slip of this test."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


@pytest.mark.parametrize("login", LOGINS)
def test_no_login_can_give_itself_rights(with_an_entry, login):
    with with_an_entry.connect(login) as connection:
        # PostgreSQL answers this with a warning only.
        connection.execute("GRANT INSERT ON ledger.entry TO CURRENT_USER")

        assert not connection.execute("SELECT has_table_privilege('ledger.entry', 'INSERT')").fetchone()[0]


@pytest.mark.parametrize(
    "statement", ["UPDATE ledger.entry SET seq = 2", "DELETE FROM ledger.entry", "TRUNCATE ledger.entry"]
)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_even_a_superuser_is_stopped_until_the_triggers_are_switched_off(with_an_entry, statement, role):
    with with_an_entry.connect("postgres") as connection:
        connection.execute(f"SET session_replication_role = {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute(statement)


def test_each_kind_is_written_by_its_writers_only(database):
    kinds = sorted(set().union(*RIGHTS.values()) | {"invented"})
    ledgers = {login: database.ledger(login) for login in LOGINS}

    allowed = {(login, kind) for login, kind in itertools.product(LOGINS, kinds) if _may(ledgers[login], login, kind)}

    assert {(login, kind) for login, kinds in RIGHTS.items() for kind in kinds} == allowed


def _may(ledger, login, kind):
    try:
        return ledger.append(kind, "loan", {}, actor="p-1", key=f"{kind}:{login}").created
    except RefusedError:
        return False


@pytest.mark.parametrize(("login", "kind", "writer"), [
    ("pipeline", "decision", "review"), ("pipeline", "permit", "review"), ("serving", "run", "pipeline"),
    ("review", "checkpoint", "witness"), ("witness", "permit", "review"), ("auditor", "run", "pipeline"),
])  # fmt: skip
def test_nobody_can_claim_to_be_another_writer(database, login, kind, writer):
    body = body_of(database, kind=kind, writer=writer)

    with database.connect(login) as connection, pytest.raises(psycopg.Error, match=r"may write|permission denied"):
        connection.execute("SELECT ledger.append(%s)", (body,))


def test_set_role_does_not_change_who_writes(database):
    with database.connect("postgres") as connection:
        connection.execute("SET ROLE review")
        with pytest.raises(psycopg.Error, match="that postgres may write"):
            connection.execute("SELECT ledger.append(%s)", (body_of(database, kind="permit", writer="review"),))


def test_functions_and_tables_of_the_same_name_in_pg_temp_change_nothing(database):
    with database.connect("pipeline") as connection:
        connection.execute(
            "CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x00'::bytea $$"
        )
        connection.execute(
            "CREATE FUNCTION pg_temp.int8send(bigint) RETURNS bytea LANGUAGE sql AS $$ SELECT ''::bytea $$"
        )
        connection.execute("CREATE TEMP TABLE entry (LIKE ledger.entry)")
        connection.execute("CREATE TEMP TABLE origin AS SELECT 'mine' AS name")
        connection.execute("SET search_path = pg_temp, ledger, pg_catalog")
        connection.execute("SELECT ledger.append(%s)", (body_of(database),))

    report = verify(database.ledger("auditor"))
    assert report.whole, report.faults
    assert report.entries == 1


@pytest.mark.parametrize("setting", [
    "timezone = 'Asia/Tokyo'", "extra_float_digits = -15", "bytea_output = 'escape'", "datestyle = 'German'",
    "standard_conforming_strings = on", "synchronous_commit = off", "lc_numeric = 'C'", "xmloption = 'content'",
])  # fmt: skip
def test_the_callers_settings_change_nothing(database, setting):
    with database.connect("pipeline") as connection:
        connection.execute(f"SET {setting}")
        connection.execute("SELECT ledger.append(%s)", (body_of(database, data={"x": 0.1, "y": 1e-7}),))

    assert verify(database.ledger("auditor")).whole


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_another_isolation_level_is_refused(database, level):
    with database.connect("pipeline") as connection, connection.transaction():
        connection.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        with pytest.raises(psycopg.Error, match="Expected the isolation level read committed"):
            connection.execute("SELECT ledger.append(%s)", (body_of(database),))


def test_a_rolled_back_append_leaves_no_gap(database):
    with database.connect("pipeline") as connection, connection.transaction(force_rollback=True):
        connection.execute("SELECT ledger.append(%s)", (body_of(database),))

    assert database.ledger().append("run", "loan", {}, actor="p", key="next").seq == 1


def test_only_review_keeps_recalls_and_erases_texts(database):
    kept = database.ledger("review").keep("a comment")

    for login in set(LOGINS) - {"review"}:
        ledger = database.ledger(login)
        for act in (
            lambda each=ledger: each.keep("x"),
            lambda each=ledger: each.recall(kept["id"]),
            lambda each=ledger: each.erase(kept["id"]),
        ):
            with pytest.raises(RefusedError, match="permission denied"):
                act()


def test_the_schema_can_be_applied_again_and_keeps_what_is_there(with_an_entry):
    origin = with_an_entry.ledger().origin

    install(with_an_entry.dsn("postgres"))

    assert origin == with_an_entry.ledger().origin


def test_applying_the_schema_again_repairs_the_guards(database):
    with database.connect("postgres") as connection:
        connection.execute("ALTER TABLE ledger.entry DISABLE TRIGGER ALL")
        connection.execute("GRANT ALL ON ledger.entry TO pipeline")
        install(database.dsn("postgres"))
        database.ledger().append("run", "loan", {}, actor="p", key="k")

        with pytest.raises(psycopg.Error, match="append-only"):
            connection.execute("DELETE FROM ledger.entry")
    with database.connect("pipeline") as connection, pytest.raises(psycopg.Error, match="permission denied"):
        connection.execute("DELETE FROM ledger.entry")


def test_a_login_that_could_become_the_owner_stops_the_schema(database):
    with database.connect("postgres") as connection:
        connection.execute("GRANT governance_owner TO serving")
        try:
            with pytest.raises(Exception, match="Expected serving to be an ordinary role"):
                install(database.dsn("postgres"))
        finally:
            connection.execute("REVOKE governance_owner FROM serving")


@pytest.mark.parametrize(("old", "new"), [
    (b'"data":{}', b'"data": {}'),
    (b'"data":{}', b'"data":{"b":1,"a":1}'),
    (b'"data":{}', b'"data":{"a":1,"a":1}'),
    (b'"data":{}', b'"data":{"a":1.0}'),
    (b'"data":{}', b'"data":{"a":-0}'),
    (b'"data":{}', b'"data":{"a":1E400}'),
    (b'"data":{}', b'"data":{"a":9007199254740993}'),
    (b'"data":{}', b'"data":{"a":0.10000000000000001}'),
    (b'"data":{}', b'"data":{"a":"\\u0041"}'),
    (b'"data":{}', b'"data":{"a":"\\ud800"}'),
    (b'"data":{}', b'"data":{"a":"\xff"}'),
    (b'"data":{}', b'"data":{"a":NaN}'),
    (b'"data":{}', b'"data":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    (b'"data":{}', b'"data":[]'),
    (b'"data":{}', b'"data":null'),
    (b'"data":{}', b'"data":{},"extra":1'),
    (b'"v":1', b'"v":2'),
    (b'"v":1,', b''),
    (b'"kind":"run"', b'"kind":"permit","kind":"run"'),
    (b'"actor":"p-1"', b'"actor":5'),
    (b'"actor":"p-1"', b'"actor":null'),
    (b'{"actor"', b' {"actor"'),
    (b'"at":"2', b'"at":"+2'),
    (b'Z","data"', b'+00:00","data"'),
])  # fmt: skip
def test_an_entry_in_any_other_form_is_refused(database, old, new):
    body = body_of(database)
    assert old in body

    with database.connect("pipeline") as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute("SELECT ledger.append(%s)", (body.replace(old, new),))
    assert caught.value.sqlstate == "GL003"


# What is written as an integer beyond 2^53 - 1 is refused, see test_append.py.
floats = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda x: not (x.is_integer() and 2**53 <= abs(x) < 1e21)
)
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | floats
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
documents = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def is_readable(document):
    try:
        canonical.from_bytes(canonical.to_bytes(document))
    except Exception:
        return False
    return True


@given(document=documents)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_database_and_python_agree_on_the_canonical_form(server_connection, document):
    body = canonical.to_bytes(document)
    if not is_readable(document):
        return

    found = server_connection.execute("SELECT ledger.canonical(%s::text::json)", (body.decode(),)).fetchone()[0]

    assert body.decode() == found


@pytest.mark.parametrize("number", [
    0.1, 1e-6, 1e-7, 1.5e-7, 123456789.125, 2.0**-44, 5e-324, 1.7976931348623157e308, 1e23, 9.5367431640625e-7, 1e22,
    4.4501477170144023e-308, 2.2250738585072014e-308, 1 / 3, 0.30000000000000004, 1e21, -1e-9, 9.999999999999997e22,
])  # fmt: skip
def test_difficult_numbers_are_written_alike(server_connection, number):
    body = canonical.to_bytes(number).decode()

    assert body == server_connection.execute("SELECT ledger.canonical(%s::text::json)", (body,)).fetchone()[0]


@pytest.fixture
def server_connection(database):
    with database.connect("postgres") as connection:
        yield connection


def test_an_entry_of_many_megabytes_is_refused(database):
    with pytest.raises(InputError, match="at most 16 MiB"):
        database.ledger().append("run", "loan", {"x": "x" * 2**24}, actor="p", key="k")
