"""Labels and protected values, checked against the spec, in the one form in which they are kept."""

import numpy as np
import pandas as pd
import pytest

from governance.catalog import load_spec
from governance.errors import InputError
from governance.predictions.labels import Expected, check, from_frame, values_of
from governance.settings import ROOT

BINARY = Expected("loan", (0, 1), 1, {"black": (0, 1), "sex": None})
NAMED = Expected("credit", None, "good", {})
CLASSES = Expected("digits", ("red", 2, "blue"), None, {})
NUMBER = Expected("wage", None, None, {})


@pytest.mark.parametrize(
    ("expected", "given", "kept"),
    [
        (BINARY, 1, 1), (BINARY, True, 1), (BINARY, 0.0, 0), (BINARY, np.int64(1), 1), (NAMED, "bad", "bad"),
        (CLASSES, "red", "red"), (CLASSES, 2.0, 2), (NUMBER, 3, 3), (NUMBER, 3.0, 3), (NUMBER, 2.5, 2.5),
    ],
)  # fmt: skip
def test_a_label_has_one_form(expected, given, kept):
    assert repr(expected.label(given)) == repr(kept)


@pytest.mark.parametrize(
    ("expected", "given"),
    [
        (BINARY, 2), (BINARY, "1"), (BINARY, 0.5), (NAMED, 1), (NAMED, ""), (NAMED, "x" * 201), (CLASSES, "green"),
        (CLASSES, 3), (NUMBER, "3"), (NUMBER, True), (NUMBER, float("nan")), (NUMBER, float("inf")), (NUMBER, [1]),
    ],
)  # fmt: skip
def test_what_is_no_label_is_refused(expected, given):
    with pytest.raises(ValueError, match="expected"):
        expected.label(given)


def test_protected_values_that_are_missing_are_left_out():
    assert BINARY.apart({"black": 1.0, "sex": None}) == {"black": 1}


@pytest.mark.parametrize(
    ("known", "fits", "does_not"),
    [
        ((0, 1), [0, 1, 1.0], [9, "yes", True, 0.5]),
        (("f", "m"), ["f"], ["x", 1]),
        ((True, False), [True], [1, "true"]),
        (float, [31, 31.5], ["31", True]),
        (None, [1, "x", True], [[1]]),
    ],
)
def test_a_protected_value_is_one_that_the_spec_knows(known, fits, does_not):
    expected = Expected("loan", (0, 1), 1, {"it": known})
    for value in fits:
        assert expected.apart({"it": value}) == {"it": value}
    for value in does_not:
        with pytest.raises(ValueError, match="expected"):
            expected.apart({"it": value})


def test_which_values_a_spec_knows():
    spec = load_spec(ROOT / "include" / "models" / "loan")

    assert dict(values_of(spec)) == dict.fromkeys(("black", "hispan", "white", "male", "married", "old"), (0, 1)) | {
        "male": (1, 0), "married": (1, 0), "old": (1, 0)
    }  # fmt: skip


def test_every_fault_is_told_and_none_is_kept():
    with pytest.raises(InputError, match=r"label 0: .*label 2: .*None was kept"):
        check([{"request_id": "a b", "label": 1}, {"request_id": "r", "label": 1}, {"request_id": "r"}], BINARY)


def test_a_table_gives_labels_and_protected_values_where_they_are():
    frame = pd.DataFrame(
        {"request_id": ["r-1", "r-2", "r-3"], "label": [1, np.nan, np.nan], "black": [np.nan, 0, np.nan]}
    )

    assert from_frame(frame, BINARY) == [
        {"request_id": "r-1", "row": 0, "label": 1},
        {"request_id": "r-2", "row": 0, "protected": {"black": 0}},
    ]


def test_ids_that_are_all_digits_are_ids():
    assert from_frame(pd.DataFrame({"request_id": [17], "row": [2.0], "label": [1]}), BINARY) == [
        {"request_id": "17", "row": 2, "label": 1}
    ]
