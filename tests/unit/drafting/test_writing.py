"""Files of a draft: YAML that says what was meant, Python that is the same for the same draft."""

import pytest
import yaml
from drafts import applicants
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.drafting.training import training_of
from governance.drafting.writing import flow, scalar

quick = settings(deadline=None)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@quick
@given(st.one_of(TEXT, st.integers(), st.booleans(), st.sampled_from(["yes", "no", "~", "1e3", "a: b", "#x", "- a"])))
def test_a_scalar_is_read_as_what_was_written(value):
    written = scalar(value)

    assert yaml.safe_load(written) == value
    assert type(yaml.safe_load(written)) is type(value)
    assert "\n" not in written


@quick
@given(st.dictionaries(TEXT, st.one_of(TEXT, st.integers()), max_size=4))
def test_so_is_what_stands_in_brackets(value):
    assert yaml.safe_load(f"key: {flow([value])}") == {"key": [value]}


def test_a_comment_cannot_be_left_by_a_columns_name(desk):
    frame = applicants().assign(**{"x # y": 1})

    desk.draft(frame, "approved", protected=("sex", "age"))

    assert "#   x No. y: the same value in every row" in (desk.settings.models / "it" / "model.yaml").read_text()


@pytest.mark.parametrize("odd", ["\x1b", "\x7f", "a\x00b", "\x85", "\u2028", "yes\x1c"])
def test_nor_broken_by_a_value_of_the_target(desk, odd):
    frame = applicants().replace({"approved": {1: odd, 0: "other"}}).drop(columns=["sex", "age"])

    desk.draft(frame, "approved", no_persons="Each row is a place, and no person.", yes=True)

    written = yaml.safe_load((desk.settings.models / "it" / "model.yaml").read_text())
    assert written["target"]["favourable"] in (odd, "other")


def test_large_data_are_judged_by_a_sealed_holdout_and_small_ones_out_of_fold(desk):
    from drafts import looked_at, outcome_of

    frame = applicants()
    outcome, features = outcome_of(frame, "approved"), [looked_at(frame).columns["income"]]

    assert training_of(outcome, features, 9_999).evaluation["method"] == "cross_validation"
    assert training_of(outcome, features, 10_000).evaluation["method"] == "holdout"
