"""Canonical JSON: one document, one sequence of bytes, and back."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance import canonical
from governance.errors import InputError, TamperedError

EXAMPLE = {
    "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": '€$\u000f\nA\'B"\\\\"/',
    "literals": [None, True, False],
}
"""RFC 8785, section 3.2.2."""

EXAMPLE_BYTES = (
    "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e756d62657273223a5b3333333333333333332e333333333333"
    "332c31652b33302c342e352c302e3030322c31652d32375d2c22737472696e67223a22e282ac245c75303030665c6e4127425c225c5c5c5c5c"
    "222f227d"
)
"""RFC 8785, section 3.2.4 (the bytes of the serialised example)."""

NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}
"""RFC 8785, appendix B: IEEE 754 bits and how they are written."""

texts = st.text(st.characters(exclude_categories=["Cs"]))
# A whole number at or beyond 2^53 is written as an integer and cannot be told from one that no double holds.
floats = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not (x.is_integer() and abs(x) >= 2**53))
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | floats | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=25,
)


@given(document=documents)
def test_what_is_written_is_read_back_equal(document):
    body = canonical.to_bytes(document)

    assert document == canonical.from_bytes(body)
    assert body == canonical.to_bytes(canonical.from_bytes(body))


@given(document=st.dictionaries(texts, documents, min_size=2, max_size=6))
def test_the_order_in_which_keys_were_added_does_not_matter(document):
    turned = dict(reversed(document.items()))

    assert canonical.to_bytes(document) == canonical.to_bytes(turned)
    assert canonical.digest(document) == canonical.digest(turned)


@given(document=documents, spaces=st.sampled_from([(", ", ": "), (",", ": "), (" ,", ":")]))
def test_only_one_way_of_writing_a_document_is_read(document, spaces):
    body = canonical.to_bytes(document)
    other = json.dumps(document, ensure_ascii=False, separators=spaces).encode()
    if body == other:
        return

    with pytest.raises(TamperedError):
        canonical.from_bytes(other)


@given(body=st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_or_canonical(body):
    try:
        document = canonical.from_bytes(body)
    except TamperedError:
        return
    assert body == canonical.to_bytes(document)


def test_the_example_of_the_rfc():
    assert bytes.fromhex(EXAMPLE_BYTES) == canonical.to_bytes(EXAMPLE)


@pytest.mark.parametrize(("bits", "written"), NUMBERS.items())
def test_the_numbers_of_the_rfc(bits, written):
    [number] = struct.unpack(">d", bytes.fromhex(bits))

    assert written.encode() == canonical.to_bytes(number)


def test_keys_are_sorted_as_utf_16_has_them():
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]  # RFC 8785, section 3.2.3

    written = canonical.from_bytes(canonical.to_bytes(dict.fromkeys(keys)))

    assert list(written) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_strings_are_not_normalised():
    assert canonical.to_bytes("\u00c5") != canonical.to_bytes("A\u030a")


@pytest.mark.parametrize("document", [
    float("nan"), float("inf"), -float("inf"), [1, {"a": float("nan")}], 2**53, -(2**53), {1: "a"}, {None: 1}, {1, 2},
    b"bytes", object(), "\ud800", complex(1, 2),
], ids=lambda document: type(document).__name__)  # fmt: skip
def test_what_json_cannot_say_is_an_input_error(document):
    with pytest.raises(InputError, match="no canonical form"):
        canonical.to_bytes(document)


def test_a_lone_surrogate_in_a_key_is_an_input_error():
    with pytest.raises(InputError, match="no canonical form"):
        canonical.to_bytes({"\udfff": 1})


@pytest.mark.parametrize("number", [2.0**53, 1e16, -1e20])
def test_a_whole_double_beyond_2_to_the_53_is_read_back(number):
    assert number == canonical.from_bytes(canonical.to_bytes(number))


@pytest.mark.parametrize("body", [
    b'{"a":1,"a":2}', b'{"a":1,"a":1}', b'{"a":{"b":1,"b":1}}', b'{"b":1,"a":2}', b'{"a": 1}', b' {}', b"{}\n",
    b"NaN", b"Infinity", b"[-Infinity]", b"9007199254740993", b"1.0", b"-0", b"1e5", b"01", b"1E400", b"0.10",
    b'"\\u0041"', b'"\\ud800"', b'"\xff"', b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}", b"", b"{", b"null null", b"'a'",
    b'"\\u000A"', b'"\\/"', b"[1,]", "{}".encode("utf-16"), b"[" * 100_000,
], ids=lambda body: repr(body[:20]))  # fmt: skip
def test_what_is_not_canonical_was_tampered_with(body):
    with pytest.raises(TamperedError, match="Expected canonical JSON"):
        canonical.from_bytes(body)


def test_the_digest_is_the_sha_256_of_the_bytes():
    # printf '{"a":1}' | sha256sum
    assert canonical.digest({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    assert canonical.digest({"a": 1}) == canonical.digest_of_bytes(b'{"a":1}')
