"""The graph that is drawn: every station once, every line between two of them, and every text escaped."""

import re
from datetime import UTC, datetime

import pytest

from governance.lineage import drawing
from governance.lineage.graph import Node
from governance.lineage.way import Station, Way
from governance_airflow.web import lineage, lineage_drawing

AT = datetime(2026, 3, 3, 14, tzinfo=UTC)
RAW = Node("file", 'loans <b>&"x".csv', "as frozen")
SNAPSHOT, APART = (Node("governance", f"loan/{name}", "5" * 64) for name in ("snapshot", "protected"))
MODEL, WINDOW = Node("governance", "loan/model", "a" * 64), Node("governance", "loan/window", "9" * 64)
EDGES = ((RAW, SNAPSHOT), (RAW, APART), (APART, MODEL), (SNAPSHOT, MODEL), (MODEL, WINDOW))


@pytest.fixture
def way():
    """Return a way of five stations over three lanes."""
    nodes = [Station(node, node.name, at=AT, job="govern_loan.x") for node in (RAW, APART, SNAPSHOT, MODEL, WINDOW)]
    return Way(MODEL, "1.0.0", tuple(nodes), EDGES, columns={"income": ("loan/snapshot.income", "file loans.income")})


def test_every_station_is_a_box_that_can_be_chosen_and_every_edge_a_line(way):
    svg = lineage_drawing.drawing(way)

    assert re.findall(r'class="node" href="#(n\d)"', svg) == ["n0", "n1", "n2", "n3", "n4"]
    assert re.findall(r'data-e="(\d \d)"', svg) == ["0 2", "0 1", "1 3", "2 3", "3 4"]
    assert svg.count("edge apart") == 1, "what leaves protected attributes is dashed"


def test_boxes_do_not_lie_upon_each_other(way):
    corners = re.findall(rf'<rect x="(\d+)" y="(\d+)" width="{lineage_drawing.BOX}"', lineage_drawing.drawing(way))
    assert len(set(corners)) == len(way.nodes)


@pytest.mark.parametrize("draw", [lineage_drawing.drawing, lambda way: "\n".join(drawing.mermaid(way))])
def test_what_others_named_is_escaped(way, draw):
    assert "<b>&" not in draw(way)
    assert "loans &lt;b&gt;&amp;" in draw(way)


def test_a_quotation_mark_does_not_end_a_label_in_dot(way):
    assert 'loans <b>&\\"x\\".csv' in "\n".join(drawing.dot(way))


def test_columns_are_told_from_the_raw_data_on(way):
    assert list(lineage_drawing.columns_of(way)) == [("income", ["file loans.income", "loan/snapshot.income"])]


def test_links_lead_to_marquez_only_where_there_is_one():
    assert lineage._in_marquez(None, MODEL) is None
    expected = (
        "http://marquez.test/lineage/dataset/governance/loan%2Fmodel"
        "?depth=20&tableLevelNode=dataset:governance:loan%2Fmodel"
    )
    assert lineage._in_marquez("http://marquez.test/", MODEL) == expected
