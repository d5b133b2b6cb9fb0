"""A commitment to rows one by one: nothing can change unseen, and a row can go while the digest stays."""

from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
from frames import NAMES, frames
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from governance.data import rows
from governance.data.columns import conform, content_digest, logical_type, normalise, row_bytes
from governance.errors import InputError

quick = settings(deadline=None, max_examples=20)


def types_of(frame):
    return {name: logical_type(frame[name]) for name in frame.columns}


def committed(frame, salts):
    frame = normalise(frame)
    return rows.digest(list(rows.leaves(frame, salts, types_of(frame))), types_of(frame))


def salts_of(count):
    """Salts that are the same in every run, so that what differs is the content alone."""
    return [sha256(bytes([number])).digest()[: rows.SALT_BYTES] for number in range(count)]


@st.composite
def changed(draw):
    """A table, and the same with one thing changed: a value, its presence or type, the order, a row, a column."""
    frame = normalise(draw(frames(min_rows=2)))
    name, row = draw(st.sampled_from(list(frame))), draw(st.integers(0, len(frame) - 1))
    how = draw(st.sampled_from(["value", "missing", "type", "order", "fewer", "name", "fewer columns"]))
    other = frame.copy()
    if how == "value":
        other[name] = other[name].astype(object)
        other.loc[row, name] = draw(st.sampled_from([0, 1, True, "0", "", 1.5, 2**40]))
        other = pd.DataFrame({column: list(other[column]) for column in other}, dtype=object)
    elif how == "missing":
        other[name] = other[name].astype(object)
        other.loc[row, name] = None
    elif how == "type":
        other[name] = [None if pd.isna(value) else str(value) for value in other[name]]
    elif how == "order":
        other = other.iloc[draw(st.permutations(range(len(other))))].reset_index(drop=True)
    elif how == "fewer":
        other = other.drop(index=row).reset_index(drop=True)
    elif how == "name":
        other = other.rename(columns={name: draw(NAMES)})
    else:
        other = other.drop(columns=name)
    return frame, other


@quick
@given(changed())
def test_any_single_change_changes_the_digest(pair):
    frame, other = pair
    try:
        other = normalise(other)
    except InputError:
        assume(False)
    assume(len(other.columns))
    assume(content_digest(frame) != content_digest(other))

    assert committed(frame, salts_of(len(frame))) != committed(other, salts_of(len(other)))


@quick
@given(frames(max_rows=8), st.data())
def test_whatever_rows_go_the_digest_stays(frame, data):
    frame, salts = normalise(frame), rows.new_salts(len(frame))
    types, whole = types_of(frame), list(rows.leaves(frame, salts, types_of(frame)))
    gone = data.draw(st.sets(st.integers(0, len(frame) - 1)))

    left = [row for row in range(len(frame)) if row not in gone]
    rest = normalise(frame.iloc[left])  # as it is read back: what lost its last value has lost its type, too
    again = dict(zip(left, rows.leaves(rest, [salts[row] for row in left], types), strict=True))
    known = [again.get(row, whole[row]) for row in range(len(frame))]

    assert rows.digest(known, types) == rows.digest(whole, types)


@quick
@given(frames(min_rows=2))
def test_no_two_rows_have_one_form_unless_they_are_alike(frame):
    frame = normalise(frame)
    forms = list(row_bytes(frame, types_of(frame)))

    for row, form in enumerate(forms[1:], start=1):
        alike = frame.iloc[[0]].reset_index(drop=True).equals(frame.iloc[[row]].reset_index(drop=True))
        assert (form == forms[0]) == alike


def test_the_order_of_columns_is_no_content():
    frame = pd.DataFrame({"b": [1, 2], "a": ["x", None]})

    assert committed(frame, salts_of(2)) == committed(frame[["a", "b"]], salts_of(2))


def test_the_form_of_a_row_is_written_down():
    """Bitmap, numbers by name, texts with their length: another program can do it from the docstring alone."""
    frame = normalise(pd.DataFrame({"t": ["é", None], "n": [7, -1], "f": [0.5, np.nan], "b": [True, False]}))

    first, second = row_bytes(frame, types_of(frame))

    number = (7).to_bytes(8, "little")
    assert first == b"\x0f" + b"\x01" + bytes.fromhex("000000000000e03f") + number + b"\x02" + bytes(7) + "é".encode()
    assert second == b"\x05" + b"\x00" + bytes(8) + b"\xff" * 8 + bytes(8)


def rfc_root(leaves):
    """The Merkle tree as section 2.1.1 of RFC 9162 writes it: split at the largest power of two below n."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + rfc_root(leaves[:split]) + rfc_root(leaves[split:])).digest()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9, 100])
def test_the_tree_is_that_of_the_rfc(count):
    leaves = [sha256(bytes([number])).digest() for number in range(count)]

    assert rows.root(leaves) == rfc_root(leaves)


def test_the_same_rows_committed_to_twice_have_nothing_in_common():
    frame = normalise(pd.DataFrame({"sex": ["f", "f"]}))

    both = [leaf for _ in range(2) for leaf in rows.leaves(frame, rows.new_salts(2), types_of(frame))]

    assert len(set(both)) == 4


def test_the_tag_of_a_content_says_nothing_without_every_salt():
    salts, content = salts_of(3), content_digest(pd.DataFrame({"a": [1, 2, 3]}))

    assert rows.lookup_tag(salts, content) == rows.lookup_tag(salts_of(3), content)
    assert rows.lookup_tag([*salts[:2], bytes(16)], content) != rows.lookup_tag(salts, content)
    assert content not in rows.lookup_tag(salts, content)


def test_a_column_that_lost_its_values_keeps_its_type():
    types = {"t": "string", "w": "timestamp"}
    left = conform(normalise(pd.DataFrame({"t": [None], "w": [pd.NaT]})), types)

    assert types_of(left) == types


def test_a_column_of_another_type_is_refused():
    with pytest.raises(InputError, match="Expected string in column 'a', found int64"):
        list(row_bytes(normalise(pd.DataFrame({"a": [1]})), {"a": "string"}))
