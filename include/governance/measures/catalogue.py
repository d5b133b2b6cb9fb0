"""Every measurement that exists, by name: its title, its unit, which way is better, and what it is measured of.

The policy's language. A rule that names a measure which is not here can never pass; one whose limit is on the wrong
side, or outside what the number can be, says something else than its author meant. :mod:`governance.check` compares
the policies with this list, and a test compares the list with what the families produce.

Plain data without imports, so that the command line can read it at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

Better = Literal["higher", "lower"]
Of = Literal["everything", "attributes", "groups", "features", "classes", "slices", "packages", "columns", "embeddings"]


@dataclass(frozen=True)
class MeasureInfo:
    """What is known of a measure without computing it.

    Attributes:
        title: The measure in words.
        better: Which way is better; ``None`` where neither is by itself.
        unit: One of :data:`RANGES`; ``amount`` and ``number`` are in the unit of the target.
        family: The part of the name before the dot.
        of: What each measurement speaks of: everything, an attribute or intersection, a group, a feature, a class, a
            slice, a package, a column, an embedding.
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
        if self.lowest is None:
            return f"{self.highest:g} or less"
        return f"{self.lowest:g} to {self.highest:g}"


RANGES: dict[str, tuple[float | None, float | None]] = {
    "share": (0, 1),
    "difference": (0, 1),
    "gain": (-1, 1),
    "change": (-1, 1),
    "skill": (None, 1),
    "amount": (0, None),
    "correlation": (-1, 1),
    "deviations": (0, None),
    "ratio": (0, None),
    "nats": (0, None),
    "ms": (0, None),
    "bytes": (0, None),
    "days": (0, None),
    "count": (0, None),
    "number": (None, None),
}
"""Unit → what a number of this unit can be."""

WRITTEN = """
performance.accuracy                    higher  share        everything  Accuracy
performance.balanced_accuracy           higher  share        everything  Balanced accuracy
performance.precision                   higher  share        everything  Precision
performance.recall                      higher  share        everything  Recall
performance.f1                          higher  share        everything  F1
performance.f1_macro                    higher  share        everything  F1, mean of classes
performance.class_precision             higher  share        classes     Precision of the class
performance.class_recall                higher  share        classes     Recall of the class
performance.roc_auc                     higher  share        everything  ROC AUC
performance.average_precision           higher  share        everything  Average precision
performance.log_loss                    lower   nats         everything  Log loss
performance.brier_score                 lower   share        everything  Brier score
performance.calibration_error           lower   share        everything  Calibration error
performance.base_rate                   -       share        everything  Base rate
performance.accuracy_gain               higher  gain         everything  Gain over base rate
performance.unfavourable_selected       lower   share        everything  Unfavourable label, favourable prediction
performance.rmse                        lower   amount       everything  Root mean squared error
performance.mae                         lower   amount       everything  Mean absolute error
performance.median_absolute_error       lower   amount       everything  Median absolute error
performance.mean_error                  -       number       everything  Mean error
performance.mape                        lower   ratio        everything  Mean absolute percentage error
performance.r2                          higher  skill        everything  R²
performance.error_gain                  higher  skill        everything  Gain over always the median
performance.loss_rise                   lower   number       everything  Rise of the loss since the release
performance.estimated_accuracy          higher  share        everything  Accuracy estimated before labels
performance.estimate_error              -       change       everything  Estimated less observed accuracy
performance.label_delay                 lower   days         everything  Delay of labels, days
performance.accuracy_change             higher  change       everything  Change of accuracy
performance.roc_auc_change              higher  change       everything  Change of ROC AUC
performance.brier_change                lower   change       everything  Change of Brier score
performance.log_loss_change             lower   number       everything  Change of log loss
performance.mae_change                  lower   number       everything  Change of mean absolute error
performance.rmse_change                 lower   number       everything  Change of root mean squared error
fairness.selection_rate                 -       share        groups      Selection rate
fairness.true_positive_rate             higher  share        groups      True positive rate
fairness.false_positive_rate            lower   share        groups      False positive rate
fairness.false_negative_rate            lower   share        groups      False negative rate
fairness.precision                      higher  share        groups      Precision
fairness.accuracy                       higher  share        groups      Accuracy
fairness.impact_ratio                   higher  share        groups      Impact ratio
fairness.mean_prediction                -       number       groups      Mean prediction
fairness.mean_error                     -       number       groups      Mean error
fairness.mean_absolute_error            lower   amount       groups      Mean absolute error
fairness.demographic_parity_difference  lower   difference   attributes  Parity difference
fairness.disparate_impact_ratio         higher  share        attributes  Disparate impact ratio
fairness.denial_ratio                   lower   ratio        attributes  Denial ratio
fairness.standardised_difference        lower   deviations   attributes  Standardised difference
fairness.selection_rate_z               lower   deviations   attributes  Selection rate z
fairness.equal_opportunity_difference   lower   difference   attributes  Equal opportunity difference
fairness.equal_opportunity_ratio        higher  share        attributes  Equal opportunity ratio
fairness.equalised_odds_difference      lower   difference   attributes  Equalised odds difference
fairness.equalised_odds_ratio           higher  share        attributes  Equalised odds ratio
fairness.predictive_parity_difference   lower   difference   attributes  Predictive parity difference
fairness.predictive_parity_ratio        higher  share        attributes  Predictive parity ratio
fairness.accuracy_difference            lower   difference   attributes  Accuracy difference
fairness.mean_prediction_difference     lower   amount       attributes  Mean prediction difference
fairness.mean_prediction_ratio          higher  share        attributes  Mean prediction ratio
fairness.standardised_mean_difference   lower   deviations   attributes  Standardised mean difference
fairness.mean_error_difference          lower   amount       attributes  Mean error difference
fairness.share_compared                 higher  share        attributes  Share compared
explainability.coverage                 higher  share        everything  Explained predictions
explainability.top_3_share              higher  share        everything  Explained by the top 3
explainability.top_5_share              higher  share        everything  Explained by the top 5
explainability.top_10_share             higher  share        everything  Explained by the top 10
explainability.stability                higher  correlation  everything  Stability of the ranking
explainability.unused_features          lower   count        everything  Unused features
explainability.denials_with_reasons     higher  share        everything  Denials with reasons
explainability.importance               -       share        features    Importance
explainability.direction                -       correlation  features    Direction
robustness.noise_flips                  lower   share        everything  Decisions changed by noise
robustness.noise_change                 lower   deviations   everything  Predictions moved by noise
robustness.missing_flips                lower   share        everything  Decisions changed by a missing value
robustness.missing_change               lower   deviations   everything  Predictions moved by a missing value
robustness.missing_refused              -       share        everything  Missing values refused
robustness.feature_missing_flips        lower   share        features    Decisions changed without the feature
robustness.feature_missing_change       lower   deviations   features    Predictions moved without the feature
robustness.worst_slice_accuracy         higher  share        everything  Accuracy of the worst slice
robustness.worst_slice_error            lower   ratio        everything  Error of the worst slice
robustness.slice_accuracy               higher  share        slices      Accuracy of the slice
robustness.slice_error                  lower   ratio        slices      Error of the slice
drift.psi                               lower   nats         columns     Population stability index
drift.jensen_shannon                    lower   share        columns     Jensen–Shannon distance
drift.ks                                lower   share        columns     Kolmogorov–Smirnov distance
drift.wasserstein                       lower   amount       columns     Wasserstein distance
drift.chi_square                        lower   deviations   columns     Chi-square
drift.missing_change                    lower   change       columns     Change of missing values
drift.new_categories                    lower   share        columns     Share of new categories
drift.out_of_range                      lower   share        columns     Share out of range
drift.p_value                           -       share        columns     Chance without drift
drift.classifier_two_sample_auc         lower   share        embeddings  AUC of a classifier of then and now
drift.classifier_two_sample_p_value     -       share        embeddings  Chance of that AUC without drift
drift.share_drifted                     lower   share        everything  Share of drifted features
drift.largest_psi                       lower   nats         everything  Largest PSI of a feature
drift.largest_ks                        lower   share        everything  Largest KS of a feature
drift.prediction_psi                    lower   nats         everything  PSI of the scores
drift.prediction_ks                     lower   share        everything  KS of the scores
drift.importance_psi                    lower   nats         everything  PSI of the importances
leakage.protected_auc                   lower   share        attributes  Attribute predicted by the features
leakage.strongest_proxy                 lower   share        attributes  Strongest proxy
leakage.proxy_strength                  lower   share        features    Proxy strength
leakage.target_by_one_feature           lower   share        everything  Target told by one feature
leakage.feature_target_strength         -       share        features    Target told by the feature
leakage.train_test_overlap              lower   share        everything  Judging rows seen in training
leakage.duplicate_rows                  lower   share        everything  Duplicate rows
performance.final_gap                   lower   amount       everything  Final bytes beside what was measured
operations.latency_p50_ms               lower   ms           everything  Latency p50, ms
operations.latency_p99_ms               lower   ms           everything  Latency p99, ms
operations.load_ms                      lower   ms           everything  Loading time, ms
operations.artifact_bytes               lower   bytes        everything  Model size, bytes
operations.peak_memory_bytes            lower   bytes        everything  Peak memory, bytes
operations.known_vulnerabilities        lower   count        everything  Known vulnerabilities
operations.package_vulnerabilities      lower   count        packages    Known vulnerabilities of the package
lineage.completeness                    higher  share        everything  Lineage back to raw data
lineage.identifier_features             lower   count        everything  Features made of direct identifiers
lineage.unpurposed_features             lower   count        everything  Features of data for another purpose
provenance.uncommitted_changes          lower   count        everything  Uncommitted changes
provenance.unknown_authors              lower   count        everything  Authors not in people.yaml
provenance.overdue_findings             lower   count        everything  Overdue findings
"""
"""One measure a line: name, which way is better, unit, what it is measured of, title."""

COUNTED = frozenset(
    {
        "performance.final_gap",
        "drift.wasserstein",
        "drift.chi_square",
        "drift.p_value",
        "drift.classifier_two_sample_p_value",
        "drift.share_drifted",
        "drift.importance_psi",
        "leakage.duplicate_rows",
        "fairness.share_compared",
        "fairness.selection_rate_z",
        "explainability.unused_features",
        "robustness.missing_refused",
        "operations.load_ms",
        "operations.artifact_bytes",
        "operations.peak_memory_bytes",
        "operations.known_vulnerabilities",
        "operations.package_vulnerabilities",
        "lineage.completeness",
        "lineage.identifier_features",
        "lineage.unpurposed_features",
        "provenance.uncommitted_changes",
        "provenance.unknown_authors",
        "provenance.overdue_findings",
    }
)
"""What is counted or is itself a test, and so has no interval."""

WAYS: dict[str, Better | None] = {"higher": "higher", "lower": "lower", "-": None}
PARTS: dict[str, Of] = {of: of for of in get_args(Of)}


def _read() -> Iterator[tuple[str, MeasureInfo]]:
    for line in WRITTEN.strip().splitlines():
        name, better, unit, of, title = line.split(maxsplit=4)
        lowest, highest = RANGES[unit]
        family = name.partition(".")[0]
        info = MeasureInfo(title, WAYS[better], unit, family, PARTS[of], lowest, highest, name not in COUNTED)
        yield name, info


MEASURES: dict[str, MeasureInfo] = dict(_read())
"""Measurement name → what is known of it."""
