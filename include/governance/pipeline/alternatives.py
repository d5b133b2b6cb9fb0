"""Where only fairness rules failed: search a less discriminatory alternative, and make it the next candidate."""

from collections.abc import Iterable, Sequence
from typing import Any

from governance.ledger.log import Entry
from governance.measures.fairness import measure_fairness
from governance.measures.performance import measure_performance
from governance.pipeline import datasets, facets
from governance.pipeline.ingest import snapshot_of
from governance.pipeline.judge import judged, may_search
from governance.pipeline.measure import Material
from governance.pipeline.run import Message, Run, Step
from governance.pipeline.train import candidate_of, made_of, make, summary_of, workshop
from governance.policy import Slices, judge
from governance.records import Lineage, Measurement, Verdict
from governance.training.alternatives import Search, Space, search
from governance.training.fits import Fitter, Recipe, Scores
from governance.training.split import JUDGING, Plan

Json = dict[str, Any]


def search_alternatives(run: Run) -> Step:
    """Search, record everything that was tried, and register the best variant as the next attempt."""
    evidence, verdict = judged(run, 1)
    read = Lineage([datasets.evidence_dataset(run.model, evidence.data["digest"])])
    if verdict.may_be_released:
        return Step({}, read, skipped="No rule blocks: there is nothing to search.")
    if candidate_of(run, 1).data["training"].get("trained", "here") == "elsewhere":
        return Step({}, read, skipped="It was trained elsewhere: nothing is fitted again here.")
    if not may_search(run, verdict):
        return Step({}, read, skipped="Not only fairness rules failed, or the policy asks for no search.")
    key = run.key("alternatives", evidence=evidence.data["digest"])
    entry, known = run.ledger.get(key), run.last("candidate", attempt=2)
    if entry is None or (known is None and _chosen(entry)):
        entry, known = _search_and_make(run, key)
    return _told(run, entry, known, evidence)


def _search_and_make(run: Run, key: str) -> tuple[Entry, Entry | None]:
    material = Material(run, candidate_of(run, 1))
    with workshop(run, snapshot_of(run)) as (fitter, plan):
        found = _search(run, material, fitter, plan)
        entry = run.record("alternatives", {"attempt": 1, **found.to_dict()}, key)
        if found.chosen is None:
            return entry, None
        recipe = found.chosen.recipe
        # Another threshold is the same model: what it scored on the repetition that judges need not be fitted again.
        # Only now, for the search must not see it.
        fitter.remember(_blocked(material), _scores(material, [JUDGING]))
        made_by = run.key("candidate", attempt=2, alternatives=entry.leaf, recipe=recipe.to_dict())
        return entry, make(run, fitter, plan, recipe, attempt=2, key=made_by)


def _search(run: Run, material: Material, fitter: Fitter, plan: Plan) -> Search:
    def measure(rows: Any, labels: Any, predictions: Any, scores: Any) -> list[Measurement]:
        groups = {name: found[rows] for name, found in material.groups.items()}
        intersections = [tuple(names) for names in run.spec.intersections]
        fair = measure_fairness(labels, predictions, groups, intersections, minimum_n=run.policy.minimum_n)
        return [*measure_performance(labels, predictions, scores), *fair]

    space = Space.of(run.spec, run.policy)
    blocked, scores = _blocked(material), _scores(material, plan.choosing)
    return search(fitter, plan, blocked, scores, space, measure=measure, judge=_judge(run))


def _blocked(material: Material) -> Recipe:
    made_by = material.candidate.data["training"]
    return Recipe(
        made_by["parameters"], made_by["seed"], made_by["threshold"], tuple(made_by["dropped"]), made_by["reduction"]
    )


def _scores(material: Material, repetitions: Iterable[int]) -> dict[int, Scores]:
    """Return what the blocked candidate scored, by repetition."""
    whole = material.out_of_fold
    frames = {r: whole[whole["repetition"] == r].sort_values("row") for r in repetitions}
    return {r: Scores(frame["row"].to_numpy(), material.task.from_columns(frame)) for r, frame in frames.items()}


def _judge(run: Run) -> Any:
    """Return the policy's word on what a search measures: its rules on performance and fairness."""
    policy, slices = run.policy.while_searching(), Slices.of(run.spec)

    def of(measurements: Sequence[Measurement]) -> Verdict:
        return judge(policy, slices, measurements, provenance=False)

    return of


def _told(run: Run, entry: Entry, made: Entry | None, evidence: Entry) -> Step:
    tried = entry.data["tried"]
    inputs = [
        datasets.evidence_dataset(run.model, evidence.data["digest"]),
        datasets.model_version(run.model, candidate_of(run, 1).data["manifest"]),
        *datasets.whole_snapshot(run.model, snapshot_of(run)),
    ]
    outputs = [datasets.tried(run.model, entry.leaf)]
    if made is None:
        sentence = f"{len(tried)} alternatives were tried; none passes every rule, so there is nothing to release."
        path = f"/plugin/governance/review/{run.model}/{run.version}"
        told = Message(
            f"empty-handed:{evidence.data['digest']}", "blocked", f"{run.model} {run.version}: {sentence}", path
        )
        return Step({"tried": len(tried)}, Lineage(inputs, outputs), [told], failed=sentence)
    outputs.append(made_of(run, snapshot_of(run), made))
    chosen = _chosen(entry) or {}
    summary = {"tried": len(tried), "chosen": chosen.get("label"), **summary_of(made)}
    return Step(summary, Lineage(inputs, outputs, facets.training(run, made)))


def _chosen(entry: Entry) -> Json | None:
    return next((one for one in entry.data["tried"] if one["chosen"]), None)
