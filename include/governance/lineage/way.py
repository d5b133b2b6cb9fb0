"""The way of a model version: where it comes from and where it went, as people look at it.

Back to raw data, and on to what serves, what was answered, and what was decided about it. Later models that the answers
led to are another way. What speaks of a model without being a station (the measurements of a family, a report) is left
out, and what lay on both sides of it is joined; a line that says no more than a longer one says is left out, too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from governance.errors import InputError
from governance.lineage import facts
from governance.lineage.graph import NAMESPACE, Graph, Node, Step, walk
from governance.lineage.trace import BESIDE

Json = dict[str, Any]

STATIONS = {
    "raw": ("Data", "raw data"),
    "contract": ("Data", "contract"),
    "protected": ("Data", "protected, apart"),
    "snapshot": ("Data", "snapshot"),
    "validation": ("Data", "validation"),
    "model": ("Training", "model"),
    "evidence": ("Review", "evidence"),
    "signed": ("Review", "decision"),
    "permit": ("Review", "permit"),
    "endpoint": ("Production", "endpoint"),
    "predictions": ("Production", "prediction log"),
    "window": ("Watch", "window"),
    "decided": ("Watch", "decided"),
    "incident": ("Watch", "incident"),
}
"""What is shown: its lane, and what it is called. In the order in which a model meets them."""

ONWARD = ("model", "evidence", "signed", "permit", "endpoint", "predictions", "window", "monitoring", "decided")
"""What the walk goes on from."""

WINDOWS, LISTED = 8, 25
"""How many windows are shown, the newest; how many versions are listed."""


@dataclass(frozen=True)
class Station:
    """A data set on the way.

    Attributes:
        node: Which.
        title: What it is called.
        state: ``pass``, ``warn`` or ``block``, where something was judged; else empty.
        facts: What is known of it, in pairs of words.
        at: When it was last written.
        job: By which task.
        run_id: OpenLineage's id of that task's run.
    """

    node: Node
    title: str
    state: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    at: datetime | None = None
    job: str = ""
    run_id: str = ""

    @property
    def lane(self) -> str:
        """Where it stands."""
        return STATIONS[self.node.what][0]

    @property
    def kind(self) -> str:
        """What it is, in a word or two."""
        return STATIONS[self.node.what][1]

    def to_dict(self) -> Json:
        """Return the JSON form."""
        return {
            "namespace": self.node.namespace, "name": self.node.name, "version": self.node.version or None,
            "kind": self.node.what, "title": self.title, "state": self.state or None, "facts": dict(self.facts),
            "written_by": self.job or None, "run_id": self.run_id or None,
            "at": self.at.isoformat() if self.at else None,
        }  # fmt: skip


@dataclass(frozen=True)
class Way:
    """The way of a model version.

    Attributes:
        model: The model version.
        version: Its semantic version, where an event says so.
        nodes: The stations, in the order of the way.
        edges: From which to which, transitively reduced.
        left_out: How many older windows are not shown.
        columns: Of each column of the model: the columns that it is made of, the nearest first, and by which way.
            None where no task said of which.
    """

    model: Node
    version: str
    nodes: tuple[Station, ...]
    edges: tuple[tuple[Node, Node], ...]
    left_out: int = 0
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_dict(self) -> Json:
        """Return the JSON form: edges are pairs of positions in ``nodes``."""
        place = {station.node: number for number, station in enumerate(self.nodes)}
        return {
            "model": self.model.model, "version": self.version or None, "manifest": self.model.version,
            "nodes": [station.to_dict() for station in self.nodes],
            "edges": [[place[one], place[other]] for one, other in self.edges],
            "older_windows": self.left_out, "columns": {name: list(of) for name, of in self.columns.items()},
        }  # fmt: skip


def choose(graph: Graph, model: str, version: str | None = None) -> Node:
    """Return the model version that is meant: what serves, or the newest; or the one that is named.

    Args:
        graph: The graph.
        model: The governed model.
        version: A semantic version, or the beginning of a manifest's digest.

    Raises:
        InputError: No task wrote such a version.
    """
    written = [node for node, _ in graph.versions(NAMESPACE, f"{model}/model")]
    if not written:
        raise InputError(
            f"Expected lineage of {model}, found no task that wrote {model}/model. Trigger govern_{model}: its tasks "
            f"say what they read and wrote."
        )
    served = _served(graph, model)
    if version is None:
        return next(iter(served.values()), written[0])
    if version in served:
        return served[version]
    named = [node for node, said in listed(graph, model) if said == version]
    named += [node for node in written if len(version) >= 8 and node.version.startswith(version)]
    if not named:
        known = ", ".join(dict.fromkeys(said for _, said in listed(graph, model) if said))
        raise InputError(f"Expected a version of {model}, found no {version!r}. Versions, the newest first: {known}.")
    return named[0]


def listed(graph: Graph, model: str) -> list[tuple[Node, str]]:
    """Return the newest versions of a model, each with its semantic version."""
    nodes = [node for node, _ in graph.versions(NAMESPACE, f"{model}/model")][:LISTED]
    steps = graph.writers(nodes)
    known = facts.by_node(steps, graph.events(step.number for step in steps))
    return [(node, facts.semantic_version(known.get(node, {}))) for node in nodes]


def _served(graph: Graph, model: str) -> dict[str, Node]:
    """Return what was served, the last first: semantic version → model version."""
    endpoints = [node for node, _ in graph.versions(NAMESPACE, f"{model}/endpoint")]
    made = {
        node: one
        for step in graph.writers(endpoints[:LISTED])
        for node in step.outputs
        for one in step.inputs
        if one.what == "model"
    }
    return {node.version: made[node] for node in endpoints if node in made}


def way(graph: Graph, model: Node) -> Way:
    """Return the way of a model version."""
    back = walk(graph.writers, [model], lambda step: [one for one in step.inputs if one.what not in BESIDE])
    on = walk(graph.readers, [model], lambda step: [one for one in step.outputs if _leads_on(one, model)])
    reached = {model} | {node for step in back for node in (*step.inputs, *step.outputs) if node.what not in BESIDE}
    reached |= {node for step in on for node in step.outputs if _is_of(node, model)}
    steps = {step.number: step for step in (*back, *on)}
    reached, left_out = _newest_windows(reached, steps.values())
    shown = [step for step in steps.values() if reached & set(step.outputs)]
    edges = _reduced(_joined(_edges(shown, reached), {node for node in reached if node.what not in STATIONS}))
    nodes = {node for node in reached if node.what in STATIONS}
    known = facts.by_node(shown, graph.events(step.number for step in shown))
    stations = sorted((_station(node, shown, known.get(node, {})) for node in nodes), key=_order)
    said = known.get(model, {})
    columns = dict.fromkeys(facts.features(said), ()) | _columns(graph, shown, model)
    return Way(model, facts.semantic_version(said), tuple(stations), tuple(sorted(edges)), left_out, columns)


def _leads_on(node: Node, model: Node) -> bool:
    return node.what in ONWARD and _is_of(node, model)


def _is_of(node: Node, model: Node) -> bool:
    """Whether it belongs to this model, and is not another version of it."""
    return node.model == model.model and (node.what not in ("model", "snapshot", "protected") or node == model)


def _newest_windows(reached: set[Node], steps: Iterable[Step]) -> tuple[set[Node], int]:
    at = {node: step.at for step in steps for node in step.outputs if node.what == "window"}
    windows = sorted((node for node in reached if node.what == "window" and node in at), key=lambda node: at[node])
    old = set(windows[:-WINDOWS])
    while True:  # what came of nothing but old windows is as old
        more = {
            node
            for node in reached - old
            if node.what in ("monitoring", "decided", "incident", "report")
            if (sources := {one for step in steps for one in step.inputs if node in step.outputs} & reached)
            and sources <= old
        }
        if not more:
            return reached - old, len(windows[:-WINDOWS])
        old |= more


def _edges(steps: Iterable[Step], nodes: set[Node]) -> dict[Node, set[Node]]:
    edges: dict[Node, set[Node]] = {node: set() for node in nodes}
    for step in steps:
        for source in nodes & set(step.inputs):
            edges[source] |= (nodes & set(step.outputs)) - {source}
    for signed in [node for node in nodes if node.what == "signed"]:
        # Each role's task speaks of its own decision; a permit rests on all decisions over its evidence.
        edges[signed] |= {node for node in nodes if node.what == "permit" and node.version == signed.version}
    return edges


def _joined(edges: dict[Node, set[Node]], hidden: Iterable[Node]) -> dict[Node, set[Node]]:
    """Take nodes out, and join what lay before them with what lay behind."""
    for node in hidden:
        behind = edges.pop(node) - {node}
        for source, targets in edges.items():
            if node in targets:
                edges[source] = (targets - {node}) | (behind - {source})
    return edges


def _reduced(edges: dict[Node, set[Node]]) -> set[tuple[Node, Node]]:
    """Leave out every edge beside which there is a longer way."""
    reach: dict[Node, set[Node]] = {}

    def reachable(node: Node) -> set[Node]:
        if node not in reach:
            reach[node] = set()  # a circle ends here
            reach[node] = set().union(*({one} | reachable(one) for one in edges[node]))
        return reach[node]

    return {
        (source, target)
        for source, targets in edges.items()
        for target in targets
        if not any(target in reachable(other) for other in targets - {target})
    }


def _station(node: Node, steps: Iterable[Step], facets: Json) -> Station:
    by = max((step for step in steps if node in step.outputs), key=lambda step: step.at, default=None)
    title, state, said = facts.of(node, facets)
    at, job, run_id = (by.at, by.job, by.run_id) if by else (None, "", "")
    return Station(node, title, state, tuple(said), at, job, run_id)


def _order(station: Station) -> tuple[Any, ...]:
    return list(STATIONS).index(station.node.what), station.at.timestamp() if station.at else 0.0, station.node


def _columns(graph: Graph, steps: Iterable[Step], model: Node) -> dict[str, tuple[str, ...]]:
    """Return of each column of the model the columns before it, one for each data set on the way back."""
    numbers = {
        (node.namespace, node.name): number for step in steps for node, number in step.columns if node.what in STATIONS
    }
    origins = graph.origins(numbers.values())
    own = numbers.get((model.namespace, model.name))
    found = {}
    for number, column in origins:
        if number == own:
            found[column] = tuple(_before(origins, numbers, number, column, set()))
    return found


def _before(
    origins: Mapping[tuple[int, str], Any],
    numbers: Mapping[tuple[str, str], int],
    number: int,
    column: str,
    seen: set[tuple[int, str]],
) -> list[str]:
    if (number, column) in seen:
        return []
    seen.add((number, column))
    found = []
    for one in origins.get((number, column), []):
        node = Node(one.namespace, one.name)
        found.append(f"{node}.{one.field}" + (" (masked)" if one.hidden else ""))
        earlier = numbers.get((one.namespace, one.name))
        found += _before(origins, numbers, earlier, one.field, seen) if earlier is not None else []
    return found
