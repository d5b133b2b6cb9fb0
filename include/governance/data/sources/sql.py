"""Tables of a database: ``sql:<database>/<table>``, or ``sql:<database>/<file>.sql``, a query beside ``model.yaml``.

The database's address, with its password, stands in the environment as ``GOVERNANCE_SQL_<DATABASE>``, the way
SQLAlchemy writes it; it is in no message, no log and no lineage. The connection may only read, a query is one
statement, and nothing is ever committed. A table comes in the order of its primary key, so that the same content is
the same snapshot.

Not guaranteed: any order where a table has no primary key or a query no ORDER BY: the same rows may then be another
snapshot. Nor protection from a query that changes data in a database which cannot be told that a connection only
reads: give this process a role that cannot.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.data.sources import limits, lines
from governance.data.sources.textfile import check_unique
from governance.errors import InputError, UnavailableError
from governance.settings import database_address, database_variable

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import URL, Connection, Engine

SECONDS = 10
"""How long a database may take to answer before it counts as away."""

ROWS = 500
"""How many rows are fetched at once, and looked at before the next."""

QUERY = ".sql"
QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$""", re.DOTALL)
"""Texts, names and comments: a semicolon in them ends no statement."""

REMEDY = "Correct the source, or have the database's owner allow reading."


def read(rest: str, folder: Path) -> "pd.DataFrame":
    """Read a table or a query.

    Raises:
        InputError: The database is not configured, the login is refused, there is no such table, or the query is
            wrong.
        UnavailableError: The database does not answer.
    """
    import pandas as pd
    from sqlalchemy.exc import SQLAlchemyError

    name, query = lines.connection_and_query(rest)
    where, url = f"sql:{name}/{query}", address(name)
    text = _query(query, folder) if query.endswith(QUERY) else None
    engine = _engine(name, url)
    try:
        with _connected(engine, name, url) as connection:
            try:
                statement = _table(connection, query, where) if text is None else _text(text)
                result = connection.execution_options(stream_results=True, max_row_buffer=ROWS).execute(statement)
                columns = [str(column) for column in result.keys()]  # noqa: SIM118 – a result is rows
                limits.check_columns(len(columns), where)
                check_unique(columns, where)
                rows = list(_rows(result, columns, where))
            except SQLAlchemyError as error:
                if getattr(error, "connection_invalidated", False):
                    raise _away(name, url, "") from None
                raise _failed(where, error, url) from None
    finally:
        engine.dispose()
    # As objects, whole numbers beside missing ones stay exact.
    return pd.DataFrame(rows, columns=columns, dtype=object)


def address(name: str) -> "URL":
    """Return the address of a database.

    Raises:
        InputError: It is not set, or is none.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    written, variable = database_address(name), database_variable(name)
    if written is None:
        raise InputError(
            f"Expected the address of the database {name} in {variable}, found nothing. Set it, as .env.example shows."
        )
    try:
        return make_url(written)
    except (ArgumentError, ValueError):  # whose words may quote it
        raise InputError(
            f"Expected an address such as postgresql://reader:…@host:5432/name in {variable}, found something else."
        ) from None


def _engine(name: str, url: "URL") -> "Engine":
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    kind = url.get_backend_name()
    if kind == "sqlite" and url.database not in (None, "", ":memory:") and not Path(str(url.database)).is_file():
        raise InputError(f"Expected a file at {url.database}, the database {name}, found none.")  # it would be made
    waiting = {"connect_timeout": SECONDS} if kind in ("postgresql", "mysql", "mariadb") else {}
    try:
        return create_engine(url, connect_args=waiting, hide_parameters=True)
    except (NoSuchModuleError, ImportError, ArgumentError, TypeError):
        raise InputError(
            f"Expected a database in {database_variable(name)} whose driver is installed, found {url.drivername}. "
            f"Add the driver to requirements.in."
        ) from None


def _connected(engine: "Engine", name: str, url: "URL") -> "Connection":
    """Return a connection that only reads."""
    import sqlite3

    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        connection = engine.connect()
        if url.get_backend_name() == "sqlite":
            connection.execute(text("PRAGMA query_only = ON"))
            driver: Any = connection.connection.driver_connection
            driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.MAX_LINE)
        elif url.get_backend_name() == "postgresql":
            connection.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
            connection.commit()
        return connection
    except SQLAlchemyError as error:
        raise _away(name, url, str(getattr(error, "orig", error))) from None


def _away(name: str, url: "URL", said: str) -> InputError | UnavailableError:
    variable, low = database_variable(name), said.lower()
    if "authentication" in low or "access denied" in low or ("role" in low and "does not exist" in low):
        return InputError(
            f"Expected the database {name} to let {url.username} in, found that the login is refused. "
            f"Correct the user and the password in {variable}."
        )
    if "does not exist" in low or "unknown database" in low:
        return InputError(
            f"Expected a database named {url.database} at {_server(url)}, found none. Correct {variable}."
        )
    return UnavailableError(
        f"Expected the database {name} to answer at {_server(url)}, found none that does. Start it, or correct "
        f"{variable}, and try again."
    )


def _server(url: "URL") -> str:
    return f"{url.host}:{url.port}" if url.port else str(url.host or url.database)


def _query(name: str, folder: Path) -> str:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(f"The query {name} lies outside the model's folder. Keep it there: its authors may not sign.")
    if not path.is_file():
        raise InputError(f"Expected a query at {path}, found none. Paths are relative to the model's folder.")
    try:
        text = path.read_text(encoding="utf-8").strip().rstrip(";")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    if not text:
        raise InputError(f"{path} is empty. Expected a query: SELECT … ORDER BY ….")
    if ";" in QUOTED.sub("", text):
        raise InputError(f"{path} holds several statements. Expected one: SELECT … ORDER BY ….")
    return text


def _text(query: str) -> Any:
    from sqlalchemy import text

    return text(query.replace(":", "\\:"))  # a colon is a cast or part of a time, never a parameter


def _table(connection: "Connection", name: str, where: str) -> Any:
    from sqlalchemy import column, inspect, literal_column, select, table

    schema, _, bare = name.rpartition(".")
    looked = inspect(connection)
    if not any(has(bare, schema or None) for has in (looked.has_table, _has_view(looked))):
        raise InputError(f"Expected a table or view {name}, found none in {where}. {REMEDY}")
    keys = looked.get_pk_constraint(bare, schema or None)["constrained_columns"]
    named: Any = select(literal_column("*")).select_from(table(bare, schema=schema or None))
    return named.order_by(*(column(key) for key in keys))


def _has_view(looked: Any) -> Any:
    return lambda name, schema: name in looked.get_view_names(schema)


def _rows(result: Any, columns: Sequence[str], where: str) -> Iterator[tuple[Any, ...]]:
    for part in result.partitions(ROWS):
        for row in part:
            for name, value in zip(columns, row, strict=True):
                if isinstance(value, str | bytes) and len(value) > limits.MAX_CELL:
                    raise limits.cell_too_long(where, name)
            yield tuple(row)


def _failed(where: str, error: Exception, url: "URL") -> InputError:
    """Say what is wrong with a query; of an error in the data, only its kind, for its words quote a value."""
    original = getattr(error, "orig", None) or error
    if "string or blob too big" in str(original):  # SQLite's limit, which we set
        return limits.cell_too_long(where)
    state = str(getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")
    about_the_query = state.startswith("42") or (not state and type(original).__module__ == "sqlite3")
    said = str(original).strip().partition("\n")[0] if about_the_query else ""
    if url.password:
        said = said.replace(str(url.password), "…")
    why = said or f"{type(original).__name__} {state}".strip()
    return InputError(f"{where} cannot be read: {why}. {REMEDY}")
