"""Is the way from a model version back to raw data unbroken, and what does it bring along?

The walk goes from a data set back to whoever wrote it, and on to what that task read, until data from outside are
reached. Complete is a lineage in which every data set on the way was written by a task that said so, every version is
known, and every column of the model is made of columns from outside. What is missing is told in sentences.

From outside the walk goes on as far as anything is known: jobs of other teams (Spark, dbt) that speak OpenLineage, too,
tell of what their tables are made. On this way columns are found that are marked as direct identifiers, under whatever
name they arrive, and personal data that were collected for another purpose.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from governance.lineage.graph import Graph, Node, Origin, Step, walk

BESIDE = ("decided", "order", "rollback", "endpoint")
"""What says why a task ran, or what it compares with: nothing is made of it."""

SOURCES = ("raw", "contract")
"""What no task of ours writes: data from outside, and a file of the model's folder."""

IDENTIFIER, PERSONAL, PURPOSE = "IDENTIFIER", "PII", "PURPOSE"
"""Tags: a column that names a person; one that speaks of a person; what a column, or a data set, may be used for."""

WORDS = 6
"""How many columns are named in one sentence."""

Column = tuple[str, str, str]
"""Namespace, name and column."""


@dataclass(frozen=True)
class Marked:
    """A column that comes from a marked one.

    Attributes:
        column: Of the model.
        source: The marked one, as people read it.
        why: What is wrong with it; empty where it suffices that it is there.
    """

    column: str
    source: str
    why: str = ""


@dataclass(frozen=True)
class Trace:
    """What a walk back found.

    Attributes:
        links: How many links there should be.
        missing: The links that are missing, a sentence each.
        broken: How many links these are.
        identifiers: Columns that come from direct identifiers.
        unpurposed: Columns that come from personal data whose declared purposes do not cover this use.
    """

    links: int
    missing: tuple[str, ...] = ()
    broken: int = 0
    identifiers: tuple[Marked, ...] = ()
    unpurposed: tuple[Marked, ...] = ()

    @property
    def completeness(self) -> float:
        """Share of the links that are there, from 0 to 1."""
        return (self.links - self.broken) / self.links if self.links else 0.0

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return self.links > 0 and not self.missing


def trace(
    graph: Graph, start: Node, features: Sequence[str] = (), use: str = "", declared: Collection[str] = ()
) -> Trace:
    """Walk back from a data set.

    Args:
        graph: The graph.
        start: A model version, or what speaks of one, such as a permit.
        features: Columns of ``start`` that must come from columns from outside.
        use: What the model uses its data for; empty where purposes are not asked about.
        declared: What the data that it reads itself may be used for, where no tag says so.
    """
    return _Walk(graph, start, tuple(features), use, frozenset(declared)).found()


@dataclass(frozen=True)
class _Walk:
    graph: Graph
    start: Node
    features: tuple[str, ...]
    use: str
    declared: frozenset[str]

    def found(self) -> Trace:
        links = [*self._links()]
        untraced = [name for name in self.features if not self._is_traced(name)]
        missing = [said for said in links if said]
        if untraced:
            missing.append(f"{_listed('Column', untraced)} of {self.start} cannot be followed to data from outside.")
        return Trace(
            len(links) + len(self.features),
            tuple(missing),
            len([said for said in links if said]) + len(untraced),
            tuple(self._identifiers()),
            tuple(self._unpurposed()) if self.use else (),
        )

    @cached_property
    def steps(self) -> list[Step]:
        return walk(self.graph.writers, [self.start], lambda step: map(_before, _material(step)))

    @cached_property
    def wrote(self) -> dict[Node, list[Step]]:
        """Who wrote what, the newest first; what came from outside by its name alone."""
        found: dict[Node, list[Step]] = {}
        for step in reversed(self.steps):
            for node in step.outputs:
                found.setdefault(_before(node), []).append(step)
        return found

    def _links(self) -> Iterator[str]:
        """Yield a link each: empty where it is there, a sentence where it is missing."""
        seen: set[Node] = set()
        queue: list[tuple[Node, str]] = [(self.start, "")]
        while queue:
            node, reader = queue.pop()
            if node in seen:
                continue
            seen.add(node)
            yield "" if node.version else f"{reader} does not say which version of {node} it read."
            if node.what in SOURCES:
                continue
            writers = self.wrote.get(node, [])
            read_by = f" {reader} read it." if reader else ""
            yield "" if writers else f"No task says that it wrote {node}.{read_by}"
            for step in writers:
                queue += [(other, step.job) for other in _material(step)]

    def _is_traced(self, column: str) -> bool:
        return any(node.what == "raw" for node, _ in self._ways(column))

    def _ways(self, column: str) -> list[tuple[Node, str]]:
        """Return every column that a column is made of, near or far, itself among them."""
        seen: set[tuple[Node, str]] = set()
        queue = [(_before(self.start), column)]
        while queue:
            one = queue.pop()
            if one not in seen:
                seen.add(one)
                queue += self._sources(*one)
        return sorted(seen)

    def _sources(self, node: Node, column: str) -> Iterator[tuple[Node, str]]:
        for step in self.wrote.get(node, []):
            read = {(one.namespace, one.name): _before(one) for one in step.inputs}
            for number in [number for output, number in step.columns if _before(output) == node]:
                for origin in self.origins.get((number, column), []):
                    source = read.get((origin.namespace, origin.name))
                    if source is not None and not origin.hidden:
                        yield source, origin.field

    @cached_property
    def origins(self) -> dict[tuple[int, str], list[Origin]]:
        return self.graph.origins({number for step in self.steps for _, number in step.columns})

    # --- what is brought along ------------------------------------------------------------------------------------

    @cached_property
    def marks(self) -> dict[Column, dict[str, tuple[int, frozenset[str]]]]:
        """Tags by column: the tag, then the event that said so last and with which values."""
        nodes = {_before(node) for step in self.steps for node in (*step.inputs, *step.outputs)}
        found: dict[Column, dict[str, tuple[int, frozenset[str]]]] = {}
        for event, namespace, name, column, tag, value in self.graph.marks(nodes):
            tags = found.setdefault((namespace, name, column), {})
            last, values = tags.get(tag, (event, frozenset()))
            tags[tag] = (event, frozenset([value]) | (values if last == event else frozenset()))
        return found

    @cached_property
    def read_by_us(self) -> set[Node]:
        """What came from outside into our own pipeline; of it model.yaml speaks, of what lies before it others."""
        ours = [step for step in self.steps if any(node.is_ours for node in step.outputs)]
        return {_before(node) for step in ours for node in step.inputs} | {
            node for step in ours for node in step.outputs
        }

    def _values(self, column: Column, tag: str) -> frozenset[str]:
        return self.marks.get(column, {}).get(tag, (0, frozenset()))[1] - {"false"}

    def _identifiers(self) -> Iterator[Marked]:
        for feature in self.features:
            for node, column in self._ways(feature):
                if self._values((node.namespace, node.name, column), IDENTIFIER):
                    yield Marked(feature, f"{column} of {node}")
                    break

    def _unpurposed(self) -> Iterator[Marked]:
        for feature in self.features:
            for node, column in self._ways(feature):
                place = (node.namespace, node.name, column)
                if not self._values(place, PERSONAL) or self._values(place, IDENTIFIER):
                    continue
                purposes = self._values(place, PURPOSE) or self._values((node.namespace, node.name, ""), PURPOSE)
                purposes = purposes or (self.declared if node in self.read_by_us else frozenset())
                if self.use not in purposes:
                    declared = ", ".join(sorted(purposes)) or "nothing"
                    yield Marked(feature, f"{column} of {node}", f"declared for {declared}, used for {self.use}")
                    break


def _material(step: Step) -> list[Node]:
    """Return what a task made its outputs of."""
    return [node for node in step.inputs if node.what not in BESIDE]


def _before(node: Node) -> Node:
    """Return a data set as its writer names it: nobody outside knows by which content we know it."""
    return node.any_version if node.what == "raw" else node


def told(found: Collection[Marked]) -> str:
    """Return in a sentence which columns come from which marked ones."""
    return "; ".join(
        f"{one.column} comes from {one.source}" + (f", {one.why}" if one.why else "") for one in sorted(found, key=_by)
    )


def _by(one: Marked) -> tuple[str, str]:
    return one.column, one.source


def _listed(noun: str, names: Sequence[str]) -> str:
    shown: Iterable[str] = names[:WORDS]
    more = f" and {len(names) - WORDS} more" if len(names) > WORDS else ""
    return f"{noun}{'s' if len(names) > 1 else ''} {', '.join(shown)}{more}"
