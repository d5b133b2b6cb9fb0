"""Are the predictions those that were logged? Digests recomputed from the tables, against those in the ledger.

What it finds: a changed, deleted, added or moved row of a segment, a changed header, a segment that is in the ledger
and not in the tables, one that is in the tables and not in the ledger, and one that went before its floor.

What it cannot find: what was never logged (rows that were lost are counted in the ledger), a ledger that was rewritten
(`governance ledger verify`), and changed labels, protected values or counts of refused requests, which are append-only
by rights alone.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from governance.canonical import from_bytes
from governance.errors import TamperedError
from governance.ledger.log import Entry, Ledger
from governance.predictions.database import Database
from governance.predictions.delivery import KIND
from governance.predictions.retention import FLOORS

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

IN_FLIGHT = timedelta(minutes=10)
"""How long a segment may be in the tables before it is in the ledger: between the two, its process may be killed."""

FLOOR = timedelta(days=min(floor.days for floor in FLOORS.values()))

_SEGMENTS = """
    SELECT number, id, header, model, version, registry_version, evidence, rows, first_at, last_at, logged_at,
        retired_at, clock_timestamp()
    FROM predictions.segment WHERE model = coalesce(%s, model) ORDER BY number
"""
_LINES = """
    SELECT to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), request_id, row, caller, features, prediction, scores
    FROM predictions.prediction
    WHERE segment = %s AND model = %s AND at BETWEEN %s AND %s ORDER BY line
"""
_STRAY = """
    SELECT p.segment, p.model, count(*), s.id, s.rows FROM predictions.prediction AS p
    LEFT JOIN predictions.segment AS s ON s.number = p.segment AND s.model = p.model
    WHERE p.model = coalesce(%s, p.model) GROUP BY p.segment, p.model, s.id, s.rows
    HAVING s.id IS NULL OR count(*) > s.rows
"""


@dataclass(frozen=True)
class Fault:
    """One segment that differs.

    Attributes:
        segment: Its id.
        model: Whose rows it holds.
        message: What is wrong.
    """

    segment: str
    model: str
    message: str

    def __str__(self) -> str:
        return f"{self.model}, segment {self.segment}: {self.message}"


@dataclass(frozen=True)
class Report:
    """What was found.

    Attributes:
        segments: How many segments were recomputed.
        rows: How many rows they hold.
        retired: Segments whose rows went, old enough.
        in_flight: Segments that are not in the ledger yet, a few minutes old.
        lost: Rows that the scoring service counted as lost.
        faults: Every segment that differs.
    """

    segments: int
    rows: int
    retired: int
    in_flight: int
    lost: int
    faults: tuple[Fault, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), "faults": [asdict(fault) for fault in self.faults], "whole": self.whole}


def verify_segments(dsn: str, ledger: Ledger, model: str | None = None) -> Report:
    """Recompute every segment's digest, and compare it with the ledger's.

    Args:
        dsn: PostgreSQL address, as ``auditor`` or ``pipeline``.
        ledger: The ledger, read with any login.
        model: Only this model's; all by default.

    Raises:
        UnavailableError: The database does not answer.
    """
    # The ledger first: a segment is in the tables before it is in the ledger, so none can seem to be missing.
    committed = {str(entry.data["segment"]): entry for entry in ledger.find(kind=KIND, subject=model)}
    database = Database(dsn)
    try:
        segments, stray = database.read(lambda connection: _read(connection, model), "be verified")
    finally:
        database.close()
    faults = [Fault(one.id, one.model, message) for one in segments for message in _faults(one, committed.get(one.id))]
    for missing in sorted(committed.keys() - {one.id for one in segments}):
        faults.append(
            Fault(missing, committed[missing].subject, "expected it in the tables, found it in the ledger only")
        )
    recomputed = [one for one in segments if one.digest is not None]
    return Report(
        segments=len(recomputed),
        rows=sum(one.rows for one in recomputed),
        retired=len(segments) - len(recomputed),
        in_flight=sum(one.id not in committed and one.age <= IN_FLIGHT for one in segments),
        lost=sum(one.lost for one in segments),
        faults=(*faults, *stray),
    )


@dataclass(frozen=True)
class _Found:
    """A segment as the tables have it; ``digest`` is ``None`` where its rows went."""

    id: str
    model: str
    digest: str | None
    rows: int
    lost: int
    age: timedelta
    faults: tuple[str, ...]


def _read(connection: "Connection", model: str | None) -> tuple[list[_Found], list[Fault]]:
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute("SET LOCAL timezone = 'UTC'")
        segments = connection.execute(_SEGMENTS, (model,)).fetchall()
        found = [_recomputed(connection, segment) for segment in segments]
        stray = [
            Fault(name or f"number {number}", whose, f"expected {rows or 'no'} rows, found {count}")
            for number, whose, count, name, rows in connection.execute(_STRAY, (model,))
        ]
    return found, stray


def _recomputed(connection: "Connection", segment: tuple[Any, ...]) -> _Found:
    number, name, header, model, version, registry, evidence, rows, first, last, logged, retired, now = segment
    faults, lost = _header_faults(header, (name, model, version, registry, evidence))
    age = now - logged
    if retired is not None:
        if now - last < FLOOR:
            faults.append(f"expected to be kept {FLOOR.days} days, found its rows gone, the last of {last}")
        return _Found(name, model, None, rows, lost, age, tuple(faults))
    digest = sha256(header.encode() + b"\n")
    with connection.cursor() as cursor, cursor.copy(f"COPY ({_LINES}) TO STDOUT", (number, model, first, last)) as copy:
        for part in copy:
            # COPY doubles backslashes and changes nothing else here: a row of it is the line that was hashed.
            digest.update(bytes(part).replace(b"\\\\", b"\\"))
    return _Found(name, model, digest.hexdigest(), rows, lost, age, tuple(faults))


def _header_faults(header: str, columns: tuple[Any, ...]) -> tuple[list[str], int]:
    names = ("segment", "model", "version", "registry_version", "evidence")
    try:
        document = from_bytes(header.encode())
        differ = [name for name, value in zip(names, columns, strict=True) if document[name] != value]
        lost = int(document["lost"])
    except (TamperedError, KeyError, TypeError, ValueError):
        return ["expected a header in canonical form, found another"], 0
    return [f"expected {name} as in its header, found another" for name in differ], lost


def _faults(segment: _Found, entry: Entry | None) -> Iterator[str]:
    yield from segment.faults
    if entry is None:
        if segment.age > IN_FLIGHT:
            yield "expected its digest in the ledger, found none"
        return
    if segment.digest is not None and segment.digest != entry.data["digest"]:
        yield f"expected the digest {entry.data['digest'][:16]}…, which is in the ledger, found {segment.digest[:16]}…"
    if segment.rows != entry.data["rows"]:
        yield f"expected {entry.data['rows']} rows, as the ledger has it, found {segment.rows}"
