"""Release what was permitted, or say why not."""

from collections.abc import Mapping
from typing import Any

from governance.catalog import ModelSpec
from governance.ledger.log import Ledger
from governance.pipeline import datasets, facets
from governance.pipeline.run import Message, Run, Step
from governance.pipeline.traced import require_whole
from governance.records import Dataset, Lineage
from governance.release import rollout
from governance.review import entries
from governance.review.waiting import evidence_to_sign
from governance.settings import Settings

PREDICTION = "prediction"
"""What the column with the answer is called in lineage."""


def served(
    settings: Settings, ledger: Ledger, spec: ModelSpec, version: str, evidence: str, previous: Mapping[str, Any] | None
) -> list[Dataset]:
    """What a release, or a way back, leaves: the endpoint that serves a version, and the log of what it answers.

    Args:
        settings: Where things are.
        ledger: The record.
        spec: The model's.
        version: What serves now.
        evidence: The digest of what was signed of it.
        previous: What served before: ``version`` and ``evidence``.
    """
    document = entries.evidence_entry(ledger, spec.name, evidence).data["evidence"]
    manifest, registry = document["artifact"]["manifest"], document["model"]["registry_version"]
    features = [name for name in spec.features if name not in document["training"].get("dropped", ())]
    columns = [{"name": name, "type": "", "description": spec.features[name]} for name in features]
    model = datasets.model_version(spec.name, manifest)
    endpoint = datasets.endpoint(
        spec.name,
        version,
        **facets.described(spec, f"{spec.title}, served."),
        **facets.schema(columns),
        **facets.same_columns(features, [model]),
        **facets.deployment(settings.serving_url, version, registry, evidence, previous),
    )
    answer = {"name": PREDICTION, "type": "", "description": spec.target.meaning}
    answers = datasets.predictions(
        spec.name,
        version,
        **facets.described(spec, datasets.MEANINGS["predictions"]),
        **facets.schema([*columns, answer]),
        **facets.made_of(PREDICTION, features, model),
    )
    return [endpoint, answers]


def release(run: Run) -> Step:
    """Verify the permit from the bytes, move ``champion``, test it live; move back where that fails.

    Reads nothing that Airflow says: not the state of the approval tasks, not their XComs. A task that did not say what
    it read and wrote stops it: what cannot be followed back to raw data is not released.
    """
    _require_lineage(run)
    outcome = rollout.release(
        run.settings, run.ledger, model=run.model, run_id=run.run_id, actor=run.request.started_by
    )
    about = (run.settings, run.ledger, run.spec, outcome.version, outcome.evidence, outcome.previous)
    lineage = Lineage(
        [datasets.permit(run.model, outcome.evidence), datasets.model_version(run.model, outcome.manifest)],
        [] if outcome.reverted else served(*about),
    )
    path = f"/plugin/governance/review/{run.model}/{outcome.version}"
    if outcome.reverted:
        text = f"{run.model} {outcome.version} was moved back: {outcome.reason}"
        told = Message(f"reverted:{outcome.evidence}:{run.run_id}", "reverted", text, path)
        return Step({}, lineage, [told], failed=text)
    text = f"{run.model} {outcome.version} is released and serves; evidence {outcome.evidence[:16]}."
    return Step(
        {"version": outcome.version, "registry_version": outcome.registry_version, "evidence": outcome.evidence},
        lineage,
        [Message(f"released:{outcome.evidence}", "released", text, path)],
    )


def _require_lineage(run: Run) -> None:
    """Refuse where the way from the permit back to raw data is broken; without a permit there is another refusal."""
    digest = str(evidence_to_sign(run.ledger, run.model, run.run_id).data["digest"])
    if run.ledger.get(f"permit:{digest}") is not None and run.last("release", evidence=digest) is None:
        require_whole(run, datasets.permit(run.model, digest))
