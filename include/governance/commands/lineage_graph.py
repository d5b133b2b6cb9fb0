"""The commands that ask the graph of lineage: where a model comes from and where it went, and what used what."""

import json
from contextlib import closing
from typing import TYPE_CHECKING

from governance.commands.answer import NO, YES, Answer, line
from governance.errors import InputError
from governance.lineage import drawing
from governance.lineage.graph import Graph, Node
from governance.lineage.outbox import Outbox
from governance.lineage.trace import Trace, trace
from governance.lineage.uses import Use, uses
from governance.lineage.way import Way, choose, way
from governance.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console


def show(settings: Settings, model: str, version: str | None, form: str) -> Answer:
    """Answer the way of a model version, and whether it is whole back to raw data.

    Args:
        settings: Where the outbox is.
        model: The governed model.
        version: Its semantic version, or the beginning of its manifest's digest; what serves, or the newest.
        form: ``tree``, ``mermaid``, ``dot`` or ``json``.

    Raises:
        InputError: No task wrote such a version, or the form is none of these.
    """
    if form not in drawing.FORMATS:
        raise InputError(f"Expected --format to be one of {', '.join(drawing.FORMATS)}, found {form!r}.")
    with closing(Outbox(settings.require("ledger_url"))) as outbox:
        graph = Graph(outbox)
        node = choose(graph, model, version)
        found = way(graph, node)
        whole = trace(graph, node, sorted(found.columns))
    document = {**found.to_dict(), "complete": whole.is_complete, "completeness": whole.completeness,
                "missing": list(whole.missing)}  # fmt: skip

    def print_it(out: "Console") -> None:
        if form == "json":
            line(out, json.dumps(document, ensure_ascii=False, indent=2))
        elif form == "tree":
            _print_tree(out, found, whole)
        else:
            for text in drawing.drawn(found, form):
                line(out, text)

    return Answer(document, print_it, YES if whole.is_complete else NO)


def _print_tree(out: "Console", found: Way, whole: Trace) -> None:
    line(out, f"{found.model.model} {found.version}".strip() + f" · {found.model.version[:16]}", "bold")
    for text in drawing.tree(found):
        line(out, text)
    line(out)
    if whole.is_complete:
        columns = len(found.columns)
        line(out, f"Complete: {whole.links - columns} links back to raw data, {columns} columns traced.", "green")
    for text in whole.missing:
        line(out, text, "red")


def used(settings: Settings, asked: str) -> Answer:
    """Answer which model versions a data set, a column or a snapshot went into.

    Raises:
        InputError: Nothing of this name was ever read or written.
    """
    with closing(Outbox(settings.require("ledger_url"))) as outbox:
        graph = Graph(outbox)
        found = uses(graph, asked)
        versions = _semantic_versions(graph, found)
    document = {
        "asked": asked,
        "models": [{**one.to_dict(), "semantic_version": versions.get(one.node) or None} for one in found],
    }

    def print_it(out: "Console") -> None:
        said = f"{len(found):,} model version{'s' if len(found) != 1 else ''} used {asked}."
        line(out, said if found else f"No model used {asked}.", "bold")
        for one in found:
            named = f"{one.node.model} {versions.get(one.node, '')}".strip()
            line(out, f"{named} · {one.node.version[:16]}" + (f" as {', '.join(one.columns)}" if one.columns else ""))

    return Answer(document, print_it, YES if found else NO)


TOLD = 50
"""So many versions are told by their semantic version, too: it stands in the event, not in the index."""


def _semantic_versions(graph: Graph, found: list[Use]) -> dict[Node, str]:
    from governance.lineage import facts

    nodes = [one.node for one in found[:TOLD]]
    steps = graph.writers(nodes)
    known = facts.by_node(steps, graph.events(step.number for step in steps))
    return {node: facts.semantic_version(known.get(node, {})) for node in nodes}
