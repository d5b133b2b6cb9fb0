"""Starts, stops and finds the stack.

:class:`Stack` is all that the command line, the demo and the tests use. The order of a start: PostgreSQL first;
while it is made, Airflow's bootstrap is already importing; then everything at once. A start that fails, or is
interrupted, stops what it started. After a crash of any part, ``stop`` then ``up`` is enough: what is left over is
found by pid and start time, or by the stack's mark (:mod:`stack.processes`), and nothing else is ended.

Not guaranteed: restarting a service that dies. In production the container runtime does that; here a person should
see it.
"""

import fcntl
import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import psutil

from stack import environment, health, processes
from stack.errors import StackError
from stack.keys import ensure_keys
from stack.layout import (
    Layout,
    Record,
    choose_ports,
    is_free,
    load_record,
    new_record,
    save_record,
    write_private,
)
from stack.logins import Login, as_documents, logins, password, write_logins
from stack.postgres import Postgres
from stack.services import IDENTITIES, Service, identity_environment, services

ROOT = Path(__file__).resolve().parents[1]
_START_SECONDS = 240.0
_STOP_SECONDS = 5.0


class Stack:
    """One stack: a state folder and the processes that belong to it.

    Args:
        state: Folder of everything that is not in version control; ``$GOVERNANCE_STATE`` or ``<root>/.state``.
        root: The checkout whose DAGs, plugins and code are run.
        extra: Variables for the services on top of their own, for example ``AIRFLOW_CONN_…``.
        without: Services that are not wanted.
        report: Where a line of progress goes.
    """

    def __init__(
        self,
        state: Path | None = None,
        root: Path = ROOT,
        *,
        extra: Mapping[str, str] | None = None,
        without: tuple[str, ...] = (),
        report: Callable[[str], None] = print,
    ) -> None:
        self.root = root.resolve()
        self.state = (state or environment.state_folder(self.root)).resolve()
        self.extra = dict(extra or {})
        self.without = without
        self.report = report
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    # What others ask of it

    @property
    def services(self) -> dict[str, int]:
        """Name → pid of every service that runs now."""
        return {name: process.pid for name, process in self._running().items()}

    @property
    def is_up(self) -> bool:
        """Whether every service that should run does run."""
        return set(self._running()) >= {"postgres", *(service.name for service in self._wanted())}

    def url(self, service: str) -> str:
        """Return the address of ``airflow``, ``mlflow``, ``serving`` or ``execution``."""
        return self.layout.url(service)

    def login(self, name: str) -> str:
        """Return the password of a login of the local Airflow."""
        return password(self.layout, name)

    def environment(self, identity: str) -> dict[str, str]:
        """Return a complete environment for a process of one identity.

        Args:
            identity: ``pipeline``, ``review``, ``serving``, or ``client`` (``auditor`` is another word for it).
        """
        identity = "client" if identity == "auditor" else identity
        if identity not in IDENTITIES:
            raise StackError(f"Expected an identity out of {', '.join(IDENTITIES)}, found {identity!r}.")
        return self._complete(identity_environment(self.layout, identity))

    def ledger_url(self, role: str) -> str:
        """Return the ledger's address for one of its login roles, ``witness`` among them."""
        return self.layout.ledger_url(role)

    # Starting

    def up(self) -> bool:
        """Start everything and wait until it works; whether anything had to be started.

        Raises:
            StackError: A service did not start; the message ends with the last lines of its log.
        """
        with self._lock():
            if self.is_up:
                self._write_client_file()
                return False
            try:
                with _interruptible():
                    self._start_everything()
            except BaseException:
                self.report("Stopping what was started.")
                self._stop_everything()
                raise
            return True

    def restart(self, name: str) -> None:
        """Stop one service and start it again."""
        with self._lock():
            running = self._running().get(name)
            if running:
                signal_ = signal.SIGINT if name == "postgres" else signal.SIGTERM
                processes.end(processes.with_children([running]), _STOP_SECONDS, signal_)
            self._reap()
            if name == "postgres":
                self._start_postgres()
                return
            service = next(service for service in self._wanted() if service.name == name)
            self._launch(service)
            self._wait_for([service])

    def stop(self) -> bool:
        """Stop everything that belongs to this stack; whether anything was running."""
        if not (self.state / "stack.json").exists():
            return False
        with self._lock():
            return self._stop_everything()

    def check_alive(self) -> None:
        """Raise if a service that was started has ended.

        Raises:
            StackError: It says which, with the last lines of its log.
        """
        for name, started in self.record.services.items():
            if processes.find(started) is None:
                raise self._failure(name, "has ended")

    # State

    @cached_property
    def record(self) -> Record:
        """What is remembered in ``stack.json``."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        record = load_record(self.state) or new_record()
        save_record(self.state, record)
        return record

    @property
    def layout(self) -> Layout:
        """Places and addresses."""
        return Layout(self.root, self.state, self.record.ports)

    def _running(self) -> dict[str, psutil.Process]:
        self._reap()
        known = load_record(self.state)
        found = {name: processes.find(started) for name, started in (known.services if known else {}).items()}
        return {name: process for name, process in found.items() if process}

    def _reap(self) -> None:
        for child in self._children.values():
            child.poll()

    def _wanted(self) -> list[Service]:
        return [service for service in services(self.layout) if self._can_run(service)]

    def _can_run(self, service: Service) -> bool:
        present = service.module is None or (self.root / "include" / service.module).exists()
        return present and service.name not in self.without

    def _complete(self, own: Mapping[str, str]) -> dict[str, str]:
        return environment.complete(own, self.layout, self.extra) | {processes.MARK: self.record.mark}

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one command at a time change the stack; the lock ends with the process that holds it."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.state / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.report("Another command is starting or stopping this stack; waiting for it.")
                fcntl.flock(file, fcntl.LOCK_EX)
            self.__dict__.pop("record", None)
            yield

    # How a start goes

    def _start_everything(self) -> None:
        began = time.monotonic()
        self._stop_everything()
        self._choose_ports_again()
        ensure_keys(self.layout)
        self._write_airflow_files()
        people = logins(self.layout)
        write_logins(self.layout, people)
        bootstrap = self._begin_bootstrap(people)
        self._start_postgres()
        early = [service for service in self._wanted() if service.command[0] != "airflow"]
        for service in early:
            self._launch(service)
        self._finish_bootstrap(bootstrap, people)
        for service in self._wanted():
            if service not in early:
                self._launch(service)
        self._wait_for(self._wanted())
        self._wait_for_dags()
        self._write_client_file()
        self.report(f"Everything runs ({time.monotonic() - began:.0f} s).")

    def _choose_ports_again(self) -> None:
        """Replace ports that somebody else has taken since."""
        taken = [name for name, port in self.record.ports.items() if not is_free(port)]
        for name, port in choose_ports(taken).items():
            self.report(f"Port {self.record.ports[name]} is taken by another program; {name} moves to {port}.")
            self.record.ports[name] = port
        save_record(self.state, self.record)

    def _start_postgres(self) -> None:
        server = Postgres(self.layout)
        server.prepare()
        command, log = server.command(), self.layout.logs / "postgres.log"
        own = self._complete({})
        child = processes.start(command, own, log, server.folder, **server.as_user())
        self._remember("postgres", child)
        self._wait_until(server.is_ready, "postgres", 60)
        server.provision()
        self.report("postgres      works")

    def _launch(self, service: Service) -> None:
        program, *arguments = service.command
        command = [sys.executable, "-m", program, *arguments]
        log = self.layout.logs / f"{service.name}.log"
        folder = self.layout.airflow_home
        self._remember(service.name, processes.start(command, self._complete(service.environment), log, folder))

    def _remember(self, name: str, child: subprocess.Popen[bytes]) -> None:
        self._children[name] = child
        self.record.services[name] = processes.identify(child)
        save_record(self.state, self.record)

    def _wait_for(self, wanted: list[Service]) -> None:
        waiting = {service.name: service for service in wanted}

        def all_work() -> bool:
            for name, service in list(waiting.items()):
                self._must_be_alive(name)
                if health.is_healthy(self.layout, service, self.record.services[name]):
                    self.report(f"{name:14}works" + (f"   {self.url(name)}" if service.health else ""))
                    del waiting[name]
            return not waiting

        if not processes.wait_until(all_work, _START_SECONDS, pause=0.25):
            raise self._failure(next(iter(waiting)), f"did not answer within {_START_SECONDS:.0f} s")

    def _wait_until(self, condition: Callable[[], bool], name: str, seconds: float) -> None:
        def holds() -> bool:
            self._must_be_alive(name)
            return condition()

        if not processes.wait_until(holds, seconds):
            raise self._failure(name, f"did not answer within {seconds:.0f} s")

    def _wait_for_dags(self) -> None:
        since = self.record.services["dag-processor"].created
        if not processes.wait_until(lambda: health.dags_are_read(self.layout, since), 60, pause=0.25):
            self.report(f"No DAG was found in {self.root / 'dags'} within a minute; see logs/dag-processor.log.")

    def _must_be_alive(self, name: str) -> None:
        self._reap()
        if processes.find(self.record.services[name]) is None:
            raise self._failure(name, "ended while it started")

    def _failure(self, name: str, what: str) -> StackError:
        log = self.layout.logs / f"{name}.log"
        return StackError(f"{name} {what}. The end of {log}:\n\n{health.last_lines(log)}")

    # Airflow's first start

    def _bootstrap_stamp(self, people: list[Login]) -> str:
        parts = [as_documents(people), version("apache-airflow"), version("apache-airflow-providers-fab")]
        code = (Path(__file__).parent / "bootstrap.py").read_text()
        return hashlib.sha256(json.dumps([*parts, code]).encode()).hexdigest()

    def _begin_bootstrap(self, people: list[Login]) -> subprocess.Popen[bytes] | None:
        stamp = self.layout.airflow_home / "bootstrapped"
        if stamp.exists() and stamp.read_text() == self._bootstrap_stamp(people):
            return None
        scheduler = next(service for service in services(self.layout) if service.name == "scheduler")
        own = self._complete(scheduler.environment)
        own["PYTHONPATH"] = f"{ROOT}:{own['PYTHONPATH']}"
        command = [sys.executable, "-m", "stack.bootstrap"]
        log = self.layout.logs / "bootstrap.log"
        return processes.start(command, own, log, self.layout.airflow_home, stdin=subprocess.PIPE)

    def _finish_bootstrap(self, bootstrap: subprocess.Popen[bytes] | None, people: list[Login]) -> None:
        if bootstrap is None:
            return
        bootstrap.communicate(json.dumps(as_documents(people)).encode())
        if bootstrap.returncode != 0:
            raise self._failure("bootstrap", "could not prepare Airflow's database")
        (self.layout.airflow_home / "bootstrapped").write_text(self._bootstrap_stamp(people))
        self.report("airflow's database, roles and logins are there")

    def _write_airflow_files(self) -> None:
        home = self.layout.airflow_home
        home.mkdir(parents=True, exist_ok=True)
        (self.state / "lineage").mkdir(exist_ok=True)
        (self.state / "mlflow" / "artifacts").mkdir(parents=True, exist_ok=True)
        # Airflow would write a file of its own, with secrets of its own; everything is in the environment instead.
        (home / "airflow.cfg").write_text("# Configured by variables: see stack/services.py.\n")
        (home / "webserver_config.py").write_text(_LOGIN_PAGES)

    def _write_client_file(self) -> None:
        own = identity_environment(self.layout, "client")
        names = ("GOVERNANCE_ROOT", "GOVERNANCE_STATE")
        lines = [f"{name}={value}" for name, value in own.items() if name not in names]
        write_private(
            self.state / "client.env", "\n".join(["# Written by `make up`; read by `governance`.", *lines, ""])
        )

    # How a stop goes

    def _stop_everything(self) -> bool:
        leaders = self._running()
        database = leaders.pop("postgres", None)
        found = bool(leaders or database)
        # The children of a service that is asked to end are its own business; only what remains is ended by us.
        family = processes.with_children(leaders.values())
        processes.end(leaders.values(), _STOP_SECONDS)
        ours = [process for process in processes.marked(self.record.mark) if process != database]
        family += processes.with_children(ours)
        processes.end([process for process in family if process != database], 1.0)
        found |= self._stop_postgres(database) or bool(ours)
        self._reap()
        self.record.services.clear()
        save_record(self.state, self.record)
        return found

    def _stop_postgres(self, server: psutil.Process | None) -> bool:
        data = Postgres(self.layout).data
        if server:
            processes.end([server], 20, signal.SIGINT)
        orphans = processes.postgres_of(data)
        processes.end(orphans, 5, signal.SIGQUIT)
        return bool(server or orphans)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Treat a request to end like Ctrl-C, so that a half-started stack is stopped again."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        for number in kept:
            signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


_LOGIN_PAGES = '''"""Airflow's login pages: passwords in its database, protected forms."""

from flask_appbuilder.const import AUTH_DB

AUTH_TYPE = AUTH_DB
WTF_CSRF_ENABLED = True
WTF_CSRF_TIME_LIMIT = None
# One API server: its own memory is enough to count logins in.
RATELIMIT_STORAGE_URI = "memory://"
'''
