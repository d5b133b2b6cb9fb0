"""Measure every family but SHAP on a million rows × 25 features.

    python bench/measures.py [--rows 1000000]

The rows are made up; the model is a small gradient-boosted one. Operations are timed in a process of their own and do
not depend on the number of rows, so they are left out; fairness has three protected attributes, crossed in pairs.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from governance.measures.drift import measure_drift, measure_prediction_drift
from governance.measures.fairness import measure_fairness
from governance.measures.leakage import measure_leakage
from governance.measures.performance import measure_performance
from governance.measures.robustness import measure_robustness

FEATURES, BUDGET = 25, 10.0
Row = tuple[str, float, float, str]


def lines(rows: int = 1_000_000) -> list[Row]:
    """Return what, seconds, budget and what stands beside it, for all families together."""
    times = dict(_timed(rows))
    beside = ", ".join(f"{family} {seconds:.1f}" for family, seconds in times.items())
    return [(f"all measures but SHAP, {rows:,} × {FEATURES}", sum(times.values()), BUDGET, beside)]


def _timed(rows: int) -> Iterator[tuple[str, float]]:
    random = np.random.default_rng(0)
    names = [f"feature_{number}" for number in range(FEATURES)]
    reference, current = (pd.DataFrame(random.normal(size=(rows, FEATURES)), columns=names) for _ in range(2))
    labels = (current["feature_0"] + random.normal(size=rows) > 0).to_numpy().astype(int)
    groups = {name: pd.Categorical(random.choice(["a", "b", "c"], rows)) for name in ("race", "sex", "age")}
    model = HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(current.head(20_000), labels[:20_000])
    scores = model.predict_proba(current)[:, 1]
    decisions = (scores >= 0.5).astype(int)
    pairs = [("race", "sex"), ("race", "age"), ("sex", "age")]

    def decide(of: np.ndarray) -> np.ndarray:
        return (of >= 0.5).astype(int)

    def score(frame: pd.DataFrame) -> np.ndarray:
        return np.asarray(model.predict_proba(frame)[:, 1])

    task = "binary_classification"
    families: dict[str, Callable[[], object]] = {
        "performance": lambda: measure_performance(labels, decisions, scores),
        "fairness": lambda: measure_fairness(labels, decisions, groups, pairs),
        "drift": lambda: (measure_drift(reference, current), measure_prediction_drift(scores, scores)),
        "leakage": lambda: measure_leakage(current, labels, groups, task=task),
        "robustness": lambda: measure_robustness(
            score, current, labels, decisions, task=task, decide=decide, groups=groups
        ),
    }
    for family, measure in families.items():
        began = time.perf_counter()
        measure()
        yield family, time.perf_counter() - began


def main() -> None:
    """Print the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    for what, seconds, budget, beside in lines(parser.parse_args().rows):
        print(f"{what}: {seconds:.1f} s of {budget:g} ({beside})")


if __name__ == "__main__":
    main()
