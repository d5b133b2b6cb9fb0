"""Write the model card of what was released, and keep it with the version."""

from typing import Any

import governance.training.tracking as tracking
from governance.catalog import names_of
from governance.pipeline import datasets
from governance.pipeline.run import Run, Step
from governance.records import Lineage
from governance.reports.model_card import render_html, render_markdown


def announce(run: Run) -> Step:
    """Write the model card, in Markdown and as a page, beside the version in MLflow.

    The card is made from the evidence and the permit alone; a second run writes the same card again.
    """
    released = run.need("release").data
    evidence = run.need("evidence", digest=released["evidence"])
    issued = run.ledger.get(f"permit:{released['evidence']}")
    permit = issued.data["permit"] if issued else None
    signatures = [one["decision"] for one in permit["decisions"]] if permit else []
    document, names = evidence.data["evidence"], names_of(run.people)
    more = {"before": _blocked(run, document), "permit": permit}
    files = {
        "model_card/model_card.md": render_markdown(document, signatures, names, **more).encode(),
        "model_card/model_card.html": render_html(document, signatures, names, **more).encode(),
    }
    tracking.add_files(run.settings.require("mlflow_url"), evidence.data["mlflow_run"], files)
    return Step(
        {"card": f"{run.settings.mlflow_url}/#/models/{run.model}/versions/{released['registry_version']}"},
        Lineage(
            [
                datasets.evidence_dataset(run.model, released["evidence"]),
                datasets.permit(run.model, released["evidence"]),
            ],
            [datasets.card(run.model, released["version"])],
        ),
    )


def _blocked(run: Run, document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the evidence of the blocked attempt that this one replaces: the card says what the way out cost."""
    replaced = document["replaces"]
    entry = run.last("evidence", digest=replaced["evidence"]) if replaced else None
    return entry.data["evidence"] if entry else None
