"""One row as bytes: what is kept, what is masked, and that every value comes through."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.data.privacy import HIDDEN
from governance.predictions import record
from governance.predictions.record import Batch, Version, caller_of, lines, request_id_of

VERSION = Version("loan", "1.0.0", 3, "e" * 64, (("income", "float64"), ("town", "string")))
AT = datetime(2026, 11, 27, 12, 0, 0, 5, tzinfo=UTC)


def batch(*rows, version=VERSION, **changes) -> Batch:
    return Batch(version, "r-1", "desk", AT, list(rows), [1] * len(rows), [0.5] * len(rows), **changes)


def features(*rows, **changes) -> list[dict]:
    return [json.loads(line.split(b"\t")[4]) for line in lines(batch(*rows, **changes))]


def test_a_line_is_what_it_says():
    assert list(lines(batch([2500.5, "Bern"]))) == [
        b'P2026-11-27T12:00:00.000005Z\tr-1\t0\tdesk\t{"income":2500.5,"town":"Bern"}\t1\t0.5\n'
    ]


def test_protected_values_are_a_line_of_their_own():
    first, second = lines(batch([1, "a"], [2, "b"], protected=[None, {"black": 1}]))

    assert b"\nA" not in first
    assert second.split(b"\nA")[1] == b'{"request_id":"r-1","row":1,"values":{"black":1}}\n'


@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False),
            st.none() | st.text(),
        ),
        min_size=1,
    )
)
def test_every_row_is_one_line_of_seven_fields_and_comes_back(rows):
    kept = b"".join(lines(batch(*rows)))

    found = [line.split(b"\t") for line in kept.removesuffix(b"\n").split(b"\n")]
    assert [len(fields) for fields in found] == [7] * len(rows)
    for (income, town), fields in zip(rows, found, strict=True):
        back = json.loads(fields[4])
        assert back["income"] == income
        assert back["town"] in (town, HIDDEN)


@pytest.mark.parametrize(
    "text",
    [
        "ann@bank.example", "write to ann@bank.example, please", "+49 171 2345678", "call 617-555-0123 now",
        "4111 1111 1111 1111", "4111111111111111", "ssn 078-05-1120", "x" * (record.LONGEST + 1),
    ],
)  # fmt: skip
def test_what_looks_like_personal_data_is_masked(text):
    assert features([1, text]) == [{"income": 1, "town": HIDDEN}]


@pytest.mark.parametrize(
    "text",
    ["Bern", "single", "a@b", "90210", "2026-11-27", "12:30:00", "1234567890123", "A1-2345678", "ca. 1,000,000", ""],
)
def test_what_does_not_is_kept(text):
    assert features([1, text]) == [{"income": 1, "town": text}]


def test_a_feature_that_the_spec_calls_personal_is_never_kept():
    assert features([1, "Ann"], version=replace(VERSION, personal=frozenset({"town"}))) == [{"income": 1, "town": None}]


def test_half_a_surrogate_pair_becomes_a_question_mark():
    assert features([1, "a\ud800b"]) == [{"income": 1, "town": "a?b"}]


def test_the_digest_is_that_of_header_and_rows():
    import hashlib

    header = record.header(VERSION, "s-1", 2)

    assert json.loads(header)["features"] == [["income", "float64"], ["town", "string"]]
    assert record.digest(header, b"row\n") == hashlib.sha256(header + b"\nrow\n").hexdigest()


@pytest.mark.parametrize("given_id", ["r-1", "a" * 128, "A.b_c:d-9"])
def test_a_sane_id_is_the_clients(given_id):
    assert request_id_of(given_id) == given_id


@pytest.mark.parametrize("given_id", [None, "", "a" * 129, "a b", "a\n", "ä", "a/b", "a\tb"])
def test_any_other_is_made_anew(given_id):
    assert len(request_id_of(given_id)) == 32
    assert request_id_of(given_id) != request_id_of(given_id)


def test_a_caller_is_who_it_says_else_its_address():
    assert caller_of("branch:7", "10.0.0.1") == "branch:7"
    assert caller_of("a b", "10.0.0.1") == "10.0.0.1"
    assert caller_of(None, "::1") == "::1"
    assert caller_of(None, None) == "unknown"
