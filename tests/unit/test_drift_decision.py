"""The share of drifted columns decides, and what was not measured decides nothing."""

import pytest

from governance.drift_decision import DriftDecision, decide_drift
from governance.errors import InputError
from governance.records import Measurement


def share(value: float | None, n: int = 25, reason: str | None = None) -> list[Measurement]:
    return [Measurement("drift.share_drifted", value, n, method="counted", reason=reason)]


@pytest.mark.parametrize(
    ("value", "outcome", "action", "rule"),
    [
        (0.0, "nothing", "nothing", "drift.share_drifted < 0.1"),
        (0.08, "nothing", "nothing", "drift.share_drifted < 0.1"),
        (0.1, "drifted", "retrain", "drift.share_drifted >= 0.1"),
        (0.28, "drifted", "retrain", "drift.share_drifted >= 0.1"),
        (0.3, "severe", "roll back", "drift.share_drifted >= 0.3"),
        (1.0, "severe", "roll back", "drift.share_drifted >= 0.3"),
    ],
)
def test_the_share_decides_and_the_rule_is_named(value: float, outcome: str, action: str, rule: str) -> None:
    found = decide_drift(share(value))
    assert (found.outcome, found.action, found.rule, found.value) == (outcome, action, rule, value)


def test_limits_are_the_callers() -> None:
    assert decide_drift(share(0.12), retrain_from=0.2).outcome == "nothing"
    assert decide_drift(share(0.12), severe_from=0.12).outcome == "severe"


@pytest.mark.parametrize(
    ("measured", "outcome"),
    [
        (share(None, reason="not enough data: the reference has 3 rows, and 30 are needed"), "not enough data"),
        (share(None, reason="not every column is there on both sides"), "not comparable"),
        ([], "not comparable"),
    ],
)
def test_what_was_not_measured_decides_nothing(measured: list[Measurement], outcome: str) -> None:
    found = decide_drift(measured)
    assert (found.outcome, found.action, found.value) == (outcome, None, None)


def test_the_sentence_names_the_columns_and_not_too_many_of_them() -> None:
    assert decide_drift(share(0.12), ["a", "b", "c"]).reason == (
        "3 of 25 columns have drifted (a, b, c): 0.12 of them, at least 0.1"
    )
    assert decide_drift(share(0.04), ["a"]).reason == "1 of 25 columns has drifted (a): 0.04 of them, below 0.1"
    assert "c9 …): 0.48" in decide_drift(share(0.48), [f"c{number}" for number in range(12)]).reason


@pytest.mark.parametrize(("retrain", "severe"), [(0, 0.3), (0.4, 0.3), (0.1, 1.1), (float("nan"), 0.3)])
def test_limits_that_cannot_be_are_refused(retrain: float, severe: float) -> None:
    with pytest.raises(InputError, match="Expected limits with 0 < drifted <= severe <= 1"):
        decide_drift(share(0.1), retrain_from=retrain, severe_from=severe)


def test_it_is_the_same_after_json() -> None:
    found = decide_drift(share(0.12), ["a", "b", "c"])
    assert DriftDecision.from_dict(found.to_dict()) == found
