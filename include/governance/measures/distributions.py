"""Tails and quantiles of three distributions, without scipy, whose import costs more than a small answer may take.

They agree with ``scipy.special`` to 1e-12, which the tests check. Neighbours: :mod:`governance.measures.drift`. Not
guaranteed: relative accuracy of a tail below 1e-300, which is 0 here.
"""

import math
from statistics import NormalDist

_STANDARD_NORMAL = NormalDist()

SMALLEST_LOG = -745.0
"""Of a number that a float can still tell from 0."""

CROSSOVER = 0.82
"""Below it the second series for Kolmogorov's distribution needs fewer terms, above it the first one."""

SMALLEST_DISTANCE = 0.04
"""Below it Kolmogorov's tail is 1 to the last bit."""


def normal_quantile(share: float) -> float:
    """Return the number below which this share of a standard normal distribution lies.

    Source: Wichura (1988), Applied Statistics 37(3), algorithm AS 241, as Python's own library has it.

    Args:
        share: Between 0 and 1, neither of them.
    """
    return _STANDARD_NORMAL.inv_cdf(share)


def kolmogorov_tail(distance: float) -> float:
    """Return the chance that a Brownian bridge leaves a band of this half width.

    Formula: 2 Σ (−1)^(k−1) exp(−2 k² d²), or 1 − √(2π)/d Σ exp(−(2k−1)² π² / (8 d²)) for a small d.
    Source: Kolmogorov (1933); Marsaglia, Tsang and Wang (2003), Journal of Statistical Software 8(18), for when to take
    which.

    Args:
        distance: √(m n / (m + n)) times the distance of two samples, 0 or more.
    """
    if distance < SMALLEST_DISTANCE:
        return 1.0
    square = distance * distance
    if distance <= CROSSOVER:
        inside = sum(math.exp(-((2 * k - 1) ** 2) * math.pi**2 / (8 * square)) for k in range(1, 5))
        tail = 1 - math.sqrt(2 * math.pi) / distance * inside
    else:
        tail = 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * square) for k in range(1, 5))
    return min(max(tail, 0.0), 1.0)


def chi_square_tail(statistic: float, freedom: int) -> float:
    """Return the chance that a chi-square variable is larger than this.

    Formula: with y = x / 2, for an even number of degrees of freedom Σ e^−y yᵏ / k! over k < ν / 2; for an odd one
    erfc(√y) + Σ e^−y y^(k − ½) / Γ(k + ½) over k from 1 to (ν − 1) / 2.
    Source: Abramowitz and Stegun (1972), 26.4.4 and 26.4.5.

    Args:
        statistic: 0 or more.
        freedom: Degrees of freedom, 1 or more.
    """
    half = statistic / 2
    if half <= 0:
        return 1.0
    odd = freedom % 2
    powers = [k + odd / 2 for k in range(freedom // 2)]
    logarithms = (power * math.log(half) - half - math.lgamma(power + 1) for power in powers)
    tail = math.fsum(math.exp(each) for each in logarithms if each > SMALLEST_LOG)
    return min(tail + (math.erfc(math.sqrt(half)) if odd else 0.0), 1.0)
