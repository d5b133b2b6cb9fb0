"""``/governance/metrics``: what is watched, for Prometheus.

Prometheus logs in nowhere, and Airflow's tokens end within a day: it sends a token of its own, which opens this one
address and no other. A person's login opens it, too.
"""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from governance.catalog import model_folders
from governance.monitoring.gauges import Gauges
from governance_airflow.web import services
from governance_airflow.web.security import SCRAPING

router = APIRouter(dependencies=SCRAPING, include_in_schema=False)


@router.get("/metrics")
def metrics(request: Request) -> PlainTextResponse:
    """Return the gauges of every governed model."""
    with_desk = services.of(request)
    gauges: Gauges = request.app.state.gauges
    models = [folder.name for folder in model_folders(with_desk.settings)]
    text = gauges.text(with_desk.open_desk().ledger, models)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")
