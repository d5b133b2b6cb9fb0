"""A row of the ledger as it lies in the database, and what can be said against it on its own.

Whoever reads a row (log.py, verify.py) asks :func:`faults_of` first. It trusts the body's bytes only as far as their
leaf hash, and the other columns not at all: each is compared with the body. How rows hang together is verify.py's.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from governance import canonical
from governance.errors import TamperedError
from governance.ledger.hashes import FIELDS, RIGHTS, VERSION, leaf_of

Json = Any

TIME_FORMAT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
"""PostgreSQL's name for the form in which bodies write a time."""

COLUMNS = (
    "seq, body, leaf, chain, kind, subject, actor, key, "
    f"to_char(at AT TIME ZONE 'UTC', '{TIME_FORMAT}') AS at_text, writer"
)
"""What to select, in the order of :class:`Row`; the time in the form in which bodies write it."""

COPIES = ("kind", "subject", "actor", "key", "at", "writer")
"""The columns that the database copies out of the body, for its indexes. They hold nothing of their own."""

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Row(NamedTuple):
    """One row of ``ledger.entry``, unchecked."""

    seq: int
    body: bytes
    leaf: bytes
    chain: bytes
    kind: str
    subject: str
    actor: str
    key: str
    at: str
    writer: str


class RowFault(NamedTuple):
    """What is wrong with one column of one row: what was expected, what was found."""

    column: str
    message: str


def read_body(body: bytes) -> dict[str, Json]:
    """Parse the body of an entry.

    Raises:
        TamperedError: It is not canonical JSON, or not an entry.
    """
    document = _canonical(body)
    if type(document) is not dict or document.keys() != FIELDS:
        raise TamperedError(f"expected an object of {', '.join(sorted(FIELDS))}, found another")
    texts = (document["kind"], document["subject"], document["actor"], document["key"], document["log"])
    if document["v"] != VERSION or type(document["data"]) is not dict or not all(type(text) is str for text in texts):
        raise TamperedError(f"expected version {VERSION} with text fields and an object in data, found otherwise")
    if type(document["at"]) is not str or not TIMESTAMP.fullmatch(document["at"]):
        raise TamperedError(f"expected a UTC time with microseconds in at, found {document['at']!r}")
    return document


def faults_of(row: Row, origin: str) -> Iterator[RowFault]:
    """Yield every fault that shows in the row alone; nothing for a sound one."""
    if leaf_of(row.body) != row.leaf:
        yield RowFault("leaf", f"expected {leaf_of(row.body).hex()} from the body, found {row.leaf.hex()}")
    yield from faults_of_content(row, origin)


def faults_of_content(row: Row, origin: str) -> Iterator[RowFault]:
    """Yield what is wrong with the body as an entry, and with the columns copied from it."""
    if is_sound(row, origin):
        return
    try:
        document = read_body(row.body)
    except TamperedError as error:
        yield RowFault("body", str(error))
        return
    if document["log"] != origin:
        yield RowFault("body", f"expected an entry of the ledger {origin}, found one of {document['log']}")
    if document["kind"] not in RIGHTS.get(document["writer"], ()):
        yield RowFault("body", f"expected a kind that {document['writer']} may write, found {document['kind']}")
    for column in COPIES:
        if getattr(row, column) != document[column]:
            yield RowFault(column, f"expected {document[column]!r} as in the body, found {getattr(row, column)!r}")


def is_sound(row: Row, origin: str) -> bool:
    """Whether the content is right, found out quickly: most of the body can be foretold from the columns.

    ``False`` says nothing; then :func:`faults_of_content` looks more closely.
    """
    quoted = json.encoder.encode_basestring
    try:
        head = f'{{"actor":{quoted(row.actor)},"at":"{row.at}","data":'.encode()
        tail = (
            f',"key":{quoted(row.key)},"kind":{quoted(row.kind)},"log":{quoted(origin)},'
            f'"subject":{quoted(row.subject)},"v":{VERSION},"writer":{quoted(row.writer)}}}'
        ).encode()
        data = row.body[len(head) : -len(tail)]
        return (
            row.body == head + data + tail
            and row.kind in RIGHTS.get(row.writer, ())
            and TIMESTAMP.fullmatch(row.at) is not None
            and type(_canonical(data)) is dict
        )
    except (TamperedError, UnicodeEncodeError):
        return False


class _NeedsCareError(Exception):
    """The quick way of checking the canonical form says nothing about these bytes."""


def _canonical(body: bytes) -> Json:
    """Parse canonical JSON: quickly where Python's own encoder provably agrees with RFC 8785, else with rfc8785.

    They write strings, literals and small integers alike, and other numbers with the same digits. They differ in the
    order of keys beyond U+FFFF (so any byte from 0xF0 on takes the slow way), in large integers, and in numbers such
    as 1.0, -0.0, 1e16 or 1e-05.
    """
    if not body.isascii() and max(body) >= 0xF0:
        return canonical.from_bytes(body)
    try:
        document = _decode(body.decode())
        written = _encode(document).encode()
    except (_NeedsCareError, ValueError, RecursionError):
        return canonical.from_bytes(body)
    return document if written == body else canonical.from_bytes(body)


def _plain_float(text: str) -> float:
    """Both write the shortest digits that read back as the number; they differ in exponents and in whole numbers."""
    if "e" in text or "E" in text or text.endswith(".0"):
        raise _NeedsCareError
    return float(text)


def _small_int(text: str) -> int:
    if len(text) > 15 or text == "-0":
        raise _NeedsCareError
    return int(text)


_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_decode = json.JSONDecoder(parse_float=_plain_float, parse_int=_small_int).decode
