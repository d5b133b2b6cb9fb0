"""The prediction log's database: the same as the ledger's, its own schema.

Every call may be repeated: a segment is written once by its id, and a label that is there already adds no row.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from governance.ledger.connection import Connections

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

Result = TypeVar("Result")

SCHEMA = Path(__file__).with_name("schema.sql")


@dataclass(frozen=True)
class Told:
    """What became of labels and protected values that were sent.

    Attributes:
        accepted: Rows that were added.
        unchanged: Said already by the newest row.
        unknown: Request and row that the log does not have so far. They are kept, and count once it has them.
    """

    accepted: int
    unchanged: int
    unknown: int

    def __add__(self, other: "Told") -> "Told":
        return Told(self.accepted + other.accepted, self.unchanged + other.unchanged, self.unknown + other.unknown)

    def to_dict(self) -> dict[str, int]:
        """Return the JSON form."""
        return {"accepted": self.accepted, "unchanged": self.unchanged, "unknown": self.unknown}


class Database:
    """The prediction log, seen with the rights of the login in its address. Safe to share between threads.

    Args:
        dsn: PostgreSQL address, the same as the ledger's.
    """

    def __init__(self, dsn: str) -> None:
        schema = "include/governance/predictions/schema.sql"
        self._connections = Connections(dsn, lambda _: None, "prediction log", schema)

    def write_segment(self, header: bytes, rows: bytes, apart: bytes) -> bool:
        """Write one segment; return whether this call did, or one before it.

        Raises:
            GovernanceError: It was refused, or no acknowledgement came: then it may be sent again.
        """
        values = (header.decode(), rows.decode(), apart.decode())
        row = self._one("SELECT predictions.write_segment(%s, %s, %s)", values, "take a segment")
        return bool(row and row[0])

    def write_refusals(self, header: bytes, lines: bytes) -> None:
        """Write what a segment says of requests that were refused, once.

        Raises:
            GovernanceError: It was refused, or no acknowledgement came: then it may be sent again.
        """
        self._one("SELECT predictions.write_refusals(%s, %s)", (header.decode(), lines.decode()), "take refusals")

    def write_labels(self, model: str, source: str, items: Sequence[dict[str, Any]]) -> Told:
        """Write labels and protected values (:mod:`governance.predictions.labels` checks them).

        Raises:
            RefusedError: This login may not.
            UnavailableError: No acknowledgement came. Sending them again is harmless.
        """
        given = json.dumps(items, allow_nan=False)
        row = self._one("SELECT * FROM predictions.write_labels(%s, %s, %s)", (model, source, given), "take labels")
        return Told(*(row or (0, 0, 0)))

    def may_write_labels(self) -> bool:
        """Whether this login may write labels."""
        right = "has_function_privilege('predictions.write_labels(text, text, json)', 'EXECUTE')"
        row = self._one(f"SELECT has_schema_privilege('predictions', 'USAGE') AND {right}", (), "say who may write")
        return bool(row and row[0])

    def read(self, act: Callable[["Connection"], Result], purpose: str) -> Result:
        """Return ``act(connection)``; made twice if the server goes away meanwhile.

        Raises:
            UnavailableError: The database does not answer.
        """
        return self._connections.call(act, purpose)

    def close(self) -> None:
        """Close the idle connections; a later call opens new ones."""
        self._connections.close()

    def _one(self, query: str, values: Sequence[Any], purpose: str) -> tuple[Any, ...] | None:
        return self._connections.call(lambda connection: connection.execute(query, values).fetchone(), purpose)


def install(dsn: str) -> None:
    """Apply schema.sql, after the ledger's; harmless where it is applied already.

    Args:
        dsn: PostgreSQL address of a superuser.

    Raises:
        UnavailableError: The database does not answer.
        GovernanceError: It refused; the message says why.
    """
    database = Database(dsn)
    try:
        database.read(lambda connection: connection.execute(SCHEMA.read_bytes()), "apply its schema")
    finally:
        database.close()
