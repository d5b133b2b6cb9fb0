"""How often a window without drift would have been acted on, and how often a real shift is seen: ours and Evidently's.

    python bench/false_alarms.py [--windows 200] [--evidently 10]

Windows without drift: of the loan data they are drawn, with replacement, from the very rows that are the reference, for
there are no others; made-up ones, with 25 features of several kinds, are drawn anew from what the reference was drawn
from. Each is measured and decided by the policy's defaults, as the monitor does. Evidently's ``DataDriftPreset`` looks
at some of these windows: how often it says *dataset drift* (half of the columns, by default), and how often of any
column that it has drifted, which stands beside our *flagged*.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from governance.measures.drift import measure_drift, measure_prediction_drift
from governance.measures.intervals import wilson
from governance.monitoring.decision import Decision, Seen, Standing, Target, decide
from governance.policyfile import Monitoring

SIZES = (50, 200, 1_000, 5_000, 50_000)
LARGE, REFERENCE, SHIFTED = 50_000, 20_000, 1_000
"""Rows of windows of which there are fewer, of the made-up reference, and of windows in which there is a shift."""

SHIFTS = {
    "one feature by 1 s": {"normal_0": 1.0},
    "a third by 0.5 s": {f"normal_{number}": 0.5 for number in range(9)},
}
"""By how many standard deviations which feature is moved."""

HALF, A_COLUMN = 0.5, 1e-9
"""Of the columns: from here Evidently says that the dataset has drifted; and any column at all."""

ACTED, FLAGGED = "acted on", "flagged"
GOALS = (FLAGGED, ACTED)
"""What each of these shifts shall be."""

ACTIONS = ("retrain", "roll_back", "call")
GOAL_ALARMS, GOAL_POWER = 0.01, 0.95
LIMITS = Monitoring()
Scorer = Callable[[pd.DataFrame], Any]


@dataclass
class Tally:
    """What came of the windows of one size."""

    what: str
    rows: int
    ours: list[Decision] = field(default_factory=list)
    evidently: list[float] = field(default_factory=list)

    @property
    def alarms(self) -> float:
        """Share of windows that were acted on."""
        return float(np.mean([found.action in ACTIONS for found in self.ours]))

    @property
    def flagged(self) -> float:
        """Share of windows in which at least one column was said to have drifted."""
        return float(np.mean([bool(found.flagged) for found in self.ours]))

    @property
    def theirs(self) -> str:
        """How often Evidently said that the dataset has drifted, and how often that a column has."""
        return f"{share(self.evidently, HALF):.0%} / {share(self.evidently, A_COLUMN):.0%}" if self.evidently else "-"


def share(drifted: Sequence[float], least: float) -> float:
    """Return in how many windows at least this share of the columns has drifted."""
    return float(np.mean([one >= least for one in drifted]))


def made_up(rows: int, random: np.random.Generator) -> pd.DataFrame:
    """Return 25 features: 15 normal, 5 skewed, 5 of a few values."""
    columns = {f"normal_{number}": random.normal(size=rows) for number in range(15)}
    columns |= {f"skewed_{number}": random.lognormal(size=rows) for number in range(5)}
    columns |= {f"few_{number}": random.choice([0, 1, 2, 5], rows, p=[0.5, 0.3, 0.15, 0.05]) for number in range(5)}
    return pd.DataFrame(columns)


def score_made_up(frame: pd.DataFrame) -> Any:
    """Return a score that six of the features make."""
    signal = sum(frame[f"normal_{number}"] for number in range(5)) + np.log(frame["skewed_0"])
    return 1 / (1 + np.exp(-np.asarray(signal)))


def loan() -> tuple[pd.DataFrame, Scorer]:
    """Return the loan model's features, and a fitted model's score."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    from governance.catalog import find_spec
    from governance.data.sources import read_source
    from governance.settings import load_settings

    spec = find_spec(load_settings({}), "loan")
    frame = read_source(spec.data.source, spec.folder)
    features = frame[list(spec.features)]
    model = HistGradientBoostingClassifier(max_iter=50, random_state=0).fit(features, frame[spec.target.column])
    return features, lambda rows: model.predict_proba(rows)[:, 1]


def decided(reference: pd.DataFrame, window: pd.DataFrame, score: Scorer) -> Decision:
    """Decide about a window as the monitor does, with a version to go back to that is no worse."""
    since = datetime(2026, 1, 1, tzinfo=UTC)
    measured = [
        *measure_drift(reference, window, minimum_n=LIMITS.minimum_rows, level=LIMITS.false_alarms),
        *measure_prediction_drift(score(reference), score(window), minimum_n=LIMITS.minimum_rows),
    ]
    back = Target("1.0.0", "0" * 64, {"PSI of the answers": (0.0, 0.0)})
    return decide(LIMITS, Seen(since, since + timedelta(days=1), len(window), measured), Standing(targets=[back]))


def drifted_share(reference: pd.DataFrame, window: pd.DataFrame) -> float:
    """Return the share of columns that Evidently's preset finds drifted."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    found = Report([DataDriftPreset()]).run(window, reference).dict()
    return float(next(one["value"]["share"] for one in found["metrics"] if "DriftedColumnsCount" in str(one)))


def quiet(windows: int, theirs: int, sizes: tuple[int, ...] = SIZES) -> Iterator[Tally]:
    """Yield what came of windows without drift, by data and size."""
    applications, score_loan = loan()
    invented = made_up(REFERENCE, np.random.default_rng(0))

    def applied(rows: int, random: np.random.Generator) -> pd.DataFrame:
        return applications.iloc[random.integers(0, len(applications), rows)].reset_index(drop=True)

    of = (("loan", applications, score_loan, applied), ("made up", invented, score_made_up, made_up))
    for (what, reference, score, drawn), size in product(of, sizes):
        tally, random = Tally(what, size), np.random.default_rng(size)
        for number in range(windows if size < LARGE else max(windows // 4, 1)):
            window = drawn(size, random)
            tally.ours.append(decided(reference, window, score))
            if number < theirs and size < LARGE:
                tally.evidently.append(drifted_share(reference, window))
        yield tally


def shifted(windows: int) -> Iterator[Tally]:
    """Yield what came of windows with a shift: of one feature by one deviation, of a third of them by half of one."""
    reference = made_up(REFERENCE, np.random.default_rng(0))
    spread = reference.std()
    for what, by in SHIFTS.items():
        tally, random = Tally(what, SHIFTED), np.random.default_rng(1)
        for _ in range(windows):
            window = made_up(SHIFTED, random)
            moved = window.assign(**{name: window[name] + size * spread[name] for name, size in by.items()})
            tally.ours.append(decided(reference, moved, score_made_up))
        yield tally


def table(windows: int, theirs: int) -> tuple[list[str], bool]:
    """Return both tables, line by line, and whether the goals are kept: of all windows without drift together."""
    lines = [
        f"{'windows without drift':<24}{'rows':>8}{'acted on':>10}{'flagged':>10}{'Evidently: all / a column':>26}"
    ]
    still, moved = list(quiet(windows, theirs)), list(shifted(windows))
    for tally in still:
        lines.append(f"{tally.what:<24}{tally.rows:>8,}{tally.alarms:>10.1%}{tally.flagged:>10.1%}{tally.theirs:>26}")
    ours, alarms = sum(len(one.ours) for one in still), sum(one.alarms * len(one.ours) for one in still)
    evidently = [one for tally in still for one in tally.evidently]
    low, high = (float(end) for end in wilson(np.array(alarms), np.array(ours)))
    lines.append(
        f"all: acted on {alarms / ours:.2%} of {ours:,} windows (95 %: {low:.2%}–{high:.2%}; goal at most "
        f"{GOAL_ALARMS:.0%})"
    )
    if evidently:
        dataset, column = share(evidently, HALF), share(evidently, A_COLUMN)
        told = f"dataset drift in {dataset:.1%}, a drifted column in {column:.1%}"
        lines.append(f"Evidently's preset on {len(evidently):,} of the same windows: {told}")
    lines += ["", f"{'windows with a shift':<24}{'rows':>8}{'acted on':>10}{'flagged':>10}{'goal':>18}"]
    for tally, aim in zip(moved, GOALS, strict=True):
        goal = f"{aim} {GOAL_POWER:.0%}"
        lines.append(f"{tally.what:<24}{tally.rows:>8,}{tally.alarms:>10.1%}{tally.flagged:>10.1%}{goal:>18}")
    reached = [getattr(tally, "alarms" if aim == ACTED else "flagged") for tally, aim in zip(moved, GOALS, strict=True)]
    return lines, alarms / ours <= GOAL_ALARMS and min(reached) >= GOAL_POWER


def main() -> int:
    """Print both tables; 0 where the goals are kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--windows", type=int, default=200, help="of each kind and size; of the largest a quarter")
    parser.add_argument("--evidently", type=int, default=10, help="of these, how many Evidently looks at, too")
    asked = parser.parse_args()
    lines, kept = table(asked.windows, asked.evidently)
    print("\n".join(lines))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
