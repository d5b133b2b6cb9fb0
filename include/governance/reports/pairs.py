"""Which two groups a comparison speaks of, and which groups it leaves out.

A difference or a ratio is one number over all groups of an attribute. The groups behind it are found again from the
rates that stand beside it in the same evidence: the two whose difference or ratio *is* the number. A group further out
than these was left out, for too few of its rows carry the rate; it may be larger than the minimum and still be.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from governance.records import Measurement, RuleResult
from governance.reports import words

EXACT = 1e-9

Combine = Callable[[float, float], float]


def _difference(low: float, high: float) -> float:
    return high - low


def _ratio(low: float, high: float) -> float:
    return low / high if high else float("nan")


def _denials(low: float, high: float) -> float:
    return (1 - low) / (1 - high) if high < 1 else float("nan")


TRUE_POSITIVE, FALSE_POSITIVE = "fairness.true_positive_rate", "fairness.false_positive_rate"
COMPARED: dict[str, tuple[Combine, tuple[str, ...]]] = {
    "fairness.demographic_parity_difference": (_difference, ("fairness.selection_rate",)),
    "fairness.disparate_impact_ratio": (_ratio, ("fairness.selection_rate",)),
    "fairness.denial_ratio": (_denials, ("fairness.selection_rate",)),
    "fairness.equal_opportunity_difference": (_difference, (TRUE_POSITIVE,)),
    "fairness.equal_opportunity_ratio": (_ratio, (TRUE_POSITIVE,)),
    "fairness.equalised_odds_difference": (_difference, (TRUE_POSITIVE, FALSE_POSITIVE)),
    "fairness.equalised_odds_ratio": (_ratio, (TRUE_POSITIVE, FALSE_POSITIVE)),
    "fairness.predictive_parity_difference": (_difference, ("fairness.precision",)),
    "fairness.predictive_parity_ratio": (_ratio, ("fairness.precision",)),
    "fairness.accuracy_difference": (_difference, ("fairness.accuracy",)),
    "fairness.mean_error_difference": (_difference, ("fairness.mean_error",)),
    "fairness.mean_prediction_difference": (_difference, ("fairness.mean_prediction",)),
}
"""Measure of a comparison → how two groups make the number, and of which of their rates."""


@dataclass(frozen=True)
class Pair:
    """The groups behind one number.

    Attributes:
        low: The lower of the two rates.
        high: The higher.
        left_out: Rates of groups that lie further out and so were not compared.
    """

    low: Measurement
    high: Measurement
    left_out: tuple[Measurement, ...]

    @property
    def in_words(self) -> str:
        """The two groups with their rates: ``Black 0.740, White 0.942``."""
        return ", ".join(f"{words.slice_words(one.slice)} {words.number(one.name, one.value)}" for one in self.both)

    @property
    def both(self) -> tuple[Measurement, Measurement]:
        """Both, the lower first."""
        return self.low, self.high


def pair_of(rule: RuleResult, measurements: Iterable[Measurement]) -> Pair | None:
    """Return the groups behind the number of a rule; ``None`` where it compares no groups, or none give this number."""
    combine, rates = COMPARED.get(rule.measure, (None, ()))
    if combine is None or rule.value is None:
        return None
    attributes = set(rule.slice.get("attribute", "").split(words.TIMES))
    known = [
        one for one in measurements if one.name in rates and set(one.slice) == attributes and one.value is not None
    ]
    for rate in rates:
        groups = sorted((one for one in known if one.name == rate), key=_value)
        for low, high in combinations(groups, 2):
            if abs(combine(_value(low), _value(high)) - rule.value) <= EXACT:
                outside = [one for one in groups if not _value(low) <= _value(one) <= _value(high)]
                return Pair(low, high, tuple(outside))
    return None


def left_out(rules: Sequence[RuleResult], measurements: Sequence[Measurement]) -> list[str]:
    """Return the groups that a comparison passed over although they lie further out, each with its rate and n."""
    found = [one for rule in rules if (pair := pair_of(rule, measurements)) for one in pair.left_out]
    named = [
        f"{words.slice_words(one.slice)} ({one.name.partition('.')[2].replace('_', ' ')} "
        f"{words.number(one.name, one.value)}, {one.n} rows)"
        for one in found
    ]
    return list(dict.fromkeys(named))


def _value(measurement: Measurement) -> float:
    return measurement.value or 0.0
