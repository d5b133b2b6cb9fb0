"""The graph, read from the outbox's index in PostgreSQL."""

from contextlib import closing

import psycopg
import pytest

from governance.errors import InputError
from governance.lineage import drawing
from governance.lineage.graph import Graph, Node
from governance.lineage.trace import trace
from governance.lineage.uses import uses
from governance.lineage.way import choose, way
from tests.integration.lineage.a_release import (
    EVIDENCE,
    MANIFEST,
    RAW,
    SNAPSHOT,
    event,
    made_of,
    named,
    ours,
    release,
    tagged,
)

pytestmark = pytest.mark.integration

MODEL = Node("governance", "loan/model", MANIFEST)
FEATURES = ["income", "price"]
EVIDENCE_READ, SNAPSHOT_READ = ours("evidence", EVIDENCE), ours("snapshot", SNAPSHOT)


@pytest.fixture(scope="module")
def installed(new_database):
    """Return one database for all of these tests; each begins with an empty outbox."""
    return new_database()


@pytest.fixture
def database(installed):
    with closing(psycopg.connect(installed.dsn("postgres"), autocommit=True)) as connection:
        connection.execute("TRUNCATE lineage.event, lineage.touched, lineage.columns, lineage.made_of, lineage.marked")
    return installed


@pytest.fixture
def graph(outbox):
    return Graph(outbox)


def test_a_release_of_which_every_task_spoke_is_complete(outbox, graph):
    outbox.append(release())

    found = trace(graph, MODEL, FEATURES)
    assert (found.missing, found.completeness, found.is_complete) == ((), 1.0, True)
    assert trace(graph, Node("governance", "loan/permit", "e" * 64)).is_complete


@pytest.mark.parametrize(
    ("silent", "told"),
    [
        ("govern_loan.ingest", "No task says that it wrote loan/snapshot 55555555."),
        ("govern_loan.validate", "No task says that it wrote loan/validation v. govern_loan.train read it."),
        ("govern_loan.train", "No task says that it wrote loan/model aaaaaaaa."),
    ],
)
def test_a_silent_task_is_missed_by_name(outbox, graph, silent, told):
    outbox.append(release(silent))

    found = trace(graph, MODEL, FEATURES)
    assert any(said.startswith(told) for said in found.missing), found.missing
    assert found.completeness < 1


@pytest.mark.parametrize("silent", ["measure.quality", "judge", "approve_compliance"])
def test_a_permit_misses_every_task_on_the_way_to_it(outbox, graph, silent):
    outbox.append(release(f"govern_loan.{silent}"))

    assert not trace(graph, Node("governance", "loan/permit", "e" * 64)).is_complete


def test_nothing_is_complete_where_nothing_was_said(graph):
    found = trace(graph, MODEL, FEATURES)
    assert (found.completeness < 1, found.is_complete) == (True, False)


def test_a_version_that_nobody_knows_is_missed(outbox, graph):
    outbox.append([event("govern_loan.train", [named(RAW)], [ours("model", MANIFEST)])])

    assert f"govern_loan.train does not say which version of {RAW[0]} {RAW[1]} it read." in trace(graph, MODEL).missing


def test_a_column_of_the_model_that_comes_from_nowhere_is_missed(outbox, graph):
    outbox.append(release())

    found = trace(graph, MODEL, [*FEATURES, "moon"])
    assert found.missing == ("Column moon of loan/model aaaaaaaa cannot be followed to data from outside.",)


@pytest.mark.parametrize(
    ("asked", "columns"),
    [
        (" ".join(RAW), ()), (RAW[1], ()), (f"{RAW[1]}.income", ("income",)), ("loan/snapshot", ()),
        ("loan/snapshot.price", ("price",)), (SNAPSHOT, ()), (SNAPSHOT[:8], ()), ("loan/protected", ()),
    ],
)  # fmt: skip
def test_what_used_it_is_found_by_data_set_column_and_digest(outbox, graph, asked, columns):
    outbox.append(release())

    assert [(one.node, one.columns) for one in uses(graph, asked)] == [(MODEL, columns)]


def test_a_column_that_is_kept_apart_was_used_by_no_model(outbox, graph):
    outbox.append(release())

    assert uses(graph, f"{RAW[1]}.race") == []


def test_a_column_that_is_not_there_is_no_answer(outbox, graph):
    outbox.append(release())

    with pytest.raises(InputError, match=r"found none called 'incme'\. Columns: income\."):
        uses(graph, "loan/snapshot.incme")


def test_what_was_never_read_or_written_is_told_with_what_is_near(outbox, graph):
    outbox.append(release())

    with pytest.raises(InputError, match=r"none called 'loans'.* Near: .*lending\.public\.loans"):
        uses(graph, "loans")


def test_the_way_leads_from_raw_data_to_what_was_decided(outbox, graph):
    outbox.append(release())

    lines = list(drawing.tree(way(graph, choose(graph, "loan"))))
    assert [line.strip("│├└─ ").partition("  (")[0] for line in lines] == [
        f"raw data: {RAW[1]}", "protected, apart: loan/protected 77777777", "snapshot: loan/snapshot 55555555",
        "validation: ✓ loan/validation v", "model: loan 1.0.0", "evidence: ! eeeeeeee warn",
        "decision: compliance", "permit: ✓ eeeeeeee", "endpoint: serves 1.0.0", "prediction log: of 1.0.0",
        "window: loan/window 99999999", "decided: retrain", "contract: cccccccc",
    ]  # fmt: skip


def test_a_line_that_says_no_more_than_a_longer_one_is_left_out(outbox, graph):
    outbox.append(release())

    edges = {(source.what, target.what) for source, target in way(graph, MODEL).edges}
    assert {("snapshot", "validation"), ("validation", "model"), ("window", "decided")} <= edges
    assert not {("snapshot", "model"), ("snapshot", "evidence"), ("model", "endpoint")} & edges


def test_a_permit_rests_on_every_decision_over_its_evidence(outbox, graph):
    outbox.append([*release(), event("govern_loan.approve_risk", [EVIDENCE_READ], [ours("signed/risk", EVIDENCE)])])

    edges = {(source.name, target.name) for source, target in way(graph, MODEL).edges}
    assert {("loan/signed/compliance", "loan/permit"), ("loan/signed/risk", "loan/permit")} <= edges
    assert ("loan/evidence", "loan/permit") not in edges


def test_a_feature_of_which_no_task_spoke_is_a_column_of_the_way_and_missed(outbox, graph):
    signature = {"signature": {"inputs": ["income", "moon"]}}
    outbox.append([*release("govern_loan.train"), event("govern_loan.train", [SNAPSHOT_READ], [
        ours("model", MANIFEST, governance_model=signature)])])  # fmt: skip

    columns = way(graph, MODEL).columns
    assert dict(columns) == {"income": (), "moon": ()}
    assert any("moon" in said for said in trace(graph, MODEL, sorted(columns)).missing)


@pytest.mark.parametrize("facets", ["odd", {"schema": []}, {"schema": {"fields": {"a": 1}}}, {"documentation": ["me"]},
                                    {"ownership": {"owners": ["me"]}}, {"outputStatistics": {"rowCount": "many"}},
                                    {"governance_model": {"signature": "all"}}])  # fmt: skip
def test_facets_of_a_wrong_shape_break_no_other_answer(outbox, graph, facets):
    odd = [{**ours(what, version), "facets": {**facets, "version": {"datasetVersion": version}}
            if isinstance(facets, dict) else facets}
           for what, version in (("snapshot", SNAPSHOT), ("model", MANIFEST))]  # fmt: skip
    outbox.append([*release(), event("govern_loan.other", [], odd)])

    assert "loan/snapshot" in "\n".join(drawing.tree(way(graph, MODEL)))
    assert trace(graph, MODEL, FEATURES).is_complete


def test_older_windows_are_counted_and_not_shown(outbox, graph):
    log, windows = ours("predictions", "1.0.0"), [ours("window", f"w{day}") for day in range(12)]
    outbox.append([*release(), *(event("monitor_loan.collect", [log], [window]) for window in windows)])

    found = way(graph, MODEL)
    assert [one.node.version for one in found.nodes if one.node.what == "window"] == [f"w{n}" for n in range(4, 12)]
    assert found.left_out == 5
    assert not [one for one in found.nodes if one.node.what == "decided"], "it was decided of an older one"


def test_a_column_is_followed_back_over_every_station(outbox, graph):
    outbox.append(release())

    assert way(graph, MODEL).columns["income"] == ("loan/snapshot.income", f"{RAW[0]} {RAW[1]}.income")


def test_an_identifier_is_found_under_another_name_however_far_it_was_derived(outbox, graph):
    hashed = made_of({"income": "ssn"}, ("s3://lake", "people"), type="DIRECT", description="sha2", masking=True)
    spark = event("spark.enrich", [named(("s3://lake", "people"))], [named(RAW, **hashed)])
    crm = event("dbt.people", [], [named(("s3://lake", "people"), **tagged(("IDENTIFIER", "true", "ssn")))])
    outbox.append([crm, spark, *release()])

    found = trace(graph, MODEL, FEATURES)
    assert [(one.column, one.source) for one in found.identifiers] == [("income", "ssn of s3://lake people")]
    assert found.is_complete


def test_our_own_mask_leaves_nothing_of_an_identifier(outbox, graph):
    masked = made_of({"income": "income"}, RAW, type="DIRECT", description="masked", masking=True)
    parts = [ours("snapshot", SNAPSHOT, **masked), ours("protected", "7" * 64)]
    before = release(**tagged(("IDENTIFIER", "true", "income")))
    outbox.append([*before, event("govern_loan.ingest", [named(RAW, "as frozen")], parts)])

    assert trace(graph, MODEL, FEATURES).identifiers == ()


def test_a_mark_can_be_taken_back(outbox, graph):
    wrong, right = (tagged(("IDENTIFIER", value, "income")) for value in ("true", "false"))
    outbox.append([event("dbt", [], [named(RAW, **one)]) for one in (wrong, right)] + release())

    assert trace(graph, MODEL, FEATURES).identifiers == ()


@pytest.mark.parametrize(
    ("purposes", "told"),
    [(["credit decisioning"], []), (["marketing"], ["declared for marketing, used for credit decisioning"]),
     ([], ["declared for nothing, used for credit decisioning"])],
    ids=["covered", "other", "none"],
)  # fmt: skip
def test_personal_data_need_a_purpose_that_covers_the_models(outbox, graph, purposes, told):
    tags = tagged(("PII", "true", "income"), *(("PURPOSE", purpose, "income") for purpose in purposes))
    outbox.append([event("spark.enrich", [], [named(RAW, **tags)]), *release()])

    found = trace(graph, MODEL, FEATURES, use="credit decisioning")
    assert [one.why for one in found.unpurposed] == told
    assert trace(graph, MODEL, FEATURES).unpurposed == (), "nobody asked"
