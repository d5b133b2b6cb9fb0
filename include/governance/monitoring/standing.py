"""What happened before a window, and what could be done about it now: read from the ledger, and tried on the window.

What was decided of earlier windows is taken as of this window's own moment: a day that is filled in later sees the same
history as on the day itself.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from governance.ledger.log import Entry
from governance.measures.drift import measure_prediction_drift
from governance.monitoring import collect, facts
from governance.monitoring.decision import ERROR_HERE, MOVED_HERE, PARITY_HERE, Before, Standing, Target
from governance.monitoring.watch import DECIDED, WINDOW, Watch, candidate_of
from governance.release.rollback import targets
from governance.training.tasks import BinaryClassification, task_of

if TYPE_CHECKING:
    import pandas as pd

LOOKBACK = 400
"""Decisions that are looked back at: a year of days and more."""


def standing_of(watch: Watch) -> Standing:
    """Return what stands before a window is decided on."""
    decided = list(_decided(watch))
    mine = [data for data in decided if watch.champion and data["champion"] == watch.champion.data["evidence"]]
    return Standing(
        before=[_before(data) for data in mine],
        targets=_targets(watch),
        without_target=watch.run.policy.no_rollback_target,
        waiting=waiting(watch),
        retrained=[
            _moment(data) for data in decided if data["decision"]["action"] == "retrain" and not data["dry_run"]
        ],
        rolled_back=_last_rollback(watch),
    )


def waiting(watch: Watch) -> str | None:
    """Return the version of a candidate that is on its way: a run that neither released, rejected, nor ended."""
    ended = {e.data.get("run_id") for kind in ("release", "rejected", "expired") for e in _of(watch, kind)}
    for entry in watch.ledger.backwards("evidence", watch.model):
        if entry.at > watch.as_of:
            continue
        document = entry.data["evidence"]
        blocked = any(rule["stops"] for rule in document["verdict"]["rules"])
        late = datetime.fromisoformat(entry.data["expires_at"]) <= watch.as_of
        refused = any(
            one.data["decision"]["evidence"] == entry.data["digest"] and one.data["decision"]["answer"] == "reject"
            for one in _of(watch, "decision")
        )
        open_ = not (blocked or late or refused or entry.data["run_id"] in ended)
        return str(document["model"]["version"]) if open_ else None
    return None


def _of(watch: Watch, kind: str) -> list[Entry]:
    return list(watch.ledger.find(kind=kind, subject=watch.model))


def _decided(watch: Watch) -> Iterator[Mapping[str, Any]]:
    """Yield the decisions on windows before this one, one each, the latest windows first."""
    seen: set[tuple[str, str]] = set()
    for number, entry in enumerate(watch.ledger.backwards(DECIDED, watch.model)):
        data = entry.data
        which = data["since"], data["until"]
        late = datetime.fromisoformat(data["as_of"]) > watch.as_of
        if number >= LOOKBACK:
            return
        if which not in seen and not late and datetime.fromisoformat(data["until"]) <= watch.since:
            seen.add(which)
            yield data


def _before(data: Mapping[str, Any]) -> Before:
    found = data["decision"]
    return Before(_moment(data), found["action"], found["breaches"], datetime.fromisoformat(data["since"]))


def _moment(data: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(data["until"])


def _last_rollback(watch: Watch) -> datetime | None:
    return max((entry.at for entry in _of(watch, "rollback") if entry.at <= watch.as_of), default=None)


# --- is it better there? -------------------------------------------------------------------------------------------


def _targets(watch: Watch) -> Iterator[Target]:
    """Yield the versions with a valid permit, each tried on this very window."""
    frame = collect.window_of(watch.ledger, watch.need(WINDOW))
    mine = None
    for found in targets(watch.run.settings, watch.ledger, watch.model, watch.as_of):
        if mine is None:
            mine = _how_wrong(watch, candidate_of(watch, watch.manifest), frame, answers_again=False)
        candidate = candidate_of(watch, found.release.data["manifest"])
        lacks = [name for name in candidate.data["features"] if name not in watch.features]
        if lacks:
            yield Target(found.version, found.evidence, {}, lacks)
            continue
        theirs = _how_wrong(watch, candidate, frame, answers_again=True)
        yield Target(
            found.version, found.evidence, {name: (theirs[name], mine[name]) for name in theirs if name in mine}
        )


def _how_wrong(watch: Watch, candidate: Entry, frame: "pd.DataFrame", *, answers_again: bool) -> dict[str, float]:
    """Return how wrong a version is on the window: the champion by what it answered, another by new answers."""
    task = task_of(watch.run.spec)
    scores, threshold = collect.scores_of(frame), candidate.data["training"]["threshold"]
    answers = task.labels(frame[collect.PREDICTION])
    if answers_again:
        model = facts.load_version(watch, candidate)
        scores = model.score(frame[model.description.columns])
        answers = task.decide(scores, threshold)
    moved = measure_prediction_drift(facts.validated_scores(watch, candidate), scores, minimum_n=1)[0]
    found = {MOVED_HERE: float(moved.value if moved.value is not None else np.inf)}
    truth, _, which = facts.labelled(task, frame)
    if len(which) >= watch.run.policy.monitoring.minimum_rows:
        wrong = np.abs(truth - answers[which]) if task.name == "regression" else truth != answers[which]
        found[ERROR_HERE] = float(np.mean(wrong))
    if isinstance(task, BinaryClassification):
        found |= _parity(watch, frame, answers)
    return found


def _parity(watch: Watch, frame: "pd.DataFrame", answers: Any) -> dict[str, float]:
    from governance.assessment import measure_groups

    spec = watch.run.spec
    if not spec.protected or not set(spec.protected_columns) <= set(frame.columns):
        return {}
    groups = facts.groups_of(spec, frame)
    given = {name: groups[name].to_numpy() for name in groups.columns}
    measured = measure_groups(spec, task_of(spec), answers, answers, given, watch.run.policy.minimum_n)
    differences = [
        one.value
        for one in measured
        if one.name == "fairness.demographic_parity_difference" and one.value is not None
        and one.slice["attribute"] in spec.protected
    ]  # fmt: skip
    return {PARITY_HERE: max(differences)} if differences else {}
