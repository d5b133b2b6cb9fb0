"""The databases and their roles: one role per identity, which may connect to its own database only.

Roles are made here; what they may do is said in ``schema.sql`` of the ledger, the prediction log and the outbox. The
same for the embedded PostgreSQL and for one that runs elsewhere: who calls says how to connect as superuser.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from stack.layout import LEDGER_ROLES, Layout

OWNER = "governance_owner"
DATABASES: Mapping[str, str] = {"airflow": "airflow", "mlflow": "mlflow", "governance": OWNER}
"""Database → its owner."""

LOGINS: Mapping[str, Sequence[str]] = {"airflow": ("airflow",), "mlflow": ("mlflow",), "governance": LEDGER_ROLES}
"""Database → the roles that may connect to it."""

ALL_DATABASES: Mapping[str, str] = {**DATABASES, "mlflow_logins": "mlflow", "marquez": "marquez"}
ALL_LOGINS: Mapping[str, Sequence[str]] = {**LOGINS, "mlflow_logins": ("mlflow",), "marquez": ("marquez",)}
"""The same in production, where MLflow has logins and Marquez is there."""

SCHEMAS = tuple(Path(f"include/governance/{part}/schema.sql") for part in ("ledger", "predictions", "lineage"))
"""Applied in this order: the first makes the roles."""

_ENSURE_ROLE: LiteralString = "DO $$ BEGIN CREATE ROLE {} NOLOGIN; EXCEPTION WHEN duplicate_object THEN END $$"

Connect = Callable[[str], "psycopg.Connection[tuple[Any, ...]]"]
"""Connects to a database as superuser, in autocommit."""


def provision(
    layout: Layout,
    connect: Connect,
    databases: Mapping[str, str] = DATABASES,
    logins: Mapping[str, Sequence[str]] = LOGINS,
) -> None:
    """Make roles and databases that are missing, set passwords, and apply our schemas. Repeatable.

    Args:
        layout: Where passwords and schemas are.
        connect: Connects as superuser.
        databases: Database → its owner.
        logins: Database → the roles that may connect to it.
    """
    make_databases(connect, databases, logins)
    with connect("postgres") as connection:
        for role in _roles(logins):
            password = sql.Literal(layout.secret(f"postgres-{role}"))
            connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), password))
    apply_schemas(layout.root, connect)


def make_databases(connect: Connect, databases: Mapping[str, str], logins: Mapping[str, Sequence[str]]) -> None:
    """Make roles and databases that are missing, empty; nobody can log in yet."""
    with connect("postgres") as connection:
        for role in (OWNER, *_roles(logins)):
            _execute(connection, _ENSURE_ROLE, role)
        for database, owner in databases.items():
            _ensure_database(connection, database, owner, logins[database])


def _roles(logins: Mapping[str, Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(role for roles in logins.values() for role in roles))


def apply_schemas(root: Path, connect: Connect) -> None:
    """Apply our schemas, which are written so that applying them again changes nothing."""
    for schema in (root / path for path in SCHEMAS):
        if schema.exists():
            with connect("governance") as connection:
                connection.execute(schema.read_bytes())


def _execute(connection: psycopg.Connection, statement: LiteralString, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _ensure_database(connection: psycopg.Connection, database: str, owner: str, logins: Sequence[str]) -> None:
    known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
    if known is None:
        _execute(connection, "CREATE DATABASE {} OWNER {}", database, owner)
    _execute(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", database)
    for role in logins:
        _execute(connection, "GRANT CONNECT ON DATABASE {} TO {}", database, role)
