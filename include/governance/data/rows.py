"""Commitments to the rows of a table one by one, so that one can be erased and the digest of the table stays valid.

    schema = SHA-256("governance-row-schema/1" 0x00 || RFC 8785 of [[name, type], …], by name in the order of its bytes)
    leaf   = SHA-256(0x00 || salt || schema || row)       row as governance.data.columns.row_bytes writes it
    root   = the Merkle tree over the leaves in the order of the rows                      RFC 9162, section 2.1.1
    digest = SHA-256 of RFC 8785 of {columns, format, root, rows}

A salt is 16 random bytes, one for each row and part. Of an erased row the leaf stays, and its salt goes with its
values: without those 128 bits nobody can try values until one fits, however few there are. Whoever has both can show
that a row stood in the table.

Not guaranteed: that a row which is erased cannot be guessed from what was made of it elsewhere, such as a mean over all
rows and all other rows.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from governance import canonical
from governance.data import columns as content

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "governance-rows/1"
SCHEMA_DOMAIN = b"governance-row-schema/1\0"
LOOKUP_DOMAIN = b"governance-rows-lookup/1\0"
SALT_BYTES = 16
LEAF, NODE = b"\x00", b"\x01"


def new_salts(count: int) -> list[bytes]:
    """Return a fresh salt for each row."""
    pool = secrets.token_bytes(SALT_BYTES * count)
    return [pool[at : at + SALT_BYTES] for at in range(0, len(pool), SALT_BYTES)]


def leaves(frame: "pd.DataFrame", salts: Sequence[bytes], types: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the leaf hash of each row.

    Args:
        frame: As :func:`governance.data.columns.normalise` returns it.
        salts: One for each row.
        types: Logical type of each column.

    Raises:
        InputError: A column is not of the type that it is said to have.
    """
    begin = hashlib.sha256(SCHEMA_DOMAIN + canonical.to_bytes(_schema(types))).digest()
    for salt, row in zip(salts, content.row_bytes(frame, types), strict=True):
        yield hashlib.sha256(LEAF + salt + begin + row).digest()


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root of the Merkle tree over leaf hashes, as RFC 9162 defines it."""
    if not leaf_hashes:
        return hashlib.sha256(b"").digest()
    level = list(leaf_hashes)
    while len(level) > 1:  # a last one without a neighbour goes up as it is: the same tree as the RFC's, bottom-up
        above = [hashlib.sha256(NODE + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = above + level[len(level) - len(level) % 2 :]
    return level[0]


def digest(leaf_hashes: Sequence[bytes], types: Mapping[str, str]) -> str:
    """Return the digest of a part: over the names and types of its columns, its number of rows, and the root."""
    said = {"format": FORMAT, "rows": len(leaf_hashes), "columns": _schema(types), "root": root(leaf_hashes).hex()}
    return canonical.digest(said)


def lookup_tag(salts: Sequence[bytes], content_digest: str) -> str:
    """Return by what the same content is found again among stored versions.

    The key is made of all salts, so the tag says nothing of the content once one of them is erased.

    Args:
        salts: Of all rows of the stored version.
        content_digest: :func:`governance.data.columns.content_digest` of what is looked for.
    """
    key = hashlib.sha256(LOOKUP_DOMAIN + b"".join(salts)).digest()
    return hmac.new(key, content_digest.encode(), hashlib.sha256).hexdigest()


def _schema(types: Mapping[str, str]) -> list[list[str]]:
    return [[name, types[name]] for name in sorted(types, key=str.encode)]
