"""The chain on rows in memory: every change is found, and found where it is."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance import canonical
from governance.ledger.chain import Walk
from governance.ledger.hashes import BEFORE_THE_FIRST, DOMAIN, chain_of, from_timestamp, leaf_of, to_timestamp
from governance.ledger.rows import Row

ORIGIN = "governance-ledger/test"
START = datetime(2026, 3, 3, 14, tzinfo=UTC)


def row_of(seq: int, before: bytes, **changes: object) -> Row:
    copies = {
        "kind": "run", "subject": "loan", "actor": "p-1", "key": f"run:{seq}",
        "at": to_timestamp(START + timedelta(seconds=seq)), "writer": "pipeline",
    }  # fmt: skip
    body = canonical.to_bytes({"v": 1, "log": ORIGIN, "data": {"n": seq}, **copies, **changes})
    leaf = leaf_of(body)
    copies |= {name: value for name, value in changes.items() if name in copies}
    return Row(seq, body, leaf, chain_of(seq, before, leaf), **copies)


def ledger_of(entries: int) -> list[Row]:
    rows: list[Row] = []
    for seq in range(1, entries + 1):
        rows.append(row_of(seq, rows[-1].chain if rows else BEFORE_THE_FIRST))
    return rows


def faults(rows: list[Row]) -> set[tuple[int, str]]:
    return {(fault.seq, fault.column) for fault in Walk(ORIGIN).faults(rows)}


WHOLE = ledger_of(12)
places = st.integers(0, len(WHOLE) - 1)


def test_the_first_hashes_are_what_the_definition_says():
    first = WHOLE[0]

    assert leaf_of(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert DOMAIN == b"governance-ledger-chain-v1\0"
    assert chain_of(1, bytes(32), first.leaf) == first.chain


def test_a_whole_ledger_has_no_fault():
    walk = Walk(ORIGIN)

    assert list(walk.faults(WHOLE)) == []
    assert (12, 12, WHOLE[-1].chain) == (walk.entries, walk.seq, walk.chain)


@given(place=places, column=st.sampled_from(["body", "leaf", "chain"]), bit=st.integers(0, 2**20))
def test_any_flipped_bit_is_found_in_its_row_and_column(place, column, bit):
    rows = list(WHOLE)
    changed = bytearray(getattr(rows[place], column))
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    rows[place] = rows[place]._replace(**{column: bytes(changed)})

    found = faults(rows)

    assert {rows[place].seq} == {seq for seq, _ in found}
    assert (rows[place].seq, column) in found


@given(place=places, column=st.sampled_from(["kind", "subject", "actor", "key", "at", "writer"]), text=st.text())
def test_any_other_text_in_a_copied_column_is_found(place, column, text):
    rows = list(WHOLE)
    if text == getattr(rows[place], column):
        return
    rows[place] = rows[place]._replace(**{column: text})

    assert (rows[place].seq, column) in faults(rows)


@given(place=st.integers(0, len(WHOLE) - 2))
def test_a_missing_row_is_named_and_nothing_else(place):
    assert {(place + 1, "seq")} == faults(WHOLE[:place] + WHOLE[place + 1 :])


@pytest.mark.parametrize(("one", "other"), itertools.combinations(range(len(WHOLE) - 2), 2))
def test_swapped_rows_are_both_named(one, other):
    rows = list(WHOLE)
    rows[one], rows[other] = WHOLE[other]._replace(seq=one + 1), WHOLE[one]._replace(seq=other + 1)

    found = faults(rows)

    # A sound row alone between the two hangs in the air, and is named with them.
    between = {(one + 2, "chain")} if other == one + 2 else set()
    assert {(one + 1, "chain"), (other + 1, "chain")} == found - between


@given(place=places)
def test_a_repeated_row_is_named(place):
    assert {(place + 1, "seq")} == faults(WHOLE[: place + 1] + WHOLE[place:])


@given(place=st.integers(0, len(WHOLE) - 2))
def test_a_row_rewritten_with_its_hashes_shows_at_the_next(place):
    rows = list(WHOLE)
    rows[place] = row_of(place + 1, rows[place - 1].chain if place else BEFORE_THE_FIRST, data={"n": "forged"})

    assert {(place + 2, "chain")} == faults(rows)


@pytest.mark.parametrize("entries", [1, 5, 11])
def test_a_tail_rewritten_or_cut_off_is_not_found_without_an_anchor(entries):
    assert set() == faults(WHOLE[:entries])


@given(changes=st.dictionaries(places, st.sampled_from(["body", "leaf", "chain", "drop", "key"]), max_size=5))
def test_no_set_of_changes_leaves_the_ledger_whole(changes):
    rows = []
    for place, row in enumerate(WHOLE):
        match changes.get(place):
            case "drop":
                continue
            case "key":
                row = row._replace(key="other")
            case "body" | "leaf" | "chain" as column:
                row = row._replace(**{column: bytes([getattr(row, column)[0] ^ 1]) + getattr(row, column)[1:]})
        rows.append(row)
    cut_off = all(changes.get(place) == "drop" for place in range(len(rows), len(WHOLE)))

    assert bool(faults(rows)) == (rows != WHOLE[: len(rows)] or not cut_off)


@given(place=places)
def test_a_walk_in_two_parts_is_a_walk(place):
    first = Walk(ORIGIN)
    whole = Walk(ORIGIN)

    assert [] == list(first.faults(WHOLE[:place])) == list(whole.faults(WHOLE))
    second = Walk(ORIGIN, first.place)
    assert list(second.faults(WHOLE[place:])) == []
    assert whole.place == second.place


def test_a_time_up_to_two_minutes_before_the_latest_is_tolerated():
    rows = list(WHOLE)
    latest = from_timestamp(rows[-1].at)
    for seconds, expected in ((120, set()), (121, {(13, "at")})):
        late = row_of(13, rows[-1].chain, at=to_timestamp(latest - timedelta(seconds=seconds)))
        assert expected == faults([*rows, late])


def test_creeping_back_in_small_steps_is_found():
    rows = list(WHOLE)
    for step in range(1, 4):
        rows.append(row_of(12 + step, rows[-1].chain, at=to_timestamp(START - timedelta(seconds=50 * step))))

    assert {(15, "at")} == faults(rows)


def test_times_are_written_in_one_way_and_read_back():
    moment = datetime(2026, 3, 3, 15, 0, 0, 7, tzinfo=UTC)

    assert to_timestamp(moment) == "2026-03-03T15:00:00.000007Z"
    assert moment == from_timestamp(to_timestamp(moment))
