"""``governance try``: contract, fit, measurements and verdict on this machine, in seconds, without a server.

What an engineer runs before pushing. The same contract, split, sandbox, measures and policy as in the pipeline, so that
the numbers are those that ``govern_<model>`` will find; no MLflow, no ledger, no signatures, and nothing written
outside a temporary folder. Who wrote the code, and whether it is committed, is not asked here.

While the first model is fitted in its own process, the contract runs in another: Great Expectations alone takes
seconds to import.

Not guaranteed: that a candidate which passes here is released. The pipeline also judges provenance, and people sign.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from governance.assessment import FAMILIES, Champion, Saved, measure_all, measure_groups
from governance.catalog import ModelSpec, find_spec
from governance.check import columns, examine
from governance.errors import GovernanceError, InputError
from governance.policy import Policy, Slices, judge, load_policy
from governance.records import Measurement, Verdict
from governance.rules.evaluate import evaluate_code_rules
from governance.settings import Settings
from governance.yamlfile import FaultyFileError

if TYPE_CHECKING:
    import pandas as pd

    from governance.data.contracts import ContractResult
    from governance.training.alternatives import Search
    from governance.training.artifacts import LoadedModel
    from governance.training.fits import Fitter, Recipe, Scores
    from governance.training.split import Plan
    from governance.training.tasks import Task

Json = dict[str, Any]
Tell = Callable[[str], None]

EXPLAINED_ROWS = 500
REPEATS = 150
"""How often one row is predicted; the pipeline takes more."""


@dataclass(frozen=True)
class Attempt:
    """One candidate: what it was made by, what was measured, what the policy says.

    Attributes:
        recipe: Parameters, seed, threshold and dropped features.
        measurements: Everything that was measured, provenance aside.
        verdict: The policy's word.
    """

    recipe: "Recipe"
    measurements: tuple[Measurement, ...]
    verdict: Verdict

    def to_dict(self) -> Json:
        """Return the JSON form."""
        return {
            "training": self.recipe.to_dict(),
            "verdict": self.verdict.to_dict(),
            "measurements": [one.to_dict() for one in self.measurements],
        }


@dataclass(frozen=True)
class Trial:
    """What came of a trial.

    Attributes:
        model: The model's name.
        title: Its title.
        rows: Rows of the data.
        contract: What came of the contract.
        attempts: The candidate, and after a search the chosen alternative; none where the data break the contract.
        search: What was tried instead, where a search was asked for and only fairness rules failed.
        seconds: How long it took.
    """

    model: str
    title: str
    rows: int
    contract: "ContractResult"
    attempts: tuple[Attempt, ...] = ()
    search: "Search | None" = None
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict | None:
        """The verdict on the last attempt; ``None`` where the data break the contract."""
        return self.attempts[-1].verdict if self.attempts else None

    def to_dict(self) -> Json:
        """Return the JSON form: the last attempt's verdict and measurements, and every attempt."""
        last = self.attempts[-1].to_dict() if self.attempts else {"verdict": None, "measurements": []}
        contract = self.contract.to_dict()
        unmet = [one for one in contract.pop("expectations") if not one["success"]]
        return {
            "model": self.model,
            "rows": self.rows,
            "contract": {**contract, "expectations": len(self.contract.expectations), "unmet": unmet},
            **last,
            "attempts": [attempt.to_dict() for attempt in self.attempts],
            "alternatives": self.search.to_dict() if self.search else None,
            "seconds": round(self.seconds, 2),
        }


@dataclass(frozen=True)
class Asked:
    """What a trial is asked to change.

    Attributes:
        parameters: Training parameters over those of the spec.
        seed: Instead of the spec's.
        alternatives: Whether to search less discriminatory alternatives where only fairness rules fail.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    alternatives: bool = False


def run_trial(settings: Settings, name: str, asked: Asked | None = None, tell: Tell = lambda _: None) -> Trial:
    """Try a model on this machine.

    Args:
        settings: Where the model's folder and the policies are.
        name: The model's name.
        asked: What to change; nothing by default.
        tell: Is told what is being done, for people who wait.

    Raises:
        FaultyFileError: The folder is not right; with every fault, as ``governance check`` finds them.
        InputError: The data cannot be read, or the folder's code failed.
        RefusedError: The model holds a type that the spec does not allow.
    """
    asked, started = asked or Asked(), time.monotonic()
    spec = right_folder(settings, name)
    policy = load_policy(spec.folder, settings.policies)
    if spec.trained == "elsewhere":
        raise InputError(
            f"{name} is trained elsewhere: `governance validate --model-uri URI --model {name}` judges it."
        )
    tell(f"Reading {spec.data.source}")
    frame = _read(spec, policy)
    tell("Checking the contract, and fitting")
    with ProcessPoolExecutor(1, get_context("spawn")) as beside, Bench(settings, spec, policy, frame, asked) as bench:
        checking = beside.submit(contract_of, spec, frame)
        fitted = None
        try:
            fitted = bench.fit(bench.recipe)
        except GovernanceError:
            if checking.result().success:
                raise  # otherwise the data are at fault, and what the fit made of them is of no interest
        contract = checking.result()
        found = Trial(name, spec.title, len(frame), contract)
        if contract.success and fitted:
            found = bench.judged(found, *fitted, asked, tell)
    return replace(found, seconds=time.monotonic() - started)


def load_for_timing(folder: Path, trusted_types: Sequence[str]) -> Any:
    """Load a trial's model for timing: the loader that the latency measure names, in its own process."""
    from governance.training.artifacts import load_unsigned

    return load_unsigned(folder, trusted_types)


def right_folder(settings: Settings, name: str) -> ModelSpec:
    """Return the spec of a folder that is right.

    Raises:
        FaultyFileError: With every fault, as ``governance check`` finds them.
    """
    findings = examine(settings, name)
    if findings.faults:
        raise FaultyFileError(list(findings.faults))
    return find_spec(settings, name)


def _read(spec: ModelSpec, policy: Policy) -> "pd.DataFrame":
    from governance.data.sources import read_source

    return columns.accepted(spec, read_source(spec.data.source, spec.folder), policy.personal_data)


def contract_of(spec: ModelSpec, frame: "pd.DataFrame") -> "ContractResult":
    """Run the contract; called in a process of its own, for Great Expectations alone takes seconds to import."""
    from governance.data.contracts import run_contract

    return run_contract(frame, spec.contract)


@dataclass
class Material:
    """What families measure on (:class:`governance.assessment.Material`), all of it in memory.

    Attributes:
        spec: The model's.
        task: What it answers.
        minimum_n: The policy's.
        seed: Of everything that is drawn.
        features: What the model sees, all rows.
        groups: Group of each row, by attribute.
        rows: Positions of the rows that judge.
        labels: Their labels.
        scores: What was said of them.
        predictions: What was answered.
        model: The model.
        fitted: The same without its threshold, as the folder's ``fit`` returned it.
        lock: The locked environment.
        advisories: Known vulnerabilities.
        trained_here: Whether it is known which rows trained it.
    """

    spec: ModelSpec
    task: "Task"
    minimum_n: int
    seed: int
    features: "pd.DataFrame"
    groups: Mapping[str, Any]
    rows: Any
    labels: Any
    scores: Any
    predictions: Any
    model: "LoadedModel"
    fitted: Any
    lock: Path
    advisories: Path | None
    trained_here: bool = True
    explained_rows: int = EXPLAINED_ROWS
    repeats: int = REPEATS
    gap: float | None = None
    champion: Champion | None = None
    lineage: None = None

    @contextmanager
    def saved(self) -> Iterator[Saved]:
        """The model in a folder, signed by a key that nobody has."""
        from governance.keys import Signer
        from governance.training.artifacts import write_artifact

        trusted = list(self.spec.training.trusted_types)
        with tempfile.TemporaryDirectory(prefix="governance-try-") as folder:
            write_artifact(Path(folder), self.fitted, self.model.description, signer=Signer.passing("artifact"))
            yield Saved(Path(folder), f"{load_for_timing.__module__}:{load_for_timing.__name__}", trusted)


class Bench:
    """Sandbox, rows and plan of one trial, for as long as the ``with`` lasts."""

    def __init__(
        self, settings: Settings, spec: ModelSpec, policy: Policy, frame: "pd.DataFrame", asked: Asked
    ) -> None:
        from governance.training.fits import Recipe
        from governance.training.sandbox import Sandbox
        from governance.training.tasks import task_of

        self.settings, self.spec, self.policy, self.frame, self.task = settings, spec, policy, frame, task_of(spec)
        seed = spec.training.seed if asked.seed is None else asked.seed
        parameters = {**spec.training.parameters, **asked.parameters}
        self.recipe: Recipe = Recipe(parameters, seed, self.task.threshold)
        target, limits = spec.target, spec.training.limits
        self._sandbox = Sandbox(spec.folder, target=target.column, task=self.task, limits=limits)

    def __enter__(self) -> "Bench":
        self._sandbox.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._sandbox.__exit__(*error)

    @cached_property
    def groups(self) -> Mapping[str, Any]:
        """Group of each row, by protected attribute."""
        from governance.data.protected import derive

        derived = derive(self.frame, self.spec.protected)
        return {name: derived[name].to_numpy() for name in derived.columns}

    @cached_property
    def fitter(self) -> "Fitter":
        """The sandbox with the rows."""
        from governance.training.fits import Fitter, TrainingSet

        first = next(iter(self.groups.values()), None)
        features, target = self.frame[list(self.spec.features)], self.frame[self.spec.target.column]
        return Fitter(self._sandbox, TrainingSet(features, target, self.task, first), self.spec.training.trusted_types)

    @cached_property
    def plan(self) -> "Plan":
        """Which rows train and which judge."""
        from governance.training.split import plan_fits, strata_of

        rows = self.fitter.data
        strata = strata_of(self.task.strata(rows.labels), rows.groups)
        return plan_fits(strata, self.spec.training.evaluation, self.recipe.seed)

    def fit(self, recipe: "Recipe") -> tuple["Scores", Any]:
        """Return the scores that judge a recipe, and its final model."""
        from governance.training.fits import Scores
        from governance.training.split import JUDGING

        final = self.fitter.fit(recipe, self.plan.final)
        if self.plan.final_judges:
            rows = self.plan.repetitions[JUDGING][0].test
            return Scores(rows, self.fitter.score(final, recipe, rows)), final
        return self.fitter.out_of_fold([recipe], self.plan, [JUDGING])[0][JUDGING], final

    def judged(self, found: Trial, scores: "Scores", estimator: Any, asked: Asked, tell: Tell) -> Trial:
        """Measure and judge; search where asked, and measure and judge what was chosen."""
        first = self._attempt(self.recipe, scores, estimator, tell)
        if not asked.alternatives or not self._may_search(first.verdict):
            return replace(found, attempts=(first,))
        tell("Searching less discriminatory alternatives")
        search = self._search()
        if search.chosen is None:
            return replace(found, attempts=(first,), search=search)
        tell(f"Fitting the alternative: {search.chosen.label}")
        recipe = search.chosen.recipe
        second = self._attempt(recipe, *self.fit(recipe), tell)
        return replace(found, attempts=(first, second), search=search)

    def _attempt(self, recipe: "Recipe", scores: "Scores", estimator: Any, tell: Tell) -> Attempt:
        tell(f"Measuring {', '.join(FAMILIES)}")
        measured = measured_at_once(self._material(recipe, scores, estimator))
        measured += evaluate_code_rules(self.policy, self.spec, measured)
        return Attempt(recipe, tuple(measured), self._judge(self.policy, measured))

    def _material(self, recipe: "Recipe", scores: "Scores", estimator: Any) -> Material:
        from governance.training.artifacts import LoadedModel, describe, with_threshold

        features = self.fitter.data.without(recipe.dropped)
        description = replace(describe(self.spec, features), threshold=recipe.threshold)
        decided = with_threshold(estimator, recipe.threshold, self.task)
        return Material(
            spec=self.spec,
            task=self.task,
            minimum_n=self.policy.minimum_n,
            seed=recipe.seed,
            features=features,
            groups=self.groups,
            rows=scores.rows,
            labels=self.fitter.data.labels[scores.rows],
            scores=scores.scores,
            predictions=self.task.decide(scores.scores, recipe.threshold),
            model=LoadedModel(description, "0" * 64, decided),
            fitted=estimator,
            lock=self.settings.root / "requirements.txt",
            advisories=self.settings.advisories,
        )

    def _judge(self, policy: Policy, measurements: Sequence[Measurement]) -> Verdict:
        return judge(policy, Slices.of(self.spec), measurements, provenance=False)

    def _may_search(self, verdict: Verdict) -> bool:
        failing = verdict.failing()
        only_fairness = bool(failing) and all(rule.measure.startswith("fairness.") for rule in failing)
        return self.task.threshold is not None and self.policy.alternatives.search and only_fairness

    def _measure(self, rows: Any, labels: Any, decisions: Any, scores: Any) -> list[Measurement]:
        from governance.measures.performance import measure_performance

        groups = {name: found[rows] for name, found in self.groups.items()}
        fair = measure_groups(self.spec, self.task, labels, decisions, groups, self.policy.minimum_n)
        return [*measure_performance(labels, decisions, scores), *fair]

    def _search(self) -> "Search":
        from governance.training.alternatives import Space, search

        searched = self.policy.while_searching()
        scores = self.fitter.out_of_fold([self.recipe], self.plan, self.plan.choosing)[0]
        return search(
            self.fitter,
            self.plan,
            self.recipe,
            scores,
            Space.of(self.spec, self.policy),
            measure=self._measure,
            judge=lambda measured: self._judge(searched, measured),
        )


def measured_at_once(material: Material) -> list[Measurement]:
    """Measure all families, the timing in its own process beside the others."""
    from threadpoolctl import threadpool_limits

    others = [family for family in FAMILIES if family != "operations"]
    with ThreadPoolExecutor(1) as beside, threadpool_limits(1):
        timing = beside.submit(measure_all, material, ["operations"])
        return [*measure_all(material, others), *timing.result()]
