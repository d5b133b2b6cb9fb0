"""The quick check of the canonical form agrees with the slow one, whatever the bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance import canonical
from governance.errors import TamperedError
from governance.ledger import rows

texts = st.text(st.characters(exclude_categories=["Cs"]))
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


def verdict(parse, body):
    try:
        return json.dumps(parse(body))
    except TamperedError:
        return None


@given(document=documents, sort=st.booleans(), escape=st.booleans(), spaces=st.booleans())
def test_both_checks_agree_on_whatever_python_writes(document, sort, escape, spaces):
    separators = (", ", ": ") if spaces else (",", ":")
    body = json.dumps(document, sort_keys=sort, ensure_ascii=escape, separators=separators).encode()

    assert verdict(canonical.from_bytes, body) == verdict(rows._canonical, body)


@given(body=st.from_regex(rb'\{"a":-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?\}', fullmatch=True))
def test_both_checks_agree_on_every_way_to_write_a_number(body):
    assert verdict(canonical.from_bytes, body) == verdict(rows._canonical, body)


@given(body=st.binary(max_size=40))
def test_both_checks_agree_on_any_bytes(body):
    assert verdict(canonical.from_bytes, body) == verdict(rows._canonical, body)


@pytest.mark.parametrize("body", [
    b'{"a":1,"a":1}', b'{"b":1,"a":1}', b'{"a":1.0}', b'{"a":-0}', b'{"a":1e5}', b'{"a":0.0000001}', b'{"a":1E-7}',
    b'{"a":0.10}', b'{"a":9007199254740993}', b'{"a":"\\u00e9"}', b'{"a":"\\/"}', b'{"a":NaN}', b' {}', b'{}\n',
    b'{"a":"\\ud800"}', b'{"\xef\xbf\xbf":1,"\xf0\x90\x80\x80":1}', b'\xef\xbb\xbf{}', b'[' * 100_000, b'',
])  # fmt: skip
def test_what_is_not_canonical_is_refused(body):
    with pytest.raises(TamperedError):
        rows._canonical(body)


@pytest.mark.parametrize("body", [
    b'{"a":1e-7}', b'{"a":1e+21}', b'{"a":0.000001}', b'{"a":9007199254740991}', b'{"a":[0.1,-1.5,123456789012345.6]}',
    '{"\U00010000":1,"\uffff":1}'.encode(), '{"ö":"\u2028\x7f"}'.encode(),
    b'{"a":"\\u0000\\b\\t\\n\\f\\r\\"\\\\\\u001f"}',
])  # fmt: skip
def test_what_is_canonical_is_read(body):
    assert canonical.from_bytes(body) == rows._canonical(body)
