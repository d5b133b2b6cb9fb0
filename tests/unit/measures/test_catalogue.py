"""The catalogue lists exactly what the families produce, and knows every rule of every policy."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

from governance.lineage.trace import Trace
from governance.measures import drift_classifier
from governance.measures.catalogue import MEASURES
from governance.measures.comparison import Answers, compare
from governance.measures.drift import importance_psi, measure_drift, measure_prediction_drift
from governance.measures.explainability import measure_explainability
from governance.measures.fairness import measure_fairness
from governance.measures.fairness_regression import measure_regression_fairness
from governance.measures.leakage import measure_leakage
from governance.measures.lineage import measure_lineage
from governance.measures.multiclass import measure_multiclass
from governance.measures.operations import measure_latency
from governance.measures.operations_vulnerabilities import measure_vulnerabilities
from governance.measures.performance import measure_performance
from governance.measures.performance_estimated import Calibration, estimate_error, estimated_accuracy, label_delay
from governance.measures.performance_in_production import loss_rise
from governance.measures.regression import measure_regression
from governance.measures.robustness import measure_robustness
from governance.records import Measurement
from governance.settings import ROOT

FINAL_GAP = "performance.final_gap"
"""What the pipeline measures of a candidate, and no family of arrays."""

POLICIES = sorted((ROOT / "include" / "policies").glob("*.yaml")) + sorted(
    (ROOT / "include" / "models").glob("*/policy.yaml")
)


@pytest.fixture(scope="module")
def produced(tmp_path_factory: pytest.TempPathFactory) -> list:
    """Every family's measurements of a small model."""
    random = np.random.default_rng(7)
    n = 400
    frame = pd.DataFrame({"income": random.normal(size=n), "debt": random.normal(size=n)})
    labels = (frame["income"] + random.normal(size=n) > 0).astype(int).to_numpy()
    model = LogisticRegression().fit(frame, labels)
    scores, decisions = model.predict_proba(frame)[:, 1], model.predict(frame)
    groups = {"sex": random.choice(["men", "women"], n), "age": random.choice(["old", "young"], n)}
    artifact: Path = tmp_path_factory.mktemp("artifact")
    (artifact / "model.json").write_text("{}")
    return [
        *measure_performance(labels, decisions, scores),
        *of_other_tasks(random, n),
        *compare("binary_classification", labels, Answers(decisions, scores), Answers(decisions, 1 - scores)),
        *measure_fairness(labels, decisions, groups, [("sex", "age")]),
        *measure_regression_fairness(frame["income"], frame["income"] + frame["debt"] + 9, groups, [("sex", "age")]),
        *measure_explainability(model, frame.head(50), frame.head(50)),
        *robustness_of_both(model, frame, labels, decisions),
        *measure_latency(artifact, "json:loads", frame.head(1), seconds=20),
        *vulnerabilities_of(artifact),
        *measure_lineage(Trace(links=9)),
        *measure_leakage(frame, labels, groups, task="binary_classification"),
        *measure_drift(frame.assign(kind="a"), frame.assign(kind="b"), embedded=[embedded(random)]),
        *measure_prediction_drift(scores, scores**2),
        loss_rise(
            "binary_classification", labels, decisions, Measurement("performance.accuracy", 0.9, n), minimum_n=30
        ),
        estimated_accuracy(Calibration.of(scores, decisions, labels), scores, decisions, minimum_n=30),
        estimate_error(Calibration.of(scores, decisions, labels), scores, decisions, labels, minimum_n=30),
        label_delay([3600.0]),
        importance_psi({"income": 0.7, "debt": 0.3}, {"income": 0.6, "debt": 0.4}),
    ]


def embedded(random: np.random.Generator) -> drift_classifier.Embedded:
    """Return what is known of an embedding."""
    return drift_classifier.compare("note", random.normal(size=(90, 3)), random.normal(size=(90, 3)), minimum_n=30)


def robustness_of_both(model: LogisticRegression, frame: pd.DataFrame, labels: np.ndarray, said: np.ndarray) -> list:
    """Return the measurements of decisions, and of numbers that cope with what is missing."""

    def score(rows: pd.DataFrame) -> np.ndarray:
        return model.predict_proba(rows.fillna(0))[:, 1]

    return [
        *measure_robustness(score, frame, labels, said, task="binary_classification", decide=np.round),
        *measure_robustness(score, frame, labels, score(frame), task="regression"),
    ]


def vulnerabilities_of(folder: Path) -> list:
    """Return the measurements of an environment with a vulnerable package."""
    (folder / "requirements.txt").write_text("jinja2==1.0\n")
    affected = [{"package": {"ecosystem": "PyPI", "name": "jinja2"}, "versions": ["1.0"]}]
    (folder / "advisories").mkdir()
    (folder / "advisories" / "a.json").write_text(json.dumps({"id": "A", "modified": "2026", "affected": affected}))
    return measure_vulnerabilities(folder / "requirements.txt", folder / "advisories")


def of_other_tasks(random: np.random.Generator, n: int) -> list:
    """Return the measurements of a guess among three classes and of a noisy number, and of both beside another."""
    classes, guesses = random.integers(0, 3, n), random.dirichlet(np.ones(3), n)
    amounts = random.lognormal(size=n)
    guessed = Answers(guesses.argmax(1), guesses)
    return [
        *measure_multiclass(classes, guesses, classes=["low", "medium", "high"]),
        *compare("multiclass_classification", classes, guessed, Answers(guesses.argmin(1), guesses[:, ::-1])),
        *measure_regression(amounts, amounts + random.normal(size=n)),
        *compare("regression", amounts, Answers(amounts + random.normal(size=n)), Answers(random.normal(size=n))),
    ]


def test_the_catalogue_lists_exactly_what_the_families_produce(produced: list) -> None:
    listed = {name for name, info in MEASURES.items() if info.family != "provenance"} - {FINAL_GAP}

    assert {measurement.name for measurement in produced} == listed


def test_what_is_measured_of_an_attribute_a_group_or_a_feature_is_listed_so(produced: list) -> None:
    def of(slice_: dict) -> str:
        if not slice_:
            return "everything"
        of_what = {"attribute": "attributes", "feature": "features", "class": "classes"}
        of_what |= {"slice": "slices", "package": "packages", "column": "columns", "embedding": "embeddings"}
        if "feature" in slice_:
            return "features"
        return of_what.get(next(iter(slice_)), "groups")

    assert {m.name: of(m.slice) for m in produced} == {m.name: MEASURES[m.name].of for m in produced}


def test_every_value_lies_in_the_range_that_is_listed(produced: list) -> None:
    for measurement in produced:
        info, value = MEASURES[measurement.name], measurement.value
        if value is not None:
            assert info.lowest is None or value >= info.lowest, measurement
            assert info.highest is None or value <= info.highest, measurement


def test_what_has_an_interval_is_listed_so(produced: list) -> None:
    with_value = [m for m in produced if m.value is not None]

    assert [m.name for m in with_value if m.low is not None and not MEASURES[m.name].has_interval] == []
    assert [m.name for m in with_value if m.method == "counted" and MEASURES[m.name].has_interval] == []


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_rule_of_the_policies_names_a_measure_that_exists(path: Path) -> None:
    rules = yaml.safe_load(path.read_text())["rules"].values()

    assert [rule["measure"] for rule in rules if "measure" in rule and rule["measure"] not in MEASURES] == []


def test_names_begin_with_their_family() -> None:
    assert {name.partition(".")[0] for name in MEASURES} == {info.family for info in MEASURES.values()}
    assert all(info.title for info in MEASURES.values())


def test_the_range_of_a_measure_is_told_in_words() -> None:
    names = ("accuracy", "rmse", "r2", "mean_error")

    words = [MEASURES[f"performance.{name}"].range_in_words for name in names]

    assert words == ["0 to 1", "0 or more", "1 or less", "any number"]
