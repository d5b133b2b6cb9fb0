"""What is told of a data set: the writer's word before a reader's, and of an odd facet that it is odd."""

from datetime import UTC, datetime

from governance.lineage import facts
from governance.lineage.graph import Node, Step

MODEL = Node("governance", "loan/model", "a" * 64)


def told(*events):
    steps = [Step(number, "job", "run", datetime(2026, 3, 3, tzinfo=UTC), (), (), ()) for number in range(len(events))]
    return facts.by_node(steps, dict(enumerate(events)))


def named(side, description, **more):
    facets = {"version": {"datasetVersion": MODEL.version}, "documentation": {"description": description}, **more}
    return {side: [{"namespace": MODEL.namespace, "name": MODEL.name, "facets": facets}]}


def test_a_reader_adds_to_what_the_writer_said_and_replaces_nothing_of_it():
    found = told(named("outputs", "Written."), named("inputs", "Read.", storage={"storageLayer": "delta"}))
    assert found[MODEL]["documentation"] == {"description": "Written."}
    assert found[MODEL]["storage"] == {"storageLayer": "delta"}


def test_a_writer_replaces_what_was_said_before():
    assert (
        told(named("inputs", "Read."), named("outputs", "Written."))[MODEL]["documentation"]["description"]
        == "Written."
    )


def test_odd_facets_are_said_to_be_odd():
    _, state, said = facts.of(MODEL, {"documentation": ["me"]})
    assert (state, dict(said)["Version"]) == ("", MODEL.version)
    assert "another shape" in dict(said)["About"]
