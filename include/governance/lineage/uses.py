"""Which models used this data set, this column, this snapshot?

The walk goes on from the data set until it meets model versions, and stops there: what is made of a model's answers is
another question (:mod:`governance.lineage.way`). Of a column it follows what is made of that column alone.
"""

from dataclasses import dataclass
from typing import Any

from governance.errors import InputError
from governance.lineage import facts
from governance.lineage.graph import Graph, Node

Json = dict[str, Any]

MODEL = "model"


@dataclass(frozen=True)
class Use:
    """A model version that used it, and by the names of which of its columns; none where a whole data set was asked."""

    node: Node
    columns: tuple[str, ...] = ()

    def to_dict(self) -> Json:
        """Return the JSON form."""
        return {"model": self.node.model, "version": self.node.version, "columns": list(self.columns)}


def find(graph: Graph, asked: str) -> tuple[list[Node], str | None]:
    """Return the data sets that are meant, and the column of them.

    Args:
        graph: The graph.
        asked: ``[<namespace> ]<name>``, or a digest, from eight digits on; then ``.<column>`` for a column.

    Raises:
        InputError: Nothing of this name was ever read or written.
    """
    for name, column in [
        (asked, None),
        *([(asked.rpartition(".")[0], asked.rpartition(".")[2])] if "." in asked else []),
    ]:
        found = _exact(graph, name)
        if found:
            return found, column
    near = [str(node) for node in graph.datasets() if asked.lower() in str(node).lower() or node.name in asked]
    there = f" Near: {', '.join(near[:8])}." if near else ""
    raise InputError(
        f"Expected a data set that a task read or wrote, found none called {asked!r}.{there} Name it as lineage does, "
        f"such as loan/snapshot, a snapshot by its digest, a column as loan/snapshot.income."
    )


def _exact(graph: Graph, name: str) -> list[Node]:
    namespace, blank, rest = name.partition(" ")
    found = [node for node in graph.named(rest) if node.namespace == namespace] if blank else []
    found = found or graph.named(name)
    whole = {node for node in found if not node.version}
    return sorted(whole) if whole else found


def uses(graph: Graph, asked: str) -> list[Use]:
    """Return the model versions that a data set, a column or a version of one went into.

    Raises:
        InputError: Nothing of this name was ever read or written, or it has no such column.
    """
    nodes, column = find(graph, asked)
    if column is None:
        return _of_datasets(graph, nodes)
    found = _of_column(graph, nodes, column)
    if not found:
        _require_column(graph, nodes, column)
    return found


def _require_column(graph: Graph, nodes: list[Node], column: str) -> None:
    """Refuse a column that none of these is said to have; where nobody told their columns, nobody can."""
    steps = [*graph.writers(nodes), *graph.readers(nodes)[-LOOKED_AT:]]
    names = {(node.namespace, node.name) for node in nodes}
    told = facts.by_node(steps, graph.events(step.number for step in steps))
    known = {
        name for node, said in told.items() if (node.namespace, node.name) in names for name in facts.columns(said)
    }
    if known and column not in known:
        raise InputError(
            f"Expected a column of {', '.join(map(str, nodes[:3]))}, found none called {column!r}. "
            f"Columns: {', '.join(sorted(known)[:40])}."
        )


LOOKED_AT = 20
"""So many readers, the last ones, are asked for the columns of what nobody says to have written."""


def _of_datasets(graph: Graph, nodes: list[Node]) -> list[Use]:
    models = {node for node in nodes if node.what == MODEL}
    seen, frontier = set(nodes), set(nodes) - models
    while frontier:
        fresh = {node for _, node, _ in graph.next_to(frontier, (MODEL, *MATERIAL))} - seen
        seen |= fresh
        models |= {node for node in fresh if node.what == MODEL}
        frontier = {node for node in fresh if node.what in MATERIAL}
    return [Use(node) for node in sorted(models)]


MATERIAL = ("raw", "snapshot", "protected", "window")
"""What a model can be made of; measurements and evidence speak about models."""


def _of_column(graph: Graph, nodes: list[Node], column: str) -> list[Use]:
    found: dict[Node, set[str]] = {}
    seen: set[tuple[Node, str]] = set()
    frontier = {(node, column) for node in nodes}
    while frontier:
        seen |= frontier
        fresh = _made_of(graph, frontier) - seen
        for node, field in fresh:
            if node.what == MODEL:
                found.setdefault(node, set()).add(field)
        frontier = {(node, field) for node, field in fresh if node.what in MATERIAL}
    return [Use(node, tuple(sorted(columns))) for node, columns in sorted(found.items())]


def _made_of(graph: Graph, columns: set[tuple[Node, str]]) -> set[tuple[Node, str]]:
    """Return the columns that are made of these in one step."""
    asked = {(node.namespace, node.name, field) for node, field in columns}
    steps = graph.next_to({node for node, _ in columns}, (MODEL, *MATERIAL))
    made: dict[tuple[int, str, str], set[str]] = {}
    for (number, field), origins in graph.origins({number for *_, number in steps}).items():
        for one in origins:
            if (one.namespace, one.name, one.field) in asked:
                made.setdefault((number, one.namespace, one.name), set()).add(field)
    return {
        (node, field)
        for source, node, number in steps
        for field in made.get((number, source.namespace, source.name), ())
    }
