"""What a person does with Airflow and the review page, over HTTP: log in, trigger, look, sign.

The demo, the benchmark and the end-to-end tests use it; it has no way in that a person has not.
"""

from datetime import datetime
from typing import Any

import httpx

from stack.errors import StackError

Json = dict[str, Any]


class AirflowClient:
    """Airflow's REST API and our review API, as one login.

    Args:
        base_url: Airflow's address.
        login: Who.
        password: That login's password.
    """

    def __init__(self, base_url: str, login: str, password: str) -> None:
        self.login = login
        self._http = httpx.Client(base_url=base_url, timeout=60)
        answer = self._http.post("/auth/token", json={"username": login, "password": password})
        token = _json(answer, "log in")["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def trigger(self, dag_id: str, conf: Json, logical_date: datetime | None = None) -> str:
        """Start a run and return its id."""
        body = {"logical_date": logical_date.isoformat() if logical_date else None, "conf": conf}
        answer = self._http.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        return str(_json(answer, f"trigger {dag_id}")["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run: ``queued``, ``running``, ``success`` or ``failed``."""
        return str(self.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> dict[str, Json]:
        """Return task id → task instance."""
        found = self.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100")
        return {task["task_id"]: task for task in found["task_instances"]}

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> httpx.Response:
        """Set the state of a task by hand, as the UI does."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        return self._http.patch(path, json={"new_state": state})

    def clear(self, dag_id: str, run_id: str, task_ids: list[str], *, downstream: bool = False) -> Json:
        """Clear tasks of a run, so that they run again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": task_ids,
            "only_failed": False,
            "include_downstream": downstream,
            "reset_dag_runs": True,
        }
        return _json(self._http.post(f"/api/v2/dags/{dag_id}/clearTaskInstances", json=body), "clear")

    def log(self, dag_id: str, run_id: str, task_id: str, attempt: int) -> str:
        """Return the log of a task's attempt, as text."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"
        content = self.get(path).get("content") or []
        return "\n".join(line if isinstance(line, str) else str(line.get("event", "")) for line in content)

    def requests(self) -> Any:
        """Return what waits for whom, as this login sees it."""
        return self.get("/governance/api/requests")

    def request(self, model: str, version: str) -> Json:
        """Return one request for approval."""
        return self.get(f"/governance/api/requests/{model}/{version}")

    def decide(self, model: str, version: str, answer: str, body: Json) -> httpx.Response:
        """Approve or reject (``answer``), as the page does."""
        return self._http.post(f"/governance/api/requests/{model}/{version}/{answer}", json=body)

    def get(self, path: str) -> Json:
        """Return the JSON at a path."""
        return _json(self._http.get(path), path)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send any request with this login."""
        return self._http.request(method, path, **options)


def _json(answer: httpx.Response, what: str) -> Json:
    if answer.is_error:
        raise StackError(f"Airflow refused: {what}: {answer.status_code} {answer.text[:300]}")
    document: Json = answer.json()
    return document
