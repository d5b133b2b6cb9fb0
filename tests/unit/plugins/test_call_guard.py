"""Airflow's own routes and its own log: whoever changes a run is named there, or the call is refused."""

import json
import re

import pytest
from sqlalchemy import create_engine, delete, select
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

RUN = "manual__2026-10-29T09:08:00+00:00"
OTHER = "manual__other"
DAG = "/api/v2/dags/govern_loan"
AT = f"{DAG}/dagRuns/{RUN}"
TASK = f"{AT}/taskInstances/approve"
ELSEWHERE = "/api/v2/dags/other"

CLEAR = {"dry_run": False, "dag_run_id": RUN, "only_failed": False}
DONE = {"new_state": "success"}
MARK = {"task_id": "approve", "dag_id": "govern_loan", "dag_run_id": RUN, "new_state": "success"}


def in_bulk(*entities, action: str = "update") -> dict:
    return {"actions": [{"action": action, "entities": list(entities)}]}


class Airflow:
    """An API server of Airflow's own routes and tables, where everything is allowed to everybody, or nothing."""

    def __init__(self, middlewares: list, patch: pytest.MonkeyPatch) -> None:
        from airflow import plugins_manager, settings
        from airflow.api_fastapi.app import _AuthManagerState, init_plugins
        from airflow.api_fastapi.core_api.routes.public import public_router
        from airflow.api_fastapi.core_api.routes.ui import ui_router
        from airflow.models import import_all_models
        from airflow.models.base import Base
        from fastapi import FastAPI
        from fastapi.testclient import TestClient

        from tests.unit.plugins import stand_in

        server, self.allows = self, True

        class AuthManager(stand_in.AuthManager):
            def __getattr__(self, name):
                return lambda *_, **__: server.allows

        import_all_models()
        self._database = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        Base.metadata.create_all(self._database)
        for name in ("Session", "NonScopedSession"):
            patch.setattr(settings, name, sessionmaker(self._database, expire_on_commit=False), raising=False)
        patch.setattr(_AuthManagerState, "instance", AuthManager())
        patch.setattr(plugins_manager, "get_fastapi_plugins", lambda: ([], middlewares))
        self.app = FastAPI()
        self.app.include_router(ui_router)
        self.app.include_router(public_router)
        self.app.state.dag_bag = self.app.state.auth_manager = None
        self.app.add_middleware(self._seen)
        init_plugins(self.app)
        bearer = {"Authorization": "Bearer token-tom"}
        self._client = TestClient(self.app, headers=bearer, raise_server_exceptions=False)
        self.reached = False

    def _seen(self, app):
        async def seen(scope, receive, send):
            self.reached = True
            await app(scope, receive, send)

        return seen

    def call(self, method: str, path: str, **content):
        """Return the answer to a call by tom, the only one that the log then knows of."""
        from airflow.models.log import Log

        with Session(self._database) as session:
            session.execute(delete(Log))
            session.commit()
        self.reached = False
        return self._client.request(method, path, **content)

    def rows(self) -> list:
        """Return the log."""
        from airflow.models.log import Log

        with Session(self._database) as session:
            return list(session.scalars(select(Log)))

    def actors(self) -> dict:
        """Return who touched the run."""
        from governance_airflow.run_actors import run_actors

        with Session(self._database) as session:
            return run_actors(session, RUN, "govern_loan")

    def changing_calls(self, param: str) -> list[tuple[str, str, str]]:
        """Return method, path and name of each call that could change something and has this in its path."""
        filled = {"dag_id": "govern_loan", "dag_run_id": RUN, "task_id": "approve", "group_id": "group"}
        return [
            (method, re.sub(r"{(\w+)(:path)?}", lambda match: filled.get(match[1], "1"), route.path), route.name)
            for route in self.app.routes
            for method in sorted(getattr(route, "methods", None) or ())
            if method not in ("GET", "HEAD", "OPTIONS") and f"{{{param}}}" in route.path
        ]


@pytest.fixture(scope="module")
def patch():
    """For as long as a server lasts."""
    with pytest.MonkeyPatch.context() as opened:
        yield opened


@pytest.fixture(scope="module")
def airflow(patch):
    """Airflow's API server as our plugin sets it up."""
    from governance_plugin import GovernancePlugin

    return Airflow(GovernancePlugin.fastapi_root_middlewares, patch)


def refused(airflow: Airflow, answer) -> bool:
    return answer.status_code == 400 and not airflow.reached


MISNAMED = {
    "a query": ("PATCH", f"{TASK}?run_id={OTHER}", {"json": DONE}),
    "a query, of every run": ("PATCH", f"{TASK}?run_id=~", {"json": DONE}),
    "a query, twice": ("PATCH", f"{TASK}?run_id={RUN}&run_id={OTHER}", {"json": DONE}),
    "a query, escaped": ("PATCH", f"{TASK}?run%5fid={OTHER}", {"json": DONE}),
    "a query, of a mapped task": ("PATCH", f"{TASK}/0?run_id={OTHER}", {"json": DONE}),
    "a query, of a clear of tasks": ("POST", f"{DAG}/clearTaskInstances?run_id={OTHER}", {"json": CLEAR}),
    "a query, of a clear of runs": (
        "POST",
        f"{DAG}/clearDagRuns?run_id={OTHER}",
        {"json": {"dry_run": False, "partition_key": "k"}},
    ),
    "a query, of a clear of a day": (
        "POST",
        f"{DAG}/clearTaskInstances?dag_run_id={OTHER}",
        {"json": {"dry_run": False, "start_date": "2026-10-29T00:00:00Z"}},
    ),
    "a query, of a list": (
        "POST",
        f"{DAG}/clearDagRuns?run_ids={OTHER}&dag_run_ids={OTHER}",
        {"json": {"dry_run": False, "partition_key": "k"}},
    ),
    "a query, of an XCom": ("POST", f"{TASK}/xcomEntries?run_id={OTHER}", {"json": {"key": "k", "value": 1}}),
    "a query, of a deletion": ("DELETE", f"{AT}?run_id={OTHER}", {}),
    "a body that nothing reads": ("DELETE", f"{TASK}/xcomEntries/k", {"json": {"run_id": OTHER}}),
    "a body, with the path's name": ("DELETE", f"{TASK}/xcomEntries/k", {"json": {"dag_run_id": OTHER}}),
    "a body, of another DAG": ("DELETE", f"{TASK}/xcomEntries/k", {"json": {"dag_id": "other"}}),
    "a body, of no DAG": ("DELETE", AT, {"json": {"dag_id": None}}),
    "a body, of the whole DAG": ("DELETE", DAG, {"json": {"dag_run_id": OTHER}}),
    "a body, of any form": (
        "PATCH",
        f"{TASK}/-1/hitlDetails",
        {"json": {"chosen_options": ["yes"], "run_id": OTHER}},
    ),
}

UNSEEN = {
    "a clear that is dry to the log only": (
        "POST",
        f"{DAG}/clearTaskInstances",
        {"json": CLEAR | {"dry_run": "false"}},
    ),
    "a clear of a run that is dry to the log only": ("POST", f"{AT}/clear", {"json": {"dry_run": "no"}}),
    "a body of another type": (
        "PATCH",
        "/api/v2/dags/~/dagRuns",
        {
            "content": json.dumps(in_bulk({"dag_id": "govern_loan", "dag_run_id": RUN, "state": "success"})),
            "headers": {"Content-Type": "application/vnd.api+json"},
        },
    ),
    "a type in capitals": (
        "PATCH",
        f"{ELSEWHERE}/dagRuns",
        {
            "content": json.dumps(in_bulk({"dag_id": "govern_loan", "dag_run_id": RUN, "state": "success"})),
            "headers": {"Content-Type": "Application/JSON"},
        },
    ),
    "tasks in bulk": (
        "PATCH",
        f"{AT}/taskInstances",
        {"json": in_bulk({"task_id": "approve", "new_state": "success"})},
    ),
    "tasks in bulk, over all DAGs": ("PATCH", "/api/v2/dags/~/dagRuns/~/taskInstances", {"json": in_bulk(MARK)}),
    "tasks in bulk, from another DAG": (
        "PATCH",
        f"{ELSEWHERE}/dagRuns/{OTHER}/taskInstances",
        {"json": in_bulk(MARK)},
    ),
    "a task that is deleted": ("DELETE", TASK, {}),
    "what a task keeps": ("PUT", f"{TASK}/state-store/k", {"json": {"value": 1}}),
}

FARTHER = {
    "runs in bulk, from another DAG": (
        "PATCH",
        f"{ELSEWHERE}/dagRuns",
        {"json": in_bulk({"dag_id": "govern_loan", "dag_run_id": RUN, "state": "success"})},
    ),
    "runs in bulk, by their ids alone": ("PATCH", f"{DAG}/dagRuns", {"json": in_bulk(RUN, action="delete")}),
    "tasks of later runs too": ("PATCH", TASK.replace(RUN, OTHER), {"json": DONE | {"include_future": True}}),
    "tasks of earlier runs too": (
        "POST",
        f"{DAG}/clearTaskInstances",
        {"json": CLEAR | {"dag_run_id": OTHER, "include_past": True}},
    ),
    "runs of some days": (
        "POST",
        "/api/v2/backfills",
        {
            "json": {
                "dag_id": "govern_loan",
                "from_date": "2026-10-28T00:00:00Z",
                "to_date": "2026-10-30T00:00:00Z",
                "reprocess_behavior": "completed",
            }
        },
    ),
    "the whole DAG": ("DELETE", DAG, {}),
}


@pytest.mark.parametrize("call", MISNAMED.values(), ids=MISNAMED)
def test_no_call_is_entered_under_another_run_than_it_changes(airflow, call):
    method, path, content = call

    answer = airflow.call(method, path, **content)

    assert refused(airflow, answer) or "tom" in airflow.actors()


@pytest.mark.parametrize("call", UNSEEN.values(), ids=UNSEEN)
def test_no_call_changes_a_run_without_being_entered(airflow, call):
    method, path, content = call

    answer = airflow.call(method, path, **content)

    assert refused(airflow, answer)
    assert "Airflow's log" in answer.json()["detail"]


@pytest.mark.parametrize("call", FARTHER.values(), ids=FARTHER)
def test_a_call_that_reaches_farther_than_its_path_counts(airflow, call):
    method, path, content = call

    airflow.call(method, path, **content)

    assert "tom" in airflow.actors()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{DAG}/clearTaskInstances", CLEAR),
        (f"{DAG}/clearPartitions", {"run_id": RUN, "clear_task_instances": True, "dry_run": False}),
        (f"{ELSEWHERE}/dagRuns", in_bulk({"dag_id": "govern_loan", "dag_run_id": RUN, "state": "failed"})),
    ],
    ids=["tasks", "partitions", "in bulk"],
)
def test_a_run_whose_id_airflow_hides_is_not_taken_for_another(airflow, path, body):
    from airflow._shared.secrets_masker import mask_secret, reset_secrets_masker

    mask_secret(RUN)  # as reading a connection does whose password that is
    try:
        airflow.call("PATCH" if "actions" in body else "POST", path, json=body)
    finally:
        reset_secrets_masker()

    assert [row for row in airflow.rows() if "***" in row.extra and RUN not in row.extra]
    assert "tom" in airflow.actors()


def test_every_call_with_a_run_in_its_path_counts_or_is_refused_whatever_is_added_to_it(airflow):
    from governance_airflow.run_actors import READS

    added = [
        {"params": {name: value}} for name in ("run_id", "dag_run_id", "dag_id") for value in (OTHER, "~", "", "other")
    ]
    added += [
        {"json": {"dry_run": False, name: value}}
        for name in ("run_id", "dag_run_id", "dag_id")
        for value in (OTHER, "~", None)
    ]
    added += [{"json": {"dry_run": value}} for value in ("false", "0", None, [0])]
    added += [{"content": "{}", "headers": {"Content-Type": kind}} for kind in ("application/x+json", "text/plain")]
    added += [{}, {"json": {"dry_run": False}}, {"json": []}, {"params": {"method": "GET"}}, {"content": "{"}]
    calls = [call for call in airflow.changing_calls("dag_run_id") if call[2] not in READS]
    assert len(calls) > 15

    missed = [
        (name, content)
        for method, path, name in calls
        for content in added
        if not (refused(airflow, airflow.call(method, path, **content)) or "tom" in airflow.actors())
    ]

    assert missed == []


def test_what_airflow_does_not_enter_is_refused_for_a_governed_dag(airflow):
    from governance_airflow.run_actors import READS

    with pytest.MonkeyPatch.context() as patch:
        unguarded = Airflow([], patch)
        unentered = []
        for method, path, name in unguarded.changing_calls("dag_id"):
            unguarded.call(method, path, json={"dry_run": False})
            if name not in READS and not unguarded.rows():
                unentered.append((method, path, name))

    assert {"bulk_task_instances", "delete_task_instance"} <= {name for _, _, name in unentered}
    for method, path, _ in unentered:
        assert refused(airflow, airflow.call(method, path, json={}))


OTHERS = [
    ("POST", f"{DAG}/dagRuns", {"logical_date": None, "conf": {"run_id": OTHER, "dag_id": "x"}}),
    ("POST", f"{DAG}/dagRuns", {"logical_date": None, "dag_run_id": OTHER, "conf": {"password": "x"}}),
    ("POST", f"{DAG}/clearTaskInstances", CLEAR | {"dag_run_id": OTHER, "include_future": False}),
    ("POST", f"{DAG}/clearDagRuns", {"dry_run": False, "dag_runs": [{"dag_run_id": OTHER}]}),
    ("POST", f"{DAG}/clearPartitions", {"dry_run": False, "run_id": OTHER}),
    ("PATCH", f"{DAG}/dagRuns/{OTHER}/taskInstances/approve?map_index=1&update_mask=new_state", DONE),
    ("POST", f"{TASK.replace(RUN, OTHER)}/xcomEntries", {"key": "k", "value": {"run_id": RUN, "dag_id": "x"}}),
    ("PATCH", DAG, {"is_paused": False}),
    ("PATCH", f"{ELSEWHERE}/dagRuns", in_bulk(OTHER, action="delete")),
    ("POST", "/api/v2/variables", {"key": "run_id", "value": RUN}),
    ("POST", "/api/v2/assets/1/materialize", None),
]

UNENTERED = [
    ("POST", f"{DAG}/clearTaskInstances", CLEAR | {"dry_run": True}),
    ("POST", f"{DAG}/dagRuns/list", {"dag_ids": ["govern_loan"]}),
    ("PATCH", f"{TASK}/dry_run", DONE),
    ("POST", "/api/v2/backfills/dry_run", {"dag_id": "govern_loan"}),
    ("PATCH", f"{ELSEWHERE}/dagRuns/{RUN}/taskInstances", in_bulk({"task_id": "t", "new_state": "success"})),
    ("DELETE", f"{ELSEWHERE}/dagRuns/{OTHER}/taskInstances/t", None),
    ("POST", "/api/v2/nothing", None),
]


@pytest.mark.parametrize(("method", "path", "body"), OTHERS + UNENTERED)
def test_every_other_call_is_answered_by_airflow_and_counts_for_no_run(airflow, method, path, body):
    airflow.call(method, path, **({} if body is None else {"json": body}))

    assert airflow.reached
    assert len(airflow.rows()) == ((method, path, body) in OTHERS)
    assert airflow.actors() == {}


def test_a_call_that_airflow_does_not_allow_counts_against_nobody(airflow, monkeypatch):
    monkeypatch.setattr(airflow, "allows", False)
    bodies = ({}, DONE, CLEAR, {"key": "k", "value": 1}, {"chosen_options": ["yes"]})

    answers = [
        (name, airflow.call(method, path, json=body).status_code, airflow.actors())
        for method, path, name in airflow.changing_calls("dag_run_id")
        for body in bodies
    ]

    assert {status for _, status, _ in answers} <= {400, 403}
    assert ("patch_task_instance", 403, {}) in answers
    assert [answer for answer in answers if answer[2]] == []


def test_airflow_gets_the_body_as_it_was_sent(airflow):
    airflow.call("POST", f"{DAG}/clearTaskInstances", json=CLEAR | {"note": "é" * 1000})

    assert [json.loads(row.extra)["note"] for row in airflow.rows()] == ["é" * 1000]


def test_a_mounted_application_is_left_alone(airflow):
    from starlette.responses import PlainTextResponse

    airflow.app.mount("/governance", PlainTextResponse("ours"))
    assert airflow.call("POST", f"/governance/api?run_id={OTHER}", content="{").text == "ours"


def test_airflow_lists_the_guard_as_a_part_of_our_plugin(monkeypatch):
    from airflow import plugins_manager
    from airflow.api_fastapi.core_api.datamodels.plugins import FastAPIRootMiddlewareResponse

    from governance_plugin import GovernancePlugin

    monkeypatch.setattr(plugins_manager, "_get_plugins", lambda: ([GovernancePlugin], {}))
    (info,) = plugins_manager.get_plugin_info({"fastapi_root_middlewares"})

    assert FastAPIRootMiddlewareResponse(**info["fastapi_root_middlewares"][0]).name == "governance call guard"
