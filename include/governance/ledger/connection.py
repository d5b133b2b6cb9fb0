"""Connections to the ledger's database that survive its restarts, and its errors in our words.

A call takes an idle connection or opens one. If the server went away under it, the call is made once more on a new
connection: all calls to the ledger may be repeated (appending is idempotent by key). A connection is never used in a
process that inherited it by fork.
"""

import os
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from governance.errors import GovernanceError, InputError, RefusedError, TamperedError, UnavailableError

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

Result = TypeVar("Result")

SCHEMA = "include/governance/ledger/schema.sql"

IDLE = 4
"""How many connections are kept open between calls."""

ERRORS: dict[str, type[GovernanceError]] = {
    "GL001": TamperedError,  # another ledger
    "GL002": RefusedError,  # not this writer's to say
    "GL003": InputError,  # not an entry
    "GL004": RefusedError,  # the key belongs to another entry
    "GL005": RefusedError,  # the clock is wrong
    "GL006": InputError,  # wrong isolation level
    "GP001": TamperedError,  # another segment of predictions has this id
    "GP002": RefusedError,  # too young to let go
    "GP003": InputError,  # not a segment of predictions
    "GE001": InputError,  # not an event of lineage
    "42501": RefusedError,  # this login has no right to it
    "3F000": UnavailableError,  # no schema
    "42P01": UnavailableError,  # no table
    "42883": UnavailableError,  # no function
}
"""What the database's refusals are called here.

``GL…`` are raised in the ledger's schema.sql, ``GP…`` in that of :mod:`governance.predictions`, ``GE…`` in that of
:mod:`governance.lineage`.
"""


class Connections:
    """A few connections to one database. Safe to share between threads.

    Args:
        dsn: PostgreSQL address.
        greet: Called with each new connection before its first use.
        of: What of the database is used, for messages.
        schema: The file that makes it, for messages.
    """

    def __init__(
        self, dsn: str, greet: Callable[["Connection"], None], of: str = "ledger", schema: str = SCHEMA
    ) -> None:
        self._dsn = dsn
        self._greet = greet
        self._of = of
        self._schema = schema
        self._idle: list[Connection] = []
        self._process = os.getpid()
        self._lock = Lock()

    def call(self, act: Callable[["Connection"], Result], purpose: str) -> Result:
        """Return ``act(connection)``; made twice if the server goes away meanwhile.

        Args:
            act: What to do; must be harmless to repeat.
            purpose: What it is for, as an infinitive, for messages.

        Raises:
            UnavailableError: The database does not answer.
            GovernanceError: What :data:`ERRORS` says of the database's refusal.
        """
        import psycopg

        try:
            connection = self._take(purpose)
            try:
                return self._use(connection, act)
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
                self._forget_idle()
                return self._use(self._take(purpose), act)
        except psycopg.Error as error:
            raise self._in_our_words(error, purpose) from error

    def close(self) -> None:
        """Close what is idle; a later call opens anew."""
        self._forget_idle()

    def _use(self, connection: "Connection", act: Callable[["Connection"], Result]) -> Result:
        try:
            return act(connection)
        finally:
            self._give_back(connection)

    def _take(self, purpose: str) -> "Connection":
        with self._lock:
            if self._process != os.getpid():
                self._idle, self._process = [], os.getpid()
            if self._idle:
                return self._idle.pop()
        connection = self._open(purpose)
        try:
            self._greet(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open(self, purpose: str) -> "Connection":
        import psycopg

        try:
            return psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=5,
                application_name="governance",
                options="-c default_transaction_isolation=read\\ committed -c synchronous_commit=on",
            )
        except psycopg.ProgrammingError:
            # Its text may hold the password.
            raise InputError(
                "Expected a PostgreSQL address in GOVERNANCE_LEDGER_URL, found one that cannot be read."
            ) from None
        except psycopg.OperationalError as error:
            raise UnavailableError(
                f"Expected the {self._of} to {purpose}, found no way to reach it: {_first_line(error)}. Nothing was "
                f"recorded. Start the database, or correct GOVERNANCE_LEDGER_URL, and try again."
            ) from error

    def _give_back(self, connection: "Connection") -> None:
        with self._lock:
            if not connection.closed and len(self._idle) < IDLE and self._process == os.getpid():
                self._idle.append(connection)
                return
        connection.close()

    def _forget_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _in_our_words(self, error: "psycopg.Error", purpose: str) -> GovernanceError:
        import psycopg

        known = ERRORS.get(error.sqlstate or "")
        if known is UnavailableError:
            return UnavailableError(
                f"Expected the {self._of} to {purpose}, found a database without it: {_first_line(error)}. Nothing was "
                f"recorded. Apply {self._schema} as a superuser."
            )
        if known:
            return known(f"The {self._of} refused to {purpose}: {_first_line(error)}")
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return UnavailableError(
                f"Expected the {self._of} to {purpose}, found no acknowledgement: {_first_line(error)}. Take it that "
                f"nothing was recorded, and try again with the same key: what was recorded all the same is not "
                f"recorded twice."
            )
        return GovernanceError(f"The {self._of} could not {purpose}: {_first_line(error)}")


def _first_line(error: "psycopg.Error") -> str:
    text = error.diag.message_primary or str(error).partition("\n")[0]
    return text.rstrip(". ") if not isinstance(text, bytes) else repr(text)
