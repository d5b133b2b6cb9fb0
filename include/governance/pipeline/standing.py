"""Have a candidate permitted that a standing approval covers; where none does, people sign."""

from pathlib import Path

from governance.errors import RefusedError
from governance.keys import Signer
from governance.pipeline import datasets
from governance.pipeline.judge import judged, waiting
from governance.pipeline.run import Message, Run, Step
from governance.records import Lineage
from governance.review import asking


def apply_standing_approval(run: Run) -> Step:
    """Ask the API server for the permit of the first candidate of a run.

    An alternative is never asked for: it is there because a candidate was blocked, and people look at that.
    """
    entry, verdict = judged(run, 1)
    digest = entry.data["digest"]
    read = [datasets.evidence_dataset(run.model, digest)]
    if not verdict.may_be_released:
        return Step(
            {}, Lineage(read), skipped="The candidate is blocked: a standing approval lets nothing past a rule."
        )
    signer = Signer.from_file(Path(run.settings.require("artifact_key")), asking.KEY)
    try:
        said = asking.for_standing_approval(run.settings.require("airflow_url"), signer, run.model, run.version, digest)
    except RefusedError as refused:
        return Step({}, Lineage(read), [waiting(run, entry, verdict, str(refused))], skipped=str(refused))
    text = f"{run.model} {run.version} is permitted without being read, evidence {digest[:16]}. {said}"
    path = f"/plugin/governance/review/{run.model}/{run.version}"
    return Step(
        {"evidence": digest, "permitted": said},
        Lineage(read, [datasets.permit(run.model, digest)]),
        [Message(f"in_advance:{digest}", "in_advance", text, path)],
    )
