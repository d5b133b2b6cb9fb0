"""Every measurement that exists, by name: its title, its unit, which way is better, and what it is measured of.

The policy's language. A rule that names a measure which is not here can never pass; one whose limit is on the wrong
side, or outside what the number can be, says something else than its author meant. :mod:`governance.check` compares
the policies with this list, and a test compares the list with what the families produce.

Plain data without imports, so that the command line can read it at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower"]
Of = Literal["everything", "attributes", "groups", "features"]


@dataclass(frozen=True)
class MeasureInfo:
    """What is known of a measure without computing it.

    Attributes:
        title: The measure in words.
        better: Which way is better; ``None`` where neither is by itself.
        unit: ``share``, ``difference``, ``ratio``, ``ms``, ``bytes``, ``count``, ``nats`` or ``correlation``.
        family: The part of the name before the dot.
        of: What each measurement speaks of: everything, an attribute or intersection, a group, a feature.
        lowest: The smallest value it can take; ``None`` without an end.
        highest: The largest value it can take; ``None`` without an end.
        has_interval: Whether it comes with a 95 % interval. What is counted has none.
    """

    title: str
    better: Better | None
    unit: str
    family: str
    of: Of
    lowest: float | None
    highest: float | None
    has_interval: bool

    @property
    def range_in_words(self) -> str:
        """The values it can take, in words: ``0 to 1``, ``0 or more``."""
        if self.highest is None:
            return "any number" if self.lowest is None else f"{self.lowest:g} or more"
        return f"{self.lowest:g} to {self.highest:g}"


RANGES: dict[str, tuple[float | None, float | None]] = {
    "share": (0, 1),
    "difference": (0, 1),
    "gain": (-1, 1),
    "correlation": (-1, 1),
    "deviations": (0, None),
    "ratio": (0, None),
    "nats": (0, None),
    "ms": (0, None),
    "bytes": (0, None),
    "count": (0, None),
}
"""Unit → what a number of this unit can be."""

WRITTEN = """
performance.accuracy                    higher  share        everything  Accuracy
performance.balanced_accuracy           higher  share        everything  Balanced accuracy
performance.precision                   higher  share        everything  Precision
performance.recall                      higher  share        everything  Recall
performance.f1                          higher  share        everything  F1
performance.roc_auc                     higher  share        everything  ROC AUC
performance.log_loss                    lower   nats         everything  Log loss
performance.brier_score                 lower   share        everything  Brier score
performance.base_rate                   -       share        everything  Base rate
performance.accuracy_gain               higher  gain         everything  Gain over base rate
performance.unfavourable_selected       lower   share        everything  Unfavourable label, favourable prediction
fairness.selection_rate                 -       share        groups      Selection rate
fairness.true_positive_rate             higher  share        groups      True positive rate
fairness.false_positive_rate            lower   share        groups      False positive rate
fairness.false_negative_rate            lower   share        groups      False negative rate
fairness.precision                      higher  share        groups      Precision
fairness.accuracy                       higher  share        groups      Accuracy
fairness.demographic_parity_difference  lower   difference   attributes  Parity difference
fairness.disparate_impact_ratio         higher  share        attributes  Disparate impact ratio
fairness.denial_ratio                   lower   ratio        attributes  Denial ratio
fairness.standardised_difference        lower   deviations   attributes  Standardised difference
fairness.equal_opportunity_difference   lower   difference   attributes  Equal opportunity difference
fairness.equalised_odds_difference      lower   difference   attributes  Equalised odds difference
fairness.predictive_parity_difference   lower   difference   attributes  Predictive parity difference
fairness.share_compared                 higher  share        attributes  Share compared
explainability.coverage                 higher  share        everything  Explained predictions
explainability.top_10_share             higher  share        everything  Explained by the top 10
explainability.importance               -       share        features    Importance
explainability.direction                -       correlation  features    Direction
operations.latency_p50_ms               lower   ms           everything  Latency p50, ms
operations.latency_p99_ms               lower   ms           everything  Latency p99, ms
operations.load_ms                      lower   ms           everything  Loading time, ms
operations.artifact_bytes               lower   bytes        everything  Model size, bytes
provenance.uncommitted_changes          lower   count        everything  Uncommitted changes
provenance.unknown_authors              lower   count        everything  Authors not in people.yaml
"""
"""One measure a line: name, which way is better, unit, what it is measured of, title."""

COUNTED = frozenset(
    {
        "fairness.share_compared",
        "operations.load_ms",
        "operations.artifact_bytes",
        "provenance.uncommitted_changes",
        "provenance.unknown_authors",
    }
)
"""What is counted, and so has no interval."""

WAYS: dict[str, Better | None] = {"higher": "higher", "lower": "lower", "-": None}
PARTS: dict[str, Of] = {of: of for of in ("everything", "attributes", "groups", "features")}


def _read() -> Iterator[tuple[str, MeasureInfo]]:
    for line in WRITTEN.strip().splitlines():
        name, better, unit, of, title = line.split(maxsplit=4)
        lowest, highest = RANGES[unit]
        family = name.partition(".")[0]
        info = MeasureInfo(title, WAYS[better], unit, family, PARTS[of], lowest, highest, name not in COUNTED)
        yield name, info


MEASURES: dict[str, MeasureInfo] = dict(_read())
"""Measurement name → what is known of it."""
