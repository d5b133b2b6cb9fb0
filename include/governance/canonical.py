"""One way to write a document down, so that its digest means something.

Canonical JSON is RFC 8785 (``rfc8785``), with house rules on top: NaN and infinity become ``null`` before they get
here (a measurement says why in its ``reason``), duplicate keys are refused on reading, and what is read must be
byte for byte what would be written.
"""

import hashlib
import json
from typing import Any

import rfc8785

from governance.errors import InputError, TamperedError

Json = Any

LARGEST_INTEGER = 2**53 - 1


def to_bytes(document: Json) -> bytes:
    """Return the RFC 8785 bytes of ``document``.

    Raises:
        InputError: The document holds something JSON cannot say (NaN, infinity, an integer beyond 2^53, a set …).
    """
    try:
        return rfc8785.dumps(document)
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError) as error:
        raise InputError(f"This document has no canonical form: {error}. Expected plain JSON values.") from error


def from_bytes(body: bytes) -> Json:
    """Parse canonical bytes strictly.

    Raises:
        TamperedError: The bytes are not JSON, repeat a key, or are not in canonical form.
    """
    try:
        document = json.loads(body, object_pairs_hook=_unique_keys, parse_constant=_no_constants, parse_int=_number)
        canonical = rfc8785.dumps(document)
    except (ValueError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise TamperedError(f"Expected canonical JSON, found bytes that do not parse: {error}.") from error
    if canonical != body:
        raise TamperedError("Expected canonical JSON (RFC 8785), found the same values written in another form.")
    return document


def digest(document: Json) -> str:
    """Return the SHA-256 of the canonical bytes of ``document``, as 64 hexadecimal digits."""
    return digest_of_bytes(to_bytes(document))


def digest_of_bytes(body: bytes) -> str:
    """Return the SHA-256 of ``body``, as 64 hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()


def _unique_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return result


def _number(text: str) -> int | float:
    """Read an integer as RFC 8785 wrote it: beyond 2^53 - 1 it was a double."""
    number = int(text)
    return number if abs(number) <= LARGEST_INTEGER else float(text)


def _no_constants(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")
