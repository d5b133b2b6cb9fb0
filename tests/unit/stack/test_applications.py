"""The applications of the story: like the real ones on a quiet day, and changed as the story says on others."""

import numpy as np
import pandas as pd
import pytest

from governance.catalog import load_spec
from governance.data.contracts import run_contract
from governance.measures.drift import measure_drift
from governance.monitoring.contract import may_be_chance
from governance.settings import ROOT
from stack import applications
from stack.applications import Market

LOAN = load_spec(ROOT / "include" / "models" / "loan")
FEATURES = list(LOAN.features)


def drawn(rows=1000, seed=1, **market):
    return applications.draw(rows, Market(**market), seed)


def drifted(frame):
    found = measure_drift(applications.real()[FEATURES], frame[FEATURES], level=0.01)
    return next(one.value for one in found if one.name == "drift.share_drifted")


def test_the_same_seed_gives_the_same_day():
    pd.testing.assert_frame_equal(drawn(), drawn())
    assert not drawn(seed=2).equals(drawn())


def test_a_quiet_day_has_not_drifted_and_no_two_applications_are_the_same():
    frame = drawn()

    assert drifted(frame) == 0
    assert not frame[FEATURES].duplicated().any()
    assert list(frame.columns) == list(applications.real().columns)
    assert frame.dtypes.equals(applications.real().dtypes)


def test_codes_for_not_recorded_stay_what_they_are():
    frame = drawn(20_000, squeeze=0.2)

    assert {666} <= set(frame["appinc"])
    assert {1_000_000} <= set(frame["liq"])


def test_a_squeeze_moves_amounts_and_incomes_apart():
    usual, squeezed = drawn(), drawn(squeeze=0.25)

    assert 0.1 <= drifted(squeezed) < 0.3
    assert squeezed["price"].median() == pytest.approx(1.25 * usual["price"].median(), rel=0.03)
    assert squeezed["atotinc"].median() == pytest.approx(0.75 * usual["atotinc"].median(), rel=0.03)


def test_a_claim_about_neighbourhoods_that_nobody_looked_up_breaks_the_contract():
    frame = drawn(filled=True)[FEATURES]
    unmet = run_contract(frame, LOAN.contract, values_of=FEATURES).unmet()

    assert {one.column for one in unmet if not may_be_chance(one, frame)} == {"min30"}


def test_the_programme_gives_down_payments_to_some_of_the_minority_only():
    usual, given = drawn(5000), drawn(5000, programme=0.4)
    minority = (usual["black"] == 1) | (usual["hispan"] == 1)

    assert given.loc[minority, "gift"].mean() == pytest.approx(0.4 + 0.6 * usual.loc[minority, "gift"].mean(), abs=0.05)
    assert (given.loc[~minority, "gift"] == usual.loc[~minority, "gift"]).all()
    assert (given.loc[minority & (given["gift"] > usual["gift"]), "loanprc"] >= 0.9).all()


def test_officers_follow_nine_recommendations_in_ten_and_deny_gifts_where_they_are_told_to():
    frame, market = drawn(5000), Market(gifts_denied=True)
    answers = np.ones(len(frame))

    followed = applications.decided(frame, answers, Market(), 1)
    denied = applications.decided(frame, answers, market, 1)
    given = (frame["gift"] == 1) & (frame["loanprc"] > applications.HIGH_LOAN)

    assert (followed["approve"] >= frame["approve"]).all()
    assert 1 - followed["approve"].mean() == pytest.approx(0.1 * (1 - frame["approve"].mean()), abs=0.01)
    assert denied.loc[given, "approve"].sum() == 0
    assert (denied.loc[~given, "approve"] == followed.loc[~given, "approve"]).all()
    assert (denied["approve"] + denied["reject"] == 1).all()


def test_what_is_delivered_for_training_meets_the_contract():
    days = [Market(), Market(squeeze=0.1, gifts_denied=True), Market(squeeze=0.2, gifts_denied=True)]
    frames = [applications.draw(1500, market, seed) for seed, market in enumerate(days)]
    delivered = [
        applications.decided(frame, frame["approve"], market, seed)
        for seed, (frame, market) in enumerate(zip(frames, days, strict=True))
    ]

    assert run_contract(pd.concat(delivered, ignore_index=True), LOAN.contract).unmet() == ()
