"""The outbox: every event as it was emitted, in the ledger's database, in a schema of its own.

Every call may be repeated: an event is kept once by the digest of its text. Readers of the graph (which events name a
data set, what a run said) ask here, too; what is in an event is OpenLineage's: https://openlineage.io/spec.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from governance.errors import UnavailableError
from governance.ledger.connection import Connections

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

Json = dict[str, Any]
Result = TypeVar("Result")

SCHEMA = Path(__file__).with_name("schema.sql")

PAGE = 500
"""Events that are read at once."""


@dataclass(frozen=True)
class Kept:
    """An event as it is kept.

    Attributes:
        number: Where it stands in the order in which events were kept.
        text: The event, byte for byte as it was emitted.
        run_id: OpenLineage's id of the run; ``None`` of an event about a job or a data set alone.
        event_time: When it happened, by the emitter's clock.
        delivered_at: When Marquez took it.
        refusal: Why Marquez will never take it; it is set aside.
    """

    number: int
    text: str
    run_id: str | None
    event_time: datetime
    delivered_at: datetime | None = None
    refusal: str | None = None

    @property
    def event(self) -> Json:
        """The event as an object."""
        document: Json = json.loads(self.text)
        return document


@dataclass(frozen=True)
class Counts:
    """How many events there are, and what became of them.

    Attributes:
        kept: All of them.
        waiting: Neither delivered nor set aside.
        refused: Set aside.
        oldest: When the oldest that waits was kept.
    """

    kept: int
    waiting: int
    refused: int
    oldest: datetime | None


_COLUMNS = "number, event::text, run_id, event_time, delivered_at, refusal"


class Outbox:
    """The outbox, seen with the rights of the login in its address. Safe to share between threads.

    Args:
        dsn: PostgreSQL address, the same as the ledger's.
    """

    def __init__(self, dsn: str) -> None:
        schema = "include/governance/lineage/schema.sql"
        self._connections = Connections(dsn, lambda _: None, "lineage outbox", schema)

    def append(self, events: Sequence[str]) -> int:
        """Keep events, in this order; return how many were not there yet.

        Raises:
            InputError: One is no event; none was kept.
            RefusedError: This login may not.
            UnavailableError: No acknowledgement came. Appending again is harmless.
        """
        row = self._one("SELECT lineage.append(%s)", (list(events),), "keep events")
        return int(row[0]) if row else 0

    def pending(self, limit: int = PAGE, without: Collection[str] = ()) -> list[Kept]:
        """Return the oldest events that are neither delivered nor set aside, in the order in which they were kept.

        Args:
            limit: So many at most.
            without: Runs that are left out; an empty name leaves out the events that are about none.
        """
        query = (
            f"SELECT {_COLUMNS} FROM lineage.event WHERE delivered_at IS NULL AND refused_at IS NULL "
            f"AND coalesce(run_id, '') <> ALL(%s) ORDER BY number LIMIT %s"
        )
        return self._select(query, (list(without), limit))

    def settle(self, numbers: Sequence[int], refusal: str | None = None) -> None:
        """Note that events were delivered; or that they are set aside, and why."""
        if numbers:
            self._one("SELECT lineage.settle(%s, %s)", (list(numbers), refusal), "note what was delivered")

    def redeliver(self) -> int:
        """Let every event be delivered once more, those set aside among them; return how many."""
        row = self._one("SELECT lineage.redeliver()", (), "let events be delivered again")
        return int(row[0]) if row else 0

    def counts(self) -> Counts:
        """Return how many events there are, and what became of them."""
        waits = "delivered_at IS NULL AND refused_at IS NULL"
        row = self._one(
            "SELECT (SELECT count(*) FROM lineage.event), "
            f"(SELECT count(*) FROM lineage.event WHERE {waits}), "
            "(SELECT count(*) FROM lineage.event WHERE refused_at IS NOT NULL), "
            f"(SELECT min(kept_at) FROM lineage.event WHERE {waits})",
            (),
            "count events",
        )
        return Counts(*(row or (0, 0, 0, None)))

    def set_aside(self, limit: int = 20) -> list[Kept]:
        """Return the newest events that Marquez will never take, with its reasons."""
        where = "WHERE refused_at IS NOT NULL ORDER BY number DESC LIMIT %s"
        return self._select(f"SELECT {_COLUMNS} FROM lineage.event {where}", (limit,))

    def events(self, after: int = 0) -> Iterator[Kept]:
        """Yield all events in the order in which they were kept, read page by page."""
        query = f"SELECT {_COLUMNS} FROM lineage.event WHERE number > %s ORDER BY number LIMIT {PAGE}"
        while page := self._select(query, (after,)):
            yield from page
            after = page[-1].number

    def naming(self, namespace: str, name: str) -> list[Kept]:
        """Return the events that name a data set as input or output, in order."""
        where = "number IN (SELECT event FROM lineage.touched WHERE namespace = %s AND name = %s)"
        return self._select(f"SELECT {_COLUMNS} FROM lineage.event WHERE {where} ORDER BY number", (namespace, name))

    def of_run(self, run_id: str) -> list[Kept]:
        """Return the events of a run, in order."""
        return self._select(f"SELECT {_COLUMNS} FROM lineage.event WHERE run_id = %s ORDER BY number", (run_id,))

    def read(self, act: Callable[["Connection"], Result], purpose: str) -> Result:
        """Return ``act(connection)``; made twice if the server goes away meanwhile.

        Raises:
            UnavailableError: The database does not answer.
        """
        return self._connections.call(act, purpose)

    def close(self) -> None:
        """Close the idle connections; a later call opens new ones."""
        self._connections.close()

    def _select(self, query: str, values: Sequence[Any]) -> list[Kept]:
        rows = self.read(lambda connection: connection.execute(query.encode(), values).fetchall(), "read events")
        return [Kept(*row) for row in rows]

    def _one(self, query: str, values: Sequence[Any], purpose: str) -> tuple[Any, ...] | None:
        return self.read(lambda connection: connection.execute(query.encode(), values).fetchone(), purpose)


class Turn:
    """Whose turn it is to deliver: one process at a time, or events would arrive out of order.

    A lock that PostgreSQL holds for a connection: whoever dies gives it up.

    Args:
        dsn: PostgreSQL address, the same as the outbox's.
    """

    LOCK = 5120160324181203

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None

    def is_ours(self) -> bool:
        """Take the turn where nobody has it; return whether we have it.

        Raises:
            UnavailableError: The database does not answer; where we had the turn, we have it no more.
        """
        import psycopg

        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._dsn, autocommit=True, connect_timeout=5)
            # Who has a lock may take it again, so this asks, too, whether the connection lives.
            row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (self.LOCK,)).fetchone()
        except psycopg.Error as error:
            self.close()
            raise UnavailableError(
                "Expected the lineage outbox to say whose turn it is to deliver, found no answer. Start the database, "
                "or correct GOVERNANCE_LEDGER_URL."
            ) from error
        return bool(row and row[0])

    def close(self) -> None:
        """Give the turn up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def install(dsn: str) -> None:
    """Apply schema.sql, after the ledger's; harmless where it is applied already.

    Args:
        dsn: PostgreSQL address of a superuser.

    Raises:
        UnavailableError: The database does not answer.
        GovernanceError: It refused; the message says why.
    """
    outbox = Outbox(dsn)
    try:
        outbox.read(lambda connection: connection.execute(SCHEMA.read_bytes()), "apply its schema")
    finally:
        outbox.close()
