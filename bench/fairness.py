"""Measure fairness: three protected attributes and all their intersections on many predictions, beside fairlearn.

    python bench/fairness.py [--rows 10000000] [--peer-rows 50000]

The rows are drawn, with a fixed seed. ``fairlearn.metrics.MetricFrame`` computes the same six rates of the same groups
in the same run. It takes some 300 µs for each row, an hour for ten million, so it gets fewer rows, and both are timed
on those, too. Our numbers on them are compared with its numbers before a time is printed. In our time and not in its:
intervals, comparisons and impact ratios.
"""

import argparse
import math
import time
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd  # a bench is no task
from fairlearn import metrics as fairlearn
from sklearn.metrics import accuracy_score, precision_score

from governance.measures.fairness import measure_fairness
from governance.records import Measurement

ROWS, PEER_ROWS = 10_000_000, 50_000
BUDGET = 5.0
"""Seconds for :data:`ROWS` rows on two cores."""

GROUPS = {
    "race": ["Asian", "Black", "Hispanic", "Native", "white"],
    "sex": ["men", "women"],
    "age": ["under 40", "40 to 62", "over 62"],
}
CROSSED = [names for width in (2, 3) for names in combinations(GROUPS, width)]
RATES: dict[str, Callable[..., float]] = {
    "selection_rate": fairlearn.selection_rate,
    "true_positive_rate": fairlearn.true_positive_rate,
    "false_positive_rate": fairlearn.false_positive_rate,
    "false_negative_rate": fairlearn.false_negative_rate,
    "precision": precision_score,
    "accuracy": accuracy_score,
}

Line = tuple[str, float, float, str]
"""What, seconds, budget, and what stands beside it: a row of the table of ``make bench``."""


def main() -> None:
    """Print the lines, and what other forms of the same data cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--peer-rows", type=int, default=PEER_ROWS)
    given = parser.parse_args()
    for what, seconds, budget, beside in lines(given.rows, given.peer_rows):
        print(f"{what}: {seconds:.2f} s (budget {budget:g} s); {beside}")
    frame = people(given.rows)
    for form, dtype in (("whole numbers", np.int64), ("Python strings", object)):
        groups = frame[list(GROUPS)].apply(lambda column, dtype=dtype: _as(column, dtype))
        _, seconds = timed(lambda groups=groups: ours(frame.assign(**groups)))
        print(f"the same with groups as {form}: {seconds:.2f} s")


def lines(rows: int = ROWS, peer_rows: int = PEER_ROWS) -> list[Line]:
    """Return the line for ``make bench``: ours on all rows, beside the peer's on some of them, per row."""
    frame = people(rows)
    ours(frame.head(1000))  # imports what is imported late
    _, seconds = timed(lambda: ours(frame))
    some = frame.head(peer_rows)
    found, few = timed(lambda: ours(some))
    theirs, peer = timed(lambda: peers(some))
    _check_equal(found, theirs)
    beside = (
        f"{seconds / rows * 1e9:,.0f} ns a row; MetricFrame {peer / len(some) * 1e9:,.0f} ns a row "
        f"({peer:.1f} s for {len(some):,}, which take {few:.2f} s here: {peer / few:,.0f}×)"
    )
    return [(f"fairness, {rows / 1e6:g}M rows, 3 attributes, all crossed", seconds, BUDGET, beside)]


def people(rows: int) -> pd.DataFrame:
    """Return rows with label, decision and groups as categories; decisions depend on groups a little."""
    generator = np.random.default_rng(20260401)
    codes = {name: generator.integers(0, len(groups), rows, dtype=np.int8) for name, groups in GROUPS.items()}
    label = generator.random(rows, dtype=np.float32) < 0.7
    decision = generator.random(rows, dtype=np.float32) < 0.2 + 0.5 * label + 0.03 * codes["race"]
    groups = {name: pd.Categorical.from_codes(codes[name], names) for name, names in GROUPS.items()}
    return pd.DataFrame({"label": label.astype(np.int8), "decision": decision.astype(np.int8), **groups})


def ours(frame: pd.DataFrame) -> list[Measurement]:
    """Measure by group, intersection and between groups, with intervals."""
    return measure_fairness(frame["label"], frame["decision"], {name: frame[name] for name in GROUPS}, CROSSED)


def peers(frame: pd.DataFrame) -> dict[tuple[str, ...], pd.DataFrame]:
    """Compute the same rates of the same groups with fairlearn; by attributes."""
    return {
        names: fairlearn.MetricFrame(
            metrics=RATES, y_true=frame["label"], y_pred=frame["decision"], sensitive_features=frame[list(names)]
        ).by_group
        for names in [*((name,) for name in GROUPS), *CROSSED]
    }


def timed(compute: Callable[[], Any]) -> tuple[Any, float]:
    """Return what it computes, and how long that took."""
    started = time.perf_counter()
    found = compute()
    return found, time.perf_counter() - started


def _check_equal(found: list[Measurement], theirs: dict[tuple[str, ...], pd.DataFrame]) -> None:
    known = {(measurement.name.partition(".")[2], *measurement.slice.values()): measurement for measurement in found}
    for names, by_group in theirs.items():
        for groups, row in by_group.iterrows():
            for rate in RATES:
                value = known[(rate, *(groups if len(names) > 1 else [groups]))].value
                if value is None or not math.isclose(value, row[rate], rel_tol=1e-12):
                    raise SystemExit(f"{rate} of {groups}: {value} here, {row[rate]} by fairlearn.")


def _as(column: "pd.Series[Any]", dtype: type) -> "pd.Series[Any]":
    return column.astype(object) if dtype is object else column.cat.codes.astype(dtype)


if __name__ == "__main__":
    main()
