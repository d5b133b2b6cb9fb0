"""The order in which a window is asked, and what each answer needs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.monitoring.decision import Before, Refused, Seen, Standing, Target, decide, drifted_columns
from governance.policyfile import CustomLimit, Monitoring
from governance.records import Measurement

DAY = timedelta(days=1)
MONDAY = datetime(2026, 3, 2, 6, tzinfo=UTC)
LIMITS = Monitoring()
BACK = Target("1.2.0", "e" * 64, {"error": (0.08, 0.14), "parity difference": (0.09, 0.31)})
WORSE = Target("1.1.0", "f" * 64, {"error": (0.21, 0.14), "parity difference": (0.33, 0.31)})


def share(value, n=25):
    return Measurement("drift.share_drifted", value, n)


def answers(value, low=None):
    return Measurement("drift.prediction_psi", value, 1000, {}, value * 0.7 if low is None else low, value * 1.3)


def rise(value, low):
    return Measurement("performance.loss_rise", value, 800, {}, low, 2 * value - low)


def parity(value, low, attribute="race"):
    name = "fairness.demographic_parity_difference"
    return Measurement(name, value, 1000, {"attribute": attribute}, low, min(1.0, 2 * value - low))


def column(name, psi, p):
    sliced = {"column": name}
    return [Measurement("drift.psi", psi, 1000, sliced), Measurement("drift.p_value", p, 1000, sliced)]


SIGNED = parity(0.09, 0.05)


def window(*measured, rows=1000, faults=()):
    return Seen(MONDAY, MONDAY + DAY, rows, [share(0.0), answers(0.01), *measured], faults, [SIGNED])


def earlier(*breaches, action="nothing"):
    """Windows before this one, the latest first."""
    return tuple(Before(MONDAY - days * DAY, action, found) for days, found in enumerate(breaches))


def drifted(share_, psi=0.3, *more):
    measured = [share(share_), answers(psi), *column("income", 0.6, 1e-9), *more]
    return Seen(MONDAY, MONDAY + DAY, 1000, measured, (), [SIGNED])


def decided(seen, limits=LIMITS, **standing):
    found = decide(limits, seen, Standing(**standing))
    return found.action, found.rule


def test_a_quiet_window_is_nothing():
    found = decide(LIMITS, window(), Standing())
    assert (found.action, found.because) == ("nothing", ("No feature has drifted.",))


class TestWithoutTraffic:
    def test_it_says_so_and_decides_nothing(self):
        found = decide(LIMITS, window(rows=0), Standing(targets=(BACK,)))
        assert (found.action, found.tell) == ("silent", False)

    def test_after_some_windows_in_a_row_people_are_told_once(self):
        told = []
        for quiet in range(5):
            before = earlier(*[{}] * quiet, action="silent")
            told.append(decide(LIMITS, window(rows=0), Standing(before=before)).tell)
        assert told == [False, False, True, False, False]


class TestDataFault:
    BROKEN = window(share(0.9), rise(0.3, 0.2), faults=("netw is missing in 64 % of rows, 5 % at most",))

    def test_broken_data_are_neither_retrained_on_nor_rolled_back_for(self):
        found = decide(LIMITS, self.BROKEN, Standing(targets=(BACK,), before=earlier(*[{"loss": True}] * 2)))
        assert (found.action, found.tell) == ("data_fault", True)
        assert "netw is missing in 64 % of rows" in found.because[0]

    def test_they_are_found_in_a_small_window_too(self):
        assert decided(window(rows=3, faults=("it is broken",)))[0] == "data_fault"


class TestRefusedRequests:
    """What the scoring service refused for its content, beside what it answered; 5 % are usual here."""

    @staticmethod
    def refused(requests, answered, rows=None):
        seen = replace(
            window(rows=answered), refused=Refused(requests, rows or requests, answered, ("debt is missing.",))
        )
        return decide(LIMITS, seen, Standing())

    @pytest.mark.parametrize(
        ("requests", "answered", "action"),
        [
            (9, 150, "nothing"),  # a handful, whatever its share
            (12, 150, "nothing"),  # 7 %, but chance may have made 5 % into that
            (40, 400, "data_fault"),  # 9 %, at least 6 %
            (10, 0, "data_fault"),
        ],
    )
    def test_more_than_is_usual_and_than_chance_explains_is_a_fault(self, requests, answered, action):
        assert self.refused(requests, answered).action == action

    def test_one_request_of_a_whole_day_that_was_refused_is_a_fault_where_nothing_else_was_answered(self):
        assert self.refused(1, 0, rows=1000).rule == "refused_share"
        assert self.refused(1, 0, rows=99).action == "silent"
        assert self.refused(1, 1000, rows=1000).action == "nothing"

    def test_it_is_said_how_many_and_why(self):
        found = self.refused(40, 400)
        assert found.because == (
            "The scoring service refused 40 of 440 requests (9%, at least 7%) for their content, 5% at most are usual.",
            "debt is missing.",
        )
        assert found.tell

    def test_what_was_answered_meanwhile_counts_for_no_row_of_windows(self):
        seen = replace(window(rise(0.3, 0.2)), refused=Refused(600, 600, 600))
        assert decide(LIMITS, seen, Standing(before=earlier(*[{"loss": True}] * 2))).breaches == {}


def test_where_only_another_version_answered_it_is_no_silence():
    found = decide(LIMITS, replace(window(rows=0), others=700), Standing())
    assert (found.action, found.because[1]) == (
        "too_few",
        "700 more are of versions that served before, and are judged by nobody.",
    )


class TestOwnMeasures:
    """Numbers of the model folder's ``drift.py``."""

    CALLS = LIMITS.model_copy(update={"custom": {"tail": CustomLimit(at_most=0.2)}})
    TRAINS = LIMITS.model_copy(update={"custom": {"tail": CustomLimit(at_most=0.2, action="retrain")}})
    LEAST = LIMITS.model_copy(update={"custom": {"tail": CustomLimit(at_least=0.2)}})

    @staticmethod
    def tail(value, *ends):
        return window(Measurement("drift.custom.tail", value, 1000, {}, *ends))

    @pytest.mark.parametrize(
        ("limits", "measured", "action"),
        [
            (CALLS, (0.3,), "call"),
            (CALLS, (0.3, 0.25, 0.35), "call"),
            (CALLS, (0.3, 0.15, 0.45), "nothing"),  # may be chance
            (CALLS, (0.2,), "nothing"),
            (TRAINS, (0.3,), "retrain"),
            (LEAST, (0.1,), "call"),
            (LEAST, (0.1, 0.05, 0.3), "nothing"),
            (LIMITS, (9.0,), "nothing"),  # nobody limits it
        ],
    )
    def test_a_limit_is_compared_with_the_nearer_end(self, limits, measured, action):
        assert decided(self.tail(*measured), limits)[0] == action

    def test_it_is_said_which_number_crossed_which_limit(self):
        found = decide(self.CALLS, self.tail(0.3, 0.25, 0.35), Standing())
        assert (found.rule, found.because, found.tell) == (
            "custom", ("tail is 0.3 (at least 0.25; 0.2 is the limit).",), True,
        )  # fmt: skip

    def test_training_for_it_has_to_wait_as_for_any_shift(self):
        assert decided(self.tail(0.3), self.TRAINS, waiting="1.1.0") == ("nothing", "waiting")
        lately = tuple(MONDAY - days * DAY for days in (10, 20))
        assert decided(self.tail(0.3), self.TRAINS, retrained=lately) == ("call", "retrains_per_month")

    def test_a_failure_calls_people_whether_or_not_anything_is_limited(self):
        failed = window(Measurement("drift.custom", None, 1000, reason="drift.py: it took longer than 20 s"))
        for limits in (LIMITS, self.TRAINS):
            found = decide(limits, failed, Standing())
            assert (found.action, found.rule) == ("call", "custom")
            assert "it took longer than 20 s" in found.because[0]

    def test_a_number_that_is_limited_and_not_returned_calls_people(self):
        assert decided(window(), self.TRAINS) == ("call", "custom")


class TestEmbeddings:
    """What a classifier tells of the embeddings of the model folder's ``embedding.py``."""

    TRAINS = LIMITS.model_copy(update={"embeddings": {"note": CustomLimit(at_most=0.6, action="retrain")}})

    @staticmethod
    def note(auc, low, p_value=1e-9):
        of = {"embedding": "note"}
        return [
            Measurement("drift.classifier_two_sample_auc", auc, 500, of, low, min(auc + 0.05, 1.0), "delong"),
            Measurement("drift.classifier_two_sample_p_value", p_value, 500, of, method="asymptotic"),
        ]

    def test_one_that_differs_is_flagged_in_the_order_of_how_far_columns_are(self):
        columns = [
            Measurement(f"drift.{measure}", value, 1000, {"column": name})
            for name, psi in (("age", 0.1), ("debt", 5.0))
            for measure, value in (("psi", psi), ("p_value", 0.001))
        ]
        assert drifted_columns(LIMITS, [*columns, *self.note(0.7, 0.65)]) == ("debt", "note", "age")
        assert drifted_columns(LIMITS, [*columns, *self.note(0.7, 0.65, 0.02)]) == ("debt", "age")

    @pytest.mark.parametrize(("low", "action"), [(0.65, "retrain"), (0.55, "nothing")])
    def test_a_limit_is_compared_with_the_nearer_end(self, low, action):
        assert decided(window(*self.note(0.7, low)), self.TRAINS)[0] == action

    def test_it_is_said_which_embedding_crossed_its_limit(self):
        found = decide(self.TRAINS, window(*self.note(0.7, 0.65)), Standing())
        assert (found.rule, found.because[0]) == ("custom", "note is 0.7 (at least 0.65; 0.6 is the limit).")

    def test_one_that_is_limited_and_not_there_calls_people(self):
        assert decided(window(), self.TRAINS) == ("call", "custom")


def test_too_few_rows_decide_nothing_whatever_they_show():
    assert decided(window(share(0.9), rows=LIMITS.minimum_rows - 1)) == ("too_few", "minimum_rows")


class TestLoss:
    LOSING = window(rise(0.06, 0.02))

    def test_once_is_watched_and_told(self):
        found = decide(LIMITS, self.LOSING, Standing(targets=(BACK,)))
        assert (found.action, found.tell) == ("nothing", True)
        assert found.breaches == {"loss": True}
        assert "not yet in 3 windows in a row" in found.because[0]

    def test_in_three_windows_in_a_row_it_is_rolled_back(self):
        found = decide(LIMITS, self.LOSING, Standing(targets=(BACK,), before=earlier(*[{"loss": True}] * 2)))
        assert (found.action, found.rule, found.target) == ("roll_back", "loss", BACK)
        assert (
            "0.060 above what was validated (at least 0.020, on 800 labels), in 3 windows in a row" in found.because[0]
        )

    def test_a_window_without_it_between_begins_again(self):
        assert decided(self.LOSING, targets=(BACK,), before=earlier({"loss": True}, {"loss": False}, {"loss": True}))[
            0
        ] == ("nothing")

    def test_windows_that_could_not_say_are_passed_over(self):
        before = earlier({"loss": True}, {}, {}, {"loss": True})
        assert decided(self.LOSING, targets=(BACK,), before=before)[0] == "roll_back"

    def test_overlapping_windows_count_once(self):
        overlapping = [Before(MONDAY + timedelta(hours=h), "nothing", {"loss": True}) for h in (6, 12, 18)]
        assert decided(self.LOSING, targets=(BACK,), before=overlapping)[0] == "nothing"

    def test_a_rise_that_may_be_chance_is_none(self):
        before = earlier(*[{"loss": True}] * 2)
        assert decided(window(rise(0.06, -0.01)), targets=(BACK,), before=before)[0] == "nothing"


class TestUnfairness:
    APART = window(parity(0.31, 0.2))

    def test_in_three_windows_in_a_row_it_is_rolled_back(self):
        before = earlier(*[{"unfair race": True}] * 2)
        found = decide(LIMITS, self.APART, Standing(targets=(BACK,), before=before))
        assert (found.action, found.rule) == ("roll_back", "parity_difference")
        assert "0.310 (at least 0.200; 0.090 was signed, 0.15 is the limit)" in found.because[0]

    def test_the_same_rows_count_once_however_often_they_are_looked_at(self):
        yesterday = Before(MONDAY, "nothing", {"unfair race": True}, MONDAY - DAY)
        again = Before(MONDAY - DAY / 1000, "nothing", {"unfair race": True}, MONDAY - DAY)
        assert decided(self.APART, targets=(BACK,), before=(yesterday, again))[0] == "nothing"

    def test_a_harmless_part_of_a_bad_window_interrupts_nothing(self):
        days = [Before(MONDAY - n * DAY, "nothing", {"unfair race": True}, MONDAY - (n + 1) * DAY) for n in (0, 1)]
        part = Before(MONDAY, "nothing", {"unfair race": False}, MONDAY - DAY / 4)
        assert decided(self.APART, targets=(BACK,), before=(part, *days))[0] == "roll_back"

    def test_a_good_window_of_its_own_does(self):
        bad = [Before(MONDAY - n * DAY, "nothing", {"unfair race": True}, MONDAY - (n + 1) * DAY) for n in (1, 2)]
        good = Before(MONDAY, "nothing", {"unfair race": False}, MONDAY - DAY)
        assert decided(self.APART, targets=(BACK,), before=(good, *bad))[0] == "nothing"

    def test_without_a_way_back_it_is_stopped_where_the_policy_says_so(self):
        before = earlier(*[{"unfair race": True}] * 2)
        found = decide(LIMITS, self.APART, Standing(targets=(WORSE,), before=before, without_target="suspend"))
        assert (found.action, found.target) == ("roll_back", None)
        assert found.because[-1] == "So it is stopped: the policy suspends what has no way back."

    def test_another_attribute_is_another_breach(self):
        before = earlier(*[{"unfair sex": True}] * 2)
        assert decided(self.APART, targets=(BACK,), before=before)[0] == "nothing"

    def test_an_intersection_is_reported_and_stops_nothing_as_at_the_release(self):
        both = "race × sex"
        seen = Seen(
            MONDAY,
            MONDAY + DAY,
            1000,
            [share(0.0), answers(0.01), parity(0.31, 0.2, both)],
            (),
            [SIGNED, parity(0.1, 0.0, both)],
        )

        assert decide(LIMITS, seen, Standing()).breaches == {}

    @pytest.mark.parametrize("seen", [parity(0.14, 0.12), parity(0.31, 0.05)], ids=["small", "perhaps chance"])
    def test_below_the_limit_or_not_above_what_was_signed_is_none(self, seen):
        assert decide(LIMITS, window(seen), Standing()).breaches == {"unfair race": False}


class TestRollBack:
    def test_the_newest_version_that_is_no_worse_is_taken(self):
        found = decide(LIMITS, drifted(0.4), Standing(targets=(WORSE, BACK)))
        assert (found.action, found.rule, found.target) == ("roll_back", "severe_share", BACK)

    def test_nothing_worse_is_gone_back_to_and_people_are_called(self):
        found = decide(LIMITS, drifted(0.4), Standing(targets=(WORSE,)))
        assert (found.action, found.tell) == ("call", True)
        assert found.because[1] == "1.1.0 is no way back: on this window, error 0.210 beside 0.140 of what serves."

    def test_it_is_compared_by_what_is_wrong(self):
        fairer = Target("1.0.0", "a" * 64, {"error": (0.15, 0.14), "parity difference": (0.09, 0.31)})
        assert fairer.is_no_worse("parity_difference")
        assert not fairer.is_no_worse("loss")

    def test_without_labels_by_how_far_its_answers_have_moved(self):
        moved = Target("1.0.0", "a" * 64, {"PSI of the answers": (0.4, 0.2)})
        assert not moved.is_no_worse("severe_share")
        assert moved.why("severe_share") == "on this window, PSI of the answers 0.400 beside 0.200 of what serves."

    def test_no_version_is_tried_where_no_rule_wants_one(self):
        def tried():
            raise AssertionError("fetched and scored for nothing")
            yield

        assert decide(LIMITS, drifted(0.2), Standing(targets=tried())).action == "retrain"

    def test_one_that_reads_what_the_window_does_not_hold_is_no_way_back(self):
        richer = Target("1.3.0", "a" * 64, {}, ("debt",))
        found = decide(LIMITS, drifted(0.4), Standing(targets=(richer, BACK)))
        assert found.target == BACK
        found = decide(LIMITS, drifted(0.4), Standing(targets=(richer,)))
        assert "1.3.0 is no way back: it reads debt, which the window does not hold" in found.because[1]

    def test_without_any_version_people_are_called(self):
        found = decide(LIMITS, drifted(0.4), Standing())
        assert (found.action, found.because[-1]) == ("call", "No earlier version has a valid permit.")


class TestShift:
    def test_features_that_moved_and_answers_with_them_are_trained_on(self):
        found = decide(LIMITS, drifted(0.2), Standing())
        assert (found.action, found.because) == ("retrain", ("20% of 25 features have drifted (income).",))

    def test_where_the_answers_did_not_move_it_is_harmless(self):
        found = decide(LIMITS, drifted(0.2, 0.02), Standing())
        assert (found.action, found.rule, found.tell) == ("nothing", "prediction_drift", True)

    def test_a_loss_with_it_is_not_harmless(self):
        assert decided(drifted(0.2, 0.02, rise(0.05, 0.01)))[0] == "retrain"

    def test_one_feature_of_many_is_flagged_and_left(self):
        found = decide(LIMITS, drifted(0.04), Standing())
        assert (found.action, found.flagged) == ("nothing", ("income",))

    def test_nothing_is_trained_while_a_candidate_waits(self):
        assert decided(drifted(0.2), waiting="1.4.0") == ("nothing", "waiting")

    @pytest.mark.parametrize("change", ["retrained", "rolled_back"])
    def test_nothing_is_trained_so_soon_after_a_change(self, change):
        days_ago = MONDAY - 3 * DAY
        standing = {"retrained": (days_ago,)} if change == "retrained" else {"rolled_back": days_ago}
        assert decided(drifted(0.2), **standing) == ("nothing", "cooldown_days")

    def test_a_loop_ends_with_a_person(self):
        lately = tuple(MONDAY - days * DAY for days in (10, 20))
        assert decided(drifted(0.2), retrained=lately) == ("call", "retrains_per_month")

    def test_old_retrainings_do_not_count(self):
        assert decided(drifted(0.2), retrained=tuple(MONDAY - days * DAY for days in (40, 50)))[0] == "retrain"


def test_drift_that_is_not_known_is_never_nothing():
    gone = Measurement("drift.share_drifted", None, 25, reason="not every column is there on both sides")
    seen = Seen(MONDAY, MONDAY + DAY, 1000, [gone])
    assert decided(seen) == ("call", "missing")
    assert decided(Seen(MONDAY, MONDAY + DAY, 1000, [])) == ("call", "missing")


shares = st.floats(0, 1)


@given(shares, st.floats(0, 1), st.floats(-1, 1), st.integers(0, 5000), st.booleans())
def test_whatever_is_seen_there_is_one_decision_with_a_reason(drifted_share, psi, low, rows, broken):
    measured = [share(drifted_share), answers(psi), rise(low + 0.1, low)]
    seen = Seen(MONDAY, MONDAY + DAY, rows, measured, ("it is broken",) if broken else ())
    found = decide(LIMITS, seen, Standing(targets=(BACK,), before=earlier(*[{"loss": True}] * 2)))
    assert found.because[0]
    assert found.rule
    assert (found.target is not None) == (found.action == "roll_back")
    assert found.to_dict()["action"] == found.action


@given(shares, shares)
def test_more_drift_is_never_answered_with_less(one, other):
    weight = ["nothing", "retrain", "call", "roll_back"]
    less, more = sorted((one, other))
    acted = [decided(drifted(found), targets=(BACK,))[0] for found in (less, more)]
    assert weight.index(acted[0]) <= weight.index(acted[1])
