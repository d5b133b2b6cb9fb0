"""Starts, stops and finds the stack.

:class:`Stack` is all that the command line, the demo and the tests use. The order of a start: PostgreSQL first;
while it is made, Airflow's bootstrap is already importing; then everything at once. A start that fails, or is
interrupted, stops what it started. After a crash of any part, ``stop`` then ``up`` is enough: what is left over is
found by pid and start time, or by the stack's mark (:mod:`stack.processes`), and nothing else is ended.

Not guaranteed: restarting a service that dies. In production the container runtime does that; here a person should
see it.
"""

import fcntl
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import psutil

from governance.predictions.senders import own_token
from stack import environment, health, processes
from stack.airflow_setup import Bootstrap, write_files
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
from stack.logins import logins, password, write_logins
from stack.postgres import Postgres
from stack.services import IDENTITIES, Service, identity_environment, label_tokens, services

ROOT = Path(__file__).resolve().parents[1]
_START_SECONDS = 240.0
_STOP_SECONDS = 5.0


class Stack:
    """One stack: a state folder and the processes that belong to it.

    Args:
        state: Folder of everything that is not in version control; ``$GOVERNANCE_STATE`` or ``<root>/.state``.
        root: The checkout whose DAGs, plugins and code are run.
        extra: Variables for every service on top of its own, for example ``AIRFLOW_CONN_…``.
        without: Services that are not wanted.
        report: Where a line of progress goes.
    """

    def __init__(
        self,
        state: Path | None = None,
        root: Path = ROOT,
        *,
        extra: Mapping[str, str] | None = None,
        without: Collection[str] = (),
        report: Callable[[str], None] = print,
    ) -> None:
        self.root = root.resolve()
        self.state = (state or environment.state_folder(self.root)).resolve()
        self.extra = dict(extra or {})
        self.without = frozenset(without)
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
        return not self._missing()

    def url(self, service: str) -> str:
        """Return the address of ``airflow``, ``mlflow``, ``serving`` or ``execution``."""
        return self.layout.url(service)

    def ledger_url(self, role: str) -> str:
        """Return the ledger's address for one of its login roles, ``witness`` among them."""
        return self.layout.ledger_url(role)

    def sender(self) -> dict[str, str]:
        """Return the headers with which labels are sent to the scoring service."""
        return {"Authorization": f"Bearer {own_token(Path(label_tokens(self.layout)['GOVERNANCE_LABEL_TOKENS']))}"}

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

    def up(self) -> bool:
        """Start what does not run, and wait until it works; whether anything had to be started.

        Raises:
            StackError: A service did not start; the message ends with the last lines of its log.
        """
        with self._lock():
            if not self._missing() and self._all_healthy() and not self._missing():
                self._write_client_file()
                return False
            try:
                with interruptible():
                    self._start(self._missing())
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
                request = signal.SIGINT if name == "postgres" else signal.SIGTERM
                processes.end(processes.with_children([running]), _STOP_SECONDS, request)
            self._end_orphans()
            if name == "postgres":
                self._start_postgres()
                return
            service = next(service for service in self.wanted() if service.name == name)
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
        with self._lock():  # a stop that is under way is no fault
            for name in self.record.services:
                self._must_be_alive(name, "has ended")

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

    def _missing(self) -> set[str]:
        return {"postgres", *(service.name for service in self.wanted())} - set(self._running())

    def _all_healthy(self) -> bool:
        record = self.record
        return all(health.is_healthy(self.layout, service, record.services[service.name]) for service in self.wanted())

    def _reap(self) -> None:
        for child in self._children.values():
            child.poll()

    def wanted(self) -> list[Service]:
        """Return the services that should run."""
        return [service for service in services(self.layout) if self._can_run(service)]

    def _can_run(self, service: Service) -> bool:
        present = service.module is None or (self.root / "include" / service.module).exists()
        asked_for = service.wants is None or bool(self._given().get(service.wants))
        return present and asked_for and service.name not in self.without

    def _given(self) -> dict[str, str]:
        return environment.set_by_people(self.root) | self.extra

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
            self.__dict__.pop("record", None)  # the other command may have written it
            yield

    # How a start goes

    def _start(self, missing: set[str]) -> None:
        began = time.monotonic()
        if "postgres" in missing:
            self._stop_everything()
            self._choose_ports_again()
            self._start_all()
        else:
            self._end_orphans()
            for service in self.wanted():
                if service.name in missing:
                    self._launch(service)
            self._wait_for(self.wanted())
        self._wait_for_dags()
        self._write_client_file()
        self.report(f"Everything runs ({time.monotonic() - began:.0f} s).")

    def _start_all(self) -> None:
        ensure_keys(self.layout)
        write_files(self.layout)
        people = logins(self.layout)
        write_logins(self.layout, people)
        wanted = self.wanted()
        scheduler = next(service for service in services(self.layout) if service.name == "scheduler")
        bootstrap = Bootstrap(self.layout, people, self._complete(scheduler.environment))
        self._start_postgres()
        # Whoever does not need Airflow's tables need not wait for them.
        early = [service for service in wanted if service.command[0] != "airflow"]
        for service in early:
            self._launch(service)
        if not bootstrap.finish():
            raise self._failure("bootstrap", "could not prepare Airflow's database")
        for service in wanted:
            if service not in early:
                self._launch(service)
        self._wait_for(wanted)

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
        log = self.layout.logs / "postgres.log"
        child = processes.start(server.command(), self._complete({}), log, server.folder, **server.as_user())
        self._remember("postgres", child)

        def is_ready() -> bool:
            self._must_be_alive("postgres")
            return server.is_ready()

        if not processes.wait_until(is_ready, 60):
            raise self._failure("postgres", "did not answer within 60 s")
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

    def _wait_for_dags(self) -> None:
        since = self.record.services["dag-processor"].created
        if not processes.wait_until(lambda: health.dags_are_read(self.layout, since), 60, pause=0.25):
            self.report(f"No DAG was found in {self.root / 'dags'} within a minute; see logs/dag-processor.log.")

    def _must_be_alive(self, name: str, otherwise: str = "ended while it started") -> None:
        self._reap()
        if processes.find(self.record.services[name]) is None:
            raise self._failure(name, otherwise)

    def _failure(self, name: str, what: str) -> StackError:
        log = self.layout.logs / f"{name}.log"
        return StackError(f"{name} {what}. The end of {log}:\n\n{health.last_lines(log)}")

    def _write_client_file(self) -> None:
        own = identity_environment(self.layout, "client") | label_tokens(self.layout)
        if marquez := self._given().get("MARQUEZ_URL"):
            own["MARQUEZ_URL"] = marquez
        # These two say where the file is found, so they cannot stand in it.
        lines = [
            f"{name}={value}" for name, value in own.items() if name not in ("GOVERNANCE_ROOT", "GOVERNANCE_STATE")
        ]
        heading = "# Written by `make up`; read by `governance` in any terminal."
        write_private(self.state / "client.env", "\n".join([heading, *lines, ""]))

    # How a stop goes

    def _stop_everything(self) -> bool:
        leaders = self._running()
        database = leaders.pop("postgres", None)
        processes.end(leaders.values(), _STOP_SECONDS)
        orphans = self._end_orphans(keep=[database] if database else [])
        found = bool(leaders or database or orphans) | self._stop_postgres(database)
        self._reap()
        self.record.services.clear()
        save_record(self.state, self.record)
        return found

    def _end_orphans(self, keep: Collection[psutil.Process] | None = None) -> bool:
        """End what carries our mark but belongs to no service that is kept (those that run, if not said)."""
        self._reap()
        kept = set(processes.with_children(self._running().values() if keep is None else keep))
        orphans = [process for process in processes.marked(self.record.mark) if process not in kept]
        processes.end([process for process in processes.with_children(orphans) if process not in kept], 1.0)
        return bool(orphans)

    def _stop_postgres(self, server: psutil.Process | None) -> bool:
        if server:
            processes.end([server], 20, signal.SIGINT)
        orphans = processes.postgres_of(Postgres(self.layout).data)
        processes.end(orphans, 5, signal.SIGQUIT)
        return bool(server or orphans)


@contextmanager
def interruptible() -> Iterator[None]:
    """Treat a request to end like Ctrl-C, so that what was started is stopped again."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        kept = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    except ValueError:  # not in the main thread, where signals do not arrive
        kept = {}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
