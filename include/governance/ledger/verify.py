"""The verifier: recomputes everything from the raw bodies and reports every inconsistency with its row.

It trusts no column: the leaf hash is computed from the body, the chain from the leaf hashes, and the columns that
exist for the indexes are compared with the body; the body must be canonical JSON, name this ledger, and be of a kind
that its writer may write. Numbers must run from 1 without a gap, keys must be unique, times must not run back.

What it finds: any changed bit in any column, deleted, inserted, swapped, repeated and rewritten rows.

What it cannot find by itself: entries cut off at the end, and a *consistent* rewrite of the tail, in which a superuser
changes an entry and recomputes every hash after it. Nothing inside the database can show that; what is needed is a
hash kept elsewhere. Give :func:`verify` an ``anchor`` (number and chain hash of any entry, noted earlier: every
:class:`Entry` that was ever appended is one) and both are found. :mod:`governance.ledger.witness` makes that
systematic.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from governance.ledger.chain import BEGINNING, Fault, Place, Walk
from governance.ledger.log import Ledger
from governance.ledger.rows import COLUMNS, TIME_FORMAT, Row

if TYPE_CHECKING:
    import psycopg

PAGE = 1_000
"""Rows fetched at a time."""

PART = 100_000
"""Ledgers of several times this size are walked in parts, by several processes at once."""


@dataclass(frozen=True)
class Anchor:
    """An entry's number and chain hash (64 hexadecimal digits), remembered outside the database."""

    seq: int
    chain: str


@dataclass(frozen=True)
class Report:
    """What the verifier found.

    Attributes:
        origin: The ledger that was verified.
        entries: How many rows it has.
        head: Number and chain hash of the last row: remember it, and hand it to the next verification.
        faults: Every inconsistency, in order of the entries; empty for a whole ledger.
    """

    origin: str
    entries: int
    head: Anchor | None
    faults: tuple[Fault, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "origin": self.origin,
            "entries": self.entries,
            "head": self.head and dict(self.head.__dict__),
            "whole": self.whole,
            "faults": [dict(fault.__dict__) for fault in self.faults],
        }


def verify(ledger: Ledger, anchor: Anchor | None = None, processes: int = 1) -> Report:
    """Verify the whole ledger.

    Args:
        ledger: Read with any login; ``auditor`` is made for it.
        anchor: An entry that must still be there, remembered from an earlier append or report.
        processes: How many to use for a large ledger. They are spawned, so the calling program must be one that can
            be imported again (``if __name__ == "__main__"``); the result is the same.

    Raises:
        UnavailableError: The ledger does not answer.
    """
    start = _walk_in_parts(ledger, processes) if processes > 1 else BEGINNING
    return ledger.read(lambda connection, origin: _verify(connection, origin, start, anchor), "be verified")


def _verify(connection: "psycopg.Connection[Any]", origin: str, start: Place, anchor: Anchor | None) -> Report:
    walk = Walk(origin, start)
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        rows = _rows(connection, start.seq, None)
        faults = [*walk.faults(rows), *_repeated_keys(connection), *_missed(connection, anchor)]
    head = Anchor(walk.seq, walk.chain.hex()) if start.seq + walk.entries else None
    return Report(origin, start.seq + walk.entries, head, tuple(sorted(faults, key=lambda fault: fault.seq)))


def _walk_in_parts(ledger: Ledger, parts: int) -> Place:
    """Return how far a large ledger is whole; the beginning if it is small, or not whole: then one walk tells all."""
    starts = ledger.read(lambda connection, _: _places(connection, parts), "be verified")
    if len(starts) < 2:
        return BEGINNING
    ends = [*(place.seq for place in starts[1:])]
    with ProcessPoolExecutor(len(ends), mp_context=get_context("spawn")) as pool:
        reached = list(pool.map(_walk_part, [ledger] * len(ends), starts, ends))
    return starts[-1] if reached == starts[1:] else BEGINNING


def _places(connection: "psycopg.Connection[Any]", parts: int) -> list[Place]:
    """Return where the parts begin and the last one ends, as the database claims: the part before has to agree."""
    [last] = connection.execute("SELECT coalesce(max(seq), 0) FROM ledger.entry").fetchone() or (0,)
    parts = min(parts, last // PART)
    seqs = [last * part // parts for part in range(1, parts + 1)] if parts > 1 else []
    query = (
        "SELECT seq, chain, to_char((SELECT max(at) FROM ledger.entry WHERE seq <= e.seq) AT TIME ZONE 'UTC', "
        f"'{TIME_FORMAT}') FROM ledger.entry AS e WHERE seq = ANY(%s) ORDER BY seq"
    )
    return [BEGINNING, *(Place._make(row) for row in connection.execute(query, (seqs,), binary=True))]


def _walk_part(ledger: Ledger, start: Place, end: int) -> Place | None:
    def walk(connection: "psycopg.Connection[Any]", origin: str) -> Place | None:
        part = Walk(origin, start)
        with connection.transaction():
            faults = any(part.faults(_rows(connection, start.seq, end)))
        return None if faults else part.place

    return ledger.read(walk, "be verified")


def _rows(connection: "psycopg.Connection[Any]", after: int, upto: int | None) -> Iterator[Row]:
    # From the beginning, numbers below 1 are looked at, too: they should not be there.
    after = after or -(2**63)
    query = f"SELECT {COLUMNS} FROM ledger.entry WHERE seq > %s AND seq <= coalesce(%s, seq) ORDER BY seq"
    with connection.cursor("verify") as cursor:
        cursor.itersize = PAGE
        cursor.execute(query, (after, upto), binary=True)
        yield from map(Row._make, cursor)


def _repeated_keys(connection: "psycopg.Connection[Any]") -> Iterator[Fault]:
    query = "SELECT key, array_agg(seq ORDER BY seq) FROM ledger.entry GROUP BY key HAVING count(*) > 1"
    for key, numbers in connection.execute(query):
        for seq in numbers[1:]:
            yield Fault(seq, "key", f"expected a key of its own, found {key!r}, which is that of entry {numbers[0]}")


def _missed(connection: "psycopg.Connection[Any]", anchor: Anchor | None) -> Iterator[Fault]:
    if anchor is None:
        return
    row = connection.execute("SELECT chain FROM ledger.entry WHERE seq = %s", (anchor.seq,)).fetchone()
    found = "no such entry: the end was cut off" if row is None else row[0].hex()
    if found != anchor.chain:
        yield Fault(anchor.seq, "chain", f"expected {anchor.chain}, which was noted earlier, found {found}")
