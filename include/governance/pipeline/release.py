"""Release what was permitted, or say why not."""

from governance.pipeline import datasets
from governance.pipeline.run import Message, Run, Step
from governance.records import Lineage
from governance.release import rollout


def release(run: Run) -> Step:
    """Verify the permit from the bytes, move ``champion``, test it live; move back where that fails.

    Reads nothing that Airflow says: not the state of the approval tasks, not their XComs.
    """
    outcome = rollout.release(
        run.settings, run.ledger, model=run.model, run_id=run.run_id, actor=run.request.started_by
    )
    lineage = Lineage(
        [datasets.permit(run.model, outcome.evidence), datasets.model_version(run.model, outcome.manifest)],
        [datasets.endpoint(run.model, outcome.version)],
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
