"""What an entry is, in bytes: the body, its leaf hash and the chain.

    body  = RFC 8785 of {actor, at, data, key, kind, log, subject, v, writer}
    leaf  = SHA-256(0x00 || body)                                       RFC 9162, section 2.1.1
    chain = SHA-256("governance-ledger-chain-v1" 0x00 || seq as 8 bytes || chain before || leaf)

The chain before the first entry is 32 zero bytes. The database computes the same in ``ledger.append`` (schema.sql), so
a client cannot hand in a hash; this module serves the readers, who recompute it. The leaf hash is the one Merkle trees
are built from, so that checkpoints can be signed over the same rows later.
"""

import hashlib
from datetime import UTC, datetime

VERSION = 1
DOMAIN = b"governance-ledger-chain-v1\x00"
BEFORE_THE_FIRST = bytes(32)
FIELDS = frozenset({"actor", "at", "data", "key", "kind", "log", "subject", "v", "writer"})

RIGHTS: dict[str, frozenset[str]] = {
    "pipeline": frozenset({
        "run", "snapshot", "validation", "candidate", "measured", "alternatives", "evidence", "rejected", "expired",
        "release", "revert", "message", "operation", "rollback", "no_rollback", "resume", "stop", "incident", "drill",
        "window", "watched", "monitoring", "report", "let_go", "rows_erased",
    }),
    "review": frozenset({
        "decision", "permit", "revocation", "erased", "waiver", "waiver_signature", "finding_closed", "stop",
        "incident", "incident_closed", "message", "break_glass", "break_glass_signature",
        "standing_approval", "standing_approval_signature", "standing_approval_use",
    }),
    "serving": frozenset({"served", "refused", "predictions"}),
    "witness": frozenset({"checkpoint"}),
}  # fmt: skip
"""Which identity may write which kind; the same table as ``ledger.may_append`` in schema.sql."""


def leaf_of(body: bytes) -> bytes:
    """Return the RFC 9162 leaf hash of an entry's body."""
    return hashlib.sha256(b"\x00" + body).digest()


def chain_of(seq: int, previous: bytes, leaf: bytes) -> bytes:
    """Return the hash that ties entry ``seq`` to all entries before it.

    Args:
        seq: The entry's number, from 1.
        previous: The chain hash of entry ``seq - 1``; :data:`BEFORE_THE_FIRST` for the first.
        leaf: The entry's leaf hash.
    """
    return hashlib.sha256(DOMAIN + seq.to_bytes(8, "big") + previous + leaf).digest()


def to_timestamp(moment: datetime) -> str:
    """Return the one way in which entries write a time: UTC, microseconds, ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_timestamp(text: str) -> datetime:
    """Inverse of :func:`to_timestamp`."""
    return datetime.fromisoformat(text)
