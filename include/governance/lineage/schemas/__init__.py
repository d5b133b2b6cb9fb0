"""The JSON schemas of our own facets, published with the code: one file each, named as OpenLineage names schemas.

A facet says by which schema it was written: ``urn:governance:lineage:<version>:<file without .json>``. What is
published under a version is never changed; a change gets the next one, and the old file stays.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

VERSION = "1-0-0"

FILES = {
    "governance_model": "GovernanceModelDatasetFacet",
    "governance_trainingRun": "GovernanceTrainingRunFacet",
    "governance_evidence": "GovernanceEvidenceDatasetFacet",
    "governance_approval": "GovernanceApprovalDatasetFacet",
    "governance_deployment": "GovernanceDeploymentDatasetFacet",
}
"""Facet → its schema's name."""


def urn_of(facet: str) -> str | None:
    """Return the name of a facet's schema; ``None`` of a facet that is not ours."""
    return f"urn:governance:lineage:{VERSION}:{FILES[facet]}" if facet in FILES else None


def read(facet: str) -> dict[str, Any]:
    """Return the schema of one of our facets."""
    document: dict[str, Any] = json.loads((FOLDER / f"{FILES[facet]}.json").read_text(encoding="utf-8"))
    return document
