"""``/governance/metrics`` and the dashboard made of it: who may read it, and that every panel shows something."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient

from governance.predictions.log import PredictionLog
from governance.serving.app import create_app
from governance.serving.live import Asked, Live
from governance.serving.metrics import Metrics
from governance.settings import ROOT
from governance_airflow.web import services
from tests.unit.plugins import watched

METRICS = "/governance/metrics"
TOKEN = "a-token-that-is-long-enough"
BOARD = json.loads((ROOT / "docs" / "grafana" / "governance.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


@pytest.fixture
def token(office, tmp_path):
    """The file with Prometheus' token."""
    path = tmp_path / "metrics.token"
    path.write_text(f"{TOKEN}\n")
    settings = replace(office.app.state.services.settings, metrics_token=path)
    office.app.state.services = replace(office.app.state.services, settings=settings)
    return path


@pytest.fixture
def scrape(as_login):
    """Return a function that asks as Prometheus does."""
    return lambda sent, path=METRICS: as_login(None).get(path, headers={"Authorization": f"Bearer {sent}"})


# --- who may read it -----------------------------------------------------------------------------------------------


def test_prometheus_reads_with_its_own_token(token, scrape):
    answer = scrape(TOKEN)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE governance_monitoring_decision gauge" in answer.text


def test_a_person_reads_with_a_login(as_login):
    assert as_login("tom").get(METRICS).status_code == 200


@pytest.mark.parametrize("sent", ["", "wrong", TOKEN[:-1], f"{TOKEN}x", "forged"])
def test_another_token_opens_nothing(token, scrape, sent):
    assert scrape(sent).status_code in (401, 403)


def test_nobody_reads_without_either(as_login, token):
    assert as_login(None).get(METRICS).status_code == 401
    assert as_login("outsider").get(METRICS).status_code == 403


@pytest.mark.parametrize("path", ["monitoring", "inbox", "api/monitoring", "api/requests", "monitoring/loan"])
def test_the_token_opens_no_other_address(token, scrape, path):
    assert scrape(TOKEN, f"/governance/{path}").status_code == 403


def test_without_a_token_on_file_no_token_opens_it(scrape):
    assert scrape("").status_code == 401
    assert scrape(TOKEN).status_code == 403


@pytest.mark.parametrize("written", ["", "short", None])
def test_a_token_that_is_none_opens_nothing_and_the_log_says_what_to_do(token, scrape, monkeypatch, written):
    said = []
    monkeypatch.setattr(services.log, "error", lambda text, *args: said.append(text % args))
    token.unlink()
    if written is not None:
        token.write_text(written)

    answer = scrape(written or "x")
    assert answer.status_code in (401, 403)
    assert str(token) not in answer.text
    assert "Expected a token of at least 20 letters" in said[0]


def test_a_new_token_holds_without_a_restart(token, scrape):
    assert scrape(TOKEN).status_code == 200
    token.write_text("another-token-that-is-long")

    assert (scrape(TOKEN).status_code, scrape("another-token-that-is-long").status_code) == (403, 200)


def test_a_ledger_that_does_not_answer_is_no_empty_answer(office, token, scrape):
    office.ledger.away = True

    assert scrape(TOKEN).status_code == 503


# --- the dashboard -------------------------------------------------------------------------------------------------


@pytest.fixture
def exposed(office, token, scrape, tmp_path) -> str:
    """What both addresses really answer, once something has happened of each kind."""
    monitor = watched.three_months(office)
    decided = monitor.window(watched.measured(monitor.rng, loss=0.01))
    retrain = next(e for e in office.ledger.find(kind="monitoring") if e.data["decision"]["action"] == "retrain")
    office.ledger.append("run", "loan", {"request": {"decision": retrain.key}}, actor="p", key="run:loan:again")
    at = decided.at + timedelta(hours=1)
    data = {"run_id": "again", "version": "1.2.0", "evidence": "ef" * 32, "permit_expires_at": at.isoformat()}
    office.ledger.append("release", "loan", data, actor="p", key="release:again", at=at)
    return scrape(TOKEN).text + scoring(tmp_path)


def scoring(folder) -> str:
    """Return what the scoring service answers at /metrics, with one model that serves."""
    app = create_app()
    permit = SimpleNamespace(expires_at=watched.datetime.now(watched.UTC))
    serving = SimpleNamespace(version="1.0.0", permitted=SimpleNamespace(permit=permit))
    state = SimpleNamespace(serving=serving, why_not=lambda _: None)
    app.state.champions = SimpleNamespace(states={"loan": state}, now=lambda: None, waiting=0)
    app.state.predictions = PredictionLog(folder, "postgresql://nobody@localhost:1/none", None)
    app.state.live = counting()
    app.state.metrics = Metrics()
    app.state.metrics.count("loan", 200, rows=3, seconds=0.002)
    return TestClient(app).get("/metrics").text


def counting() -> Live:
    """Return what has counted one request beside the last window."""
    random = watched.random.Random(0)
    shapes = watched.shapes(random, watched.measured(random))
    watched_ = SimpleNamespace(key="watched:1", data={"shapes": [one.to_dict() for one in shapes]})
    decided = SimpleNamespace(data={"champion": "ab", "watched": "watched:1"})
    ledger = SimpleNamespace(find=lambda **_: [decided], get=lambda _: watched_)
    made = Live(ledger, lambda: watched.datetime.now(watched.UTC))
    version = SimpleNamespace(name="loan", version="1.0.0", evidence="ab")
    made.take(Asked(version, ("obrat",), [[500.0], [900.0]], [1, 0], [0.7, 0.2]))
    made.look()
    return made


def series(text: str) -> dict[str, set[str]]:
    """Return each metric that has a sample, and the labels of its samples."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? \S+", line)
        if match:
            found.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2] or ""))
    return found


def queries() -> list[str]:
    asked = [target["expr"] for panel in PANELS for target in panel["targets"]]
    return asked + [one["query"]["query"] for one in BOARD["templating"]["list"] if one["type"] == "query"]


def metrics_of(query: str) -> set[str]:
    return set(re.findall(r"\bgovernance_\w+", query))


def test_every_metric_that_a_query_names_is_exposed(exposed):
    known = series(exposed)

    for query in queries():
        assert metrics_of(query), query
        assert metrics_of(query) <= set(known), query


def test_every_label_that_a_query_or_a_legend_names_is_one_of_its_metric(exposed):
    known = series(exposed)
    for panel in PANELS:
        for target in panel["targets"]:
            labels = set().union(*(known[name] for name in metrics_of(target["expr"])))
            named = re.findall(r"(\w+)=~?\"", target["expr"]) + re.findall(r"{{(\w+)}}", target["legendFormat"])
            named += [one for group in re.findall(r"by \(([\w, ]+)\)", target["expr"]) for one in group.split(", ")]
            assert set(named) <= labels, (panel["title"], named, labels)


def test_every_metric_is_on_the_dashboard_or_its_absence_is_meant(exposed):
    shown = set().union(*map(metrics_of, queries()))
    not_shown = {"governance_scoring_seconds_sum", "governance_scoring_seconds_count",
                 "governance_predictions_written_total"}  # fmt: skip

    assert set(series(exposed)) - shown == not_shown


def test_every_metric_is_explained(exposed):
    page = (ROOT / "docs" / "metrics.md").read_text()

    for name in series(exposed):
        assert re.sub(r"_(bucket|sum|count)$", "", name) in page, name


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_every_panel_has_a_title_a_unit_and_its_own_place(panel):
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    mine = panel["gridPos"]
    assert mine["x"] + mine["w"] <= 24
    for other in BOARD["panels"]:
        if other is not panel:
            its = other["gridPos"]
            apart = mine["x"] >= its["x"] + its["w"] or its["x"] >= mine["x"] + mine["w"]
            above = mine["y"] >= its["y"] + its["h"] or its["y"] >= mine["y"] + mine["h"]
            assert apart or above, (panel["title"], other["title"])


def test_no_two_panels_have_one_id_and_none_names_a_data_source_of_ours():
    ids = [panel["id"] for panel in BOARD["panels"]]

    assert len(ids) == len(set(ids))
    assert {one["name"] for one in BOARD["templating"]["list"]} == {"datasource", "model"}
