"""Labels and protected values, checked against the spec, in the one form in which they are kept."""

import numpy as np
import pandas as pd
import pytest

from governance.errors import InputError
from governance.predictions.labels import Expected, check, from_frame

BINARY = Expected("loan", (0, 1), 1, frozenset({"black", "sex"}))
NAMED = Expected("credit", None, "good", frozenset())
CLASSES = Expected("digits", ("red", 2, "blue"), None, frozenset())
NUMBER = Expected("wage", None, None, frozenset())


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
