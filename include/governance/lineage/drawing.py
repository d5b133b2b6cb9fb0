"""The way of a model as a tree for a terminal, and as Mermaid and Graphviz's dot for documents."""

from collections.abc import Iterator
from typing import Any

from governance.lineage.graph import Node
from governance.lineage.way import STATIONS, Station, Way

FORMATS = ("tree", "mermaid", "dot", "json")


def tree(way: Way) -> Iterator[str]:
    """Yield the lines of a tree: raw data at the root, each station once, below the last one before it."""
    rank = {name: number for number, name in enumerate(STATIONS)}
    place = {station.node: number for number, station in enumerate(way.nodes)}
    parents: dict[Node, Node] = {}
    for source, target in way.edges:
        best = parents.get(target)
        if best is None or (rank[source.what], place[source]) > (rank[best.what], place[best]):
            parents[target] = source
    children: dict[Node | None, list[Station]] = {}
    for station in way.nodes:
        children.setdefault(parents.get(station.node), []).append(station)
    for station in children.get(None, []):
        yield _line(station)
        yield from _below(station, children, "")
    if way.left_out:
        yield f"{way.left_out} older windows are not shown."


def _below(station: Station, children: dict[Node | None, list[Station]], indent: str) -> Iterator[str]:
    below = children.get(station.node, [])
    for number, one in enumerate(below, 1):
        is_last = number == len(below)
        yield f"{indent}{'└─' if is_last else '├─'} {_line(one)}"
        yield from _below(one, children, indent + ("   " if is_last else "│  "))


def _line(station: Station) -> str:
    signs = {"pass": "✓", "warn": "!", "block": "✗"}
    when = f"{station.at:%Y-%m-%d %H:%M}" if station.at else ""
    about = " · ".join(part for part in (_size(station), station.job, when) if part)
    sign = f"{signs[station.state]} " if station.state else ""
    title = str(station.node) if station.title == station.node.name and station.node.is_ours else station.title
    return f"{station.kind}: {sign}{title}" + (f"  ({about})" if about else "")


def _size(station: Station) -> str:
    return dict(station.facts).get("Size", "")


def mermaid(way: Way) -> Iterator[str]:
    """Yield a flow chart in Mermaid's words: https://mermaid.js.org/syntax/flowchart.html."""
    names = _names(way)
    yield "flowchart LR"
    for lane, stations in _lanes(way):
        yield f"  subgraph {lane}"
        for station in stations:
            yield f'    {names[station.node]}["{_entity(station.kind)}<br/><b>{_entity(station.title)}</b>"]'
        yield "  end"
    for source, target in way.edges:
        arrow = "-.->" if source.what == "protected" else "-->"
        yield f"  {names[source]} {arrow} {names[target]}"


def dot(way: Way) -> Iterator[str]:
    """Yield a graph in Graphviz's words: https://graphviz.org/doc/info/lang.html."""
    names = _names(way)
    yield "digraph lineage {"
    yield '  rankdir=LR; node [shape=box, style=rounded, fontname="sans-serif", fontsize=10];'
    for lane, stations in _lanes(way):
        yield f'  subgraph cluster_{lane} {{ label="{lane}"; color=gray80;'
        for station in stations:
            yield f'    {names[station.node]} [label="{_quoted(station.kind)}\\n{_quoted(station.title)}"];'
        yield "  }"
    for source, target in way.edges:
        style = " [style=dashed]" if source.what == "protected" else ""
        yield f"  {names[source]} -> {names[target]}{style};"
    yield "}"


def _names(way: Way) -> dict[Node, str]:
    return {station.node: f"n{number}" for number, station in enumerate(way.nodes)}


def _lanes(way: Way) -> Iterator[tuple[str, list[Station]]]:
    for lane in dict.fromkeys(lane for lane, _ in STATIONS.values()):
        stations = [station for station in way.nodes if station.lane == lane]
        if stations:
            yield lane, stations


def _entity(text: str) -> str:
    for sign, entity in (("&", "&amp;"), ('"', "&quot;"), ("<", "&lt;"), (">", "&gt;"), ("\n", " ")):
        text = text.replace(sign, entity)
    return text


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def drawn(way: Way, form: str) -> list[str]:
    """Return the lines of a drawing in one of :data:`FORMATS` but ``json``."""
    lines: dict[str, Any] = {"tree": tree, "mermaid": mermaid, "dot": dot}
    return list(lines[form](way))
