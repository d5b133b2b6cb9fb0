"""A spec, and models of it as other people log them with MLflow, for the tests of what was trained elsewhere."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from governance.catalog import ModelSpec, spec_from_bytes

FEATURES = ["age", "debt", "income"]

SPEC = """\
name: credit
title: Credit
purpose: Recommends who gets a credit.
owner: {{team: Lending, person: olga}}
developers: [dana]
tier: low
task: {task}
trained: elsewhere
data: {{source: "csv:credit.csv", purposes: [tests], contract: contract.json}}
target: {target}
limitations: Made up for a test.
assumptions: Rows arrive complete, mostly.
features: {{age: "Age, years", debt: "Debt, $", income: "Monthly income, $"}}
training: {{seed: 0, trusted_types: [{trusted}]}}
"""
TARGETS = {
    "binary_classification": "{column: paid, favourable: 1, meaning: It was paid back., known_bias: None.}",
    "multiclass_classification": "{column: grade, classes: [low, mid, high], meaning: A grade., known_bias: None.}",
    "regression": "{column: loss, unit: $, meaning: What was lost., known_bias: None.}",
}
REQUIREMENTS = ["nothing"]
"""Given, so that MLflow does not look for them for half a minute."""


def spec_of(task: str = "binary_classification", *, trusted: str = "") -> ModelSpec:
    body = SPEC.format(task=task, target=TARGETS[task], trusted=trusted)
    return spec_from_bytes(body.encode(), Path("credit/model.yaml"))


def rows(count: int = 200) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(count, 3)), columns=FEATURES)
    frame["debt"] = frame["debt"].mask(draw.random(count) < 0.1)
    signal = frame["income"] + draw.normal(size=count) / 2
    grades = np.array(["low", "mid", "high"])[np.digitize(signal, [-0.5, 0.5])]
    return frame.assign(paid=(signal > 0).astype(int), grade=grades, loss=signal * 100)


def boosted(columns: list[str] = FEATURES, target: str = "paid") -> Any:
    import xgboost

    made = xgboost.XGBRegressor if target == "loss" else xgboost.XGBClassifier
    return made(n_estimators=8, n_jobs=1).fit(rows()[columns], rows()[target])


def light(columns: list[str] = FEATURES, target: str = "paid") -> Any:
    import lightgbm

    made = lightgbm.LGBMRegressor if target == "loss" else lightgbm.LGBMClassifier
    return made(n_estimators=8, n_jobs=1, verbosity=-1).fit(rows()[columns], rows()[target])


def saved(flavour: str, model: Any, folder: Path, **options: Any) -> Path:
    """Save a model as MLflow does."""
    import importlib

    module = importlib.import_module(f"mlflow.{flavour}")
    module.save_model(model, str(folder), pip_requirements=REQUIREMENTS, **options)
    return folder
