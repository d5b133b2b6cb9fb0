"""Whether a classifier can tell two samples of embeddings apart: the classifier two-sample test.

A classifier learns from half of the rows which side each is of, and is asked about the other half. Without drift it can
only guess: its area under the ROC curve is a half but for chance, however it was trained, so that the test is right for
any embedding and any number of dimensions. Every row is either learned from or asked about. Cross-validation would ask
about all of them, but its folds learn from each other's rows and their answers hang together, which the interval and
the p-value of this test do not know (docs/decisions/0028).

Rows that are alike go to the same half: else the classifier would recognise what it learned by heart. Neighbours:
:mod:`governance.rules.embedding` has the rows embedded, :mod:`governance.measures.drift` counts an embedding among the
features. Not guaranteed: that what no straight line tells apart is seen, for the classifier is a logistic regression.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from governance.measures.distributions import normal_quantile
from governance.measures.intervals import Array, delong_auc
from governance.records import Measurement

MATERIAL_AUC = 0.624
"""From here an embedding that drifted significantly also counts as drifted materially: two normal distributions of one
variance whose PSI is 0.2, which is material of a column, are told apart with Φ(√(0.2 / 2))."""

PENALTY = 100.0
"""Inverse of scikit-learn's ``C``: strong, for embeddings often have as many dimensions as there are rows."""

LARGEST = 1 - 1e-15
"""An area under the ROC curve that still has a quantile."""

STEPS = 200
SEED = 20260401

AUC, P_VALUE = "drift.classifier_two_sample_auc", "drift.classifier_two_sample_p_value"


@dataclass(frozen=True)
class Embedded:
    """What is known of one embedding.

    Attributes:
        name: Its name; where it is a feature's, it stands for that feature.
        auc: How well both sides are told apart.
        chance: Chance of that without drift; ``None`` where it could not be measured.
    """

    name: str
    auc: Measurement
    chance: float | None


def compare(name: str, reference: Array, current: Array, *, minimum_n: int, method: str = "") -> Embedded:
    """Test whether two samples of an embedding are told apart.

    Args:
        name: Its name.
        reference: What is usual, shape (m, width), finite.
        current: What came now, shape (n, width), finite.
        minimum_n: With fewer rows on either side nothing is said.
        method: What made the embedding, for the record.
    """
    if min(len(reference), len(current)) < minimum_n:
        few = f"not enough data: {len(reference)} and {len(current)} rows, and {minimum_n} are needed on each side"
        return unknown(name, few, len(current))
    rows, isnew, learned = _halved(np.vstack([reference, current]).astype(np.float64), len(reference))
    if min(np.count_nonzero(isnew[half] == side) for half in (learned, ~learned) for side in (True, False)) < 2:
        return unknown(name, "its rows are alike, so that none are left to ask about", len(current))
    scores = _scores(rows[learned], isnew[learned], rows[~learned])
    told = " of ".join(part for part in ("delong", method) if part)
    return Embedded(
        name, classifier_two_sample_auc(name, isnew[~learned], scores, told), chance(isnew[~learned], scores)
    )


def unknown(name: str, reason: str, n: int) -> Embedded:
    """Return an embedding that could not be measured; without a name where none could."""
    slice_ = {"embedding": name} if name else {}
    return Embedded(name, Measurement(AUC, None, n, slice_, reason=reason), None)


def as_psi(auc: float) -> float:
    """Return the PSI of two normal distributions of one variance that are told apart so well."""
    return 2 * normal_quantile(min(max(auc, 0.5), LARGEST)) ** 2


def classifier_two_sample_auc(name: str, isnew: Array, scores: Array, method: str = "delong") -> Measurement:
    """How well a classifier tells embeddings of a window from those of the reference.

    Formula: chance that a row of the window is ranked above one of the reference (area under the ROC curve), of the
    half of the rows that the classifier did not learn from: an L2-penalised logistic regression (C = 0.01,
    standardised, both sides of equal weight). Of each side 5,000 rows at most are drawn, and rows that are alike are in
    one half. Interval: DeLong's; n is the window's rows that were asked about.
    Source: Lopez-Paz and Oquab (2017), Revisiting Classifier Two-Sample Tests, ICLR; Kim, Ramdas, Singh and Wasserman
    (2021), Annals of Statistics 49(1).
    Ideal: 0.5; less is chance. 0.624 is to two normal distributions what a PSI of 0.2 is.
    Limits: on few rows it learns little: a small difference of many dimensions then stays below what a larger sample
    would show. What no linear classifier sees is not seen.

    Args:
        name: The embedding's name.
        isnew: Whether a row is the window's, shape (k).
        scores: What the classifier says of it, shape (k).
        method: How it was made, for the record.
    """
    value, low, high = delong_auc(isnew, scores)
    return Measurement(AUC, value, int(np.count_nonzero(isnew)), {"embedding": name}, low, high, method)


def classifier_two_sample_p_value(name: str, corrected: float, n: int) -> Measurement:
    """Chance that embeddings would be told apart so well though nothing changed, corrected for all features.

    Formula: upper tail of the Mann–Whitney statistic of the scores, by the normal approximation with the correction for
    ties; then Holm's step-down over all columns and embeddings.
    Source: Mann and Whitney (1947), Annals of Mathematical Statistics 18(1); Holm (1979), Scandinavian Journal of
    Statistics 6(2).
    Ideal: 1.
    Limits: one-sided, for a classifier that is worse than a guess has seen no drift.
    """
    return Measurement(P_VALUE, corrected, n, {"embedding": name}, method="asymptotic")


def chance(isnew: Array, scores: Array) -> float:
    """Return the chance of scores that tell both sides apart as well, or better, without drift."""
    n, k = int(np.count_nonzero(isnew)), len(scores)
    m = k - n
    _, ties = np.unique(scores, return_counts=True)
    variance = (k + 1 - float((ties**3 - ties).sum()) / (k * (k - 1))) / (12 * m * n)
    if variance <= 0:  # one score for all
        return 1.0
    area, _, _ = delong_auc(isnew, scores)
    return 0.5 * math.erfc((area - 0.5) / math.sqrt(2 * variance))


def _halved(rows: Array, m: int) -> tuple[Array, Array, Array]:
    """Return all rows, which are the window's, and which are learned from: half of the different ones.

    By content: the order in which they came changes nothing, not even the last bit.
    """
    digests = np.array([hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows], dtype="S8")
    order = np.lexsort((np.arange(len(rows)) >= m, digests))
    _, place, times = np.unique(digests[order], return_inverse=True, return_counts=True)
    drawn = np.random.default_rng(SEED).permutation(len(times))
    before = np.empty(len(times))
    before[drawn] = np.cumsum(times[drawn]) - times[drawn] / 2
    return rows[order], order >= m, (before <= len(rows) / 2)[place]


def _scores(learned: Array, isnew: Array, asked: Array) -> Array:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    regression = LogisticRegression(C=1 / PENALTY, class_weight="balanced", max_iter=STEPS)
    with threadpool_limits(1):
        fitted = make_pipeline(StandardScaler(), regression).fit(learned, isnew)
        return np.asarray(fitted.decision_function(asked))
