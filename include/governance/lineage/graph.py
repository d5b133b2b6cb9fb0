"""The graph of lineage, read from the outbox's index: data sets with versions, and the tasks that made one of another.

An event names what a task read and wrote. ``schema.sql`` copies these names, the columns' origins and the tags out of
an event when it is kept, so that whoever asks reads a few rows and parses no event. A walk goes one step of all its
data sets at a time: a handful of queries, however long the history is.

What an event says is believed: whoever may append to the outbox can say anything. The record that nobody can edit is
the ledger; lineage says where to look in it.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from governance.lineage.outbox import Outbox

Json = dict[str, Any]
Row = tuple[Any, ...]

NAMESPACE = "governance"
"""Of data sets that no naming rule of OpenLineage knows: snapshots, model versions, evidence …"""

INPUT, OUTPUT = "input", "output"

_DIGEST = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, order=True)
class Node:
    """A data set at a version.

    Attributes:
        namespace: Where it lives.
        name: What it is called there.
        version: Which content; empty where nobody said, and in a question for any.
    """

    namespace: str
    name: str
    version: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether the pipeline made it; anything else came from outside."""
        return self.namespace == NAMESPACE

    @property
    def what(self) -> str:
        """What it is: ``snapshot``, ``model``, ``signed`` …; ``raw`` where it came from outside."""
        return self.name.partition("/")[2].partition("/")[0] if self.is_ours else "raw"

    @property
    def model(self) -> str:
        """The model that it belongs to; empty where it came from outside."""
        return self.name.partition("/")[0] if self.is_ours else ""

    @property
    def any_version(self) -> "Node":
        """The same at any version."""
        return Node(self.namespace, self.name)

    def __str__(self) -> str:
        """As people read it: ``loan/snapshot 16a0eeb0``."""
        version = self.version if len(self.version) < 20 or " " in self.version else self.version[:8]
        return f"{self.name if self.is_ours else f'{self.namespace} {self.name}'} {version}".strip()


@dataclass(frozen=True)
class Step:
    """What a task said it read and wrote.

    Attributes:
        number: Of the event in the outbox.
        job: ``<dag>.<task>``, or another job.
        run_id: OpenLineage's id of its run.
        at: When.
        inputs: What it read.
        outputs: What it wrote.
        columns: What of its outputs was made of which columns, by their number in the index.
    """

    number: int
    job: str
    run_id: str
    at: datetime
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    columns: tuple[tuple[Node, int], ...]


@dataclass(frozen=True)
class Origin:
    """A column that another one is made of; ``hidden`` where nothing of its values is left in it."""

    namespace: str
    name: str
    field: str
    hidden: bool = False


class Graph:
    """Questions to the index.

    Args:
        outbox: With the rights of a login that may read it.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def writers(self, nodes: Collection[Node]) -> list[Step]:
        """Return who wrote these, of each job the last time; a node without a version is meant at any."""
        return self._steps(OUTPUT, nodes, "max(t.event)", "GROUP BY e.job, t.namespace, t.name, w.version")

    def readers(self, nodes: Collection[Node]) -> list[Step]:
        """Return who read these, each time."""
        return self._steps(INPUT, nodes, "t.event", "")

    def next_to(self, nodes: Collection[Node], kinds: Sequence[str]) -> set[tuple[Node, Node, int]]:
        """Return what was made of these in one step: of which, what, and the number of what is said of its columns.

        Args:
            nodes: Data sets.
            kinds: What of ours is asked for (:attr:`Node.what`); what came from outside always is.
        """
        query = (
            "SELECT DISTINCT t.namespace, t.name, t.version, o.namespace, o.name, o.version, coalesce(o.columns, 0) "
            "FROM {touched} JOIN lineage.touched o ON o.event = t.event AND o.direction = 'output' "
            "WHERE o.namespace <> %s OR split_part(o.name, '/', 2) = ANY(%s)"
        )
        rows = self._ask(query, INPUT, nodes, (NAMESPACE, list(kinds)))
        return {(_node(*row[:3]), _node(*row[3:6]), row[6]) for row in rows}

    def versions(self, namespace: str, name: str) -> list[tuple[Node, datetime]]:
        """Return the versions of a data set that were written, the newest first, and when each was last."""
        rows = self._rows(
            "SELECT t.version, max(e.event_time), max(t.event) FROM lineage.touched t JOIN lineage.event e "
            "ON e.number = t.event WHERE t.namespace = %s AND t.name = %s AND t.direction = 'output' "
            "GROUP BY t.version ORDER BY max(t.event) DESC",
            (namespace, name),
        )
        return [(_node(namespace, name, version), at) for version, at, _ in rows]

    def named(self, name: str) -> list[Node]:
        """Return data sets of this name in any namespace; where there is none, versions that this digest begins."""
        found = [node for node in self.datasets() if node.name == name]
        if found or not _DIGEST.fullmatch(name):
            return found
        rows = self._rows(
            "SELECT DISTINCT namespace, name, version FROM lineage.touched WHERE version >= %s AND version < %s",
            (name, f"{name}g"),  # the letter after the last digit
        )
        return sorted(_node(*row) for row in rows)

    def datasets(self) -> list[Node]:
        """Return every data set that was ever named, at any version."""
        rows = self._rows(_DISTINCT_NAMES, ())
        return sorted(_node(namespace, name, None) for namespace, name in rows)

    def origins(self, columns: Collection[int]) -> dict[tuple[int, str], list[Origin]]:
        """Return what columns are made of: number in the index and name of the column → its origins."""
        rows = self._rows(
            "SELECT columns, field, from_namespace, from_name, from_field, hidden FROM lineage.made_of "
            "WHERE columns = ANY(%s)",
            (sorted(columns),),
        )
        found: dict[tuple[int, str], list[Origin]] = {}
        for number, field, *origin in rows:
            found.setdefault((number, field), []).append(Origin(*origin))
        return found

    def marks(self, nodes: Collection[Node]) -> list[tuple[int, str, str, str, str, str]]:
        """Return what is said of these: the event that said so last, namespace, name, column, tag, value."""
        names = sorted({(node.namespace, node.name) for node in nodes})
        rows = self._rows(
            "SELECT m.event, m.namespace, m.name, m.field, m.tag, m.value FROM lineage.marked m "
            "JOIN unnest(%s::text[], %s::text[]) AS w (namespace, name) USING (namespace, name) ORDER BY m.event",
            ([namespace for namespace, _ in names], [name for _, name in names]),
        )
        return [tuple(row) for row in rows]

    def events(self, numbers: Iterable[int]) -> dict[int, Json]:
        """Return whole events, by number: for what is told about a data set beyond its name."""
        rows = self._rows("SELECT number, event FROM lineage.event WHERE number = ANY(%s)", (sorted(numbers),))
        return dict(rows)

    def _steps(self, side: str, nodes: Collection[Node], chosen: str, grouped: str) -> list[Step]:
        query = (
            "SELECT s.number, s.job, s.run_id, s.event_time, r.direction, r.namespace, r.name, r.version, r.columns "
            "FROM lineage.event s JOIN lineage.touched r ON r.event = s.number "
            f"WHERE s.number IN (SELECT {chosen} FROM {{touched}} "
            f"JOIN lineage.event e ON e.number = t.event {grouped}) ORDER BY s.number"
        )
        return _gathered(self._ask(query, side, nodes))

    def _ask(self, query: str, side: str, nodes: Collection[Node], values: Sequence[Any] = ()) -> list[Row]:
        """Ask about rows of the index by side and data set; once for known versions, once for any."""
        known, any_ = [node for node in nodes if node.version], [node for node in nodes if not node.version]
        found: list[Row] = []
        for some, same in ((known, "AND t.version = w.version"), (any_, "")):
            if some:
                touched = (
                    "unnest(%s::text[], %s::text[], %s::text[]) AS w (namespace, name, version) JOIN lineage.touched t "
                    f"ON t.namespace = w.namespace AND t.name = w.name AND t.direction = '{side}' {same}"
                )
                found += self._rows(query.format(touched=touched), (*_arrays(sorted(some)), *values))
        return found

    def _rows(self, query: str, values: Sequence[Any]) -> list[Row]:
        return self._outbox.read(lambda connection: connection.execute(query.encode(), values).fetchall(), "read it")


# One look-up for each name, instead of a look at every row.
_DISTINCT_NAMES = """
WITH RECURSIVE each AS (
    (SELECT namespace, name FROM lineage.touched ORDER BY namespace, name LIMIT 1)
    UNION ALL
    SELECT n.namespace, n.name FROM each, LATERAL (
        SELECT t.namespace, t.name FROM lineage.touched t WHERE (t.namespace, t.name) > (each.namespace, each.name)
        ORDER BY t.namespace, t.name LIMIT 1) AS n
)
SELECT namespace, name FROM each
"""


def walk(
    ask: Callable[[Collection[Node]], list[Step]], start: Iterable[Node], onward: Callable[[Step], Iterable[Node]]
) -> list[Step]:
    """Return every step that is reached from ``start``, each once, in the order in which they were told.

    Args:
        ask: :meth:`Graph.writers` to walk back, :meth:`Graph.readers` to walk on.
        start: Where to begin.
        onward: Where a step leads to.
    """
    steps: dict[int, Step] = {}
    seen: set[Node] = set()
    frontier = set(start)
    while frontier:
        seen |= frontier
        fresh = {step.number: step for step in ask(frontier) if step.number not in steps}
        steps |= fresh
        frontier = {node for step in fresh.values() for node in onward(step)} - seen
    return [steps[number] for number in sorted(steps)]


def _gathered(rows: Iterable[Row]) -> list[Step]:
    heads: dict[int, Row] = {}
    sides: dict[tuple[int, str], dict[Node, int | None]] = {}
    for number, job, run_id, at, direction, namespace, name, version, columns in rows:
        heads[number] = (job or "", run_id or "", at)
        sides.setdefault((number, direction), {})[_node(namespace, name, version)] = columns
    return [
        Step(
            number,
            job,
            run_id,
            at,
            tuple(sides.get((number, INPUT), {})),
            tuple(sides.get((number, OUTPUT), {})),
            tuple((node, columns) for node, columns in sides.get((number, OUTPUT), {}).items() if columns is not None),
        )
        for number, (job, run_id, at) in heads.items()
    ]


def _arrays(nodes: Sequence[Node]) -> tuple[list[str], list[str], list[str]]:
    return [one.namespace for one in nodes], [one.name for one in nodes], [one.version for one in nodes]


def _node(namespace: str, name: str, version: str | None) -> Node:
    return Node(namespace, name, version or "")
