"""What a task read and wrote, in OpenLineage's words.

Steps return :class:`governance.records.Lineage`; this is the only place that knows OpenLineage's classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from governance.records import Dataset, Lineage


def of(lineage: Lineage | None) -> OperatorLineage[Any, Any]:
    """Translate a step's lineage; nothing where the step did not get that far."""
    from airflow.providers.openlineage.extractors import OperatorLineage

    if lineage is None:
        return OperatorLineage()
    return OperatorLineage(
        inputs=[_dataset(one) for one in lineage.inputs], outputs=[_dataset(one) for one in lineage.outputs]
    )


def of_approval(model: str, evidence: str | None, role: str, *, signed: bool) -> OperatorLineage[Any, Any]:
    """An approval reads the evidence; where it was signed, there is a decision."""
    from governance.pipeline.datasets import decision, evidence_dataset
    from governance.records import Lineage

    if evidence is None:
        return of(None)
    return of(Lineage([evidence_dataset(model, evidence)], [decision(model, role)] if signed else []))


def _dataset(dataset: Dataset) -> Any:
    from openlineage.client.event_v2 import Dataset as OpenLineageDataset
    from openlineage.client.facet_v2 import dataset_version_dataset, documentation_dataset, schema_dataset

    facets: dict[str, Any] = {}
    if "version" in dataset.facets:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=dataset.facets["version"])
    if "documentation" in dataset.facets:
        facets["documentation"] = documentation_dataset.DocumentationDatasetFacet(
            description=dataset.facets["documentation"]
        )
    if "columns" in dataset.facets:
        fields = [schema_dataset.SchemaDatasetFacetFields(**column) for column in dataset.facets["columns"]]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields)
    return OpenLineageDataset(namespace=dataset.namespace, name=dataset.name, facets=facets)
