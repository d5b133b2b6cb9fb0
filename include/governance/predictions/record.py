"""The form of one predicted row, in bytes: what is spooled, stored and hashed.

A *segment* is what one process logged of one version of one model in a few seconds. Its canonical bytes are

    header  RFC 8785 of {evidence, features, lost, model, registry_version, segment, v, version}, and a line feed
    rows    at, request id, row, caller, features, prediction, scores: with tabs between, each line ended by a line feed

and its digest is their SHA-256. ``features`` is a JSON object, the prediction and the scores are JSON values; JSON
escapes tabs and line feeds, and ids are made of characters that need no escape, so a line can be taken apart again.

Text that looks like an e-mail address, a phone, card or social-security number is masked before it is written, and so
is text of more than :data:`LONGEST` characters, which would take long to look through. Protected attributes have a line
of their own, outside the digest: they are kept apart, and can be erased alone. So have requests that were refused for
their content: how many, and what was wrong with them, but nothing that they said.

Not guaranteed: that nothing else in a feature names a person (:mod:`governance.data.personal`).
"""

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from governance import canonical
from governance.data.personal import looks_personal
from governance.data.privacy import HIDDEN
from governance.ledger.hashes import to_timestamp

FORMAT = 1

LONGEST = 4_096
"""Characters of a text that is kept."""

SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""What an id from outside may look like."""

ROW, APART, REFUSED = "P", "A", "R"
"""What a line of a spooled segment begins with: a predicted row, protected values, or requests that were refused."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False).encode

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Version:
    """Which version of which model answers, and what its features are.

    Attributes:
        model: The model's name.
        version: Semantic version.
        registry_version: Version in MLflow's registry.
        evidence: Digest of what was signed.
        features: Feature → type (``int64``, ``float64``, ``bool``, ``string``, ``timestamp``), in the model's order.
        personal: Features whose values are never kept. The spec's personal columns are no features; should one be all
            the same, it is hidden.
    """

    model: str
    version: str
    registry_version: int
    evidence: str
    features: tuple[tuple[str, str], ...]
    personal: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Batch:
    """The rows of one request, and the answer.

    Attributes:
        version: Who answered.
        request_id: The request's id.
        caller: Who asked.
        at: When it was answered, UTC.
        rows: Values in the order of the version's features.
        predictions: One for each row.
        scores: One number, or one for each class, for each row.
        protected: Raw protected columns of each row, where the caller knows them.
    """

    version: Version
    request_id: str
    caller: str
    at: datetime
    rows: Sequence[Sequence[Any]]
    predictions: Sequence[Any]
    scores: Sequence[Any]
    protected: Sequence[Values | None] | None = None


@dataclass(frozen=True)
class Refusal:
    """A request that was refused for its content.

    Attributes:
        version: Who would have answered.
        fault: Which kind of fault it had first: ``form``, ``missing``, ``unknown``, ``value`` or ``protected``.
        feature: The feature of the signed spec that it was found at; empty where there is none.
        at: When, UTC.
        rows: How many rows it had, as far as it could be read.
    """

    version: Version
    fault: str
    feature: str
    at: datetime
    rows: int


def request_id_of(given: str | None) -> str:
    """Return a client's id where it is a sane one, else a new one."""
    return given if given and SANE.fullmatch(given) else uuid.uuid4().hex


def caller_of(given: str | None, address: str | None) -> str:
    """Return who asks: as the client says where that is sane, else its address."""
    if given and SANE.fullmatch(given):
        return given
    return address if address and SANE.fullmatch(address) else "unknown"


def header(version: Version, segment: str, lost: int) -> bytes:
    """Return the first line of a segment, without its end.

    Args:
        version: Whose rows these are.
        segment: The segment's id.
        lost: How many rows its process lost since the segment before.
    """
    return canonical.to_bytes(
        {
            "v": FORMAT,
            "segment": segment,
            "model": version.model,
            "version": version.version,
            "registry_version": version.registry_version,
            "evidence": version.evidence,
            "features": [[name, kind] for name, kind in version.features],
            "lost": lost,
        }
    )


def lines(batch: Batch) -> Iterator[bytes]:
    """Yield what is spooled of each row: its line, and that of its protected values where there are any."""
    names = [name for name, _ in batch.version.features]
    hidden = [at for at, name in enumerate(names) if name in batch.version.personal]
    texts = [at for at, (_, kind) in enumerate(batch.version.features) if kind == "string"]
    at = to_timestamp(batch.at)
    for number, row in enumerate(batch.rows):
        kept = _masked(row, texts, hidden) if texts or hidden else row
        features = _encode(dict(zip(names, kept, strict=True)))
        answer = f"{_json(batch.predictions[number])}\t{_json(batch.scores[number])}"
        line = f"{ROW}{at}\t{batch.request_id}\t{number}\t{batch.caller}\t{features}\t{answer}\n"
        values = batch.protected[number] if batch.protected else None
        if values:
            apart = {"request_id": batch.request_id, "row": number, "values": dict(values)}
            line += f"{APART}{_encode(apart)}\n"
        # Half a surrogate pair is no character: neither UTF-8 nor any reader of JSON could carry it.
        yield line.encode("utf-8", "replace")


def refused_line(first: Refusal, requests: int, rows: int) -> bytes:
    """Return what is spooled of requests that were refused for the same reason: when first, why, and how many."""
    feature = first.feature.translate({ord(mark): " " for mark in "\t\r\n"})
    told = f"{REFUSED}{to_timestamp(first.at)}\t{first.fault}\t{feature}\t{requests}\t{rows}\n"
    return told.encode("utf-8", "replace")


def digest(header_line: bytes, rows: bytes) -> str:
    """Return the digest of a segment: SHA-256 of its canonical bytes, 64 hexadecimal digits.

    Args:
        header_line: The header, without a line feed.
        rows: The lines of rows, each with its line feed.
    """
    return sha256(header_line + b"\n" + rows).hexdigest()


def _json(value: Any) -> str:
    # Three times as fast for what nearly all answers are; an answer holds no NaN, it was JSON already.
    return repr(value) if type(value) in (int, float) else _encode(value)


def _masked(row: Sequence[Any], texts: Sequence[int], hidden: Sequence[int]) -> list[Any]:
    kept = list(row)
    for at in texts:
        value = kept[at]
        if type(value) is str and (len(value) > LONGEST or looks_personal(value)):
            kept[at] = HIDDEN
    for at in hidden:
        kept[at] = None
    return kept
