"""The JSON API of versions: bringing a model in that was trained elsewhere.

It checks what can be checked without fetching anything, and has Airflow start the model's pipeline as the caller, who
may not sign for that run. The model itself is fetched and looked through by the run, which refuses in the same words
as ``governance register``.
"""

from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from governance.catalog import model_folders
from governance.training.fetch import require_form
from governance_airflow.web import registration, services
from governance_airflow.web.problems import PROBLEMS, REFUSED
from governance_airflow.web.security import LOGGED_IN, MEANT, Signer


class VersionIn(BaseModel):
    """A model that was trained elsewhere, to become a version of a governed one."""

    model_config = ConfigDict(extra="forbid")

    model_uri: str = Field(max_length=500, examples=["models:/credit/3"], description="As MLflow names it.")
    reason: str = Field(min_length=5, max_length=1000, description="Why: a reviewer reads it.")
    bump: Literal["major", "minor", "patch"] = Field(default="minor", description="What changes in the version.")
    threshold: float | None = Field(default=None, ge=0, le=1, description="The model's own by default.")


class VersionOut(BaseModel):
    """The run that takes a model on."""

    model: str
    model_uri: str
    dag_id: str
    run_id: str
    state: str
    started_by: str
    path: str = Field(description="Of the run in Airflow, below its address.")


router = APIRouter(prefix="/api/models", dependencies=LOGGED_IN, responses=PROBLEMS, tags=["versions"])


@router.post("/{model}/versions", dependencies=MEANT, responses=REFUSED, status_code=202)
async def register(request: Request, login: Signer, model: str, body: VersionIn) -> VersionOut:
    """Have the pipeline take on a model that was trained elsewhere: everything but training, started by the caller."""
    require_form(body.model_uri)
    if model not in {folder.name for folder in model_folders(services.of(request).settings)}:
        raise HTTPException(404, f"No model named {model} is governed")
    conf: dict[str, Any] = {"reason": body.reason.strip(), "model_uri": body.model_uri, "bump": body.bump}
    if body.threshold is not None:
        conf["parameters"] = {"threshold": body.threshold}
    dag_id = f"govern_{model}"
    started = await registration.start_run(request, dag_id, conf)
    run_id = str(started["dag_run_id"])
    return VersionOut(
        model=model,
        model_uri=body.model_uri,
        dag_id=dag_id,
        run_id=run_id,
        state=str(started["state"]),
        started_by=str(started.get("triggering_user_name") or login),
        path=f"/dags/{dag_id}/runs/{quote(run_id, safe='')}",
    )
