"""What a table's content digest counts, and what it does not."""

import hashlib
import struct
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from frames import frames, quick
from hypothesis import assume, given
from hypothesis import strategies as st

from governance.data import columns
from governance.data.columns import content_digest, normalise
from governance.errors import InputError


def digest_by_the_book(frame):
    """The definition in the docstring of ``content_digest``, once more, value by value and without numpy."""
    frame = normalise(frame)
    parts = [b"governance-content/1\0", struct.pack("<QQ", len(frame), len(frame.columns))]
    for name in sorted(frame.columns, key=lambda name: name.encode()):
        values = [None if pd.isna(value) else value for value in frame[name]]
        kind = columns.logical_type(frame[name])
        parts += [struct.pack("<Q", len(text.encode())) + text.encode() for text in (name, kind)]
        bits = [value is not None for value in values]
        parts += [
            bytes([sum(bit << place for place, bit in enumerate(bits[at : at + 8]))]) for at in range(0, len(bits), 8)
        ]
        if kind == "string":
            texts = [(value or "").encode() for value in values]
            parts += [struct.pack("<Q", len(text)) for text in texts] + texts
        elif kind == "timestamp":
            epoch = datetime(1970, 1, 1, tzinfo=UTC)
            parts += [
                struct.pack("<q", (value - epoch) // timedelta(microseconds=1) if value else 0) for value in values
            ]
        else:
            form = {"int64": "<q", "float64": "<d", "bool": "<B"}[kind]
            parts += [struct.pack(form, value or 0) for value in values]  # -0.0 is false, too
    return hashlib.sha256(b"".join(parts)).hexdigest()


@quick
@given(frames())
def test_the_digest_is_the_one_that_is_written_down(frame):
    assert content_digest(frame) == digest_by_the_book(frame)


def test_the_loan_data_have_the_digest_they_always_had(loan):
    assert content_digest(loan) == "f9dd6dde56cae22349be97812cf95001d9b1240736c73261732cbf57ced659dc"


@quick
@given(frames(), st.randoms())
def test_the_order_of_columns_does_not_count(frame, random):
    names = list(frame.columns)
    random.shuffle(names)

    assert content_digest(frame[names]) == content_digest(frame)


@quick
@given(frames(min_rows=2))
def test_the_order_of_rows_counts(frame):
    turned = frame.iloc[::-1].reset_index(drop=True)
    assume(not normalise(turned).equals(normalise(frame)))

    assert content_digest(turned) != content_digest(frame)


@quick
@given(frames(), st.data())
def test_one_changed_cell_changes_the_digest(frame, data):
    name = data.draw(st.sampled_from(list(frame.columns)))
    row = data.draw(st.integers(0, len(frame) - 1))
    before = frame[name].tolist()
    changed = list(before)
    other = {
        "i": lambda value: value - 1 if value > 0 else value + 1,
        "f": lambda value: 1.0 if np.isnan(value) or value == 0 else np.nan,
        "b": lambda value: not value,
        "O": lambda value: "x" if value is None else f"{value}x",
        "M": lambda value: pd.Timestamp(0, tz="UTC") if pd.isna(value) else value + timedelta(microseconds=1),
    }[frame[name].dtype.kind]
    changed[row] = other(before[row])

    assert content_digest(frame.assign(**{name: pd.Series(changed, dtype=frame[name].dtype)})) != content_digest(frame)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": [1, 0]}, {"a": [1.0, 0.0]}),
        ({"a": [1, 0]}, {"a": [True, False]}),
        ({"a": [1, 0]}, {"a": ["1", "0"]}),
        ({"a": [""]}, {"a": [None]}),
        ({"a": ["ab", "c"]}, {"a": ["a", "bc"]}),
        ({"a": ["x"], "b": ["y"]}, {"a": ["y"], "b": ["x"]}),
        ({"a": [1], "b": [1]}, {"a": [1]}),
        ({"a": [1]}, {"b": [1]}),
        ({"a": [1, None, None]}, {"a": [1, None]}),
        ({"a": [0.0]}, {"a": [np.nan]}),
    ],
    ids=str,
)
def test_tables_that_differ_in_type_name_shape_or_boundary_have_different_digests(one, other):
    assert content_digest(pd.DataFrame(one)) != content_digest(pd.DataFrame(other))


@pytest.mark.parametrize(
    "same",
    [
        [
            pd.Series([1, 2]),
            pd.Series([1, 2], dtype="int8"),
            pd.Series([1, 2], dtype="uint64"),
            pd.Series([1, 2], dtype="Int32"),
            pd.Series([1, 2], dtype=object),
            pd.Series([1, 2], dtype="category"),
            pd.Series([1, 2], index=[9, 4]),
        ],
        [
            pd.Series([1.0, np.nan]),
            pd.Series([1, pd.NA], dtype="Int64"),
            pd.Series([1, None], dtype=object),
            pd.Series([1.0, None], dtype="float32"),
            pd.Series([True, None], dtype="boolean"),
            pd.Series([Decimal(1), None], dtype=object),
        ],
        [
            pd.Series(["a", None]),
            pd.Series(["a", pd.NA], dtype="string"),
            pd.Series(["a", np.nan], dtype="category"),
        ],
        [
            pd.Series([datetime(2020, 1, 2, tzinfo=UTC), None]),
            pd.Series(pd.to_datetime(["2020-01-02", None])),
            pd.Series([date(2020, 1, 2), None]),
            pd.Series([datetime(2020, 1, 2, 5, tzinfo=timezone(timedelta(hours=5))), None]),
            pd.Series(["2020-01-02", None]).astype("datetime64[s]"),
        ],
        [pd.Series([0.0, 1.5]), pd.Series([-0.0, 1.5])],
        [pd.Series([np.nan, np.nan]), pd.Series([None, None]), pd.Series([None, None], dtype="string")],
    ],
    ids=["integers", "with something missing", "text", "times", "zero", "nothing at all"],
)
def test_what_means_the_same_has_one_digest(same):
    assert len({content_digest(pd.DataFrame({"a": values.reset_index(drop=True)})) for values in same}) == 1


@quick
@given(frames())
def test_normalising_twice_changes_nothing(frame):
    once = normalise(frame)

    pd.testing.assert_frame_equal(normalise(once), once)


def test_normalising_leaves_the_given_table_alone():
    frame = pd.DataFrame({"a": [-0.0, 1.0]}, index=[5, 6])

    normalise(frame)

    assert np.signbit(frame["a"].iloc[0])
    assert list(frame.index) == [5, 6]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, "a"], "int and str"),
        ([[1], [2]], "list"),
        ([b"x"], "bytes"),
        ([True, 2], "bool and int"),
        ([2**53 + 1, None], "too large"),
        ([2**53 + 1, 0.5], "too large"),
        ([2**64, 1], "too large"),
        (["\ud800"], "not all of it is"),
        (pd.Series([pd.Timestamp("2020-01-01") + pd.Timedelta(1, "ns")]), "finer than a microsecond"),
        (pd.Series([timedelta(1)]), "Timedelta"),
        ([1 + 2j], "complex"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_value_without_a_logical_type_is_refused_by_its_column(values, message):
    if not isinstance(values, pd.Series):
        values = pd.Series(values, dtype=object)

    with pytest.raises(InputError, match=f"'income'.*{message}"):
        normalise(pd.DataFrame({"fine": [1] * len(values), "income": values}))


@pytest.mark.parametrize("names", [["a", "a"], ["a", "A"], [""], [" "], [0], [None], ["a\0"], ["\ud800"]], ids=ascii)
def test_columns_without_a_name_of_their_own_are_refused(names):
    with pytest.raises(InputError, match=r"name|differ"):
        normalise(pd.DataFrame([[1] * len(names)], columns=names))
