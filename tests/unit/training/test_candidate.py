from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model, infer_signature

from governance.catalog import Evaluation
from governance.errors import InputError
from governance.keys import PublicKeys, Signer
from governance.training.artifacts import Description, load_artifact, verify_artifact
from governance.training.candidate import Candidate, Consistency, load_candidate, train_candidate
from governance.training.fits import Fitter, Recipe, TrainingSet
from governance.training.split import JUDGING, plan_fits, strata_of
from tests.unit.training.conftest import RECIPE

CROSS_VALIDATION = Evaluation(method="cross_validation", folds=3, repetitions=2)
HOLDOUT = Evaluation(method="holdout", folds=3, repetitions=2, test_share=0.25)


@pytest.fixture
def train(
    folder: Path, open_sandbox: Callable, rows: TrainingSet, description: Description, signer: Signer, tmp_path: Path
) -> Callable[..., Candidate]:
    def trained(recipe: Recipe = RECIPE, evaluation: Evaluation = CROSS_VALIDATION, name: str = "work") -> Candidate:
        plan = plan_fits(strata_of(rows.labels, rows.groups), evaluation, recipe.seed)
        fitter = Fitter(open_sandbox(folder), rows)
        return train_candidate(fitter, recipe, plan, description, tmp_path / name, signer=signer)

    return trained


def test_a_candidate_is_signed_and_verifies(train: Callable[..., Candidate], public_keys: PublicKeys):
    candidate = train()
    assert verify_artifact(candidate.artifact, public_keys, candidate.manifest.digest) == candidate.manifest


def test_every_repetition_holds_a_score_of_every_row(train: Callable[..., Candidate]):
    scores = train().out_of_fold
    assert list(scores.columns) == ["row", "repetition", "label", "score", "prediction"]
    for repetition in (0, 1):
        assert scores[scores["repetition"] == repetition]["row"].tolist() == list(range(120))


def test_the_same_inputs_give_the_same_scores_and_the_same_artifact_digest(train: Callable[..., Candidate]):
    one, other = train(name="one"), train(name="other")
    pd.testing.assert_frame_equal(one.out_of_fold, other.out_of_fold, check_exact=True)
    assert one.manifest == other.manifest
    assert (one.folder / "candidate.json").read_bytes() == (other.folder / "candidate.json").read_bytes()


def test_the_final_fit_has_seen_every_row(train: Callable[..., Candidate], public_keys: PublicKeys, rows: TrainingSet):
    from sklearn.linear_model import LogisticRegression

    model = load_artifact(train().artifact, [], public_keys)
    expected = LogisticRegression().fit(rows.features, rows.target).predict_proba(rows.features)[:, 1]
    assert np.array_equal(model.score(rows.features), expected)


def test_labels_and_decisions_follow_the_target_and_the_threshold(train: Callable[..., Candidate], rows: TrainingSet):
    judged = train(Recipe({}, threshold=0.8)).judged
    assert judged["label"].tolist() == rows.labels.tolist()
    assert judged["prediction"].tolist() == (judged["score"] >= 0.8).astype(int).tolist()


def test_with_a_holdout_the_measured_bytes_are_the_released_bytes(
    train: Callable[..., Candidate], public_keys: PublicKeys, rows: TrainingSet
):
    candidate = train(evaluation=HOLDOUT)
    judged = candidate.judged
    model = load_artifact(candidate.artifact, [], public_keys)
    assert np.array_equal(model.score(rows.features.iloc[judged["row"]]), judged["score"])
    assert len(judged) == 30
    assert not set(candidate.repetition(1)["row"]) & set(judged["row"])
    assert candidate.consistency.gap == 0


def test_a_recipe_without_a_feature_makes_a_model_without_it(
    train: Callable[..., Candidate], public_keys: PublicKeys, rows: TrainingSet
):
    model = load_artifact(train(Recipe({}, dropped=("postcode",), threshold=0.3)).artifact, [], public_keys)
    assert model.description.columns == ["income", "age"]
    assert model.description.threshold == 0.3
    assert len(model.score(rows.features)) == 120


def test_final_and_measured_selection_rates_are_compared(train: Callable[..., Candidate]):
    candidate = train()
    rates = candidate.judged["prediction"].mean(), candidate.final["prediction"].mean()
    assert candidate.consistency.gap == abs(rates[0] - rates[1])
    assert candidate.consistency.agrees


@pytest.mark.parametrize(("gap", "agrees"), [(0.0, True), (0.04, True), (0.05, True), (0.06, False)])
def test_rates_agree_within_the_tolerance(gap: float, agrees: bool):
    assert Consistency(gap).agrees is agrees
    assert Consistency.from_dict(Consistency(gap).to_dict()) == Consistency(gap)


def test_a_candidate_is_read_back_as_it_was(train: Callable[..., Candidate]):
    candidate = train()
    read = load_candidate(candidate.folder)
    assert (read.recipe, read.manifest, read.consistency) == (RECIPE, candidate.manifest, candidate.consistency)
    pd.testing.assert_frame_equal(read.out_of_fold, candidate.out_of_fold, check_exact=True)
    assert np.array_equal(read.scores()[1].scores, candidate.scores()[1].scores)


def test_a_second_attempt_replaces_what_the_first_left(train: Callable[..., Candidate]):
    train(Recipe({"C": 0.001}))
    candidate = train()
    assert load_candidate(candidate.folder).recipe == RECIPE
    assert [path.name for path in candidate.folder.parent.iterdir() if "work" in path.name] == ["work"]


def test_a_failing_fit_leaves_no_half_written_candidate(
    make_folder: Callable, open_sandbox: Callable, rows: TrainingSet, description, signer, tmp_path
):
    fitter = Fitter(open_sandbox(make_folder("def fit(frame, params): raise ValueError('no')")), rows)
    plan = plan_fits(strata_of(rows.labels), CROSS_VALIDATION, 0)
    with pytest.raises(InputError, match="ValueError: no"):
        train_candidate(fitter, RECIPE, plan, description, tmp_path / "work", signer=signer)
    assert not (tmp_path / "work").exists()


def test_mlflow_reads_the_signature_that_it_would_have_written_itself(
    train: Callable[..., Candidate], rows: TrainingSet
):
    model = Model.load(train().artifact / "MLmodel")
    assert model.signature.inputs == infer_signature(rows.features).inputs
    assert model.signature.outputs.input_names() == ["prediction", "score"]


def test_mlflow_reads_the_input_example(train: Callable[..., Candidate], rows: TrainingSet):
    artifact = train().artifact
    example = Model.load(artifact / "MLmodel").load_input_example(str(artifact))
    assert list(example.columns) == list(rows.features.columns)
    assert len(example) == 1


def test_the_input_example_is_nobodys_row(train: Callable[..., Candidate], rows: TrainingSet):
    artifact = train().artifact
    example = Model.load(artifact / "MLmodel").load_input_example(str(artifact)).iloc[0]
    assert not (rows.features == example).all(axis=1).any()


def test_mlflows_own_loader_does_not_run_the_model(train: Callable[..., Candidate]):
    with pytest.raises(mlflow.exceptions.MlflowException, match="python_function"):
        mlflow.pyfunc.load_model(str(train().artifact))


def test_the_judging_repetition_is_the_first():
    assert JUDGING == 0
