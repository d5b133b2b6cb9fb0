"""The one step of ``drill_<model>``: walk the way back on a shadow, and tell people where it does not lead there."""

from governance.catalog import find_spec, people_of
from governance.ledger.log import Ledger
from governance.pipeline import datasets
from governance.pipeline.run import Message, Request, Run, Step
from governance.policy import load_policy
from governance.records import Lineage
from governance.release import drill as drills
from governance.settings import Settings

DRILL = "drill"
"""Who acts where a schedule does. It is nobody in people.yaml."""


def open_drill(settings: Settings, ledger: Ledger, model: str, run_id: str, started_by: str | None) -> Run:
    """Open what a drill is part of.

    Args:
        settings: Where things are.
        ledger: The record.
        model: The model's name.
        run_id: A name of the run that is unique for the model.
        started_by: The login of who triggered it; a schedule, where nobody did.
    """
    spec, people = find_spec(settings, model), people_of(settings)
    actor = people.identity(started_by) if started_by else DRILL
    policy = load_policy(spec.folder, settings.policies)
    return Run(settings, ledger, spec, policy, people, run_id, Request("Rollback drill", {}, None, "patch", actor))


def drill(run: Run) -> Step:
    """Drill once in a run; where there is no way back, end it red, so that somebody looks."""
    done = drills.drill(
        run.settings, run.ledger, model=run.model, actor=run.request.started_by, key=f"{run.model}:{run.run_id}"
    )
    names = ("outcome", "version", "total", "in_time", "seconds", "reason")
    summary = {name: value for name, value in done.to_dict().items() if name in names}
    entry = run.ledger.get(done.entry)
    read = [datasets.endpoint(run.model, done.leaves["version"])]
    read += [datasets.permit(run.model, str(done.evidence))] if done.evidence else []
    lineage = Lineage(read, [datasets.drilled(run.model, entry.leaf)] if entry else [])
    if done.in_time:
        return Step(summary, lineage)
    text = f"Rollback drill of {run.model}. {run.spec.owner.team}: {done.reason}"
    told = Message(done.entry, "drill", text, f"/plugin/governance/incidents/{run.model}")
    return Step(summary, lineage, [told], failed=text if done.outcome == "no_target" else None)
