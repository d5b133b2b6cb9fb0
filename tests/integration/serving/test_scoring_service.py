"""The scoring service serves what is permitted, says why not where it does not, and answers as the model would."""

import json
import re
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from governance.data import snapshots
from governance.ledger.log import Entry, install
from governance.measures.drift_frames import counted
from governance.measures.drift_shapes import shape_of
from governance.release.loading import Wanted, load_permitted
from governance.serving import app as scoring_app
from governance.serving.scorer import Scorer
from tests.integration.serving.services_under_test import scoring_process, wait_until
from tests.unit.release.permitted_world import FEATURES, MODEL, World

ROW = {"income": 2_500.0, "age": 40, "kind": 1, "debt": 100.0}


def state_of(scoring: Any) -> dict[str, Any]:
    return httpx.get(f"{scoring.url}/models/{MODEL}").json()


def ask(scoring: Any, body: Any, path: str = f"/models/{MODEL}/invocations", **more: Any) -> httpx.Response:
    return httpx.post(f"{scoring.url}{path}", json=body, **more)


def put_up(house: Any, evidence: Entry, **changes: Any) -> int:
    """Sign a candidate and make it champion by hand, as whoever may write to MLflow can."""
    issued = house.sign(evidence, **changes)
    document = evidence.data["evidence"]
    version = document["model"]["registry_version"]
    house.registry.upload_bundle(MODEL, version, house.world.permit_files(document, dict(issued.data)))
    house.registry.set_champion(MODEL, version)
    return version


def until_serving(scoring: Any, version: int) -> dict[str, Any]:
    httpx.post(f"{scoring.url}/models/{MODEL}/refresh")
    return wait_until(
        lambda: (state := state_of(scoring))["state"] == "serving" and state["registry_version"] == version and state,
        what=f"serving version {version}",
    )


def until_refused(scoring: Any) -> dict[str, Any]:
    return wait_until(lambda: state_of(scoring).get("refused"), what="a refusal")


@pytest.fixture
def served(house, scoring):
    """A running service with a permitted champion; returns it and the candidate's evidence."""
    evidence = house.candidate("run-1")
    until_serving(scoring, put_up(house, evidence))
    return scoring, evidence


def test_all_three_forms_are_answered_as_the_verified_model_answers(house, served):
    scoring, evidence = served
    frame = snapshots.load(house.world.snapshot)[list(FEATURES)].head(100)
    rows = json.loads(frame.to_json(orient="values"))
    columns = list(FEATURES)
    folder = house.registry.fetch(MODEL, evidence.data["evidence"]["model"]["registry_version"], house.folder / "f")
    wanted = Wanted(MODEL, evidence.data["evidence"]["model"]["registry_version"], "production", datetime.now(UTC))
    model = load_permitted(folder, wanted, house.world.keys).model

    answers = [
        ask(scoring, {"dataframe_split": {"columns": columns, "data": rows}}),
        ask(scoring, {"dataframe_records": [dict(zip(columns, row, strict=True)) for row in rows]}),
        ask(scoring, {"inputs": dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))}),
        ask(scoring, {"inputs": rows}, "/invocations"),
    ]

    for answer in answers:
        document = answer.raise_for_status().json()
        assert document["predictions"] == model.predict(frame).tolist()
        assert document["scores"] == model.score(frame).tolist()
        assert document["model"] == {
            "name": MODEL,
            "version": "1.0.0",
            "registry_version": wanted.registry_version,
            "evidence": evidence.data["digest"],
        }
        assert answer.headers["X-Model-Version"] == "1.0.0"
        assert answer.headers["X-Evidence"] == evidence.data["digest"]


def test_single_rows_get_the_answer_that_they_get_among_others(served):
    scoring, _ = served
    together = ask(scoring, {"dataframe_records": [ROW, {**ROW, "income": None}]}).json()

    alone = [ask(scoring, {"dataframe_records": [row]}).json() for row in (ROW, {**ROW, "income": None})]

    assert together["scores"] == [one["scores"][0] for one in alone]


def test_a_request_out_of_contract_is_told_every_fault(served):
    scoring, _ = served

    answer = ask(scoring, {"dataframe_records": [{"income": "much", "age": 17, "kind": 1, "race": "x"}]})

    assert answer.status_code == 422
    message = answer.json()["message"]
    for fault in ("debt: missing", "race: not a feature", "income: expected a number", "age: expected at least 18"):
        assert fault in message


def test_what_is_no_request_is_refused(served, subtests):
    scoring, _ = served
    url = f"{scoring.url}/models/{MODEL}/invocations"
    for what, content, kind, status in (
        ("no JSON", b"no json", "application/json", 400),
        ("no form", b'{"rows": []}', "application/json", 400),
        ("CSV", b"income,age\n1,2\n", "text/csv", 415),
        ("too large", b'{"inputs": [' + b" " * scoring_app.LARGEST_BODY + b"]}", "application/json", 413),
    ):
        with subtests.test(what):
            answer = httpx.post(url, content=content, headers={"Content-Type": kind})

            assert answer.status_code == status
            assert answer.json()["message"].startswith("Expected")


def test_a_model_that_nobody_knows_is_not_found(served):
    assert ask(served[0], {"inputs": []}, "/models/nobody/invocations").status_code == 404


def test_before_any_release_it_is_up_but_not_ready(scoring):
    wait_until(lambda: "nothing was released" in str(httpx.get(f"{scoring.url}/ready").json()["reason"]), what="a look")

    assert httpx.get(f"{scoring.url}/health").json() == {"status": "up"}
    assert httpx.get(f"{scoring.url}/ready").status_code == 503
    assert state_of(scoring)["state"] == "none"
    assert ask(scoring, {"inputs": [[1]]}, "/invocations").status_code == 503


def test_an_alias_set_by_hand_serves_nothing_without_a_permit(house, scoring):
    evidence = house.candidate("run-1")
    house.registry.set_champion(MODEL, evidence.data["evidence"]["model"]["registry_version"])

    refused = until_refused(scoring)

    assert "nobody permitted this version" in refused["reason"]
    assert state_of(scoring)["state"] == "refused"
    ready = httpx.get(f"{scoring.url}/ready")
    assert (ready.status_code, ready.json()["refused"]) == (503, {MODEL: refused["reason"]})
    assert ask(scoring, {"dataframe_records": [ROW]}).status_code == 503
    wait_until(lambda: house.entries("refused"), what="the entry")
    assert [entry.data["reason"] for entry in house.entries("refused")] == [refused["reason"]]


def test_the_old_version_serves_on_while_the_new_champion_is_refused(house, served):
    scoring, evidence = served
    house.registry.set_champion(MODEL, house.candidate("run-2", seed=1).data["evidence"]["model"]["registry_version"])

    until_refused(scoring)

    assert ask(scoring, {"dataframe_records": [ROW]}).json()["model"]["evidence"] == evidence.data["digest"]
    assert state_of(scoring)["state"] == "serving"
    assert httpx.get(f"{scoring.url}/ready").status_code == 503


def test_bytes_changed_in_mlflow_are_refused_by_name(house, scoring):
    evidence = house.candidate("run-1")
    path = house.artifacts(evidence) / "model" / "model.skops"
    body = bytearray(path.read_bytes())
    body[1000] ^= 4
    path.write_bytes(body)
    put_up(house, evidence)

    assert "model/model.skops" in until_refused(scoring)["reason"]


def test_a_permit_copied_to_another_version_permits_nothing(house, scoring):
    signed, other = house.candidate("run-1"), house.candidate("run-2", seed=1)
    issued = house.sign(signed)
    version = other.data["evidence"]["model"]["registry_version"]
    files = house.world.permit_files(signed.data["evidence"], dict(issued.data))
    house.registry.upload_bundle(MODEL, version, files)
    house.registry.set_champion(MODEL, version)

    assert "one version only" in until_refused(scoring)["reason"]


def test_an_older_version_whose_permit_is_valid_may_come_back(house, served):
    scoring, evidence = served
    old = evidence.data["evidence"]["model"]["registry_version"]
    until_serving(scoring, put_up(house, house.candidate("run-2", seed=1, version="1.1.0")))

    house.registry.set_champion(MODEL, old)

    assert until_serving(scoring, old)["version"] == "1.0.0"
    wait_until(lambda: len(house.entries("served")) == 3, what="three entries")


def test_without_the_alias_nothing_serves_any_more(house, served):
    scoring, _ = served

    house.registry.clear_champion(MODEL)

    wait_until(lambda: state_of(scoring)["state"] == "none", what="none")
    assert ask(scoring, {"dataframe_records": [ROW]}).status_code == 503


class Clock:
    """A clock that can be set forward."""

    ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def test_a_permit_that_ends_while_it_serves_stops_the_model_where_the_policy_says_so(house, serve):
    clock = Clock()
    scoring = serve(scoring_app.create_app(house.serving_settings(), clock))
    until_serving(scoring, put_up(house, house.candidate("run-1")))
    assert ask(scoring, {"dataframe_records": [ROW]}).status_code == 200

    clock.ahead = timedelta(days=30, seconds=1)

    assert ask(scoring, {"dataframe_records": [ROW]}).status_code == 503
    assert "ended on" in ask(scoring, {"dataframe_records": [ROW]}).json()["message"]
    assert state_of(scoring)["state"] == "refused"
    assert httpx.get(f"{scoring.url}/ready").status_code == 503
    wait_until(lambda: house.entries("refused"), what="the entry")


def test_a_permit_that_ends_while_it_serves_alerts_where_the_policy_says_so_and_never_loads_anew(house, serve):
    house.world = World.make(house.folder / "lenient", when_expired="serve_and_alert").with_services(
        GOVERNANCE_MLFLOW_URL=house.registry.url
    )
    clock = Clock()
    scoring = serve(scoring_app.create_app(house.serving_settings(), clock))
    until_serving(scoring, put_up(house, house.candidate("run-1")))
    assert "X-Permit-Expired" not in ask(scoring, {"dataframe_records": [ROW]}).headers

    clock.ahead = timedelta(days=30, seconds=1)

    answer = ask(scoring, {"dataframe_records": [ROW]})
    assert answer.status_code == 200
    assert "ended on" in answer.headers["X-Permit-Expired"]
    ready = httpx.get(f"{scoring.url}/ready")
    assert (ready.status_code, list(ready.json()["warnings"])) == (200, [MODEL])
    anew = serve(scoring_app.create_app(house.serving_settings(), clock))
    assert "ended on" in until_refused(anew)["reason"]


def test_a_champion_that_is_refused_is_looked_at_again_when_nudged(house, scoring):
    evidence = house.candidate("run-1")
    house.registry.set_champion(MODEL, evidence.data["evidence"]["model"]["registry_version"])
    until_refused(scoring)

    until_serving(scoring, put_up(house, evidence))

    assert "refused" not in state_of(scoring)


def test_with_the_ledger_away_it_serves_and_writes_later(house, serve):
    name = f"{house.database.name}_later"
    later = house.database.server.dsn("serving", name)
    scoring = serve(scoring_app.create_app(replace(house.serving_settings(), ledger_url=later)))
    until_serving(scoring, put_up(house, house.candidate("run-1")))
    assert httpx.get(f"{scoring.url}/ready").json()["ledger_waiting"] == 1

    with closing(psycopg.connect(house.database.server.dsn("postgres", "postgres"), autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    install(house.database.server.dsn("postgres", name))

    wait_until(lambda: httpx.get(f"{scoring.url}/ready").json()["ledger_waiting"] == 0, what="the entry")


def test_metrics_documentation_and_openapi_are_there(served):
    scoring, _ = served
    ask(scoring, {"dataframe_records": [ROW]})

    metrics = httpx.get(f"{scoring.url}/metrics").text
    page = httpx.get(f"{scoring.url}/docs")

    assert f'governance_scoring_requests_total{{model="{MODEL}",status="200"}} 1' in metrics
    assert f'governance_model_serving{{model="{MODEL}"}} 1' in metrics
    assert "Monthly income" in page.text
    assert "<script" not in page.text
    assert "/models/{model}/invocations" in httpx.get(f"{scoring.url}/openapi.json").json()["paths"]


def test_what_is_asked_is_counted_beside_the_last_window_of_the_champion(house, served):
    scoring, evidence = served
    frame = snapshots.load(house.world.snapshot)[list(FEATURES)]
    shapes = [shape_of(counted(name, frame[name], frame[name])).to_dict() for name in FEATURES]
    ledger, key = house.ledger(), f"watched:{MODEL}:1"
    ledger.append("watched", MODEL, {"measurements": [], "shapes": shapes}, actor="pipeline", key=key)
    told = {"champion": evidence.data["digest"], "watched": key}
    ledger.append("monitoring", MODEL, told, actor="pipeline", key=f"monitoring:{MODEL}:1")

    ask(scoring, {"dataframe_records": [ROW] * 300})
    metrics = wait_until(
        lambda: (
            f'governance_live_rows{{model="{MODEL}"}} 300' in (text := httpx.get(f"{scoring.url}/metrics").text)
            and text
        ),
        what="300 rows counted",
    )

    moved = dict(re.findall(r'governance_live_psi_low{model="\w+",feature="(\w+)"} (\S+)', metrics))
    assert set(moved) == set(FEATURES)
    assert float(moved["income"]) > 1  # they all earn the same


def test_no_value_of_a_request_is_logged(served, caplog):
    scoring, _ = served
    caplog.set_level("DEBUG")

    ask(scoring, {"dataframe_records": [{**ROW, "income": 1234567890}]})
    ask(scoring, {"dataframe_records": [{**ROW, "debt": 1234567890}]})

    assert "1234567890" not in caplog.text


def test_a_model_that_fails_says_so_and_tells_no_value(served, monkeypatch, caplog):
    scoring, _ = served
    monkeypatch.setattr(Scorer, "scores", lambda self, rows: float(f"secret {rows}"))

    answer = ask(scoring, {"dataframe_records": [ROW]})

    assert (answer.status_code, answer.json()["message"]) == (500, f"{MODEL} 1.0.0 could not answer.")
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_it_starts_as_a_process_from_the_environment_alone(house):
    evidence = house.candidate("run-1")
    put_up(house, evidence)
    service = scoring_process(
        house.folder,
        {
            "GOVERNANCE_ROOT": str(house.world.root),
            "GOVERNANCE_MLFLOW_URL": house.registry.url,
            "GOVERNANCE_LEDGER_URL": house.database.dsn("serving"),
        },
    ).start()
    try:
        wait_until(lambda: httpx.get(f"{service.url}/ready").is_success, 120, "ready")
        assert ask(service, {"dataframe_records": [ROW]}).json()["model"]["evidence"] == evidence.data["digest"]
    finally:
        service.stop()
    assert str(ROW["debt"]) not in service.log.read_text()
