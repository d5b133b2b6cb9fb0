"""How often a window without drift would have been acted on, and how often a real shift is seen: ours and Evidently's.

    python bench/false_alarms.py [--windows 200] [--evidently 10]

Windows without drift are drawn, with replacement, from the very rows that are the reference: the loan data, and
made-up ones with 25 features of several kinds. Each is measured and decided by the policy's defaults, as the monitor
does. Evidently's ``DataDriftPreset`` looks at the same windows; its alarm is *dataset drift*, half of the columns by
default.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from governance.measures.drift import measure_drift, measure_prediction_drift
from governance.monitoring.decision import Decision, Seen, Standing, Target, decide
from governance.policyfile import Monitoring

SIZES = (50, 200, 1_000, 5_000, 50_000)
SHIFTED = 1_000
"""Rows of the windows in which there is a shift."""

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
    evidently: list[bool] = field(default_factory=list)

    @property
    def alarms(self) -> float:
        """Share of windows that were acted on."""
        return float(np.mean([found.action in ACTIONS for found in self.ours]))

    @property
    def flagged(self) -> float:
        """Share of windows in which at least one column was said to have drifted."""
        return float(np.mean([bool(found.flagged) for found in self.ours]))

    @property
    def theirs(self) -> float | None:
        """Share of windows in which Evidently said that the dataset has drifted."""
        return float(np.mean(self.evidently)) if self.evidently else None


def made_up(rows: int = 20_000) -> tuple[pd.DataFrame, Scorer]:
    """Return 25 features (15 normal, 5 skewed, 5 of a few values), and a score that six of them make."""
    random = np.random.default_rng(0)
    columns = {f"normal_{number}": random.normal(size=rows) for number in range(15)}
    columns |= {f"skewed_{number}": random.lognormal(size=rows) for number in range(5)}
    columns |= {f"few_{number}": random.choice([0, 1, 2, 5], rows, p=[0.5, 0.3, 0.15, 0.05]) for number in range(5)}

    def score(frame: pd.DataFrame) -> Any:
        signal = sum(frame[f"normal_{number}"] for number in range(5)) + np.log(frame["skewed_0"])
        return 1 / (1 + np.exp(-np.asarray(signal)))

    return pd.DataFrame(columns), score


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


def dataset_drifted(reference: pd.DataFrame, window: pd.DataFrame) -> bool:
    """Say whether Evidently's preset finds that the dataset has drifted."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    found = Report([DataDriftPreset()]).run(window, reference).dict()
    share = next(one["value"]["share"] for one in found["metrics"] if "DriftedColumnsCount" in str(one))
    return bool(share >= 0.5)


def quiet(windows: int, theirs: int, sizes: tuple[int, ...] = SIZES) -> Iterator[Tally]:
    """Yield what came of windows without drift, by data and size."""
    for what, (reference, score) in (("loan", loan()), ("made up", made_up())):
        for size in sizes:
            tally, random = Tally(what, size), np.random.default_rng(size)
            for number in range(windows if size < 50_000 else max(windows // 4, 1)):
                window = reference.iloc[random.integers(0, len(reference), size)].reset_index(drop=True)
                tally.ours.append(decided(reference, window, score))
                if number < theirs and size < 50_000:
                    tally.evidently.append(dataset_drifted(reference, window))
            yield tally


def shifted(windows: int) -> Iterator[Tally]:
    """Yield what came of windows with a shift: of one feature by one deviation, of a third of them by half of one."""
    reference, score = made_up()
    spread = reference.std()
    shifts = {
        "one feature by 1 s": {"normal_0": 1.0},
        "a third by 0.5 s": {f"normal_{number}": 0.5 for number in range(9)},
    }
    for what, by in shifts.items():
        tally, random = Tally(what, SHIFTED), np.random.default_rng(1)
        for _ in range(windows):
            window = reference.iloc[random.integers(0, len(reference), SHIFTED)].reset_index(drop=True)
            moved = window.assign(**{name: window[name] + size * spread[name] for name, size in by.items()})
            tally.ours.append(decided(reference, moved, score))
        yield tally


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--evidently", type=int, default=10)
    asked = parser.parse_args()
    print(f"{'windows without drift':<24}{'rows':>8}{'acted on':>10}{'goal':>8}{'flagged':>10}{'Evidently':>11}")
    for tally in quiet(asked.windows, asked.evidently):
        theirs = "-" if tally.theirs is None else f"{tally.theirs:.1%}"
        print(
            f"{tally.what:<24}{tally.rows:>8,}{tally.alarms:>10.1%}{GOAL_ALARMS:>8.0%}{tally.flagged:>10.1%}{theirs:>11}"
        )
    print(f"\n{'windows with a shift':<24}{'rows':>8}{'acted on':>10}{'flagged':>10}{'goal':>8}")
    for tally in shifted(asked.windows):
        print(f"{tally.what:<24}{tally.rows:>8,}{tally.alarms:>10.1%}{tally.flagged:>10.1%}{GOAL_POWER:>8.0%}")


if __name__ == "__main__":
    main()
