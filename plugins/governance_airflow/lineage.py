"""What a task read and wrote, in OpenLineage's words.

Steps return :class:`governance.records.Lineage`, whose facets are plain values by OpenLineage's names; this is the only
place that knows its classes. It adds who says so and by which schema: OpenLineage's own, or one of ours
(``include/governance/lineage/schemas/``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from governance.records import Dataset, Lineage

Json = dict[str, Any]

PRODUCER = "urn:governance:pipeline"
OF_INPUTS = ("dataQualityAssertions", "dataQualityMetrics")
OF_OUTPUTS = ("outputStatistics",)


def of(lineage: Lineage | None, *, place: Mapping[str, str] | None = None) -> OperatorLineage[Any, Any]:
    """Translate a step's lineage; nothing where the step did not get that far.

    Args:
        lineage: What the step returned.
        place: Where its code is: ``url``, ``repoUrl``, ``path``, ``version`` (a commit).
    """
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset, OutputDataset

    job = {} if place is None else _facets({"sourceCodeLocation": {"type": "git", **place}})
    if lineage is None:
        return OperatorLineage(job_facets=job)
    return OperatorLineage(
        inputs=[_dataset(one, InputDataset, "inputFacets", OF_INPUTS) for one in lineage.inputs],
        outputs=[_dataset(one, OutputDataset, "outputFacets", OF_OUTPUTS) for one in lineage.outputs],
        run_facets=_facets(lineage.run),
        job_facets=job,
    )


def of_approval(
    model: str, evidence: str | None, role: str, decisions: Iterable[Mapping[str, Any]], *, permitted: bool = False
) -> OperatorLineage[Any, Any]:
    """An approval reads the evidence; where somebody decided, there is a decision, and with the last one a permit."""
    from governance.pipeline import facets
    from governance.pipeline.datasets import decision, evidence_dataset, permit
    from governance.records import Lineage

    if evidence is None:
        return of(None)
    signed = facets.approval(role, evidence, decisions)
    wrote = [decision(model, role, evidence, **signed)] if signed[facets.APPROVAL]["decisions"] else []
    wrote += [permit(model, evidence)] if permitted else []
    return of(Lineage([evidence_dataset(model, evidence)], wrote))


def _dataset(dataset: Dataset, kind: Any, side: str, names: tuple[str, ...]) -> Any:
    """Return a data set; some facets belong to the reading or the writing of it, and are told on that side only."""
    aside = {name: values for name, values in dataset.facets.items() if name in names}
    rest = {name: values for name, values in dataset.facets.items() if name not in (*OF_INPUTS, *OF_OUTPUTS)}
    made = {"facets": _facets(rest), side: _facets(aside)}
    return kind(namespace=dataset.namespace, name=dataset.name, **made)


def _facets(values: Mapping[str, Any]) -> Any:
    return {name: {"_producer": PRODUCER, "_schemaURL": _schema(name), **said} for name, said in values.items()}


def _schema(name: str) -> str:
    from governance.lineage.schemas import urn_of

    ours = urn_of(name)
    return ours if ours is not None else _standard()[name]._get_schema()


def _standard() -> dict[str, Any]:
    """Return OpenLineage's own facets, by the names that we use."""
    from openlineage.client import facet_v2 as standard

    return {
        "columnLineage": standard.column_lineage_dataset.ColumnLineageDatasetFacet,
        "dataSource": standard.datasource_dataset.DatasourceDatasetFacet,
        "dataQualityAssertions": standard.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet,
        "dataQualityMetrics": standard.data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet,
        "documentation": standard.documentation_dataset.DocumentationDatasetFacet,
        "outputStatistics": standard.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
        "ownership": standard.ownership_dataset.OwnershipDatasetFacet,
        "schema": standard.schema_dataset.SchemaDatasetFacet,
        "sourceCodeLocation": standard.source_code_location_job.SourceCodeLocationJobFacet,
        "storage": standard.storage_dataset.StorageDatasetFacet,
        "tags": standard.tags_dataset.TagsDatasetFacet,
        "version": standard.dataset_version_dataset.DatasetVersionDatasetFacet,
    }
