"""Quantiles and tails agree with scipy, whose import they save."""

import numpy as np
import pytest
from scipy.special import gammaincc, kolmogorov, ndtri

from governance.measures.distributions import chi_square_tail, kolmogorov_tail, normal_quantile


@pytest.mark.parametrize("share", [*np.linspace(0.001, 0.999, 500), *(1 - np.logspace(-12, -3, 200)), 0.975])
def test_the_normal_quantile_is_scipys(share: float) -> None:
    assert normal_quantile(share) == pytest.approx(ndtri(share), abs=1e-12)


def test_kolmogorovs_tail_is_scipys() -> None:
    for distance in [*np.linspace(0, 6, 3001), 0.04, 0.82, 1e-300, 40.0]:
        assert kolmogorov_tail(distance) == pytest.approx(kolmogorov(distance), abs=1e-12)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 10, 11, 50, 51, 499, 999, 1000])
def test_the_tail_of_chi_square_is_scipys(freedom: int) -> None:
    for statistic in [0.0, 1e-9, *np.linspace(0.01, 4 * freedom + 60, 500), 1e4, 1e9]:
        assert chi_square_tail(statistic, freedom) == pytest.approx(gammaincc(freedom / 2, statistic / 2), abs=1e-12)
